"""Where the exercise boundary of an American put is sought: the nodes, and what is known of it.

A put of strike 1; calls come by put-call symmetry. With t the time to expiry as a share of the
contract's and X = min(1, rate / carry), the boundary is B(t) = X exp(-g(t)), and g(t)**2 is the
polynomial through NODES + 1 Chebyshev points of (sqrt t)**0.7 that is 0 at t = 0.

Sources: Andersen, Lake and Offengenden, High-performance American option pricing (2016), for the
collocation and the transform of B; Evans, Kuske and Keller, American options on assets with
dividends near expiry (2002), for the first guess.
"""

import math
from typing import NamedTuple

import numpy as np

from domain.pricing.compiled import kernel
from domain.pricing.terms import Floats

NODES = 12
INNER = 16  # points of each integral
POWER = 0.7
#: A boundary near expiry falls by at least this share of sqrt time, whatever the terms.
_FALL = 0.64
#: Given for ever, a put on money that costs nothing to hold is never exercised: g has no limit.
_FALL_MAX = 300.0
_ASIDE = 1e-4  # of the rate: a difference's error by its bend and by the boundary's own are alike


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
def beside(place: Place) -> tuple[Place, float]:
    """The place at a rate (or carry) a little farther from where X has its kink, and how far."""
    if place.by_carry:
        step = -_ASIDE * max(abs(place.carry), abs(place.rate - place.carry))
        step = step if place.carry <= place.rate else -step
        return place_of(place.years, place.rate, place.carry + step, True), step
    step = _ASIDE * max(place.rate, abs(place.rate - place.carry))
    if place.rate < place.carry:
        step = -_ASIDE * place.rate
    return place_of(place.years, place.rate + step, place.carry, False), step


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
        # Money that earns nothing leaves the share's own fall: vol**2 / 2 of its logarithm a year.
        own = 0.5 * reach * reach if place.rate == 0 else 0.0
        fall = max(_FALL * reach, steep * reach + start) + own
        g[i] = limit * (1 - math.exp(-fall / limit))
