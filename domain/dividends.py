"""Cash dividends that are known ahead: a table by ex-date, and what of it lies before an expiry."""

from datetime import date, datetime

import numpy as np
import pandas as pd

from domain import calendar
from domain.pricing import Dividends

#: Columns of the table: the share, the first day it trades without the dividend, USD a share.
COLUMNS = ("underlying", "ex_date", "amount")


class BadDividends(ValueError):
    """A row that is no dividend; the message names it."""


def as_dividends(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` of text with the COLUMNS typed: text, datetime.date, USD a share above 0."""
    missing = [name for name in COLUMNS if name not in rows.columns]
    if missing:
        raise BadDividends(f"the column {missing[0]} is missing")
    typed = pd.DataFrame(
        [_row(*row) for row in rows[list(COLUMNS)].itertuples(index=False)],
        columns=list(COLUMNS),
    ).astype({"underlying": "object", "ex_date": "object", "amount": "float64"})
    twice = typed[typed.duplicated(["underlying", "ex_date"])]
    if not twice.empty:
        first = twice.iloc[0]
        raise BadDividends(f"{first['underlying']} has {first['ex_date']} twice")
    return typed


def _row(underlying: str, ex_date: str, amount: str) -> tuple[str, date, float]:
    row = f"{underlying},{ex_date},{amount}"
    try:
        day, paid = date.fromisoformat(ex_date), float(amount)
        is_session = calendar.session(day) is not None
    except (TypeError, ValueError) as error:
        raise BadDividends(f"the row {row}: {error}") from None
    if not isinstance(underlying, str) or not underlying:
        raise BadDividends(f"the row {row} names no underlying")
    if not is_session:
        raise BadDividends(f"the row {row}: nothing trades on {day}")
    if not 0 < paid < np.inf:
        raise BadDividends(f"the row {row}: an amount is above 0")
    return underlying, day, paid


def schedule(table: pd.DataFrame, underlying: str, now: datetime) -> Dividends:
    """The dividends of `underlying` that its share has still to pay at `now`, in years, ACT/365 by
    the minute, to the open of each ex-date.

    table  of as_dividends
    """
    ahead: dict[float, float] = {}
    mine = table[table["underlying"] == underlying]
    for day, amount in zip(mine["ex_date"], mine["amount"], strict=True):
        hours = calendar.session(day)
        assert hours is not None  # as_dividends has looked
        minutes = (hours.open - now).total_seconds() / 60
        ahead[minutes / calendar.MINUTES_PER_YEAR] = float(amount)
    times = tuple(sorted(years for years in ahead if years > 0))
    return Dividends(years=times, amounts=tuple(ahead[years] for years in times))
