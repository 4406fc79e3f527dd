"""American options an expiration at a time: one exercise boundary a volatility serves every strike.

A contract is seen as a put of strike 1 at moneyness m: strike and spot of a call change places, and
so do rate and carry (put-call symmetry). The early exercise premium is one integral a contract
along the boundary, over an angle stretched by sinh where the share is near it, so that gamma keeps
its jump there. Greeks are derivatives of that integral; theta follows from the pricing equation.

Sources: Kim, The analytic valuation of American options (1990), for the premium; McDonald and
Schroder, A parity result for American options (1998), for the symmetry; domain.pricing.boundary.
"""

import math

import numpy as np

from domain.pricing.boundaries import (
    LEVELS,
    OUTER,
    VOL_HIGH,
    VOL_LOW,
    Method,
    Shape,
    interpolate,
    method,
    shape_of,
)
from domain.pricing.boundary import spread
from domain.pricing.collocation import NODES, Place, place_of
from domain.pricing.compiled import inner_kernel, kernel
from domain.pricing.european import normalised_deviation
from domain.pricing.normal import bell, cdf_of
from domain.pricing.terms import DAYS_PER_YEAR, VOL_MAX, Floats, Whole

__all__ = ["ANSWERS", "Method", "expirations", "method"]

ANSWERS = 7  # volatility, price, delta, gamma, theta, vega, rho
_STEPS_MAX = 60
#: So often vega is taken to bend as a European put's; near the boundary it may not.
_EUROPEAN_TRIES = 2
#: The polynomial of g**2 may swing below this share of g at the first moments of time left.
_LEAST = 0.15
PRECISION = 3e-6  # of volatility, at which its last step is taken without another look


@inner_kernel
def _premium(
    log_m: float, vol: float, level: int, made: Shape
) -> tuple[float, float, float, float, float]:
    """What exercise before expiry is worth, its two slopes by m, by volatility and by rate."""
    place, method = made.system.place, made.method
    rate, carry, years = place.rate, place.carry, place.years
    m, start, start_slope = math.exp(log_m), place.top, place.top_slope
    reach, least = vol * math.sqrt(years), _LEAST * math.sqrt(made.square[NODES - 1])
    shift = 0.0 if place.by_carry else 1.0
    value = first = second = by_vol = by_rate = 0.0
    for k in range(OUTER):
        deviation = reach * method.sine[level, k]
        passed = years * method.sine[level, k] * method.sine[level, k]
        floor = least * method.cosine[level, k]
        g = math.sqrt(max(made.points[0, k], floor * floor))
        half = 0.5 / g
        inverse = 1 / deviation
        center = (log_m - start + g + (rate - carry) * passed) * inverse
        low, high = center - 0.5 * deviation, center + 0.5 * deviation
        owed = made.by_rate_discount[level, k]
        share = made.by_carry_discount[level, k] * m
        bell_low, bell_high = bell(low), bell(high)
        tail_low, tail_high = owed * cdf_of(-low, bell_low), share * cdf_of(-high, bell_high)
        bell_low *= rate * owed
        bell_high *= carry * share
        value += rate * tail_low - carry * tail_high
        first += (bell_high - bell_low) * inverse - carry * tail_high
        second += (bell_low * (low * inverse + 1) + bell_high * (1 - high * inverse)) * inverse
        moved = made.points[1, k] * half * inverse
        by_vol += bell_low * (high / vol - moved) - bell_high * (low / vol - moved)
        drift = passed * inverse
        moved = made.points[2, k] * half * inverse - start_slope * inverse
        moved += drift * (2 * shift - 1)
        by_rate += (bell_high - bell_low) * moved
        by_rate += shift * (1 - rate * passed) * tail_low
        by_rate -= (1 - shift) * (1 - carry * passed) * tail_high
    return value, first / m, second / (m * m), by_vol, by_rate


@inner_kernel
def _worth(log_m: float, vol: float, made: Shape) -> tuple[float, float, float, float, float]:
    """Price of the put of strike 1, its two slopes by m, by volatility and by rate (or carry).
    `made` stands at `vol`."""
    place, outer = made.system.place, made.method.outer
    m, reach = math.exp(log_m), vol * math.sqrt(place.years)
    distance = (log_m - place.top + math.sqrt(max(made.square[NODES - 1], 0.0))) / reach
    if distance <= 0:
        return 1 - m, -1.0, 0.0, 0.0, 0.0
    level, near = 0, 0.5
    while level < LEVELS - 1 and distance < near:
        level += 1
        near *= 0.25
    spread(made.square, outer[level], made.points[0])
    spread(made.square_vol, outer[level], made.points[1])
    spread(made.square_rate, outer[level], made.points[2])
    value, first, second, by_vol, by_rate = _premium(log_m, vol, level, made)
    rate, carry, years = place.rate, place.carry, place.years
    high = (log_m + (rate - carry) * years) / reach + 0.5 * reach
    low = high - reach
    bell_high = bell(high)
    share = place.growth * cdf_of(-high, bell_high)
    owed = place.discount * cdf_of(-low, bell(low))
    bell_high *= place.growth
    by_rate += years * m * share if place.by_carry else -years * owed
    return (
        value + owed - m * share,
        first - share,
        second + bell_high / (m * reach),
        by_vol + m * bell_high * math.sqrt(years),
        by_rate,
    )


