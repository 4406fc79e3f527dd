"""From expiry to now: the payoff, the stretches between ex-dates, and what an ex-date does.

The loops and the meaning of every row of `row` are in domain.pricing.dividend_grid.
"""

import math

import numpy as np

from domain.pricing.compiled import exact_kernel
from domain.pricing.dividend_grid import (
    AMERICAN,
    DRIFT,
    ESCROW,
    LANES,
    LAST,
    MOVED,
    ORIGIN,
    OWED,
    SIGN,
    START,
    STEP,
    STRIKE,
    TIME,
    stretch,
)
from domain.pricing.terms import Floats

# What comes back of each option: rows of the answer of sweep.
VALUE, SLOPE, CURVE, EXERCISED, ANSWERS = 0, 1, 2, 3, 4

POINTS = 6  # a value between nodes is read off the polynomial through this many


@exact_kernel
def _average_kink(value: Floats, lane: int, kink: float, turn: float, bend: float) -> None:
    """Replace a kink at the fractional node `kink` by its average over neighbouring nodes; the
    slope turns there by `turn` a node, the second derivative by `bend`."""
    first, last = math.ceil(kink - 3), math.floor(kink + 3)
    for j in range(max(first, 1), min(last, value.shape[0] - 2) + 1):
        place = j - kink
        ramp, bow = -abs(place) / 2, -place * abs(place) / 4
        for i in range(-3, 4):
            weight = (56.0, -39.0, 12.0, -1.0)[abs(i)]
            fifth = weight * abs(place - i) ** 5
            ramp += fifth / 1440
            bow += fifth * (place - i) / 8640
        value[j, lane] += turn * ramp + bend * bow


@exact_kernel
def _start(row: Floats, share: Floats, value: Floats, years: Floats) -> None:
    """The grid, and the value at expiry."""
    for lane in range(LANES):
        sign, step, strike = row[SIGN, lane], row[STEP, lane], row[STRIKE, lane]
        row[TIME, lane] = years[lane]
        row[MOVED, lane] = math.exp(row[DRIFT, lane] * years[lane])
        row[OWED, lane] = 0.0
        for j in range(share.shape[0]):
            share[j, lane] = sign * row[START, lane] * math.exp((j - row[ORIGIN, lane]) * step)
            value[j, lane] = max(share[j, lane] * row[MOVED, lane] - sign * strike, 0.0)
        end = row[START, lane] * row[MOVED, lane]
        kink = row[ORIGIN, lane] + math.log(strike / end) / step
        _average_kink(value, lane, kink, sign * step * strike, sign * step * step * strike)


