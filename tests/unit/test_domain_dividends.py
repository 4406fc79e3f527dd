"""Known dividends: which of them lie ahead, and how far."""

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from domain.dividends import COLUMNS, BadDividends, as_dividends, schedule
from domain.pricing import Dividends


def table(*rows):
    return as_dividends(pd.DataFrame(rows, columns=list(COLUMNS)))


QUARTERS = (
    ("AAPL", "2027-02-08", "0.26"),
    ("AAPL", "2026-11-23", "0.25"),
    ("XYZ", "2026-12-01", "9"),
)


def test_what_is_ahead_is_listed_by_time_to_the_open_of_its_day():
    now = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)  # a Friday: the open of Monday is 66 h away
    found = schedule(table(*QUARTERS), "AAPL", now)
    assert found.amounts == (0.25, 0.26)
    assert found.years[0] == pytest.approx(66 / 8760, rel=1e-12)
    assert found.years[1] == pytest.approx((66 + 77 * 24) / 8760, rel=1e-12)


def test_a_share_that_trades_without_its_dividend_has_paid_it():
    opens = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
    assert schedule(table(*QUARTERS), "AAPL", opens).amounts == (0.26,)
    before = opens.replace(minute=29)
    assert schedule(table(*QUARTERS), "AAPL", before).years[0] == pytest.approx(1 / 525_600)


def test_a_share_of_which_nothing_is_known_has_none():
    now = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    assert schedule(table(*QUARTERS), "SPY", now) == Dividends()
    assert schedule(table(), "AAPL", now) == Dividends()


def test_a_table_is_typed_and_its_rows_are_kept():
    found = table(*QUARTERS)
    assert found["ex_date"].tolist() == [date(2027, 2, 8), date(2026, 11, 23), date(2026, 12, 1)]
    assert found["amount"].tolist() == [0.26, 0.25, 9.0]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (("AAPL", "2026-11-26", "0.25"), "nothing trades on 2026-11-26"),
        (("AAPL", "2036-11-26", "0.25"), "outside the calendar"),
        (("AAPL", "26/11/2026", "0.25"), "26/11/2026"),
        (("AAPL", "2026-11-23", "0"), "above 0"),
        (("AAPL", "2026-11-23", ""), "AAPL,2026-11-23,"),
        (("", "2026-11-23", "0.25"), "names no underlying"),
    ],
)
def test_what_is_no_dividend_is_named(row, named):
    with pytest.raises(BadDividends, match=named):
        table(row)


def test_two_dividends_of_a_day_are_refused():
    with pytest.raises(BadDividends, match="AAPL has 2026-11-23 twice"):
        table(QUARTERS[1], ("AAPL", "2026-11-23", "0.30"))


def test_a_missing_column_is_named():
    with pytest.raises(BadDividends, match="the column ex_date is missing"):
        as_dividends(pd.DataFrame({"underlying": [], "amount": []}))
