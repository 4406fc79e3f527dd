"""Books: what the broker has listed of an account, and what of it is news to us."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from domain.records import Activity, Fill, Order, Position

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True, slots=True)
class Books:
    """Lists as they were read, whole or in part.

    orders     parents before their legs, which stand beside them
    positions  None when they were not asked for: an empty list means that nothing is held
    """

    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()
    activities: tuple[Activity, ...] = ()
    positions: tuple[Position, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What is to be written so that our books say what theirs do; nothing when they do already."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    activities: tuple[Activity, ...]
    positions: tuple[Position, ...]
    gone: frozenset[str]  # symbols that are not held any more


def news(ours: Books, theirs: Books) -> News:
    """What `theirs` says that `ours` does not, both rounded to what is kept.

    ours  at least the rows under the keys of theirs, and every position

    An order read later is newer even in a list that lags behind: one that is older than what is
    known is no news. Rows that theirs does not list stay: a list has an end, positions have none.
    """
    known = {order.id: order for order in ours.orders}
    held = theirs.positions if theirs.positions is not None else ours.positions or ()
    kept = {position.symbol for position in held}
    return News(
        orders=tuple(
            order
            for order in _changed(ours.orders, theirs.orders, lambda order: order.id)
            if order.id not in known or order.updated_at >= known[order.id].updated_at
        ),
        fills=_changed(ours.fills, theirs.fills, lambda fill: fill.id),
        activities=_changed(
            ours.activities, theirs.activities, lambda row: (row.activity_type, row.id)
        ),
        positions=_changed(ours.positions or (), held, lambda position: position.symbol),
        gone=frozenset(p.symbol for p in ours.positions or () if p.symbol not in kept),
    )


def flat(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Orders with their legs beside them, as they are kept."""
    return tuple(replace(each, legs=()) for order in orders for each in (order, *order.legs))


def _changed(
    ours: Iterable[Record], theirs: Iterable[Record], key: Callable[[Record], Hashable]
) -> tuple[Record, ...]:
    """Those of theirs that are not ours, or no more; the last one where a key stands twice."""
    known = {key(row): row for row in ours}
    listed = {key(row): row for row in theirs}
    return tuple(row for name, row in listed.items() if known.get(name) != row)
