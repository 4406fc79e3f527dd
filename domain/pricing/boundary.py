"""The price at which an American put should be exercised, over all its remaining life.

A put of strike 1 with rate > 0; calls come by put-call symmetry. With t the time to expiry as a
share of the contract's and X = min(1, rate / carry), the boundary is B(t) = X exp(-g(t)), and
g(t)**2 is the polynomial through NODES + 1 Chebyshev points of (sqrt t)**0.7 that is 0 at t = 0.
B solves the integral equation of Kim at every node; its integrals run over an angle, in which both
ends are smooth:  time passed = t sin(a)**2,  time left = t cos(a)**2.

Newton's method with the whole Jacobian ends in 4 to 7 steps from the asymptotic first guess, and in
2 or 3 from a neighbouring volatility. The same Jacobian gives the slopes of the boundary by
volatility and by rate, from the implicit function theorem.

Sources: Andersen, Lake and Offengenden, High-performance American option pricing (2016), for the
collocation, their system B and the transform of B; Evans, Kuske and Keller, American options on
assets with dividends near expiry (2002), for the first guess.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.pricing.compiled import kernel
from domain.pricing.normal import bell, cdf_of, exp
from domain.pricing.terms import Floats

NODES = 12
INNER = 24  # points of each integral
POWER = 0.7
STEPS_MAX = 25
#: A boundary near expiry falls by at least this share of sqrt time, whatever the terms.
_FALL = 0.64
_FALL_MAX = 300.0  # where a put on money at no rate is never exercised, given for ever
#: A guess whose row sums leave less than this share of the European part is far off.
_SOUND = 0.05


class Tables(NamedTuple):
    """Constants of the method; a prefix of `inner` stands at each node's own integral."""

    node: Floats  # (NODES,) square root of the time left, as a share
    sine: Floats  # (INNER,)
    cosine: Floats  # (INNER,)
    weight: Floats  # (INNER,)
    inner: Floats  # (NODES, NODES, INNER): g**2 at the integral's points from g**2 at the nodes
    back: Floats  # (NODES, INNER, NODES): the same, transposed


class Place(NamedTuple):
    """What contracts of one expiration share, as of a put."""

    years: float
    rate: float
    carry: float
    by_carry: bool  # the third slope is by carry instead of by rate: the put stands for a call
    top: float  # log X, where the boundary stands at expiry
    top_slope: float  # its slope by rate, or by carry
    growth: float  # exp(-carry years)
    discount: float  # exp(-rate years)


def chebyshev(roots: Floats) -> tuple[Floats, Floats]:
    """The nodes (NODES,) and the matrix (n, NODES) from values there to values at `roots` (n,),
    square roots of time left as a share; the value at 0 is 0.

    Source: Berrut and Trefethen, Barycentric Lagrange interpolation (2004).
    """
    k = np.arange(NODES + 1)
    places = (1 - np.cos(np.pi * k / NODES)) / 2
    weights = np.where(k % 2, -1.0, 1.0)
    weights[[0, -1]] /= 2
    gaps = roots[:, None] ** POWER - places
    is_node = np.abs(gaps) < 1e-14
    terms = weights / np.where(is_node, 1.0, gaps)
    matrix = terms / terms.sum(axis=1, keepdims=True)
    at_node = is_node.any(axis=1)
    matrix[at_node] = is_node[at_node]
    return places[1:] ** (1 / POWER), matrix[:, 1:]


def tables() -> Tables:
    points, shares = np.polynomial.legendre.leggauss(INNER)
    angle = (points + 1) * np.pi / 4
    sine, cosine = np.sin(angle), np.cos(angle)
    node = chebyshev(np.zeros(1))[0]
    inner = np.stack([chebyshev(root * cosine)[1] for root in node])
    return Tables(
        node=node,
        sine=sine,
        cosine=cosine,
        weight=2 * sine * cosine * shares * np.pi / 4,
        inner=inner.transpose(0, 2, 1).copy(),
        back=inner,
    )


