"""A column of dividend schedules, one cell a row, grouped by what is distinct in it.

A schedule is pairs of years from now and USD per share. A table has few of them and many rows, so
each is parsed and priced once.
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from domain.pricing import Dividends, Floats

#: (years, USD per share) of each payment, as they were written.
Pairs = tuple[tuple[float, float], ...]
Codes = npt.NDArray[np.intp]

AS_TEXT = "0.1:0.5;0.35:0.5 (years:USD) or [[0.1,0.5],[0.35,0.5]]"


class BadSchedule(ValueError):
    """Text that is no schedule; `row` counts from 0."""

    def __init__(self, text: str, row: int) -> None:
        super().__init__(f"{text!r} is no schedule of dividends: write {AS_TEXT}")
        self.row = row


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedules:
    """The schedule of row i is distinct[codes[i]]."""

    codes: Codes
    distinct: tuple[Pairs, ...]


def no_schedules(count: int) -> Schedules:
    """`count` rows without dividends."""
    return Schedules(codes=np.zeros(count, dtype=np.intp), distinct=((),))


def texts_to_schedules(texts: pd.Series) -> Schedules:
    """The schedules of a column of text; a missing or blank cell is none.

    BadSchedule on the first row whose text is none.
    """
    codes, distinct = pd.factorize(texts.fillna(""))

    def parsed(k: int, text: str) -> Pairs:
        try:
            return text_to_pairs(text)
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise BadSchedule(text[:60], int(np.argmax(codes == k))) from None

    pairs = tuple(parsed(k, str(text)) for k, text in enumerate(distinct))
    return Schedules(codes=codes, distinct=pairs or ((),))


def text_to_pairs(text: str) -> Pairs:
    """The pairs that `text` writes; ValueError or TypeError when it does not write any.

    >>> text_to_pairs("0.1:0.5; 0.35:0.5") == text_to_pairs("[[0.1, 0.5], [0.35, 0.5]]")
    True
    """
    if text.strip().startswith("["):
        cells = json.loads(text, parse_int=float)
    else:
        cells = [pair.split(":") for pair in text.strip().strip(";").split(";") if pair.strip()]
    if not all(isinstance(cell, list) for cell in cells):
        raise TypeError(text)
    return tuple((_number(years), _number(amount)) for years, amount in cells)


def _number(value: object) -> float:
    if not isinstance(value, str | float):  # JSON has true and null, too
        raise TypeError(value)
    return float(value)


def pairs_to_schedules(counts: Codes, pairs: Floats) -> Schedules:
    """The schedules of a ragged column.

    counts  payments of each row, shape (n,)
    pairs   years and USD of all payments, row after row, shape (counts.sum(), 2)
    """
    codes = np.zeros(len(counts), dtype=np.intp)
    starts = np.cumsum(counts) - counts
    distinct: list[Pairs] = [()]
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        cells = np.ascontiguousarray(pairs[starts[rows][:, None] + np.arange(count)])
        as_bytes = cells.reshape(len(rows), -1).view(f"V{16 * count}").ravel()
        _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
        codes[rows] = len(distinct) + inverse
        distinct += [tuple((float(y), float(a)) for y, a in cells[k]) for k in first]
    return Schedules(codes=codes, distinct=tuple(distinct))


def schedules_to_texts(schedules: Schedules) -> pd.Series:
    """Each row's schedule as `text_to_pairs` reads it."""
    texts = [";".join(f"{years!r}:{usd!r}" for years, usd in p) for p in schedules.distinct]
    return pd.Series(np.array(texts, dtype=object)[schedules.codes])


def pairs_to_dividends(pairs: Pairs) -> Dividends | None:
    """What the pricers take: by time, payments of one moment added up, those of the past left out.

    None when a time or an amount is not a finite number, or an amount is negative.
    """
    by_time: dict[float, float] = {}
    for years, amount in sorted(pairs):
        if not (math.isfinite(years) and math.isfinite(amount) and amount >= 0):
            return None
        if years > 0:
            by_time[years] = by_time.get(years, 0.0) + amount
    return Dividends(years=tuple(by_time), amounts=tuple(by_time.values()))
