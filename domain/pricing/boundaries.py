"""The exercise boundaries of one expiration and right, at every volatility.

They are solved at a few volatilities, Lobatto points of a factor of four each, when a contract
first needs them; between them g**2 / vol**2 is Hermite's polynomial in log vol through values and
slopes.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.pricing.boundary import System, slopes_at, solve_boundary, system_of
from domain.pricing.collocation import (
    NODES,
    Place,
    Tables,
    beside,
    chebyshev,
    first_guess,
    tables,
)
from domain.pricing.compiled import inner_kernel, kernel
from domain.pricing.normal import exp
from domain.pricing.terms import Floats

OUTER = 32  # points of the premium's integral
LEVELS = 11  # stretches of its angle, each four times nearer to the boundary
#: Volatilities with boundaries: SEGMENTS factors of four from VOL_LOW, VOL_POINTS each; they share
#: their ends.
VOL_LOW, SEGMENTS, VOL_POINTS = 0.01, 6, 6
VOL_HIGH = VOL_LOW * 4.0**SEGMENTS
VOLS = SEGMENTS * (VOL_POINTS - 1) + 1
_SPAN = math.log(4.0)
#: Nodes before this one, a moment from expiry, keep their asymptotic guess: what is solved there is
#: too rough to be extrapolated.
_EXTENDED = 2
_ROOM = 16  # NODES and what fills the processor's vectors


class Method(NamedTuple):
    """Every constant array of the method."""

    tables: Tables
    sine: Floats  # (LEVELS, OUTER)
    cosine: Floats  # (LEVELS, OUTER)
    weight: Floats  # (LEVELS, OUTER)
    outer: Floats  # (LEVELS, NODES, OUTER): g**2 at the premium's points
    place: Floats  # (VOL_POINTS,) of the volatilities in their segment, in log, -1 to 1
    hermite: Floats  # (2 VOL_POINTS, 2 VOL_POINTS): coefficients from values and slopes there


class Shape(NamedTuple):
    """The boundaries of one expiration and right: g**2 / vol**2 where solved."""

    method: Method
    system: System
    aside: System  # at a rate (or carry) `step` away
    step: float
    is_solved: Floats  # (VOLS,) 1 or 0
    value: Floats  # (VOLS, NODES)
    slope: Floats  # (VOLS, NODES) by log vol
    by_rate: Floats  # (VOLS, NODES) slope of value by rate, or by carry for calls
    by_both: Floats  # (VOLS, NODES) slope of by_rate by log vol
    is_joined: Floats  # (SEGMENTS,) 1 when its polynomials are there, -1 when a boundary is not
    joined: Floats  # (SEGMENTS, 2 VOL_POINTS, _ROOM) the values' polynomials, highest power first
    joined_rate: Floats  # (SEGMENTS, 2 VOL_POINTS, _ROOM) by_rate's polynomials
    by_rate_discount: Floats  # (LEVELS, OUTER) years discounted at the rate, weighted
    by_carry_discount: Floats  # (LEVELS, OUTER) and at the carry
    guess: Floats  # (NODES,)
    share_rate: Floats  # (NODES,)
    slopes: Floats  # (NODES, 2)
    square: Floats  # (_ROOM,) g**2 at the volatility asked for
    square_vol: Floats  # (_ROOM,) its slope by volatility
    square_rate: Floats  # (_ROOM,) its slope by rate, or by carry
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
    )


@kernel
def shape_of(place: Place, method: Method) -> Shape:
    near, step = beside(place)
    made = Shape(
        method,
        system_of(place, method.tables),
        system_of(near, method.tables),
        step,
        np.zeros(VOLS),
        np.empty((VOLS, NODES)),
        np.empty((VOLS, NODES)),
        np.empty((VOLS, NODES)),
        np.empty((VOLS, NODES)),
        np.zeros(SEGMENTS),
        np.empty((SEGMENTS, 2 * VOL_POINTS, _ROOM)),
        np.empty((SEGMENTS, 2 * VOL_POINTS, _ROOM)),
        np.empty((LEVELS, OUTER)),
        np.empty((LEVELS, OUTER)),
        np.empty(NODES),
        np.empty(NODES),
        np.empty((NODES, 2)),
        np.empty(_ROOM),
        np.empty(_ROOM),
        np.empty(_ROOM),
        np.empty((3, OUTER)),
    )
    for level in range(LEVELS):
        for k in range(OUTER):
            passed = place.years * method.sine[level, k] * method.sine[level, k]
            weight = place.years * method.weight[level, k]
            made.by_rate_discount[level, k] = weight * exp(-place.rate * passed)
            made.by_carry_discount[level, k] = weight * exp(-place.carry * passed)
    return made


@kernel
def _log_vol(index: int, place: Floats) -> float:
    segment, point = index // (VOL_POINTS - 1), index % (VOL_POINTS - 1)
    log_vol: float = math.log(VOL_LOW) + _SPAN * (segment + 0.5 + 0.5 * place[point])
    return log_vol


@kernel
def _extend(index: int, made: Shape) -> None:
    """g at a volatility from the one or two solved above it in its segment, into `guess`."""
    place, upper, far = made.method.place, index + 1, index + 2
    step = _log_vol(index, place) - _log_vol(upper, place)
    by_far, by_slope, by_far_slope = 0.0, step, 0.0
    if upper % (VOL_POINTS - 1) != 0:
        gap = _log_vol(far, place) - _log_vol(upper, place)
        x = step / gap
        by_far, by_far_slope = x * x * (3 - 2 * x), gap * x * x * (x - 1)
        by_slope = gap * x * (x - 1) * (x - 1)
    else:
        far = upper
    vol = math.exp(_log_vol(index, place))
    for j in range(_EXTENDED, NODES):
        square = (
            (1 - by_far) * made.value[upper, j]
            + by_far * made.value[far, j]
            + by_slope * made.slope[upper, j]
            + by_far_slope * made.slope[far, j]
        )
        made.guess[j] = vol * math.sqrt(max(square, 0.25 * made.value[upper, j]))


@kernel
def _solve_at(index: int, made: Shape) -> bool:
    """Solve the boundary at one of the volatilities: inside a segment from the upper neighbour, at
    its ends from nothing, so that no answer depends on which segments were needed before."""
    system, g = made.system, made.guess
    vol = math.exp(_log_vol(index, made.method.place))
    first_guess(system.place, vol, system.table.node, g)
    is_near = index % (VOL_POINTS - 1) != 0
    if is_near:
        _extend(index, made)
    found = solve_boundary(g, made.slopes, vol, system, is_near)
    if not found and is_near:
        first_guess(system.place, vol, system.table.node, g)
        found = solve_boundary(g, made.slopes, vol, system, False)
    for j in range(NODES):
        share = g[j] / vol
        made.value[index, j] = share * share
        made.slope[index, j] = 2 * share * (made.slopes[j, 0] - share)
        made.by_rate[index, j] = 2 * share * made.slopes[j, 1] / vol
        made.by_both[index, j] = made.slopes[j, 0]
        made.share_rate[j] = made.slopes[j, 1] / vol
        # As far from the solution as where the slopes were taken, so that the difference is right.
        g[j] = math.sqrt(system.square[j]) + made.step * made.slopes[j, 1]
    # The slope by rate of the slope by vol is the slope by vol of the slope by rate.
    slopes_at(g, made.slopes, vol, made.aside)
    for j in range(NODES):
        share, share_rate = math.sqrt(made.value[index, j]), made.share_rate[j]
        bend = (made.slopes[j, 0] - made.by_both[index, j]) / made.step - share_rate
        by_log = made.by_both[index, j] - share
        made.by_both[index, j] = 2 * (share_rate * by_log + share * bend)
    made.is_solved[index] = 1.0
    return found


@kernel
def _join(segment: int, made: Shape) -> None:
    """Solve a segment's boundaries, and make the polynomials in log vol through them."""
    first, is_found = segment * (VOL_POINTS - 1), True
    for k in range(VOL_POINTS - 1, -1, -1):
        if made.is_solved[first + k] == 0.0:
            is_found = _solve_at(first + k, made) and is_found
    made.joined[segment] = 0.0
    made.joined_rate[segment] = 0.0
    hermite = made.method.hermite
    for k in range(VOL_POINTS):
        for power in range(2 * VOL_POINTS):
            by_value, by_slope = hermite[power, k], hermite[power, VOL_POINTS + k] * _SPAN / 2
            for j in range(NODES):
                made.joined[segment, power, j] += (
                    by_value * made.value[first + k, j] + by_slope * made.slope[first + k, j]
                )
                made.joined_rate[segment, power, j] += (
                    by_value * made.by_rate[first + k, j] + by_slope * made.by_both[first + k, j]
                )
    made.is_joined[segment] = 1.0 if is_found else -1.0


@inner_kernel
def interpolate(vol: float, made: Shape) -> bool:
    """Fill square, square_vol and square_rate at `vol`; False where a boundary is not found."""
    along = math.log(vol / VOL_LOW) / _SPAN
    segment = min(max(int(along), 0), SEGMENTS - 1)
    if made.is_joined[segment] == 0.0:
        _join(segment, made)
    x = 2 * (along - segment) - 1
    squared, by_log = vol * vol, 2 / _SPAN
    values, rates = made.joined[segment], made.joined_rate[segment]
    for j in range(_ROOM):
        value, slope, rate = values[0, j], 0.0, rates[0, j]
        for power in range(1, 2 * VOL_POINTS):
            slope = slope * x + value
            value = value * x + values[power, j]
            rate = rate * x + rates[power, j]
        made.square[j] = squared * value
        made.square_vol[j] = vol * (2 * value + by_log * slope)
        made.square_rate[j] = squared * rate
    return bool(made.is_joined[segment] > 0)
