"""What an exercise or an assignment takes, and whether the account has it."""

from collections.abc import Sequence
from decimal import Decimal

from simulator.book import Book, Position
from simulator.margin import SHARES
from simulator.market import Market
from simulator.switches import SellOut
from simulator.symbols import Contract

ZERO = Decimal(0)
IN_THE_MONEY_USD_MIN = Decimal("0.01")


def is_in_the_money(contract: Contract, price: Decimal) -> bool:
    return contract.intrinsic(price) >= IN_THE_MONEY_USD_MIN


def shares_moved(contract: Contract, qty: Decimal) -> Decimal:
    """Received, or negative: delivered, when qty contracts (negative: short) are exercised."""
    return qty * contract.size * (1 if contract.right == "call" else -1)


def cash_moved(contract: Contract, qty: Decimal) -> Decimal:
    """USD taken in, or negative: paid."""
    return -contract.strike * SHARES * qty * (1 if contract.right == "call" else -1)


def exercisable(book: Book, contract: Contract, qty: Decimal) -> Decimal:
    """How many of qty long contracts the account has the shares or the cash for.

    What ends a position of the other side always goes: shares owed are bought.
    """
    shares = book.qty(contract.underlying)
    if contract.right == "put":
        return min(qty, max(shares, ZERO) // contract.size)
    owed = max(-shares, ZERO) // contract.size
    cost = contract.strike * SHARES
    return min(qty, max(owed, max(book.cash, ZERO) // cost))


def to_sell_out(
    book: Book, market: Market, expiring: Sequence[Position], now: int, mode: SellOut
) -> list[Position]:
    """Of the positions that end today those that the broker closes, shorts first.

    Underlyings come by name and share the cash. One whose contracts in the money together need
    more shares or cash than there are loses all of these; what is out of the money may lapse.
    """
    if mode is SellOut.NOTHING:
        return []
    if mode is SellOut.EVERYTHING:
        return _shorts_first(expiring)
    cash, sold = book.cash, []
    for underlying in sorted({_contract(held).underlying for held in expiring}):
        spot = market.spot(underlying, now)
        group = [
            held
            for held in expiring
            if spot is not None
            and _contract(held).underlying == underlying
            and held.symbol not in book.not_exercising
            and is_in_the_money(_contract(held), spot[1])
        ]
        before = book.qty(underlying)
        shares = before + sum((shares_moved(_contract(held), held.qty) for held in group), ZERO)
        left = cash + sum((cash_moved(_contract(held), held.qty) for held in group), ZERO)
        if group and (left < min(cash, ZERO) or shares < min(before, ZERO)):
            sold += group
        else:
            cash = left
    return _shorts_first(sold)


def _shorts_first(positions: Sequence[Position]) -> list[Position]:
    """So that no sale leaves a short contract without its cover."""
    return sorted(positions, key=lambda held: (held.qty > 0, held.symbol))


def _contract(held: Position) -> Contract:
    assert held.contract is not None
    return held.contract
