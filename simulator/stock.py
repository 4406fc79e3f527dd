"""One made-up underlying: its path, what it has listed, and what it quotes, a whole chain at a time
or one contract alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar
from zlib import crc32

import numpy as np

from simulator import spreads
from simulator.listing import MONTHLY_DAYS, Listing
from simulator.market import GREEKS, Chain, Floats, Integers
from simulator.paths import Path
from simulator.premium import Table, Terms
from simulator.profile import Profile
from simulator.sessions import Session, Sessions
from simulator.symbols import Contract, expiration_of
from simulator.times import MINUTE, new_york_day

Key = TypeVar("Key")
Value = TypeVar("Value")

CACHED_CHAINS = 12
CACHED_TABLES = 8
CACHED_LISTINGS = 80  # more than the sessions in which a contract is listed
CACHED_SINGLE_TABLES = 160


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Contracts as numbers, kept for the day."""

    contracts: Sequence[Contract]
    rows: dict[str, int]
    terms: Terms  # strikes are those of one share
    shares: Floats  # of a share, that a hundredth of a contract delivers
    nickel_usd: Floats  # tick from 3 USD on
    width: Floats  # of spreads
    last_day: Integers  # as ordinals

    def only(self, row: int) -> "Columns":
        """That contract alone."""
        one = slice(row, row + 1)
        contracts = self.contracts[one]
        return Columns(
            contracts=contracts,
            rows={contracts[0].symbol: 0},
            terms=self.terms.only(one),
            shares=self.shares[one],
            nickel_usd=self.nickel_usd[one],
            width=self.width[one],
            last_day=self.last_day[one],
        )


