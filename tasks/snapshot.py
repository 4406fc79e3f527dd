"""Snapshot chains: read every watched underlying's chain and store it as it was."""

from datetime import timedelta
from decimal import Decimal

from prefect import task
from prefect.cache_policies import NO_CACHE

from broker.client import Window, chain_frame
from broker.parse import Body, is_standard
from db import books, snapshots, structures
from domain import calendar
from domain.contracts import is_option, parse_symbol
from domain.cycle import Cycle, Step
from tasks.config import config
from tasks.context import (
    READ_RETRIES,
    READ_RETRY_DELAYS_S,
    StepNote,
    broker,
    is_unanswered,
    step,
    transaction,
)

NO_CHAIN, NO_UNDERLYING = "no_chain", "no_underlying"


@task(
    cache_policy=NO_CACHE,
    retries=READ_RETRIES,
    retry_delay_seconds=READ_RETRY_DELAYS_S,
    retry_condition_fn=is_unanswered,
)
def snapshot(cycle: Cycle, underlyings: list[str]) -> None:
    """Store the chain of each underlying once a cycle; one stored already is left as it is."""
    with step(cycle, Step.SNAPSHOT) as this:
        notes = []
        wanted = sorted({*underlyings, *_held_underlyings(cycle)})
        for underlying, spot in broker().spots(wanted).items():
            rows, note = _take(cycle, underlying, spot, this)
            this.row_count += rows
            notes += [note] if note else []
        this.note = "; ".join(notes) or None


def _held_underlyings(cycle: Cycle) -> set[str]:
    """What open structures stand on: they need prices even when nobody watches them any more."""
    with transaction(cycle) as connection:
        return {s.underlying for s in structures.read_structures(connection, cycle.account_id)}


def _take(
    cycle: Cycle, underlying: str, spot: Decimal | None, this: StepNote
) -> tuple[int, str | None]:
    """Read and store one chain: contracts stored, and a word when something is odd."""
    with transaction(cycle) as connection:
        if snapshots.read_snapshot(connection, cycle, underlying) is not None:
            return 0, f"{underlying} stored before"
        held = {
            p.symbol
            for p in books.read_positions(connection, cycle.account_id)
            if is_option(p.symbol) and parse_symbol(p.symbol).root == underlying
        }
    listed = _listed(underlying, spot, this) if spot is not None else []
    standard = [body for body in listed if is_standard(body)]
    adjusted = len(listed) - len(standard)
    standard = [body for body in standard if _is_wanted(body)]
    quotes = dict(broker().chain_snapshots(underlying, _window(spot, this))) if spot else {}
    missing = sorted(held - {str(body["symbol"]) for body in standard})
    standard += [body for body in map(broker().contract, missing) if body is not None]
    quotes |= broker().snapshots(missing)
    chain = chain_frame(standard, quotes)
    problem = NO_UNDERLYING if spot is None else NO_CHAIN if chain.empty else None
    with transaction(cycle) as connection:
        head = (underlying, this.now, spot, problem)
        snapshots.save_quotes(connection, snapshots.save_snapshot(connection, cycle, head), chain)
    if problem is None and adjusted > 0:
        return len(chain), f"{underlying}: {adjusted} adjusted contracts left out"
    return len(chain), f"{underlying}: {problem}" if problem else None


def _listed(underlying: str, spot: Decimal, this: StepNote) -> list[Body]:
    return broker().contracts(underlying, _window(spot, this))


def _is_wanted(body: Body) -> bool:
    """Whether the universe watches contracts of this right and open interest."""
    universe = config().universe
    held = int(str(body.get("open_interest") or 0))
    is_held = held >= universe.open_interest_min
    return is_held and parse_symbol(str(body["symbol"])).right in universe.rights


def _window(spot: Decimal, this: StepNote) -> Window:
    universe, today = config().universe, calendar.trading_day(this.now)
    return Window(
        expiration_min=today + timedelta(days=universe.days_to_expiry_min),
        # Saturday expirations trade until the Friday before.
        expiration_max=today + timedelta(days=universe.days_to_expiry_max + 1),
        strike_min=(spot * Decimal(str(universe.strike_share_min))).quantize(Decimal("0.01")),
        strike_max=(spot * Decimal(str(universe.strike_share_max))).quantize(Decimal("0.01")),
    )
