"""Real parts for tests: a Postgres of its own, a simulator on loopback, settings that name them."""

import asyncio
import gc
import importlib
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from jsonschema import Draft202012Validator
from prefect import Task
from sqlalchemy import Engine, text
from starlette.applications import Starlette

from cli.postgres import embedded_postgres
from db import migrate
from db.schema import metadata
from db.session import engine
from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.market import Market
from simulator.pace import Pace
from simulator.replay import open_replay
from simulator.sessions import Sessions
from simulator.streams import Streams
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment, utc
from tasks import config, context, report, settings
from tasks.waiting import pass_time_by

# The modules, not the flows of the same name.
trading_flow = importlib.import_module("flows.trading_cycle")
end_of_day_flow = importlib.import_module("flows.end_of_day")

ROOT = Path(__file__).parents[1]
RECORDED = ROOT.parent / "shared" / "market-data"
REFERENCE = ROOT.parent / "shared" / "reference-values"
MADE_UP_DAY, RECORDED_DAY = date(2026, 11, 20), date(2014, 6, 6)


@pytest.fixture(scope="module")
def data_folder() -> Iterator[Path]:
    """A data folder that everyone can walk to: pytest's own are closed, and as root the embedded
    Postgres would then keep its data, for ever, where `nobody` can reach them."""
    yield from _data_folder()


@pytest.fixture(scope="session")
def _session_folder() -> Iterator[Path]:
    yield from _data_folder()


def _data_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="strikeflow-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(_session_folder: Path) -> Iterator[str]:
    """An embedded server for this run, with one migrated database to copy from."""
    with embedded_postgres(_session_folder) as url:
        with psycopg.connect(url.replace("/strikeflow?", "/postgres?"), autocommit=True) as server:
            # Nothing here has to outlive a power cut, and a database a test is a lot to flush.
            server.execute("ALTER SYSTEM SET fsync = off")
            server.execute("SELECT pg_reload_conf()")
        migrate.create_database(url)
        migrate.migrate(url)
        forget_engines()  # a database in use cannot be copied
        yield url


@pytest.fixture(scope="session")
def shared_database_url(postgres_url: str) -> Iterator[str]:
    """One migrated database for every test that leaves no row, or may find none."""
    yield from _new_database(postgres_url, "shared")


@pytest.fixture
def database_url(shared_database_url: str) -> Iterator[str]:
    """A migrated database, empty at the start of the test, and its ids counted from 1."""
    with engine(shared_database_url).begin() as connection:
        for table in reversed(metadata.sorted_tables):  # 10 ms; a copy or a TRUNCATE takes 100
            connection.execute(table.delete())
        connection.execute(
            text(
                "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"
                " WHERE schemaname = 'public'"
            )
        )
    yield shared_database_url
    engine(shared_database_url).dispose()  # only few are kept, and one that goes must be closed


@pytest.fixture
def own_database_url(postgres_url: str) -> Iterator[str]:
    """A migrated, empty database for a test that changes the schema."""
    yield from _new_database(postgres_url, "own")


def _new_database(postgres_url: str, name: str) -> Iterator[str]:
    home = postgres_url.replace("/strikeflow?", "/postgres?")
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE strikeflow")
    url = postgres_url.replace("/strikeflow?", f"/{name}?")
    yield url
    engine(url).dispose()
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def forget_engines() -> None:
    """Close every pooled connection: an engine that is only forgotten leaves its own open."""
    for known in gc.get_objects():
        if isinstance(known, Engine):
            known.dispose()
    engine.cache_clear()


SCHEMAS = json.loads((ROOT / "tests/answers/alpaca_schemas.json").read_text())


@pytest.fixture(scope="session")
def mistakes() -> Callable[[str, object], list[str]]:
    """Says what is wrong with an answer, by the one description of the broker's answers."""

    @cache
    def validator(name: str) -> Draft202012Validator:
        return Draft202012Validator(SCHEMAS | {"$ref": f"#/$defs/{name}"})

    def found(name: str, body: object) -> list[str]:
        return [
            f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(body)
        ]

    return found


@pytest.fixture(scope="session")
def ask() -> Callable[..., httpx.Response]:
    """Sends one request into an app, with keys; an exception in the app comes out here."""

    def answer(app: Starlette, method: str, path: str, **more: object) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
                keys = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
                return await client.request(method, path, headers=keys, **more)

        return asyncio.run(send())

    return answer


@dataclass(frozen=True)
class Simulator:
    """A simulator served on loopback from this process, so that a test can look into it."""

    url: str
    exchange: Exchange
    streams: Streams

    @property
    def now(self) -> datetime:
        """The exchange's clock."""
        return utc(self.exchange.now)

    def advance(self, moment: datetime) -> None:
        """Let the exchange live through everything up to `moment`."""
        self.exchange.advance(int(Decimal(moment.timestamp()) * 10**9))


def serve(exchange: Exchange, pace: Pace | None = None) -> Iterator[Simulator]:
    """The exchange over real HTTP on a free port of loopback."""
    streams = Streams(exchange)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(exchange, pace, streams=streams),
            port=0,
            log_level="warning",
            lifespan="off",
            ws="websockets-sansio",
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Simulator(url=f"http://127.0.0.1:{port}", exchange=exchange, streams=streams)
    server.should_exit = True
    _ending.append(thread)  # it takes 0.2 s, which nobody has to wait for


_ending: list[threading.Thread] = []


def pytest_sessionfinish() -> None:
    for thread in _ending:
        thread.join()


