"""The files a person edits, one function a form. A wrong one stops us in one line that names it."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import pandas as pd

from domain import execution
from domain.calendar import Clock
from domain.contracts import Right
from domain.dividends import COLUMNS, as_dividends
from domain.rates import TENORS
from domain.risk import Limits
from domain.strategies import iron_condor
from tasks.settings import BadSettings, settings

Section = TypeVar("Section")


@dataclass(frozen=True, kw_only=True, slots=True)
class Universe:
    """What a snapshot holds; config/universe.toml explains each."""

    underlyings: tuple[str, ...]
    days_to_expiry_min: int
    days_to_expiry_max: int
    strike_share_min: float
    strike_share_max: float
    open_interest_min: int
    rights: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.underlyings or not all(
            isinstance(name, str) and name.isalpha() and name.isupper() for name in self.underlyings
        ):
            raise ValueError(f"underlyings is {self.underlyings!r}: a list such as ['SPY']")
        if not 0 <= self.days_to_expiry_min <= self.days_to_expiry_max <= 1_200:
            raise ValueError("0 <= days_to_expiry_min <= days_to_expiry_max <= 1200 does not hold")
        if self.open_interest_min < 0:
            raise ValueError(f"open_interest_min is {self.open_interest_min}: 0 or more")
        if not self.rights or not set(self.rights) <= set(Right):
            raise ValueError(f"rights is {self.rights!r}: a list of 'C' and 'P'")
        if not 0 <= self.strike_share_min < 1 < self.strike_share_max:
            raise ValueError("strike_share_min < 1 < strike_share_max does not hold")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    limits: Limits
    universe: Universe
    clock: Clock
    execution: execution.Rules
    iron_condor: iron_condor.Rules
    rates: pd.DataFrame
    dividends: pd.DataFrame


@lru_cache(maxsize=4)
def load_config(folder: Path) -> Config:
    """Everything under the config folder. BadSettings names the file, the key and the remedy."""
    strategies = _toml(folder / "strategies.toml")
    unknown = strategies.keys() - {iron_condor.NAME}
    if unknown:
        raise BadSettings(f"{folder / 'strategies.toml'}: no strategy is called {min(unknown)!r}")
    if iron_condor.NAME not in strategies:
        raise BadSettings(
            f"{folder / 'strategies.toml'}: the table [{iron_condor.NAME}] is missing"
        )
    return Config(
        limits=_section(Limits, _toml(folder / "limits.toml"), folder / "limits.toml"),
        universe=_section(Universe, _toml(folder / "universe.toml"), folder / "universe.toml"),
        clock=_section(Clock, _toml(folder / "clock.toml"), folder / "clock.toml"),
        execution=_section(
            execution.Rules, _toml(folder / "execution.toml"), folder / "execution.toml"
        ),
        iron_condor=_section(
            iron_condor.Rules, strategies[iron_condor.NAME], folder / "strategies.toml"
        ),
        rates=_rates(folder / "rates.csv"),
        dividends=_dividends(folder / "dividends.csv"),
    )


def config() -> Config:
    """The configuration of this process."""
    return load_config(settings().config)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} is not TOML: {error}") from None


def _section(kind: type[Section], table: Mapping[str, Any], path: Path) -> Section:
    """A frozen dataclass from a table that has its keys, all of them and no other."""
    if not isinstance(table, Mapping):
        raise BadSettings(f"{path}: {table!r} stands where a table of settings must")
    wanted = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # always a dataclass
    for name in sorted(table.keys() - wanted):
        raise BadSettings(f"{path}: no setting is called {name!r}; known are {sorted(wanted)}")
    for name in sorted(wanted - table.keys()):
        raise BadSettings(f"{path}: the setting {name!r} is missing")
    hints = get_type_hints(kind)
    try:
        return kind(**{name: _typed(name, table[name], hints[name]) for name in wanted})
    except ValueError as error:
        raise BadSettings(f"{path}: {error}") from None


def _typed(name: str, value: Any, kind: Any) -> Any:
    if kind == tuple[str, ...]:
        return tuple(value) if isinstance(value, list) else ()
    if issubclass(kind, StrEnum):
        words = {str(word): word for word in kind}
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{name} is {value!r}: it must be one of {sorted(words)}")
        return words[value]
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError(f"{name} is {value!r}: it must be a number")
    if not Decimal(value).is_finite():
        raise ValueError(f"{name} is {value}: it must be a finite number")
    if kind is int and value != int(value):
        raise ValueError(f"{name} is {value}: it must be a whole number")
    return kind(value)


def _rates(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, comment="#")
        table = table.assign(date=pd.to_datetime(table["date"]).dt.date)
        table = table.astype(dict.fromkeys(TENORS, "float64")).sort_values("date")
        if table.empty or not np.isfinite(table[list(TENORS)].to_numpy()).all():
            raise ValueError("a row or a yield is missing")
        return table
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, ValueError) as error:
        raise BadSettings(f"{path} needs the columns date, {', '.join(TENORS)}: {error}") from None


def _dividends(path: Path) -> pd.DataFrame:
    try:
        return as_dividends(pd.read_csv(path, comment="#", dtype=str, keep_default_na=False))
    except OSError as error:
        raise BadSettings(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        said = " ".join(str(error).split())  # pandas ends some of its lines
        raise BadSettings(f"{path} needs the columns {', '.join(COLUMNS)}: {said}") from None
