"""American option prices by a tree: a trinomial one on log prices, cash dividends on their days.

The simulator's own method, so that whoever prices its quotes is judged by other code and another
idea. The last step is Black and Scholes' formula instead of the payoff, and two trees (`STEPS`
and twice as many) are extrapolated to none. Up to a month the error is below 2e-5 of spot, up
to four months below 5e-5, a year out below 1e-4; tests/unit/test_simulator_tree.py measures it
against QuantLib. Between dividends time is cut so that each falls on a step; there the price drops
by its amount, and values between nodes are cubic.
"""

import math

import numpy as np
from numba import njit

from simulator.market import Floats

#: Steps of the coarser of the two trees.
STEPS = 64
_ROOT_TWO = math.sqrt(2.0)


@njit(cache=True)
def european(
    spot: float, strike: float, years: float, vol: float, sign: float, rate: float
) -> float:
    """USD a share by Black and Scholes, without dividends; spot may be zero or below."""
    cash = strike * math.exp(-rate * years)
    if spot <= 0.0:
        return max(-sign, 0.0) * (cash - spot)
    spread = vol * math.sqrt(years)
    d1 = math.log(spot / cash) / spread + spread / 2
    if abs(d1) > 9.0:
        return max(sign * (spot - cash), 0.0)
    up = 0.5 * math.erfc(-sign * d1 / _ROOT_TWO)
    down = 0.5 * math.erfc(-sign * (d1 - spread) / _ROOT_TWO)
    return sign * (spot * up - cash * down)


@njit(cache=True)
def _drop(values: Floats, prices: Floats, amount: float, spacing: float) -> Floats:
    """Values just before a dividend, from those just after it: each at its price less `amount`."""
    count = len(values)
    found = np.empty(count)
    for j in range(count):
        left = prices[j] - amount
        if left <= prices[0]:
            slope = (values[1] - values[0]) / (prices[1] - prices[0])
            found[j] = max(values[0] + slope * (left - prices[0]), 0.0)
            continue
        place = j + math.log(left / prices[j]) / spacing
        k = min(max(int(place), 1), count - 3)
        x = place - k
        found[j] = (
            -x * (x - 1) * (x - 2) / 6 * values[k - 1]
            + (x + 1) * (x - 1) * (x - 2) / 2 * values[k]
            - (x + 1) * x * (x - 2) / 2 * values[k + 1]
            + (x + 1) * x * (x - 1) / 6 * values[k + 2]
        )
    return found


@njit(cache=True, fastmath=True)
def _roll(after: Floats, before: Floats, worth: Floats, weights: Floats, cut: int) -> None:
    """Fill `before` with values one step before `after`, exercise allowed, two nodes fewer.

    `worth` is what exercise brings at every node, of which `cut` are gone at either end.
    """
    low, level, high = weights[0], weights[1], weights[2]
    for j in range(len(worth) - 2 * cut):
        kept = low * after[j] + level * after[j + 1] + high * after[j + 2]
        before[j] = max(kept, worth[j + cut])


@njit(cache=True)
def _weights(vol: float, rate: float, years: float, spacing: float) -> Floats:
    """Discounted chances of down, level and up in a step that matches the mean and variance."""
    drift = (rate - vol * vol / 2) * years
    square = (vol * vol * years + drift * drift) / (spacing * spacing)
    lean = drift / spacing
    chances = np.array([(square - lean) / 2, 1 - square, (square + lean) / 2])
    return chances * math.exp(-rate * years)


@njit(cache=True)
def _tree(terms: Floats, ends: Floats, amounts: Floats, counts: Floats) -> Floats:
    """Value, and its first and second derivative by the log of spot, of one tree.

    terms are spot, strike, vol, sign, rate; ends the times at which stretches end, the last of them
    the expiry, each other one with its dividend in amounts; counts the steps of each stretch.
    """
    spot, strike, vol, sign, rate = terms
    stretches = len(ends)
    lengths = np.empty(stretches)
    for k in range(stretches):
        lengths[k] = (ends[k] - (ends[k - 1] if k else 0.0)) / counts[k]
    spacing = vol * math.sqrt(3.0 * lengths.max())
    pad = 2
    if stretches > 1:
        pad += 3 + min(int(1.3 * amounts.sum() / spot / spacing), 400)
    reach = int(counts.sum()) - 1 + pad
    grid = spot * np.exp(spacing * np.arange(-reach, reach + 1))
    values = np.empty(len(grid))
    for j in range(len(grid)):
        values[j] = european(grid[j], strike, lengths[-1], vol, sign, rate)
    worth = sign * (grid - strike)
    values = np.maximum(values, worth)
    spare = np.empty(len(grid))
    cut = 0  # nodes that have gone at either end
    for k in range(stretches - 1, -1, -1):
        weights = _weights(vol, rate, lengths[k], spacing)
        for _ in range(int(counts[k]) - (k == stretches - 1)):
            cut += 1
            _roll(values, spare, worth, weights, cut)
            values, spare = spare, values
        if k > 0:
            left = slice(cut, len(grid) - cut)
            dropped = _drop(values[: len(grid) - 2 * cut], grid[left], amounts[k - 1], spacing)
            values[: len(dropped)] = np.maximum(dropped, worth[left])
    below, here, above = values[pad - 1], values[pad], values[pad + 1]
    slope = (above - below) / (2 * spacing)
    return np.array([here, slope, (above - 2 * here + below) / (spacing * spacing)])


@njit(cache=True)
def american(terms: Floats, years: float, times: Floats, amounts: Floats) -> Floats:
    """Value, delta and gamma of one contract; years > 0. Dividends outside it are passed over."""
    inside = (times > 0) & (times < years)
    ends = np.append(times[inside], years)
    counts = np.empty(len(ends))
    for k in range(len(ends)):
        share = (ends[k] - (ends[k - 1] if k else 0.0)) / years
        counts[k] = max(round(share * STEPS), 2)
    coarse = _tree(terms, ends, amounts[inside], counts)
    fine = _tree(terms, ends, amounts[inside], counts * 2)
    value, slope, bend = 2 * fine - coarse
    spot, strike, sign = terms[0], terms[1], terms[3]
    if fine[0] <= sign * (spot - strike):
        return np.array([sign * (spot - strike), sign, 0.0])
    return np.array([value, slope / spot, (bend - slope) / (spot * spot)])


@njit(cache=True)
def american_rows(terms: Floats, years: Floats, times: Floats, amounts: Floats) -> Floats:
    """Value, delta and gamma of each row of `terms`, shape (n, 3)."""
    found = np.empty((len(terms), 3))
    for row in range(len(terms)):
        found[row] = american(terms[row], years[row], times, amounts)
    return found


if __name__ == "__main__":  # the front door's: compiled and kept beside the code, for who asks next
    nothing = np.empty(0)
    american_rows(np.array([[100.0, 90.0, 0.2, -1.0, 0.04]]), np.ones(1), nothing, nothing)
