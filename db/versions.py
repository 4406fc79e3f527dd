"""Which program has run an account's cycles."""

from datetime import datetime

from sqlalchemy import Connection, Row, bindparam, select

from db.schema import cycles
from domain.cycle import CycleState

#: Kind, slot, state and code version of a cycle.
Last = Row[tuple[str, datetime, str, str]]

#: The account's cycle that was opened last: only this one can be running.
LAST = (
    select(cycles.c.kind, cycles.c.slot, cycles.c.state, cycles.c.code_version)
    .where(cycles.c.account_id == bindparam("of_account"), cycles.c.state != CycleState.SKIPPED)
    .order_by((cycles.c.state == CycleState.RUNNING).desc(), cycles.c.lease_number.desc())
    .limit(1)
)


def last_cycle(connection: Connection, account_id: int) -> Last | None:
    """The account's cycle that was opened last."""
    return connection.execute(LAST, {"of_account": account_id}).first()


def other(last: Last | None, version: str) -> str | None:
    return last.code_version if last is not None and last.code_version != version else None


def at_work(running: Last, version: str) -> str:
    """That a cycle runs, and that another program runs it where one does."""
    words = f"the {running.kind} cycle of {running.slot:%Y-%m-%d %H:%M}Z is running"
    if running.code_version != version:
        words += f" by version {running.code_version}, and this is {version}"
    return words


def newer(connection: Connection, account_id: int, version: str) -> str | None:
    """The version of a later program that has traded this account; None when ours is the latest."""
    known = connection.execute(
        select(cycles.c.code_version).where(cycles.c.account_id == account_id).distinct()
    ).scalars()
    newest = max(known, key=_parts, default=version)
    return newest if _parts(newest) > _parts(version) else None


def _parts(version: str) -> list[int]:
    """The numbers of a release; what follows its + names the source and has no order."""
    return [int(part) if part.isdigit() else 0 for part in version.partition("+")[0].split(".")]
