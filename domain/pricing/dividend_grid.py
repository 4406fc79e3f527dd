"""Finite differences for a share that pays cash: the loops behind domain.pricing.dividends.

The value of one option over a grid of log share prices is carried back from expiry, LANES options
side by side so that one instruction works on several. All columns are (nodes, LANES); node numbers
rise towards the money (calls: with the share price, puts: against it). The grid drifts with the
share, so that only diffusion is left: its tridiagonal matrix has one number on each diagonal.

space      fourth order (the compact scheme of Crandall 1955); kinks are averaged with the kernel
           of Kreiss, Thomee and Widlund, "Smoothing of initial data", 1970
time       TR-BDF2, steps that grow with the distance from expiry or ex-date; Le Floc'h,
           "TR-BDF2 for fast stable American option pricing", J. of Computational Finance, 2014
exercise   Brennan and Schwartz, J. of Finance 32, 1977, where the region is on one side of one
           price; between two nodes the jump of gamma there is known from the equation and taken
           into account. Where it may be an interval (FENCED), policy iteration: Howard, 1960
"""

import math

import numpy as np

from domain.pricing.compiled import exact_kernel
from domain.pricing.terms import Floats

LANES = 8

# What the loops know of each option: rows of `row`, (ROWS, LANES).
SIGN, STRIKE, RATE, CARRY, AMERICAN, FENCED = 0, 1, 2, 3, 4, 5
HALF, DRIFT = 6, 7  # vol^2 / 2; rate - carry - vol^2 / 2
STEP, ORIGIN, START = 8, 9, 10  # between nodes, signed; the node of START; the share price there
ESCROW = 11  # 1 when dividends lie in escrow, 0 when the share price drops
OWED = 12  # dividends in escrow, valued at the time reached
TIME, MOVED, OFFSET, LAST = 13, 14, 15, 16  # years from now; growth of the grid; -sign*(strike -
#                      OWED), or minus infinity where exercise is not asked; last node that is held
SIZE, FINER, ROWS = 17, 18, 19  # nodes; how many times as many time steps as usual

# What one step knows: rows of `pace`, (PACES, LANES).
NEAR, SELF, MASS_NEAR, MASS_SELF, LINK, BEND, BEND_CASH, PACES = 0, 1, 2, 3, 4, 5, 6, 7

GAMMA = 2 - math.sqrt(2.0)
NEW, OLD = 1 / (GAMMA * (2 - GAMMA)), (1 - GAMMA) ** 2 / (GAMMA * (2 - GAMMA))
GRADING = 1.5  # time from the start of a stretch grows with this power of the step's number
CALM = 1.0  # an averaged kink wiggles until vol^2 / 2 * time is this many squared grid steps


@exact_kernel
def _pace(row: Floats, years: Floats, pace: Floats) -> None:
    """The numbers of one TR-BDF2 step of `years`; both halves share one matrix, scaled here so
    that elimination is y[j] = right[j] - LINK * y[j-1] on an endless grid."""
    for lane in range(LANES):
        half, rate, step = row[HALF, lane], row[RATE, lane], row[STEP, lane]
        weight = GAMMA * years[lane] / 2
        spread = weight * half / (step * step)
        off = (1 + weight * rate) / 12 - spread
        main = (1 + weight * rate) * 10 / 12 + 2 * spread
        link = 2 * off / (main + math.sqrt(main * main - 4 * off * off))
        pivot = 1 / (main - off * link)
        pace[NEAR, lane] = ((1 - weight * rate) / 12 + spread) * pivot
        pace[SELF, lane] = ((1 - weight * rate) * 10 / 12 - 2 * spread) * pivot
        pace[MASS_NEAR, lane] = pivot / 12
        pace[MASS_SELF, lane] = pivot * 10 / 12
        pace[LINK, lane] = link
        bend = step * step / (2 * half)
        pace[BEND, lane] = bend * row[CARRY, lane]
        pace[BEND_CASH, lane] = bend * row[SIGN, lane] * rate * row[STRIKE, lane]