@kernel
def place_of(years: float, rate: float, carry: float, by_carry: bool) -> Place:
    top = slope = 0.0
    if rate < carry:
        top = math.log(rate / carry)
        slope = -1 / carry if by_carry else 1 / rate
    growth, discount = math.exp(-carry * years), math.exp(-rate * years)
    return Place(years, rate, carry, by_carry, top, slope, growth, discount)


@kernel
def fall_limit(place: Place, vol: float) -> float:
    """How far g can go: where the boundary stands with for ever left."""
    drift = 2 * (place.rate - place.carry) / (vol * vol) - 1
    root = (-drift - math.sqrt(drift * drift + 8 * place.rate / (vol * vol))) / 2
    return min(place.top - math.log(root / (root - 1)), _FALL_MAX) if root < 0 else _FALL_MAX


@kernel
def least_fall(reach: float, limit: float) -> float:
    """Half of what g surely is, `reach` being vol sqrt(time left): a floor under the polynomial."""
    near = _FALL * reach
    return 0.5 * limit * near / (limit + near)


@kernel
def first_guess(place: Place, vol: float, node: Floats, g: Floats) -> None:
    """g at the nodes from its behaviour near expiry and with for ever left."""
    limit, start = fall_limit(place, vol), place.top
    drift = place.rate - place.carry
    for i in range(NODES):
        tau = place.years * node[i] * node[i]
        reach = vol * math.sqrt(tau)
        steep = 16.0
        if place.rate > 0:
            steep = -2 * math.log(4 * math.sqrt(math.pi) * place.rate * tau)
        if drift != 0:
            steep = min(steep, math.log(vol * vol / (8 * math.pi * tau * drift * drift)))
        steep = math.sqrt(min(max(steep, 0.4), 16.0))
        fall = max(_FALL * reach, steep * reach + start)
        g[i] = limit * (1 - math.exp(-fall / limit))


@kernel
def discounts(place: Place, table: Tables, by_rate: Floats, by_carry: Floats) -> None:
    """Weights of the integrals (NODES, INNER), grown at the rate and at the carry."""
    for i in range(NODES):
        tau = place.years * table.node[i] * table.node[i]
        for k in range(INNER):
            left = tau * table.cosine[k] * table.cosine[k]
            by_rate[i, k] = tau * table.weight[k] * exp(place.rate * left)
            by_carry[i, k] = tau * table.weight[k] * exp(place.carry * left)


class System(NamedTuple):
    """Kim's equation linearised at the nodes: room that one thread uses again and again."""

    by_rate: Floats  # (NODES, INNER) weights
    by_carry: Floats  # (NODES, INNER) weights
    slope_top: Floats  # (INNER,)
    slope_bottom: Floats  # (INNER,)
    jacobian: Floats  # (NODES, NODES) by g
    right: Floats  # (NODES, 3): the residual, its slope by volatility, by rate (or carry)
    own: Floats  # (NODES,) the diagonal without the integrals
    square: Floats  # (NODES,)
    limit: Floats  # (1,) fall_limit at the volatility
    low: Floats  # (NODES,) both arguments of the European part, their densities, their chances
    high: Floats  # (NODES,)
    bell_low: Floats  # (NODES,)
    bell_high: Floats  # (NODES,)
    chance_low: Floats  # (NODES,)
    chance_high: Floats  # (NODES,)


@kernel
def room() -> System:
    return System(
        np.empty((NODES, INNER)),
        np.empty((NODES, INNER)),
        np.empty(INNER),
        np.empty(INNER),
        np.empty((NODES, NODES)),
        np.empty((NODES, 3)),
        np.empty(NODES),
        np.empty(NODES),
        np.empty(1),
        np.empty(NODES),
        np.empty(NODES),
        np.empty(NODES),
        np.empty(NODES),
        np.empty(NODES),
        np.empty(NODES),
    )