@inner_kernel
def _answer(row: Floats, out: Floats, place: Place, vol: float, worth: tuple[float, ...]) -> None:
    """The contract's own price and Greeks from its put's; row is (log m, unit, spot, sign)."""
    log_m, unit, spot, sign = row[0], row[1], row[2], row[3]
    value, first, second, by_vol, by_rate = worth
    m = math.exp(log_m)
    drift = (place.rate - place.carry) * m * first
    theta = place.rate * value - drift - 0.5 * vol * vol * m * m * second
    out[0] = vol
    out[1] = unit * value
    out[2] = first if sign < 0 else value - m * first
    out[3] = m * m * second * unit / (spot * spot)
    out[4] = unit * theta / DAYS_PER_YEAR if value > 1 - m or second > 0 else 0.0
    out[5] = unit * by_vol / 100
    out[6] = unit * by_rate / 100


@kernel
def _european_guess(log_m: float, target: float, place: Place) -> float:
    """The volatility of a European put of that price, no less than the American one's."""
    growth = (place.rate - place.carry) * place.years
    x = -abs(log_m + growth)
    value = target - max(place.discount - math.exp(log_m) * place.growth, 0.0)
    value /= math.exp(0.5 * (log_m - (place.rate + place.carry) * place.years))
    root = math.sqrt(place.years)
    if not 0 < value < 0.999 * math.exp(x / 2):
        return 3 / root
    return normalised_deviation(x, value, 1e-3) / root


@kernel
def _solve_row(row: Floats, target: float, made: Shape, out: Floats) -> None:
    """Volatility, price and Greeks of one contract from its price; NaN when none is found."""
    log_m, value = row[0], target / row[1]
    if not row[4] < target < row[1] or target <= 0:
        return
    low, high = VOL_LOW, min(VOL_HIGH, VOL_MAX)
    vol = min(max(_european_guess(log_m, value, made.system.place), low), high)
    last_vol = last_vega = 0.0
    for tries in range(_STEPS_MAX):
        if not interpolate(vol, made):
            return
        worth = _worth(log_m, vol, made)
        excess, vega = worth[0] - value, worth[3]
        if excess > 0:
            high = vol
        else:
            low = vol
        bend = _european_bend(log_m, vol, made.system.place)
        if tries >= _EUROPEAN_TRIES:
            bend = (vega - last_vega) / (vega * (vol - last_vol))
        step = _step(excess, vega, bend)
        if abs(step) <= PRECISION * vol:
            _answer(row, out, made.system.place, vol, worth)
            out[0] = vol + step
            return
        last_vol, last_vega = vol, vega
        vol += step
        if not low < vol < high:
            vol = math.sqrt(low * high)


@inner_kernel
def _step(excess: float, vega: float, bend: float) -> float:
    """The step of volatility that ends an excess of price, Halley's with d log(vega) / d vol as
    `bend`; out of all bounds where vega is none."""
    if vega <= 0:
        return math.copysign(VOL_HIGH, -excess)
    newton = -excess / vega
    return newton / min(max(1 + 0.5 * newton * bend, 0.5), 2.0)


@inner_kernel
def _european_bend(log_m: float, vol: float, place: Place) -> float:
    """d log(vega) / d vol of a European put."""
    reach = vol * math.sqrt(place.years)
    center = (log_m + (place.rate - place.carry) * place.years) / reach
    return (center * center - 0.25 * reach * reach) / vol


@kernel
def expirations(
    rows: Floats, given: Floats, is_price: bool, starts: Whole, places: Floats, method: Method
) -> Floats:
    """(n, ANSWERS) of contracts sorted by place.

    rows    (n, 5): log moneyness as a put, worth of its strike in USD, spot, sign of the contract,
            what exercise now pays in USD
    given   (n,) prices when `is_price`, else volatilities
    starts  (places + 1,) where the rows of each place begin and the last ends
    places  (places, 4): years, rate and carry as of a put, 1 when it stands for calls
    NaN where a price has no volatility, or one lies outside VOL_LOW to VOL_HIGH.
    """
    out = np.full((len(rows), ANSWERS), math.nan)
    for p in range(len(places)):
        place = place_of(places[p, 0], places[p, 1], places[p, 2], places[p, 3] == 1.0)
        made = shape_of(place, method)
        for i in range(starts[p], starts[p + 1]):
            if is_price:
                _solve_row(rows[i], given[i], made, out[i])
            elif VOL_LOW <= given[i] <= VOL_HIGH and interpolate(given[i], made):
                _answer(rows[i], out[i], place, given[i], _worth(rows[i, 0], given[i], made))
    return out
