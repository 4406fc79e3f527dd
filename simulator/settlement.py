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
#: How many of so many long contracts the account has the shares or the cash to exercise.
Bearable = Callable[[Contract, Decimal], Decimal]


def settle(clerk: Clerk, close_of: CloseOf, allotted: Allotted, bearable: Bearable) -> None:
    """Exercise what was asked for, assign early, then end every contract whose last day is over.

    Contracts without a closing price stay.
    """
    book = clerk.book
    for symbol in sorted(book.exercising):
        qty, held = book.exercising.pop(symbol), book.positions.get(symbol)
        if held is not None and held.contract is not None and held.qty > 0:
            able = bearable(held.contract, min(qty, held.qty))
            if able > 0:
                deliver(clerk, held.contract, able)
    for held, contract in _held(clerk):
        if contract.last_day > clerk.day and held.qty < 0:
            assigned = allotted(held, contract)
            if assigned:
                deliver(clerk, contract, -assigned)
    book.to_be_assigned.clear()
    _expire(clerk, close_of, bearable)
    book.not_exercising &= book.positions.keys()


def _expire(clerk: Clerk, close_of: CloseOf, bearable: Bearable) -> None:
    ended = []
    for held, contract in _held(clerk):
        if contract.last_day <= clerk.day:
            close = close_of(contract.underlying, contract.last_day)
            if close is not None:
                ended.append((held, contract, means.is_in_the_money(contract, close)))
    # A writer has no choice; what assignments bring and take is there for the exercises, and what
    # a short contract's lapse sets free.
    for held, contract, is_worth in sorted(ended, key=lambda each: each[0].qty > 0):
        qty = held.qty
        moved = ZERO
        if is_worth and (qty < 0 or contract.symbol not in clerk.book.not_exercising):
            moved = qty if qty < 0 else bearable(contract, qty)
        if moved:
            deliver(clerk, contract, moved)
        if qty != moved:
            clerk.write_lapse(contract.symbol, qty - moved)
            clerk.book.hold(contract.symbol, contract, moved - qty, ZERO)


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
