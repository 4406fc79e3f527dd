"""What happens at the broker without the client asking: orders and positions by hand, assignments,
trades that are taken back, fills that win against a cancel. All of it goes through the books."""

from decimal import Decimal
from typing import Final

from simulator.book import Order
from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind
from simulator.market import quote_of
from simulator.refusal import Refusal, bad_parameter, not_found, unprocessable
from simulator.times import MINUTE

#: These happen by themselves when their moment comes.
BY_ITSELF: Final = (FaultKind.HAND_ORDER, FaultKind.HAND_POSITION, FaultKind.ASSIGNMENT)
QTY_MAX = 1_000_000


def advance(exchange: Exchange, to: int) -> None:
    """As the exchange's own, with everything armed done at its moment; ClockError likewise."""
    if to >= exchange.now:
        for moment in sorted({f.at for f in exchange.faults.armed if f.kind in BY_ITSELF}):
            if exchange.now < moment <= to:
                exchange.advance(moment)
                do_due(exchange)
    exchange.advance(to)
    do_due(exchange)


def do_due(exchange: Exchange) -> None:
    """What cannot be done is noted and not tried again; what can comes again a minute later at the
    soonest."""
    faults = exchange.faults
    faults.now = exchange.now
    while (fault := faults.take_any(BY_ITSELF)) is not None:
        fault.at = exchange.now + MINUTE
        try:
            _do(exchange, fault)
        except Refusal as problem:
            faults.fired[fault.kind] -= 1
            faults.failed.append(f"{fault.kind}: {problem.message}")
            fault.times = 0
            faults.armed = [other for other in faults.armed if other is not fault]


def _do(exchange: Exchange, fault: Fault) -> None:
    if fault.kind is FaultKind.HAND_ORDER:
        place_by_hand(exchange, fault.body)
    elif fault.kind is FaultKind.HAND_POSITION:
        price = Decimal(str(fault.setting("price")))
        book_by_hand(exchange, fault.symbol, Decimal(int(fault.setting("qty"))), price)
    else:
        assign(exchange, fault.symbol, int(fault.setting("qty")))


def place_by_hand(exchange: Exchange, body: object) -> Order:
    """An order like any other, only nobody's client sent it; Refusal as for any other."""
    order = exchange.place(body)
    exchange.route()
    return order


def book_by_hand(exchange: Exchange, symbol: str, qty: Decimal, price: Decimal) -> None:
    """Contracts or shares in (qty > 0) or out of the account, against cash; no order, no event,
    an activity row. The price of 0 stands for the present middle."""
    if qty == 0 or abs(qty) > QTY_MAX or price < 0:
        raise bad_parameter("qty must be a whole number and not 0, price not below 0")
    contract = exchange.market.contract(symbol, exchange.now)
    if contract is None and symbol not in exchange.market.underlyings:
        raise not_found(f"asset not found for {symbol}")
    if price == 0:
        quote = quote_of(exchange.market, symbol, exchange.now)
        mark = quote.mark() if quote is not None else None
        if mark is None:
            raise unprocessable(f"{symbol} has no price; give one")
        price = mark
    exchange.book_by_hand(symbol, contract, qty, price)


def assign(exchange: Exchange, symbol: str, qty: int) -> None:
    """Short contracts are assigned tonight; Refusal when there are not that many."""
    held = exchange.book.qty(symbol)
    if qty < 1 or held > -qty:
        raise unprocessable(f"insufficient short position in {symbol} (held: {held})")
    exchange.force_assignment(symbol, qty)
