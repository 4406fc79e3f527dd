"""Open a cycle: whether this slot is to be run now, by us."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from db import cycles
from db.migrate import check_schema
from domain import calendar
from domain.cycle import Cycle, CycleKind, CycleState, Skip
from domain.records import Clock
from tasks.config import config
from tasks.context import broker, log, transaction
from tasks.settings import settings
from tasks.version import code_version
from tasks.waiting import wait

#: Prefect runs missed slots all at once when a worker comes back. A slot this late is not traded.
LATE_MAX = timedelta(minutes=10)
#: It also starts a run up to half a second before its time; that is waited out.
EARLY_S_MAX = 5.0
#: A report waits for another cycle of the account: for its end, or until its lease has run out.
BUSY_S, BUSY_TRIES_MAX = 15.0, 60


def open_cycle(
    kind: CycleKind, slot: datetime | None, flow_run_id: UUID | None, is_scheduled: bool = False
) -> Cycle | Skip:
    """The cycle of `slot`, ours to run; or why there is nothing to run.

    slot          None means this minute, by the broker's clock
    is_scheduled  whether a schedule named the slot: it trades at the slots of a day only, and a
                  person at any moment

    An end of day that meets another cycle of the account waits for it, a quarter of an hour at
    most: nobody makes a report up. A trading cycle leaves its slot to the next.
    """
    config()  # a wrong file stops the start, before anything is decided
    check_schema(settings().required_database_url())
    if slot is not None:
        calendar.aware(slot)
    opened = _open(kind, slot, flow_run_id, is_scheduled)
    tries = 1
    while isinstance(opened, Skip) and opened.is_busy and tries < BUSY_TRIES_MAX:
        if kind is CycleKind.TRADING:
            break
        wait(BUSY_S)
        opened, tries = _open(kind, slot, flow_run_id, is_scheduled), tries + 1
    _tell(kind, slot, opened)
    return opened


def _open(
    kind: CycleKind, slot: datetime | None, flow_run_id: UUID | None, is_scheduled: bool
) -> Cycle | Skip:
    """One try."""
    clock, account = _clock_at(slot), broker().account()
    moment = slot if slot is not None else clock.now.replace(second=0, microsecond=0)
    reason = "the account is blocked" if account.is_blocked else _unfit(kind, moment, clock.now)
    if is_scheduled and kind is CycleKind.TRADING:
        reason = _no_slot(moment) or reason
    if reason is None and kind is CycleKind.TRADING and not clock.is_open:
        reason = f"the market is closed; it opens next at {clock.next_open:%Y-%m-%d %H:%M}Z"
    with transaction() as connection:
        account_id = cycles.ensure_account(
            connection, account.number, broker().environment, clock.now
        )
        if reason is not None:
            words = (reason, code_version())
            cycles.record_skip(connection, account_id, kind, moment, clock.now, words)
            return Skip(reason=reason)
        known, origin = (account_id, account.number), (flow_run_id, code_version())
        return cycles.open_cycle(connection, known, kind, moment, clock.now, origin)


def _tell(kind: CycleKind, slot: datetime | None, opened: Cycle | Skip) -> None:
    if isinstance(opened, Skip):
        when = None if slot is None else f"{slot:%Y-%m-%dT%H:%MZ}"
        log.info("skipped", kind=kind, slot=when, reason=opened.reason)
    elif opened.version_before is not None:
        log.warning("another version", before=opened.version_before, now=code_version())


def _clock_at(slot: datetime | None) -> Clock:
    """The broker's clock, a moment later when the orchestrator started us just before the slot."""
    clock = broker().clock()
    early_s = 0.0 if slot is None else (slot - clock.now).total_seconds()
    if 0 < early_s <= EARLY_S_MAX:
        wait(early_s)
        clock = broker().clock()
    return clock


def _no_slot(slot: datetime) -> str | None:
    """Why a schedule's moment is not traded; None when it is a slot of its day."""
    day = calendar.trading_day(slot)
    if calendar.session(day) is None or slot in calendar.slots(day):
        return None
    at = slot.astimezone(calendar.NEW_YORK)
    return f"{at:%H:%M} New York is no slot of {day}"


def _unfit(kind: CycleKind, slot: datetime, clock_now: datetime) -> str | None:
    """Why the slot cannot be run at this moment; None when it can."""
    hours = calendar.session(calendar.trading_day(slot))
    if hours is None:
        return f"{calendar.trading_day(slot)} is not a trading day"
    if slot > clock_now:
        return f"the slot {slot:%Y-%m-%d %H:%M}Z lies ahead of the broker's clock"
    if kind is CycleKind.END_OF_DAY:
        if clock_now < hours.close:
            return f"the session is open until {hours.close:%H:%M}Z: the day is not over"
        return None  # a report that is late is still wanted
    if clock_now - slot > LATE_MAX:
        return f"the slot is late: it was due {slot:%Y-%m-%d %H:%M}Z and it is {clock_now:%H:%M}Z"
    return None


@contextmanager
def closing(cycle: Cycle) -> Iterator[None]:
    """Mark the cycle done at the end; failed, with the reason, when anything stops it."""
    try:
        yield
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}"[:500]
        with transaction() as connection:
            cycles.close_cycle(connection, cycle, CycleState.FAILED, reason)
        raise
    with transaction() as connection:
        cycles.close_cycle(connection, cycle, CycleState.DONE, None)
