"""What an order may cost at most, and the buying power it holds for that while it works.

A limit bounds the price. Without one a purchase is priced at the worst of what is quoted and of its
stop, a sale at the least; shares sold short by their value: a little above the offer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from simulator.accounting import figures, stock_share, stock_times
from simulator.book import Book, Order
from simulator.checks import Contracts
from simulator.covering import moves_of, order_lots
from simulator.desk import Desk
from simulator.intake import LegAsk, OrderAsk
from simulator.margin import SHARES, maintenance
from simulator.promises import Move
from simulator.refusal import Refusal, forbidden, unprocessable
from simulator.symbols import plain
from simulator.terms import Terms
from simulator.what_if import moved

SHORT_SALE_SHARE = Decimal("1.03")  # of the offer
CENT = Decimal("0.01")  # a share bought is marked half a spread lower
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """USD: the buying power held, and the whole price of what is bought or sold short."""

    required: Decimal
    cost: Decimal


def need_of(
    desk: Desk, ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book
) -> Need:
    """Refusal when nobody could say what it may cost."""
    legs = [
        _price(desk, leg, ask.terms, is_short_sale=contract is None and intent == "sell_to_open")
        for leg, contract, intent in zip(ask.legs, contracts, intents, strict=True)
    ]
    net = sum((p * s.ratio * _sign(s) for p, s in zip(legs, ask.legs, strict=True)), ZERO)
    if ask.is_multileg and ask.limit_price is not None:
        net = ask.limit_price
    if any(intent.endswith("close") for intent in intents):
        required = _less_after(desk, book, moves_of(ask, contracts), net * ask.qty)
    elif contracts[0] is None:
        required = (abs(net) * stock_share(book) + CENT) * ask.qty
    else:
        required = _alone(ask, contracts) + net * SHARES * ask.qty
    return Need(required=max(required, ZERO), cost=abs(net) * ask.qty)


def _alone(ask: OrderAsk, contracts: Contracts) -> Decimal:
    lots = order_lots(ask, contracts)
    if not ask.is_multileg and lots[0].right == "call" and lots[0].qty < 0:
        return ZERO  # the shares stand for it
    return maintenance(lots)


def _less_after(desk: Desk, book: Book, moves: Sequence[Move], net: Decimal) -> Decimal:
    """Buying power that is gone when what is closed is closed at once: its price, less what it sets
    free. `net` in USD a share."""
    times = SHARES if moves[0].contract is not None else 1
    then = moved(book, moves, -net * times)
    before = figures(book, desk.market, desk.now).left
    return before - figures(then, desk.market, desk.now, is_marked=True).left


def _price(desk: Desk, leg: LegAsk, terms: Terms, *, is_short_sale: bool) -> Decimal:
    """The worst that one share of a leg may trade at."""
    quote = desk.quote(leg.symbol)
    bid, ask = (quote.bid, quote.ask) if quote is not None else (None, None)
    if is_short_sale:
        return _short_sale(leg, terms, ask)
    if terms.limit_price is not None:
        return terms.limit_price
    stop = stop_now(desk, leg, terms)
    if leg.side == "buy":
        if ask is None:
            raise unprocessable(f"no offer for {leg.symbol}: only a limit bounds what it may cost")
        return max(ask, bid or ZERO, stop or ZERO)
    known = [bid or ZERO, *(price for price in (ask, stop) if price is not None)]
    return min(known)


def _short_sale(leg: LegAsk, terms: Terms, ask: Decimal | None) -> Decimal:
    if ask is None and terms.limit_price is None:
        raise unprocessable(f"no offer for {leg.symbol}: it cannot be sold short at the market")
    return max(terms.limit_price or ZERO, SHORT_SALE_SHARE * (ask or ZERO))


def stop_now(desk: Desk, leg: LegAsk, terms: Terms) -> Decimal | None:
    """The stop price; of a trailing one where it stands when it begins."""
    if terms.type != "trailing_stop":
        return terms.stop_price
    quote = desk.quote(leg.symbol)
    mark = quote.mark() if quote is not None else None
    return None if mark is None else stop_of(leg.side, mark, trail_of(terms, mark))


def trail_of(order: Terms | Order, best: Decimal) -> Decimal:
    """USD between the best price seen and the stop."""
    if order.trail_price is not None:
        return order.trail_price
    return best * (order.trail_percent or ZERO) / 100


def stop_of(side: str, best: Decimal, trail: Decimal) -> Decimal:
    return round(best + trail if side == "buy" else best - trail, 2)


def check_buying_power(
    ask: OrderAsk, contracts: Contracts, need: Need, available: Decimal, book: Book
) -> None:
    """The documented refusals, by what is short of cash."""
    if need.required > available:
        raise _short_of_cash(ask, contracts, need, available, book)


def _short_of_cash(
    ask: OrderAsk, contracts: Contracts, need: Need, available: Decimal, book: Book
) -> Refusal:
    required, have = plain(need.required), plain(available)
    shown = f"(required: {required}, available: {have})"
    if contracts[0] is None:
        return forbidden(
            "insufficient buying power",
            buying_power=plain(available * stock_times(book)),
            cost_basis=plain(need.cost),
        )
    if not ask.is_multileg and ask.legs[0].side == "sell":
        return forbidden(
            f"insufficient options buying power for cash-secured put {shown}",
            buying_power=have,
            required_options_buying_power=required,
        )
    return forbidden(
        f"insufficient options buying power {shown}",
        options_buying_power=have,
        cost_basis=required,
    )


def _sign(leg: LegAsk) -> int:
    return 1 if leg.side == "buy" else -1
