"""The broker as a state machine: a market, one account, a clock that is told the time.

The same calls in the same order give the same answers, ids included. No HTTP, no wall
clock, no randomness of its own.
"""

from collections.abc import Sequence
from decimal import Decimal

from simulator import matching, pending, placing, settlement
from simulator.book import Order
from simulator.desk import Desk
from simulator.intake import OrderAsk, parse
from simulator.matching import arrive, meet
from simulator.sessions import Session
from simulator.symbols import Contract
from simulator.times import MINUTE, new_york_day, utc


class ClockError(ValueError):
    """The clock only goes forward, and not past the calendar."""


class Exchange(Desk):
    """`place` answers with the order as accepted; `route` then lets it meet the market."""

    # The clock

    def advance(self, to: int) -> None:
        """Live through everything up to `to`, in order; ClockError when it lies behind."""
        if to < self.now:
            raise ClockError(f"the clock stands at {utc(self.now).isoformat()}; it never goes back")
        if to > self.sessions.bounds()[1]:
            raise ClockError(f"the calendar ends before {utc(to).isoformat()}")
        while (event := self._next_event(to)) is not None:
            self.now = event
            self._live_through(event)
        self.now = to

    def _next_event(self, to: int) -> int | None:
        session = self.session
        if self.now < session.open:
            event = session.open
        elif self.book.working:
            event = min((self.now // MINUTE + 1) * MINUTE, session.close)
        else:
            event = session.close
        return event if event <= to else None

    def _live_through(self, event: int) -> None:
        session = self.sessions.started(event)
        if event == session.close:
            self._close(session)
            return
        self.match_all()

    def match_all(self) -> None:
        """Whatever works meets the market at this moment of the session."""
        for order in list(self.book.working.values()):
            pending.settle(self, order)
            if order.status == "accepted" and not order.is_waiting:
                arrive(self, order)
            elif order.is_open:
                meet(self, order)

    def _close(self, session: Session) -> None:
        for order in list(self.book.working.values()):
            if order.time_in_force == "cls":
                meet(self, order)
            if order.is_open and new_york_day(order.expires_at) <= session.day:
                self.end(order, "expired")
        settlement.settle(
            self.book, session.day, session.close, lambda name: self._close_of(name, session)
        )
        self.book.equity_last = self.figures().equity

    def _close_of(self, underlying: str, session: Session) -> Decimal | None:
        official = self.market.official_close(underlying, session.day)
        if official is not None:
            return official
        spot = self.market.spot(underlying, session.close)
        return spot[1] if spot is not None else None

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
        return placing.make(self, unchecked)

    def execute(self, order: Order, units: int, prices: Sequence[Decimal]) -> None:
        """Trade some of an order at these prices, one a leg, whatever the market says."""
        matching.execute(self, order, units, prices)

    def route(self) -> None:
        """What was accepted gets to the market: new orders, cancels and replacements."""
        for order in list(self.book.working.values()):
            pending.settle(self, order)
            if order.status == "pending_new" and not order.is_waiting:
                arrive(self, order)

    def cancel(self, order_id: str) -> None:
        """Refusal when there is nothing to cancel; legs go with their parent only."""
        pending.cancel(self, order_id)

    def replace(self, order_id: str, body: object) -> Order:
        """The order that follows another; `route` then puts it in its place."""
        return pending.replace(self, order_id, body)
