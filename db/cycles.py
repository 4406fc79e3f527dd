"""Accounts, cycles, their leases and steps."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from db import versions
from db.schema import accounts, cycles, days, steps
from domain.cycle import Cycle, CycleKind, CycleState, LeaseLost, Skip, Step

#: A running cycle renews its lease at each step; one silent for longer is taken for dead.
LEASE = timedelta(minutes=3)
#: A cycle holds its lease while an order is on its way: whoever wants to take over waits so long.
LOCK_TIMEOUT_MS = 2_000


def ensure_account(connection: Connection, number: str, environment: str, now: datetime) -> int:
    """The id of the account with this number, made on first sight."""
    connection.execute(
        insert(accounts)
        .values(number=number, environment=environment, first_seen_at=now)
        .on_conflict_do_nothing()
    )
    known = select(accounts.c.id).where(accounts.c.number == number)
    found: int = connection.execute(known).scalar_one()
    return found


def find_account(connection: Connection, number: str) -> int | None:
    return connection.execute(
        select(accounts.c.id).where(accounts.c.number == number)
    ).scalar_one_or_none()


def count_accounts(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(accounts)).scalar_one()


def open_cycle(
    connection: Connection,
    account: tuple[int, str],
    kind: CycleKind,
    slot: datetime,
    now: datetime,
    origin: tuple[UUID | None, str],
) -> Cycle | Skip:
    """The cycle of this slot, now running and ours; or why it is not to be run.

    account  id and number
    origin   the orchestrator's run id (None without one) and the version of the code

    A slot that is done stays done. One that failed, was skipped, or whose lease ran out is taken
    over. The partial unique index `one_running_cycle` keeps two from running at once even if both
    pass this check: the second's insert waits for the first and then fails.
    """
    account_id, number = account
    lease_number = _next_lease(connection, account_id)
    if lease_number is None:
        return Skip(reason="another cycle of the account is at work", is_busy=True)
    bury_silent(connection, account_id, now)
    if (newer := versions.newer(connection, account_id, origin[1])) is not None:
        return Skip(reason=f"version {newer} has run here and this is {origin[1]}: update it")
    last = versions.last_cycle(connection, account_id)
    if last is not None and last.state == CycleState.RUNNING:
        return Skip(reason=versions.at_work(last, origin[1]), is_busy=True)
    opened = {
        "state": CycleState.RUNNING,
        "lease_number": lease_number,
        "reason": None,
        "opened_at": now,
        "closed_at": None,
        "lease_until": now + LEASE,
        "flow_run_id": origin[0],
        "code_version": origin[1],
    }
    found = connection.execute(
        insert(cycles)
        .values(account_id=account_id, kind=kind, slot=slot, **opened)
        .on_conflict_do_update(
            index_elements=["account_id", "kind", "slot"],
            set_=opened,
            where=cycles.c.state != CycleState.DONE,
        )
        .returning(cycles.c.id)
    ).scalar_one_or_none()
    if found is None:
        return Skip(reason=f"the {kind} cycle of {slot:%Y-%m-%d %H:%M}Z has been run already")
    connection.execute(
        update(accounts).where(accounts.c.id == account_id).values(lease_number=lease_number)
    )
    return Cycle(
        id=found,
        account_id=account_id,
        account=number,
        kind=kind,
        slot=slot,
        lease_number=lease_number,
        version_before=versions.other(last, origin[1]),
    )


def _next_lease(connection: Connection, account_id: int) -> int | None:
    """The number of the lease to take; None while a cycle of the account writes.

    Serialises openers of one account: what they check and what they insert is one decision.
    """
    number_of = select(accounts.c.lease_number).where(accounts.c.id == account_id)
    connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"))
    try:
        return int(connection.execute(number_of.with_for_update()).scalar_one()) + 1
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        connection.rollback()
        return None


#: Statements of every step are made once: to build them costs as much as to run them.
HELD = (
    select(accounts.c.lease_number)
    .where(accounts.c.id == bindparam("account_id"))
    .with_for_update(read=True, key_share=True)  # a halt need not wait for it
)
RENEW = (
    update(cycles)
    .where(
        cycles.c.id == bindparam("cycle_id"),
        cycles.c.state == CycleState.RUNNING,
        cycles.c.lease_number == bindparam("held"),
    )
    .values(lease_until=bindparam("until"))
)
BEGIN_STEP = text(
    "INSERT INTO steps (cycle_id, step, started_at) VALUES (:cycle_id, :step, :started_at)"
    " ON CONFLICT (cycle_id, step) DO UPDATE SET started_at = excluded.started_at,"
    " duration_ms = NULL, row_count = NULL, note = NULL"
)
END_STEP = (
    update(steps)
    .where(steps.c.cycle_id == bindparam("of_cycle"), steps.c.step == bindparam("of_step"))
    .values({name: bindparam(name) for name in ("duration_ms", "row_count", "note")})
)


def hold_lease(connection: Connection, cycle: Cycle) -> None:
    """LeaseLost when another cycle of the account has begun; else none begins until this
    transaction ends. Every transaction of a cycle starts with it."""
    held = connection.execute(HELD, {"account_id": cycle.account_id}).scalar_one()
    if held != cycle.lease_number:
        raise LeaseLost(
            f"cycle {cycle.id} holds lease {cycle.lease_number} of account {cycle.account}, "
            f"and {held} has been given: another process has taken over"
        )


def renew_lease(connection: Connection, cycle: Cycle, now: datetime) -> None:
    """Keep a cycle from being taken for dead while it waits."""
    mine = {"cycle_id": cycle.id, "held": cycle.lease_number}
    connection.execute(RENEW, {**mine, "until": now + LEASE})


def bury_silent(connection: Connection, account_id: int, now: datetime) -> None:
    """Mark a running cycle failed whose lease ran out, and take its lease from it: its process is
    taken for dead, and should it come back it writes nothing, also when nobody has followed it."""
    buried = connection.execute(
        update(cycles)
        .where(
            cycles.c.account_id == account_id,
            cycles.c.state == CycleState.RUNNING,
            cycles.c.lease_until < now,
        )
        .values(state=CycleState.FAILED, reason="its lease ran out", closed_at=now)
    )
    if buried.rowcount:
        mine = update(accounts).where(accounts.c.id == account_id)
        connection.execute(mine.values(lease_number=accounts.c.lease_number + 1))


def record_skip(
    connection: Connection,
    account_id: int,
    kind: CycleKind,
    slot: datetime,
    now: datetime,
    words: tuple[str, str],
) -> None:
    """Keep that a slot was not run. A slot already known is left as it is.

    words  the reason and the version of the code
    """
    connection.execute(
        insert(cycles)
        .values(
            account_id=account_id,
            kind=kind,
            slot=slot,
            state=CycleState.SKIPPED,
            reason=words[0],
            opened_at=now,
            closed_at=now,
            lease_until=now,
            code_version=words[1],
        )
        .on_conflict_do_nothing()
    )


def close_cycle(
    connection: Connection, cycle: Cycle, state: CycleState, reason: str | None
) -> None:
    """End a running cycle; one that has been buried meanwhile stays buried.

    It is closed at the broker's time of its last step, so that it can be closed without a broker.
    """
    connection.execute(
        update(cycles)
        .where(
            cycles.c.id == cycle.id,
            cycles.c.state == CycleState.RUNNING,
            cycles.c.lease_number == cycle.lease_number,
        )
        .values(state=state, reason=reason, closed_at=cycles.c.lease_until - LEASE)
    )


def begin_step(connection: Connection, cycle: Cycle, step: Step, now: datetime) -> None:
    """Note that a step starts, and renew the cycle's lease."""
    renew_lease(connection, cycle, now)
    connection.execute(BEGIN_STEP, {"cycle_id": cycle.id, "step": step, "started_at": now})