@kernel
def spread(values: Floats, matrix: Floats, out: Floats) -> None:
    """out (n,) = values (NODES,) @ matrix (NODES, n), four rows at a time."""
    for k in range(len(out)):
        out[k] = 0.0
    for j in range(0, NODES, 4):
        a, b, c, d = values[j], values[j + 1], values[j + 2], values[j + 3]
        for k in range(len(out)):
            out[k] += (a * matrix[j, k] + b * matrix[j + 1, k]) + (
                c * matrix[j + 2, k] + d * matrix[j + 3, k]
            )


@kernel
def _integrals(
    i: int, g_i: float, place: Place, vol: float, table: Tables, system: System
) -> tuple[float, ...]:
    """The integrals of node i above and below the line: values, slopes by log B, by volatility,
    and the two parts of those by rate; the slopes by g at the points go to the system's rows."""
    tau = place.years * table.node[i] * table.node[i]
    reach, drift = vol * math.sqrt(tau), place.rate - place.carry
    limit = system.limit[0]
    above, below = system.slope_top, system.slope_bottom
    spread(system.square, table.inner[i], above)
    n = d = n_log = d_log = n_vol = d_vol = n_drift = d_drift = n_grow = d_grow = 0.0
    for k in range(INNER):
        floor = least_fall(reach * table.cosine[k], limit)
        g = math.sqrt(max(above[k], floor * floor))
        is_free = 1.0 if above[k] > floor * floor else 0.0
        deviation = reach * table.sine[k]
        passed = tau * table.sine[k] * table.sine[k]
        left = tau - passed
        inverse = 1 / deviation
        center = (g - g_i + drift * passed) * inverse
        low, high = center - 0.5 * deviation, center + 0.5 * deviation
        bell_low, bell_high = bell(low), bell(high)
        value_low = system.by_rate[i, k] * cdf_of(low, bell_low)
        value_high = system.by_carry[i, k] * cdf_of(high, bell_high)
        bell_low *= system.by_rate[i, k]
        bell_high *= system.by_carry[i, k]
        n += value_low
        d += value_high
        n_log += bell_low * inverse
        d_log += bell_high * inverse
        n_vol -= bell_low * high
        d_vol -= bell_high * low
        n_drift += bell_low * passed * inverse
        d_drift += bell_high * passed * inverse
        n_grow += value_low * left
        d_grow += value_high * left
        above[k] = is_free * bell_low * inverse / g
        below[k] = is_free * bell_high * inverse / g
    return n, d, n_log, d_log, n_vol, d_vol, n_drift, d_drift, n_grow, d_grow


@kernel
def _ends(g: Floats, place: Place, vol: float, table: Tables, system: System) -> None:
    """What each row needs of g at its own node."""
    reach, drift = vol * math.sqrt(place.years), (place.rate - place.carry) * place.years
    for i in range(NODES):
        root = table.node[i]
        deviation = reach * root
        center = (place.top - g[i] + drift * root * root) / deviation
        low, high = center - 0.5 * deviation, center + 0.5 * deviation
        bell_low, bell_high = bell(low), bell(high)
        system.square[i] = g[i] * g[i]
        system.low[i], system.high[i] = low, high
        system.bell_low[i], system.bell_high[i] = bell_low, bell_high
        system.chance_low[i] = cdf_of(low, bell_low)
        system.chance_high[i] = cdf_of(high, bell_high)


