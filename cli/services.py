"""The processes that a day needs: started together, watched, stopped together."""

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.errors import EXIT_CANNOT_RUN, CannotRun
from cli.postgres import embedded_postgres
from db import migrate
from db.session import engine
from tasks.settings import settings

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 90
#: How an exception ends a traceback: `package.SomeError: the words`.
ERROR_LINE = re.compile(r"^[\w.]*(Error|Exception|Violation|Privilege|OutOfRange)\b.*:")
STOP_TIMEOUT_S = 10

#: Prefect's recorder drops task runs under load with its defaults (one at a time).
RECORDER = {
    f"PREFECT_SERVER_SERVICES_{name}_BATCH_SIZE": "200"
    for name in (
        "TASK_RUN_RECORDER",
        "TASK_RUN_RECORDER_READ",
        "EVENT_PERSISTER",
        "EVENT_PERSISTER_READ",
        "TRIGGERS_READ",
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A started process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> Iterator[bytes]:
        """The lines of its stdout as they come, when it was started to be listened to."""
        assert self.process.stdout is not None
        yield from self.process.stdout

    def last_words(self) -> str:
        """Its own reason for ending: the last error it printed, else its last line."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        errors = [line for line in lines if ERROR_LINE.match(line)]
        said = (errors or lines or ["it said nothing"])[-1]
        return f"{said} (see {self.log})"


def prefect_environment(
    home: Path, database_url: str, prefect_database: str, port: int
) -> dict[str, str]:
    """What the Prefect server, a worker and a flow run share."""
    beside = engine(database_url).url.set(
        database=prefect_database, drivername="postgresql+asyncpg"
    )
    return {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": beside.render_as_string(hide_password=False),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
            "prefect.server.concurrency.lease_storage.filesystem"
        ),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "strikeflow",
        "DO_NOT_TRACK": "1",
        **RECORDER,
    }


@contextmanager
def alone_in(home: Path) -> Iterator[None]:
    """Keep the data folder for one `demo` or `up` at a time: the one that started the embedded
    Postgres stops it, and another would lose its database in the middle of a day."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("w")
    except OSError as error:
        raise CannotRun(
            f"the data folder {home} cannot be used ({error.strerror}): "
            "set STRIKEFLOW_HOME to a folder of your own"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(
                f"another ./strikeflow works in {home}: wait for it, "
                "or set STRIKEFLOW_HOME to another folder"
            ) from None
        yield


@contextmanager
def our_database(home: Path) -> Iterator[str]:
    """The user's server when DATABASE_URL is set, the embedded one otherwise; yields our URL."""
    known = settings().database_url
    if known is not None:
        yield known.get_secret_value()
    else:
        with embedded_postgres(home) as url:
            yield url


def prepare_databases(url: str, prefect_database: str) -> None:
    """Make our database and Prefect's beside it where they are missing, and migrate ours."""
    beside = engine(url).url.set(database=prefect_database)
    for wanted in (url, beside.render_as_string(hide_password=False)):
        migrate.create_database(wanted)
    migrate.migrate(url)


def prefect_server(
    port: int, environment: Mapping[str, str], home: Path
) -> AbstractContextManager[Service]:
    """The Prefect server with its UI, on loopback."""
    words = ["prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
    return running("prefect-server", words, environment, home)


def require_free_port(port: int, what: str, option: str) -> None:
    """CannotRun when something listens on the loopback port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise CannotRun(
                f"port {port} for {what} is in use: stop what listens there, "
                f"or choose another with {option}"
            ) from None


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Ours, with what a child is told beside it."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **environment}


@contextmanager
def running(
    name: str,
    module: Sequence[str],
    environment: Mapping[str, str],
    home: Path,
    wants_output: bool = False,
) -> Iterator[Service]:
    """`python -m module ...` as a process of its own; stopped with all its children at the end.

    What it prints goes to a log; with `wants_output` its stdout comes to us instead.
    """
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdout=subprocess.PIPE if wants_output else output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=child_environment(environment),
            start_new_session=True,  # Ctrl-C reaches us alone; we stop the others in order
        )
    try:
        yield Service(name=name, process=process, log=log)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process group to end; make it when it does not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue


def wait_until_ready(service: Service, url: str) -> None:
    """Until `url` answers 200; CannotRun with the service's last words when it ends before."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        if service.process.poll() is not None:
            if service.process.returncode == EXIT_CANNOT_RUN:
                raise CannotRun(service.log.read_text(errors="replace").strip())  # told already
            raise CannotRun(f"{service.name} has ended: {service.last_words()}")
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass  # it is not up yet
        time.sleep(0.1)
    raise CannotRun(f"{service.name} is not ready after {START_TIMEOUT_S} s: see {service.log}")
