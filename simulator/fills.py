"""When an order meets the market, and at what prices. Marketable or nothing, all or nothing."""

from decimal import Decimal

from simulator.book import Order
from simulator.market import Quote


def leg_price(leg: Order, quote: Quote | None, opened: int) -> Decimal | None:
    """The far side; None without one, when crossed, or when the quote is not of this session."""
    if quote is None or quote.is_crossed() or quote.at < opened:
        return None
    return quote.ask if leg.side == "buy" else quote.bid


def net_price(order: Order, prices: list[Decimal]) -> Decimal:
    """Per unit: what is paid less what is taken in; for a simple order just its price."""
    if not order.legs:
        return prices[0]
    return sum(
        (
            price * (leg.ratio or 1) * (1 if leg.side == "buy" else -1)
            for leg, price in zip(order.legs, prices, strict=True)
        ),
        Decimal(0),
    )


def limit_allows(order: Order, price: Decimal) -> bool:
    """A market order allows every price; several legs pay at most their limit."""
    if order.limit_price is None:
        return True
    if order.legs or order.side == "buy":
        return price <= order.limit_price
    return price >= order.limit_price
