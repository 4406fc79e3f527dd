"""What an exercise or an assignment takes, and whether the account has it."""

from collections.abc import Sequence
from decimal import Decimal

from simulator.accounting import figures
from simulator.book import Book, Position
from simulator.desk import Desk
from simulator.margin import SHARES
from simulator.promises import Move, Outlook, available, exercise
from simulator.switches import SellOut
from simulator.symbols import Contract
from simulator.what_if import moved, with_orders

IN_THE_MONEY_USD_MIN = Decimal("0.01")
ZERO = Decimal(0)


def is_in_the_money(contract: Contract, price: Decimal) -> bool:
    return contract.intrinsic(price) >= IN_THE_MONEY_USD_MIN


def shares_moved(contract: Contract, qty: Decimal) -> Decimal:
    """Received, or negative: delivered, when qty contracts (negative: short) are exercised."""
    return qty * contract.size * (1 if contract.right == "call" else -1)


def cash_moved(contract: Contract, qty: Decimal) -> Decimal:
    """USD taken in, or negative: paid."""
    return -contract.strike * SHARES * qty * (1 if contract.right == "call" else -1)


def exercisable(desk: Desk, contract: Contract, qty: Decimal) -> Decimal:
    """How many of qty long contracts the account has the shares or the cash for: none that cover a
    call or are promised to an order, and no more than is free.

    What ends a position of the other side always goes: shares owed are bought.
    """
    book = desk.book
    if contract.right == "put":
        return min(qty, available(book, contract.underlying, sold=True) // contract.size)
    owed = max(-book.qty(contract.underlying), ZERO) // contract.size
    free = max(min(book.cash, desk.figures().left), ZERO)
    return min(qty, max(owed, free // (contract.strike * SHARES)))


def to_sell_out(desk: Desk, expiring: Sequence[Position], mode: SellOut) -> list[Position]:
    """Of the positions that end today those that the broker closes, shorts first.

    Underlyings come by name and share the cash. One whose contracts in the money together need
    more shares or cash than there are, or leave a call bare, loses all of these; what is out of
    the money may lapse.
    """
    if mode is SellOut.NOTHING:
        return []
    if mode is SellOut.EVERYTHING:
        return _shorts_first(expiring)
    going = [held for held in expiring if _is_exercised(desk, held)]
    lapsing = [held for held in expiring if held not in going]
    gtc = {key: o for key, o in desk.book.working.items() if o.time_in_force == "gtc"}
    then = moved(with_orders(desk.book, gtc), [gone(held) for held in lapsing], ZERO)
    sold = []
    for underlying in sorted({_contract(held).underlying for held in going}):
        group = [held for held in going if _contract(held).underlying == underlying]
        after = then
        for held in group:
            contract = _contract(held)
            way = exercise(contract, held.qty)
            after = moved(after, way, cash_moved(contract, held.qty))
        if _is_too_much(desk, then, after, underlying):
            sold += group
            after = moved(then, [gone(held) for held in group], ZERO)
        then = after
    return _shorts_first(sold)


def _is_exercised(desk: Desk, held: Position) -> bool:
    """In the money, and nobody has asked to let it lapse."""
    contract = _contract(held)
    spot = desk.market.spot(contract.underlying, desk.now)
    if spot is None or held.symbol in desk.book.not_exercising:
        return False
    return is_in_the_money(contract, spot[1])


def gone(held: Position) -> Move:
    """The position, taken away."""
    return Move(held.symbol, held.contract, -held.qty)


def _is_too_much(desk: Desk, before: Book, after: Book, underlying: str) -> bool:
    """For the cash, the shares, the buying power or the cover that there is."""
    if after.cash < min(before.cash, ZERO) or after.qty(underlying) < min(
        before.qty(underlying), ZERO
    ):
        return True
    left = figures(after, desk.market, desk.now).left
    if left < 0 and left < figures(before, desk.market, desk.now).left:
        return True
    was, will = Outlook(before, underlying), Outlook(after, underlying)
    takes_promised = will.shares_kept < min(was.shares_kept, ZERO)
    return takes_promised or will.bare("call") > max(was.bare("call"), ZERO)


def _shorts_first(positions: Sequence[Position]) -> list[Position]:
    """So that no sale leaves a short contract without its cover."""
    return sorted(positions, key=lambda held: (held.qty > 0, held.symbol))


def _contract(held: Position) -> Contract:
    assert held.contract is not None
    return held.contract