@exact_kernel
def _forward(known: Floats, y: Floats, pace: Floats, near: int) -> None:
    for j in range(1, known.shape[0] - 1):
        for lane in range(LANES):
            y[j, lane] = (
                pace[near, lane] * (known[j - 1, lane] + known[j + 1, lane])
                + pace[near + 1, lane] * known[j, lane]
                - pace[LINK, lane] * y[j - 1, lane]
            )


@exact_kernel
def _backward(value: Floats, y: Floats, share: Floats, row: Floats, pace: Floats) -> None:
    """The values from the side in the money outwards, none below exercise."""
    nodes = value.shape[0]
    for lane in range(LANES):
        row[LAST, lane] = nodes - 1
    for j in range(nodes - 2, -1, -1):
        border = 0
        for lane in range(LANES):
            moved, offset, link = row[MOVED, lane], row[OFFSET, lane], pace[LINK, lane]
            held = y[j, lane] - link * value[j + 1, lane]
            exercised = share[j, lane] * moved + offset
            bend = pace[BEND, lane] * share[j, lane] * moved - pace[BEND_CASH, lane]
            is_behind = value[j + 1, lane] <= share[j + 1, lane] * moved + offset
            value[j, lane] = max(held, exercised)
            border += is_behind & (held - exercised > link * bend)
        if border > 0:
            _cross(value, y, share, row, pace, j)


@exact_kernel
def _cross(value: Floats, y: Floats, share: Floats, row: Floats, pace: Floats, j: int) -> None:
    """Where the border of exercise lies between node j and the next: `part` of a step beyond j.

    Gamma jumps there by 2 * bend per squared step, so what is held goes on beyond the border as
    exercise + bend * distance^2; the two nodes behind it keep that for the next difference.
    """
    for lane in range(LANES):
        moved, offset = row[MOVED, lane], row[OFFSET, lane]
        here = share[j, lane] * moved + offset
        behind = share[j + 1, lane] * moved + offset
        link = pace[LINK, lane]
        gain = y[j, lane] - link * behind - here
        bend = pace[BEND, lane] * share[j, lane] * moved - pace[BEND_CASH, lane]
        if value[j + 1, lane] > behind or gain <= link * bend or bend <= 0:
            continue
        root = math.sqrt(max(link * link + (1 + link) * (gain / bend - link), 0.0))
        part = (link + root) / (1 + link)
        row[LAST, lane] = j
        if part >= 1.5:
            continue
        value[j, lane] = here + bend * part * part
        value[j + 1, lane] = behind + bend * (1 - part) ** 2
        if j + 2 < value.shape[0] and part < 1:
            value[j + 2, lane] = share[j + 2, lane] * moved + offset + bend * (2 - part) ** 2


@exact_kernel
def _policy(value: Floats, y: Floats, share: Floats, row: Floats, pace: Floats, lane: int) -> None:
    """The same for a region of any shape: guess it, solve, move each node to its better side."""
    nodes = value.shape[0]
    link = pace[LINK, lane]
    least = share[:, lane] * row[MOVED, lane] + row[OFFSET, lane]
    right = y[:, lane].copy()
    right[1:] += link * y[:-1, lane]
    slope, level, solved = np.zeros(nodes), np.zeros(nodes), value[:, lane].copy()
    stopped = solved <= least
    for _ in range(60):
        slope[0], level[0] = link, right[0]
        for j in range(1, nodes - 1):
            pivot = 1 / (1 + link * link - link * slope[j - 1])
            slope[j] = 0.0 if stopped[j] else link * pivot
            level[j] = least[j] if stopped[j] else (right[j] - link * level[j - 1]) * pivot
        for j in range(nodes - 2, -1, -1):
            solved[j] = level[j] - slope[j] * solved[j + 1]
        changes = 0
        for j in range(1, nodes - 1):
            reached = link * (solved[j - 1] + solved[j + 1]) + (1 + link * link) * solved[j]
            wish = solved[j] - least[j] < reached - right[j]
            changes += wish != stopped[j]
            stopped[j] = wish
        if changes == 0:
            break
    value[:, lane] = np.maximum(solved, least)


