"""Bars of any length out of shorter ones, and prices adjusted for what happened since."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from math import prod
from typing import Final

from simulator.filters import BadQuery
from simulator.market import Action, Bar
from simulator.times import MINUTE, new_york_day, new_york_moment

#: Unit as asked for -> its kind and the counts it may have.
UNITS: Final[dict[str, tuple[str, Sequence[int]]]] = {
    "Min": ("minute", range(1, 60)),
    "T": ("minute", range(1, 60)),
    "Hour": ("hour", range(1, 24)),
    "H": ("hour", range(1, 24)),
    "Day": ("day", (1,)),
    "D": ("day", (1,)),
    "Week": ("week", (1,)),
    "W": ("week", (1,)),
    "Month": ("month", (1, 2, 3, 4, 6, 12)),
    "M": ("month", (1, 2, 3, 4, 6, 12)),
}
ADJUSTMENTS: Final = ("raw", "split", "dividend", "spin-off", "all")
_TIMEFRAME = re.compile(r"^(\d{1,2})([A-Za-z]+)$", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeframe:
    """How long a bar lasts."""

    kind: str
    count: int

    @property
    def is_intraday(self) -> bool:
        return self.kind in {"minute", "hour"}

    def begin(self, at: int) -> int:
        """Of the bar that holds a moment: counted from midnight New York."""
        day = new_york_day(at)
        if self.is_intraday:
            width = self.count * MINUTE * (60 if self.kind == "hour" else 1)
            midnight = new_york_moment(day, 0, 0)
            return midnight + (at - midnight) // width * width
        return new_york_moment(self._first_day(day), 0, 0)

    def end(self, at: int) -> int:
        """Of the bar that holds a moment, excluded."""
        if self.is_intraday:
            return self.begin(at) + self.count * MINUTE * (60 if self.kind == "hour" else 1)
        days = {"day": 1, "week": 7}.get(self.kind, 31 * self.count)
        first = self._first_day(new_york_day(at)) + timedelta(days=days)
        return new_york_moment(self._first_day(first), 0, 0)

    def _first_day(self, day: date) -> date:
        if self.kind == "week":
            return day - timedelta(days=day.weekday())
        if self.kind == "month":
            return date(day.year, (day.month - 1) // self.count * self.count + 1, 1)
        return day


def parse_timeframe(text: str) -> Timeframe:
    """From 5Min, 1Hour, 1Day, 1Week, 3Month or their short forms."""
    found = _TIMEFRAME.match(text)
    kind, counts = UNITS.get(found.group(2), ("", ())) if found else ("", ())
    if found is None or int(found.group(1)) not in counts:
        raise BadQuery(f"invalid timeframe: {text}")
    return Timeframe(kind=kind, count=int(found.group(1)))


def grouped(bars: Iterable[Bar], timeframe: Timeframe) -> Iterator[Bar]:
    """Every bar of the length asked for that holds at least one of `bars`, as they come: oldest
    first, or newest first."""
    for at, group in groupby(bars, lambda bar: timeframe.begin(bar.at)):
        yield _joined(at, sorted(group, key=lambda bar: bar.at))


def _joined(at: int, group: Sequence[Bar]) -> Bar:
    return Bar(
        at=at,
        open=group[0].open,
        high=max(bar.high for bar in group),
        low=min(bar.low for bar in group),
        close=group[-1].close,
        volume=sum(bar.volume for bar in group),
        trades=sum(bar.trades for bar in group),
    )


def parse_adjustment(text: str) -> frozenset[str]:
    """Kinds of actions to adjust for, from a comma list; empty for raw."""
    words = {word.strip() for word in (text or "raw").split(",")}
    if not words <= set(ADJUSTMENTS):
        raise BadQuery(f"invalid adjustment: {text}")
    return frozenset(words - {"raw"})


def adjusted(
    bars: Sequence[Bar], actions: Sequence[Action], kinds: frozenset[str], days: Sequence[Bar]
) -> list[Bar]:
    """Bars from before an ex-day as if the action had been in force.

    `days` are the unadjusted bars of all days: a dividend counts as a part of the close before it,
    whatever stretch is asked for. A spin-off changes nothing: what the new share was worth is not
    known here.
    """
    changes = [
        (new_york_moment(action.ex_day, 0, 0), *_change(action, days, kinds)) for action in actions
    ]
    found = []
    for bar in bars:
        later = [(price, volume) for ex, price, volume in changes if bar.at < ex]
        price = prod(price for price, _ in later)
        volume = prod(volume for _, volume in later)
        found.append(_scaled(bar, price, volume) if later else bar)
    return found


def _change(action: Action, days: Sequence[Bar], kinds: frozenset[str]) -> tuple[float, float]:
    """What an action multiplies earlier prices and volumes by."""
    rate = float(action.rate)
    if action.kind == "split" and kinds & {"split", "all"} and rate > 0:
        return 1 / rate, rate
    before = [bar for bar in days if new_york_day(bar.at) < action.ex_day]
    if action.kind == "cash dividend" and kinds & {"dividend", "all"} and before:
        return max(1 - rate / before[-1].close, 0.0), 1.0
    return 1.0, 1.0


def _scaled(bar: Bar, price: float, volume: float) -> Bar:
    return replace(
        bar,
        open=_price(bar.open * price),
        high=_price(bar.high * price),
        low=_price(bar.low * price),
        close=_price(bar.close * price),
        volume=round(bar.volume * volume),
    )


def _price(value: float) -> float:
    return float(round(Decimal(value), 4))
