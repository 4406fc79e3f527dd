"""Trades of contracts, made up on top of a market's quotes where it does not know any.

A contract with enough open interest trades at fixed moments of the session, once each, at a price
between the quotes of that moment. Price and size follow from symbol, moment and quote alone, so
that every question about them has the same answer, and the last trades of a whole chain need no
more than two chains of quotes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar
from zlib import crc32

import numpy as np

from simulator.market import Bar, Chain, Market
from simulator.sessions import Session, Sessions
from simulator.symbols import Contract
from simulator.times import MINUTE, new_york_day

BUSY_INTEREST = 2000  # contracts open; these trade every 10 minutes
BUSY_MINUTES = 10
SLOW_INTEREST = 300  # these every hour, those with less not at all
SLOW_MINUTES = 60
STALE_MINUTES = 5  # nobody trades on an older quote
CACHED_MARKS = 160
SHARED_SESSIONS = 2  # so few are priced as whole chains, since many contracts are asked in turn
EXCHANGES: Final = "CNIQAZXM"
CONDITIONS: Final = "aIIIaIfg"
Row = TypeVar("Row")
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Print:
    """One trade of a contract: `size` contracts at `price` USD a share."""

    at: int
    price: float
    size: int
    exchange: str
    condition: str


#: What every contract that is quoted at one moment would trade at, by symbol.
Mark = Mapping[str, Print]


class Tape:
    """Nothing here is later than the moment asked about."""

    def __init__(self, market: Market, sessions: Sessions) -> None:
        self._market = market
        self._sessions = sessions
        self._marks: dict[tuple[str, int], Mark] = {}
        self._first: dict[str, date] = {}  # known once there is a price

    def prints(
        self, contract: Contract, start: int, end: int, *, newest_first: bool = False
    ) -> Iterator[Print]:
        """Trades in [start, end], each priced when it is asked for; none of a market that has
        recorded its own."""
        sessions = [] if self._market.knows_trades else self._days(contract, start, end)
        mark = self._mark if len(sessions) <= SHARED_SESSIONS else self._mark_alone
        for session in _ordered(sessions, newest_first):
            for at in _ordered(self._moments(session, contract), newest_first):
                found = mark(contract, at).get(contract.symbol) if start <= at <= end else None
                if found is not None:
                    yield found

    def minutes(
        self, contract: Contract, start: int, end: int, *, newest_first: bool = False
    ) -> Iterator[Bar]:
        """Bars of the minutes with a trade that begin in [start, end]."""
        if self._market.knows_trades:
            found = self._market.option_minutes(contract.symbol, start, end + 1)
            return iter(_ordered(found, newest_first))
        prints = self.prints(contract, start, end, newest_first=newest_first)
        return (_bar(one) for one in prints)

    def latest(self, contracts: Sequence[Contract], now: int) -> list[Print | None]:
        """The last trade of each in the session that runs, or that ran last; as for `prints`."""
        if self._market.knows_trades:
            return [None] * len(contracts)
        session = self._sessions.started(now)
        found: dict[str, Print] = {}
        for minutes, are_theirs in ((BUSY_MINUTES, _is_busy), (SLOW_MINUTES, _is_slow)):
            missing = [contract for contract in contracts if are_theirs(contract)]
            moments = [at for at in self._marks_of(session, minutes) if at <= now]
            # Most have traded at the last moment; who had no price then did so earlier, or never.
            while missing and moments:
                at = moments.pop()
                for contract in missing:
                    if (one := self._mark(contract, at).get(contract.symbol)) is not None:
                        found[contract.symbol] = one
                missing = [contract for contract in missing if contract.symbol not in found]
        return [found.get(contract.symbol) for contract in contracts]

    def _days(self, contract: Contract, start: int, end: int) -> list[Session]:
        """Sessions that overlap [start, end], from the first with a price of the stock on."""
        name = contract.underlying
        if name not in self._first:
            bars = self._market.daily(name, end)
            if not bars:
                return []
            self._first[name] = new_york_day(bars[0].at)
        first = max(new_york_day(start), self._first[name])
        last = min(new_york_day(end), contract.last_day)
        sessions = self._sessions.between(first, last)
        return [one for one in sessions if one.open <= end and one.close > start]

    def _moments(self, session: Session, contract: Contract) -> list[int]:
        if _is_busy(contract):
            return self._marks_of(session, BUSY_MINUTES)
        return self._marks_of(session, SLOW_MINUTES) if _is_slow(contract) else []

    def _marks_of(self, session: Session, minutes: int) -> list[int]:
        """Days before the market's first are thin, so that months of them are read quickly."""
        if session.day < self._market.days[0]:
            middle = (session.close - session.open) // (2 * MINUTE) * MINUTE
            return [session.open, session.open + middle, session.close - BUSY_MINUTES * MINUTE]
        return list(range(session.open, session.close, minutes * MINUTE))

    def _mark(self, contract: Contract, at: int) -> Mark:
        """Of its whole chain: kept for the others who ask."""
        key = (contract.underlying, at)
        if key not in self._marks:
            while len(self._marks) >= CACHED_MARKS:
                self._marks.pop(next(iter(self._marks)))
            is_still = self._is_still(contract.underlying, at)
            chain = None if is_still else self._market.chain(contract.underlying, at)
            self._marks[key] = {} if chain is None else _marked(chain, at)
        return self._marks[key]

    def _mark_alone(self, contract: Contract, at: int) -> Mark:
        is_still = self._is_still(contract.underlying, at)
        chain = None if is_still else self._market.chain_of(contract, at)
        return {} if chain is None else _marked(chain, at)

    def _is_still(self, underlying: str, at: int) -> bool:
        """In a halt nothing trades."""
        halt = self._market.halt(underlying, at)
        return halt is not None and halt.start < at


