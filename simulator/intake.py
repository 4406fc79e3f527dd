"""From the body of POST /v2/orders to an order that is at least well-formed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import gcd

from simulator.refusal import Refusal, bad_parameter, malformed, unprocessable
from simulator.symbols import is_option_symbol

CLIENT_ORDER_ID_CHARACTERS_MAX = 128
QTY_MAX = 1_000_000
SIDES = ("buy", "sell")
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
ORDER_TYPES = ("market", "limit", "stop", "stop_limit", "trailing_stop")
TIMES_IN_FORCE = ("day", "gtc", "opg", "cls", "ioc", "fok")


@dataclass(frozen=True, kw_only=True, slots=True)
class LegAsk:
    """One leg as asked for. A simple order is one leg of ratio 1."""

    symbol: str
    ratio: int
    side: str
    intent: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderAsk:
    """`limit_price` is net per unit for several legs, negative for a credit."""

    client_order_id: str | None
    is_multileg: bool
    qty: int
    type: str
    time_in_force: str
    limit_price: Decimal | None
    legs: tuple[LegAsk, ...]

    @property
    def is_option(self) -> bool:
        return is_option_symbol(self.legs[0].symbol)


def parse(body: object) -> OrderAsk:
    """Refusal for anything that no market and no account could make good."""
    if not isinstance(body, Mapping):
        raise malformed("request body must be a JSON object")
    order_class = _choice(body, "order_class", ("simple", "mleg", "bracket", "oco", "oto"), "")
    is_multileg = order_class == "mleg"
    type_ = _choice(body, "type", ORDER_TYPES)
    legs = _legs(body) if is_multileg else (_single(body),)
    is_option = any(is_option_symbol(leg.symbol) for leg in legs)
    if order_class not in {"", "simple", "mleg"}:
        raise unprocessable("complex orders not supported for options")
    qty = _qty(body, is_option=is_option)
    tif = _choice(body, "time_in_force", TIMES_IN_FORCE)
    if is_option:
        _check_option_terms(body, type_, tif)
    elif type_ not in {"market", "limit"} or tif not in {"day", "gtc"}:
        raise unprocessable("only market and limit orders, day and gtc, are simulated for stocks")
    return OrderAsk(
        client_order_id=_client_order_id(body),
        is_multileg=is_multileg,
        qty=qty,
        type=type_,
        time_in_force=tif,
        limit_price=_limit_price(body, type_, is_multileg=is_multileg),
        legs=legs,
    )


def _check_option_terms(body: Mapping[str, object], type_: str, tif: str) -> None:
    if type_ not in {"market", "limit"}:
        raise unprocessable(f"invalid order type for options trading: {type_}")
    if tif != "day":
        raise unprocessable(f"invalid time_in_force for options trading: {tif}")
    if body.get("extended_hours") not in (None, False):
        raise unprocessable("extended hours not supported for options trading")
    for key in ("stop_price", "trail_price", "trail_percent", "take_profit", "stop_loss"):
        if body.get(key) is not None:
            raise unprocessable(f"{key} not supported for options trading")


def _legs(body: Mapping[str, object]) -> tuple[LegAsk, ...]:
    asked = body.get("legs")
    if not isinstance(asked, list):
        raise unprocessable("legs are required for mleg orders")
    if not 2 <= len(asked) <= 4:
        raise unprocessable(f"mleg orders need 2 to 4 legs, got {len(asked)}")
    if body.get("symbol") or body.get("side"):
        raise unprocessable("symbol and side are not allowed on mleg orders")
    legs = tuple(_leg(leg, number) for number, leg in enumerate(asked))
    if len({leg.symbol for leg in legs}) != len(legs):
        raise unprocessable("mleg legs must be unique")
    ratios = [leg.ratio for leg in legs]
    if gcd(*ratios) != 1:
        shown = " ".join(str(ratio) for ratio in ratios)
        raise unprocessable(f"leg ratio must be in simplest form: GCD[{shown}] = {gcd(*ratios)}")
    return legs


def _leg(leg: object, number: int) -> LegAsk:
    if not isinstance(leg, Mapping):
        raise malformed(f"leg.{number} must be a JSON object")
    symbol = _symbol(leg, f"leg.{number} symbol")
    if not is_option_symbol(symbol):
        raise unprocessable(f"leg.{number}: equity legs are not supported ({symbol})")
    intent = _intent(leg)
    if intent is None:
        raise unprocessable(f"leg.{number} position intent is required")
    side = _choice(leg, "side", SIDES, intent.split("_")[0])
    _check_side(side, intent)
    ratio = _number(leg.get("ratio_qty"), "ratio_qty")
    if ratio != ratio.to_integral_value() or not 0 < ratio <= QTY_MAX:
        raise unprocessable(f"leg.{number} ratio_qty must be a whole number > 0")
    return LegAsk(symbol=symbol, ratio=int(ratio), side=side, intent=intent)


def _single(body: Mapping[str, object]) -> LegAsk:
    if body.get("legs"):
        raise unprocessable("legs need order_class mleg")
    symbol = _symbol(body, "symbol")
    side = _choice(body, "side", SIDES)
    intent = _intent(body)
    if intent is not None:
        _check_side(side, intent)
    return LegAsk(symbol=symbol, ratio=1, side=side, intent=intent)


def _symbol(body: Mapping[str, object], name: str) -> str:
    symbol = body.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise bad_parameter(f"{name} is required")
    return symbol


def _intent(body: Mapping[str, object]) -> str | None:
    return _choice(body, "position_intent", INTENTS, "") or None


def _check_side(side: str, intent: str) -> None:
    if not intent.startswith(side):
        raise unprocessable(f"position intent {intent} does not match side {side}")


def _choice(
    body: Mapping[str, object], key: str, allowed: tuple[str, ...], default: str | None = None
) -> str:
    value = body.get(key)
    if (value is None or value == "") and default is not None:
        return default
    if not isinstance(value, str) or value not in allowed:
        raise bad_parameter(f"invalid {key}")
    return value


def _client_order_id(body: Mapping[str, object]) -> str | None:
    given = body.get("client_order_id")
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        raise bad_parameter("client_order_id must be a string")
    if len(given) > CLIENT_ORDER_ID_CHARACTERS_MAX:
        raise bad_parameter("client_order_id must be no more than 128 characters")
    return given


def _qty(body: Mapping[str, object], *, is_option: bool) -> int:
    if body.get("notional") is not None:
        what = "options trading" if is_option else "this simulator"
        raise unprocessable(f"notional not supported for {what}")
    qty = _number(body.get("qty"), "qty")
    if qty <= 0:
        raise bad_parameter("qty must be > 0")
    if qty != qty.to_integral_value():
        raise unprocessable("qty must be integer")
    if qty > QTY_MAX:
        raise unprocessable("qty is above the limit")
    return int(qty)


def _limit_price(body: Mapping[str, object], type_: str, *, is_multileg: bool) -> Decimal | None:
    given = body.get("limit_price")
    if type_ == "market":
        if given is not None:
            raise unprocessable("market orders must not have a limit price")
        return None
    if given is None:
        raise bad_parameter("limit orders require a limit price")
    price = _number(given, "limit_price")
    if price <= 0 and not is_multileg:
        raise bad_parameter("limit_price must be > 0")
    if price != price.quantize(Decimal("0.01")):
        raise unprocessable("invalid limit_price: more than two decimals")
    return price


def _number(value: object, name: str) -> Decimal:
    """Numbers come as JSON numbers or as text; NaN and infinity are neither."""
    problem: Refusal = bad_parameter(f"invalid {name}")
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise problem
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise problem from None
    if not number.is_finite() or abs(number) > 10**9:
        raise problem
    return number
