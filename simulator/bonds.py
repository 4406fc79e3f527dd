"""Orders that are bound to each other: brackets, one-triggers-other, one-cancels-other.

One idea for all of them: the orders of a bond stand in a chain (entry, take profit, stop loss; each
may be missing) and each is held while one before it is open. An entry that is filled lets the next
one work. Any other end of one ends the rest. A held stop whose price is reached takes over from the
take profit, so that what is to be closed is promised to one order at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.book import Order
    from simulator.desk import Desk


@dataclass(kw_only=True, slots=True, eq=False, repr=False)
class Bond:
    """The first of the chain is shown as the parent of the others.

    is_over: the stop has taken over, and what happens to one means nothing to the other.
    """

    chain: list["Order"]
    has_entry: bool
    is_over: bool = False

    def legs_of(self, order: "Order") -> list["Order"]:
        """The rest of the chain for the first of it, nothing for another."""
        return self.chain[1:] if order is self.chain[0] else []

    def exits(self) -> list["Order"]:
        return self.chain[1:] if self.has_entry else self.chain

    def holds(self, order: "Order") -> bool:
        """Whether one before it is open."""
        return any(each.is_open for each in takewhile(lambda each: each is not order, self.chain))


def bind(parent: "Order", legs: Iterable["Order"]) -> None:
    """Make them one group."""
    bond = Bond(chain=[parent, *legs], has_entry=parent.order_class != "oco")
    for each in bond.chain:
        each.bond, each.order_class = bond, parent.order_class
        if each is not parent:
            each.status = "held"


def swap(old: "Order", new: "Order") -> None:
    """A replacement takes the place of what it replaces."""
    if old.bond is not None:
        old.bond.chain = [new if each is old else each for each in old.bond.chain]
        new.bond, old.bond = old.bond, None


def follow(desk: "Desk", order: "Order") -> None:
    """What the fill or the end of one order does to those that are bound to it."""
    bond = order.bond
    if bond is None or bond.is_over:
        return
    if order.is_open:
        if order.filled_qty and order in bond.exits():
            _resize(bond, order)
    elif bond.has_entry and order is bond.chain[0] and order.status == "filled":
        _release(desk, bond)
    else:
        _cancel(desk, bond.chain)


def _resize(bond: Bond, order: "Order") -> None:
    """A take profit that is filled in part leaves the stop only the rest."""
    for each in bond.exits():
        if each is not order:
            each.qty = order.leaves
            if each.successor is not None:
                each.successor.qty = order.leaves


def _release(desk: "Desk", bond: Bond) -> None:
    """The next one works; none does where there is no longer that much to close."""
    order = bond.chain[1]
    if not order.is_open:
        return
    if order.signed_qty() * desk.book.qty(order.symbol) >= 0 or order.qty > desk.free(order):
        _cancel(desk, bond.chain)
    elif order.status == "held":
        desk.move(order, "new")
    else:
        order.status_before = "new"  # what is pending falls back to that


def take_over(desk: "Desk", stop: "Order") -> None:
    """The stop works now, and the take profit no more."""
    bond = stop.bond
    if bond is not None:
        bond.is_over = True
        desk.move(stop, "new")
        _cancel(desk, [each for each in bond.exits() if each is not stop])


def _cancel(desk: "Desk", orders: Iterable["Order"]) -> None:
    for order in orders:
        if order.is_open:
            if order.successor is not None and order.successor.is_open:
                desk.end(order.successor, "canceled")
            desk.end(order, "canceled")
