"""Made-up stock prices, minute by minute; the same for the same seed, whoever asks and when."""

from dataclasses import dataclass
from datetime import date
from zlib import crc32

import numpy as np

from simulator.market import Bar, Floats
from simulator.sessions import Session, Sessions
from simulator.times import MINUTE

HISTORY_SESSIONS = 40
SESSIONS_PER_YEAR = 252
#: Stocks move less than options say, so that selling premium pays on average.
REALISED_OF_IMPLIED = 0.85
OVERNIGHT_VARIANCE_SHARE = 0.15
JUMPS_PER_SESSION = 0.15
JUMP_SIZE = 0.004  # standard deviation of a jump, as a return
VOL_REVERSION = 0.08  # part of the gap to the long-run vol closed in a session
VOL_OF_VOL = 0.05  # of the log vol, per session
VOL_LEVERAGE = 2.5  # rise of the log vol for a fall of the stock of 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """One session: `price[k]` stands from k minutes after the opening to the next minute.

    The last price is the close. `vol` is the thirty-day implied vol, per year.
    """

    session: Session
    price: Floats
    vol: Floats


class Path:
    """Walks of one stock from 40 sessions before the first day on, made when first asked for."""

    def __init__(
        self, symbol: str, anchor_usd: float, vol: float, seed: int, sessions: Sessions, first: date
    ) -> None:
        self._symbol = symbol
        self._seed = seed
        self._sessions = sessions
        self._long_run = np.log(vol)
        before = [session for session in sessions.all if session.day < first]
        self._walks: dict[date, Walk] = {}
        self._log_vol = self._long_run
        self._last = anchor_usd
        self._next = len(before) - HISTORY_SESSIONS
        self._first = self._next
        for _ in range(HISTORY_SESSIONS):
            self._extend()
        self._scale(anchor_usd / self._last)

    def walk(self, session: Session) -> Walk:
        """Of a session from the history on; KeyError before it."""
        while session.day not in self._walks and self._sessions.all[self._next].day <= session.day:
            self._extend()
        return self._walks[session.day]

    def at(self, now: int) -> tuple[int, float, float]:
        """Moment, price in USD and implied vol of the last minute that has begun."""
        walk = self.walk(self._sessions.started(now))
        minute = min((now - walk.session.open) // MINUTE, len(walk.price) - 1)
        at = walk.session.open + minute * MINUTE
        return at, float(walk.price[minute]), float(walk.vol[minute])

    def closes(self, first: date, before: date) -> list[float]:
        """Closing prices of the sessions in [first, before), and the one ahead of them."""
        sessions = [self._sessions.before(first)]
        sessions += [s for s in self._sessions.between(first, before) if s.day < before]
        return [float(self.walk(session).price[-1]) for session in sessions]

    def minutes(self, start: int, end: int) -> list[Bar]:
        """Finished or not, the bars that begin in [start, end)."""
        bars: list[Bar] = []
        for session in self._sessions.all[self._first :]:
            if session.open >= end:
                break
            if session.close > start:
                bars += [bar for bar in self._bars(session) if start <= bar.at < end]
        return bars

    def daily(self, now: int) -> list[Bar]:
        """From the history to `now`."""
        bars = []
        for session in self._sessions.all[self._first :]:
            if session.open > now:
                break
            last = min((now - session.open) // MINUTE, (session.close - session.open) // MINUTE)
            seen = self.walk(session).price[: last + 1]
            bars.append(_bar(session.open, seen, 1000 * (last + 1)))
        return bars

    def _bars(self, session: Session) -> list[Bar]:
        price = self.walk(session).price
        return [
            _bar(session.open + k * MINUTE, price[k : k + 2], 800 + (k * 37) % 400)
            for k in range(len(price) - 1)
        ]

    def _extend(self) -> None:
        session = self._sessions.all[self._next]
        rng = np.random.default_rng([self._seed, crc32(self._symbol.encode()), self._next_seed()])
        count = (session.close - session.open) // MINUTE
        vol = float(np.exp(self._log_vol))
        day_sd = REALISED_OF_IMPLIED * vol / np.sqrt(SESSIONS_PER_YEAR)
        gap = day_sd * np.sqrt(OVERNIGHT_VARIANCE_SHARE) * rng.standard_normal()
        sd = day_sd * np.sqrt((1 - OVERNIGHT_VARIANCE_SHARE) / count)
        steps = sd * rng.standard_normal(count)
        jumps = rng.random(count) < JUMPS_PER_SESSION / count
        steps += jumps * JUMP_SIZE * rng.standard_normal(count)
        moves = np.concatenate(([gap], gap + np.cumsum(steps)))
        log_vol = self._log_vol - VOL_LEVERAGE * moves
        price = np.maximum(np.round(self._last * np.exp(moves), 2), 0.01)
        self._walks[session.day] = Walk(session=session, price=price, vol=np.exp(log_vol))
        self._last = float(price[-1])
        gap_to_mean = self._long_run - float(log_vol[-1])
        self._log_vol = float(log_vol[-1]) + VOL_REVERSION * gap_to_mean
        self._log_vol += VOL_OF_VOL * float(rng.standard_normal())
        self._next += 1

    def _next_seed(self) -> int:
        return self._sessions.all[self._next].day.toordinal()

    def _scale(self, factor: float) -> None:
        for day, walk in self._walks.items():
            price = np.round(walk.price * factor, 2)
            self._walks[day] = Walk(session=walk.session, price=price, vol=walk.vol)
        self._last = round(self._last * factor, 2)


def _bar(at: int, price: Floats, volume: int) -> Bar:
    return Bar(
        at=at,
        open=float(price[0]),
        high=float(price.max()),
        low=float(price.min()),
        close=float(price[-1]),
        volume=volume,
        trades=volume // 8,
    )