def _ordered(rows: Sequence[Row], newest_first: bool) -> Sequence[Row]:
    return rows[::-1] if newest_first else rows


def _is_busy(contract: Contract) -> bool:
    return (contract.open_interest or 0) >= BUSY_INTEREST


def _is_slow(contract: Contract) -> bool:
    return SLOW_INTEREST <= (contract.open_interest or 0) < BUSY_INTEREST


def _marked(chain: Chain, at: int) -> Mark:
    """A side nobody quotes counts as the other one."""
    names = [crc32(contract.symbol.encode()) for contract in chain.contracts]
    mixed = _mixed(np.array(names, dtype=np.uint64), at)
    share = (mixed >> np.uint64(40)).astype(np.float64) / 2**24
    low, high = np.fmin(chain.bid, chain.ask), np.fmax(chain.bid, chain.ask)
    price = np.clip(np.round(low + share * (high - low), 2), low, high)
    lively = np.asarray(chain.at) >= at - STALE_MINUTES * MINUTE
    many = (mixed >> np.uint64(8)) % np.uint64(7)
    venue = (mixed % np.uint64(len(EXCHANGES))).tolist()
    columns = (price.tolist(), (1 + many * many).tolist(), lively.tolist(), venue)
    return {
        contract.symbol: Print(
            at=at,
            price=price_usd,
            size=size,
            exchange=EXCHANGES[place],
            condition=CONDITIONS[place],
        )
        for contract, price_usd, size, is_lively, place in zip(
            chain.contracts, *columns, strict=True
        )
        if is_lively and price_usd == price_usd  # not NaN
    }


def _mixed(names: "np.typing.NDArray[np.uint64]", at: int) -> "np.typing.NDArray[np.uint64]":
    """Evenly spread numbers, the same for the same name and moment."""
    with np.errstate(over="ignore"):
        mixed = (names + np.uint64(at // MINUTE)) * _PRIME
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return mixed ^ (mixed >> np.uint64(32))


def _bar(one: Print) -> Bar:
    return Bar(
        at=one.at // MINUTE * MINUTE,
        open=one.price,
        high=one.price,
        low=one.price,
        close=one.price,
        volume=one.size,
        trades=1,
    )
