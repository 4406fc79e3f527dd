"""The broker as a state machine: a market, one account, a clock that is told the time.

The same calls in the same order give the same answers, ids included. No HTTP, no wall
clock, no randomness of its own.
"""

from decimal import Decimal

from simulator import checks, corrections, days, fills, timetable, tricks
from simulator.accounting import Figures, figures
from simulator.back_office import BackOffice
from simulator.book import Activity, Book, Order
from simulator.disturbed import Disturbed
from simulator.equity import History
from simulator.faults import Faults
from simulator.intake import OrderAsk, parse
from simulator.market import Market, Quote, quote_of
from simulator.refusal import bad_parameter, not_found, unprocessable
from simulator.sessions import Session, Sessions
from simulator.switches import Switches
from simulator.symbols import Contract
from simulator.tape import Tape
from simulator.times import MINUTE, utc
from simulator.updates import Execution, Listener, Update, Watcher

GTC_DAYS = 90


class ClockError(ValueError):
    """The clock only goes forward, and not past the calendar."""


class Exchange:
    """`place` answers with the order as accepted; `route` then lets it meet the market."""

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
        self.market: Market = (market := Disturbed(market, self.faults))
        self.tape = Tape(market, sessions)
        self.switches = switches or Switches()
        self.listeners: list[Listener] = []
        self.watchers: list[Watcher] = []
        self.sessions = sessions
        self.now = start
        self.book = Book(account=account, cash_start=cash, cash=cash, equity_last=cash)
        self.office = BackOffice(self)
        self.history = History()
        self.created_at = start
        self._stamp = start
        self.faults.now = start

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

    def _stand_at(self, moment: int) -> None:
        before = self.now
        self.now = self.faults.now = moment
        if moment > before:
            for watcher in self.watchers:
                watcher(before, moment)

    def _next_event(self, to: int) -> int | None:
        event = timetable.next_after(self.now, self.sessions, self.switches)
        if self.book.working and self.is_open:
            event = min(event, (self.now // MINUTE + 1) * MINUTE)
        return event if event <= to else None

    def match_all(self) -> None:
        """Whatever works meets the market."""
        for order in list(self.book.working.values()):
            if order.status == "accepted":
                self._move(order, "new")
            self._match(order)

    def _next_stamp(self) -> int:
        """Now, but never the same moment twice."""
        self._stamp = max(self.now, self._stamp + 1_000)
        return self._stamp

    # Orders

    def place(self, body: object) -> Order:
        """Accept an order or raise Refusal; a refused one leaves no trace."""
        ask = parse(body)
        if ask.client_order_id in self.book.by_client_id:
            raise bad_parameter("client_order_id must be unique")
        session = self.session
        contracts = checks.find_contracts(ask, self.market, session, self.now)
        checks.check_hours(ask, contracts, session, self.now)
        intents = checks.find_intents(ask, self.book)
        checks.check_cutoff(
            contracts, intents, timetable.for_cutoffs(session, self.switches), self.now
        )
        checks.check_available(ask, intents, self.book)
        checks.check_cover(ask, contracts, intents, self.book)
        checks.check_covered_call(ask, contracts, intents, self.book)
        required = checks.required_usd(ask, contracts, intents, self.book, self._net(ask))
        available = self.figures().options_buying_power
        checks.check_buying_power(ask, contracts, required, available)
        order = self.make(ask, contracts, intents)
        order.required_usd = required
        self.add(order)
        return order

    def add(self, order: Order) -> None:
        """From now on it can be read, and it holds its buying power."""
        self.book.orders[order.id] = order
        self._tell(order.status, order)
        self.book.working[order.id] = order
        self.book.by_client_id[order.client_order_id] = order

    def route(self) -> None:
        """Pending orders become new and are matched."""
        for order in list(self.book.working.values()):
            if order.status == "pending_new":
                self._move(order, "new")
                self._match(order)

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

    def cancel(self, order_id: str) -> None:
        """Refusal when there is nothing to cancel; legs go with their parent only."""
        order = self.find(order_id)
        if order.ratio is not None:
            raise unprocessable("a leg cannot be canceled; cancel its parent order")
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        won = tricks.late_fill(self.faults, order, self.market, self.now) if self.is_open else None
        if won is not None:
            self.execute(order, order.qty - order.filled_qty, won)
            return
        self.end(order, "canceled")

    def correct_fill(self, activity_id: str, price: Decimal) -> Activity:
        """See corrections.correct."""
        return corrections.correct(self.book, activity_id, price)

    def bust_fill(self, activity_id: str) -> Activity:
        """See corrections.bust."""
        return corrections.bust(self.book, activity_id)

    def force_assignment(self, symbol: str, qty: int) -> None:
        """See BackOffice.force_assignment."""
        self.office.force_assignment(symbol, qty)

    def book_by_hand(
        self, symbol: str, contract: Contract | None, qty: int, price: Decimal
    ) -> Activity:
        """See BackOffice.book_by_hand."""
        return self.office.book_by_hand(symbol, contract, qty, price, self.now)

    def _net(self, ask: OrderAsk) -> Decimal:
        """What a unit may cost at most, debit positive."""
        if ask.limit_price is None:
            return checks.natural_net(ask, self.market, self.now)
        if ask.is_multileg or ask.legs[0].side == "buy":
            return ask.limit_price
        return -ask.limit_price

    def make(
        self, ask: OrderAsk, contracts: tuple[Contract | None, ...], intents: tuple[str, ...]
    ) -> Order:
        """An order that is not anywhere yet."""
        legs = []
        parent = self._blank(ask, ask.client_order_id)
        for leg, contract, intent in zip(ask.legs, contracts, intents, strict=True):
            made = self._blank(ask, None) if ask.is_multileg else parent
            made.created_at = made.submitted_at = made.updated_at = parent.created_at
            made.symbol, made.contract, made.side = leg.symbol, contract, leg.side
            made.intent = intent if contract is not None else None
            made.qty = leg.ratio * ask.qty
            if ask.is_multileg:
                made.type, made.limit_price, made.ratio = "", None, leg.ratio
                legs.append(made)
        parent.legs = tuple(legs)
        return parent

    def _blank(self, ask: OrderAsk, client_order_id: str | None) -> Order:
        stamp = self._next_stamp()
        days = GTC_DAYS if ask.time_in_force == "gtc" else 0
        return Order(
            id=self.book.new_id(),
            client_order_id=client_order_id or self.book.new_id(),
            created_at=stamp,
            submitted_at=stamp,
            updated_at=stamp,
            expires_at=self.session.close + days * 1440 * MINUTE,
            order_class="mleg" if ask.is_multileg else "simple",
            type=ask.type,
            time_in_force=ask.time_in_force,
            qty=ask.qty,
            limit_price=ask.limit_price,
            status="pending_new" if self.is_open else "accepted",
        )

    def _set(self, order: Order, status: str) -> None:
        stamp = self._next_stamp()
        for each in (order, *order.legs):
            each.status = status
            each.updated_at = stamp

    def _tell(self, event: str, order: Order, executions: tuple[Execution, ...] = ()) -> None:
        update = Update(event=event, order=order, at=order.updated_at, executions=executions)
        for listener in self.listeners:
            listener(update)

    def _move(self, order: Order, status: str) -> None:
        self._set(order, status)
        self._tell(status, order)

    def end(self, order: Order, status: str) -> None:
        """It works no more."""
        self._set(order, status)
        self._finish(order)
        self._tell(status, order)

    def _finish(self, order: Order) -> None:
        for each in (order, *order.legs):
            setattr(each, f"{order.status}_at", each.updated_at)
        del self.book.working[order.id]

    def _match(self, order: Order) -> None:
        """Fill the order at the far side when every leg has one and the limit allows."""
        if tricks.is_halted(self.market, order, self.now):
            return
        opened = self.session.open
        prices = []
        for leg in order.executed():
            price = fills.leg_price(leg, self.quote(leg.symbol), opened)
            if price is None:
                return
            prices.append(price)
        net = fills.net_price(order, prices)
        if fills.limit_allows(order, net):
            part = tricks.part(self.faults, order, order.qty - order.filled_qty)
            self.execute(order, part.units, prices)
            if part.ends and order.is_open:
                self.end(order, "canceled")

    def execute(self, order: Order, units: int, prices: list[Decimal]) -> None:
        """Trade some units of an order at these prices, one a leg."""
        if units <= 0:
            return
        left = order.qty - order.filled_qty - units
        self._set(order, "partially_filled" if left else "filled")
        if not left:
            self._finish(order)
        if order.legs:
            net = fills.net_price(order, prices)
            paid = order.filled_qty * (order.filled_avg_price or Decimal(0)) + units * net
            order.filled_qty += units
            order.filled_avg_price = paid / order.filled_qty
        executions = tuple(
            self._trade(leg, units * (leg.ratio or 1), price)
            for leg, price in zip(order.executed(), prices, strict=True)
        )
        self._tell("partial_fill" if left else "fill", order, executions)

    def _trade(self, leg: Order, qty: int, price: Decimal) -> Execution:
        signed = qty if leg.side == "buy" else -qty
        paid = leg.filled_qty * (leg.filled_avg_price or Decimal(0)) + qty * price
        leg.filled_qty += qty
        leg.filled_avg_price = paid / leg.filled_qty
        self.book.cash -= price * signed * (100 if leg.contract is not None else 1)
        self.book.hold(leg.symbol, leg.contract, signed, price)
        done = self._fill_activity(leg, qty, price)
        self.book.activities.append(done)
        return Execution(
            id=done.execution_id,
            order=leg,
            qty=qty,
            price=price,
            position_qty=self.book.qty(leg.symbol),
        )

    def _fill_activity(self, leg: Order, qty: int, price: Decimal) -> Activity:
        at = leg.updated_at
        return Activity(
            id=f"{utc(at):%Y%m%d%H%M%S}{at // 1_000_000 % 1000:03d}::{self.book.new_id()}",
            kind="FILL",
            at=at,
            day=utc(at).date(),
            symbol=leg.symbol,
            qty=Decimal(qty),
            price=price,
            side=leg.side,
            order_id=leg.id,
            cum_qty=leg.filled_qty,
            leaves_qty=leg.qty - leg.filled_qty,
        )
