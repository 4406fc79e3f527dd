"""Connections: one engine a database, and transactions on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 30_000
#: A process that was stopped inside a transaction holds its locks no longer than this.
IDLE_TIMEOUT_MS = 60_000


class DatabaseUnavailable(RuntimeError):
    """No server answers at DATABASE_URL, or it is no such URL. The text holds no password."""


@lru_cache(maxsize=4)
def engine(url: str) -> Engine:
    """The engine of a database; postgresql:// and postgresql+psycopg:// mean the same."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise DatabaseUnavailable(
            "DATABASE_URL is not a URL such as postgresql://user:password@host:5432/strikeflow"
        ) from None
    if parsed.drivername.split("+")[0] not in ("postgresql", "postgres"):
        raise DatabaseUnavailable(
            f"DATABASE_URL names {parsed.drivername}; only postgresql:// is supported"
        )
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=4,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC"
            f" -c idle_in_transaction_session_timeout={IDLE_TIMEOUT_MS}",
        },
    )


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """One transaction: commits at the end, rolls back on any error."""
    with engine(url).begin() as connection:
        yield connection


def check_connection(url: str) -> None:
    """Raise DatabaseUnavailable, in one line, unless the server answers."""
    try:
        with engine(url).connect():
            return
    except DBAPIError as error:
        where = engine(url).url.render_as_string(hide_password=True)
        why = str(error.orig).strip().splitlines()[0]
        raise DatabaseUnavailable(f"no database at {where}: {why}") from None
