"""American options an expiration at a time: one exercise boundary a volatility serves every strike.

A contract is seen as a put of strike 1 at moneyness m: strike and spot of a call change places, and
so do rate and carry (put-call symmetry). Boundaries are solved at a few volatilities, Lobatto points
of a factor of four each, when a contract first needs them; between them g**2 / vol**2 is Hermite's
polynomial in log vol through values and slopes. The early exercise premium is then one integral a
contract, over an angle stretched by sinh where the share is near the boundary, so that gamma keeps
its jump there. Greeks are derivatives of that integral; theta follows from the pricing equation.

Sources: Kim, The analytic valuation of American options (1990), for the premium; McDonald and
Schroder, A parity result for American options (1998), for the symmetry; domain.pricing.boundary.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.pricing.boundary import (
    NODES,
    Place,
    System,
    Tables,
    chebyshev,
    discounts,
    first_guess,
    place_of,
    room,
    solve_boundary,
    spread,
    tables,
)
from domain.pricing.compiled import kernel
from domain.pricing.european import normalised_deviation
from domain.pricing.normal import bell, cdf_of, exp
from domain.pricing.terms import DAYS_PER_YEAR, Floats, Whole

OUTER = 32  # points of the premium's integral
LEVELS = 11  # stretches of its angle, each four times nearer to the boundary
#: Volatilities with boundaries: SEGMENTS factors of four from VOL_LOW, VOL_POINTS each, ends shared.
VOL_LOW, SEGMENTS, VOL_POINTS = 0.01, 6, 5
_SPAN = math.log(4.0)
VOL_HIGH = VOL_LOW * 4.0**SEGMENTS
VOLS = SEGMENTS * (VOL_POINTS - 1) + 1
_STEPS_MAX = 60
_ROOM = 16  # NODES and what fills the processor's vectors
#: The polynomial of g**2 may swing below this share of g at the first moments of time left.
_LEAST = 0.15
PRECISION = 3e-6  # of volatility, at which its last step is taken without another look


class Method(NamedTuple):
    """Every constant array of the method."""

    tables: Tables
    sine: Floats  # (LEVELS, OUTER)
    cosine: Floats  # (LEVELS, OUTER)
    weight: Floats  # (LEVELS, OUTER)
    outer: Floats  # (LEVELS, NODES, OUTER): g**2 at the premium's points
    place: Floats  # (VOL_POINTS,) of the volatilities in their segment, in log, -1 to 1
    hermite: Floats  # (2 VOL_POINTS, 2 VOL_POINTS): coefficients from values and slopes there
    lagrange: Floats  # (VOL_POINTS, VOL_POINTS): coefficients from values there


class Shape(NamedTuple):
    """The boundaries of one expiration and right: g**2 / vol**2 where solved."""

    is_solved: Floats  # (VOLS,) 1 or 0
    value: Floats  # (VOLS, NODES)
    slope: Floats  # (VOLS, NODES) by log vol
    by_rate: Floats  # (VOLS, NODES) slope of log B by rate, or by carry for calls
    is_joined: Floats  # (SEGMENTS,) 1 when its polynomials are there
    joined: Floats  # (SEGMENTS, 2 VOL_POINTS, NODES) the values' polynomials, highest power first
    joined_rate: Floats  # (SEGMENTS, VOL_POINTS, _ROOM) by rate
    by_rate_discount: Floats  # (LEVELS, OUTER) years discounted at the rate, weighted
    by_carry_discount: Floats  # (LEVELS, OUTER) and at the carry
    guess: Floats  # (NODES,)
    slopes: Floats  # (NODES, 2)
    square: Floats  # (NODES,) g**2 at the volatility asked for
    square_vol: Floats  # (NODES,) its slope by volatility
    square_rate: Floats  # (NODES,) its slope by rate, or by carry
    points: Floats  # (3, OUTER) the three at the premium's points


def method() -> Method:
    points, shares = np.polynomial.legendre.leggauss(OUTER)
    near = 4.0 ** -np.arange(LEVELS)[:, None]
    stretch = np.arcsinh(np.pi / 2 / near)
    along = stretch * (points + 1) / 2
    angle = near * np.sinh(along)
    sine, cosine = np.sin(angle), np.cos(angle)
    place = -np.cos(np.pi * np.arange(VOL_POINTS) / (VOL_POINTS - 1))
    powers = np.arange(2 * VOL_POINTS - 1, -1, -1)
    values = place[:, None] ** powers
    slopes = powers * place[:, None] ** np.maximum(powers - 1, 0)
    return Method(
        tables=tables(),
        sine=sine,
        cosine=cosine,
        weight=2 * sine * cosine * near * stretch * np.cosh(along) * shares / 2,
        outer=np.stack([chebyshev(row)[1].T.copy() for row in cosine]),
        place=place,
        hermite=np.linalg.inv(np.concatenate([values, slopes])),
        lagrange=np.linalg.inv(values[:, VOL_POINTS:].copy()),
    )


@kernel
def shape() -> Shape:
    return Shape(
        np.zeros(VOLS),
        np.empty((VOLS, NODES)),
        np.empty((VOLS, NODES)),
        np.empty((VOLS, NODES)),
        np.zeros(SEGMENTS),
        np.empty((SEGMENTS, 2 * VOL_POINTS, _ROOM)),
        np.empty((SEGMENTS, VOL_POINTS, _ROOM)),
        np.empty((LEVELS, OUTER)),
        np.empty((LEVELS, OUTER)),
        np.empty(NODES),
        np.empty((NODES, 2)),
        np.empty(_ROOM),
        np.empty(_ROOM),
        np.empty(_ROOM),
        np.empty((3, OUTER)),
    )


@kernel
def _log_vol(index: int, place: Floats) -> float:
    segment, point = index // (VOL_POINTS - 1), index % (VOL_POINTS - 1)
    return math.log(VOL_LOW) + _SPAN * (segment + 0.5 + 0.5 * place[point])


@kernel
def _extend(index: int, method: Method, made: Shape) -> None:
    """g**2 / vol**2 at a volatility from the one or two solved above it, into `guess`."""
    step = _log_vol(index, method.place) - _log_vol(index + 1, method.place)
    if index + 2 == VOLS or made.is_solved[index + 2] == 0.0:
        for j in range(NODES):
            made.guess[j] = made.value[index + 1, j] + step * made.slope[index + 1, j]
        return
    gap = _log_vol(index + 2, method.place) - _log_vol(index + 1, method.place)
    x = step / gap
    far, far_slope, near_slope = (
        x * x * (3 - 2 * x),
        gap * x * x * (x - 1),
        gap * x * (x - 1) * (x - 1),
    )
    for j in range(NODES):
        made.guess[j] = (
            (1 - far) * made.value[index + 1, j]
            + far * made.value[index + 2, j]
            + near_slope * made.slope[index + 1, j]
            + far_slope * made.slope[index + 2, j]
        )


@kernel
def _solve_at(index: int, place: Place, method: Method, system: System, made: Shape) -> bool:
    """Solve the boundary at one of the volatilities, from its upper neighbour when that is there."""
    vol = math.exp(_log_vol(index, method.place))
    g = made.guess
    is_near = index + 1 < VOLS and made.is_solved[index + 1] == 1.0
    if is_near:
        _extend(index, method, made)
        for j in range(NODES):
            g[j] = vol * math.sqrt(max(g[j], 0.25 * made.value[index + 1, j]))
    else:
        first_guess(place, vol, method.tables.node, g)
    found = solve_boundary(g, made.slopes, place, vol, method.tables, system, is_near)
    if not found and is_near:
        first_guess(place, vol, method.tables.node, g)
        found = solve_boundary(g, made.slopes, place, vol, method.tables, system, False)
    for j in range(NODES):
        share = g[j] / vol
        made.value[index, j] = share * share
        made.slope[index, j] = 2 * share * (made.slopes[j, 0] - share)
        made.by_rate[index, j] = place.top_slope - made.slopes[j, 1]
    made.is_solved[index] = 1.0
    return found


@kernel
def _join(segment: int, place: Place, method: Method, system: System, made: Shape) -> bool:
    """Solve a segment's boundaries, and the polynomials in log vol through them."""
    first, is_found = segment * (VOL_POINTS - 1), True
    for k in range(VOL_POINTS - 1, -1, -1):
        if made.is_solved[first + k] == 0.0:
            is_found = _solve_at(first + k, place, method, system, made) and is_found
    made.joined[segment] = 0.0
    made.joined_rate[segment] = 0.0
    for power in range(2 * VOL_POINTS):
        for k in range(VOL_POINTS):
            value = method.hermite[power, k]
            slope = method.hermite[power, VOL_POINTS + k] * _SPAN / 2
            for j in range(NODES):
                made.joined[segment, power, j] += (
                    value * made.value[first + k, j] + slope * made.slope[first + k, j]
                )
    for power in range(VOL_POINTS):
        for k in range(VOL_POINTS):
            for j in range(NODES):
                made.joined_rate[segment, power, j] += (
                    method.lagrange[power, k] * made.by_rate[first + k, j]
                )
    made.is_joined[segment] = 1.0 if is_found else -1.0
    return is_found


