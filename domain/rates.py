"""A curve of interest rates from a dated table of Treasury par yields."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

#: Column of the table -> years to maturity.
TENORS: dict[str, float] = {"m1": 1 / 12, "m3": 0.25, "m6": 0.5, "y1": 1.0, "y2": 2.0}
#: Yields move slowly; rates older than this are used, and said to be old.
AGE_DAYS_MAX = 45


class NoRates(ValueError):
    """No row of the table stands on or before the day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """Continuously compounded rates a year at the tenors, as of `day`."""

    day: date
    years: tuple[float, ...]
    rates: tuple[float, ...]

    def is_old(self, day: date) -> bool:
        """Whether newer yields than these should be known on `day`."""
        return day - self.day > timedelta(days=AGE_DAYS_MAX)

    def rate(self, years: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Rate per year, continuous, for each maturity; flat beyond the first and last tenor."""
        return np.interp(years, self.years, self.rates)


def curve(table: pd.DataFrame, day: date) -> Curve:
    """The curve standing on `day`: the last row on or before it, never one after it.

    table  columns date (datetime.date) and the TENORS, in percent, bond-equivalent
    """
    known = table[table["date"] <= day]
    if known.empty:
        raise NoRates(f"rates.csv has no Treasury yields on or before {day}: add a row")
    found = known.iloc[-1]
    yields = found[list(TENORS)].to_numpy(dtype=np.float64) / 100
    return Curve(
        day=found["date"],
        years=tuple(TENORS.values()),
        rates=tuple((2 * np.log1p(yields / 2)).tolist()),  # par yields compound twice a year
    )
