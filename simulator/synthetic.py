"""A made-up market whose every quote follows from its profiles and the seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeVar
from zlib import crc32

import numpy as np

from simulator import spreads
from simulator.listing import Listing
from simulator.market import GREEKS, Action, Adjustment, Bar, Chain, Floats, Halt
from simulator.paths import Path
from simulator.premium import Table, Terms
from simulator.profile import PROFILES, Profile
from simulator.sessions import Session, Sessions
from simulator.surface import YEAR_MINUTES, Inputs
from simulator.symbols import Contract, is_option_symbol, root_of
from simulator.times import MINUTE, new_york_day

Key = TypeVar("Key")
Value = TypeVar("Value")

CACHED_CHAINS = 12
CACHED_TABLES = 8
CACHED_LISTINGS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class _Columns:
    """A listing as numbers, kept for the day."""

    contracts: Sequence[Contract]
    rows: dict[str, int]
    terms: Terms  # strikes are those of one share
    shares: Floats  # of a share, that a hundredth of a contract delivers
    nickel_usd: Floats  # tick from 3 USD on
    width: Floats  # of spreads


class _Stock:
    """One underlying: its path, its listings, and its prices of a session."""

    def __init__(self, profile: Profile, seed: int, sessions: Sessions, first: date) -> None:
        self.profile = profile
        self.path = Path(profile, seed, sessions, first)
        self.listing = Listing(profile, first, sessions, self.path.closes)
        self._sessions = sessions
        self._first = first
        self._columns: dict[date, _Columns] = {}
        self._tables: dict[tuple[date, date, bool], Table] = {}

    def listing_day(self, now: int) -> date:
        """Contracts change at midnight, but for splits, which wait for the opening."""
        day = max(new_york_day(now), self._first)
        if not self.profile.splits:
            return day
        started = max(self._sessions.started(now).day, self._first)
        waits = any(started < split.ex_day <= day for split in self.profile.splits)
        return started if waits else day

    def columns(self, day: date) -> _Columns:
        if day not in self._columns:
            _forget(self._columns, CACHED_LISTINGS)
            self._columns[day] = self._as_columns(self.listing.on(day), day)
        return self._columns[day]

    def ended(self, day: date) -> list[Contract]:
        """What expired before a day, since the first."""
        sessions = self._sessions.between(self._first, day)
        days = [session.day for session in sessions if session.day < day]
        return [c for each in days for c in self.columns(each).contracts if c.last_day == each]

    def _as_columns(self, contracts: Sequence[Contract], day: date) -> _Columns:
        closes = {c.last_day: self._sessions.on(c.last_day) for c in contracts}
        ends = {day: session.close for day, session in closes.items() if session is not None}
        shares = np.array([c.size / 100 for c in contracts])
        terms = Terms(
            strike=np.array([float(c.strike) for c in contracts]) / shares,
            sign=np.array([1.0 if c.right == "call" else -1.0 for c in contracts]),
            close=np.array([float(ends[c.last_day]) for c in contracts]),
            dividends=self._dividends(day),
            shape=self.profile.shape,
        )
        return _Columns(
            contracts=contracts,
            rows={c.symbol: row for row, c in enumerate(contracts)},
            terms=terms,
            shares=shares,
            nickel_usd=np.full(len(contracts), 0.05 if self.profile.nickels else 0.01),
            width=np.where(shares != 1, spreads.ADJUSTED_WIDER, 1.0),
        )

    def _dividends(self, day: date) -> list[tuple[int, float]]:
        """Still to come, at the opening of each ex-day, in shares of `day`."""
        found = []
        for dividend in self.profile.all_dividends(self._sessions):
            session = self._sessions.on(dividend.ex_day)
            if session is not None and dividend.ex_day >= day:
                later = [s for s in self.profile.splits if day < s.ex_day <= dividend.ex_day]
                ratio = float(np.prod([float(split.ratio) for split in later]))
                found.append((session.open, float(dividend.usd) * ratio))
        return found

    def table(self, day: date, session: Session, at: int) -> Table:
        """Prices of what is listed on `day` as they go in a session, or stood at its close."""
        key = (day, session.day, at >= session.close)
        if key not in self._tables:
            _forget(self._tables, CACHED_TABLES)
            self._tables[key] = self._make_table(day, session, is_over=key[2])
        return self._tables[key]

    def _make_table(self, day: date, session: Session, *, is_over: bool) -> Table:
        walk = self.path.walk(session)
        order = np.argsort(walk.price, kind="stable")
        logs, vols = np.log(walk.price[order]), np.log(walk.vol[order])
        low, high = float(walk.price[order[0]]), float(walk.price[order[-1]])
        first, last = session.open, session.close
        if is_over:
            low, high, first = float(walk.price[-1]), float(walk.price[-1]), last
        return Table(
            self.columns(day).terms,
            (first, last),
            (low, high),
            lambda spot: float(np.exp(np.interp(np.log(spot), logs, vols))),
        )


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
        self._seed = seed
        self._sessions = sessions
        self._stocks = {name: _Stock(profiles[name], seed, sessions, first) for name in underlyings}
        self._chains: dict[tuple[str, int, int], Chain] = {}

    def listed_as(self, underlying: str) -> tuple[str, str]:
        profile = self._stocks[underlying].profile
        return profile.name or underlying, profile.exchange

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        stock = self._stocks.get(underlying)
        if stock is None:
            return ()
        day = stock.listing_day(now)
        found = {contract.symbol: contract for contract in stock.ended(day)}
        found |= {contract.symbol: contract for contract in stock.columns(day).contracts}
        return [found[symbol] for symbol in sorted(found)]

    def contract(self, symbol: str, now: int) -> Contract | None:
        if not is_option_symbol(symbol):
            return None
        stock = self._stocks.get(root_of(symbol).rstrip("0123456789"))
        if stock is None:
            return None
        day = stock.listing_day(now)
        columns = stock.columns(day)
        row = columns.rows.get(symbol)
        if row is not None:
            return columns.contracts[row]
        return next((c for c in stock.ended(day) if c.symbol == symbol), None)

    def chain(self, underlying: str, now: int) -> Chain | None:
        stock = self._stocks.get(underlying)
        if stock is None:
            return None
        at, spot, vol = stock.path.at(now)
        alive_from = now // MINUTE * MINUTE
        key = (underlying, at, alive_from)
        if key not in self._chains:
            _forget(self._chains, CACHED_CHAINS)
            day = stock.listing_day(now)
            session = self._sessions.started(now)
            table = stock.table(day, session, at)
            made = self._price(stock, stock.columns(day), at, table.greeks(at, spot, vol))
            self._chains[key] = made.only(table.terms.close > alive_from)
        return self._chains[key]

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

    def _price(
        self,
        stock: _Stock,
        columns: _Columns,
        at: int,
        model: tuple[Inputs, dict[str, Floats]],
    ) -> Chain:
        inputs, values = model
        count = len(columns.contracts)
        name = stock.profile.symbol.encode()
        rng = np.random.default_rng([self._seed, crc32(name), at // MINUTE])
        unsigned = np.abs(values["delta"])
        value = values["value"] * columns.shares
        bid, ask = spreads.sides(value, unsigned, columns.nickel_usd, columns.width, rng)
        size = spreads.sizes(unsigned, rng)
        is_near = inputs.years * YEAR_MINUTES < 1440
        unknown = np.isnan(bid) | np.isnan(ask) | (bid > ask) | is_near
        return Chain(
            contracts=columns.contracts,
            at=np.full(count, at, dtype=np.int64),
            bid=bid,
            ask=ask,
            bid_size=np.where(np.isnan(bid), 0, size[0]),
            ask_size=np.where(np.isnan(ask), 0, size[1]),
            vol=np.where(unknown, np.nan, np.round(inputs.vol, 4)),
            greeks={name: np.round(values[name] * columns.shares, 4) + 0.0 for name in GREEKS},
            rows=columns.rows,
        )


def _forget(cache: dict[Key, Value], most: int) -> None:
    """Make room for one more; the oldest goes first."""
    while len(cache) >= most:
        cache.pop(next(iter(cache)))