@exact_kernel
def _lines(value: Floats, share: Floats, row: Floats) -> Floats:
    """Both ends of the value as straight lines in the share price: slope and cash, twice."""
    lines = np.empty((4, LANES))
    last = value.shape[0] - 1
    for lane in range(LANES):
        for k, j in ((0, 0), (2, last - 1)):
            unit = row[SIGN, lane] * row[MOVED, lane]
            rise = (value[j + 1, lane] - value[j, lane]) / (share[j + 1, lane] - share[j, lane])
            lines[k, lane] = rise / unit
            lines[k + 1, lane] = value[j, lane] - rise * share[j, lane]
    return lines


@exact_kernel
def _reach(row: Floats, length: Floats, start: float, end: float) -> None:
    """Go from the part `start` of a stretch to `end`: time, grid, escrow and obstacle move."""
    for lane in range(LANES):
        gone = (end - start) * length[lane]
        row[TIME, lane] -= gone
        row[MOVED, lane] = math.exp(row[DRIFT, lane] * row[TIME, lane])
        row[OWED, lane] *= math.exp(-row[RATE, lane] * gone)
        calm = row[HALF, lane] * end * length[lane] >= CALM * row[STEP, lane] ** 2
        asked = row[AMERICAN, lane] > 0 and calm
        cash = row[SIGN, lane] * (row[STRIKE, lane] - row[OWED, lane])
        row[OFFSET, lane] = -cash if asked else -np.inf


@exact_kernel
def _settle(
    value: Floats, y: Floats, share: Floats, row: Floats, pace: Floats, ends: Floats
) -> None:
    """Back-substitution with the far ends known: `ends` as from _lines, grown to this time."""
    last = value.shape[0] - 1
    for lane in range(LANES):
        unit = row[SIGN, lane] * row[MOVED, lane]
        link = pace[LINK, lane]
        y[0, lane] = ends[0, lane] * unit * (share[0, lane] + link * share[1, lane])
        y[0, lane] += ends[1, lane] * (1 + link)
        line = ends[2, lane] * unit * share[last, lane] + ends[3, lane]
        value[last, lane] = max(line, share[last, lane] * row[MOVED, lane] + row[OFFSET, lane])


@exact_kernel
def stretch(value: Floats, share: Floats, row: Floats, length: Floats, steps: int) -> None:
    """Carry `value` back over `length` years in which no dividend falls."""
    lines = _lines(value, share, row)
    known, y = np.empty_like(value), np.zeros_like(value)
    pace, ends = np.empty((PACES, LANES)), np.empty_like(lines)
    for k in range(steps):
        start, end = (k / steps) ** GRADING, ((k + 1) / steps) ** GRADING
        _pace(row, (end - start) * length, pace)
        known[:] = value
        middle = start + GAMMA * (end - start)
        for stage in range(2):
            since, until = (start, middle) if stage == 0 else (middle, end)
            _reach(row, length, since, until)
            for lane in range(LANES):
                grown = until * length[lane]
                for i in range(4):
                    fee = row[CARRY, lane] if i % 2 == 0 else row[RATE, lane]
                    ends[i, lane] = lines[i, lane] * math.exp(-fee * grown)
            _settle(value, y, share, row, pace, ends)
            _forward(known, y, pace, NEAR if stage == 0 else MASS_NEAR)
            if row[FENCED, 0] > 0:
                for lane in range(LANES):
                    _policy(value, y, share, row, pace, lane)
                    row[LAST, lane] = value.shape[0] - 1
            else:
                _backward(value, y, share, row, pace)
            if stage == 0:
                _combine(value, known)


@exact_kernel
def _combine(value: Floats, known: Floats) -> None:
    now, before = value.reshape(-1), known.reshape(-1)
    for i in range(now.size):
        before[i] = NEW * now[i] - OLD * before[i]
