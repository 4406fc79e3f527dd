"""The broker as a state machine: a market, one account, a clock that is told the time.

The same calls in the same order give the same answers, ids included. No HTTP, no wall
clock, no randomness of its own.
"""

from decimal import Decimal

from simulator import checks, fills, settlement
from simulator.accounting import Figures, figures
from simulator.adjustment import adjust
from simulator.book import Activity, Book, Order
from simulator.intake import OrderAsk, parse
from simulator.market import Market, Quote, quote_of
from simulator.refusal import bad_parameter, not_found, unprocessable
from simulator.sessions import Session, Sessions
from simulator.switches import Switches
from simulator.symbols import Contract
from simulator.times import MINUTE, utc
from simulator.updates import Execution, Listener, Update

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
        self.market = market
        self.switches = switches or Switches()
        self.listeners: list[Listener] = []
        self.sessions = sessions
        self.now = start
        self.book = Book(account=account, cash_start=cash, cash=cash, equity_last=cash)
        self.created_at = start
        self._stamp = start

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
        if event == session.open:
            self._adjust(session)
        for order in list(self.book.working.values()):
            if order.status == "accepted":
                self._move(order, "new")
            self._match(order)

    def _adjust(self, session: Session) -> None:
        """The day's splits: orders in the old contracts end, positions become the new ones."""
        adjustments = self.market.adjustments(session.day)
        gone = {adjustment.old.symbol for adjustment in adjustments}
        for order in list(self.book.working.values()):
            if any(leg.symbol in gone for leg in order.executed()):
                self._end(order, "canceled")
        adjust(self.book, self.market, adjustments, session)

    def _close(self, session: Session) -> None:
        for order in list(self.book.working.values()):
            if order.expires_at <= session.close:
                self._end(order, "expired")
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
        checks.check_cutoff(contracts, intents, session, self.now)
        checks.check_available(ask, intents, self.book)
        checks.check_cover(ask, contracts, intents, self.book)
        checks.check_covered_call(ask, contracts, intents, self.book)
        required = checks.required_usd(ask, contracts, intents, self.book, self._net(ask))
        available = self.figures().options_buying_power
        checks.check_buying_power(ask, contracts, required, available)
        order = self._make(ask, contracts, intents)
        order.required_usd = required
        self.book.orders[order.id] = order
        self._tell(order.status, order)
        self.book.working[order.id] = order
        self.book.by_client_id[order.client_order_id] = order
        return order

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
        self._end(order, "canceled")

    def _net(self, ask: OrderAsk) -> Decimal:
        """What a unit may cost at most, debit positive."""
        if ask.limit_price is None:
            return checks.natural_net(ask, self.market, self.now)
        if ask.is_multileg or ask.legs[0].side == "buy":
            return ask.limit_price
        return -ask.limit_price

    def _make(
        self, ask: OrderAsk, contracts: tuple[Contract | None, ...], intents: tuple[str, ...]
    ) -> Order:
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

    def _end(self, order: Order, status: str) -> None:
        self._set(order, status)
        self._finish(order)
        self._tell(status, order)

    def _finish(self, order: Order) -> None:
        for each in (order, *order.legs):
            setattr(each, f"{order.status}_at", each.updated_at)
        del self.book.working[order.id]

    def _match(self, order: Order) -> None:
        """Fill the whole order at the far side when every leg has one and the limit allows."""
        opened = self.session.open
        prices = []
        for leg in order.executed():
            if self.market.halt(leg.contract.underlying if leg.contract else leg.symbol, self.now):
                return
            price = fills.leg_price(leg, self.quote(leg.symbol), opened)
            if price is None:
                return
            prices.append(price)
        net = fills.net_price(order, prices)
        if fills.limit_allows(order, net):
            self._fill(order, prices, net)

    def _fill(self, order: Order, prices: list[Decimal], net: Decimal) -> None:
        self._set(order, "filled")
        self._finish(order)
        order.filled_qty, order.filled_avg_price = order.qty, net
        executions = []
        for leg, price in zip(order.executed(), prices, strict=True):
            leg.filled_qty, leg.filled_avg_price = leg.qty, price
            multiplier = 100 if leg.contract is not None else 1
            self.book.cash -= price * leg.signed_qty() * multiplier
            self.book.hold(leg.symbol, leg.contract, leg.signed_qty(), price)
            done = self._fill_activity(leg, price)
            self.book.activities.append(done)
            held = self.book.qty(leg.symbol)
            executions.append(
                Execution(
                    id=done.execution_id, order=leg, qty=leg.qty, price=price, position_qty=held
                )
            )
        self._tell("fill", order, tuple(executions))

    def _fill_activity(self, leg: Order, price: Decimal) -> Activity:
        at = leg.filled_at or self.now
        return Activity(
            id=f"{utc(at):%Y%m%d%H%M%S}{at // 1_000_000 % 1000:03d}::{self.book.new_id()}",
            kind="FILL",
            at=at,
            day=utc(at).date(),
            symbol=leg.symbol,
            qty=Decimal(leg.qty),
            price=price,
            side=leg.side,
            order_id=leg.id,
            cum_qty=leg.qty,
        )
