"""Reconcile: what the broker says about our intents and structures, as what to write."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.orders import IntentState, Purpose
from domain.records import TERMINAL, Activity, Order, Position
from domain.structures import Structure, StructureState, realized_usd


@dataclass(frozen=True, kw_only=True, slots=True)
class IntentUpdate:
    """What an intent becomes. `order` is what the broker has under its id."""

    state: IntentState
    order: Order


def intent_update(order: Order) -> IntentUpdate:
    """The state that an order at the broker means for its intent."""
    if order.status == "filled":
        state = IntentState.FILLED
    elif order.status in TERMINAL:
        state = IntentState.CANCELED
    else:
        state = IntentState.WORKING
    return IntentUpdate(state=state, order=order)


@dataclass(frozen=True, kw_only=True, slots=True)
class StructureUpdate:
    """What a structure becomes; None leaves a column as it is."""

    state: StructureState
    quantity: int | None = None
    entry_price: Decimal | None = None
    exit_price: Decimal | None = None
    realized_usd: Decimal | None = None


def without_order(purpose: Purpose) -> StructureUpdate:
    """What an intent that never became an order leaves behind: an opening that failed, or a
    structure that is open still."""
    is_opening = purpose is Purpose.OPEN
    return StructureUpdate(state=StructureState.FAILED if is_opening else StructureState.OPEN)


def structure_update(
    structure: Structure, purpose: Purpose, update: IntentUpdate
) -> StructureUpdate | None:
    """What an intent's order does to its structure; None while it is still working.

    An opening order that ended with a part filled leaves a structure of that part; a closing
    one leaves the rest open.
    """
    order = update.order
    if update.state is IntentState.WORKING:
        return None
    filled = int(order.filled_quantity)
    if purpose is Purpose.OPEN:
        if filled == 0:
            return without_order(purpose)
        return StructureUpdate(
            state=StructureState.OPEN, quantity=filled, entry_price=order.filled_average_price
        )
    if filled == 0:
        return without_order(purpose)
    assert order.filled_average_price is not None
    earned = realized_usd(structure.entry_price, order.filled_average_price, Decimal(filled))
    if filled < structure.quantity:
        return StructureUpdate(
            state=StructureState.OPEN,
            quantity=structure.quantity - filled,
            realized_usd=structure.realized_usd + earned,
        )
    return StructureUpdate(
        state=StructureState.CLOSED,
        exit_price=order.filled_average_price,
        realized_usd=structure.realized_usd + earned,
    )


def settled_structure(
    structure: Structure, positions: Mapping[str, Position], activities: Iterable[Activity]
) -> StructureUpdate | None:
    """Assigned or expired, once none of an open structure's legs is held any more and the broker's
    activities say why: an exercise of one leg, or the expiry of all. None otherwise.
    """
    symbols = {leg.symbol for leg in structure.legs}
    if structure.state is not StructureState.OPEN or symbols & positions.keys():
        return None
    happened = {(a.activity_type, a.symbol) for a in activities if a.symbol in symbols}
    if any(kind in ("OPASN", "OPEXC") for kind, _ in happened):
        return StructureUpdate(state=StructureState.ASSIGNED)
    if all(("OPEXP", symbol) in happened for symbol in symbols):
        kept = realized_usd(structure.entry_price, Decimal(0), Decimal(structure.quantity))
        return StructureUpdate(
            state=StructureState.EXPIRED,
            exit_price=Decimal(0),
            realized_usd=structure.realized_usd + kept,
        )
    return None
