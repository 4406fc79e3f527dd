"""What may still happen to what is held, and how every short call is covered in the worst case.

A claim is whatever may move holdings without a further question: an order that works, in any part;
the replacement that waits for it; an exercise that was asked for. Of a claim with several ways at
most one happens, in whole or in part. Cover is one number for each expiration, a sum over holdings
and claims, so its worst case is the sum of each claim's worst case: no order of events is tried.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from simulator.book import Book, Order
from simulator.symbols import Contract, Right

Quantity = Decimal  # of contracts or shares
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Move:
    """What comes in, or goes out: negative."""

    symbol: str
    contract: Contract | None
    change: Quantity


Way = tuple[Move, ...]
Claim = tuple[Way, ...]


def claims(book: Book) -> Iterator[Claim]:
    """Everything that works, waits or was asked for."""
    for order in book.working.values():
        if order.is_held:
            continue  # it takes over what another order of its bond holds, and is asked about then
        if order.is_waiting and order.replaces in book.working:
            continue  # another way of the order that it waits for
        ways = [way_of(order)]
        if order.successor is not None and order.successor.is_open:
            ways.append(way_of(order.successor))
        yield tuple(ways)
    for symbol, qty in book.exercising.items():
        held = book.positions.get(symbol)
        if held is not None and held.contract is not None:
            yield (exercise(held.contract, qty),)


def way_of(order: Order) -> Way:
    """All that is left of an order."""
    return tuple(
        Move(leg.symbol, leg.contract, leg.leaves if leg.side == "buy" else -leg.leaves)
        for leg in order.executed()
    )


def exercise(contract: Contract, qty: Quantity) -> Way:
    """Of long contracts, or with a negative qty an assignment of short ones."""
    shares = qty * contract.size * (1 if contract.right == "call" else -1)
    return Move(contract.symbol, contract, -qty), Move(contract.underlying, None, shares)


def promised(book: Book, symbol: str) -> Quantity:
    """How much of what is held the claims would take away, as a number > 0."""
    held = book.qty(symbol)
    if not held:
        return ZERO
    sign = 1 if held > 0 else -1
    total = ZERO
    for claim in claims(book):
        taken = (-sum((m.change for m in way if m.symbol == symbol), ZERO) * sign for way in claim)
        total += max(ZERO, *taken)
    return total


def available(book: Book, symbol: str, *, sold: bool = False) -> Quantity:
    """How much of what is held may be closed: it is promised to nothing and covers no call.
    `sold`: of long ones only."""
    if sold and book.qty(symbol) < 0:
        return ZERO
    held = abs(book.qty(symbol)) - promised(book, symbol)
    position = book.positions.get(symbol)
    if held > 0 and position is not None and position.contract is None and position.qty > 0:
        held = min(held, Outlook(book, symbol).shares_free())
    return max(held, ZERO)


class Outlook:
    """One underlying: what is held, and what `claims` and a further one may make of it."""

    def __init__(self, book: Book, underlying: str, further: Claim = ()) -> None:
        self._underlying = underlying
        #: Nobody will exercise these: they cover nothing.
        self._declined = book.not_exercising
        self.shares = book.qty(underlying)
        held = (Move(p.symbol, p.contract, p.qty) for p in book.positions.values() if p.contract)
        self._held = self._here(held)
        self._claims = [
            ways
            for claim in (*claims(book), *((further,) if further else ()))
            if any(ways := [self._here(way) for way in claim])
        ]

    def _here(self, moves: Iterable[Move]) -> Way:
        return tuple(
            move
            for move in moves
            if (move.contract.underlying if move.contract else move.symbol) == self._underlying
            and not (move.change > 0 and move.symbol in self._declined)
        )

    def bare(self, right: Right) -> Quantity:
        """Shares of short contracts that nothing covers in the worst case; puts: no long put."""
        return max((-self._cover(right, end) for end in self._ends(right)), default=ZERO)

    def bare_now(self, right: Right) -> Quantity:
        """The same if nothing more happens."""
        shares = max(self.shares, ZERO) if right == "call" else ZERO
        ends = self._ends(right)
        return max((-_sum(self._held, right, end) - shares for end in ends), default=ZERO)

    def shares_free(self, until: date | None = None) -> Quantity:
        """Shares that may go, or stand for one more call of that last day."""
        free = self.shares_kept
        for end in self._ends("call") | ({until} if until is not None else set()):
            without = self._worst("call", end, with_shares=False)
            if until is None and without >= 0:
                continue  # long calls are enough
            if until is None or end <= until:
                free = min(free, self._worst("call", end, with_shares=True))
        return max(free, ZERO)

    @property
    def shares_kept(self) -> Quantity:
        """That no claim takes away."""
        return self.shares + sum(
            (min(ZERO, *(_shares(way) for way in claim)) for claim in self._claims), ZERO
        )

    def _cover(self, right: Right, end: date) -> Quantity:
        """What is left over at an expiration; below zero: bare. Shares owed take no call's cover
        away, so the better of both sums counts."""
        without = self._worst(right, end, with_shares=False)
        if right == "put":
            return without
        return max(without, self._worst(right, end, with_shares=True))

    def _worst(self, right: Right, end: date, *, with_shares: bool) -> Quantity:
        total = _sum(self._held, right, end) + (self.shares if with_shares else ZERO)
        for claim in self._claims:
            ways = (
                _sum(way, right, end) + (_shares(way) if with_shares else ZERO) for way in claim
            )
            total += min(ZERO, *ways)
        return total

    def _ends(self, right: Right) -> set[date]:
        moves = [*self._held, *(move for claim in self._claims for way in claim for move in way)]
        return {m.contract.last_day for m in moves if m.contract and m.contract.right == right}


def _sum(moves: Iterable[Move], right: Right, end: date) -> Quantity:
    """Shares of the contracts that live to `end`: a long one covers a short one that does not
    outlive it, share for share."""
    found = (
        move.change * move.contract.size
        for move in moves
        if move.contract and move.contract.right == right and move.contract.last_day >= end
    )
    return sum(found, ZERO)


def _shares(moves: Iterable[Move]) -> Quantity:
    return sum((move.change for move in moves if move.contract is None), ZERO)
