"""What every request to the broker works on: the market, the account, the moment, and the moves of
orders through their states."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

from simulator import bonds
from simulator.accounting import Figures, figures
from simulator.book import Book, Order
from simulator.disturbed import Disturbed
from simulator.equity import History
from simulator.faults import Faults
from simulator.market import Market, Quote, quote_of
from simulator.promises import available
from simulator.refusal import not_found
from simulator.sessions import Session, Sessions
from simulator.states import ENDED_AT, FINAL, check_move
from simulator.switches import Switches
from simulator.tape import Tape
from simulator.updates import Execution, Listener, Update, Watcher

ENDED_BEFORE_REPLACED = FINAL - {"replaced"}


class Desk:
    """One account at one moment."""

    def __init__(
        self,
        market: Market,
        sessions: Sessions,
        *,
        account: str,
        cash: Decimal,
        start: int,
        switches: Switches | None = None,
    ) -> None:
        self.faults = Faults()
        self.faults.now = start
        self.market: Market = Disturbed(market, self.faults, sessions)
        self.tape = Tape(self.market, sessions)
        self.switches = switches or Switches()
        self.listeners: list[Listener] = []
        self.watchers: list[Watcher] = []
        self.sessions = sessions
        self.now = start
        self.book = Book(account=account, cash_start=cash, cash=cash, equity_last=cash)
        self.history = History()
        self.created_at = start
        self._stamp = start
        self._mistakes: list[Exception] = []

    @property
    def session(self) -> Session:
        """The running session, else the next one."""
        return self.sessions.current_or_next(self.now)

    @property
    def is_open(self) -> bool:
        return self.session.is_open(self.now)

    def quote(self, symbol: str) -> Quote | None:
        return quote_of(self.market, symbol, self.now)

    def figures(self) -> Figures:
        return figures(self.book, self.market, self.now)

    def next_stamp(self) -> int:
        """Now, but never the same moment twice."""
        self._stamp = max(self.now, self._stamp + 1_000)
        return self._stamp

    # Mistakes of the simulator's own

    @contextmanager
    def one_of_many(self) -> Iterator[None]:
        """What goes wrong with one order on the clock's way is raised when the clock has arrived:
        the others are not to suffer for it."""
        try:
            yield
        except Exception as mistake:  # raised at the end: the other orders are served first
            self._mistakes.append(mistake)

    def raise_mistakes(self) -> None:
        """The first one, if any."""
        if self._mistakes:
            first, more = self._mistakes[0], len(self._mistakes) - 1
            self._mistakes.clear()
            if more:
                first.add_note(f"and {more} more on the clock's way")
            raise first

    # Orders

    def free(self, order: Order) -> Decimal:
        """What an order may close, as if it and the one that waits for it held nothing."""
        own = (order, order.successor)
        working = {
            key: each
            for key, each in self.book.working.items()
            if not any(each is mine for mine in own)
        }
        return available(replace(self.book, working=working), order.symbol)

    def find(self, order_id: str) -> Order:
        """An order or a leg by its id; Refusal when there is none."""
        order = self.book.orders.get(order_id)
        if order is None:
            legs = (leg for parent in self.book.orders.values() for leg in parent.legs)
            order = next((leg for leg in legs if leg.id == order_id), None)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def find_by_client_id(self, client_order_id: str) -> Order:
        order = self.book.by_client_id.get(client_order_id)
        if order is None:
            raise not_found(f"order not found for {client_order_id}")
        return order

    def add(self, order: Order) -> None:
        """From now on it can be read with what is bound to it, and it holds its buying power."""
        group = (order,) if order.bond is None else order.bond.chain
        for each in group:
            self.book.orders[each.id] = each
            self.book.working[each.id] = each
            for named in (each, *each.legs):
                self.book.by_client_id[named.client_order_id] = named
        for each in group:
            self.tell(each.status, each)

    def set_status(self, order: Order, status: str) -> None:
        """Of the order and its legs, which move together; IllegalMove when it cannot be."""
        check_move(order.status, status)
        stamp = self.next_stamp()
        for each in (order, *order.legs):
            each.status = status
            each.updated_at = stamp
            if status in ENDED_AT:
                setattr(each, ENDED_AT[status], stamp)
        if status in ENDED_AT:
            self.book.working.pop(order.id, None)

    def tell(self, event: str, order: Order, executions: tuple[Execution, ...] = ()) -> None:
        update = Update(event=event, order=order, at=order.updated_at, executions=executions)
        for listener in self.listeners:
            listener(update)
        bonds.follow(self, order)

    def move(self, order: Order, status: str) -> None:
        """To a status that is told by its own name."""
        self.set_status(order, status)
        self.tell(status, order)
        waiting = order.successor
        if status in ENDED_BEFORE_REPLACED and waiting is not None and waiting.is_open:
            self.move(waiting, "rejected")  # what it was to replace has ended first

    def end(self, order: Order, status: str) -> None:
        """To a final status: it works no more."""
        self.move(order, status)
