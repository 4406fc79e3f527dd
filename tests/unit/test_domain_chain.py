"""The edge of a chain: what is one, and what is wrong with its quotes."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from domain.chain import (
    BROKER,
    CHAIN,
    BadChain,
    QuoteFlag,
    as_chain,
    quote_age_s,
    quote_doubts,
    quote_flags,
)


def rows(*symbols, **columns):
    base = {
        "symbol": list(symbols),
        "underlying": "SPY",
        "expiration": date(2026, 12, 18),
        "strike": 600,  # whole numbers, as a parser may give them
        "right": "C",
        "style": "american",
        "multiplier": 100,
        "open_interest": pd.array([1] * (len(symbols) - 1) + [None], dtype="Int64"),
        "bid": 1,
        "ask": 2,
        "bid_size": 1,
        "ask_size": 1,
        "quoted_at": pd.Timestamp("2026-11-20T15:00:00Z").as_unit("us"),
        **dict.fromkeys(BROKER),
        "colour": "red",
    }
    return pd.DataFrame(base | columns)


def test_a_chain_has_its_columns_in_order_with_their_types_and_no_other():
    given = rows("A", "B")
    before = given.copy(deep=True)
    found = as_chain(given)
    assert {name: str(kind) for name, kind in found.dtypes.items()} == CHAIN
    assert list(found.columns) == list(CHAIN)
    assert found["open_interest"].isna().tolist() == [False, True]  # unknown is not zero
    assert found["broker_iv"].isna().all()
    pd.testing.assert_frame_equal(given, before)


def test_a_chain_is_sorted_by_expiration_strike_and_right():
    found = as_chain(
        rows(
            "d", "c", "b", "a",
            strike=[610, 600, 600, 700], right=["C", "P", "C", "C"],
            expiration=[date(2026, 12, 18)] * 3 + [date(2026, 11, 27)],
        )
    )  # fmt: skip
    assert found["symbol"].tolist() == ["a", "b", "c", "d"]
    assert found.index.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", CHAIN)
def test_a_missing_column_is_named(name):
    with pytest.raises(BadChain, match=rf"lacks the columns {name}$"):
        as_chain(rows("A").drop(columns=name))


def test_a_contract_that_stands_twice_is_named():
    with pytest.raises(BadChain, match="B twice"):
        as_chain(rows("A", "B", "B"))


def test_no_contracts_are_a_chain():
    assert as_chain(rows("A").iloc[:0]).empty


@pytest.mark.parametrize(
    ("bid", "ask", "flag"),
    [
        (1.0, 2.0, None),
        (2.0, 2.0, None),  # locked is not crossed
        (np.nan, np.nan, QuoteFlag.NO_QUOTE),
        (0.0, 0.0, QuoteFlag.NO_QUOTE),
        (0.0, 2.0, QuoteFlag.NO_BID),
        (np.nan, 2.0, QuoteFlag.NO_BID),
        (1.0, np.nan, QuoteFlag.NO_ASK),
        (1.0, 0.0, QuoteFlag.NO_ASK),
        (2.01, 2.0, QuoteFlag.CROSSED),
        (-1.0, 2.0, QuoteFlag.NO_BID),
    ],
)
def test_a_quote_that_cannot_be_traded_says_why(bid, ask, flag):
    found = quote_flags(pd.DataFrame({"bid": [bid, 1.0], "ask": [ask, 2.0]}))
    assert found.tolist() == [flag, None]


def test_the_age_of_a_quote_is_unknown_when_its_time_is():
    times = pd.to_datetime(pd.Series(["2026-11-20T15:00:00Z", None]), utc=True)
    now = datetime(2026, 11, 20, 15, 1, 30, 500_000, tzinfo=UTC)
    found = quote_age_s(pd.DataFrame({"quoted_at": times}), now)
    assert found[0] == 90.5
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("bid", "ask", "age_s", "doubt"),
    [
        (1.0, 2.0, 0, None),  # twice the bid is not above it
        (1.0, 2.01, 0, QuoteFlag.WIDE),
        (0.05, 0.30, 0, None),  # a quarter apart is not far
        (0.05, 0.31, 0, QuoteFlag.WIDE),
        (50.0, 55.0, 0, None),  # a twentieth of spot
        (50.0, 55.01, 0, QuoteFlag.WIDE),
        (1.0, 1.0, 3_600, None),
        (1.0, 1.0, 3_601, QuoteFlag.STALE),
        (1.0, 1.0, None, QuoteFlag.STALE),
        (1.0, 9.0, None, QuoteFlag.WIDE),
        (1.0, 1.0, -1, None),  # the quote's clock may run ahead of the broker's
    ],
)
def test_a_quote_that_must_not_be_traded_on_says_why(bid, ask, age_s, doubt):
    now = datetime(2026, 11, 20, 15, tzinfo=UTC)
    times = [pd.NaT if age_s is None else pd.Timestamp(now) - pd.Timedelta(seconds=age_s)]
    quotes = pd.DataFrame(
        {"bid": [bid], "ask": [ask], "quoted_at": pd.to_datetime(times, utc=True)}
    )
    assert quote_doubts(quotes, 100.0, now).tolist() == [doubt]
