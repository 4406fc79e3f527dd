"""The demo as a stranger runs it: its own process, its own data folder, its own ports."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cli.services import ROOT, free_port

RECORDED = ROOT.parent / "shared" / "market-data"
DAY_TIMEOUT_S = 150


def start(home: Path, *words: str, port: int | None = None) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "APCA_", "STRIKEFLOW_", "DATABASE_URL"))
    }
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "demo", "--ui-port", str(port or free_port()), *words],
        env={**environment, "PYTHONPATH": str(ROOT), "STRIKEFLOW_HOME": str(home)},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(demo: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, told = demo.communicate(timeout=DAY_TIMEOUT_S)
    return demo.returncode, said, told


def left_over(home: Path) -> list[str]:
    """Processes that were started with this data folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("STRIKEFLOW_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.fixture(scope="module")
def home(data_folder: Path) -> Path:
    """One data folder for all runs, as a user has: each finds what the one before left."""
    return data_folder


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_every_process(home: Path, sign: signal.Signals) -> None:
    """The first while Prefect's database is still being made, the second during the day."""
    demo = start(home)
    time.sleep(5 if sign is signal.SIGINT else 12)
    code, _, told = finish(start(home))  # a second one would lose its database with the first
    assert (code, "another ./strikeflow works in" in told) == (2, True), told
    demo.send_signal(sign)
    code, _, told = finish(demo)
    assert code == 130
    assert told.strip().endswith("strikeflow: stopped")
    assert left_over(home) == []


def test_a_day_runs_from_one_command_after_an_interrupted_one(home: Path) -> None:
    code, said, told = finish(start(home, "--json"))
    assert code == 0, told
    (line,) = said.splitlines()
    summary = json.loads(line)
    assert summary["cycles"] == {"done": 14}
    assert summary["contracts"] > 13 * 1_500
    assert summary["priced"] > 0.7 * summary["contracts"]
    sent = {state: n for state, n in summary["intents"].items() if state != "not_sent"}
    assert summary["orders"] == sum(sent.values()) > 0
    filled = summary["intents"]["filled"]
    assert filled > 0
    assert summary["fills"] == 4 * filled
    assert len(summary["assignment"]) == 2 * filled
    assert {step["step"] for step in summary["steps"]} >= {"snapshot", "submit", "reconcile"}
    assert left_over(home) == []


@pytest.mark.parametrize(
    ("underlying", "day", "cycles", "structures"),
    [("GOOG", "2015-12-24", 8, 0), ("AAPL", "2014-06-06", 14, 1), ("AAPL", "2014-06-09", 14, 1)],
)
def test_a_recorded_day_replays(
    home: Path, underlying: str, day: str, cycles: int, structures: int
) -> None:
    if not RECORDED.is_dir():
        pytest.skip("the recorded chains are not on this machine")
    words = ["--replay", str(RECORDED), "--underlying", underlying, "--day", day, "--json"]
    code, said, told = finish(start(home, *words))
    assert code == 0, told
    summary = json.loads(said)
    assert summary["cycles"] == {"done": cycles}
    assert [s["state"] for s in summary["structures"]] == ["open"] * structures
    assert summary["contracts"] > 2_000 * (cycles - 1)
    assert summary["candidates"] >= 12 * (cycles - 1)  # each listed expiration of each slot
    assert summary["fills"] == 4 * structures


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--replay", "no-such-folder"], "no-such-folder"),
        (["--replay", "."], "parquet"),
        (["--day", "2026-11-26"], "2026-11-26"),
        (["--underlying", "NOSUCH"], "NOSUCH"),
    ],
)
def test_what_cannot_be_played_is_told_in_one_line(
    home: Path, words: list[str], names: str
) -> None:
    code, said, told = finish(start(home, *words))
    assert code == 2
    assert "Traceback" not in said + told
    (line,) = [line for line in told.splitlines() if line.startswith("strikeflow:")]
    assert names.lower() in line.lower()
    assert left_over(home) == []


def test_a_port_in_use_is_told_in_one_line(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, told = finish(start(home, port=port))
    assert code == 2
    assert str(port) in told
    assert "--ui-port" in told
