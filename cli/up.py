"""`up`: everything that trades, on this machine, until Ctrl-C."""

import subprocess
import sys
from contextlib import ExitStack

from rich.console import Console
from rich.status import Status

from cli.day import KEYS
from cli.errors import CannotRun
from cli.services import (
    LOOPBACK,
    ROOT,
    Service,
    alone_in,
    child_environment,
    free_port,
    our_database,
    prefect_environment,
    prefect_server,
    prepare_databases,
    require_free_port,
    running,
    wait_until_ready,
)
from tasks.config import config
from tasks.context import broker
from tasks.settings import settings

PREFECT_DATABASE = "prefect"
WORK_POOL = "trading"
WATCH_EVERY_S = 1.0


def up(ui_port: int, simulator: bool, console: Console) -> None:
    """Postgres, the Prefect server, our deployments and a worker; the simulator when asked for.

    Ends with CannotRun when one of them ends: half a system must not look like a whole one.
    """
    config()  # a wrong file stops the start
    home = settings().home
    require_free_port(ui_port, "the Prefect UI", "--ui-port")
    account = "the simulator" if simulator else _account()
    with console.status("starting Postgres") as status, ExitStack() as stack:
        stack.enter_context(alone_in(home))
        database_url = stack.enter_context(our_database(home))
        prepare_databases(database_url, PREFECT_DATABASE)
        environment = prefect_environment(home, database_url, PREFECT_DATABASE, ui_port)
        environment |= {"DATABASE_URL": database_url}
        services = []
        if simulator:
            port = free_port()
            words = ["simulator", "--port", str(port), "--speed", "1", "--start", "now"]
            services.append(stack.enter_context(running("simulator", words, {}, home)))
            environment |= _simulator_environment(f"http://{LOOPBACK}:{port}")
        services.append(stack.enter_context(prefect_server(ui_port, environment, home)))
        status.update("starting the Prefect server (slower the first time)")
        wait_until_ready(services[-1], f"http://{LOOPBACK}:{ui_port}/api/health")
        deploy(environment, status)
        words = ["prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        services.append(stack.enter_context(running("worker", words, environment, home)))
        status.stop()
        console.print(f"Trading on {account}. The UI: http://{LOOPBACK}:{ui_port}")
        console.print(f"Logs: {home / 'logs'}. Ctrl-C stops everything.")
        _watch(services)


def _account() -> str:
    """The account in words, asked of the broker: wrong keys stop the start."""
    found = broker().account()
    return f"the {broker().environment} account {found.number}, equity ${found.equity:,.2f}"


def _simulator_environment(url: str) -> dict[str, str]:
    return {
        "STRIKEFLOW_BROKER_URL": url,
        "STRIKEFLOW_LIVE": "0",
        **{name.replace("-", "_"): value for name, value in KEYS.items()},
    }


def deploy(environment: dict[str, str], status: Status) -> None:
    """Make the work pool when it is missing, and deploy what prefect.yaml says. A pool that
    exists is left alone: an operator may have paused it."""
    status.update("deploying")
    if _prefect(environment, "work-pool", "inspect", WORK_POOL).returncode != 0:
        _must(_prefect(environment, "work-pool", "create", "--type", "process", WORK_POOL))
    _must(_prefect(environment, "--no-prompt", "deploy", "--all"))


def _prefect(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        env=child_environment(environment),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def _must(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["it said nothing"]
        raise CannotRun(f"prefect {done.args[3:]} failed: {said[-1]}")


def _watch(services: list[Service]) -> None:
    """Until one of them ends."""
    while True:
        for service in services:
            try:
                service.process.wait(WATCH_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            raise CannotRun(f"{service.name} has ended: {service.last_words()}; see {service.log}")
