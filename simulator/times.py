"""Moments are whole nanoseconds since 1970 in UTC; text of them is made and read here only."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
NEW_YORK = ZoneInfo("America/New_York")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: datetime) -> int:
    """Of an aware moment, exact to the microsecond."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def utc(at: int) -> datetime:
    """Cut to the microsecond."""
    return _EPOCH + timedelta(microseconds=at // 1000)


def new_york(at: int) -> datetime:
    """Cut to the microsecond."""
    return utc(at).astimezone(NEW_YORK)


@lru_cache(maxsize=256)
def new_york_day(at: int) -> date:
    """The calendar day in New York."""
    return new_york(at).date()


def new_york_moment(day: date, hour: int, minute: int) -> int:
    """A wall-clock time of a day in New York."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    return nanoseconds(local.astimezone(UTC))


@lru_cache(maxsize=4096)
def rfc3339(at: int) -> str:
    """UTC with nanoseconds: 2026-11-20T16:48:15.102449524Z."""
    return f"{utc(at):%Y-%m-%dT%H:%M:%S}.{at % SECOND:09d}Z"


@lru_cache(maxsize=4096)
def rfc3339_short(at: int) -> str:
    """UTC to the second: 2026-11-20T16:48:15Z."""
    return f"{utc(at):%Y-%m-%dT%H:%M:%S}Z"


def new_york_text(at: int, *, nanos: bool) -> str:
    """With the New York offset: 2026-11-20T11:48:15.043465234-05:00."""
    local = new_york(at)
    offset = local.strftime("%z")
    fraction = f".{at % SECOND:09d}" if nanos else ""
    return f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{offset[:3]}:{offset[3:]}"


def parse_moment(text: str) -> int:
    """From RFC 3339 text (a date alone is its midnight UTC; no offset means UTC).

    ValueError when it is neither. Digits past the microsecond are dropped.
    """
    moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    return nanoseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
