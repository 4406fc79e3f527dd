"""What the broker does by itself: sell-outs, nights, exercises that are asked for."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from simulator import allotment, dividends, fees, guard, means, settlement, splits
from simulator.book import Activity, Book, Position, trade_usd
from simulator.checks import BROAD_ETFS
from simulator.desk import Desk
from simulator.market import Market, quote_of
from simulator.promises import available, exercise
from simulator.refusal import Refusal, forbidden, unprocessable
from simulator.rows import Clerk
from simulator.sessions import Session, Sessions
from simulator.switches import ExercisePosts, Switches
from simulator.symbols import Contract, plain
from simulator.times import MINUTE, new_york_day
from simulator.what_if import moved

EXERCISE_SHORT = 40310001
#: A do-not-exercise request may come late, at best effort.
DECLINE_MINUTES_LATE = 30


class BackOffice:
    """Acts on one account; the exchange says when."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def book(self) -> Book:
        return self._desk.book

    @property
    def market(self) -> Market:
        return self._desk.market

    @property
    def sessions(self) -> Sessions:
        return self._desk.sessions

    @property
    def switches(self) -> Switches:
        return self._desk.switches

    # What a day brings

    def open(self, session: Session) -> None:
        """What is held this morning may have been split or have gone ex."""
        if not self.book.positions:
            return
        last = self.sessions.before(session.day).day
        clerk = self._clerk(session.day, session.open)
        days = (last, session.day)
        split = dividends.actions_between(self.market, splits.SPLIT, session.open, days)
        splits.split_shares(clerk, split, lambda name: self.market.spot(name, session.open))
        splits.adjust_contracts(clerk, self.market.adjustments(session.day))
        if self.switches.dividends:
            going = dividends.going_ex(self.market, session.open, last, session.day)
            dividends.note(self.book, going)

    def sell_out(self, session: Session, *, broad: bool) -> list[Position]:
        """What the broker closes now, in order."""
        expiring = [
            held
            for held in self.book.positions.values()
            if held.contract is not None
            and held.contract.last_day == session.day
            and (held.contract.underlying in BROAD_ETFS) == broad
        ]
        return means.to_sell_out(self._desk, expiring, self.switches.sell_out)

    def night(self, session: Session, now: int) -> None:
        """Contracts, shares and cash move."""
        clerk = self._clerk(session.day, now)
        settlement.settle(
            clerk,
            self._close_of,
            lambda *case: self._allotted(session, *case),
            lambda *case: means.exercisable(self._desk, *case),
        )
        dividends.pay(clerk)
        if self.switches.fees:
            fees.charge(clerk)

    def _clerk(self, day: date, now: int) -> Clerk:
        return Clerk(book=self.book, switches=self.switches, day=day, now=now)

    def _close_of(self, underlying: str, day: date) -> Decimal | None:
        """The official close, else the last price."""
        official = self.market.official_close(underlying, day)
        session = self.sessions.on(day)
        if official is not None or session is None:
            return official
        spot = self.market.spot(underlying, session.close)
        return spot[1] if spot is not None else None

    def _allotted(self, session: Session, held: Position, contract: Contract) -> Decimal:
        """How many of a short position that lives on are assigned tonight."""
        forced = self.book.to_be_assigned.get(contract.symbol, 0)
        drawn = self._drawn(session, held, contract)
        return min(Decimal(max(forced, drawn)), -held.qty)

    def _drawn(self, session: Session, held: Position, contract: Contract) -> int:
        if self.switches.early_assignment <= 0:
            return 0
        close = self._close_of(contract.underlying, session.day)
        quote = quote_of(self.market, contract.symbol, session.close - 1)
        mark = quote.mark() if quote is not None else None
        if close is None or mark is None or not means.is_in_the_money(contract, close):
            return 0
        case = allotment.Case(
            worth_usd=contract.intrinsic(close),
            mark_usd=mark,
            dividend_usd=self._dividend_tomorrow(session, contract),
        )
        share = allotment.chance(case, self.switches.early_assignment)
        seed = self.switches.seed
        return allotment.drawn(int(-held.qty), share, contract.symbol, session.day, seed)

    def _dividend_tomorrow(self, session: Session, contract: Contract) -> Decimal:
        if contract.right != "call":
            return Decimal(0)
        tomorrow = self.sessions.current_or_next(session.close).day
        going = dividends.going_ex(self.market, session.close, session.day, tomorrow)
        rates = [action.rate for action in going if action.symbol == contract.underlying]
        return sum(rates, Decimal(0))

    # What a client asks for

    def exercise(self, name: str, now: int) -> None:
        """All available contracts of a long position; Refusal."""
        held, contract = self._long(name)
        self._check_hours(now, 0)
        qty = available(self.book, held.symbol)
        session = self.sessions.current_or_next(now)
        if qty <= 0 or contract.last_day < session.day:
            raise forbidden("no available position to exercise", symbol=held.symbol)
        if means.exercisable(self._desk, contract, qty) < qty:
            raise self._short_of_means(contract, qty)
        way, usd = exercise(contract, qty), means.cash_moved(contract, qty)
        if guard.is_harmful(self._desk, moved(self.book, way, usd)):
            raise forbidden("account not eligible to trade uncovered option contracts")
        if self.switches.exercise_posts is ExercisePosts.NIGHT:
            self.book.exercising[held.symbol] = self.book.exercising.get(held.symbol, 0) + qty
        else:
            settlement.deliver(self._clerk(session.day, now), contract, qty)

    def decline(self, name: str, now: int) -> None:
        """Do not exercise a long position when it expires; Refusal."""
        held, contract = self._long(name)
        late = DECLINE_MINUTES_LATE if contract.last_day == new_york_day(now) else 0
        self._check_hours(now, late)
        if self.book.exercising.get(held.symbol, 0) >= held.qty:
            raise forbidden("no available position", symbol=held.symbol)
        if held.symbol not in self.book.not_exercising:
            then = replace(self.book, not_exercising=self.book.not_exercising | {held.symbol})
            if guard.is_harmful(self._desk, then):
                raise forbidden("account not eligible to trade uncovered option contracts")
            self.book.not_exercising.add(held.symbol)

    def _long(self, name: str) -> tuple[Position, Contract]:
        held = self.book.position(name)
        if held is None:
            known = self.market.contract(name, self._desk.now)
            if known is not None or "-" in name:
                raise forbidden("no available position to exercise", symbol=name)
            raise unprocessable(f"invalid symbol: {name}")
        if held.contract is None:
            raise unprocessable(f"invalid symbol: {held.symbol} is no option contract")
        if held.qty < 0:
            raise Refusal(403, EXERCISE_SHORT, "cannot exercise a short position", {})
        return held, held.contract

    def _check_hours(self, now: int, minutes_late: int) -> None:
        """Nobody could say which day a request between the close and midnight belongs to."""
        session = self.sessions.on(new_york_day(now))
        if session is not None and now >= session.close + minutes_late * MINUTE:
            raise unprocessable(
                "exercise requests are not accepted between the market close and midnight"
            )

    def _short_of_means(self, contract: Contract, qty: Decimal) -> Refusal:
        if contract.right == "put":
            return forbidden(
                "insufficient underlying qty available to exercise",
                available_qty=plain(available(self.book, contract.underlying, sold=True)),
                required_qty=plain(-means.shares_moved(contract, qty)),
                symbol=contract.underlying,
            )
        return forbidden(
            "insufficient buying power to exercise",
            buying_power=plain(max(min(self.book.cash, self._desk.figures().left), Decimal(0))),
            cost_basis=plain(-means.cash_moved(contract, qty)),
        )

    # What happens without the client

    def force_assignment(self, symbol: str, qty: int) -> None:
        """As many of a short position are assigned tonight, whatever they are worth."""
        self.book.to_be_assigned[symbol] = self.book.to_be_assigned.get(symbol, 0) + qty

    def book_by_hand(
        self, symbol: str, contract: Contract | None, qty: Decimal, price: Decimal, now: int
    ) -> Activity:
        """Contracts or shares in (qty > 0) or out against cash, with a row to be read at once."""
        net = -trade_usd(price, qty, is_option=contract is not None)
        self.book.cash += net
        self.book.hold(symbol, contract, qty, price)
        day = self.sessions.current_or_next(now).day
        row = self._clerk(day, now).write(
            "JNLS", symbol, qty=qty, price=price, net_usd=net, description="Journal"
        )
        self.book.activities[-1] = replace(row, at=now, readable_at=now)
        return self.book.activities[-1]
