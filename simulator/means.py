"""What an exercise or an assignment takes, whether the account has it, and what comes first."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from simulator.accounting import figures
from simulator.book import Book
from simulator.desk import Desk
from simulator.margin import SHARES
from simulator.promises import available, exercise
from simulator.symbols import Contract
from simulator.what_if import moved

IN_THE_MONEY_USD_MIN = Decimal("0.01")
ZERO = Decimal(0)

#: Long contracts, and how many of them.
Step = tuple[Contract, Decimal]


def is_in_the_money(contract: Contract, price: Decimal) -> bool:
    return contract.intrinsic(price) >= IN_THE_MONEY_USD_MIN


def shares_moved(contract: Contract, qty: Decimal) -> Decimal:
    """Received, or negative: delivered, when qty contracts (negative: short) are exercised."""
    return qty * contract.size * (1 if contract.right == "call" else -1)


def cash_moved(contract: Contract, qty: Decimal) -> Decimal:
    """USD taken in, or negative: paid."""
    return -contract.strike * SHARES * qty * (1 if contract.right == "call" else -1)


def exercisable(desk: Desk, book: Book, contract: Contract, qty: Decimal) -> Decimal:
    """How many of qty long contracts the account has the shares or the cash for: none that cover a
    call or are promised to an order, and no more than is free.

    What ends a position of the other side always goes: shares owed are bought.
    """
    if contract.right == "put":
        return min(qty, available(book, contract.underlying, sold=True) // contract.size)
    owed = max(-book.qty(contract.underlying), ZERO) // contract.size
    if owed >= qty:
        return qty
    left = figures(book, desk.market, desk.now).left
    free = max(min(book.cash, left), ZERO)
    return min(qty, max(owed, free // (contract.strike * SHARES)))


def asked_for(book: Book) -> list[Step]:
    """The exercises that tonight begins with, as far as the contracts are still held."""
    found = []
    for symbol, qty in sorted(book.exercising.items()):
        held = book.positions.get(symbol)
        if held is not None and held.contract is not None and held.qty > 0:
            found.append((held.contract, min(qty, held.qty)))
    return found


def exercises(desk: Desk, book: Book, wanted: Iterable[Step]) -> list[Step]:
    """Which of these the account can exercise, as one after another gives what the next one takes.

    Puts first, for they bring cash, then the calls whose shares a put waits for, then the cheapest;
    after every step the puts are asked again. The sell-out keeps, and the night exercises, by this.
    """
    rest = dict(wanted)
    then, steps = replace(book, exercising={}), []
    while step := _next(desk, then, rest):
        contract, qty = step
        steps.append(step)
        then = moved(then, exercise(contract, qty), cash_moved(contract, qty))
        rest[contract] -= qty
        if not rest[contract]:
            del rest[contract]
    return steps


def _next(desk: Desk, book: Book, rest: dict[Contract, Decimal]) -> Step | None:
    waiting = {contract.underlying for contract in rest if contract.right == "put"}

    def place(contract: Contract) -> tuple[bool, bool, Decimal, str]:
        calls = contract.right == "call"
        cost = contract.strike * (1 if calls else -1)
        return calls, contract.underlying not in waiting, cost, contract.symbol

    for contract in sorted(rest, key=place):
        qty = exercisable(desk, book, contract, rest[contract])
        if qty > 0:
            return contract, qty
    return None
