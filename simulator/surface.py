"""The made-up market's option prices: one volatility surface and Black-Scholes under it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from simulator.market import Floats

RATE = 0.04  # per year, continuous
YEAR_MINUTES = 365.0 * 24 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How one underlying's volatility leans.

    skew and smile apply to log(strike / forward) in standard deviations to expiry.
    """

    skew: float
    smile: float
    dividend_yield: float  # per year, continuous


def implied_vol(strike: Floats, years: Floats, spot: float, vol: float, shape: Shape) -> Floats:
    """Per year. `vol` is the thirty-day vol at the money; longer ones lie nearer its mean."""
    term = vol * (1 + 0.04 * np.log(np.maximum(years, 1 / 365) * 365 / 30))
    forward = spot * np.exp((RATE - shape.dividend_yield) * years)
    width = np.log(strike / forward) / (term * np.sqrt(years))
    width = np.clip(width, -5, 5)
    lean = 1 - shape.skew * width + shape.smile * width**2
    return np.clip(term * lean, 0.05, 3.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """Columns of one length. `sign` is +1 for a call and -1 for a put; years > 0."""

    strike: Floats
    years: Floats
    sign: Floats
    vol: Floats
    spot: float
    dividend_yield: float


def price(inputs: Inputs) -> Floats:
    """USD a share, never below what exercise at once would give."""
    d1, d2 = _d(inputs)
    sign, spot, strike = inputs.sign, inputs.spot, inputs.strike
    stock = spot * np.exp(-inputs.dividend_yield * inputs.years)
    cash = strike * np.exp(-RATE * inputs.years)
    value = sign * (stock * ndtr(sign * d1) - cash * ndtr(sign * d2))
    return np.maximum(value, np.maximum(sign * (spot - strike), 0.0))


def greeks(inputs: Inputs) -> dict[str, Floats]:
    """delta, gamma per USD; theta per day; vega and rho per point of vol and rate."""
    d1, d2 = _d(inputs)
    sign, spot, years = inputs.sign, inputs.spot, inputs.years
    carry = np.exp(-inputs.dividend_yield * years)
    cash = inputs.strike * np.exp(-RATE * years)
    density = np.exp(-d1 * d1 / 2) / np.sqrt(2 * np.pi)
    root = np.sqrt(years)
    decay = -spot * carry * density * inputs.vol / (2 * root)
    decay += sign * inputs.dividend_yield * spot * carry * ndtr(sign * d1)
    decay -= sign * RATE * cash * ndtr(sign * d2)
    return {
        "delta": sign * carry * ndtr(sign * d1),
        "gamma": carry * density / (spot * inputs.vol * root),
        "rho": sign * cash * years * ndtr(sign * d2) / 100,
        "theta": decay / 365,
        "vega": spot * carry * density * root / 100,
    }


def _d(inputs: Inputs) -> tuple[Floats, Floats]:
    spread = inputs.vol * np.sqrt(inputs.years)
    drift = (RATE - inputs.dividend_yield) * inputs.years
    d1 = (np.log(inputs.spot / inputs.strike) + drift) / spread + spread / 2
    return d1, d1 - spread