@exact_kernel
def _read(column: Floats, place: float) -> float:
    """The value at a fractional node inside the grid."""
    first = min(max(int(place) - POINTS // 2 + 1, 0), column.size - POINTS)
    total = 0.0
    for i in range(first, first + POINTS):
        weight = 1.0
        for k in range(first, first + POINTS):
            if k != i:
                weight *= (place - k) / (i - k)
        total += weight * column[i]
    return total


@exact_kernel
def _drop(value: Floats, share: Floats, row: Floats, lane: int, amount: float) -> None:
    """What was worth `value` at a price was worth that at price + amount before the ex-date;
    outside the grid the value goes on as a straight line, at or below 0 it is that of 0."""
    nodes, sign, moved = value.shape[0], row[SIGN, lane], row[MOVED, lane]
    after = value[:, lane].copy()
    low, inner = (0, 1) if sign > 0 else (nodes - 1, nodes - 2)
    rise = (after[inner] - after[low]) / (share[inner, lane] - share[low, lane])
    for j in range(nodes):
        price = sign * share[j, lane] * moved - amount
        place = -1.0
        if price > 0:
            ratio = price / (row[START, lane] * moved)
            place = row[ORIGIN, lane] + math.log(ratio) / row[STEP, lane]
        if 0 <= place <= nodes - 1:
            value[j, lane] = _read(after, place)
        else:
            unit = sign * max(price, 0.0) / moved
            value[j, lane] = after[low] + rise * (unit - share[low, lane])


@exact_kernel
def _exercise(value: Floats, share: Floats, row: Floats, lane: int) -> None:
    """The better of holding and exercising at this very moment, its kinks averaged."""
    nodes = value.shape[0]
    cash = row[SIGN, lane] * (row[STRIKE, lane] - row[OWED, lane])
    gain = share[:, lane] * row[MOVED, lane] - cash - value[:, lane]
    for j in range(nodes):
        value[j, lane] += max(gain[j], 0.0)
    for j in range(2, nodes - 3):
        if (gain[j] <= 0) == (gain[j + 1] <= 0):
            continue
        # The cubic through four nodes: slope and bend at the root, found by Newton's steps.
        before, here, beyond, far = gain[j - 1], gain[j], gain[j + 1], gain[j + 2]
        third = far - 3 * beyond + 3 * here - before
        second = before - 2 * here + beyond
        first = beyond - here - second / 2 - third / 6
        part = here / (here - beyond)
        for _ in range(4):
            slope = first + part * (second + part * third / 2)
            high = here + part * (first + part * (second / 2 + part * third / 6))
            part = min(max(part - high / slope, 0.0), 1.0) if slope != 0 else part
        slope = first + part * (second + part * third / 2)
        bend = second + part * third
        turned = bend if slope > 0 else -bend
        _average_kink(value, lane, j + part, abs(slope), turned)


@exact_kernel
def _ex_date(value: Floats, share: Floats, row: Floats, amount: float) -> None:
    for lane in range(LANES):
        if row[AMERICAN, lane] > 0:  # the border's two nodes held more than exercise gives
            cash = row[SIGN, lane] * (row[STRIKE, lane] - row[OWED, lane])
            for j in range(int(row[LAST, lane]) + 1, value.shape[0]):
                value[j, lane] = share[j, lane] * row[MOVED, lane] - cash
        if row[ESCROW, lane] > 0:
            row[OWED, lane] += amount
        elif amount > 0:
            _drop(value, share, row, lane, amount)
        if row[AMERICAN, lane] > 0:
            _exercise(value, share, row, lane)


@exact_kernel
def sweep(row: Floats, lengths: Floats, steps: Floats, amounts: Floats, nodes: int) -> Floats:
    """VALUE, SLOPE and CURVE (its derivatives by log share price) and EXERCISED of LANES options.

    lengths  (1 + dividends, LANES): years of each stretch without an ex-date, last one first
    steps    (1 + dividends,): time steps of each
    amounts  (dividends,): USD per share, last ex-date first
    """
    value, share = np.empty((nodes, LANES)), np.empty((nodes, LANES))
    years = lengths.sum(axis=0)
    _start(row, share, value, years)
    for k in range(len(lengths)):
        stretch(value, share, row, lengths[k], int(steps[k]))
        if k < len(amounts):
            _ex_date(value, share, row, amounts[k])
    answer = np.zeros((ANSWERS, LANES))
    for lane in range(LANES):
        j, step = int(row[ORIGIN, lane]), row[STEP, lane]
        near = value[j + 1, lane] - value[j - 1, lane]
        far = value[j + 2, lane] - value[j - 2, lane]
        answer[SLOPE, lane] = (8 * near - far) / (12 * step)
        near = value[j + 1, lane] + value[j - 1, lane]
        far = value[j + 2, lane] + value[j - 2, lane]
        answer[CURVE, lane] = (16 * near - far - 30 * value[j, lane]) / (12 * step * step)
        now = row[SIGN, lane] * (row[START, lane] + row[OWED, lane] - row[STRIKE, lane])
        answer[VALUE, lane] = value[j, lane]
        if row[AMERICAN, lane] > 0 and (j > row[LAST, lane] or value[j, lane] <= now):
            answer[VALUE, lane], answer[EXERCISED, lane] = now, 1.0
    return answer
