"""What a made-up underlying is like: the three built in, and reading more from a TOML file."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, time
from decimal import Decimal, InvalidOperation
from pathlib import Path as FilePath
from typing import Any

from simulator.corporate import Dividend, Quarterly, Split
from simulator.market import Action, Halt
from simulator.profile_checks import check
from simulator.sessions import Sessions
from simulator.startup import StartupError
from simulator.surface import Shape
from simulator.times import MINUTE, new_york_moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A trading halt: New York time of its first minute, and how many minutes it lasts."""

    day: date
    at: time
    minutes: int
    code: str = "LUDP"

    def halt(self) -> Halt:
        start = new_york_moment(self.day, self.at.hour, self.at.minute)
        return Halt(start=start, end=start + self.minutes * MINUTE, code=self.code)


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A jump of the stock on top of its path: -0.05 is a fall of 5 %. At 09:30 it is a gap."""

    day: date
    at: time
    move: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One made-up underlying."""

    symbol: str
    price_usd: float  # the close before the first day
    vol: float  # long-run implied, per year
    name: str = ""
    exchange: str = "NASDAQ"
    skew: float = 0.05
    smile: float = 0.02
    slope: float = 0.04  # of the term structure
    strike_step_usd: Decimal = Decimal("2.5")
    strike_step_far_usd: Decimal = Decimal(5)  # from 45 days on
    strike_range: float = 0.20  # listed strikes lie this part either side of the spot
    weekdays: bool = False  # also expires on Mondays and Wednesdays, and on the first day itself
    nickels: bool = True  # quotes from 3 USD on are in five cents
    jumps_per_session: float = 0.15
    jump_size: float = 0.004  # standard deviation of a jump, as a return
    overnight_share: float = 0.15  # of a day's variance
    leverage: float = 2.5  # rise of the log vol for a fall of the stock of 1
    vol_of_vol: float = 0.05  # of the log vol, per session
    crossed_share: float = 0.001  # of quotes, at any minute
    one_sided_share: float = 0.002
    quarterly: Quarterly | None = None
    dividends: tuple[Dividend, ...] = ()
    splits: tuple[Split, ...] = ()
    halts: tuple[Pause, ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def shape(self) -> Shape:
        return Shape(skew=self.skew, smile=self.smile, vol=self.vol, slope=self.slope)

    def all_dividends(self, sessions: Sessions) -> list[Dividend]:
        """Ordered by ex-day."""
        regular = self.quarterly.days(sessions) if self.quarterly is not None else []
        return sorted([*self.dividends, *regular], key=lambda dividend: dividend.ex_day)

    def actions(self, sessions: Sessions) -> list[Action]:
        paid = [dividend.action(self.symbol) for dividend in self.all_dividends(sessions)]
        return paid + [split.action(self.symbol) for split in self.splits]


PROFILES: Mapping[str, Profile] = {
    "SPY": Profile(
        symbol="SPY",
        name="SPDR S&P 500 ETF Trust",
        exchange="ARCA",
        price_usd=600.0,
        vol=0.155,
        skew=0.10,
        smile=0.015,
        strike_step_usd=Decimal(5),
        strike_range=0.17,
        weekdays=True,
        nickels=False,
        quarterly=Quarterly(usd=Decimal("1.80"), months=(3, 6, 9, 12), week=3, weekday=4),
    ),
    "AAPL": Profile(
        symbol="AAPL",
        name="Apple Inc. Common Stock",
        price_usd=230.0,
        vol=0.27,
        quarterly=Quarterly(usd=Decimal("0.26"), months=(2, 5, 8, 11), week=2, weekday=0),
    ),
    "NVDA": Profile(
        symbol="NVDA",
        name="NVIDIA Corporation Common Stock",
        price_usd=180.0,
        vol=0.45,
        skew=0.04,
        strike_range=0.26,
        quarterly=Quarterly(usd=Decimal("0.01"), months=(3, 6, 9, 12), week=1, weekday=3),
    ),
}

SYMBOL = re.compile("[A-Z]{1,5}")
#: Arrays of tables in a file -> what each row becomes.
TABLES: Mapping[str, type] = {
    "dividends": Dividend,
    "splits": Split,
    "halts": Pause,
    "moves": Move,
}


def read_profiles(path: FilePath) -> dict[str, Profile]:
    """The built-in three and what the file's [[underlying]] tables say; StartupError names the
    first thing that is wrong. A table may start from a built-in one: like = "AAPL"."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise StartupError(f"--market {path} cannot be read: {problem}") from None
    rows = given.get("underlying")
    if not isinstance(rows, list) or not rows or set(given) != {"underlying"}:
        raise StartupError(f"--market {path} must hold [[underlying]] tables and nothing else")
    found = dict(PROFILES)
    new: set[str] = set()
    for row in rows:
        if not isinstance(row, dict):
            raise StartupError(f"--market {path}: underlying must be a table")
        profile = _profile(dict(row), found, path)
        if profile.symbol in new:
            raise StartupError(f"--market {path}, {profile.symbol}: symbol is there twice")
        new.add(profile.symbol)
        found[profile.symbol] = profile
    return found


def _profile(row: dict[str, Any], known: Mapping[str, Profile], path: FilePath) -> Profile:
    symbol = row.get("symbol")
    if not isinstance(symbol, str) or not SYMBOL.fullmatch(symbol):
        raise StartupError(
            f"--market {path}: symbol must be one to five capital letters, not {symbol!r}"
        )
    where = f"--market {path}, {symbol}"
    like = row.pop("like", None)
    if like is not None and not (isinstance(like, str) and like in known):
        raise StartupError(f"{where}: like = {like!r} is none of {', '.join(known)}")
    values: dict[str, Any] = {}
    if like is not None:
        values = {field.name: getattr(known[like], field.name) for field in fields(Profile)}
    values |= {key: _value(key, value, where) for key, value in row.items()}
    missing = [name for name in ("price_usd", "vol") if name not in values]
    if missing:
        raise StartupError(f"{where}: {missing[0]} is missing")
    profile = Profile(**(values | {"name": values.get("name") or symbol}))
    check(profile, where)
    return profile


def _value(key: str, value: object, where: str) -> object:
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Profile)}
    if key not in kinds:
        raise StartupError(f"{where}: there is no {key!r}; there are {', '.join(kinds)}")
    if key in TABLES:
        rows = value if isinstance(value, list) else [value]
        return tuple(_record(TABLES[key], row, f"{where}, {key}") for row in rows)
    if key == "quarterly":
        return _record(Quarterly, value, f"{where}, quarterly")
    return _plain(kinds[key], value, f"{where}, {key}")


def _record(kind: type, row: object, where: str) -> object:
    if not isinstance(row, dict):
        raise StartupError(f"{where}: must be a table")
    kinds: dict[str, Any] = {field.name: field.type for field in fields(kind)}
    unknown = [key for key in row if key not in kinds]
    if unknown:
        raise StartupError(f"{where}: there is no {unknown[0]!r}; there are {', '.join(kinds)}")
    try:
        return kind(
            **{key: _plain(kinds[key], value, f"{where}, {key}") for key, value in row.items()}
        )
    except TypeError as problem:
        raise StartupError(f"{where}: {problem}") from None


#: What a field is -> how its value is read.
READERS: Mapping[object, Callable[[Any], object]] = {
    float: float,
    int: int,
    Decimal: lambda value: Decimal(str(value)),
    date: lambda value: value if type(value) is date else date.fromisoformat(value),
    date | None: lambda value: value if type(value) is date else date.fromisoformat(value),
    time: lambda value: value if type(value) is time else time.fromisoformat(value),
    tuple[int, ...]: lambda value: tuple(int(each) for each in value),
}


def _plain(kind: object, value: Any, where: str) -> object:
    reader = READERS.get(kind)
    try:
        if reader is not None and not isinstance(value, bool):
            return reader(value)
    except (TypeError, ValueError, InvalidOperation):
        raise StartupError(f"{where}: {value!r} cannot be read") from None
    if not isinstance(value, kind if isinstance(kind, type) else object):
        raise StartupError(f"{where}: {value!r} cannot be read")
    return value
