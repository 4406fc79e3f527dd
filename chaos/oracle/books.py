"""What must hold when everything has come to rest: I1, I3, I4, I7. The simulator's own books are
the truth, ours are read by plain SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from simulator.book import Activity, Order
from simulator.times import SECOND

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
PRICE = Decimal("0.0001")
MILLISECOND = SECOND // 1000
#: State of an intent -> what its order may be at the broker; None where there must be none.
STATES: dict[str, frozenset[str] | None] = {
    "planned": None,
    "not_sent": None,
    "refused": None,
    "not_received": None,
    "filled": frozenset({"filled"}),
    "canceled": frozenset({"canceled", "expired", "rejected", "replaced", "done_for_day"}),
    "expired": frozenset({"expired", "done_for_day"}),
    "rejected": frozenset({"rejected"}),
}
OPEN = frozenset(
    {"new", "pending_new", "accepted", "partially_filled", "pending_cancel", "pending_replace"}
)


def judge(oracle: Oracle) -> Found:
    """Every difference between the broker's books and ours."""
    yield from _orders(oracle)
    yield from _activities(oracle)
    yield from _positions(oracle)
    yield from _intents(oracle)
    yield from _structures(oracle)


def _set(what: str, theirs: dict[Any, Any], ours: dict[Any, Any]) -> Found:
    for key in sorted(theirs.keys() - ours.keys(), key=str):
        yield "I3", f"{what} {key} is lost: the broker has {theirs[key]}"
    for key in sorted(ours.keys() - theirs.keys(), key=str):
        yield "I3", f"{what} {key} is invented: we have {ours[key]}"
    for key in sorted(ours.keys() & theirs.keys(), key=str):
        if ours[key] != theirs[key]:
            yield "I3", f"{what} {key}: the broker has {theirs[key]}, we have {ours[key]}"


def _orders(oracle: Oracle) -> Found:
    every = [
        each
        for order in oracle.day.exchange.book.orders.values()
        if not order.is_waiting
        for each in (order, *order.legs)
    ]
    theirs = {
        each.id: (each.client_order_id, each.status, _quantity(each), each.filled_qty)
        for each in every
    }
    ours = {
        str(row[0]): (row[1], row[2], row[3], row[4])
        for row in oracle.rows(
            "SELECT id, client_order_id, status, quantity, filled_quantity FROM orders"
        )
    }
    yield from _set("order", theirs, ours)


def _quantity(order: Order) -> Decimal | None:
    """None of one for an amount of money: what it buys is known when it fills."""
    return None if order.notional is not None else order.qty


