"""Between columns of contracts and the loops: what each option's grid looks like, and which
options share a sweep. Neither depends on the other rows, so a row's answer does not either."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from domain.pricing import dividend_grid as grid
from domain.pricing.dividend_sweep import ANSWERS, EXERCISED, VALUE, sweep
from domain.pricing.terms import Dividends, Flags, Floats, Terms

NODES, NODES_FENCED = 360, 800  # the second where policy iteration does not see between nodes
STEPS, STEPS_MIN = 120, 12  # of a stretch that is the whole life; of any stretch
STEPS_POWER = 0.7  # steps of a shorter stretch fall with this power of its part of the life
WIDTH = 5.5  # deviations of the log price on each side of the grid
DEVIATION_MAX = 6.0
DROP_MAX = 0.9  # the grid follows the dividends down by no more than this part of the share
SPREAD_MAX = 0.85  # of a call's vol^2 / 2 * years: beyond it steps shrink with its power 1.5,
FINER_MAX = 16  # so many times at most
WIDER_MAX = 3  # times as many nodes as usual, where dividends make the grid longer
#: And where the first comes soon: its kink is as wide as what the share moves until then, so that
#: many times its root of the life is one time the usual nodes.
SOON_ROOT, DENSER_MAX = 6.0, 3
BLOCKS_MIN = 4  # fewer are not worth a thread

Rows = npt.NDArray[np.intp]
Block = tuple[Rows, Floats, Floats, Floats, Floats, int]


def rows_of(terms: Terms, rows: Rows) -> Terms:
    """The contracts of these rows."""
    columns = (field.name for field in fields(terms) if field.name != "dividends")
    return replace(terms, **{name: getattr(terms, name)[rows] for name in columns})


def count_of(terms: Terms) -> npt.NDArray[np.intp]:
    """How many of the coming dividends fall before each contract's expiry."""
    times = np.array([t for t in terms.dividends.years if t > 0])
    return np.searchsorted(times, terms.years, side="left")


def coming(dividends: Dividends) -> tuple[Floats, Floats]:
    """Times and amounts of those not yet paid."""
    is_coming = np.array(dividends.years) > 0
    return np.array(dividends.years)[is_coming], np.array(dividends.amounts)[is_coming]


def columns(terms: Terms, vol: Floats, is_escrowed: bool) -> Floats:
    """What the loops know of each option before they start: (grid.ROWS, n)."""
    times, amounts = coming(terms.dividends)
    counted = times[:, None] < terms.years
    row = np.zeros((grid.ROWS, len(terms.spot)))
    half = vol * vol / 2
    drift = terms.rate - terms.carry - half
    with np.errstate(all="ignore"):
        owed = (counted * amounts[:, None] * np.exp(-terms.rate * times[:, None])).sum(axis=0)
        dropped = (counted * amounts[:, None] * np.exp(-drift * times[:, None])).sum(axis=0)
        start = terms.spot - owed if is_escrowed else terms.spot
        deviation = vol * np.sqrt(terms.years)
        fall = 0 * start if is_escrowed else -np.log(1 - np.clip(dropped / start, 0, DROP_MAX))
        # A call's value is an average over prices that weighs each price by itself.
        up = deviation * (WIDTH + np.where(terms.sign > 0, deviation, 0.0))
        down = deviation * WIDTH + fall
        wider = np.clip(np.rint((up + down) / (up + deviation * WIDTH)), 1, WIDER_MAX)
        first = np.where(counted.any(axis=0), times.min(initial=np.inf), np.inf)
        denser = np.clip(np.rint(np.sqrt(terms.years / first) / SOON_ROOT), 1, DENSER_MAX)
        nodes = np.where(is_fenced(terms), NODES_FENCED, NODES) * wider * denser
        # The value of a call grows with each of its prices, and that growth limits the steps.
        spread = np.where(terms.sign > 0, half * terms.years / SPREAD_MAX, 1.0)
        finer = np.exp2(np.ceil(np.log2(np.clip(spread**1.5, 1, FINER_MAX))))
        step = terms.sign * (up + down) / (nodes - 1)
        origin = np.rint(np.where(terms.sign > 0, down, up) / abs(step))
    row[[grid.SIGN, grid.STRIKE, grid.RATE, grid.CARRY]] = (
        *(terms.sign, terms.strike, terms.rate, terms.carry),
    )
    row[[grid.HALF, grid.DRIFT, grid.STEP, grid.ORIGIN]] = half, drift, step, origin
    row[grid.AMERICAN], row[grid.FENCED] = terms.american, is_fenced(terms)
    row[[grid.START, grid.ESCROW]] = start, np.full_like(start, is_escrowed)
    row[[grid.SIZE, grid.FINER]] = nodes, finer
    return row


