"""Reconcile: what the broker says about our intents and structures, as what to write."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.audit import Discrepancy
from domain.holding import Part, unmatched
from domain.orders import (
    CENT,
    LIVE,
    MOVES,
    IntentState,
    OrderIntent,
    Purpose,
    is_ours,
)
from domain.records import Activity, Order
from domain.structures import Structure, StructureState, realized_usd

_STATES = {
    "filled": IntentState.FILLED,
    "canceled": IntentState.CANCELED,
    "replaced": IntentState.CANCELED,
    "expired": IntentState.EXPIRED,
    "rejected": IntentState.REJECTED,
    "pending_new": IntentState.ACCEPTED,
    "accepted": IntentState.ACCEPTED,
    "accepted_for_bidding": IntentState.ACCEPTED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class IntentMove:
    """Where an intent goes, and how many of its units are filled in all."""

    state: IntentState
    filled_quantity: int


def order_state(order: Order) -> IntentState:
    """What a status means for the intent; an order that is not known to have ended may fill."""
    return _STATES.get(order.status, IntentState.WORKING)


def intent_move(state: IntentState, filled_quantity: int, order: Order) -> IntentMove | None:
    """What the broker's order makes of its intent; None when it says nothing new.

    A reading may be older than what is known already: an intent never moves back, and what was
    filled stays filled. A trade that is taken back later is a matter of fills.
    """
    found, filled = order_state(order), max(filled_quantity, int(order.filled_quantity))
    target = found if found in MOVES.get(state, ()) else state
    if (target, filled) == (state, filled_quantity):
        return None
    return IntentMove(state=target, filled_quantity=filled)


def is_of(order: Order, intent: OrderIntent) -> bool:
    """Whether an order is what its intent asked for: as many units of the same legs. One that is
    not bears the id of a decision that another copy of us has made."""
    legs = order.legs or (order,)
    traded = {(leg.symbol, leg.side) for leg in legs}
    return order.quantity == intent.quantity and traded == {(x.symbol, x.side) for x in intent.legs}


def strange_orders(
    orders: Iterable[Order], intents: Mapping[str, OrderIntent], known: AbstractSet[str]
) -> list[Discrepancy]:
    """Orders that nobody but us can have sent and that we know nothing of, and orders of ours that
    a person has replaced: what they trade is nobody's to manage.

    intents  by client_order_id, those that may have an order
    known    client_order_ids of every intent among the orders
    """
    found = []
    for order in orders:
        name, intent = order.client_order_id, intents.get(order.client_order_id)
        why = None
        if name not in known:
            why = "of ours, with no intent here" if is_ours(name) else None
        elif intent is not None and not is_of(order, intent):
            why = "is not what its intent asked for"
        elif order.status == "replaced":
            why = "was replaced by hand"
        if why is not None:
            zero, units = Decimal(0), order.quantity or order.filled_quantity
            found.append(Discrepancy(subject=f"order {name} {why}", expected=zero, found=units))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class StructureUpdate:
    """What a structure is by its parts; None where there is none."""

    state: StructureState
    quantity: int
    entry_price: Decimal | None = None
    exit_price: Decimal | None = None
    realized_usd: Decimal | None = None


def structure_update(structure: Structure, parts: Sequence[Part]) -> StructureUpdate:
    """What the fills of its orders make of a structure: units held, prices, profit, state.

    Always computed from all parts, so that nothing is counted twice and a late fill finds its
    place. What has legs left that make no whole units is not over: it stays open, for a person.
    """
    entries = [part for part in parts if part.purpose is Purpose.OPEN]
    exits = [part for part in parts if part.purpose is Purpose.CLOSE]
    opened, closed = _filled(entries), _filled(exits)
    is_opening = any(part.state in (IntentState.PLANNED, *LIVE) for part in entries)
    is_whole = not unmatched(structure, parts)
    if opened == 0 and is_whole:
        state = StructureState.OPENING if is_opening else StructureState.FAILED
        return StructureUpdate(state=state, quantity=structure.quantity)
    entry, leave = _average(entries), _average(exits)
    realized = None
    if leave is not None and entry is not None and is_whole:
        realized = realized_usd(entry, leave, Decimal(closed)).quantize(CENT)
    if closed >= opened and is_whole:
        state = StructureState.CLOSED
    elif is_opening:
        state = StructureState.OPENING
    elif any(part.state in LIVE for part in exits):
        state = StructureState.CLOSING
    else:
        state = StructureState.OPEN
    return StructureUpdate(
        state=state,
        quantity=opened - closed if opened > closed else opened or structure.quantity,
        entry_price=entry,
        exit_price=leave,
        realized_usd=realized,
    )


def _filled(parts: Iterable[Part]) -> int:
    return sum(part.filled_quantity for part in parts)


def _average(parts: Iterable[Part]) -> Decimal | None:
    """Average price of what was filled, not rounded: profit is to the cent. None when nothing
    was."""
    known = [(part.filled_quantity, part.price) for part in parts if part.filled_quantity]
    if not known or any(price is None for _, price in known):
        return None
    total = sum((quantity * price for quantity, price in known if price is not None), Decimal(0))
    return total / sum(quantity for quantity, _ in known)


def settled_structure(
    update: StructureUpdate,
    left: AbstractSet[str],
    is_whole: bool,
    held: AbstractSet[str],
    activities: Iterable[Activity],
    traded_elsewhere: AbstractSet[str],
) -> StructureUpdate:
    """`update`, or what became of an open structure none of whose legs is held any more: assigned
    when a leg was exercised, expired when all lapsed, closed when others' orders traded them away.

    left              symbols that its own orders have left it
    is_whole          whether they make whole units; otherwise nobody can say what they earned
    held              symbols of which the account holds some of that, see Holdings.held
    traded_elsewhere  symbols that orders traded which are not ours: by hand, or by the broker
    """
    if update.state is not StructureState.OPEN or left & held:
        return update
    happened = {(row.activity_type, row.symbol) for row in activities if row.symbol in left}
    if any(kind in ("OPASN", "OPEXC") for kind, _ in happened):
        return replace(update, state=StructureState.ASSIGNED)  # what it earned is not said
    lapsed = {symbol for kind, symbol in happened if kind == "OPEXP"}
    if left and lapsed == left:
        return replace(
            update,
            state=StructureState.EXPIRED,
            exit_price=Decimal(0),
            realized_usd=_kept_usd(update) if is_whole else None,
        )
    if left <= lapsed | traded_elsewhere:
        return replace(update, state=StructureState.CLOSED)
    return update


def _kept_usd(update: StructureUpdate) -> Decimal:
    """What has been earned once the units that are left have ended worthless, USD."""
    entry = update.entry_price or Decimal(0)
    kept = realized_usd(entry, Decimal(0), Decimal(update.quantity))
    return ((update.realized_usd or Decimal(0)) + kept).quantize(CENT)