class Stock:
    """Nothing here looks past the moment asked about."""

    def __init__(self, profile: Profile, seed: int, sessions: Sessions, first: date) -> None:
        self.profile = profile
        self.path = Path(profile, seed, sessions, first)
        self.listing = Listing(profile, first, sessions, self.path.closes)
        self._odd = spreads.Odd(crossed=profile.crossed_share, one_sided=profile.one_sided_share)
        self._seed = seed
        self._sessions = sessions
        self._first = first
        self._columns: dict[date, Columns] = {}
        self._tables: dict[tuple[date, date, bool], Table] = {}
        self._single_tables: dict[tuple[str, date, date, bool], Table] = {}
        self._chains: dict[tuple[int, int], Chain] = {}
        self._ended: dict[date, dict[str, Contract]] = {}
        self._known: tuple[date, Sequence[Contract]] = (first, ())

    # What is listed

    def listing_day(self, now: int) -> date:
        """Contracts change at midnight, but for splits, which wait for the opening."""
        day = max(new_york_day(now), self._first)
        if not self.profile.splits:
            return day
        started = max(self._sessions.started(now).day, self._first)
        waits = any(started < split.ex_day <= day for split in self.profile.splits)
        return started if waits else day

    def columns(self, day: date) -> Columns:
        if day not in self._columns:
            _forget(self._columns, CACHED_LISTINGS)
            self._columns[day] = self._as_columns(self.listing.on(day), day)
        return self._columns[day]

    def known(self, day: date) -> Sequence[Contract]:
        """Listed on a day, or ended before it since the first; ordered by symbol."""
        if self._known[0] != day or not self._known[1]:
            sessions = self._sessions.between(self._first, day)
            found: dict[str, Contract] = {}
            for session in sessions:
                found |= self._ending(session.day) if session.day < day else {}
            found |= {contract.symbol: contract for contract in self.columns(day).contracts}
            self._known = day, [found[symbol] for symbol in sorted(found)]
        return self._known[1]

    def find(self, symbol: str, day: date) -> Contract | None:
        """Among those that are known on a day."""
        columns = self.columns(day)
        row = columns.rows.get(symbol)
        if row is not None:
            return columns.contracts[row]
        ended = expiration_of(symbol)
        if ended is None or not self._first <= ended < day or self._sessions.on(ended) is None:
            return None
        return self._ending(ended).get(symbol)

    def _ending(self, day: date) -> dict[str, Contract]:
        """On their last day."""
        if day not in self._ended:
            self._ended[day] = {c.symbol: c for c in self.listing.ending(day)}
        return self._ended[day]

    def _as_columns(self, contracts: Sequence[Contract], day: date) -> Columns:
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
        return Columns(
            contracts=contracts,
            rows={c.symbol: row for row, c in enumerate(contracts)},
            terms=terms,
            shares=shares,
            nickel_usd=np.full(len(contracts), 0.05 if self.profile.nickels else 0.01),
            width=np.where(shares != 1, spreads.ADJUSTED_WIDER, 1.0),
            last_day=np.array([c.last_day.toordinal() for c in contracts], dtype=np.int64),
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

    # What is quoted

    def chain(self, now: int) -> Chain:
        """Of all that is listed and has not ended."""
        at, _, _ = self.path.at(now)
        alive_from = now // MINUTE * MINUTE
        key = (at, alive_from)
        if key not in self._chains:
            _forget(self._chains, CACHED_CHAINS)
            day, session = self.listing_day(now), self._sessions.started(now)
            columns = self.columns(day)
            draws = spreads.draws(len(columns.contracts), self._chance(at))
            made = self._quoted(columns, self.table(day, session, at), draws, now)
            self._chains[key] = made.only(columns.terms.close > alive_from)
        return self._chains[key]

    def chain_of(self, contract: Contract, now: int) -> Chain | None:
        """The row of `chain` of one contract, without pricing the others; None: not quoted."""
        at, _, _ = self.path.at(now)
        day, session = self.listing_day(now), self._sessions.started(now)
        if not day <= contract.last_day or (contract.last_day - day).days > MONTHLY_DAYS:
            return None
        columns = self.columns(day)
        row = columns.rows.get(contract.symbol)
        if row is None or columns.terms.close[row] <= now // MINUTE * MINUTE:
            return None
        alone = columns.only(row)
        key = (contract.symbol, day, session.day, at >= session.close)
        if key not in self._single_tables:
            _forget(self._single_tables, CACHED_SINGLE_TABLES)
            self._single_tables[key] = self._make_table(alone.terms, session, is_over=key[3])
        draws = spreads.draws(len(columns.contracts), self._chance(at)).only(row)
        return self._quoted(alone, self._single_tables[key], draws, now)

    def _chance(self, at: int) -> np.random.Generator:
        name = self.profile.symbol.encode()
        return np.random.default_rng([self._seed, crc32(name), at // MINUTE])

    def table(self, day: date, session: Session, at: int) -> Table:
        """Prices of what is listed on `day` as they go in a session, or stood at its close."""
        key = (day, session.day, at >= session.close)
        if key not in self._tables:
            _forget(self._tables, CACHED_TABLES)
            terms = self.columns(day).terms
            self._tables[key] = self._make_table(terms, session, is_over=key[2])
        return self._tables[key]

    def _make_table(self, terms: Terms, session: Session, *, is_over: bool) -> Table:
        walk = self.path.walk(session)
        order = np.argsort(walk.price, kind="stable")
        logs, vols = np.log(walk.price[order]), np.log(walk.vol[order])
        low, high = float(walk.price[order[0]]), float(walk.price[order[-1]])
        first, last = session.open, session.close
        if is_over:
            low, high, first = float(walk.price[-1]), float(walk.price[-1]), last
        return Table(
            terms,
            (first, last),
            (low, high),
            lambda spot: float(np.exp(np.interp(np.log(spot), logs, vols))),
        )

    def _quoted(self, columns: Columns, table: Table, draws: spreads.Draws, now: int) -> Chain:
        at, spot, vol = self.path.at(now)
        inputs, values = table.greeks(at, spot, vol)
        unsigned = np.abs(values["delta"])
        value = values["value"] * columns.shares
        nickel, width = columns.nickel_usd, columns.width
        bid, ask = spreads.sides(value, unsigned, nickel, width, draws, self._odd)
        size = spreads.sizes(unsigned, draws)
        is_last_day = columns.last_day <= new_york_day(now).toordinal()
        unknown = np.isnan(bid) | np.isnan(ask) | (bid > ask) | is_last_day
        return Chain(
            contracts=columns.contracts,
            at=np.full(len(columns.contracts), at, dtype=np.int64),
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
