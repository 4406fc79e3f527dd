"""What a split makes of what is held, before the market opens."""

from collections.abc import Callable, Iterable
from decimal import Decimal

from simulator.book import Book
from simulator.market import Action, Adjustment
from simulator.rows import Clerk

SPLIT = "split"
CENT = Decimal("0.01")
#: When and what a stock last was.
SpotOf = Callable[[str], tuple[int, Decimal] | None]


def split_shares(clerk: Clerk, splits: Iterable[Action], spot_of: SpotOf) -> None:
    """More shares, each worth less; a part of a share is paid in cash at the opening price."""
    for action in splits:
        held = clerk.book.positions.get(action.symbol)
        if held is None or action.rate <= 0:
            continue
        exact = held.qty * action.rate
        whole = round(exact, 9) if held.qty % 1 else Decimal(int(exact))
        more = whole - held.qty
        held.entry, held.mark = held.entry / action.rate, held.mark / action.rate
        spot = spot_of(action.symbol)
        price = spot[1] if spot is not None else held.mark
        paid = ((exact - whole) * price).quantize(CENT)
        clerk.book.cash += paid
        clerk.book.hold(action.symbol, None, more, held.entry)
        about = f"Split {action.rate} for 1"
        clerk.write(
            "SPLIT",
            action.symbol,
            qty=more,
            net_usd=paid,
            description=about,
            split_rate=action.rate,
        )


def _carry_requests(book: Book, change: Adjustment) -> None:
    """What was asked for the old contract holds for the new one."""
    old, new = change.old.symbol, change.new.symbol
    if old in book.not_exercising:
        book.not_exercising.discard(old)
        book.not_exercising.add(new)
    if old in book.exercising:
        book.exercising[new] = book.exercising.pop(old) * change.count
    if old in book.to_be_assigned:
        book.to_be_assigned[new] = book.to_be_assigned.pop(old) * change.count


def adjust_contracts(clerk: Clerk, changes: Iterable[Adjustment]) -> None:
    """Old contracts go, new ones come; what they cost is spread over them."""
    for change in changes:
        held = clerk.book.positions.pop(change.old.symbol, None)
        if held is None:
            continue
        _carry_requests(clerk.book, change)
        qty = held.qty * change.count
        clerk.book.hold(change.new.symbol, change.new, qty, held.entry / change.count)
        clerk.book.positions[change.new.symbol].mark = held.mark / change.count
        group = clerk.book.new_id()
        for symbol, moved in ((change.old.symbol, -held.qty), (change.new.symbol, qty)):
            clerk.write(
                "OPCA",
                symbol,
                qty=Decimal(moved),
                group_id=group,
                description="Option Adjustment",
                entry_usd=held.entry / change.count,
            )
