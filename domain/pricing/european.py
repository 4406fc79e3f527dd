"""European options, Black-Scholes-Merton. Source: Haug, The Complete Guide to Option Pricing
Formulas, 2nd edition, chapters 1 and 2. Columns and units: domain.pricing.terms.
"""

import numpy as np
from scipy.special import ndtr

from domain.pricing.terms import DAYS_PER_YEAR, VOL_MAX, VOL_MIN, Flags, Floats, Greeks, Terms


def _d1(terms: Terms, vol: Floats) -> Floats:
    deviation = vol * np.sqrt(terms.years)
    return np.log(terms.forward / terms.strike) / deviation + deviation / 2


def _density(x: Floats) -> Floats:
    bell: Floats = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return bell


def price(terms: Terms, vol: Floats) -> Floats:
    """USD per share; never below discounted intrinsic value.

    Hull's worked example gives 2.40:
    >>> one = np.ones(1)
    >>> hull = Terms(spot=49*one, strike=50*one, years=0.3846*one, rate=0.05*one, carry=0*one,
    ...              sign=one, american=one < 0)
    >>> price(hull, 0.20 * one).round(2)
    array([2.4])
    """
    with np.errstate(all="ignore"):
        d1 = _d1(terms, vol)
        d2 = d1 - vol * np.sqrt(terms.years)
        s = terms.sign
        value = s * terms.discount * (terms.forward * ndtr(s * d1) - terms.strike * ndtr(s * d2))
        return np.where(_priceable(terms) & (vol > 0), value, np.nan)


def price_bounds(terms: Terms) -> tuple[Floats, Floats]:
    """The least and the most a European option can cost, USD per share."""
    with np.errstate(all="ignore"):
        gap = terms.discount * (terms.forward - terms.strike) * terms.sign
        most = terms.discount * np.where(terms.sign > 0, terms.forward, terms.strike)
        inside = _priceable(terms)
        return np.where(inside, np.maximum(gap, 0.0), np.nan), np.where(inside, most, np.nan)


def implied_volatility(terms: Terms, target: Floats) -> Floats:
    """The volatility per year at which `price` gives `target`, USD per share: to 1e-9 wherever
    vega is above a millionth of spot, elsewhere as near as the rounding of `price` shows it.

    NaN where the target is not strictly inside `price_bounds`, or where the answer lies outside
    0.0001 to 20: no volatility gives that price.
    """
    low = np.full_like(target, VOL_MIN)
    high = np.full_like(target, VOL_MAX)
    least, most = price_bounds(terms)
    # Strictly: deep in the money `price` equals its bound at every low volatility.
    has_root = (least < target) & (target < most)
    has_root &= (price(terms, low) <= target) & (target <= price(terms, high))
    for _ in range(52):  # halving 20 fifty-two times is below the spacing of doubles near 0.01
        middle = (low + high) / 2
        is_low = price(terms, middle) < target
        low = np.where(is_low, middle, low)
        high = np.where(is_low, high, middle)
    return np.where(has_root, (low + high) / 2, np.nan)


def greeks(terms: Terms, vol: Floats) -> Greeks:
    """The five Greeks at `vol`.

    Hull's worked example gives a delta of 0.522, theta -4.31 a year, vega 12.1 per 1.00:
    >>> one = np.ones(1)
    >>> hull = Terms(spot=49*one, strike=50*one, years=0.3846*one, rate=0.05*one, carry=0*one,
    ...              sign=one, american=one < 0)
    >>> found = greeks(hull, 0.20 * one)
    >>> found.delta.round(3), (found.theta * 365).round(2), (found.vega * 100).round(1)
    (array([0.522]), array([-4.31]), array([12.1]))
    """
    with np.errstate(all="ignore"):
        root = np.sqrt(terms.years)
        d1 = _d1(terms, vol)
        d2 = d1 - vol * root
        s = terms.sign
        share = np.exp(-terms.carry * terms.years)  # shares today that become one at expiry
        owed = terms.strike * terms.discount
        bell = _density(d1) * share
        theta_year = (
            -terms.spot * bell * vol / (2 * root)
            - s * terms.rate * owed * ndtr(s * d2)
            + s * terms.carry * terms.spot * share * ndtr(s * d1)
        )
        columns = {
            "delta": s * share * ndtr(s * d1),
            "gamma": bell / (terms.spot * vol * root),
            "theta": theta_year / DAYS_PER_YEAR,
            "vega": terms.spot * bell * root / 100,
            "rho": s * owed * terms.years * ndtr(s * d2) / 100,
        }
        solved = _priceable(terms) & (vol > 0)
        return Greeks(
            **{name: np.where(solved, column, np.nan) for name, column in columns.items()}
        )


def _priceable(terms: Terms) -> Flags:
    inside: Flags = (terms.spot > 0) & (terms.strike > 0) & (terms.years > 0)
    return inside