def is_fenced(terms: Terms) -> Flags:
    """Whether exercise may be right only between two prices."""
    put = (terms.sign < 0) & (terms.carry < terms.rate) & (terms.rate < 0)
    call = (terms.sign > 0) & (terms.rate < 0) & (terms.carry < 0)
    fenced: Flags = terms.american & (put | call)
    return fenced


def solve(terms: Terms, row: Floats) -> Floats:
    """The answers of domain.pricing.dividend_sweep, (ANSWERS, n); NaN outside the bounds."""
    answer = np.full((ANSWERS, row.shape[1]), np.nan)
    deviation = np.sqrt(2 * row[grid.HALF] * terms.years, where=terms.years > 0, out=0 * row[0])
    is_solvable = np.isfinite(row).all(axis=0) & (row[grid.START] > 0) & (terms.strike > 0)
    is_solvable &= (deviation > 0) & (deviation <= 1.02 * DEVIATION_MAX)
    blocks = list(_blocks(terms, row, np.flatnonzero(is_solvable)))
    if len(blocks) < BLOCKS_MIN:
        found = [sweep(*block[1:]) for block in blocks]
    else:
        with ThreadPoolExecutor() as threads:
            found = list(threads.map(lambda block: sweep(*block[1:]), blocks))
    for block, solved in zip(blocks, found, strict=True):
        answer[:, block[0]] = solved[:, : len(block[0])]
    # What rounding, and ripples of the size of the error, took below the least it can be.
    now = terms.sign * (terms.spot - terms.strike)
    held = np.maximum(answer[VALUE], np.where(terms.american, np.maximum(now, 0.0), 0.0))
    answer[VALUE] = np.where(answer[EXERCISED] > 0, now, held)
    return answer


def _blocks(terms: Terms, row: Floats, rows: Rows) -> Iterator[Block]:
    """Options with as many time steps in each stretch, grid.LANES at a time."""
    times, amounts = coming(terms.dividends)
    counts = count_of(terms)
    for count in np.unique(counts[rows]):
        same = rows[counts[rows] == count]
        dates = np.broadcast_to(times[:count, None], (count, same.size))
        lengths = np.diff(np.vstack([0 * terms.years[same], dates, terms.years[same]]), axis=0)[
            ::-1
        ]
        part = (lengths / terms.years[same]) ** STEPS_POWER
        steps = np.maximum(np.ceil(STEPS * part), STEPS_MIN) * row[grid.FINER, same]
        kinds = np.vstack([steps, row[[grid.FENCED, grid.SIZE]][:, same]])
        unique, kind = np.unique(kinds, axis=1, return_inverse=True)
        for k in range(unique.shape[1]):
            members = np.flatnonzero(kind.ravel() == k)
            for i in range(0, members.size, grid.LANES):
                some = members[i : i + grid.LANES]
                lanes = np.pad(some, (0, grid.LANES - some.size), mode="edge")
                yield (
                    same[some],
                    np.ascontiguousarray(row[:, same[lanes]]),
                    np.ascontiguousarray(lengths[:, lanes]),
                    unique[:-2, k].copy(),
                    amounts[:count][::-1].copy(),
                    int(unique[-1, k]),
                )
