"""From the body of POST /v2/orders to an order that is at least well-formed."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from unicodedata import category

from simulator.exits import BOUND, parse_bound
from simulator.refusal import bad_parameter, malformed, unprocessable
from simulator.switches import Switches
from simulator.symbols import is_option_symbol
from simulator.terms import Body, Kind, Terms, choice, number, parse_terms

CLIENT_ORDER_ID_CHARACTERS_MAX = 128
QTY_MAX = 1_000_000
DECIMALS_MAX = 9
SIDES = ("buy", "sell")
INTENTS = ("buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close")
ORDER_CLASSES = ("simple", "mleg", *BOUND)


@dataclass(frozen=True, kw_only=True, slots=True)
class LegAsk:
    """One leg as asked for. A simple order is one leg of ratio 1."""

    symbol: str
    ratio: int
    side: str
    intent: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderAsk:
    """`terms.limit_price` is net per unit for several legs, negative for a credit."""

    client_order_id: str | None
    order_class: str = "simple"
    qty: Decimal
    notional: Decimal | None = None  # USD; qty is what that may buy
    terms: Terms
    legs: tuple[LegAsk, ...]
    bound: tuple[Terms, ...] = ()  # of the orders that are bound to it

    @property
    def is_multileg(self) -> bool:
        return self.order_class == "mleg"

    @property
    def type(self) -> str:
        return self.terms.type

    @property
    def limit_price(self) -> Decimal | None:
        return self.terms.limit_price

    @property
    def is_option(self) -> bool:
        return is_option_symbol(self.legs[0].symbol)


def parse(body: object, switches: Switches) -> OrderAsk:
    """Refusal for anything that no market and no account could make good."""
    if not isinstance(body, Mapping):
        raise malformed("request body must be a JSON object")
    order_class = choice(body, "order_class", ORDER_CLASSES, "simple")
    legs = _legs(body) if order_class == "mleg" else (_single(body),)
    kind: Kind = "stock"
    if any(is_option_symbol(leg.symbol) for leg in legs):
        kind = "mleg" if order_class == "mleg" else "option"
    _check_class(body, order_class, kind)
    qty, notional = _qty(body, kind)
    terms: tuple[Terms, ...]
    if order_class in BOUND:
        terms = parse_bound(body, order_class, switches)
    else:
        terms = (parse_terms(body, kind, switches),)
    return OrderAsk(
        client_order_id=client_order_id(body),
        order_class=order_class,
        qty=qty,
        notional=notional,
        terms=terms[0],
        legs=legs,
        bound=terms[1:],
    )


def _check_class(body: Mapping[str, object], order_class: str, kind: Kind) -> None:
    """Brackets and their like are for shares only, and exits for them only."""
    has_exits = body.get("take_profit") is not None or body.get("stop_loss") is not None
    if kind != "stock" and (order_class in BOUND or has_exits):
        raise unprocessable("complex orders not supported for options trading")
    if has_exits and order_class not in BOUND:
        raise unprocessable("take_profit and stop_loss need order_class bracket, oco or oto")


def _legs(body: Mapping[str, object]) -> tuple[LegAsk, ...]:
    asked = body.get("legs")
    if not isinstance(asked, list):
        raise unprocessable("legs are required for mleg orders")
    if not 2 <= len(asked) <= 4:
        raise unprocessable(f"mleg orders need 2 to 4 legs, got {len(asked)}")
    if body.get("symbol") or body.get("side"):
        raise unprocessable("symbol and side are not allowed on mleg orders")
    legs = tuple(_leg(leg, place) for place, leg in enumerate(asked))
    if len({leg.symbol for leg in legs}) != len(legs):
        raise unprocessable("mleg legs must be unique")
    ratios = [leg.ratio for leg in legs]
    if gcd(*ratios) != 1:
        shown = " ".join(str(ratio) for ratio in ratios)
        raise unprocessable(f"leg ratio must be in simplest form: GCD[{shown}] = {gcd(*ratios)}")
    return legs


def _leg(leg: object, place: int) -> LegAsk:
    if not isinstance(leg, Mapping):
        raise malformed(f"leg.{place} must be a JSON object")
    symbol = _symbol(leg, f"leg.{place} symbol")
    if not is_option_symbol(symbol):
        raise unprocessable(f"leg.{place}: equity legs are not supported ({symbol})")
    intent = _intent(leg)
    if intent is None:
        raise unprocessable(f"leg.{place} position intent is required")
    side = choice(leg, "side", SIDES, intent.split("_")[0])
    _check_side(side, intent)
    ratio = number(leg.get("ratio_qty"), "ratio_qty")
    if ratio != ratio.to_integral_value() or not 0 < ratio <= QTY_MAX:
        raise unprocessable(f"leg.{place} ratio_qty must be a whole number > 0")
    return LegAsk(symbol=symbol, ratio=int(ratio), side=side, intent=intent)


def _single(body: Mapping[str, object]) -> LegAsk:
    if body.get("legs"):
        raise unprocessable("legs need order_class mleg")
    symbol = _symbol(body, "symbol")
    side = choice(body, "side", SIDES)
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
    return choice(body, "position_intent", INTENTS, "") or None


def _check_side(side: str, intent: str) -> None:
    if not intent.startswith(side):
        raise unprocessable(f"position intent {intent} does not match side {side}")


def client_order_id(body: Mapping[str, object]) -> str | None:
    """None when the broker is to make one."""
    given = body.get("client_order_id")
    if given is None or given == "":
        return None
    if not isinstance(given, str):
        raise bad_parameter("client_order_id must be a string")
    if len(given) > CLIENT_ORDER_ID_CHARACTERS_MAX:
        raise bad_parameter("client_order_id must be no more than 128 characters")
    if any(category(letter) in {"Cc", "Cs"} for letter in given):
        raise bad_parameter("client_order_id must be text without control characters")
    return given


def _qty(body: Body, kind: Kind) -> tuple[Decimal, Decimal | None]:
    """How many; and how many USD, for which a quantity is found when there is a price."""
    if body.get("notional") is not None:
        if kind != "stock":
            raise unprocessable("notional not supported for options trading")
        if body.get("qty") is not None:
            raise bad_parameter("only one of qty or notional is accepted")
        notional = _positive(body, "notional")
        _check_parts(body)
        if body.get("type") != "market":
            raise unprocessable("notional orders must be market orders")
        return Decimal(0), notional
    qty = _positive(body, "qty")
    if qty % 1:
        if kind != "stock":
            raise unprocessable("qty must be integer")
        _check_parts(body)
    if qty > QTY_MAX:
        raise unprocessable("qty is above the limit")
    return qty, None


def _positive(body: Body, key: str) -> Decimal:
    found = number(body.get(key), key)
    if found <= 0:
        raise bad_parameter(f"{key} must be > 0")
    if found != round(found, DECIMALS_MAX):
        raise bad_parameter(f"{key} must have no more than {DECIMALS_MAX} decimals")
    return found.normalize() + 0


def _check_parts(body: Body) -> None:
    """What may be asked of parts of a share."""
    if body.get("time_in_force") != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if body.get("order_class") not in {None, "", "simple"}:
        raise unprocessable("fractional orders must be simple orders")
    if body.get("type") == "trailing_stop":
        raise unprocessable("fractional orders must not be trailing stop orders")
