"""What a night does to a book: exercise, assignment, expiry. No order and no event tells of it."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from simulator import means
from simulator.book import Position
from simulator.means import Step
from simulator.rows import Clerk
from simulator.symbols import Contract

#: An underlying's closing price of a day; None when it is not known.
CloseOf = Callable[[str, date], Decimal | None]
#: How many contracts of a short position are assigned tonight, though they live on.
ZERO = Decimal(0)
Allotted = Callable[[Position, Contract], Decimal]
#: Which of these long contracts the account can exercise, in order.
Exercises = Callable[[Sequence[Step]], list[Step]]


def settle(clerk: Clerk, close_of: CloseOf, allotted: Allotted, exercises: Exercises) -> None:
    """Exercise what was asked for, assign early, then end every contract whose last day is over.

    Contracts without a closing price stay.
    """
    book = clerk.book
    asked = means.asked_for(book)
    book.exercising.clear()
    for contract, qty in exercises(asked):
        deliver(clerk, contract, qty)
    for held, contract in _held(clerk):
        if contract.last_day > clerk.day and held.qty < 0:
            assigned = allotted(held, contract)
            if assigned:
                deliver(clerk, contract, -assigned)
    book.to_be_assigned.clear()
    _expire(clerk, close_of, exercises)
    book.not_exercising &= book.positions.keys()


def _expire(clerk: Clerk, close_of: CloseOf, exercises: Exercises) -> None:
    wanted: list[Step] = []
    longs = []
    # A writer has no choice; what assignments bring and take is there for the exercises, and what
    # a short contract's lapse sets free.
    for held, contract in _held(clerk):
        close = close_of(contract.underlying, contract.last_day)
        if contract.last_day > clerk.day or close is None:
            continue
        is_worth = means.is_in_the_money(contract, close)
        if held.qty > 0:
            longs.append(contract)
            if is_worth and contract.symbol not in clerk.book.not_exercising:
                wanted.append((contract, held.qty))
        elif is_worth:
            deliver(clerk, contract, held.qty)
        else:
            _lapse(clerk, contract)
    for contract, qty in exercises(wanted):
        deliver(clerk, contract, qty)
    for contract in longs:
        _lapse(clerk, contract)


def _lapse(clerk: Clerk, contract: Contract) -> None:
    """All that is still held of it."""
    qty = clerk.book.qty(contract.symbol)
    if qty:
        clerk.write_lapse(contract.symbol, qty)
        clerk.book.hold(contract.symbol, contract, -qty, ZERO)


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
