"""The last question before something happens: is the account allowed to be what it makes of it?

An order was covered and paid for when it was taken. What has happened since, a night, an
assignment, a leap of the market, may have changed that; whoever moves a book asks here first.
"""

from collections.abc import Sequence
from decimal import Decimal

from simulator.accounting import figures
from simulator.book import Book, Order, trade_usd
from simulator.covering import is_bared
from simulator.desk import Desk
from simulator.promises import Move, Outlook, promised, way_of
from simulator.what_if import moved, with_orders

ZERO = Decimal(0)


def is_harmful(
    desk: Desk, then: Book, released_usd: Decimal = ZERO, *, is_promised: bool = False
) -> bool:
    """Whether a short call would be bare that is covered, or the buying power below zero and less
    than now. `released_usd` is held for it, and is not any more; what `is_promised` has been
    counted in every worst case since it was taken."""
    after = figures(then, desk.market, desk.now, is_marked=True).left + released_usd
    if after < 0 and after < desk.figures().left:
        return True
    return is_bared(desk.book, then, at_worst=not is_promised)


def allowed(desk: Desk, order: Order, units: Decimal, prices: Sequence[Decimal]) -> Decimal:
    """How many units of an order may trade at these prices, one a leg; what closes at most
    closes. The broker's own orders always may."""
    if order.is_brokers:
        return units
    for leg in order.executed():
        if leg.closes:
            held = desk.book.qty(leg.symbol) * (1 if leg.side == "sell" else -1)
            units = min(units, max(held, ZERO) // leg.ratio if leg.ratio else max(held, ZERO))
    if units <= 0 or (order.time_in_force == "fok" and units < order.leaves):
        return ZERO
    moves, usd = [], ZERO
    for leg, price in zip(order.executed(), prices, strict=True):
        change = units * (leg.ratio or 1) * (1 if leg.side == "buy" else -1)
        moves.append(Move(leg.symbol, leg.contract, change))
        usd -= trade_usd(price, change, is_option=leg.contract is not None)
    if _is_paid_long(desk.book, order, units, usd):
        return units
    then = moved(desk.book, moves, usd)
    released = _released(desk, order, units)
    return ZERO if is_harmful(desk, then, released, is_promised=True) else units


def _is_paid_long(book: Book, order: Order, units: Decimal, usd: Decimal) -> bool:
    """Contracts bought for no more than is held for them, beside no short ones: neither margin nor
    cover has a part in it."""
    return (
        all(leg.intent == "buy_to_open" for leg in order.executed())
        and order.successor is None
        and -usd <= order.required_usd * units / order.leaves
        and not any(p.contract is not None and p.qty < 0 for p in book.positions.values())
    )


def _released(desk: Desk, order: Order, units: Decimal) -> Decimal:
    """Of what an order and the one that waits for it hold, what they hold no more afterwards."""
    waiting = order.successor
    next_usd = waiting.required_usd if waiting is not None and waiting.is_open else ZERO
    after_usd = order.required_usd * (order.leaves - units) / order.leaves
    left_usd = ZERO
    if waiting is not None and waiting.is_open and units < order.leaves:
        share = max(waiting.qty - units, ZERO) / waiting.qty
        left_usd = next_usd * (1 if desk.switches.replace_forgets_fills else share)
    return max(order.required_usd, next_usd) - max(after_usd, left_usd)


def recheck(desk: Desk) -> None:
    """Cancel orders, the newest first, that what has happened without them has left without what
    they would close, or with which a call could be bare that is not yet."""
    for order in reversed(list(desk.book.working.values())):
        if not order.is_open or order.is_brokers or order.is_held:
            continue
        legs = order.executed()
        if any(leg.closes and _is_too_much(desk.book, leg) for leg in legs) or _bares(desk, order):
            desk.end(order, "canceled")


def _is_too_much(book: Book, leg: Order) -> bool:
    held = book.qty(leg.symbol)
    return held * leg.signed_qty() >= 0 or promised(book, leg.symbol) > abs(held)


def _bares(desk: Desk, order: Order) -> bool:
    """Whether a call is bare in the worst case only, and this order has a part in it."""
    names = {move.contract.underlying if move.contract else move.symbol for move in way_of(order)}
    for name in names:
        outlook = Outlook(desk.book, name)
        bare = outlook.bare("call")
        if bare > max(outlook.bare_now("call"), ZERO):
            rest = {key: other for key, other in desk.book.working.items() if other is not order}
            if Outlook(with_orders(desk.book, rest), name).bare("call") < bare:
                return True
    return False