def _activities(oracle: Oracle) -> Found:
    exchange = oracle.day.exchange
    readable = [row for row in exchange.book.activities if row.readable_at <= exchange.now]
    theirs = {row.id: _fill(row) for row in readable if row.order_id}
    ours = {
        row[0]: (row[1], row[2], row[3], Decimal(row[4]), row[5] // 1000)
        for row in oracle.rows(
            "SELECT id, symbol, side, quantity, price,"
            " (EXTRACT(EPOCH FROM filled_at) * 1000000)::bigint FROM fills"
        )
    }
    yield from _set("fill", theirs, ours)
    others = {(row.kind, row.id): (row.symbol, row.net_usd) for row in readable if not row.order_id}
    kept = {
        (row[0], row[1]): (row[2] or "", Decimal(row[3]))
        for row in oracle.rows("SELECT activity_type, id, symbol, net_amount FROM activities")
    }
    yield from _set("activity", others, kept)


def _fill(row: Activity) -> tuple[str, str | None, Decimal, Decimal | None, int]:
    return row.symbol, row.side, row.qty, row.price, row.at // MILLISECOND


def _positions(oracle: Oracle) -> Found:
    book = oracle.day.exchange.book
    theirs = {p.symbol: p.qty for p in book.positions.values()}
    rows = oracle.rows("SELECT symbol, quantity, average_entry_price FROM positions")
    ours = {row[0]: row[1] for row in rows}
    if theirs != ours:
        yield "I4", f"positions: the broker has {theirs}, we have {ours}"
    for symbol, _, price in rows:
        held = book.positions.get(symbol)
        if held is not None and abs(held.entry - price) > PRICE:
            yield "I4", f"average price of {symbol}: the broker has {held.entry}, we have {price}"
    cash = oracle.rows("SELECT cash FROM account_marks ORDER BY cycle_id DESC LIMIT 1")
    if not cash or cash[0][0] != round(book.cash, 2):
        yield "I4", f"cash: the broker has {book.cash}, we have {cash[0][0] if cash else None}"


def _intents(oracle: Oracle) -> Found:
    orders = oracle.day.exchange.book.by_client_id
    asked: defaultdict[int, int] = defaultdict(int)
    filled: defaultdict[int, Decimal] = defaultdict(Decimal)
    rows = oracle.rows(
        "SELECT client_order_id, state, quantity, candidate_id, filled_quantity FROM intents"
    )
    for client_order_id, state, quantity, candidate_id, known_filled in rows:
        order = orders.get(client_order_id)
        asked[candidate_id] = max(asked[candidate_id], quantity)
        if order is not None:
            filled[candidate_id] += order.filled_qty
            if order.filled_qty > quantity or order.qty != quantity:
                yield "I1", f"{client_order_id}: {order.filled_qty}/{order.qty} of {quantity}"
            # A trade that is taken back leaves the order as it is.
            if known_filled != order.filled_qty and not oracle.day.has_fault("F21"):
                words = f"{known_filled} filled here, {order.filled_qty} there"
                yield "I7", f"{client_order_id}: {words}"
        yield from _state(client_order_id, state, order)
    for candidate_id, units in filled.items():
        if units > asked[candidate_id]:
            yield "I1", f"candidate {candidate_id}: {units} filled, {asked[candidate_id]} wanted"
    known = {row[0] for row in rows}
    for client_order_id in oracle.arrival.posted.keys() - known - oracle.restored.forgotten:
        yield "I1", f"{client_order_id} was sent and no intent is of it"


def _state(client_order_id: str, state: str, order: Order | None) -> Found:
    status = order.status if order is not None else None
    if state in ("sending", "unknown"):
        yield "I7", f"{client_order_id} is left {state}; its order is {status}"
    elif state in STATES:
        allowed = STATES[state]
        if (status is None) != (allowed is None) or (allowed and status not in allowed):
            yield "I7", f"{client_order_id} is {state} here and {status} there"
    elif status not in OPEN:
        yield "I7", f"{client_order_id} is {state} here and {status} there"


def _structures(oracle: Oracle) -> Found:
    """None is on its way without an order that is, and an open one is held."""
    lonely = oracle.rows(
        "SELECT s.id, s.state FROM structures s WHERE s.state IN ('opening', 'closing')"
        " AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.structure_id = s.id AND i.state NOT IN"
        " ('filled', 'canceled', 'expired', 'rejected', 'refused', 'not_sent', 'not_received'))"
    )
    for structure_id, state in lonely:
        yield "I7", f"structure {structure_id} is {state}, and no order of it is on its way"
    if oracle.day.is_plain and not oracle.day.exchange.book.working:
        yield from _held(oracle)


def _held(oracle: Oracle) -> Found:
    """Where nothing but orders has moved positions, what structures hold is held: all that is
    short is theirs, and long more than theirs only what an exit left to expire."""
    theirs = {p.symbol: p.qty for p in oracle.day.exchange.book.positions.values()}
    ours: defaultdict[str, int] = defaultdict(int)
    left: set[str] = set()
    for symbol, side, ratio, quantity, state, exit_price in oracle.rows(
        "SELECT l.symbol, l.side, l.ratio, s.quantity, s.state, s.exit_price FROM structures s"
        " JOIN structure_legs l ON l.structure_id = s.id"
        " WHERE s.state IN ('open', 'closing', 'closed')"
    ):
        if exit_price is not None and side == "buy":
            left.add(symbol)
        if state != "closed":
            ours[symbol] += ratio * quantity * (1 if side == "buy" else -1)
    for symbol in sorted(theirs.keys() | ours.keys()):
        held, known = theirs.get(symbol, 0), ours[symbol]
        if held != known and not (symbol in left and held > known and held > 0):
            yield "I7", f"structures hold {known} of {symbol}, the broker {held}"
