"""The trading cycle: one pass over the pipeline at a slot."""

from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State

from domain.cycle import CycleKind, Skip, Step
from flows.runs import run_id, scheduled_slot, skipped, slot_name
from tasks.config import config
from tasks.greeks import greeks
from tasks.open_cycle import closing, open_cycle
from tasks.reconcile import reconcile
from tasks.report import report
from tasks.scan import scan
from tasks.snapshot import snapshot
from tasks.submit import submit
from tasks.validate import validate


@flow(name="trading-cycle", flow_run_name=slot_name)
async def trading_cycle(
    slot: datetime | None = None, underlyings: list[str] | None = None
) -> State[None] | None:
    """Snapshot chains, compute Greeks, scan strategies, validate risk, submit, reconcile, report.

    Args:
        slot: The moment this cycle stands for, with its time zone. Empty: the scheduled one, or
            now when run by hand.
        underlyings: What to look at. Empty: those of config/universe.toml.
    """
    scheduled = scheduled_slot()
    is_scheduled = slot is None and scheduled is not None
    cycle = open_cycle(CycleKind.TRADING, slot or scheduled, run_id(), is_scheduled)
    if isinstance(cycle, Skip):
        return skipped(cycle)
    with closing(cycle):
        reconcile(cycle, Step.RECONCILE_BEFORE)  # decide only on what is known to be true
        snapshot(cycle, underlyings or list(config().universe.underlyings))
        greeks(cycle)
        scan(cycle)
        validate(cycle)
        submit(cycle)
        reconcile(cycle)
        report(cycle)
    return None
