"""What a split makes of what is held, before the market opens."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from simulator.market import Action
from simulator.rows import Clerk
from simulator.symbols import Contract

SPLIT = "split"


class Adjustment(Protocol):
    """`count` of the new contract for each old one."""

    @property
    def old(self) -> Contract: ...
    @property
    def new(self) -> Contract: ...
    @property
    def count(self) -> int: ...


def split_shares(clerk: Clerk, splits: Iterable[Action]) -> None:
    """More shares, each worth less; a fraction of a share is cut off."""
    for action in splits:
        held = clerk.book.positions.get(action.symbol)
        if held is None or action.rate <= 0:
            continue
        more = int(held.qty * action.rate) - held.qty
        held.entry, held.mark = held.entry / action.rate, held.mark / action.rate
        clerk.book.hold(action.symbol, None, more, held.entry)
        clerk.write(
            "SPLIT", action.symbol, qty=Decimal(more), description=f"Split {action.rate} for 1"
        )


def adjust_contracts(clerk: Clerk, changes: Iterable[Adjustment]) -> None:
    """Old contracts go, new ones come; what they cost is spread over them."""
    for change in changes:
        held = clerk.book.positions.pop(change.old.symbol, None)
        if held is None:
            continue
        qty = held.qty * change.count
        clerk.book.hold(change.new.symbol, change.new, qty, held.entry / change.count)
        for symbol, moved in ((change.old.symbol, -held.qty), (change.new.symbol, qty)):
            clerk.write("OPCA", symbol, qty=Decimal(moved), description="Option Adjustment")
