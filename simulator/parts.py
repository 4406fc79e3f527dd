"""Parts of a share: orders for so many USD, and for a quantity that is not whole."""

from decimal import ROUND_DOWN, Decimal

from simulator.book import Book
from simulator.intake import OrderAsk
from simulator.market import Quote
from simulator.refusal import forbidden, unprocessable

BILLIONTH = Decimal("1e-9")
ORDER_USD_MIN = 1


def shares_for(usd: Decimal, price: Decimal) -> Decimal:
    """At a price, at least the smallest part."""
    return max((usd / price).quantize(BILLIONTH, rounding=ROUND_DOWN), BILLIONTH)


def price_of(ask: OrderAsk, quote: Quote | None) -> Decimal | None:
    """At which a share may be had: the far side, else the last known middle."""
    if quote is None:
        return None
    return (quote.ask if ask.legs[0].side == "buy" else quote.bid) or quote.mark()


def check_parts(ask: OrderAsk, intents: tuple[str, ...], price: Decimal | None, book: Book) -> None:
    """Only long positions are made of parts, of a dollar and more."""
    if ask.notional is None and not ask.qty % 1:
        return
    symbol = ask.legs[0].symbol
    if not book.configuration.fractional_trading:
        raise forbidden("fractional trading is not enabled for this account")
    if price is None:
        raise unprocessable(f'asset "{symbol}" has no price')
    if intents[0] not in {"buy_to_open", "sell_to_close"}:
        raise unprocessable("fractional orders cannot be sold short")
    usd = ask.notional if ask.notional is not None else ask.qty * price
    if intents[0] == "buy_to_open" and usd < ORDER_USD_MIN:
        raise forbidden(f"cost basis must be >= minimal amount of order {ORDER_USD_MIN}")
