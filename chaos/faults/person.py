"""F22, F23 and F45: what a person does beside the pipeline, and an early assignment of one of its
legs: parts of a share, orders for an amount of money or that outlive the day, structures closed by
hand, a contract bought that one of them holds, a working order of ours replaced."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, once_possible, trapped
from chaos.operations import Kind as At
from chaos.operations import Operation, Phase, Trap
from simulator.book import Order
from simulator.faults import Fault, FaultKind
from simulator.happenings import place_by_hand
from simulator.refusal import Refusal

if TYPE_CHECKING:
    from chaos.day import Day

HELD = (
    "SELECT s.id, s.quantity, l.symbol, l.side, l.ratio FROM structures s"
    " JOIN structure_legs l ON l.structure_id = s.id WHERE s.state = 'open'"
    " ORDER BY s.id, l.leg_number"
)
OPPOSITE = {"buy": "sell", "sell": "buy"}


def _by_hand(day: Day, body: dict[str, object]) -> Armed:
    return at_broker(day, Fault(kind=FaultKind.HAND_ORDER, body=body))


def _shares(day: Day, **more: object) -> dict[str, object]:
    symbol = day.plan.scene.underlyings[0]
    return {"symbol": symbol, "side": "buy", "type": "market", "time_in_force": "day", **more}


def _fraction(day: Day, seed: int) -> Armed:
    qty = Random(seed).choice(["0.123456789", "1.5", "0.000000017"])
    return _by_hand(day, _shares(day, qty=qty))


def _notional(day: Day, seed: int) -> Armed:
    notional = Random(seed).choice(["1", "123.45", "1000"])
    return _by_hand(day, _shares(day, notional=notional))


def _outliving(day: Day, seed: int) -> Armed:
    """Limits a little below and a little above the price, good till canceled: one fills as a rule
    when days go by."""
    symbol = day.plan.scene.underlyings[0]
    spot = day.exchange.market.spot(symbol, day.exchange.now)
    if spot is None:
        return Armed(fired=lambda: 0)
    share = Decimal(Random(seed).choice(["0.99", "0.98"]))
    limit = str(round(spot[1] * share, 2))
    terms = {"qty": "1", "type": "limit", "limit_price": limit, "time_in_force": "gtc"}
    known = set(day.exchange.book.orders)
    _by_hand(day, _shares(day, **terms))
    made = [order for key, order in day.exchange.book.orders.items() if key not in known]
    placed = day.exchange.now
    return Armed(fired=lambda: sum((order.filled_at or 0) > placed for order in made))


def _held(day: Day) -> dict[int, list[Any]]:
    """The legs of open structures that the account holds whole."""
    found: dict[int, list[Any]] = {}
    for row in day.stage.own.execute(HELD).fetchall():
        found.setdefault(row[0], []).append(row)
    return {key: rows for key, rows in found.items() if all(_is_held(day, row) for row in rows)}


def _is_held(day: Day, row: Any) -> bool:
    _, units, symbol, side, ratio = row
    held = day.exchange.book.qty(symbol) * (1 if side == "buy" else -1)
    return bool(held >= units * ratio)


def _closes(day: Day, seed: int) -> Armed:
    """A whole structure is closed by hand, at the market."""

    def attempt() -> Armed | None:
        found = _held(day)
        if not found:
            return None
        rows = found[Random(seed).choice(sorted(found))]
        legs = [_leg(symbol, OPPOSITE[side], ratio, "close") for _, _, symbol, side, ratio in rows]
        terms = {"qty": str(rows[0][1]), "type": "market", "time_in_force": "day"}
        return _placed(day, {"order_class": "mleg", "legs": legs, **terms})

    return once_possible(day, attempt)


def _leg(symbol: str, side: str, ratio: int, does: str) -> dict[str, object]:
    intent = f"{side}_to_{does}"
    return {"symbol": symbol, "side": side, "ratio_qty": str(ratio), "position_intent": intent}


def _placed(day: Day, body: dict[str, object]) -> Armed | None:
    """An order by hand that has filled; None when it was refused."""
    try:
        order = place_by_hand(day.exchange, body)
    except Refusal as problem:
        day.history.add("refused", problem.message)
        return None
    day.history.add("by hand", f"{order.id} {order.status}")
    return Armed(fired=lambda: int(order.filled_qty > 0))


def _buys_shared(day: Day, seed: int) -> Armed:
    """One contract that a structure holds or held is bought."""

    def attempt() -> Armed | None:
        rows = day.stage.own.execute(
            "SELECT DISTINCT l.symbol FROM structure_legs l JOIN structures s"
            " ON s.id = l.structure_id WHERE s.state IN ('open', 'closed') ORDER BY 1"
        ).fetchall()
        if not rows:
            return None
        symbol = Random(seed).choice(rows)[0]
        terms = {"side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}
        return _placed(day, {"symbol": symbol, **terms})

    return once_possible(day, attempt)


def _replaces(day: Day, seed: int) -> Armed:
    """An order of ours that works is replaced by one that pays more."""
    cents = Decimal(Random(seed).choice([2, 5, 20])) / 100
    skip = Random(seed).choice([0, 0, 3])

    def ours() -> list[Order]:
        posted = day.oracle.arrival.posted
        working = day.exchange.book.working.values()
        return [o for o in working if o.client_order_id in posted and o.limit_price is not None]

    def meets(operation: Operation) -> bool:
        is_request = operation.kind is At.REQUEST and operation.phase is Phase.AFTER
        return is_request and bool(ours())

    def strike(_: Operation) -> None:
        order = ours()[0]
        assert order.limit_price is not None
        try:
            made = day.exchange.replace(order.id, {"limit_price": str(order.limit_price + cents)})
        except Refusal as problem:
            trap.fired = 0
            day.history.add("refused", problem.message)
            return
        day.exchange.route()
        day.history.add("replaced", f"{order.id} by {made.id} {made.status}")

    trap = Trap(name="order_replaced", meets=meets, strike=strike, skip=skip)
    return trapped(day, trap)


def _leg_assigned(day: Day, seed: int) -> Armed:
    """One contract that a structure is short of when the day ends is assigned in the night."""
    symbols: list[str] = []

    def attempt() -> None:
        rows = [row for found in _held(day).values() for row in found if row[3] == "sell"]
        if rows:
            symbols.append(Random(seed).choice(rows)[2])
            fault = Fault(kind=FaultKind.ASSIGNMENT, symbol=symbols[0], settings={"qty": 1})
            at_broker(day, fault)

    day.at_rest.append(attempt)
    rows = day.exchange.book.activities
    return Armed(fired=lambda: sum(r.kind == "OPASN" and r.symbol in symbols for r in rows))


KINDS: Kinds = {
    "fraction_order": Kind(number="F23", arm=_fraction, is_apart=True),
    "notional_order": Kind(number="F23", arm=_notional, is_apart=True),
    "outliving_order": Kind(number="F23", arm=_outliving, is_apart=True),
    "leg_assigned": Kind(number="F22", arm=_leg_assigned, is_apart=True, may_alarm=True),
    "structure_closed": Kind(number="F45", arm=_closes, is_apart=True, may_alarm=True),
    "shared_bought": Kind(number="F45", arm=_buys_shared, is_apart=True, may_alarm=True),
    "order_replaced": Kind(number="F45", arm=_replaces, is_apart=True, may_alarm=True),
}