@pytest.fixture(scope="session")
def market() -> tuple[Market, Sessions]:
    """A made-up AAPL from 2026-11-20 on, and its trading days. Nobody can change it."""
    sessions = Sessions(MADE_UP_DAY, MADE_UP_DAY)
    return Synthetic(MADE_UP_DAY, ["AAPL"], 7, sessions), sessions


@pytest.fixture(scope="session")
def recorded_market() -> tuple[Market, Sessions]:
    """AAPL as it was recorded on 2014-06-06, a row an hour."""
    if not (RECORDED / "options-hour" / f"AAPL-{RECORDED_DAY}.parquet").is_file():
        pytest.skip(f"the recorded AAPL quotes of {RECORDED_DAY} are not on this machine")
    sessions = Sessions(RECORDED_DAY, RECORDED_DAY)
    return open_replay(RECORDED, ["AAPL"], [RECORDED_DAY], sessions), sessions


@pytest.fixture
def serving() -> Iterator[Callable[[Exchange], str]]:
    """Serves exchanges of the test's own making; answers their address."""
    running: list[Iterator[Simulator]] = []

    def serve_it(exchange: Exchange) -> str:
        running.append(serve(exchange))
        return next(running[-1]).url

    yield serve_it
    for served in running:
        next(served, None)


@pytest.fixture
def simulator(market: tuple[Market, Sessions]) -> Iterator[Simulator]:
    """A fresh account with 100,000 USD on the made-up market; 09:00 New York."""
    yield from serve(_exchange(market, MADE_UP_DAY))


@pytest.fixture
def recorded(recorded_market: tuple[Market, Sessions]) -> Iterator[Simulator]:
    """A fresh account with 100,000 USD on the recorded market; 09:00 New York."""
    yield from serve(_exchange(recorded_market, RECORDED_DAY))


def _exchange(market: tuple[Market, Sessions], day: date) -> Exchange:
    start = new_york_moment(day, 9, 0)
    return Exchange(*market, account="SIM000001", cash=Decimal(100_000), start=start)


@dataclass(frozen=True)
class Pipeline:
    """The real flows on real parts, without an orchestrator."""

    simulator: Simulator
    database_url: str
    config: Path  # a copy of config/ that a test may edit
    #: What was published: (key, markdown or table).
    published: list[tuple[str, object]]

    def run_cycle(self, slot: datetime, underlyings: list[str] | None = None) -> object:
        """The trading cycle of `slot` with the broker's clock moved to it where it lies behind.
        Answers None, or Prefect's state when the slot was skipped."""
        if self.simulator.now < slot:
            self.simulator.advance(slot)
        return asyncio.run(trading_flow.trading_cycle.fn(slot, underlyings))

    def run_end_of_day(self, moment: datetime) -> object:
        return asyncio.run(end_of_day_flow.end_of_day.fn(moment))

    def edit(self, file: str, **values: object) -> None:
        """Change settings of a config file; they hold from the next call on."""
        path = self.config / file
        written = path.read_text()
        for name, value in values.items():
            written, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", written)
            assert count == 1, name
        path.write_text(written)
        config.load_config.cache_clear()

    def rows(self, query: str, **values: object) -> list[dict[str, object]]:
        """What a query answers, on a connection of its own."""
        with engine(self.database_url).connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def contents(self) -> dict[str, list[str]]:
        """Every row of every table as text."""
        with engine(self.database_url).connect() as connection:
            return {
                name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}"))))
                for name in metadata.tables
            }


@pytest.fixture
def pipeline_on(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Simulator], Pipeline]]:
    """Builds a Pipeline on a simulator: settings, caches and tasks are put back at the end."""

    def build(simulator: Simulator) -> Pipeline:
        folder = tmp_path / "config"
        shutil.copytree(ROOT / "config", folder)
        for name, value in {
            "DATABASE_URL": database_url,
            "STRIKEFLOW_BROKER_URL": simulator.url,
            "STRIKEFLOW_CONFIG": str(folder),
            "APCA_API_KEY_ID": "KEY-ID-OF-THIS-TEST",
            "APCA_API_SECRET_KEY": "SECRET-OF-THIS-TEST",
        }.items():
            monkeypatch.setenv(name, value)
        forget_settings()
        for module in (trading_flow, end_of_day_flow):
            for name, value in vars(module).copy().items():
                if isinstance(value, Task):
                    monkeypatch.setattr(module, name, value.fn)
        published: list[tuple[str, object]] = []
        monkeypatch.setattr(
            report,
            "create_markdown_artifact",
            lambda key, markdown, description: published.append((key, markdown)),
        )
        monkeypatch.setattr(
            report,
            "create_table_artifact",
            lambda key, table, description: published.append((key, table)),
        )
        advance = simulator.advance
        pass_time_by(lambda seconds: advance(simulator.now + timedelta(seconds=seconds)))
        pipeline = Pipeline(simulator, database_url, folder, published)
        pipeline.edit("universe.toml", underlyings='["AAPL"]')
        pipeline.edit("execution.toml", attempts="1")  # at the natural price at once
        return pipeline

    forget_settings()
    before = pass_time_by(time.sleep)
    yield build
    pass_time_by(before)
    forget_settings()


def forget_settings() -> None:
    settings.settings.cache_clear()
    context.broker.cache_clear()
    config.load_config.cache_clear()


@pytest.fixture
def pipeline(pipeline_on: Callable[[Simulator], Pipeline], simulator: Simulator) -> Pipeline:
    """The pipeline on the made-up market."""
    return pipeline_on(simulator)
