"""Bring a database to the schema this code needs, or say why it cannot be."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db.session import DatabaseUnavailable, check_connection, engine

MIGRATIONS = Path(__file__).parent / "migrations"


class WrongSchema(RuntimeError):
    """The database's schema is not the one this code was written for."""


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["engine"] = engine(url)
    return config


def create_database(url: str) -> None:
    """Create the database that `url` names on its server when it is missing."""
    target = engine(url).url
    home = target.set(database="postgres").render_as_string(hide_password=False)
    check_connection(home)
    with engine(home).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.execute(known, {"name": target.database}).scalar() is None:
            quoted = connection.dialect.identifier_preparer.quote(str(target.database))
            try:
                connection.execute(text(f"CREATE DATABASE {quoted}"))
            except DBAPIError as error:
                why = str(error.orig).strip().splitlines()[0]
                raise DatabaseUnavailable(
                    f"the database {target.database} is missing and cannot be made ({why}): "
                    "create it, or let the role of DATABASE_URL create databases"
                ) from None


def migrate(url: str) -> str:
    """Run every migration that is missing, forward only; the revision it ends at."""
    check_connection(url)
    command.upgrade(_config(url), "head")
    return wanted_revision(url)


def wanted_revision(url: str) -> str:
    """The revision this code needs."""
    head = ScriptDirectory.from_config(_config(url)).get_current_head()
    assert head is not None
    return head


def check_schema(url: str) -> None:
    """Raise WrongSchema unless the database stands at this code's revision."""
    check_connection(url)
    with engine(url).connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    wanted = wanted_revision(url)
    if found != wanted:
        raise WrongSchema(
            f"the database's schema is at {found or 'nothing'}, this code needs {wanted}: "
            "run ./strikeflow database migrate"
        )
