"""Where increasing functions reach 0, a column of them at a time."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from domain.pricing.terms import Floats

Rows = npt.NDArray[np.intp]
MISS_MIN = 1e-11  # a smaller one is none
STEP_MAX = 4.0  # no try is this many times larger or smaller than the last


def increasing_root(
    miss: Callable[[Rows, Floats], Floats], start: Floats, low: Floats, high: Floats, slope: Floats
) -> Floats:
    """x > 0 with miss(rows, x) == 0, to a ten-millionth of x, by secants inside a bracket; or where
    miss is below MISS_MIN.

    start, slope  the first try and the slope there, as near as is known
    low, high     the bracket, > 0; where the root is outside, x comes back within 1e-6 of the end
                  it is beyond

    NaN where start is NaN.
    """
    x, low, high, slope = start.copy(), low.copy(), high.copy(), slope.copy()
    last_x, last_y = np.full_like(x, np.nan), np.full_like(x, np.nan)
    rows = np.flatnonzero(np.isfinite(x))
    for _ in range(100):
        if rows.size == 0:
            break
        here = x[rows]
        y = miss(rows, here)
        low[rows] = np.where(y <= 0, here, low[rows])
        high[rows] = np.where(y >= 0, here, high[rows])
        with np.errstate(all="ignore"):
            secant = (y - last_y[rows]) / (here - last_x[rows])
            slope[rows] = np.where(secant > 0, secant, slope[rows])
            wish = here - y / slope[rows]
        wish = np.clip(wish, here / STEP_MAX, here * STEP_MAX)
        middle = np.sqrt(low[rows] * high[rows])
        # A step that falls to less than half of the last one's miss has not earned a secant.
        is_slow = abs(y) > abs(last_y[rows]) / 2
        is_inside = (wish > low[rows]) & (wish < high[rows]) & ~is_slow
        is_near = is_inside | (abs(y / slope[rows]) <= 1e-7 * here)
        following = np.where(is_near, np.clip(wish, low[rows], high[rows]), middle)
        last_x[rows], last_y[rows] = here, y
        x[rows] = np.where(abs(y) <= MISS_MIN, here, following)
        is_done = (abs(x[rows] - here) <= 1e-7 * here) | (high[rows] - low[rows] <= 1e-7 * here)
        rows = rows[~is_done & np.isfinite(y)]
    return x
