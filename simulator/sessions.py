"""When New York trades: sessions with early closes, from the exchange's published calendar."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, timedelta

import exchange_calendars

from simulator.times import DAY, nanoseconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One trading day; it is open while `open <= now < close`."""

    day: date
    open: int
    close: int

    def is_open(self, now: int) -> bool:
        return self.open <= now < self.close


class Sessions:
    """The sessions from 400 days before `first` to 500 days after `last`."""

    def __init__(self, first: date, last: date) -> None:
        calendar = exchange_calendars.get_calendar(
            "XNYS",
            start=(first - timedelta(days=400)).isoformat(),
            end=(last + timedelta(days=500)).isoformat(),
        )
        self.all = tuple(
            Session(
                day=day.date(),
                open=nanoseconds(opened.to_pydatetime()),
                close=nanoseconds(closed.to_pydatetime()),
            )
            for day, opened, closed in zip(
                calendar.sessions,
                calendar.opens.dt.tz_convert("UTC"),
                calendar.closes.dt.tz_convert("UTC"),
                strict=True,
            )
        )
        self._days = [session.day for session in self.all]
        self._opens = [session.open for session in self.all]
        self._closes = [session.close for session in self.all]

    def on(self, day: date) -> Session | None:
        """The session of a day; None when the exchange is shut."""
        at = bisect_left(self._days, day)
        return self.all[at] if at < len(self.all) and self._days[at] == day else None

    def current_or_next(self, now: int) -> Session:
        """The first session that has not closed at `now`."""
        return self.all[bisect_right(self._closes, now)]

    def started(self, now: int) -> Session:
        """The last session that has opened at `now`."""
        return self.all[bisect_right(self._opens, now) - 1]

    def next_open(self, now: int) -> int:
        """The first opening after `now`."""
        return self._opens[bisect_right(self._opens, now)]

    def before(self, day: date) -> Session:
        """The last session of an earlier day."""
        return self.all[bisect_left(self._days, day) - 1]

    def last_trading_day(self, expiration: date) -> date:
        """The expiration itself, or the session before a Saturday or a holiday."""
        at = bisect_right(self._days, expiration) - 1
        return self._days[at] if at >= 0 else expiration

    def between(self, start: date, end: date) -> tuple[Session, ...]:
        """Both days included."""
        return self.all[bisect_left(self._days, start) : bisect_right(self._days, end)]

    def bounds(self) -> tuple[int, int]:
        """The moments between which the clock may stand."""
        return self.all[0].close, self.all[-1].open - 30 * DAY
