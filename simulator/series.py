"""Questions about a stretch of time: its bounds, and pages over several symbols' rows."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

from simulator.exchange import Exchange
from simulator.filters import BadQuery, Query, choice, day, moment, read_token, whole
from simulator.times import new_york_day, new_york_moment

LIMIT_DEFAULT = 1000
LIMIT_MAX = 10_000
_TOKEN = re.compile(r"[A-Z0-9./-]+\|[0-9]{1,19}")


class Timed(Protocol):
    """Anything with a moment."""

    @property
    def at(self) -> int: ...


Row = TypeVar("Row", bound=Timed)


def window(exchange: Exchange, query: Query, latest: int) -> tuple[int, int]:
    """First and last moment asked for, both included; never later than `latest`.

    Without a start it is midnight New York of the running day, or `latest` where that is earlier.
    """
    today = new_york_moment(new_york_day(exchange.now), 0, 0)
    start, end = bound(query, "start"), bound(query, "end")
    if start is not None and end is not None and end < start:
        raise BadQuery("end should not be before start")
    first = min(today, latest) if start is None else start
    last = latest if end is None else min(end, latest)
    return max(first, 0), max(last, 0)  # nothing was before 1970


def bound(query: Query, key: str) -> int | None:
    """A moment; a day alone is its midnight in New York. None when absent."""
    if len(query.get(key, "")) != len("2026-11-20"):
        return moment(query, key)
    found = day(query, key)
    return None if found is None else new_york_moment(found, 0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Rows of [start, end] are asked for in this order, and taken only as long as a page lasts."""

    start: int
    end: int
    newest_first: bool

    def after(self, at: int) -> "Stretch":
        """What comes after a row of that moment."""
        return replace(self, end=at - 1) if self.newest_first else replace(self, start=at + 1)

    def of(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Those of a list, oldest first."""
        ordered = reversed(rows) if self.newest_first else iter(rows)
        return (row for row in ordered if self.start <= row.at <= self.end)


def pages(
    query: Query,
    symbols: Sequence[str],
    bounds: tuple[int, int],
    rows_of: Callable[[str, Stretch], Iterable[Row]],
) -> tuple[Mapping[str, Sequence[Row]], str | None]:
    """One page over all symbols, symbol after symbol, and the token of the next.

    `limit` counts rows, not symbols. A token is base64 of the symbol and moment of the last row.
    Rows and symbols after the page are not asked for, but the first of them.
    """
    left = whole(query, "limit", LIMIT_DEFAULT, LIMIT_MAX)
    newest_first = choice(query, "sort", ("asc", "desc"), "asc") == "desc"
    stretch = Stretch(start=bounds[0], end=bounds[1], newest_first=newest_first)
    after, since = _read_token(query.get("page_token"))
    shown: dict[str, Sequence[Row]] = {}
    last = ""
    for symbol in sorted(set(symbols)):
        if symbol < after:
            continue
        rows = rows_of(symbol, stretch.after(since) if symbol == after else stretch)
        taken = list(islice(rows, left + 1))
        if taken and left == 0:
            return shown, last
        if taken:
            shown[symbol] = taken[:left]
            last = _token(symbol, shown[symbol][-1].at)
            if len(taken) > left:
                return shown, last
            left -= len(taken)
    return shown, None


def _token(symbol: str, at: int) -> str:
    return b64encode(f"{symbol}|{at}".encode()).decode()


def _read_token(token: str | None) -> tuple[str, int]:
    symbol, _, at = read_token(token, _TOKEN.fullmatch).partition("|")
    return symbol, int(at or 0)
