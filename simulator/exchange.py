"""The broker as a state machine: a market, one account, a clock that is told the time.

The same calls in the same order give the same answers, ids included. No HTTP, no wall
clock, no randomness of its own.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property

from simulator import corrections, days, guard, matching, pending, placing, timetable
from simulator.back_office import BackOffice
from simulator.book import Activity, Order
from simulator.desk import Desk
from simulator.intake import OrderAsk, parse
from simulator.symbols import Contract
from simulator.times import MINUTE, utc


class ClockError(ValueError):
    """The clock only goes forward, and not past the calendar."""


class Exchange(Desk):
    """`place` answers with the order as accepted; `route` then lets it meet the market."""

    @cached_property
    def office(self) -> BackOffice:
        """What the broker does by itself."""
        return BackOffice(self)

    # The clock

    def advance(self, to: int) -> None:
        """Live through everything up to `to`, in order; ClockError when it lies behind."""
        if to < self.now:
            raise ClockError(f"the clock stands at {utc(self.now).isoformat()}; it never goes back")
        if to > self.sessions.bounds()[1]:
            raise ClockError(f"the calendar ends before {utc(to).isoformat()}")
        while (event := self._next_event(to)) is not None:
            self._stand_at(event)
            days.live_through(self, event)
        self._stand_at(to)
        if self.history.is_due(to):
            self.history.note(to, self.figures().equity)
        self.raise_mistakes()

    def _stand_at(self, moment: int) -> None:
        before = self.now
        self.now = self.faults.now = moment
        if moment > before:
            for watcher in self.watchers:
                watcher(before, moment)

    def _next_event(self, to: int) -> int | None:
        event = timetable.next_after(self.now, self.sessions, self.switches)
        if self.book.working:
            ends = (order.expires_at for order in self.book.working.values())
            event = min([event, *(end for end in ends if end > self.now)])
        if self.book.working and self.is_open:
            event = min(event, (self.now // MINUTE + 1) * MINUTE)
        return event if event <= to else None

    # Orders

    def place(self, body: object) -> Order:
        """Accept an order or raise Refusal; a refused one leaves no trace."""
        ask = parse(body, self.switches)
        order = placing.make(self, placing.admit(self, ask, self.book))
        self.add(order)
        return order

    def make(
        self, ask: OrderAsk, contracts: tuple[Contract | None, ...], intents: tuple[str, ...]
    ) -> Order:
        """An order that no client asked for: no check, no buying power, not in the book yet."""
        unchecked = placing.Admitted(
            ask=ask, contracts=contracts, intents=intents, required_usd=Decimal(0)
        )
        made = placing.make(self, unchecked)
        made.is_brokers = True
        return made

    def execute(self, order: Order, units: Decimal, prices: Sequence[Decimal]) -> None:
        """Trade some of an order at these prices, one a leg, whatever the market says."""
        matching.execute(self, order, units, prices)

    def route(self) -> None:
        """What was accepted gets to the market: new orders, cancels and replacements."""
        for order in list(self.book.working.values()):
            pending.settle(self, order)
            if order.status == "pending_new" and not order.is_waiting:
                matching.arrive(self, order)

    def match_all(self) -> None:
        """Whatever works meets the market at this moment of the session."""
        for order in list(self.book.working.values()):
            with self.one_of_many():
                self._match(order)

    def _match(self, order: Order) -> None:
        pending.settle(self, order)
        if order.status == "accepted" and not order.is_waiting:
            matching.arrive(self, order)
        elif order.is_open:
            matching.meet(self, order)

    def cancel(self, order_id: str) -> None:
        """Refusal when there is nothing to cancel; legs go with their parent only."""
        pending.cancel(self, order_id)

    def replace(self, order_id: str, body: object) -> Order:
        """The order that follows another; `route` then puts it in its place."""
        return pending.replace(self, order_id, body)

    # What happens without the client

    def correct_fill(self, activity_id: str, price: Decimal) -> Activity:
        """See corrections.correct."""
        return corrections.correct(self.book, activity_id, price)

    def bust_fill(self, activity_id: str) -> Activity:
        """See corrections.bust."""
        busted = corrections.bust(self.book, activity_id)
        order = corrections.package_of(self.book, busted)
        if order is not None and order.is_open:
            self.end(order, "canceled")  # its legs are not filled alike any more
        guard.recheck(self)
        return busted

    def force_assignment(self, symbol: str, qty: int) -> None:
        """See BackOffice.force_assignment."""
        self.office.force_assignment(symbol, qty)

    def book_by_hand(
        self, symbol: str, contract: Contract | None, qty: Decimal, price: Decimal
    ) -> Activity:
        """See BackOffice.book_by_hand."""
        booked = self.office.book_by_hand(symbol, contract, qty, price, self.now)
        guard.recheck(self)
        return booked
