"""The made-up market's volatility surface, and European prices under it.

Dividends are cash: a European price takes their present value off the spot. What American exercise
and the exact days of dividends add to it comes from the tree, by way of `simulator.premium`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from simulator.market import Floats

RATE = 0.04  # per year, continuous
YEAR_MINUTES = 365.0 * 24 * 60
#: How fast a far expiration's volatility forgets today's, per year: short ones move the most.
REVERSION = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How one underlying's volatility leans.

    skew and smile apply to log(strike / forward) in standard deviations to expiry; slope to the
    log of the time to expiry; vol is the long-run level at thirty days, per year.
    """

    skew: float
    smile: float
    vol: float
    slope: float = 0.04


def implied_vol(strike: Floats, years: Floats, forward: Floats, vol: float, shape: Shape) -> Floats:
    """Per year. `vol` is the thirty-day vol at the money; longer ones lie nearer its mean."""
    days = np.maximum(years, 1 / 365) * 365
    pull = _average(days) / _average(np.full(1, 30.0))
    level = shape.vol * (vol / shape.vol) ** pull
    term = level * (1 + shape.slope * np.log(days / 30))
    width = np.log(strike / forward) / (term * np.sqrt(years))
    width = np.clip(width, -5, 5)
    lean = 1 - shape.skew * width + shape.smile * width**2
    return np.clip(term * lean, 0.05, 3.0)


def _average(days: Floats) -> Floats:
    """How much of today's distance from the mean is left on average until then."""
    rate = REVERSION * days / 365
    return np.asarray(-np.expm1(-rate) / rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Columns of one length. `sign` is +1 for a call and -1 for a put; years > 0.

    paid       USD, present value of the dividends before expiry
    paid_rho   its fall for a rate one higher per year
    """

    strike: Floats
    years: Floats
    sign: Floats
    vol: Floats
    spot: Floats
    paid: Floats
    paid_rho: Floats
    rate: float = RATE


def price(inputs: Inputs) -> Floats:
    """USD a share, without the right to exercise early."""
    d1, d2 = _d(inputs)
    cash = inputs.strike * np.exp(-inputs.rate * inputs.years)
    stock = inputs.spot - inputs.paid
    sign = inputs.sign
    return np.asarray(sign * (stock * ndtr(sign * d1) - cash * ndtr(sign * d2)))


def greeks(inputs: Inputs) -> dict[str, Floats]:
    """European delta, gamma per USD; vega and rho per point of vol and rate."""
    d1, d2 = _d(inputs)
    sign, root = inputs.sign, np.sqrt(inputs.years)
    stock = inputs.spot - inputs.paid
    cash = inputs.strike * np.exp(-inputs.rate * inputs.years)
    density = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi)
    delta = sign * ndtr(sign * d1)
    rho = sign * cash * inputs.years * ndtr(sign * d2) + delta * inputs.paid_rho
    return {
        "delta": delta,
        "gamma": density / (stock * inputs.vol * root),
        "rho": rho / 100,
        "vega": stock * density * root / 100,
    }


def _d(inputs: Inputs) -> tuple[Floats, Floats]:
    spread = inputs.vol * np.sqrt(inputs.years)
    drift = inputs.rate * inputs.years
    stock = np.maximum(inputs.spot - inputs.paid, 0.01)
    d1 = (np.log(stock / inputs.strike) + drift) / spread + spread / 2
    return d1, d1 - spread
