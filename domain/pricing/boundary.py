"""The price at which an American put should be exercised, over all its remaining life.

The boundary of domain.pricing.collocation solves the integral equation of Kim at every node; its
integrals run over an angle, in which both ends are smooth:  time passed = t sin(a)**2,  time left =
t cos(a)**2.

Newton's method with the whole Jacobian ends in 4 to 7 steps from the asymptotic first guess, and in
2 or 3 from a neighbouring volatility. The same Jacobian gives the slopes of the boundary by
volatility and by rate, from the implicit function theorem.

Source: Andersen, Lake and Offengenden, High-performance American option pricing (2016), system B.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.pricing.collocation import INNER, NODES, Place, Tables, fall_limit, least_fall
from domain.pricing.compiled import inner_kernel, kernel
from domain.pricing.normal import bell, cdf_of, exp
from domain.pricing.terms import Floats

STEPS_MAX = 60
#: A step longer than this share of the boundary's reach is not Newton's to take.
STEP_MAX = 0.3
PRECISION = 3e-6  # of the reach, weighed by the time it lasts; the last step is Newton's
#: A row whose integrals leave less than this share of its European part is far from the solution.
_SOUND = 0.05


class System(NamedTuple):
    """Kim's equation for the contracts of one place, linearised at the nodes."""

    place: Place
    table: Tables
    by_rate: Floats  # (NODES, INNER) weights of the integrals, grown at the rate
    by_carry: Floats  # (NODES, INNER) and at the carry
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
def system_of(place: Place, table: Tables) -> System:
    system = System(
        place,
        table,
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
    for i in range(NODES):
        tau = place.years * table.node[i] * table.node[i]
        for k in range(INNER):
            left = tau * table.cosine[k] * table.cosine[k]
            system.by_rate[i, k] = tau * table.weight[k] * exp(place.rate * left)
            system.by_carry[i, k] = tau * table.weight[k] * exp(place.carry * left)
    return system


@inner_kernel
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
def _integrals(i: int, g_i: float, vol: float, system: System) -> tuple[float, ...]:
    """The integrals of node i above and below the line: values, slopes by log B, by volatility,
    and the two parts of those by rate; the slopes by g at the points go to the system's rows."""
    place, table = system.place, system.table
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
def _ends(g: Floats, vol: float, system: System) -> None:
    """What each row needs of g at its own node."""
    place = system.place
    reach, drift = vol * math.sqrt(place.years), (place.rate - place.carry) * place.years
    for i in range(NODES):
        root = system.table.node[i]
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
def _linearise(i: int, g: Floats, vol: float, system: System) -> None:
    """Row i of the system at g."""
    place, table = system.place, system.table
    rate, carry = place.rate, place.carry
    n, d, n_log, d_log, n_vol, d_vol, n_drift, d_drift, n_grow, d_grow = _integrals(
        i, g[i], vol, system
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
def _own_steps(system: System) -> None:
    """The steps of each node by itself: from afar they go the right way, Newton's may not."""
    for i in range(NODES):
        system.right[i, 0] /= 1 - system.own[i]


@kernel
def _measured(reach: float, system: System) -> tuple[float, float]:
    """The longest step as a share of the reach, of what counts and of what is not a moment."""
    change = farthest = 0.0
    for i in range(NODES):
        share = system.table.node[i]
        step = abs(system.right[i, 0]) / (reach * share)
        # What happens a moment before expiry counts by the time it lasts.
        change = max(change, step * share * share)
        if share > 0.05:
            farthest = max(farthest, step)
    return change, farthest


@kernel
def _step(g: Floats, reach: float, system: System) -> None:
    for i in range(NODES):
        bound = 0.5 * reach * system.table.node[i]
        step = min(max(system.right[i, 0], -bound), bound)
        g[i] = max(g[i] - step, 1e-6 * reach * system.table.node[i])


@kernel
def solve_boundary(g: Floats, slopes: Floats, vol: float, system: System, is_near: bool) -> bool:
    """Improve g (NODES,) to the solution at `vol`, and give its slopes (NODES, 2) by volatility and
    by rate (or carry). False when no step was small.

    is_near  g comes from a neighbouring volatility, not from first_guess
    """
    reach = vol * math.sqrt(system.place.years)
    system.limit[0] = fall_limit(system.place, vol)
    own_steps = 0 if is_near else 2
    for _ in range(STEPS_MAX):
        _ends(g, vol, system)
        for i in range(NODES):
            _linearise(i, g, vol, system)
        if own_steps > 0:
            own_steps -= 1
            _own_steps(system)
            _step(g, reach, system)
            continue
        _eliminate(system.jacobian, system.right)
        change, farthest = _measured(reach, system)
        if farthest > STEP_MAX:
            own_steps = 3
            continue
        _step(g, reach, system)
        if change < PRECISION:
            slopes[:] = -system.right[:, 1:]
            return True
    return False


@kernel
def slopes_at(g: Floats, slopes: Floats, vol: float, system: System) -> None:
    """The slopes of `solve_boundary` where g is the solution."""
    system.limit[0] = fall_limit(system.place, vol)
    _ends(g, vol, system)
    for i in range(NODES):
        _linearise(i, g, vol, system)
    _eliminate(system.jacobian, system.right)
    slopes[:] = -system.right[:, 1:]
