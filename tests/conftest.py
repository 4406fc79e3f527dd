"""Real parts for tests: a Postgres of its own, a simulator on loopback, settings that name them."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import text

from cli.postgres import embedded_postgres
from db import migrate
from db.session import engine
from simulator.app import create_app
from simulator.exchange import Exchange

ROOT = Path(__file__).parents[1]
RECORDED = ROOT.parent / "shared" / "market-data"
REFERENCE = ROOT.parent / "shared" / "reference-values"


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded server for this run, with one migrated database to copy from."""
    with embedded_postgres(tmp_path_factory.mktemp("home")) as url:
        migrate.create_database(url)
        migrate.migrate(url)
        engine(url).dispose()  # a database in use cannot be copied
        yield url


@pytest.fixture
def database_url(postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database for one test."""
    name = f"test_{abs(hash(request.node.nodeid))}"
    home = postgres_url.replace("/strikeflow?", "/postgres?")
    with engine(home).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE strikeflow"))
    url = postgres_url.replace("/strikeflow?", f"/{name}?")
    yield url
    engine(url).dispose()


@dataclass(frozen=True)
class Simulator:
    """A simulator served on loopback from this process, so that a test can look into it."""

    url: str
    exchange: Exchange

    def advance(self, moment: datetime) -> None:
        """Let the exchange live through everything up to `moment`."""
        self.exchange.advance(int(Decimal(moment.timestamp()) * 10**9))


def serve(exchange: Exchange) -> Iterator[Simulator]:
    """The exchange over real HTTP on a free port of loopback."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(exchange), port=0, log_level="warning", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Simulator(url=f"http://127.0.0.1:{port}", exchange=exchange)
    server.should_exit = True
    thread.join()
