"""What a night does to a book: exercise, assignment, expiry. No order and no event tells of it."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from simulator import means
from simulator.book import Position
from simulator.rows import Clerk
from simulator.symbols import Contract

#: An underlying's closing price of a day; None when it is not known.
CloseOf = Callable[[str, date], Decimal | None]
#: How many contracts of a short position are assigned tonight, though they live on.
ZERO = Decimal(0)
Allotted = Callable[[Position, Contract], Decimal]


def settle(clerk: Clerk, close_of: CloseOf, allotted: Allotted) -> None:
    """Exercise what was asked for, assign early, then end every contract whose last day is over.

    Contracts without a closing price stay.
    """
    book = clerk.book
    for symbol, qty in sorted(book.exercising.items()):
        held = book.positions.get(symbol)
        if held is not None and held.contract is not None and held.qty > 0:
            deliver(clerk, held.contract, min(qty, held.qty))
    book.exercising.clear()
    for held, contract in _held(clerk):
        if contract.last_day > clerk.day and held.qty < 0:
            assigned = allotted(held, contract)
            if assigned:
                deliver(clerk, contract, -assigned)
    book.to_be_assigned.clear()
    _expire(clerk, close_of)
    book.not_exercising &= book.positions.keys()


def _expire(clerk: Clerk, close_of: CloseOf) -> None:
    ended = [pair for pair in _held(clerk) if pair[1].last_day <= clerk.day]
    # A writer has no choice; what assignments bring and take is there for the exercises.
    for held, contract in sorted(ended, key=lambda pair: pair[0].qty > 0):
        close = close_of(contract.underlying, contract.last_day)
        if close is None:
            continue
        qty = held.qty
        moved = _exercised(clerk, contract, qty) if means.is_in_the_money(contract, close) else ZERO
        if moved:
            deliver(clerk, contract, moved)
        if qty != moved:
            clerk.write_lapse(contract.symbol, qty - moved)
            clerk.book.hold(contract.symbol, contract, moved - qty, ZERO)


def _exercised(clerk: Clerk, contract: Contract, qty: Decimal) -> Decimal:
    """Signed; a holder may have declined, or lack the shares or the cash."""
    if qty < 0:
        return qty
    if contract.symbol in clerk.book.not_exercising:
        return ZERO
    return means.exercisable(clerk.book, contract, qty)


def deliver(clerk: Clerk, contract: Contract, qty: Decimal) -> None:
    """Contracts (negative: short ones) become shares at the strike."""
    book = clerk.book
    shares, net = means.shares_moved(contract, qty), means.cash_moved(contract, qty)
    clerk.write_delivery(contract, qty, shares, net)
    if qty < 0:
        book.locked_until[contract.underlying] = book.activities[-1].at
    book.cash += net
    book.hold(contract.symbol, contract, -qty, ZERO)
    book.hold(contract.underlying, None, shares, abs(net / shares))


def _held(clerk: Clerk) -> list[tuple[Position, Contract]]:
    found = [(held, held.contract) for held in clerk.book.positions.values() if held.contract]
    return sorted(found, key=lambda pair: pair[0].symbol)
