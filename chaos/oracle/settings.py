"""The limits of the day, read from its config folder by what the files say they mean."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Numbers of limits.toml by name; `find` answers None for one that this version has not."""

    numbers: dict[str, Decimal]
    quote_age_s_max: Decimal

    def find(self, name: str) -> Decimal | None:
        return self.numbers.get(name)

    def number(self, name: str) -> Decimal:
        return self.numbers[name]


def read_limits(folder: Path) -> Limits:
    """Every number of limits.toml, and how old a quote may be that opens something."""
    ages = [_numbers(folder / "strategies.toml", "iron_condor")["quote_age_s_max"]]
    if (folder / "execution.toml").exists():
        ages.append(_numbers(folder / "execution.toml")["quote_age_s_max"])
    return Limits(numbers=_numbers(folder / "limits.toml"), quote_age_s_max=min(ages))


def _numbers(path: Path, table: str = "") -> dict[str, Decimal]:
    found = tomllib.loads(path.read_text(), parse_float=Decimal)
    rows = found[table] if table else found
    return {
        name: Decimal(value) for name, value in rows.items() if isinstance(value, int | Decimal)
    }
