"""An embedded Postgres that can go down as in a crash, and keeps what it has committed. Only the
machine goes on, so that nothing has to be flushed to its disk."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from chaos.stage import close_engines, home_of
from cli.postgres import embedded_postgres
from db import migrate


class Postgres:
    """A server of our own at `url`, with a migrated database to copy from."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.url = self.start()
        with psycopg.connect(home_of(self.url), autocommit=True) as own:
            own.execute("ALTER SYSTEM SET fsync = off")
            own.execute("SELECT pg_reload_conf()")
        migrate.create_database(self.url)
        migrate.migrate(self.url)
        close_engines(self.url)

    def start(self) -> str:
        """Bring it up again from what is on its disk; its URL."""
        return self._stack.enter_context(embedded_postgres(self._folder))

    def crash(self) -> None:
        """An immediate shutdown: no transaction is ended, no connection told, nothing flushed."""
        with psycopg.connect(self.url) as own:
            (row,) = own.execute("SELECT pg_read_file('postmaster.pid')").fetchall()
        pid = int(row[0].splitlines()[0])
        os.kill(pid, signal.SIGQUIT)
        os.waitpid(pid, 0)


@contextmanager
def crashing_postgres(folder: Path) -> Iterator[Postgres]:
    """Running at first and gone at the end, however often it crashed."""
    with ExitStack() as stack:
        yield Postgres(folder, stack)
