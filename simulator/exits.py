"""Take profit and stop loss of an order: from the body of a request to orders that make sense."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from simulator.refusal import Refusal, bad_parameter, forbidden, malformed, unprocessable
from simulator.switches import Switches
from simulator.symbols import plain
from simulator.terms import CENT, Body, Terms, parse_terms

BOUND = ("bracket", "oco", "oto")
PARTS = (("take_profit", "limit_price"), ("stop_loss", "stop_price"))


def parse_bound(body: Body, order_class: str, switches: Switches) -> tuple[Terms, ...]:
    """Terms of the order that is asked for and of those bound to it, take profit first."""
    _check_terms(body, order_class)
    parts = {name: _part(body, name) for name, _ in PARTS}
    for name, price in PARTS:
        part = parts[name]
        if order_class != "oto" if part is None else part.get(price) is None:
            raise bad_parameter(f"{order_class} orders require {name}.{price}")
    exits = [_exit(body, part, switches) for part in parts.values() if part is not None]
    if order_class == "oto" and len(exits) != 1:
        raise bad_parameter("oto orders require either take_profit or stop_loss")
    if order_class == "oco":  # the take profit is the order itself
        return tuple(exits)
    return (parse_terms(body, "stock", switches), *exits)


def _part(body: Body, name: str) -> Body | None:
    part = body.get(name)
    if part is not None and not isinstance(part, Mapping):
        raise malformed("request body format is invalid")
    return part


def _exit(body: Body, part: Body, switches: Switches) -> Terms:
    """Other keys than prices mean nothing: a stop loss that would trail is an ordinary one."""
    found = {key: part[key] for key in ("limit_price", "stop_price") if part.get(key) is not None}
    type_ = "_".join(key.removesuffix("_price") for key in reversed(found))
    asked = found | {"type": type_, "time_in_force": body.get("time_in_force")}
    return parse_terms(asked, "stock", switches)


def _check_terms(body: Body, order_class: str) -> None:
    types = ("limit",) if order_class == "oco" else ("market", "limit")
    if body.get("type") not in types:
        raise bad_parameter(f"{order_class} orders must be {' or '.join(types)} orders")
    if body.get("time_in_force") not in {"day", "gtc"}:
        raise bad_parameter(f'{order_class} orders support only "day" or "gtc" time_in_force')
    if body.get("extended_hours"):
        raise forbidden(f"{order_class} orders do not support extended hours trading")


class Priced(Protocol):
    """An order, or the terms of one."""

    @property
    def limit_price(self) -> Decimal | None: ...

    @property
    def stop_price(self) -> Decimal | None: ...


def check_prices(exit_side: str, base: Decimal | None, exits: Iterable[Priced]) -> None:
    """On the right sides of each other and of `base`, at which the entry is expected to be filled;
    None where there is no entry, or no price."""
    profit = stop = None
    for each in exits:
        if each.stop_price is None:
            profit = each.limit_price
        else:
            stop = each.stop_price
    sign = 1 if exit_side == "sell" else -1
    if profit is not None and stop is not None and (profit - stop) * sign <= 0:
        than = ">" if sign > 0 else "<"
        raise unprocessable(f"take_profit.limit_price must be {than} stop_loss.stop_price")
    if base is None:
        return
    if profit is not None and (profit - base) * sign < CENT:
        raise _beyond("take_profit.limit_price", sign, base)
    if stop is not None and (base - stop) * sign < CENT:
        raise _beyond("stop_loss.stop_price", -sign, base)


def _beyond(name: str, sign: int, base: Decimal) -> Refusal:
    least = ">= base_price + 0.01" if sign > 0 else "<= base_price - 0.01"
    return Refusal(422, 42210000, f"{name} must be {least}", {"base_price": plain(base)})
