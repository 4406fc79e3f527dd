"""What a price is asked of: columns of contracts, the dividends of their share, and the answers.

Every column is a float array of one shape (n,) unless said otherwise:

spot, strike   USD per share, > 0
years          to expiry, ACT/365, > 0
rate           per year, continuous: 0.05 is 5 %
carry          yield per year, continuous, that the holder of the share gets and we do not
vol            per year: 0.20 is 20 %, > 0
sign           +1 for a call, -1 for a put
american       bool: may be exercised before expiry

A row outside these bounds comes back NaN from every function. Nothing is raised or filled in.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]

VOL_MIN, VOL_MAX = 1e-4, 20.0
DAYS_PER_YEAR = 365


@dataclass(frozen=True, kw_only=True, slots=True)
class Dividends:
    """Cash dividends of one share, by ex-date: USD per share, years from now, both ascending in
    time. Only those with 0 < years count for a contract that lives longer."""

    years: tuple[float, ...] = ()
    amounts: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.years) != len(self.amounts):
            raise ValueError("each dividend needs a time and an amount")
        if any(later <= sooner for sooner, later in zip(self.years, self.years[1:], strict=False)):
            raise ValueError("dividends must be listed by time, one an ex-date")
        if any(not amount >= 0 for amount in self.amounts):
            raise ValueError("a dividend must be 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """The columns of contracts to price, all on one schedule of dividends."""

    spot: Floats
    strike: Floats
    years: Floats
    rate: Floats
    carry: Floats
    sign: Floats
    american: Flags
    dividends: Dividends = field(default_factory=Dividends)

    @property
    def discount(self) -> Floats:
        return np.exp(-self.rate * self.years)

    @property
    def forward(self) -> Floats:
        """Without the cash dividends."""
        return self.spot * np.exp((self.rate - self.carry) * self.years)


@dataclass(frozen=True, kw_only=True, slots=True)
class Greeks:
    """delta and gamma per USD of spot, theta per calendar day, vega per 0.01 of volatility,
    rho per 0.01 of rate."""

    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
