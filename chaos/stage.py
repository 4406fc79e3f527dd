"""The real parts that seeded days share in a worker process: a Postgres database, config folders,
the settings of the core, the seams."""

import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import Engine, create_engine, make_url

from chaos.seams import Seams
from cli.postgres import embedded_postgres
from db import migrate
from db.schema import metadata
from db.session import engine
from tasks import context, settings

CONFIG = Path(__file__).parents[1] / "config"
BROKER_URL = "http://simulator.invalid"
Settings = tuple[tuple[str, str, str], ...]


@contextmanager
def server() -> Iterator[str]:
    """An embedded Postgres that forgets everything at the end; yields the URL of a migrated,
    empty database to copy from, to which nothing is connected."""
    folder = Path(tempfile.mkdtemp(prefix="strikeflow-chaos-"))
    folder.chmod(0o755)  # the server runs as another user when we are root
    try:
        with embedded_postgres(folder) as url:
            with psycopg.connect(home_of(url), autocommit=True) as connection:
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    connection.execute(f"ALTER SYSTEM SET {setting} = off")
                connection.execute("SELECT pg_reload_conf()")
            migrate.create_database(url)
            migrate.migrate(url)
            close_engines(url)
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def close_engines(url: str) -> None:
    """Close what making the database at `url` has opened: one in use cannot be copied."""
    beside = engine(url).url.set(database="postgres")  # as it is named when a database is made
    for used in (url, beside.render_as_string(hide_password=False)):
        engine(used).dispose()


def home_of(url: str) -> str:
    """The URL of the database that every server has."""
    return url.replace("/strikeflow?", "/postgres?")


def copy_database(url: str, name: str) -> str:
    """A copy of the database at `url` under another name; its URL."""
    with psycopg.connect(home_of(url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE strikeflow")
    return url.replace("/strikeflow?", f"/{name}?")


def write_config(folder: Path, wanted: Settings) -> None:
    """A copy of config/ in a new `folder`, with some settings changed."""
    shutil.copytree(CONFIG, folder)
    for file, name, value in wanted:
        path = folder / file
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", path.read_text())
        if count != 1:
            raise LookupError(f"config/{file} has {count} settings called {name}")
        path.write_text(text)


class Stage:
    """What one worker process plays its days on."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        self.folder = Path(tempfile.mkdtemp(prefix="strikeflow-chaos-config-"))
        self._configs: dict[Settings, Path] = {}
        os.environ.update(
            {
                "DATABASE_URL": database_url,
                "STRIKEFLOW_BROKER_URL": BROKER_URL,
                "STRIKEFLOW_LIVE": "0",
                "APCA_API_KEY_ID": "chaos",
                "APCA_API_SECRET_KEY": "chaos",
            }
        )
        logging.getLogger(context.LOGGER).setLevel(logging.CRITICAL)
        self.seams = Seams(database_url)
        self.own = psycopg.connect(database_url, autocommit=True)
        self.own_engine: Engine = create_engine(
            make_url(database_url).set(drivername="postgresql+psycopg")
        )

    def without_place(self, text: str) -> str:
        """`text` without the name of this worker's database: equal days have equal histories."""
        place = self.own_engine.url.render_as_string(hide_password=True)
        return text.replace(place, "the database")

    def close(self) -> None:
        self.own.close()
        self.own_engine.dispose()
        engine(self.database_url).dispose()
        shutil.rmtree(self.folder, ignore_errors=True)

    def clear(self, settings_of_day: Settings) -> Path:
        """An empty database, its ids counted from 1, and the config folder of the day; the
        processes that ran before are forgotten."""
        engine(self.database_url).dispose()
        for table in reversed(metadata.sorted_tables):
            if table.name not in KEPT:
                self.own.execute(f'DELETE FROM "{table.name}"')
        self.own.execute(
            "SELECT setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences"
            " WHERE schemaname = 'public'"
        )
        return self.use(settings_of_day)

    def use(self, wanted: Settings) -> Path:
        """The config folder with these settings, which every process that starts now reads."""
        folder = self._config(wanted)
        os.environ["STRIKEFLOW_CONFIG"] = str(folder)
        forget_processes()
        return folder

    def _config(self, wanted: Settings) -> Path:
        if wanted not in self._configs:
            folder = self.folder / str(len(self._configs))
            write_config(folder, wanted)
            self._configs[wanted] = folder
        return self._configs[wanted]


#: Tables of which migrations make the rows.
KEPT = frozenset({"intent_moves"})


def forget_processes() -> None:
    """What a process keeps and a fresh one has not."""
    settings.settings.cache_clear()
    context.broker.cache_clear()
