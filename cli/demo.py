"""The demo: one whole trading day on real parts, with nothing but this repository."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.status import Status

from cli.day import KEYS
from cli.errors import CannotRun
from cli.services import (
    LOOPBACK,
    alone_in,
    free_port,
    our_database,
    prefect_environment,
    prefect_server,
    prepare_databases,
    require_free_port,
    running,
    wait_until_ready,
)
from db import cycles, reports
from db.session import transaction
from domain import calendar
from domain.summary import Summary
from tasks.config import config
from tasks.settings import settings

#: The demo's runs never mix with those of a Prefect server that trades.
PREFECT_DATABASE = "prefect_demo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """Which day is played: a seeded synthetic one, or a recorded one."""

    seed: int
    day: date | None
    replay: Path | None
    underlyings: tuple[str, ...]

    def arguments(self) -> list[str]:
        """As the simulator takes them."""
        words = ["--seed", str(self.seed)]
        words += ["--day", self.day.isoformat()] if self.day else []
        words += ["--replay", str(self.replay.resolve())] if self.replay else []
        return words + [word for name in self.underlyings for word in ("--underlying", name)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Everything that runs while a day is played."""

    database_url: str
    simulator_url: str
    ui_url: str
    account: str


@contextmanager
def stage(market: Market, ui_port: int, status: Status) -> Iterator[Stage]:
    """Postgres, simulator and Prefect server, up and migrated; all stopped at the end."""
    home = settings().home
    config()  # a wrong file stops the start
    require_free_port(ui_port, "the Prefect UI", "--ui-port")
    with ExitStack() as stack:
        stack.enter_context(alone_in(home))
        status.update("starting Postgres")
        database_url = stack.enter_context(our_database(home))
        prepare_databases(database_url, PREFECT_DATABASE)
        with transaction(database_url) as session:
            account = f"SIM{cycles.count_accounts(session) + 1:06d}"
        status.update("starting the simulator")
        port = free_port()
        words = ["simulator", "--port", str(port), "--account", account, *market.arguments()]
        simulator = stack.enter_context(running("simulator", words, {}, home))
        environment = prefect_environment(home, database_url, PREFECT_DATABASE, ui_port)
        prefect = stack.enter_context(prefect_server(ui_port, environment, home))
        simulator_url, ui_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{ui_port}"
        wait_until_ready(simulator, f"{simulator_url}/sim/health")
        status.update("starting the Prefect server (slower the first time)")
        wait_until_ready(prefect, f"{ui_url}/api/health")
        os.environ.update(_day_environment(environment, database_url, simulator_url))
        settings.cache_clear()
        yield Stage(
            database_url=database_url, simulator_url=simulator_url, ui_url=ui_url, account=account
        )


def _day_environment(
    prefect: dict[str, str], database_url: str, simulator_url: str
) -> dict[str, str]:
    """The settings of the flows. Whatever keys the user has set, the demo never uses them: it
    talks to the simulator and to nothing else."""
    return {
        **prefect,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the UI has the logs
        "DATABASE_URL": database_url,
        "STRIKEFLOW_BROKER_URL": simulator_url,
        "STRIKEFLOW_LIVE": "0",
        "APCA_API_KEY_ID": KEYS["APCA-API-KEY-ID"],
        "APCA_API_SECRET_KEY": KEYS["APCA-API-SECRET-KEY"],
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """A day that was played."""

    summary: Summary
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What the day's process is about to do."""

    moment: datetime
    what: str

    @property
    def label(self) -> str:
        return f"{self.moment.astimezone(calendar.NEW_YORK):%H:%M}  {self.what}"


def play(on: Stage, console: Console, status: Status) -> Played:
    """Have every slot of the day run as a flow run, then the end of day, and show each."""
    began_s = time.monotonic()
    told: list[Told] = []
    with (
        running(
            "day", ["cli.day", on.simulator_url], {}, settings().home, wants_output=True
        ) as day,
        _showing_steps(on, status, told),
    ):
        for line in day.output():
            said = json.loads(line)
            console.print(_line(on, told[-1]) if told else _heading(), highlight=False)
            told.append(Told(moment=datetime.fromisoformat(said["moment"]), what=said["what"]))
        if day.process.wait() != 0:
            raise CannotRun(f"{told[-1].label if told else 'the day'}: {day.last_words()}")
    summary = _summary(on, told[0].moment, told[-1].moment, calendar.trading_day(told[0].moment))
    count = len(summary.assignment)
    label = f"{told[-1].label:<21}"
    console.print(f"{label}   {count} short contracts in the assignment report", highlight=False)
    return Played(summary=summary, seconds=time.monotonic() - began_s)


@contextmanager
def _showing_steps(on: Stage, status: Status, told: list[Told]) -> Iterator[None]:
    """The step that runs now, read from the ledger while the flows work."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.15):
            with transaction(on.database_url) as session:
                account_id = cycles.find_account(session, on.account)
                step = reports.current_step(session, account_id) if account_id else None
            label = told[-1].label if told else "starting the day"
            status.update(f"{label}  {(step or '').replace('_', ' ')}")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


#: Heading and width of each count in a slot's line; the whole fits 80 columns.
COLUMNS = {
    "contracts": 11,
    "priced": 8,
    "candidates": 12,
    "accepted": 10,
    "denied": 8,
    "fills": 7,
}


def _heading() -> str:
    return f"{'New York':<21}" + "".join(f"{name:>{width}}" for name, width in COLUMNS.items())


def _line(on: Stage, told: Told) -> str:
    found = _summary(on, told.moment, told.moment, None)
    if found.skips:
        return f"{told.label:<21} skipped: {'; '.join(found.skips)}"
    numbers = (
        found.contracts,
        found.priced,
        found.candidates,
        found.accepted,
        sum(found.denials.values()),
        found.fills,
    )
    counts = zip(numbers, COLUMNS.values(), strict=True)
    return f"{told.label:<21}" + "".join(f"{number:>{width},}" for number, width in counts)


def _summary(on: Stage, first: datetime, last: datetime, day: date | None) -> Summary:
    with transaction(on.database_url) as session:
        account_id = cycles.find_account(session, on.account)
        if account_id is None:
            raise CannotRun("no cycle has run: see the logs in STRIKEFLOW_HOME")
        after = last + timedelta(minutes=1)
        ids = reports.cycles_between(session, account_id, first, after)
        return reports.summarize(session, account_id, ids, day)
