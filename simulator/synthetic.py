"""A made-up market of three underlyings whose every quote follows from the seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zlib import crc32

import numpy as np

from simulator import listing, surface
from simulator.market import Action, Bar, Chain, Floats
from simulator.paths import Path
from simulator.sessions import Sessions
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE, new_york_day

CACHED_CHAINS = 12
#: Parts of a chain that are crossed, or have one side only, at any minute.
CROSSED_SHARE = 0.001
ONE_SIDED_SHARE = 0.002
WORTHLESS_USD = 0.015  # models below this have no bid


@dataclass(frozen=True, kw_only=True, slots=True)
class _Columns:
    """A listing as numbers, kept for the day."""

    contracts: Sequence[Contract]
    rows: dict[str, int]
    strike: Floats
    sign: Floats
    close: Floats  # nanoseconds of the last trading moment
    nickel_usd: Floats  # tick from 3 USD on


class Synthetic:
    """See `market.Market` for what each question means."""

    knows_trades = False

    def __init__(
        self, first: date, underlyings: Sequence[str], seed: int, sessions: Sessions
    ) -> None:
        self.days: tuple[date, ...] = (first,)
        self.underlyings = tuple(underlyings)
        self._seed = seed
        self._sessions = sessions
        self._paths = {
            name: Path(
                name,
                listing.PROFILES[name].anchor_usd,
                listing.PROFILES[name].vol,
                seed,
                self._sessions,
                first,
            )
            for name in underlyings
        }
        self._listings: dict[tuple[str, date], _Columns] = {}
        self._known: dict[str, Contract] = {}
        self._chains: dict[tuple[str, int, int], Chain] = {}

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        if underlying not in self._paths:
            return ()
        day = self._listing_day(now)
        self._columns(underlying, day)
        ended = [c for c in self._known.values() if c.underlying == underlying]
        return sorted(ended, key=lambda contract: contract.symbol)

    def contract(self, symbol: str, now: int) -> Contract | None:
        if not is_option_symbol(symbol):
            return None
        day = self._listing_day(now)
        for underlying in self.underlyings:
            self._columns(underlying, day)
        return self._known.get(symbol)

    def chain(self, underlying: str, now: int) -> Chain | None:
        if underlying not in self._paths:
            return None
        at, spot, vol = self._paths[underlying].at(now)
        alive_from = now // MINUTE
        key = (underlying, at, alive_from)
        if key not in self._chains:
            while len(self._chains) >= CACHED_CHAINS:
                self._chains.pop(next(iter(self._chains)))
            columns = self._columns(underlying, self._listing_day(now))
            alive = np.flatnonzero(columns.close > alive_from * MINUTE)
            self._chains[key] = self._price(underlying, _take(columns, alive), at, (spot, vol))
        return self._chains[key]

    def spot(self, underlying: str, now: int) -> tuple[int, Decimal] | None:
        if underlying not in self._paths:
            return None
        at, price, _ = self._paths[underlying].at(now)
        return at, Decimal(f"{price:.2f}")

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        session = self._sessions.on(day)
        if session is None or underlying not in self._paths:
            return None
        return Decimal(f"{self._paths[underlying].walk(session).price[-1]:.2f}")

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        session = self._sessions.before(new_york_day(now))
        if symbol in self._paths:
            close = self.official_close(symbol, session.day)
            return (session.day, close) if close is not None else None
        contract = self._known.get(symbol)
        if contract is None:
            return None
        chain = self.chain(contract.underlying, session.close - MINUTE)
        quote = chain.quote(symbol) if chain is not None else None
        mark = quote.mark() if quote is not None else None
        return (session.day, mark) if mark is not None else None

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        path = self._paths.get(underlying)
        return path.minutes(start, end) if path is not None else []

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        return []

    def daily(self, underlying: str, now: int) -> list[Bar]:
        path = self._paths.get(underlying)
        return path.daily(now) if path is not None else []

    def actions(self, now: int) -> list[Action]:
        return []

    def _listing_day(self, now: int) -> date:
        return max(new_york_day(now), self.days[0])

    def _columns(self, underlying: str, day: date) -> _Columns:
        key = (underlying, day)
        if key not in self._listings:
            profile = listing.PROFILES[underlying]
            first = self.days[0]
            ends = listing.expirations(profile, day, first, self._sessions)
            closes = self._paths[underlying].closes(first, day)
            listed = self._sessions.before(day).day
            made = listing.contracts(profile, ends, listed, first, closes)
            self._listings = {old: v for old, v in self._listings.items() if _near(old[1], day)}
            self._listings[key] = self._as_columns(made)
            self._known.update({contract.symbol: contract for contract in made})
        return self._listings[key]

    def _as_columns(self, contracts: Sequence[Contract]) -> _Columns:
        closes = {c.last_day: self._sessions.on(c.last_day) for c in contracts}
        ends = {day: session.close for day, session in closes.items() if session is not None}
        spy = [c.underlying == "SPY" for c in contracts]
        return _Columns(
            contracts=contracts,
            rows={c.symbol: row for row, c in enumerate(contracts)},
            strike=np.array([float(c.strike) for c in contracts]),
            sign=np.array([1.0 if c.right == "call" else -1.0 for c in contracts]),
            close=np.array([float(ends[c.last_day]) for c in contracts]),
            nickel_usd=np.where(spy, 0.01, 0.05),
        )

    def _price(
        self, underlying: str, columns: _Columns, at: int, state: tuple[float, float]
    ) -> Chain:
        spot, vol = state
        shape = listing.PROFILES[underlying].shape
        minutes = np.maximum((columns.close - at) / MINUTE, 1.0)
        years = minutes / surface.YEAR_MINUTES
        vols = surface.implied_vol(columns.strike, years, spot, vol, shape)
        inputs = surface.Inputs(
            strike=columns.strike,
            years=years,
            sign=columns.sign,
            vol=vols,
            spot=spot,
            dividend_yield=shape.dividend_yield,
        )
        value = surface.price(inputs)
        greeks = surface.greeks(inputs)
        rng = np.random.default_rng([self._seed, crc32(underlying.encode()), at // MINUTE])
        bid, ask = _sides(value, np.abs(greeks["delta"]), columns.nickel_usd, rng)
        size = rng.integers(1, 120, (2, len(value)))
        unknown = np.isnan(bid) | np.isnan(ask) | (bid > ask) | (years < 1 / 365)
        return Chain(
            contracts=columns.contracts,
            at=np.full(len(value), at, dtype=np.int64),
            bid=bid,
            ask=ask,
            bid_size=np.where(np.isnan(bid), 0, size[0]),
            ask_size=np.where(np.isnan(ask), 0, size[1]),
            vol=np.where(unknown, np.nan, np.round(vols, 4)),
            greeks={name: np.round(column, 4) for name, column in greeks.items()},
            rows=columns.rows,
        )


def _sides(
    value: Floats, delta: Floats, nickel_usd: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Bid and ask on ticks about the model; wider for dear and for deep contracts."""
    tick = np.where(value < 3, 0.01, nickel_usd)
    deep = np.maximum(delta - 0.5, 0.0)
    half = 0.015 + 0.007 * value**0.75 + 0.008 * value * deep
    half *= rng.uniform(0.8, 1.2, len(value))
    bid = np.round(np.floor((value - half) / tick + 1e-9) * tick, 2)
    ask = np.round(np.ceil((value + half) / tick - 1e-9) * tick, 2)
    ask = np.maximum(ask, 0.01)
    bid = np.where((value < WORTHLESS_USD) | (bid <= 0), np.nan, bid)
    odd = rng.random(len(value))
    crossed = (odd < CROSSED_SHARE) & (bid > 0.05)
    bid, ask = np.where(crossed, ask, bid), np.where(crossed, bid, ask)
    one_sided = (odd >= CROSSED_SHARE) & (odd < CROSSED_SHARE + ONE_SIDED_SHARE)
    no_ask = one_sided & (rng.random(len(value)) < 0.5)
    return np.where(one_sided & ~no_ask, np.nan, bid), np.where(no_ask, np.nan, ask)


def _take(columns: _Columns, rows: np.typing.NDArray[np.intp]) -> _Columns:
    if len(rows) == len(columns.contracts):
        return columns
    kept = [columns.contracts[row] for row in rows]
    return _Columns(
        contracts=kept,
        rows={contract.symbol: row for row, contract in enumerate(kept)},
        strike=columns.strike[rows],
        sign=columns.sign[rows],
        close=columns.close[rows],
        nickel_usd=columns.nickel_usd[rows],
    )


def _near(one: date, other: date) -> bool:
    return abs(one - other) <= timedelta(days=5)
