"""Scan strategies: what could be opened or closed, each with the rule that decided."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from db import candidates, snapshots, structures
from db.snapshots import Snapshot
from domain.candidates import Candidate
from domain.cycle import Cycle, Step
from domain.holding import Holdings
from domain.orders import Leg, Purpose, Side
from domain.strategies import iron_condor
from domain.strategies.iron_condor import Exit
from domain.structures import Structure, StructureState
from tasks.config import config
from tasks.context import step, transaction
from tasks.orders import read_holdings

FOUR_PLACES = Decimal("0.0001")


@task(cache_policy=NO_CACHE)
def scan(cycle: Cycle) -> None:
    """Store every candidate of the cycle, traded or turned down. Once a cycle has intents its
    candidates stand: a second scan would explain orders that were never decided on."""
    with step(cycle, Step.SCAN) as this, transaction(cycle) as connection:
        if candidates.has_intents(connection, cycle):
            this.note = "decided before"
            return
        alive = structures.read_structures(connection, cycle.account_id)
        holdings = read_holdings(connection, cycle.account_id, alive)
        found: list[Candidate] = []
        for taken in snapshots.read_snapshots(connection, cycle):
            here = [s for s in alive if s.underlying == taken.underlying]
            priced = snapshots.read_priced(connection, taken)
            found += _exits(here, holdings, priced, this.now)
            found += _entries(taken, priced, here, this.now)
        candidates.replace_candidates(connection, cycle, found)
        this.row_count = len(found)
        this.note = f"{sum(c.is_accepted for c in found)} accepted"


def _entries(
    taken: Snapshot, priced: pd.DataFrame, alive: list[Structure], now: datetime
) -> Iterator[Candidate]:
    if taken.problem is not None:
        yield _entry(taken.underlying, pd.Series({"rule": taken.problem}))
        return
    places = Counter(s.strategy for s in alive)[iron_condor.NAME]
    condors = iron_condor.chain_to_condors(
        priced, float(taken.spot or 0), now, config().iron_condor, places
    )
    for _, row in condors.iterrows():
        yield _entry(taken.underlying, row)


def _entry(underlying: str, row: pd.Series) -> Candidate:
    """A row of a strategy's frame as a candidate; credits become prices in the broker's sign."""
    sides = {name: Side.BUY if name.startswith("long") else Side.SELL for name in iron_condor.LEGS}
    symbols = {name: row.get(name) for name in iron_condor.LEGS}
    rule = row.get("rule")
    return Candidate(
        strategy=iron_condor.NAME,
        underlying=underlying,
        purpose=Purpose.OPEN,
        structure_id=None,
        expiration=row.get("expiration"),
        legs=tuple(
            Leg(symbol=symbol, side=sides[name], ratio=1)
            for name, symbol in symbols.items()
            if isinstance(symbol, str)
        ),
        width=_money(row.get("width")),
        price_natural=_negated(row.get("credit_natural")),
        price_mid=_negated(row.get("credit_mid")),
        is_accepted=rule is None,
        rule=rule,
        value=_known(row.get("value")),
        threshold=_known(row.get("threshold")),
    )


def _exits(
    alive: list[Structure], holdings: Holdings, priced: pd.DataFrame, now: datetime
) -> Iterator[Candidate]:
    for structure in alive:
        if structure.state is not StructureState.OPEN or structure.strategy != iron_condor.NAME:
            continue
        view = iron_condor.exit_view(structure, priced, now, config().iron_condor)
        decided: tuple[str, float, float] = (view.rule, view.value, view.threshold)
        units = holdings.closable(structure, view.legs)
        if view.is_exit and not units:
            decided = (Exit.NOT_HELD, units, structure.quantity)
        rule, value, threshold = decided
        yield Candidate(
            strategy=structure.strategy,
            underlying=structure.underlying,
            purpose=Purpose.CLOSE,
            structure_id=structure.id,
            expiration=min(leg.expiration for leg in structure.legs),
            legs=view.legs,
            width=None,
            price_natural=_money(view.debit_natural),
            price_mid=_money(view.debit_mid),
            is_accepted=view.is_exit and units > 0,
            rule=rule,
            value=_known(value),
            threshold=_known(threshold),
        )


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _money(value: float | None) -> Decimal | None:
    known = _known(value)
    return None if known is None else Decimal(str(known)).quantize(FOUR_PLACES)


def _negated(credit: float | None) -> Decimal | None:
    price = _money(credit)
    return None if price is None else -price
