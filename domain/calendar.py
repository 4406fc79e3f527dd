"""The exchange's days: sessions, half days, the slots of a day, time to an expiry.

New York exists in this module and nowhere else; every instant that leaves it is aware UTC.
The sessions are those of exchange_calendars' XNYS; whether the market is open at this moment is
the broker's clock's to say.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import numpy.typing as npt
import pandas as pd

from domain.closing_times import LATE_MINUTES, is_am_settled, is_late

Floats = npt.NDArray[np.float64]

NEW_YORK = ZoneInfo("America/New_York")
FIRST_DAY, LAST_DAY = date(2005, 1, 3), date(2035, 12, 31)
SLOT_MINUTES = 30
#: The last slot of a day: late enough to act on the close, early enough for an order to fill.
LAST_SLOT_BEFORE_CLOSE_MINUTES = 15
MINUTES_PER_YEAR = 365 * 24 * 60
SESSIONS_PER_YEAR = 252
SESSION_MINUTES = 390
LATE_CLOSE = timedelta(minutes=LATE_MINUTES)


class NoTimeZone(ValueError):
    """A moment without a time zone: it would be another one on another machine."""


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


def aware(moment: datetime) -> datetime:
    """The moment itself, when it names its time zone; else NoTimeZone, with the remedy."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        meant = moment.replace(tzinfo=NEW_YORK).isoformat(timespec="minutes")
        raise NoTimeZone(f"{moment} has no time zone: in New York's it is written {meant}")
    return moment


def trading_day(now: datetime) -> date:
    """The date in New York at `now`."""
    return aware(now).astimezone(NEW_YORK).date()


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


def last_trading_day(expiration: date, root: str = "") -> date:
    """The last session on or before `expiration`: the Friday of the Saturday expirations before
    2015, the Thursday before a Good Friday. For an AM-settled index the session before that.

    root  of the option's symbol; without one the option trades as those on shares do
    """
    day = _last_session(expiration).day
    return _last_session(day - timedelta(days=1)).day if is_am_settled(root) else day


def _last_session(day: date) -> Session:
    while (found := session(day)) is None:
        day -= timedelta(days=1)
    return found


def expires_at(expiration: date, root: str = "") -> datetime:
    """When the option's price stops being open, UTC.

    The close of its last trading day; a quarter of an hour later for the funds whose options
    trade until then (SPY: 16:15, half days 13:15), on their last day too. Holders may exercise for
    longer, on news that no quote shows, and no model here counts that. An AM-settled index option
    (SPX) is worth the opening prices of the morning after its last trading day, so that open is
    when it expires. Closing times and their source: domain.closing_times.
    """
    found = _last_session(expiration)
    if is_am_settled(root):
        return found.open
    return found.close + LATE_CLOSE if is_late(root) else found.close


def days_to_expiry(today: date, expiration: date, root: str = "") -> int:
    """Calendar days to the last trading day; 0 on it, negative after it."""
    return (last_trading_day(expiration, root) - today).days


class ClockKind(StrEnum):
    CALENDAR = "calendar"  # every minute counts alike
    TRADING = "trading"  # minutes of a session count in full, the others by a weight


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How the time counts over which volatility works. Interest knows calendar time only."""

    kind: ClockKind = ClockKind.CALENDAR
    #: In trading time, what a minute outside the sessions counts, 0 to 1. With 0 nothing happens
    #: overnight; with 1 trading time is calendar time.
    closed_weight: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.closed_weight <= 1:
            raise ValueError(f"closed_weight is {self.closed_weight}: 0 to 1")


CALENDAR_TIME = Clock()


def years_to_expiry(
    now: datetime,
    expirations: pd.Series,
    roots: pd.Series | None = None,
    clock: Clock = CALENDAR_TIME,
) -> Floats:
    """Years by the minute from `now` to `expires_at` of each contract, shape (n,).

    expirations  dates, shape (n,)
    roots        of the symbols, shape (n,) (`chain["symbol"].str[:-15]`); without them every
                 contract trades as those on shares do
    clock        in calendar time a year has 525,600 minutes; in trading time 252 full sessions
                 of the contract's own hours, and the closed minutes of a year by their weight

    Zero or negative once expired. In trading time without a weight it does not move while the
    contract does not trade. OutsideCalendar before 2005 and after 2035.
    """
    names = [""] * len(expirations) if roots is None else roots
    pairs = list(zip(expirations, names, strict=True))
    years = {pair: _years(now, *pair, clock) for pair in set(pairs)}
    return np.array([years[pair] for pair in pairs], dtype=np.float64)


def _years(now: datetime, expiration: date, root: str, clock: Clock) -> float:
    end = expires_at(expiration, root)
    minutes = (end - now).total_seconds() / 60
    if clock.kind is ClockKind.CALENDAR:
        return minutes / MINUTES_PER_YEAR
    late = LATE_MINUTES if is_late(root) else 0
    traded = _traded_minutes(end, late) - _traded_minutes(now, late)
    traded_per_year = SESSIONS_PER_YEAR * (SESSION_MINUTES + late)
    weight = clock.closed_weight
    return (traded + weight * (minutes - traded)) / (
        traded_per_year + weight * (MINUTES_PER_YEAR - traded_per_year)
    )


def _traded_minutes(moment: datetime, late: int) -> float:
    """Minutes of sessions from the calendar's first to `moment`, each `late` minutes longer."""
    session(trading_day(moment))  # refuses what lies outside
    opens, lengths, before = _session_minutes(late)
    at = moment.timestamp() / 60
    k = int(np.searchsorted(opens, at, side="right")) - 1
    if k < 0:
        return 0.0
    return float(before[k] + min(at - opens[k], lengths[k]))


@lru_cache(maxsize=2)
def _session_minutes(late: int) -> tuple[Floats, Floats, Floats]:
    """Each session's open (minutes of Unix time), its length, and the lengths of those before."""
    found = list(_sessions().values())
    opens = np.array([hours.open.timestamp() for hours in found]) / 60
    lengths = np.array([hours.close.timestamp() for hours in found]) / 60 - opens + late
    return opens, lengths, np.cumsum(lengths) - lengths


def volatility_scale(years: Floats, clock_years: Floats) -> Floats:
    """What turns a volatility per calendar year into one per year of a clock: vol * scale.

    years, clock_years  to expiry in calendar time and by the clock, shape (n,), > 0

    A price depends on volatility by the whole variance to expiry, vol * vol * years. So contracts
    are priced in calendar years, by which interest and dividends run, and only the answer is
    restated: iv * scale is the volatility of the clock's year with the same variance, and vega /
    scale is what a point of it is worth. Delta, gamma and rho hold as they are; theta remains the
    loss of an average calendar day. 1 in calendar time; NaN where either is not > 0.
    """
    sound = (years > 0) & (clock_years > 0)
    with np.errstate(all="ignore"):
        return np.where(sound, np.sqrt(years / clock_years), np.nan)


def close_of(moment: datetime) -> datetime:
    """The close of the session on the day of `moment`; on a day without one, `moment` itself."""
    hours = session(trading_day(moment))
    return moment if hours is None else hours.close


def open_of(moment: datetime) -> datetime:
    """The open of the session on the day of `moment`; on a day without one, `moment` itself."""
    hours = session(trading_day(moment))
    return moment if hours is None else hours.open