@kernel
def _interpolate(vol: float, place: Place, method: Method, system: System, made: Shape) -> bool:
    """Fill square, square_vol and square_rate at `vol`; False where a boundary is not found."""
    along = math.log(vol / VOL_LOW) / _SPAN
    segment = min(max(int(along), 0), SEGMENTS - 1)
    if made.is_joined[segment] == 0.0:
        _join(segment, place, method, system, made)
    x = 2 * (along - segment) - 1
    squared, by_log = vol * vol, 2 / _SPAN
    values, rates = made.joined[segment], made.joined_rate[segment]
    for j in range(_ROOM):
        value, slope, rate = values[0, j], 0.0, rates[0, j]
        for power in range(1, 2 * VOL_POINTS):
            slope = slope * x + value
            value = value * x + values[power, j]
        for power in range(1, VOL_POINTS):
            rate = rate * x + rates[power, j]
        made.square[j] = squared * value
        made.square_vol[j] = vol * (2 * value + by_log * slope)
        made.square_rate[j] = 2 * vol * math.sqrt(max(value, 0.0)) * (place.top_slope - rate)
    return made.is_joined[segment] > 0


@kernel
def _premium(
    log_m: float, place: Place, vol: float, level: int, method: Method, made: Shape
) -> tuple[float, float, float, float, float]:
    """What exercise before expiry is worth, its two slopes by m, by volatility and by rate."""
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


