"""What the broker would have answered a little earlier: copies of its books, kept while a fault
that needs them stands armed."""

import copy
from decimal import Decimal
from typing import Final

from simulator.bonds import Bond
from simulator.book import Book, Order
from simulator.exchange import Exchange
from simulator.faults import FaultKind, Faults
from simulator.times import SECOND
from simulator.updates import Update

LAGS: Final = (
    FaultKind.ORDERS_LAG,
    FaultKind.FILLS_LAG,
    FaultKind.ACTIVITIES_LAG,
    FaultKind.POSITIONS_LAG,
    FaultKind.ACCOUNT_LAG,
)
COPIES_MAX = 2_000

#: Path -> what makes its answer older. A path that ends with * is everything below.
LAGGING: Final = {
    "/v2/orders*": (FaultKind.ORDERS_LAG, FaultKind.FILLS_LAG),
    "/v2/account/activities*": (FaultKind.ACTIVITIES_LAG, FaultKind.FILLS_LAG),
    "/v2/positions*": (FaultKind.POSITIONS_LAG,),
    "/v2/account": (FaultKind.ACCOUNT_LAG,),
}


class Past:
    """Copies of one exchange's book, oldest first."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._copies: list[tuple[int, Book]] = []
        exchange.listeners.append(self._changed)

    def record(self) -> None:
        """Keep the book as it is, when anybody may ask for it later."""
        lags = [fault for fault in self._exchange.faults.armed if fault.kind in LAGS]
        if not lags:
            self._copies.clear()
            return
        now = self._exchange.now
        self._forget(now - int(max(fault.setting("seconds") for fault in lags) * SECOND))
        if not self._copies:
            now -= 1  # of before: what happens at this very moment is later
        elif self._copies[-1][0] == now:
            self._copies.pop()
        self._copies.append((now, copied(self._exchange.book)))

    def _forget(self, before: int) -> None:
        """All that is older than the newest one that was already old."""
        while len(self._copies) > 1 and self._copies[1][0] <= before:
            self._copies.pop(0)
        del self._copies[:-COPIES_MAX]

    def _changed(self, update: Update) -> None:
        self.record()

    def seen(self, method: str, path: str) -> Exchange:
        """The exchange as a request shall see it: itself, or a copy that lies behind."""
        exchange = self._exchange
        faults = exchange.faults
        if not faults.armed or method != "GET":
            return exchange
        kinds = _kinds(path)
        fault = faults.take_any(kinds, method, path) if kinds else None
        if fault is not None:
            return self._earlier(int(fault.setting("seconds") * SECOND))
        if path.startswith(("/v2/orders", "/v2/account/activities")):
            fault = faults.take(FaultKind.LEGS_APART, method, path)
            if fault is not None:
                return _legs_apart(exchange, int(fault.setting("seconds") * SECOND))
        if path == "/v2/clock":
            fault = faults.take(FaultKind.CLOCK_SKEW, method, path)
            if fault is not None:
                return _skewed(exchange, int(fault.setting("seconds") * SECOND))
        return exchange

    def _earlier(self, nanoseconds: int) -> Exchange:
        """As of then; as of when the first copy was made when that is later."""
        moment = self._exchange.now - max(nanoseconds, 0)
        old = [book for at, book in self._copies if at <= moment]
        books = [book for _, book in self._copies]
        book = old[-1] if old else books[0] if books else self._exchange.book
        return _with_book(self._exchange, copied(book))


def _kinds(path: str) -> tuple[FaultKind, ...]:
    for known, kinds in LAGGING.items():
        if path == known or (known.endswith("*") and path.startswith(known[:-1])):
            return kinds
    return ()


def _with_book(exchange: Exchange, book: Book) -> Exchange:
    view = copy.copy(exchange)
    view.book = book
    view.listeners = []
    view.faults = Faults()
    return view


def _skewed(exchange: Exchange, nanoseconds: int) -> Exchange:
    low, high = exchange.sessions.bounds()
    view = _with_book(exchange, exchange.book)
    view.now = min(max(exchange.now + nanoseconds, low), high)
    return view


def _legs_apart(exchange: Exchange, nanoseconds: int) -> Exchange:
    """The last leg of every order filled since then is still as it was sent."""
    book = copied(exchange.book)
    since = exchange.now - nanoseconds
    late: set[str] = set()
    for order in book.orders.values():
        if order.legs and order.filled_at is not None and order.filled_at >= since:
            last = order.legs[-1]
            late.add(last.id)
            _unfill(order, "partially_filled")
            _unfill(last, "new")
    book.activities = [done for done in book.activities if done.order_id not in late]
    return _with_book(exchange, book)


def _unfill(order: Order, status: str) -> None:
    order.status = status
    order.filled_at = None
    order.filled_qty = Decimal(0)
    order.filled_usd = Decimal(0)


def copied(book: Book) -> Book:
    """A book that further trading does not change."""
    twins = {id(order): _twin(order) for order in book.orders.values()}
    _bind_twins(twins)
    made = copy.copy(book)
    made.orders = {key: twins[id(order)] for key, order in book.orders.items()}
    made.working = {key: twins.get(id(order), order) for key, order in book.working.items()}
    legs = {
        id(leg): twin
        for order in book.orders.values()
        for leg, twin in zip(order.legs, twins[id(order)].legs, strict=True)
    }
    twins |= legs
    made.by_client_id = {
        key: twins.get(id(order), order) for key, order in book.by_client_id.items()
    }
    made.positions = {key: copy.copy(held) for key, held in book.positions.items()}
    made.activities = list(book.activities)
    return made


def _bind_twins(twins: dict[int, Order]) -> None:
    bonds = {id(twin.bond): twin.bond for twin in twins.values() if twin.bond is not None}
    for bond in bonds.values():
        chain = [twins[id(order)] for order in bond.chain]
        again = Bond(chain=chain, has_entry=bond.has_entry, is_over=bond.is_over)
        for twin in chain:
            twin.bond = again


def _twin(order: Order) -> Order:
    made = copy.copy(order)
    made.legs = tuple(copy.copy(leg) for leg in order.legs)
    return made
