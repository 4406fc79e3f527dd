"""What a flow knows of its own run: its id, its scheduled slot, how it says that it skipped."""

from datetime import UTC, datetime
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed

from domain import calendar
from domain.cycle import Skip


def run_id() -> UUID | None:
    """The id of this flow run; None when called as a plain function."""
    context = FlowRunContext.get()
    return context.flow_run.id if context is not None and context.flow_run is not None else None


def scheduled_slot() -> datetime | None:
    """The slot a schedule started this run for, UTC; None for a run by hand."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or not context.flow_run.auto_scheduled:
        return None
    expected = context.flow_run.expected_start_time
    return None if expected is None else expected.astimezone(UTC)


def slot_name() -> str:
    """The run's name in the UI: its slot in New York, or that it was started by hand."""
    context = FlowRunContext.get()
    parameters = context.parameters if context is not None else None
    given = (parameters or {}).get("slot")
    slot = given or scheduled_slot()
    if slot is None:
        return "by hand"
    if slot.tzinfo is None:
        return f"{slot:%Y-%m-%d %H:%M} without a time zone"  # the run itself refuses it
    return f"{slot.astimezone(calendar.NEW_YORK):%Y-%m-%d %H:%M} New York"


def skipped(skip: Skip) -> State[None]:
    """A completed state that the UI shows as Skipped, with the reason."""
    return Completed(name="Skipped", message=skip.reason)
