"""What armed faults do to orders that meet the market. Asked by
the exchange; without a fault the answers are those of any day."""

from dataclasses import dataclass
from decimal import Decimal

from simulator.book import Order
from simulator.faults import FaultKind, Faults
from simulator.market import Market, Quote, quote_of

CENT = Decimal("0.01")
PARTS_MAX = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Units that are filled now; `ends`: the broker cancels the rest."""

    units: Decimal
    ends: bool = False


def is_halted(market: Market, order: Order, now: int) -> bool:
    """Nothing of it trades while one of its stocks stands still."""
    stocks = (
        leg.symbol if leg.contract is None else leg.contract.underlying for leg in order.executed()
    )
    return any(market.halt(stock, now) is not None for stock in stocks)


def part(faults: Faults, order: Order, left: Decimal) -> Part:
    """All that is left, unless a fault says otherwise. What is filled in parts stays so: one part
    each time that the order meets the market."""
    fault = faults.take(FaultKind.PARTIAL_CANCEL) if left > 1 else None
    if fault is not None:
        return Part(units=min(Decimal(max(int(fault.setting("units")), 1)), left - 1), ends=True)
    parts = faults.parts.pop(order.id, None)
    if parts is None and left > 1 and (fault := faults.take(FaultKind.PARTIAL_FILLS)) is not None:
        parts = min(max(int(fault.setting("parts")), 1), PARTS_MAX, int(left))
    if parts is None or parts <= 1:
        return Part(units=left)
    faults.parts[order.id] = parts - 1
    return Part(units=max(left // parts, Decimal(1)))


def late_fill(faults: Faults, order: Order, market: Market, now: int) -> list[Decimal] | None:
    """Prices of a fill that wins against the cancel of this open order; None: the cancel wins."""
    prices = forced_prices(order, market, now)
    if prices is None or faults.take(FaultKind.FILL_RACES_CANCEL) is None:
        return None
    return prices


def forced_prices(order: Order, market: Market, now: int) -> list[Decimal] | None:
    """At which the order could fill though the market is not there: the far sides, and where its
    limit does not allow them, one leg bettered until it does; None when that gives no price."""
    legs = order.executed()
    prices = [_price(leg, quote_of(market, leg.symbol, now)) for leg in legs]
    known = [price for price in prices if price is not None]
    if len(known) < len(legs):
        return None
    signs = [1 if leg.side == "buy" else -1 for leg in legs]
    ratios = [leg.ratio or 1 for leg in legs]
    limit = order.limit_price
    if limit is None:
        return known
    limit = limit if order.legs or order.side == "buy" else -limit
    net = sum((p * s * r for p, s, r in zip(known, signs, ratios, strict=True)), Decimal(0))
    if net <= limit:
        return known
    for place, (price, sign, ratio) in enumerate(zip(known, signs, ratios, strict=True)):
        better = price - sign * (net - limit) / ratio
        if better >= CENT and better == round(better, 2):
            return [*known[:place], better, *known[place + 1 :]]
    return None


def _price(leg: Order, quote: Quote | None) -> Decimal | None:
    if quote is None:
        return None
    return quote.ask if leg.side == "buy" else quote.bid
