"""Whether a made-up underlying can be: its keys within bounds, its events on trading days."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import TYPE_CHECKING

from simulator.sessions import Sessions
from simulator.startup import StartupError

if TYPE_CHECKING:
    from simulator.profile import Profile

Bounds = Mapping[str, tuple[float, float]]

BOUNDS: Bounds = {
    "price_usd": (0.5, 1e5),
    "vol": (0.02, 3.0),
    "skew": (-0.5, 0.5),
    "smile": (-0.2, 0.5),
    "slope": (-0.5, 0.5),
    "strike_step_usd": (0.5, 1000),
    "strike_step_far_usd": (0.5, 1000),
    "strike_range": (0.01, 0.9),
    "overnight_share": (0, 0.95),
    "jumps_per_session": (0, 100),
    "jump_size": (0, 0.5),
    "leverage": (-20, 20),
    "vol_of_vol": (0, 1),
    "crossed_share": (0, 0.5),
    "one_sided_share": (0, 0.5),
}
#: Of the tables in a profile.
ROWS: Mapping[str, Bounds] = {
    "dividends": {"usd": (0.0001, 1e4)},
    "splits": {"new": (1, 1000), "old": (1, 1000)},
    "halts": {"minutes": (1, 10_000)},
    "moves": {"move": (-0.9, 9)},
}
QUARTERLY: Bounds = {"usd": (0.0001, 1e4), "week": (1, 5), "weekday": (0, 4)}
#: Events with a time of day that must be one of a whole session.
OPENING, CLOSING = time(9, 30), time(16, 0)
STRIKES_MAX = 1000


def check(profile: "Profile", where: str) -> None:
    """StartupError names the key that is wrong and what it may be."""
    _within(profile, BOUNDS, where)
    for key, bounds in ROWS.items():
        for row in getattr(profile, key):
            _within(row, bounds, f"{where}, {key}")
    if profile.quarterly is not None:
        _within(profile.quarterly, QUARTERLY, f"{where}, quarterly")
        if not profile.quarterly.months or not set(profile.quarterly.months) <= set(range(1, 13)):
            raise StartupError(f"{where}, quarterly: months must be from 1 to 12")
    if any(split.new == split.old for split in profile.splits):
        raise StartupError(f"{where}, splits: new and old must differ")
    _check_times(f"{where}, halts", [pause.at for pause in profile.halts])
    _check_times(f"{where}, moves", [move.at for move in profile.moves])
    strikes = _strikes(profile)
    if strikes > STRIKES_MAX:
        raise StartupError(
            f"{where}: strike_step_usd and strike_range make {strikes} strikes, "
            f"at most {STRIKES_MAX} can be listed"
        )


def check_days(profile: "Profile", sessions: Sessions, where: str) -> None:
    """StartupError for an event on a day without trading, or two splits on one day.

    Days outside the calendar of a run never come and may be any.
    """
    for key in ("dividends", "splits"):
        _check_days(
            f"{where}, {key}: ex_day", [row.ex_day for row in getattr(profile, key)], sessions
        )
    for key in ("halts", "moves"):
        _check_days(f"{where}, {key}: day", [row.day for row in getattr(profile, key)], sessions)
    for day, count in Counter(split.ex_day for split in profile.splits).items():
        if count > 1:
            raise StartupError(f"{where}, splits: ex_day {day} has {count} splits, at most 1")


def _check_days(where: str, days: Sequence[date], sessions: Sessions) -> None:
    for day in days:
        if sessions.all[0].day <= day <= sessions.all[-1].day and sessions.on(day) is None:
            raise StartupError(f"{where} {day} must be a trading day")


def _check_times(where: str, times: Sequence[time]) -> None:
    if not all(OPENING <= at < CLOSING for at in times):
        raise StartupError(f"{where}: at must be from {OPENING} to before {CLOSING}")


def _within(row: object, bounds: Bounds, where: str) -> None:
    for name, (low, high) in bounds.items():
        # as a float: comparing a decimal that is no number is an error
        if not low <= float(getattr(row, name)) <= high:
            raise StartupError(f"{where}: {name} must be from {low:g} to {high:g}")


def _strikes(profile: "Profile") -> int:
    """The most that are listed for one expiration, where the path itself stood still."""
    events = [(move.day, move.at, 1 + move.move, False) for move in profile.moves]
    events += [(s.ex_day, OPENING, float(1 / s.ratio), True) for s in profile.splits]
    price = low = high = profile.price_usd
    most = 0
    step = min(profile.strike_step_usd, profile.strike_step_far_usd)
    for _, _, factor, is_split in [(date.min, OPENING, 1.0, False), *sorted(events)]:
        price *= factor
        low, high = (price, price) if is_split else (min(low, price), max(high, price))
        reach = high * (1 + profile.strike_range) - low * (1 - profile.strike_range)
        most = max(most, int(Decimal(reach) / step))
    return most
