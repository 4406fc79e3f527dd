"""Made-up stock prices, minute by minute; the same for the same seed, whoever asks and when."""

from dataclasses import dataclass, replace
from datetime import date
from zlib import crc32

import numpy as np

from simulator.market import Bar, Floats, Halt, Integers
from simulator.profile import Profile
from simulator.sessions import Session, Sessions
from simulator.times import MINUTE, new_york_moment

HISTORY_SESSIONS = 40
SESSIONS_PER_YEAR = 252
#: Stocks move less than options say, so that selling premium pays on average.
REALISED_OF_IMPLIED = 0.85
#: Scripted moves cannot push the vol past these.
LOG_VOL_BOUNDS = (np.log(0.02), np.log(3.0))
FIRST_TRADE = 100  # shares
VOL_REVERSION = 0.08  # part of the gap to the long-run vol closed in a session


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """One session: `price[k]` stands from k minutes after the opening to the next minute.

    The last price is the close. `vol` is the thirty-day implied vol, per year; `stands` the minute
    whose price is the last known one, another than k in a halt.
    """

    session: Session
    price: Floats
    vol: Floats
    stands: Integers


class Path:
    """Walks of one stock from 40 sessions before the first day on, made when first asked for."""

    def __init__(self, profile: Profile, seed: int, sessions: Sessions, first: date) -> None:
        self._profile = profile
        self._seed = seed
        self._sessions = sessions
        self._long_run = np.log(profile.vol)
        self._paid: dict[date, float] = {}
        for dividend in profile.all_dividends(sessions):
            paid = self._paid.get(dividend.ex_day, 0.0)
            self._paid[dividend.ex_day] = paid + float(dividend.usd)
        self._ratios = {s.ex_day: float(s.ratio) for s in profile.splits}
        self._halts = [pause.halt() for pause in profile.halts]
        before = [session for session in sessions.all if session.day < first]
        self._walks: dict[date, Walk] = {}
        self._log_vol = self._long_run
        self._last = profile.price_usd
        self._next = len(before) - HISTORY_SESSIONS
        self._first = self._next
        for _ in range(HISTORY_SESSIONS):
            self._extend()
        self._scale(profile.price_usd / self._last)

    def walk(self, session: Session) -> Walk:
        """Of a session from the history on; KeyError before it."""
        while session.day not in self._walks and self._sessions.all[self._next].day <= session.day:
            self._extend()
        return self._walks[session.day]

    def at(self, now: int) -> tuple[int, float, float]:
        """Moment, price in USD and implied vol of the last minute that has begun, outside halts."""
        walk = self.walk(self._sessions.started(now))
        minute = min((now - walk.session.open) // MINUTE, len(walk.price) - 1)
        minute = int(walk.stands[minute])
        at = walk.session.open + minute * MINUTE
        return at, float(walk.price[minute]), float(walk.vol[minute])

    def halt(self, now: int) -> Halt | None:
        """None while it trades."""
        return next((halt for halt in self._halts if halt.start <= now < halt.end), None)

    def closes(self, first: date, before: date) -> list[float]:
        """Closing prices of the sessions in [first, before), and the one ahead of them, in shares
        of `first`."""
        ahead = self._sessions.before(first)
        sessions = [s for s in self._sessions.between(first, before) if s.day < before]
        start = float(self.walk(ahead).price[-1]) / self._ratios.get(first, 1.0)
        return [start, *(float(self.walk(session).price[-1]) for session in sessions)]

    def minutes(self, start: int, end: int) -> list[Bar]:
        """Finished or not, the bars that begin in [start, end)."""
        bars: list[Bar] = []
        for session in self._sessions.all[self._first :]:
            if session.open >= end:
                break
            if session.close > start:
                bars += [bar for bar in self._bars(session) if start <= bar.at < end]
        return bars

    def moments(self, start: int, end: int) -> list[int]:
        """The minutes in [start, end] with a price of their own."""
        found: list[int] = []
        for session in self._sessions.all[self._first :]:
            if session.open > end:
                break
            if session.close >= start:
                own = np.flatnonzero(
                    (stands := self.walk(session).stands) == np.arange(len(stands))
                )
                at = session.open + own * MINUTE
                found += at[(at >= start) & (at <= end)].tolist()
        return found

    def daily(self, now: int) -> list[Bar]:
        """From the history to `now`."""
        bars = []
        for session in self._sessions.all[self._first :]:
            if session.open > now:
                break
            last = min((now - session.open) // MINUTE, (session.close - session.open) // MINUTE)
            walk = self.walk(session)
            seen = walk.price[walk.stands[: last + 1]]
            bars.append(_bar(session.open, seen, _volumes(walk)[:last]))
        return bars

    def _bars(self, session: Session) -> list[Bar]:
        walk = self.walk(session)
        volumes = _volumes(walk)
        return [
            _bar(session.open + k * MINUTE, walk.price[k : k + 2], volumes[k : k + 1])
            for k in range(len(walk.price) - 1)
            if walk.stands[k] == k
        ]

    def _extend(self) -> None:
        """The next session: a gap, diffusion and jumps, by the vol of the night before."""
        session, profile = self._sessions.all[self._next], self._profile
        rng = np.random.default_rng([self._seed, crc32(profile.symbol.encode()), self._next_seed()])
        count = (session.close - session.open) // MINUTE
        vol = float(np.exp(self._log_vol))
        day_sd = REALISED_OF_IMPLIED * vol / np.sqrt(SESSIONS_PER_YEAR)
        gap = day_sd * np.sqrt(profile.overnight_share) * rng.standard_normal()
        sd = day_sd * np.sqrt((1 - profile.overnight_share) / count)
        steps = sd * rng.standard_normal(count)
        jumps = rng.random(count) < profile.jumps_per_session / count
        steps += jumps * profile.jump_size * rng.standard_normal(count)
        moves = np.concatenate(([gap], gap + np.cumsum(steps))) + self._scripted(session)
        log_vol = np.clip(self._log_vol - profile.leverage * moves, *LOG_VOL_BOUNDS)
        start = (self._last - self._paid.get(session.day, 0.0)) / self._ratios.get(session.day, 1.0)
        price = np.maximum(np.round(max(start, 0.01) * np.exp(moves), 2), 0.01)
        self._walks[session.day] = Walk(
            session=session, price=price, vol=np.exp(log_vol), stands=self._stands(session)
        )
        self._last = float(price[-1])
        gap_to_mean = self._long_run - float(log_vol[-1])
        self._log_vol = float(log_vol[-1]) + VOL_REVERSION * gap_to_mean
        self._log_vol += profile.vol_of_vol * float(rng.standard_normal())
        self._next += 1

    def _scripted(self, session: Session) -> Floats:
        """The log of what a profile's moves have done by each minute."""
        found = np.zeros((session.close - session.open) // MINUTE + 1)
        for jump in self._profile.moves:
            if jump.day == session.day:
                at = new_york_moment(jump.day, jump.at.hour, jump.at.minute)
                found[max((at - session.open) // MINUTE, 0) :] += np.log1p(jump.move)
        return found

    def _stands(self, session: Session) -> Integers:
        """Of each minute the one whose price is known in it: halted ones show the last before."""
        found = np.arange((session.close - session.open) // MINUTE + 1)
        for halt in self._halts:
            first = max((halt.start - session.open) // MINUTE, 0)
            last = (halt.end - session.open - 1) // MINUTE
            if last >= 0 and first < len(found) - 1:
                # The closing price is official and comes out all the same.
                found[first : min(last + 1, len(found) - 1)] = max(first - 1, 0)
        return found

    def _next_seed(self) -> int:
        return self._sessions.all[self._next].day.toordinal()

    def _scale(self, factor: float) -> None:
        for day, walk in self._walks.items():
            price = np.round(walk.price * factor, 2)
            self._walks[day] = replace(walk, price=price)
        self._last = round(self._last * factor, 2)


def _volumes(walk: Walk) -> Integers:
    """Of each minute, none in a halt."""
    minutes = np.arange(len(walk.price) - 1)
    return np.where(walk.stands[:-1] == minutes, 800 + minutes * 37 % 400, 0)


def _bar(at: int, price: Floats, volumes: Integers) -> Bar:
    """Of minutes with these volumes; a day that has just opened has its first trade."""
    return Bar(
        at=at,
        open=float(price[0]),
        high=float(price.max()),
        low=float(price.min()),
        close=float(price[-1]),
        volume=max(int(volumes.sum()), FIRST_TRADE),
        trades=max(int((volumes // 8).sum()), 1),
    )
