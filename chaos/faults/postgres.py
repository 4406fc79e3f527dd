"""F27 to F30: the database goes away, or says no. Errors are the server's own wherever it can be
made to say them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.exc import OperationalError

from chaos.faults.kinds import Armed, Kind, Kinds, trapped
from chaos.operations import Kind as At
from chaos.operations import Operation, Phase, Trap, of
from chaos.process import current

if TYPE_CHECKING:
    from chaos.day import Day

Strike = Callable[["Day", Operation], None]
STATEMENTS_MAX, COMMITS_MAX = 150, 40
ENDED_WITHIN_MS = 5_000
WORDS = {
    "deadlock": ("40P01", "deadlock detected"),
    "serialization": ("40001", "could not serialize access due to concurrent update"),
    "statement_timeout": ("57014", "canceling statement due to statement timeout"),
    "disk_full": ("53100", "could not extend file: No space left on device"),
}


def _terminate(day: Day, operation: Operation) -> None:
    """End the connection's server process, as a restart of the server does."""
    subject: Any = operation.subject
    connection = getattr(subject, "connection", subject)  # of a cursor, or itself
    connection = getattr(connection, "driver_connection", connection)
    pid = connection.info.backend_pid
    day.stage.own.execute("SELECT pg_terminate_backend(%s, %s)", [pid, ENDED_WITHIN_MS])


def _lost_after(day: Day, operation: Operation) -> None:
    """The commit took effect, and nobody was told."""
    connection: Any = operation.subject
    getattr(connection, "driver_connection", connection).close()
    raise psycopg.OperationalError("server closed the connection unexpectedly")


def _raise(word: str) -> Strike:
    code, text = WORDS[word]
    asked = f"DO $$ BEGIN RAISE EXCEPTION '{text}' USING ERRCODE = '{code}'; END $$"

    def strike(day: Day, operation: Operation) -> None:
        cursor: Any = operation.subject
        cursor.execute(asked)

    return strike


def _no_connection(day: Day, operation: Operation) -> None:
    problem = psycopg.OperationalError("FATAL: sorry, too many clients already")
    raise OperationalError("connect", None, problem)


def _kind(
    word: str, number: str, meets: Callable[[Operation], bool], strike: Strike, skip_max: int
) -> Kind:
    def arm(day: Day, seed: int) -> Armed:
        skip = Random(seed).randrange(skip_max)

        def struck(operation: Operation) -> None:
            strike(day, operation)

        return trapped(day, Trap(name=word, meets=meets, strike=struck, skip=skip))

    return Kind(number=number, arm=arm, is_postgres=True)


def _inside(operation: Operation) -> bool:
    """A statement in a transaction that has said something before."""
    return operation.kind is At.STATEMENT and current().open_transactions > 0


def _kinds() -> Kinds:
    before, after = of(At.COMMIT, Phase.BEFORE), of(At.COMMIT, Phase.AFTER)
    found = {
        "restart": _kind("restart", "F27", _inside, _terminate, STATEMENTS_MAX),
        "commit_lost_before": _kind("commit_lost_before", "F28", before, _terminate, COMMITS_MAX),
        "commit_lost_after": _kind("commit_lost_after", "F28", after, _lost_after, COMMITS_MAX),
        "no_connection": _kind("no_connection", "F30", of(At.CONNECT), _no_connection, COMMITS_MAX),
    }
    for word in WORDS:
        number = "F29" if word in ("deadlock", "serialization") else "F30"
        found[word] = _kind(word, number, of(At.STATEMENT), _raise(word), STATEMENTS_MAX)
    return found


KINDS = _kinds()