def end_step(
    connection: Connection, cycle: Cycle, step: Step, duration_ms: int, done: tuple[int, str | None]
) -> None:
    """Note what a step did: the rows it stands for, and a word on it."""
    this = {"of_cycle": cycle.id, "of_step": step}
    did = {"duration_ms": duration_ms, "row_count": done[0], "note": done[1]}
    connection.execute(END_STEP, this | did)


def last_read_at(connection: Connection, account_id: int) -> datetime | None:
    """When the broker's books were last read whole; None when they never were."""
    return connection.execute(
        select(func.max(steps.c.started_at))
        .join(cycles, cycles.c.id == steps.c.cycle_id)
        .where(
            cycles.c.account_id == account_id,
            steps.c.step.in_([Step.RECONCILE_BEFORE, Step.RECONCILE]),
            steps.c.duration_ms.is_not(None),
        )
    ).scalar_one_or_none()


def mark_day(
    connection: Connection,
    cycle: Cycle,
    day: date,
    opening_equity: Decimal,
    closing_equity: Decimal,
) -> None:
    """Write the day's profit and loss; a second marking corrects the first."""
    marked = {
        "cycle_id": cycle.id,
        "opening_equity": opening_equity,
        "closing_equity": closing_equity,
        "profit_usd": closing_equity - opening_equity,
    }
    connection.execute(
        insert(days)
        .values(account_id=cycle.account_id, day=day, **marked)
        .on_conflict_do_update(index_elements=["account_id", "day"], set_=marked)
    )
