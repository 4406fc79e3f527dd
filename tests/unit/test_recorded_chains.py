"""On every recorded day, call and put of one strike have one volatility, within their quotes.

tests/unit/test_domain_greeks.py asks at one moment of a day whether the ranges from bid to ask
meet. Here it is the mids, morning, noon and close, expiration by expiration.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from domain.chain import BROKER, as_chain
from domain.greeks import chain_to_greeks
from domain.rates import curve

RECORDED = Path(__file__).parents[2].parent / "shared" / "market-data"
needs_recorded = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="the recorded quotes are not beside this checkout"
)
#: File, moments in UTC. An end-of-day chain has one stamp, of the close: a minute later.
DAYS = [
    ("options-hour/AAPL-2014-06-06", ("15:00", "17:00", "19:00")),
    ("options-hour/AAPL-2014-06-09", ("15:00", "17:00", "19:00")),
    ("options-eod/AAPL-2014-08-07", ("19:59",)),
    ("options-minute/GOOG-2015-12-23", ("15:30", "18:00", "20:45")),
    ("options-minute/GOOG-2015-12-24", ("15:00", "16:15", "17:45")),
    ("options-minute/TWX-2014-06-05", ("14:30", "17:00", "19:50")),
    ("options-minute/TWX-2014-06-06", ("14:30", "17:00", "19:50")),
]
MOMENTS = [(file, clock) for file, clocks in DAYS for clock in clocks]
SIDES = ["bid_iv", "ask_iv", "bid_iv_put", "ask_iv_put"]


def pairs_at(file, clock):
    """Two-sided calls beside two-sided puts of one expiration and strike, with their numbers."""
    now = pd.Timestamp(f"{file[-10:]}T{clock}Z")
    rows = pd.read_parquet(RECORDED / f"{file}.parquet")
    rows = rows[rows["ts"] <= now + pd.Timedelta(minutes=int("eod" in file))]
    spot = float(rows["underlying_price"].iloc[-1])
    last = rows.groupby("symbol").tail(1).rename(columns={"type": "right", "ts": "quoted_at"})
    none = dict.fromkeys(BROKER, np.nan)
    chain = as_chain(last.assign(style="american", multiplier=100, **none))
    yields = pd.read_csv(RECORDED / "treasury-par-yields.csv")
    days = pd.to_datetime(yields["date"]).dt.date
    rates = curve(yields.assign(date=days), now.date())
    found = chain_to_greeks(chain, spot, now.to_pydatetime(), rates)
    two_sided = found[(found["bid"] > 0) & (found["ask"] >= found["bid"])]
    key = ["expiration", "strike"]
    calls, puts = (two_sided[two_sided["right"] == right].set_index(key) for right in "CP")
    return calls.join(puts, how="inner", rsuffix="_put")


def agreement(pairs):
    """Whether the volatilities of the mids differ by no more than half of both quotes' widths: of
    the pairs whose four sides and two mids all have one."""
    known = pairs[pairs[[*SIDES, "iv", "iv_put"]].notna().all(axis=1)]
    width = known["ask_iv"] - known["bid_iv"] + known["ask_iv_put"] - known["bid_iv_put"]
    return abs(known["iv"] - known["iv_put"]) <= width / 2 + 1e-9


@needs_recorded
@pytest.mark.parametrize(("file", "clock"), MOMENTS)
def test_call_and_put_agree_in_volatility_within_the_width_of_their_quotes(file, clock):
    pairs = pairs_at(file, clock)
    agrees = agreement(pairs)
    is_thin = "GOOG-2015-12-23" in file  # one expiration, quotes three dollars wide
    assert len(pairs) >= (15 if is_thin else 70)
    assert len(agrees) >= (4 if is_thin else 40)
    assert agrees.mean() >= 0.95  # measured 0.963 and more


@needs_recorded
@pytest.mark.parametrize(
    ("file", "clock"),
    [(file, clock) for file, clock in MOMENTS if "2014-06-06" in file or "2015-12-24" in file],
)
def test_on_the_day_they_expire_call_and_put_agree_too(file, clock):
    day = pd.Timestamp(file[-10:]).date()
    pairs = pairs_at(file, clock)
    last = pairs[[end == day for end, _ in pairs.index]]
    if "TWX" in file:
        assert last.empty  # its weekly options came later
        return
    low, high = last["bid_iv"].fillna(0.0), last["ask_iv"].fillna(np.inf)
    low_put, high_put = last["bid_iv_put"].fillna(0.0), last["ask_iv_put"].fillna(np.inf)
    assert len(last) >= 5
    assert ((low <= high_put) & (low_put <= high)).mean() >= 0.95


@needs_recorded
def test_after_a_split_the_adjusted_strikes_agree_like_the_listed_ones():
    """657.50 / 7 became 93.93: such strikes are no whole number of half dollars."""
    pairs = pairs_at("options-hour/AAPL-2014-06-09", "19:00")
    strikes = pairs.index.get_level_values("strike").to_numpy()
    adjusted = pairs[np.round(strikes * 2, 6) % 1 != 0]
    assert len(adjusted) > 100
    agrees = agreement(adjusted)
    assert len(agrees) > 50
    assert agrees.mean() >= 0.95
