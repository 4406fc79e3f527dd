"""Volatility and Greeks of a table of option prices, whatever it comes from.

The table says everything that a price depends on; nothing is looked up and nothing assumed.
"""

from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from domain import pricing
from domain.chain import QuoteFlag
from domain.dividend_columns import Schedules, no_schedules, pairs_to_dividends
from domain.pricing import Floats

Labels = npt.NDArray[np.object_]

#: Columns of numbers -> unit.
NUMBERS: dict[str, str] = {
    "spot": "USD per share, > 0",
    "strike": "USD per share, > 0",
    "years": "to expiry, of 365 days, > 0",
    "rate": "per year, continuous: 0.05 is 5 %",
    "yield": "of the share, per year, continuous",
    "price": "of the option, USD per share, > 0",
}
#: Columns of words -> what each word, in any case, is to the pricers.
WORDS: dict[str, dict[str, float]] = {
    "right": {"c": 1.0, "p": -1.0},
    "style": {"american": 1.0, "european": 0.0},
}
#: May be missing: then no row has any.
DIVIDENDS = "dividends"

#: Columns of the answer -> unit.
ANSWERS: dict[str, str] = {
    "iv": "per year: 0.20 is 20 %",
    "delta": "USD per USD of spot",
    "gamma": "delta per USD of spot",
    "theta": "USD per calendar day",
    "vega": "USD per 0.01 of volatility",
    "rho": "USD per 0.01 of rate",
}
FLAG = "flag"


class RowFlag(StrEnum):
    """Why a row has no answer."""

    BAD_SPOT = "bad_spot"  # missing, not finite, or not above 0; so with the strike and the price
    BAD_STRIKE = "bad_strike"
    BAD_YEARS = "bad_years"  # missing or not finite; so with the rate and the yield
    BAD_RATE = "bad_rate"
    BAD_YIELD = "bad_yield"
    BAD_PRICE = "bad_price"
    BAD_DIVIDENDS = "bad_dividends"  # no finite number, negative, or more than the share is worth
    EXPIRED = QuoteFlag.EXPIRED.value  # years are 0 or less
    BELOW_INTRINSIC = QuoteFlag.BELOW_INTRINSIC.value  # no more than exercise, now or at expiry
    ABOVE_BOUND = QuoteFlag.ABOVE_BOUND.value  # more than the share or the strike is worth
    #: No volatility from 0.01 % to 2,000 % a year gives the price.
    BEYOND_BOUNDS = QuoteFlag.BEYOND_BOUNDS.value


class BadTable(ValueError):
    """A table that cannot be asked; the message names the column and the row."""


def table_to_greeks(table: pd.DataFrame, schedules: Schedules | None = None) -> pd.DataFrame:
    """The columns ANSWERS and FLAG for each row of `table`, on its index.

    table      with the columns NUMBERS (any numeric dtype) and WORDS (text); its index names the
               rows in errors
    schedules  the cash dividends of each row; None: no row has any

    A row without an answer has NaN in all ANSWERS and a RowFlag; a row with one has None for flag.
    BadTable when a column is missing, holds no numbers, or holds an unknown word.
    """
    numbers = {name: numbers_of(table, name) for name in NUMBERS}
    sign, american = (words_of(table, name) for name in WORDS)
    found = no_schedules(len(table)) if schedules is None else schedules
    dividends = [pairs_to_dividends(pairs) for pairs in found.distinct]
    possible = np.array([one is not None for one in dividends])[found.codes]
    flags = _input_flags(numbers, possible)
    answers = np.full((len(table), len(ANSWERS)), np.nan)
    sound = np.flatnonzero(flags == "")
    for code in np.unique(found.codes[sound]):
        rows = sound[found.codes[sound] == code]
        terms = pricing.Terms(
            **{name: numbers[name][rows] for name in ("spot", "strike", "years", "rate")},
            carry=numbers["yield"][rows],
            sign=sign[rows],
            american=american[rows] > 0,
            dividends=dividends[code] or pricing.Dividends(),
        )
        answers[rows], flags[rows] = _solved(terms, numbers["price"][rows])
    frame = pd.DataFrame(answers, columns=list(ANSWERS), index=table.index)
    return frame.assign(**{FLAG: pd.Series(flags, index=table.index).replace("", None)})


def numbers_of(table: pd.DataFrame, name: str) -> Floats:
    """The column `name` as floats, NaN where missing."""
    column = _column(table, name)
    if column.isna().all():  # a column of nothing has no type
        return np.full(len(column), np.nan)
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        raise BadTable(f"the column {name} holds no numbers ({NUMBERS[name]})")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def words_of(table: pd.DataFrame, name: str) -> Floats:
    """The numbers that the words of the column `name` stand for."""
    known = WORDS[name]
    codes, distinct = pd.factorize(_column(table, name), use_na_sentinel=False)
    values = np.array([known.get(str(word).strip().lower(), np.nan) for word in distinct])
    unknown = np.flatnonzero(np.isnan(values))
    if len(unknown):
        row = table.index[int(np.argmax(np.isin(codes, unknown)))]
        word = distinct[unknown[0]]
        said = "nothing" if pd.isna(word) else repr(str(word)[:30])
        raise BadTable(f"the column {name} says {said} in row {row}: it must be {_either(known)}")
    return np.asarray(values[codes], dtype=np.float64)


def _either(known: dict[str, float]) -> str:
    return " or ".join(word.upper() if len(word) == 1 else word for word in known)


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        raise BadTable(f"the column {name} is missing: needed are {', '.join([*NUMBERS, *WORDS])}")
    return table[name]


def _input_flags(numbers: dict[str, Floats], possible: pricing.Flags) -> Labels:
    bad = {name: ~np.isfinite(column) for name, column in numbers.items()}
    for name in ("spot", "strike", "price"):
        bad[name] |= ~(numbers[name] > 0)
    conditions = {RowFlag(f"bad_{name}"): column for name, column in bad.items()}
    conditions[RowFlag.BAD_DIVIDENDS] = ~possible
    conditions[RowFlag.EXPIRED] = ~(numbers["years"] > 0)
    return _first(conditions)


def _solved(terms: pricing.Terms, price: Floats) -> tuple[Floats, Labels]:
    """ANSWERS, shape (n, 6), and the flags, "" where solved."""
    low, high = pricing.price_bounds(terms)
    inside = (low < price) & (price < high)
    vol, greeks = pricing.solve(terms, np.where(inside, price, np.nan))
    answers = np.column_stack([vol, *(getattr(greeks, name) for name in list(ANSWERS)[1:])])
    unsolved = ~np.isfinite(answers).all(axis=1)
    answers[unsolved] = np.nan
    no_bounds = ~(low <= high)
    flags = _first(
        {
            RowFlag.BAD_DIVIDENDS: no_bounds & bool(terms.dividends.years),
            RowFlag.BELOW_INTRINSIC: price <= low,
            RowFlag.ABOVE_BOUND: price >= high,
            RowFlag.BEYOND_BOUNDS: unsolved,
        }
    )
    return answers, flags


def _first(conditions: dict[RowFlag, pricing.Flags]) -> Labels:
    words = np.select(list(conditions.values()), [str(flag) for flag in conditions], default="")
    return words.astype(object)
