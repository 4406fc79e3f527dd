"""What an account is worth and what it may still spend."""

from dataclasses import dataclass
from decimal import Decimal

from simulator.book import Book, Order, Position
from simulator.margin import (
    SHARES,
    Lot,
    bare_calls,
    maintenance,
    uncovered,
    without_covered_calls,
)
from simulator.market import Market, quote_of

STOCK_TIMES_MAX = 2
STOCK_MAINTENANCE_SHARE = Decimal("0.3")
NAKED_CALL_SHARE = Decimal("0.2")  # of the stock's price, when an assignment leaves one
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """USD. short_value is negative."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    initial: Decimal  # of what is held
    maintenance: Decimal
    ordered: Decimal  # held back for open orders

    @property
    def equity(self) -> Decimal:
        return self.cash + self.long_value + self.short_value

    @property
    def left(self) -> Decimal:
        """What is not needed for anything; below 0 when the market has turned against it."""
        return self.equity - self.initial - self.ordered

    @property
    def options_buying_power(self) -> Decimal:
        return max(self.left, ZERO)


def mark_positions(book: Book, market: Market, now: int, *, only_new: bool = False) -> None:
    """Give every position its latest middle price; the last known one stays without. `only_new`:
    those that have none yet, where all others have been marked at this moment."""
    only_new = only_new and book.marked_at == now
    book.marked_at = now
    for held in book.positions.values():
        if only_new and held.mark:
            continue
        quote = quote_of(market, held.symbol, now)
        mark = quote.mark() if quote is not None else None
        held.mark = held.mark if mark is None else mark


def figures(book: Book, market: Market, now: int, *, is_marked: bool = False) -> Figures:
    """At the marks of `now`; `is_marked`: see mark_positions."""
    mark_positions(book, market, now, only_new=is_marked)
    values = [value_of(held) for held in book.positions.values()]
    initial = keep = ZERO
    for underlying in {underlying_of(held) for held in book.positions.values()}:
        group = [p for p in book.positions.values() if underlying_of(p) == underlying]
        stock = sum((abs(value_of(p)) for p in group if p.contract is None), ZERO)
        lots = without_covered_calls(lots_of(book, underlying), book.qty(underlying))
        loss = maintenance(lots) + _naked_calls(lots, market, underlying, now)
        # What is spent on options or taken in for them is in the cash already.
        initial += max(loss + _options_value(group), ZERO) + stock * stock_share(book)
        keep += loss + stock * STOCK_MAINTENANCE_SHARE
    return Figures(
        cash=book.cash,
        long_value=sum((value for value in values if value > 0), ZERO),
        short_value=sum((value for value in values if value < 0), ZERO),
        initial=initial,
        maintenance=keep,
        ordered=_ordered(book),
    )


def stock_share(book: Book) -> Decimal:
    """What shares need of their price: half of it, all without margin. Four times as much within a
    day, as the real account may have it, is not simulated."""
    return 1 / Decimal(stock_times(book))


def stock_times(book: Book) -> int:
    """How many times its buying power an account may spend on shares."""
    return min(int(book.configuration.max_margin_multiplier), STOCK_TIMES_MAX)


def _options_value(group: list[Position]) -> Decimal:
    """Of what is worth anything to the account: a call that shares stand for, or nothing, is a debt
    and no credit against what is paid for the others."""
    held = [(p, lot) for p in group if (lot := p.lot()) is not None]
    total = ZERO
    for (position, lot), bare in zip(held, bare_calls([lot for _, lot in held]), strict=True):
        total += position.mark * (lot.qty + bare) * position.multiplier
    return total


def _ordered(book: Book) -> Decimal:
    working = sum((_held_usd(book, order) for order in book.working.values()), ZERO)
    return working + sum(
        (_exercise_usd(book, symbol, qty) for symbol, qty in book.exercising.items()), ZERO
    )


def _exercise_usd(book: Book, symbol: str, qty: Decimal) -> Decimal:
    """The strikes of tonight's calls, but for shares owed: these are bought."""
    held = book.positions.get(symbol)
    if held is None or held.contract is None or held.contract.right == "put":
        return ZERO
    owed = max(-book.qty(held.contract.underlying), ZERO) // held.contract.size
    return held.contract.strike * SHARES * max(qty - owed, ZERO)


def _held_usd(book: Book, order: Order) -> Decimal:
    """What an open order holds. One that waits to replace another adds what it needs beyond it."""
    if not order.is_waiting or order.replaces is None:
        return order.required_usd
    return max(order.required_usd - book.orders[order.replaces].required_usd, ZERO)


def value_of(held: Position) -> Decimal:
    """USD at its mark."""
    return held.mark * held.qty * held.multiplier


def underlying_of(held: Position) -> str:
    return held.contract.underlying if held.contract is not None else held.symbol


def lots_of(book: Book, underlying: str) -> list[Lot]:
    """Contracts as the margin rule sees them; what is not to be exercised counts for nothing."""
    return [
        lot
        for p in book.positions.values()
        if underlying_of(p) == underlying and not (p.qty > 0 and p.symbol in book.not_exercising)
        if (lot := p.lot()) is not None
    ]


def _naked_calls(lots: list[Lot], market: Market, underlying: str, now: int) -> Decimal:
    naked = uncovered(lots, "call")
    spot = market.spot(underlying, now) if naked > 0 else None
    return NAKED_CALL_SHARE * spot[1] * naked if spot is not None else ZERO