@kernel
def _linearise(i: int, g: Floats, place: Place, vol: float, table: Tables, system: System) -> None:
    """Row i of the system at g."""
    rate, carry = place.rate, place.carry
    n, d, n_log, d_log, n_vol, d_vol, n_drift, d_drift, n_grow, d_grow = _integrals(
        i, g[i], place, vol, table, system
    )
    tau = place.years * table.node[i] * table.node[i]
    reach = vol * math.sqrt(tau)
    low, high = system.low[i], system.high[i]
    over = 1 / max(system.chance_low[i] + rate * n, _SOUND * system.chance_low[i])
    under = 1 / max(system.chance_high[i] + carry * d, _SOUND * system.chance_high[i])
    for k in range(INNER):
        system.slope_top[k] = (
            rate * over * system.slope_top[k] - carry * under * system.slope_bottom[k]
        )
    row = system.jacobian[i]
    for j in range(NODES):
        row[j] = 0.0
    for k in range(0, INNER, 4):
        a, b = system.slope_top[k], system.slope_top[k + 1]
        c, e = system.slope_top[k + 2], system.slope_top[k + 3]
        for j in range(NODES):
            row[j] += (a * table.back[i, k, j] + b * table.back[i, k + 1, j]) + (
                c * table.back[i, k + 2, j] + e * table.back[i, k + 3, j]
            )
    for j in range(NODES):
        row[j] *= g[j]
    low_over, high_under = system.bell_low[i] * over, system.bell_high[i] * under
    own = (low_over - high_under) / reach
    system.own[i] = own
    system.jacobian[i, i] -= own + rate * n_log * over - carry * d_log * under - 1
    system.right[i, 0] = math.log(under / over) - (rate - carry) * tau - place.top + g[i]
    system.right[i, 1] = (
        rate * n_vol * over - carry * d_vol * under - low_over * high + high_under * low
    ) / vol
    moved = (low_over - high_under) * tau / reach + rate * n_drift * over - carry * d_drift * under
    if place.by_carry:
        grown = tau - moved - (d + carry * d_grow) * under
    else:
        grown = moved - tau + (n + rate * n_grow) * over
    system.right[i, 2] = grown + place.top_slope * (own - 1)


@kernel
def _eliminate(matrix: Floats, right: Floats) -> None:
    """right becomes matrix**-1 right; matrix is used up. Gauss and Jordan, the diagonal as pivots:
    it dominates near the solution."""
    for i in range(NODES):
        pivot = 1 / matrix[i, i]
        for j in range(i + 1, NODES):
            matrix[i, j] *= pivot
        for j in range(3):
            right[i, j] *= pivot
        for row in range(NODES):
            factor = matrix[row, i]
            if row != i:
                for j in range(i + 1, NODES):
                    matrix[row, j] -= factor * matrix[i, j]
                for j in range(3):
                    right[row, j] -= factor * right[i, j]


@kernel
def solve_boundary(
    g: Floats,
    slopes: Floats,
    place: Place,
    vol: float,
    table: Tables,
    system: System,
    is_near: bool,
) -> bool:
    """Improve g (NODES,) to the solution at `vol`, and give its slopes (NODES, 2) by volatility and
    by rate (or carry); `system` holds the discounts of `place`. False when no step was small.
    """
    reach = vol * math.sqrt(place.years)
    system.limit[0] = fall_limit(place, vol)
    simple = (
        0 if is_near else 2
    )  # steps of each node by itself: from afar they go the right way, Newton's may not
    for _ in range(STEPS_MAX):
        _ends(g, place, vol, table, system)
        for i in range(NODES):
            _linearise(i, g, place, vol, table, system)
        is_simple = simple > 0
        if is_simple:
            simple -= 1
            for i in range(NODES):
                system.right[i, 0] /= 1 - system.own[i]
        else:
            _eliminate(system.jacobian, system.right)
        change = farthest = 0.0
        for i in range(NODES):
            share = table.node[i]
            step = abs(system.right[i, 0]) / (reach * share)
            # What happens a moment before expiry counts by the time it lasts.
            change = max(change, step * share * share * share)
            if share > 0.05:
                farthest = max(farthest, step)
        if not is_simple and not farthest < 0.3:
            simple = 3
            continue
        for i in range(NODES):
            bound = 0.5 * reach * table.node[i]
            step = min(max(system.right[i, 0], -bound), bound)
            g[i] = max(g[i] - step, 1e-6 * reach * table.node[i])
        if not is_simple and change < 1e-5:
            for i in range(NODES):
                slopes[i, 0] = -system.right[i, 1]
                slopes[i, 1] = -system.right[i, 2]
            return True
    return False
