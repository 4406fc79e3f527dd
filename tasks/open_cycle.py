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
from tasks.waiting import wait

VERSION = "0.1.0"
#: Prefect runs missed slots all at once when a worker comes back. A slot this late is not traded.
LATE_MAX = timedelta(minutes=10)
#: It also starts a run up to half a second before its time; that is waited out.
EARLY_S_MAX = 5.0


def open_cycle(kind: CycleKind, slot: datetime | None, flow_run_id: UUID | None) -> Cycle | Skip:
    """The cycle of `slot`, ours to run; or why there is nothing to run.

    slot  None means this minute, by the broker's clock
    """
    config()  # a wrong file stops the start, before anything is decided
    check_schema(settings().required_database_url())
    clock, account = _clock_at(slot), broker().account()
    moment = slot if slot is not None else clock.now.replace(second=0, microsecond=0)
    reason = "the account is blocked" if account.is_blocked else _unfit(kind, moment, clock.now)
    if reason is None and kind is CycleKind.TRADING and not clock.is_open:
        reason = f"the market is closed; it opens next at {clock.next_open:%Y-%m-%d %H:%M}Z"
    with transaction() as connection:
        account_id = cycles.ensure_account(
            connection, account.number, broker().environment, clock.now
        )
        if reason is not None:
            words = (reason, VERSION)
            cycles.record_skip(connection, account_id, kind, moment, clock.now, words)
            opened: Cycle | Skip = Skip(reason=reason)
        else:
            known, origin = (account_id, account.number), (flow_run_id, VERSION)
            opened = cycles.open_cycle(connection, known, kind, moment, clock.now, origin)
    if isinstance(opened, Skip):
        log.info("skipped", kind=kind, slot=f"{moment:%Y-%m-%dT%H:%MZ}", reason=opened.reason)
    return opened


def _clock_at(slot: datetime | None) -> Clock:
    """The broker's clock, a moment later when the orchestrator started us just before the slot."""
    clock = broker().clock()
    early_s = 0.0 if slot is None else (slot - clock.now).total_seconds()
    if 0 < early_s <= EARLY_S_MAX:
        wait(early_s)
        clock = broker().clock()
    return clock


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