@kernel
def _worth(
    log_m: float, place: Place, vol: float, method: Method, made: Shape
) -> tuple[float, float, float, float, float, float]:
    """Price of the put of strike 1, its two slopes by m, by volatility, by rate (or carry), and how
    its vega bends: d log(vega) / d vol as of a European put. `made` stands at `vol`."""
    m, reach = math.exp(log_m), vol * math.sqrt(place.years)
    distance = (log_m - place.top + math.sqrt(max(made.square[NODES - 1], 0.0))) / reach
    if distance <= 0:
        return 1 - m, -1.0, 0.0, 0.0, 0.0, 0.0
    level, near = 0, 0.5
    while level < LEVELS - 1 and distance < near:
        level += 1
        near *= 0.25
    spread(made.square, method.outer[level], made.points[0])
    spread(made.square_vol, method.outer[level], made.points[1])
    spread(made.square_rate, method.outer[level], made.points[2])
    value, first, second, by_vol, by_rate = _premium(log_m, place, vol, level, method, made)
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
        high * low / vol,
    )


@kernel
def _answer(row: Floats, out: Floats, place: Place, vol: float, worth: tuple[float, ...]) -> None:
    """The contract's own price and Greeks from its put's; row is (log m, unit, spot, sign)."""
    log_m, unit, spot, sign = row[0], row[1], row[2], row[3]
    value, first, second, by_vol, by_rate = worth[:5]
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
def _solve_row(
    row: Floats,
    target: float,
    place: Place,
    method: Method,
    system: System,
    made: Shape,
    out: Floats,
) -> None:
    """Volatility, price and Greeks of one contract from its price; NaN when none is found."""
    log_m, value = row[0], target / row[1]
    low, high = VOL_LOW, VOL_HIGH
    if not 1 - math.exp(log_m) < value < 1 or value <= 0:
        return
    vol = min(max(_european_guess(log_m, value, place), low), high)
    for _ in range(_STEPS_MAX):
        if not _interpolate(vol, place, method, system, made):
            return
        worth = _worth(log_m, place, vol, method, made)
        excess = worth[0] - value
        if excess > 0:
            high = vol
        else:
            low = vol
        if worth[3] > 0:
            newton = -excess / worth[3]
            step = newton / max(1 + 0.5 * newton * worth[5], 0.5)
            if abs(step) <= PRECISION * vol:
                _answer(row, out, place, vol, worth)
                out[0] = vol + step
                return
            vol += step
        if not low < vol < high:
            vol = math.sqrt(low * high)
        if high - low <= 1e-12 * high:
            return


@kernel
def _opened(place: Place, method: Method, system: System) -> Shape:
    """Room for one expiration's boundaries, with its discounts in place."""
    made = shape()
    discounts(place, method.tables, system.by_rate, system.by_carry)
    for level in range(LEVELS):
        for k in range(OUTER):
            passed = place.years * method.sine[level, k] * method.sine[level, k]
            weight = place.years * method.weight[level, k]
            made.by_rate_discount[level, k] = weight * exp(-place.rate * passed)
            made.by_carry_discount[level, k] = weight * exp(-place.carry * passed)
    return made


@kernel
def fill_expirations(
    rows: Floats,
    given: Floats,
    starts: Whole,
    places: Floats,
    method: Method,
    is_price: bool,
    out: Floats,
) -> None:
    """out (n, 7): volatility, price, delta, gamma, theta, vega, rho of contracts sorted by place.

    rows    (n, 4): log moneyness as a put, worth of its strike in USD, spot, sign of the contract
    given   (n,) prices when `is_price`, else volatilities
    starts  (places + 1,) where the rows of each place begin and the last ends
    places  (places, 4): years, rate and carry as of a put, 1 when it stands for calls
    NaN where a price has no volatility, or one lies outside VOL_LOW to VOL_HIGH.
    """
    system = room()
    for p in range(len(places)):
        place = place_of(places[p, 0], places[p, 1], places[p, 2], places[p, 3] == 1.0)
        made = _opened(place, method, system)
        for i in range(starts[p], starts[p + 1]):
            out[i] = math.nan
            if is_price:
                _solve_row(rows[i], given[i], place, method, system, made, out[i])
            elif VOL_LOW <= given[i] <= VOL_HIGH and _interpolate(
                given[i], place, method, system, made
            ):
                worth = _worth(rows[i, 0], place, given[i], method, made)
                _answer(rows[i], out[i], place, given[i], worth)
