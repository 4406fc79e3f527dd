"""Cancels and replacements: asked for now, done when they reach the market, unless a fill wins."""

from collections.abc import Mapping
from dataclasses import replace as changed
from decimal import Decimal

from simulator import bonds, exits, guard, placing, tricks
from simulator.book import Book, Order
from simulator.desk import Desk
from simulator.intake import OrderAsk, client_order_id, parse
from simulator.matching import arrive, execute
from simulator.refusal import malformed, unprocessable
from simulator.switches import MultilegReplace
from simulator.symbols import plain
from simulator.terms import PRICE_KEYS, Body, number
from simulator.times import MINUTE

REPLACEABLE = frozenset({"held", "new", "partially_filled"})
CHANGES = ("qty", "time_in_force", "limit_price", "stop_price", "trail")


def cancel(desk: Desk, order_id: str) -> None:
    """Refusal when there is nothing to cancel; legs go with their parent only."""
    order = desk.find(order_id)
    if order.ratio is not None:
        raise unprocessable("a leg cannot be canceled; cancel its parent order")
    if not order.is_open or order.status in {"pending_cancel", "pending_replace"}:
        raise unprocessable(f'order is already in "{order.status}" state')
    if order.is_waiting:  # not at the market yet: nothing can win, and the old order goes on
        desk.end(order, "canceled")
        return
    can_win = desk.is_open and not order.is_held
    won = tricks.late_fill(desk.faults, order, desk.market, desk.now) if can_win else None
    _suspend(desk, order, "pending_cancel")
    if won is not None and guard.allowed(desk, order, order.leaves, won) == order.leaves:
        execute(desk, order, order.leaves, won)
    settle(desk, order)


def replace(desk: Desk, order_id: str, body: object) -> Order:
    """The order that is to follow; Refusal when nothing may follow."""
    old = desk.find(order_id)
    _check_replaceable(desk, old)
    if not isinstance(body, Mapping):
        raise malformed("request body must be a JSON object")
    if old.notional is not None:
        raise unprocessable("notional orders cannot be replaced")
    ask = parse(_merged(old, body), desk.switches)
    if ask.qty <= old.filled_qty:
        raise unprocessable("qty must exceed filled_qty")
    if not desk.switches.replace_forgets_fills:
        ask = changed(ask, qty=ask.qty - old.filled_qty)
    new = placing.make(desk, _admit(desk, old, ask, body))
    new.replaces, new.is_waiting, old.successor = old.id, True, new
    new.status = "held" if old.is_held else new.status
    _suspend(desk, old, "pending_replace")
    desk.add(new)
    return new


def _admit(desk: Desk, old: Order, ask: OrderAsk, body: Body) -> placing.Admitted:
    """Exits hold no buying power and nothing that others could have: only prices are looked at."""
    bond = old.bond
    if bond is None:
        return placing.admit(desk, ask, _book_without(desk, old), freed_usd=old.required_usd)
    if any(body.get(key) is not None for key in CHANGES if key not in PRICE_KEYS):
        raise unprocessable(f"only prices of {old.order_class} orders can be replaced")
    chain = [ask.terms if each is old else each for each in bond.chain if each.is_open]
    opens = bond.has_entry and bond.chain[0].is_open
    base = chain[0].limit_price if opens else None
    exits.check_prices(bond.exits()[0].side, base, chain[opens:])
    ask = changed(ask, order_class=old.order_class)
    if opens and old is bond.chain[0]:
        return placing.admit(desk, ask, _book_without(desk, old), freed_usd=old.required_usd)
    placing.check_name(desk, ask)
    return placing.Admitted(ask=ask, contracts=(None,), intents=("",), required_usd=Decimal(0))


def settle(desk: Desk, order: Order) -> None:
    """Do what is pending if it is due."""
    if order.due_at is None or order.status not in {"pending_cancel", "pending_replace"}:
        return
    if desk.now < order.due_at and desk.is_open:
        return
    if order.status == "pending_cancel":
        desk.move(order, "canceled")
    else:
        _succeed(desk, order)


def _succeed(desk: Desk, old: Order) -> None:
    new = old.successor
    if new is None or not new.is_open:  # given up meanwhile: the old one goes on
        old.due_at = old.successor = None
        desk.set_status(old, old.status_before)
        desk.tell("order_replace_rejected", old)
        return
    bonds.swap(old, new)
    old.replaced_by = new.id
    desk.move(old, "replaced")
    new.is_waiting = False
    if new.status == "held" and not new.is_held:
        desk.move(new, "new")
    if desk.is_open and new.status == "pending_new":
        arrive(desk, new)


def _suspend(desk: Desk, order: Order, status: str) -> None:
    order.status_before = order.status
    order.due_at = desk.now + desk.switches.pending_minutes * MINUTE
    desk.set_status(order, status)


def _check_replaceable(desk: Desk, old: Order) -> None:
    if old.ratio is not None:
        raise unprocessable("a leg cannot be replaced; replace its parent order")
    if old.status == "replaced":
        raise unprocessable("order already replaced")
    if old.status not in REPLACEABLE:
        raise unprocessable(f"cannot replace order in {old.status} state")
    if old.legs and desk.switches.multileg_replace == MultilegReplace.DISABLED:
        raise unprocessable("replace mleg order is disabled")


def _book_without(desk: Desk, old: Order) -> Book:
    """The account as if the old order were gone, as far as the broker manages to see it so."""
    unreliable = desk.switches.multileg_replace == MultilegReplace.UNRELIABLE
    if old.legs and unreliable:
        return desk.book
    working = {each.id: each for each in desk.book.working.values() if each is not old}
    return changed(desk.book, working=working)


def _merged(old: Order, body: Mapping[str, object]) -> dict[str, object]:
    """What POST would have been sent, the changes made."""
    merged = _as_asked(old)
    before = dict(merged)
    for key in CHANGES:
        if body.get(key) is None:
            continue
        name = key
        if key == "trail":
            name = "trail_price" if old.trail_price is not None else "trail_percent"
        merged[name] = _same_form(body[key], name)
    if merged == before:
        raise unprocessable("order parameters are not changed")
    merged["client_order_id"] = client_order_id(body)
    return merged


def _same_form(value: object, name: str) -> object:
    return value if name == "time_in_force" else plain(number(value, name))


def _as_asked(old: Order) -> dict[str, object]:
    prices = {key: getattr(old, key) for key in PRICE_KEYS}
    if old.type == "trailing_stop":
        prices["stop_price"] = None  # it made that itself
    shown: dict[str, object] = {
        "type": old.type,
        "time_in_force": old.time_in_force,
        "extended_hours": old.extended_hours,
        "qty": plain(old.qty),
    } | {key: plain(price) for key, price in prices.items() if price is not None}
    if not old.legs:
        return shown | {"symbol": old.symbol, "side": old.side, "position_intent": old.intent}
    return shown | {"order_class": "mleg", "legs": [_leg_as_asked(leg) for leg in old.legs]}


def _leg_as_asked(leg: Order) -> dict[str, object]:
    return {
        "symbol": leg.symbol,
        "side": leg.side,
        "ratio_qty": str(leg.ratio),
        "position_intent": leg.intent,
    }
