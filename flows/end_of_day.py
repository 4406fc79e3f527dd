"""The end of day: the books made equal, the assignment report, the day's profit."""

from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State

from domain import calendar
from domain.cycle import CycleKind, Skip
from flows.runs import run_id, scheduled_slot, skipped, slot_name
from tasks.context import now
from tasks.open_cycle import closing, open_cycle
from tasks.reconcile import reconcile
from tasks.report import assignment_report


@flow(name="end-of-day", flow_run_name=slot_name)
async def end_of_day(slot: datetime | None = None) -> State[None] | None:
    """Reconcile fills, report what may be assigned tonight, mark the day's profit.

    Args:
        slot: Any moment of the day to close, with its time zone. Empty: the scheduled one, or now
            when run by hand.
    """
    closed_at = calendar.close_of(slot or scheduled_slot() or now())
    cycle = open_cycle(CycleKind.END_OF_DAY, closed_at, run_id())
    if isinstance(cycle, Skip):
        return skipped(cycle)
    with closing(cycle):
        reconcile(cycle)
        assignment_report(cycle)
    return None
