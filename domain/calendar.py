"""The exchange's days: sessions, half days, the slots of a day, time to an expiry.

New York exists in this module and nowhere else; every instant that leaves it is aware UTC.
The sessions are those of exchange_calendars' XNYS; whether the market is open at this moment is
the broker's clock's to say.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import numpy.typing as npt
import pandas as pd

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY, LAST_DAY = date(2005, 1, 3), date(2035, 12, 31)
SLOT_MINUTES = 30
#: The last slot of a day: late enough to act on the close, early enough for an order to fill.
LAST_SLOT_BEFORE_CLOSE_MINUTES = 15
MINUTES_PER_YEAR = 365 * 24 * 60


class OutsideCalendar(ValueError):
    """A day before 2005 or after 2035: the calendar has no answer, so none is made up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One trading day's regular hours, UTC."""

    day: date
    open: datetime
    close: datetime

    @property
    def is_half_day(self) -> bool:
        return self.close - self.open < timedelta(hours=6)


@lru_cache(maxsize=1)
def _sessions() -> dict[date, Session]:
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY, end=LAST_DAY)
    table = calendar.schedule
    return {
        day.date(): Session(
            day=day.date(),
            open=opens.to_pydatetime().astimezone(UTC),
            close=closes.to_pydatetime().astimezone(UTC),
        )
        for day, opens, closes in zip(table.index, table["open"], table["close"], strict=True)
    }


def session(day: date) -> Session | None:
    """The regular hours of `day`; None on a weekend or holiday."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise OutsideCalendar(f"{day} lies outside the calendar, {FIRST_DAY} to {LAST_DAY}")
    return _sessions().get(day)


def trading_day(now: datetime) -> date:
    """The date in New York at `now`."""
    return now.astimezone(NEW_YORK).date()


def open_session(now: datetime) -> Session | None:
    """The session that `now` lies in, [open, close); None when the market is closed."""
    today = session(trading_day(now))
    return today if today is not None and today.open <= now < today.close else None


def next_session(day: date) -> Session:
    """The first session after `day`."""
    while True:
        day += timedelta(days=1)
        if (found := session(day)) is not None:
            return found


def slots(day: date) -> tuple[datetime, ...]:
    """When the trading cycle runs: each half hour from half an hour after the open, and once more
    a quarter of an hour before the close. 13 on a full day, 7 on a half day, none on a holiday.
    """
    hours = session(day)
    if hours is None:
        return ()
    last = hours.close - timedelta(minutes=LAST_SLOT_BEFORE_CLOSE_MINUTES)
    step = timedelta(minutes=SLOT_MINUTES)
    steps = int((last - hours.open) / step)
    return (*(hours.open + step * k for k in range(1, steps + 1)), last)


def last_trading_day(expiration: date) -> date:
    """The last session on or before `expiration`: the Friday of the Saturday expirations before
    2015, the Thursday before a Good Friday.
    """
    day = expiration
    while session(day) is None:
        day -= timedelta(days=1)
    return day


def expires_at(expiration: date) -> datetime:
    """When trading in the contract ends: the close of its last trading day, UTC."""
    found = session(last_trading_day(expiration))
    assert found is not None
    return found.close


def days_to_expiry(today: date, expiration: date) -> int:
    """Calendar days to the last trading day; 0 on it, negative after it."""
    return (last_trading_day(expiration) - today).days


def years_to_expiry(now: datetime, expirations: pd.Series) -> npt.NDArray[np.float64]:
    """Years, ACT/365 by the minute, from `now` to the close of each last trading day.

    expirations  dates, shape (n,); the answer has shape (n,). Zero or negative once expired.
    """
    years = {
        day: (expires_at(day) - now).total_seconds() / 60 / MINUTES_PER_YEAR
        for day in expirations.unique()
    }
    return expirations.map(years).to_numpy(dtype=np.float64)


def close_of(moment: datetime) -> datetime:
    """The close of the session on the day of `moment`; on a day without one, `moment` itself."""
    hours = session(trading_day(moment))
    return moment if hours is None else hours.close


def open_of(moment: datetime) -> datetime:
    """The open of the session on the day of `moment`; on a day without one, `moment` itself."""
    hours = session(trading_day(moment))
    return moment if hours is None else hours.open
