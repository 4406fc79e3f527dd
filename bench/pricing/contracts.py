"""The contracts that are measured. The same seed gives the same ones."""

from dataclasses import dataclass

import numpy as np

from domain import pricing
from domain.pricing import DAYS_PER_YEAR, Floats, Terms

CHAIN = 200  # contracts of one expiration
#: Below this share of strike for 1.00 of volatility a price says nothing of volatility.
_VEGA_MIN = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Contracts:
    """Terms whose years are whole days, the volatility of each row, and our price there in USD."""

    terms: Terms
    vol: Floats
    price: Floats


def chains(count: int, seed: int, is_american: bool) -> Contracts:
    """`count` contracts in chains of CHAIN, with a skew; a third of the chains has no yield.

    What the market would hardly quote, in the money with no time value, has its right changed.
    """
    random = np.random.default_rng(seed)
    heads = -(-count // CHAIN)

    def spread(column: Floats) -> Floats:
        return np.repeat(column, CHAIN)[:count]

    years = spread(_whole_days(random, heads, 2, 730) / DAYS_PER_YEAR)
    spot = spread(random.uniform(20, 600, heads))
    rate = spread(random.uniform(0.005, 0.06, heads))
    carry = spread(np.where(random.random(heads) < 1 / 3, 0.0, random.uniform(0, 0.04, heads)))
    level = spread(np.exp(random.uniform(np.log(0.1), np.log(0.8), heads)))
    away = random.uniform(-2.5, 2.0, count)  # of the forward, in deviations
    vol = level * (1 - 0.08 * away + 0.02 * away * away)
    terms = Terms(
        spot=spot,
        strike=spot * np.exp((rate - carry) * years + away * level * np.sqrt(years)),
        years=years,
        rate=rate,
        carry=carry,
        sign=random.choice([-1.0, 1.0], count),
        american=np.full(count, is_american),
    )
    vega = pricing.greeks(terms, vol).vega * 100 / terms.strike
    least, _ = pricing.price_bounds(terms)
    value = pricing.price(terms, vol) - least
    is_mute = (vega < _VEGA_MIN) | ~(value > 1e-6 * terms.strike)
    is_inside = terms.sign * (terms.spot - terms.strike) > 0
    terms.sign[is_mute & is_inside] *= -1
    return Contracts(terms=terms, vol=vol, price=pricing.price(terms, vol))


def wide(count: int, seed: int) -> Contracts:
    """American contracts of everything that may come: 1 day to 3 years and 3 % to 300 % of
    volatility, both even in log; rates of -2 % to 12 %, yields to 15 %, a quarter exactly 0;
    strikes of 40 % to 250 % of spot, half of them within two deviations."""
    random = np.random.default_rng(seed)
    years = _whole_days(random, count, 1, 3 * DAYS_PER_YEAR) / DAYS_PER_YEAR
    vol = np.exp(random.uniform(np.log(0.03), np.log(3), count))
    near = np.exp(random.uniform(-2, 2, count) * vol * np.sqrt(years)).clip(0.4, 2.5)
    is_near = random.random(count) < 0.5
    terms = Terms(
        spot=np.full(count, 100.0),
        strike=100 * np.where(is_near, near, random.uniform(0.4, 2.5, count)),
        years=years,
        rate=random.uniform(-0.02, 0.12, count),
        carry=np.where(random.random(count) < 0.25, 0.0, random.uniform(0, 0.15, count)),
        sign=random.choice([-1.0, 1.0], count),
        american=np.ones(count, dtype=np.bool_),
    )
    return Contracts(terms=terms, vol=vol, price=pricing.price(terms, vol))


def _whole_days(random: np.random.Generator, count: int, least: int, most: int) -> Floats:
    """Even in log: QuantLib's engine knows dates, not moments."""
    days: Floats = np.rint(np.exp(random.uniform(np.log(least), np.log(most), count)))
    return days
