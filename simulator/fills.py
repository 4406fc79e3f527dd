"""At what prices an order meets the market, and for how much of it. Pure questions.

Paper: marketable or nothing, at the far side, whatever the quote's size. Queue: a marketable order
is improved some way towards the middle; one inside the spread waits its turn, the likelier the
nearer it is to the far side and the longer it has waited; never more at once than is quoted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from simulator.book import Order
from simulator.market import Quote

CENT = Decimal("0.01")
IMPROVEMENT_SHARE_MAX = Decimal("0.5")  # of the spread: the middle
#: After this long an order has half its full chance a minute.
PATIENCE_MINUTES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """What the market shows one leg: the price it takes at once, the one beside which it would
    queue, and how many are quoted on the far side. `sign` is 1 for a buy; `ratio` a unit's."""

    far: Decimal
    near: Decimal
    size: int
    sign: int
    ratio: int


def offer_for(leg: Order, quote: Quote | None, opened: int) -> Offer | None:
    """None without a far side, when crossed, or when the quote is not of this session."""
    if quote is None or quote.is_crossed() or quote.at < opened:
        return None
    buys = leg.side == "buy"
    far, size = (quote.ask, quote.ask_size) if buys else (quote.bid, quote.bid_size)
    if far is None:
        return None
    near = (quote.bid or Decimal(0)) if buys else (quote.ask or far)
    return Offer(far=far, near=near, size=size, sign=1 if buys else -1, ratio=leg.ratio or 1)


def net(offers: Sequence[Offer], prices: Sequence[Decimal]) -> Decimal:
    """USD a share and unit, debit positive."""
    pairs = zip(offers, prices, strict=True)
    return sum((price * o.ratio * o.sign for o, price in pairs), Decimal(0))


def limit_net(order: Order) -> Decimal | None:
    """The most a unit may cost, debit positive; None when every price will do."""
    if order.limit_price is None:
        return None
    return order.limit_price if order.legs or order.side == "buy" else -order.limit_price


def paper_prices(order: Order, offers: Sequence[Offer]) -> list[Decimal] | None:
    """The far sides; None when the limit does not allow them."""
    prices = [offer.far for offer in offers]
    limit = limit_net(order)
    return prices if limit is None or net(offers, prices) <= limit else None


def queue_prices(
    order: Order, offers: Sequence[Offer], waited_minutes: int, draw: float
) -> list[Decimal] | None:
    """Prices between the sides; None when it is not this order's turn. `draw` is from 0 to 1."""
    far = net(offers, [offer.far for offer in offers])
    near = net(offers, [offer.near for offer in offers])
    limit = limit_net(order)
    if limit is None or limit >= far:
        return between(offers, IMPROVEMENT_SHARE_MAX * Decimal(str(round(draw, 6))))
    if limit <= near or draw >= chance(float((limit - near) / (far - near)), waited_minutes):
        return None
    return at_most(offers, between(offers, (far - limit) / (far - near)), limit)


def chance(nearness: float, waited_minutes: int) -> float:
    """Of a fill within this minute. Nearness is 0 beside the near side and 1 at the far one.

    >>> chance(0.5, 0), chance(0.5, 5), chance(1.0, 20)
    (0.0, 0.25, 0.8)
    """
    return nearness * waited_minutes / (waited_minutes + PATIENCE_MINUTES)


def between(offers: Sequence[Offer], share: Decimal) -> list[Decimal]:
    """Each leg the same share of the way from its far to its near side, cut to the cent so that
    nobody gets more than that."""
    found = []
    for offer in offers:
        exact = offer.far + (offer.near - offer.far) * share
        rounding = ROUND_CEILING if offer.sign > 0 else ROUND_FLOOR
        found.append(exact.quantize(CENT, rounding=rounding))
    return found


def at_most(
    offers: Sequence[Offer], prices: Sequence[Decimal], limit: Decimal
) -> list[Decimal] | None:
    """`prices` bettered leg by leg, a cent at a time and the smallest ratio last, until a unit
    costs no more than the limit."""
    found = list(prices)
    order = sorted(range(len(offers)), key=lambda k: offers[k].ratio, reverse=True)
    while (gap := net(offers, found) - limit) > 0:
        able = [k for k in order if (found[k] - offers[k].near) * offers[k].sign >= CENT]
        if not able:
            return None
        fitting = [k for k in able if offers[k].ratio * CENT <= gap]
        k = fitting[0] if fitting else able[-1]
        found[k] -= offers[k].sign * CENT
    return found


def units_quoted(offers: Sequence[Offer]) -> int:
    """How many whole units the quoted sizes allow."""
    return min(offer.size // offer.ratio for offer in offers)
