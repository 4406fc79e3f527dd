"""Which of the positions that end today the broker closes: what the night could not do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from simulator import means
from simulator.accounting import figures
from simulator.book import Book, Position
from simulator.covering import is_bared
from simulator.desk import Desk
from simulator.market import quote_of
from simulator.promises import Move, Outlook, exercise
from simulator.switches import SellOut
from simulator.symbols import Contract
from simulator.what_if import moved, with_orders

ZERO = Decimal(0)


def to_sell_out(desk: Desk, expiring: Sequence[Position], mode: SellOut) -> list[Position]:
    """Of the positions that end today those that the broker closes, shorts first.

    The night is tried at the prices of now. What is in the money and could not be exercised then
    goes; so do the short contracts of an underlying whose assignment takes too much; and a short
    one goes with the long one that stood for it. This is asked again without them until the night
    can do all that is left. What is out of the money may lapse.
    """
    sent = {order.symbol for order in desk.book.working.values() if order.is_brokers}
    open_ones = [held for held in expiring if held.symbol not in sent]
    if mode is SellOut.NOTHING:
        return []
    if mode is SellOut.EVERYTHING:
        return _shorts_first(open_ones)
    desk.figures()  # marks what is held
    gtc = {key: o for key, o in desk.book.working.items() if o.time_in_force == "gtc"}
    choice = _Choice(desk, with_orders(desk.book, gtc), expiring)
    choice.going |= sent & choice.ending.keys()
    while choice.grows():
        pass
    return _shorts_first([held for held in open_ones if held.symbol in choice.going])


@dataclass
class _Choice:
    """Symbols that are to go, so far. `staying`: those whose sale would do harm."""

    desk: Desk
    book: Book
    expiring: Sequence[Position]
    going: set[str] = field(default_factory=set)
    staying: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ending = {held.symbol: held for held in self.expiring}

    def grows(self) -> bool:
        """Whether more has to go, or to stay, than was known."""
        more = self._cannot_be_done() - self.going - self.staying
        self.going |= more
        return bool(more) or self._covers_again()

    def _cannot_be_done(self) -> set[str]:
        left = [held for held in self.expiring if held.symbol not in self.going]
        worth = {held.symbol for held in left if self._is_exercised(held)}
        start = self._without(self.going, at_marks=False)
        lapsing = [gone(held) for held in left if held.symbol not in worth]
        before = moved(start, lapsing, ZERO)
        assigned = [held for held in left if held.symbol in worth and held.qty < 0]
        after, done = self._night(before, assigned, worth)
        unable = {
            held.symbol
            for held in left
            if held.symbol in worth and held.qty > 0 and done.get(held.symbol, ZERO) < held.qty
        }
        return unable | self._too_much(before, after, assigned)

    def _night(
        self, before: Book, assigned: Sequence[Position], worth: set[str]
    ) -> tuple[Book, dict[str, Decimal]]:
        """What it would leave, and how many long contracts would be exercised in it."""
        asked = means.asked_for(before)
        after = replace(before, exercising={})
        done: dict[str, Decimal] = {}
        steps = means.exercises(self.desk, after, asked)
        after = _delivered(after, steps)
        after = _delivered(after, [(_contract(held), held.qty) for held in assigned])
        longs = [
            (_contract(held), held.qty)
            for symbol, held in sorted(after.positions.items())
            if symbol in worth and held.qty > 0
        ]
        last = means.exercises(self.desk, after, longs)
        for contract, qty in (*steps, *last):
            done[contract.symbol] = done.get(contract.symbol, ZERO) + qty
        after = _delivered(after, last)
        rest = [gone(held) for symbol, held in after.positions.items() if symbol in worth]
        return moved(after, rest, ZERO), done

    def _too_much(self, before: Book, after: Book, assigned: Sequence[Position]) -> set[str]:
        """Short contracts whose assignment takes what is not there: shares, cover, or of the
        underlyings that take cash the one that takes most."""
        shorts: dict[str, list[Position]] = {}
        for held in assigned:
            shorts.setdefault(_contract(held).underlying, []).append(held)
        found = [name for name in shorts if _takes_shares(before, after, name)]
        if shorts and not found and self._takes_cash(before, after):
            found = [min(sorted(shorts), key=lambda name: _cash(shorts[name]))]
        return {held.symbol for name in found for held in shorts[name]}

    def _takes_cash(self, before: Book, after: Book) -> bool:
        if after.cash < min(before.cash, ZERO):
            return True
        left = self._left(after)
        return left < 0 and left < self._left(before)

    def _covers_again(self) -> bool:
        """Short contracts go with the long ones that they were covered by: those that are the
        nearest to the money first, and no more than must. Where none is left the long ones stay."""
        sold = [self.ending[symbol] for symbol in self.going if self.ending[symbol].qty > 0]
        bought = self.going - {held.symbol for held in sold}
        before = self._without(bought, at_marks=True)
        then = self._without(self.going, at_marks=True)
        left = self._left(then)
        is_poorer = left < 0 and left < self._left(before)
        if not sold or not (is_poorer or is_bared(before, then, at_worst=False)):
            return False
        sides = {(_contract(held).underlying, _contract(held).right) for held in sold}
        shorts = [
            held
            for symbol, held in self.ending.items()
            if held.qty < 0
            and symbol not in self.going
            and (_contract(held).underlying, _contract(held).right) in sides
        ]
        if shorts:
            self.going.add(min(shorts, key=_nearness).symbol)
        else:
            kept = {held.symbol for held in sold}
            self.going -= kept
            self.staying |= kept
        return True

    def _without(self, going: Iterable[str], *, at_marks: bool) -> Book:
        """The account when these are closed: at the far side of their quotes, or at their marks,
        where nothing but margin and cover changes."""
        closed = [self.ending[symbol] for symbol in sorted(going)]
        usd = ZERO
        for held in closed:
            price = held.mark if at_marks else self._price(held)
            usd += price * held.qty * held.multiplier
        return moved(self.book, [gone(held) for held in closed], usd)

    def _price(self, held: Position) -> Decimal:
        quote = quote_of(self.desk.market, held.symbol, self.desk.now)
        if held.qty > 0:
            return quote.bid if quote is not None and quote.bid is not None else ZERO
        return quote.ask if quote is not None and quote.ask is not None else held.mark

    def _is_exercised(self, held: Position) -> bool:
        """In the money, and nobody has asked to let it lapse."""
        contract = _contract(held)
        spot = self.desk.market.spot(contract.underlying, self.desk.now)
        declined = held.qty > 0 and held.symbol in self.book.not_exercising
        return spot is not None and not declined and means.is_in_the_money(contract, spot[1])

    def _left(self, book: Book) -> Decimal:
        return figures(book, self.desk.market, self.desk.now).left


def gone(held: Position) -> Move:
    """The position, taken away."""
    return Move(held.symbol, held.contract, -held.qty)


def _delivered(book: Book, steps: Iterable[tuple[Contract, Decimal]]) -> Book:
    for contract, qty in steps:
        book = moved(book, exercise(contract, qty), means.cash_moved(contract, qty))
    return book


def _takes_shares(before: Book, after: Book, underlying: str) -> bool:
    """More than there are, or those that something else counts on."""
    if after.qty(underlying) < min(before.qty(underlying), ZERO):
        return True
    was, will = Outlook(before, underlying), Outlook(after, underlying)
    takes_promised = will.shares_kept < min(was.shares_kept, ZERO)
    return takes_promised or will.bare("call") > max(was.bare("call"), ZERO)


def _cash(shorts: Iterable[Position]) -> Decimal:
    return sum((means.cash_moved(_contract(held), held.qty) for held in shorts), ZERO)


def _nearness(held: Position) -> tuple[Decimal, str]:
    """The least for what is deepest in the money."""
    contract = _contract(held)
    return contract.strike * (1 if contract.right == "call" else -1), held.symbol


def _shorts_first(positions: Sequence[Position]) -> list[Position]:
    """So that no sale leaves a short contract without its cover."""
    return sorted(positions, key=lambda held: (held.qty > 0, held.symbol))


def _contract(held: Position) -> Contract:
    assert held.contract is not None
    return held.contract
