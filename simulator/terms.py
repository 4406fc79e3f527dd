"""Type, time in force and prices of an order: what goes together, for contracts and for shares."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from simulator.refusal import Refusal, bad_parameter, unprocessable
from simulator.switches import Switches

Body = Mapping[str, object]
Kind = Literal["stock", "option", "mleg"]

ORDER_TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")
PRICE_KEYS = ("limit_price", "stop_price", "trail_price", "trail_percent")
#: Type -> the prices that go with it.
PRICES_OF = {
    "market": (),
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "trailing_stop": ("trail_price", "trail_percent"),
}
IMMEDIATE = ("opg", "cls", "ioc", "fok")
CENT = Decimal("0.01")
_DIGITS = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
SUB_PENNY = Decimal("0.0001")  # of a share below one dollar


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Prices in USD a share, None where the type has none."""

    type: str
    time_in_force: str
    extended_hours: bool = False
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None


def parse_terms(body: Body, kind: Kind, switches: Switches) -> Terms:
    """Refusal for what no market could make good."""
    type_ = choice(body, "type", ORDER_TYPES)
    tif = choice(body, "time_in_force", TIMES_IN_FORCE)
    extended = body.get("extended_hours")
    if extended not in (None, True, False):
        raise bad_parameter("invalid extended_hours")
    if kind == "stock":
        _check_stock(type_, tif, extended=bool(extended))
    else:
        _check_option(type_, tif, kind, switches)
        if extended:
            raise unprocessable("extended hours not supported for options trading")
    return Terms(
        type=type_,
        time_in_force=tif,
        extended_hours=bool(extended),
        **_prices(body, type_, kind, switches),
    )


def _check_option(type_: str, tif: str, kind: Kind, switches: Switches) -> None:
    types = {"market", "limit"}
    if kind == "option" and switches.option_stops:
        types |= {"stop", "stop_limit"}
    if type_ not in types:
        raise unprocessable(f"invalid order type for options trading: {type_}")
    if tif not in ({"day", "gtc"} if switches.option_gtc else {"day"}):
        raise unprocessable(f"invalid time_in_force for options trading: {tif}")


def _check_stock(type_: str, tif: str, *, extended: bool) -> None:
    if tif in IMMEDIATE and type_ not in {"market", "limit"}:
        raise unprocessable(f"invalid time_in_force for {type_} orders: {tif}")
    if extended and (type_ != "limit" or tif not in {"day", "gtc"}):
        raise unprocessable("extended hours order must be DAY or GTC limit orders")


def _prices(body: Body, type_: str, kind: Kind, switches: Switches) -> dict[str, Decimal]:
    wanted = PRICES_OF[type_]
    found = {}
    for key in PRICE_KEYS:
        if body.get(key) is None:
            continue
        if key not in wanted:
            raise unprocessable(f"{type_} orders must not have a {key.replace('_', ' ')}")
        found[key] = _price(body, key, kind, switches)
    if type_ == "trailing_stop":
        if len(found) != 1:
            raise bad_parameter("trailing stop orders require one of trail_price, trail_percent")
    elif missing := [key for key in wanted if key not in found]:
        problem = f"{type_.replace('_', ' ')} orders require a {missing[0].replace('_', ' ')}"
        raise unprocessable(problem) if kind == "mleg" else bad_parameter(problem)
    return found


def _price(body: Body, key: str, kind: Kind, switches: Switches) -> Decimal:
    price = number(body[key], key)
    if kind == "mleg":
        if price == 0 and not switches.zero_net:
            raise bad_parameter("limit_price must not be 0")
        if price % switches.net_increment != 0:
            raise unprocessable(f"invalid limit_price: no multiple of {switches.net_increment}")
        return price
    if price <= 0:
        raise bad_parameter(f"{key} must be > 0")
    if key == "trail_percent":
        return price
    least = SUB_PENNY if kind == "stock" and price < 1 else CENT
    if price % least == 0:
        return price
    if kind == "option":
        raise unprocessable(f"invalid {key}: more than two decimals")
    raise unprocessable(
        f"invalid {key} {price}. sub-penny increment does not fulfill minimum pricing criteria"
    )


def choice(body: Body, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    """One of the allowed words; the default, if there is one, when the key is absent or empty."""
    value = body.get(key)
    if (value is None or value == "") and default is not None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise bad_parameter(f"invalid {key}")
    return value


def number(value: object, name: str) -> Decimal:
    """Numbers come as JSON numbers or as text of digits; NaN and infinity are neither."""
    problem: Refusal = bad_parameter(f"invalid {name}")
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise problem
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise problem
    found = Decimal(value)
    if not found.is_finite() or abs(found) > 10**9:
        raise problem
    return found
