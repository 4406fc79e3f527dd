"""A real Prefect server, worker, Postgres and simulator: deployments, a manual run, a schedule."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from rich.console import Console
from sqlalchemy import text

from cli.day import KEYS
from cli.services import (
    LOOPBACK,
    ROOT,
    child_environment,
    free_port,
    prefect_environment,
    prefect_server,
    prepare_databases,
    running,
    wait_until_ready,
)
from cli.up import WORK_POOL, deploy
from db.session import engine

RUN_TIMEOUT_S = 90


@dataclass(frozen=True)
class Desk:
    """Everything `up` starts, with a simulator whose clock stands at ten on a trading day."""

    api: str
    environment: dict[str, str]
    database_url: str
    simulator_url: str

    def prefect(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *words],
            env=child_environment(self.environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
        )

    def post(self, path: str, body: dict[str, object]) -> list[dict[str, object]]:
        answer = httpx.post(f"{self.api}{path}", json=body, trust_env=False, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with engine(self.database_url).connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def _quick_config(home: Path) -> Path:
    """The settings, but orders go out at the natural price at once: the clock stands still."""
    folder = home / "config"
    shutil.copytree(ROOT / "config", folder)
    execution = folder / "execution.toml"
    execution.write_text(execution.read_text().replace("attempts = 4", "attempts = 1"))
    return folder


@pytest.fixture(scope="module")
def desk(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    home, port, simulator_port = tmp_path_factory.mktemp("desk"), free_port(), free_port()
    url = postgres_url.replace("/strikeflow?", "/acceptance?")
    simulator_url = f"http://{LOOPBACK}:{simulator_port}"
    with ExitStack() as stack:
        prepare_databases(url, "prefect_acceptance")
        environment = prefect_environment(home, url, "prefect_acceptance", port) | {
            "DATABASE_URL": url,
            "STRIKEFLOW_BROKER_URL": simulator_url,
            "APCA_API_KEY_ID": "acceptance-key",
            "APCA_API_SECRET_KEY": "acceptance-secret-never-shown",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "STRIKEFLOW_CONFIG": str(_quick_config(home)),
        }
        words = ["simulator", "--port", str(simulator_port), "--account", "SIMACCEPT"]
        simulator = stack.enter_context(running("simulator", words, {}, home))
        server = stack.enter_context(prefect_server(port, environment, home))
        wait_until_ready(simulator, f"{simulator_url}/sim/health")
        wait_until_ready(server, f"http://{LOOPBACK}:{port}/api/health")
        deploy(environment, Console(quiet=True).status(""))
        words = ["prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        stack.enter_context(running("worker", words, environment, home))
        httpx.post(
            f"{simulator_url}/sim/clock",
            json={"now": "2026-11-20T15:00:00Z"},
            headers=KEYS,
            trust_env=False,
            timeout=60,
        ).raise_for_status()
        yield Desk(
            api=f"http://{LOOPBACK}:{port}/api",
            environment=environment,
            database_url=url,
            simulator_url=simulator_url,
        )
        engine(url).dispose()


def test_every_deployment_of_the_file_is_on_the_server_with_its_schedules(desk: Desk) -> None:
    wanted = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    found = {d["name"]: d for d in desk.post("/deployments/filter", {})}
    for deployment in wanted:
        there = found[deployment["name"]]
        assert there["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
        crons = {s["schedule"]["cron"] for s in there["schedules"]}
        assert crons == {s["cron"] for s in deployment["schedules"]}
        assert {s["schedule"]["timezone"] for s in there["schedules"]} == {"America/New_York"}


def test_a_manual_run_with_parameters_trades_and_a_second_one_of_the_slot_is_skipped(
    desk: Desk,
) -> None:
    run = ["deployment", "run", "trading-cycle/intraday", "--watch"]
    parameters = ["--param", 'underlyings=["SPY"]', "--param", 'slot="2026-11-20T15:00:00Z"']
    first = desk.prefect(*run, *parameters)
    assert first.returncode == 0, first.stdout + first.stderr
    assert desk.rows("SELECT state FROM cycles WHERE kind = 'trading'") == [("done",)]
    assert desk.rows("SELECT DISTINCT underlying FROM snapshots") == [("SPY",)]
    assert desk.rows("SELECT state FROM intents") == [("filled",)]
    steps = [
        "reconcile_before",
        "snapshot",
        "greeks",
        "scan",
        "validate",
        "submit",
        "reconcile",
        "report",
    ]
    assert {step for (step,) in desk.rows("SELECT step FROM steps")} == set(steps)
    second = desk.prefect(*run, *parameters)
    assert "Skipped" in second.stdout
    assert desk.rows("SELECT count(*) FROM intents") == [(1,)]


def test_a_runs_artifacts_and_logs_are_in_the_ui_and_no_secret_is(desk: Desk) -> None:
    artifacts = desk.post("/artifacts/filter", {})
    assert {"cycle-summary", "candidates"} <= {a["key"] for a in artifacts}
    logs = desk.post("/logs/filter", {"limit": 200})
    assert any("scan" in str(log["message"]) for log in logs if log["name"] == "strikeflow")
    runs = desk.post("/flow_runs/filter", {}) + desk.post("/task_runs/filter", {})
    everything = json.dumps([artifacts, logs, runs])
    assert "acceptance-secret-never-shown" not in everything
    assert "acceptance-key" not in everything


def test_an_every_minute_schedule_gets_runs_from_the_scheduler(desk: Desk, tmp_path: Path) -> None:
    """FastAPI from 0.155 stops the server and SQLAlchemy 2.1 makes its scheduler create nothing
    with only a log line: the versions in the lock are those with which runs appear."""
    deployment = {
        "name": "strikeflow",
        "deployments": [
            {
                "name": "every-minute",
                "entrypoint": "flows/end_of_day.py:end_of_day",
                "work_pool": {"name": WORK_POOL},
                "schedules": [{"cron": "* * * * *", "timezone": "UTC", "slug": "each"}],
            }
        ],
    }
    file = tmp_path / "every-minute.yaml"
    file.write_text(yaml.safe_dump(deployment))
    deployed = desk.prefect("deploy", "--all", "--prefect-file", str(file))
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    query = {
        "deployments": {"name": {"any_": ["every-minute"]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    deadline_s = time.monotonic() + RUN_TIMEOUT_S
    while not (found := desk.post("/flow_runs/filter", query)):
        assert time.monotonic() < deadline_s, "the scheduler has created no run"
        time.sleep(0.5)
    assert all(run["auto_scheduled"] for run in found)
    expected = datetime.fromisoformat(str(found[0]["expected_start_time"]))
    assert expected.astimezone(UTC).second == 0
