"""A made-up market whose every quote follows from its profiles and the seed."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from simulator.market import Action, Adjustment, Bar, Chain, Halt
from simulator.profile import PROFILES, Profile
from simulator.sessions import Sessions
from simulator.stock import Stock
from simulator.symbols import Contract, is_option_symbol, root_of
from simulator.times import MINUTE, new_york_day


class Synthetic:
    """See `market.Market` for what each question means."""

    knows_trades = False

    def __init__(
        self,
        first: date,
        underlyings: Sequence[str],
        seed: int,
        sessions: Sessions,
        *,
        last: date | None = None,
        profiles: Mapping[str, Profile] = PROFILES,
    ) -> None:
        """`last` is only for who asks which days are meant; the market goes on after it."""
        self.days = tuple(session.day for session in sessions.between(first, last or first))
        self.underlyings = tuple(underlyings)
        self._sessions = sessions
        self._stocks = {name: Stock(profiles[name], seed, sessions, first) for name in underlyings}

    def listed_as(self, underlying: str) -> tuple[str, str]:
        profile = self._stocks[underlying].profile
        return profile.name or underlying, profile.exchange

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        stock = self._stocks.get(underlying)
        return () if stock is None else stock.known(stock.listing_day(now))

    def contract(self, symbol: str, now: int) -> Contract | None:
        if not is_option_symbol(symbol):
            return None
        stock = self._stocks.get(root_of(symbol).rstrip("0123456789"))
        return None if stock is None else stock.find(symbol, stock.listing_day(now))

    def chain(self, underlying: str, now: int) -> Chain | None:
        stock = self._stocks.get(underlying)
        return None if stock is None else stock.chain(now)

    def chain_of(self, contract: Contract, now: int) -> Chain | None:
        stock = self._stocks.get(contract.underlying)
        return None if stock is None else stock.chain_of(contract, now)

    def spot(self, underlying: str, now: int) -> tuple[int, Decimal] | None:
        stock = self._stocks.get(underlying)
        if stock is None:
            return None
        at, price, _ = stock.path.at(now)
        return at, Decimal(f"{price:.2f}")

    def quoted_at(self, underlying: str, now: int) -> int:
        return now

    def moments(self, underlying: str, start: int, end: int) -> list[int]:
        stock = self._stocks.get(underlying)
        return stock.path.moments(start, end) if stock is not None else []

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        session = self._sessions.on(day)
        stock = self._stocks.get(underlying)
        if session is None or stock is None:
            return None
        return Decimal(f"{stock.path.walk(session).price[-1]:.2f}")

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        session = self._sessions.before(new_york_day(now))
        if symbol in self._stocks:
            close = self.official_close(symbol, session.day)
            return (session.day, close) if close is not None else None
        contract = self.contract(symbol, now)
        if contract is None:
            return None
        chain = self.chain(contract.underlying, session.close - MINUTE)
        quote = chain.quote(symbol) if chain is not None else None
        mark = quote.mark() if quote is not None else None
        return (session.day, mark) if mark is not None else None

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        stock = self._stocks.get(underlying)
        return stock.path.minutes(start, end) if stock is not None else []

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        return []

    def daily(self, underlying: str, now: int) -> list[Bar]:
        stock = self._stocks.get(underlying)
        return stock.path.daily(now) if stock is not None else []

    def actions(self, now: int) -> list[Action]:
        today = new_york_day(now)
        known = (a for s in self._stocks.values() for a in s.profile.actions(self._sessions))
        return [action for action in known if (action.declared_day or action.ex_day) <= today]

    def halt(self, underlying: str, now: int) -> Halt | None:
        stock = self._stocks.get(underlying)
        return stock.path.halt(now) if stock is not None else None

    def adjustments(self, day: date) -> list[Adjustment]:
        return [
            adjustment
            for stock in self._stocks.values()
            for split in stock.listing.splits_on(day)
            for adjustment in stock.listing.adjusted(split)
        ]
