"""The forward that a chain implies: found again, not moved by bad quotes, and said from where."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from domain import calendar, pricing
from domain.carry import CARRY_MAX, Market, model_forward, residual_carry
from domain.chain import CHAIN, FORWARD, ForwardSource, QuoteFlag, as_chain
from domain.greeks import chain_to_greeks, forward_columns
from domain.pricing import Dividends, Terms
from domain.rates import Curve

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
SPOT, RATE, VOL = 100.0, 0.04, 0.25
FLAT = Curve(day=date(2026, 11, 19), years=(0.0, 1.0), rates=(RATE, RATE))
#: XYZ pays a dollar on 9 December and another on 9 March, at the open.
PAID = Dividends(
    years=tuple((datetime(y, m, 9, 14, 30, tzinfo=UTC) - NOW).total_seconds() / 31_536_000
                for y, m in ((2026, 12), (2027, 3))),
    amounts=(1.0, 1.0),
)  # fmt: skip
ENDS = (date(2026, 11, 27), date(2026, 12, 18), date(2027, 1, 15), date(2027, 4, 16))


def market(dividends=None):
    return Market(spot=SPOT, curve=FLAT, dividends=dividends or Dividends())


def made_chain(carries, dividends=None, style="american", strikes=range(90, 111), half=0.0):
    """A chain of XYZ priced with the given carry at each expiration, `half` of a spread wide."""
    rows = [
        dict.fromkeys(CHAIN, np.nan)
        | {
            "symbol": f"XYZ{end:%y%m%d}{right}{strike * 1000:08d}",
            "underlying": "XYZ", "expiration": end, "strike": float(strike), "right": right,
            "style": style, "multiplier": 100, "quoted_at": pd.Timestamp(NOW),
        }
        for end in carries for strike in strikes for right in "CP"
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    years = calendar.years_to_expiry(NOW, frame["expiration"])
    carry = frame["expiration"].map(carries).to_numpy(dtype=float)
    rate = np.full(len(frame), RATE)
    terms = Terms(
        spot=np.full(len(frame), SPOT),
        strike=frame["strike"].to_numpy(),
        years=years,
        rate=rate,
        carry=carry,
        sign=np.where(frame["right"] == "C", 1.0, -1.0),
        american=(frame["style"] == "american").to_numpy(),
        dividends=dividends or Dividends(),
    )
    if style == "european":  # on the forward, which the dividends have left
        forward = model_forward(carry, years, rate, market(dividends))
        terms = replace(terms, carry=rate - np.log(forward / SPOT) / years, dividends=Dividends())
    value = pricing.price(terms, np.full(len(frame), VOL))
    return as_chain(frame.assign(bid=value - half, ask=value + half))


def forwards(chain, spot=SPOT, dividends=None, now=NOW):
    priced = chain_to_greeks(chain, spot, now, FLAT, dividends)
    return forward_columns(priced).set_index("expiration"), priced


@pytest.mark.parametrize("dividends", [Dividends(), PAID], ids=["none", "two"])
@pytest.mark.parametrize("carry", [-0.5, -0.01, 0.0, 0.03, 1.5])
def test_the_carry_that_made_a_forward_is_found_again(carry, dividends):
    years = np.array([0.02, 0.25, 1.0, 2.5])
    rate = np.array([0.0, 0.01, 0.04, 0.06])
    made = model_forward(np.full(4, carry), years, rate, market(dividends))
    assert residual_carry(made, years, rate, market(dividends)) == pytest.approx(carry, abs=1e-9)


def test_a_forward_is_spot_grown_less_each_dividend_grown_from_its_day():
    one = np.ones(1)
    (found,) = model_forward(0.01 * one, 0.5 * one, RATE * one, market(PAID))
    growth = RATE - 0.01
    by_hand = SPOT * math.exp(growth * 0.5) - sum(
        math.exp(growth * (0.5 - at)) for at in PAID.years
    )
    assert found == pytest.approx(by_hand, rel=1e-14)
    (soon,) = model_forward(0.01 * one, 0.04 * one, RATE * one, market(PAID))
    assert soon == pytest.approx(SPOT * math.exp(growth * 0.04), rel=1e-14)  # before the first


@pytest.mark.parametrize(
    ("forward", "years"), [(np.nan, 0.5), (-1.0, 0.5), (0.0, 0.5), (100.0, 0.0), (100.0, -0.1)]
)
def test_no_forward_and_no_time_have_no_carry(forward, years):
    one = np.ones(1)
    assert np.isnan(residual_carry(forward * one, years * one, RATE * one, market(PAID))).all()


@pytest.mark.parametrize("style", ["european", "american"])
@pytest.mark.parametrize("dividends", [Dividends(), PAID], ids=["none", "two"])
@pytest.mark.parametrize("carry", [-0.01, 0.02, 0.30])
def test_a_chains_own_carry_is_found_again_whatever_the_style(style, dividends, carry):
    chain = made_chain(dict.fromkeys(ENDS, carry), dividends, style)
    found, priced = forwards(chain, dividends=dividends)
    assert (found["forward_source"] == ForwardSource.PARITY).all()
    assert (found["pairs"] >= 3).all()
    assert found["carry"].to_numpy() == pytest.approx(carry, abs=2e-3)
    wanted = model_forward(
        np.full(4, carry), found["years"].to_numpy(), np.full(4, RATE), market(dividends)
    )
    assert found["forward"].to_numpy() == pytest.approx(wanted, rel=1e-4)
    assert priced["iv"].dropna().to_numpy() == pytest.approx(VOL, abs=2e-3)


def test_a_dividend_that_nobody_listed_shows_as_carry_and_not_between_call_and_put():
    chain = made_chain(dict.fromkeys(ENDS, 0.0), PAID, "european")
    found, priced = forwards(chain)
    assert found["carry"].to_numpy()[0] == pytest.approx(0, abs=1e-9)  # before the ex-date
    assert (found["carry"].to_numpy()[1:] > 0.02).all()
    assert priced["iv"].to_numpy() == pytest.approx(VOL, abs=1e-6)


def without(chain, end, column="bid"):
    """The chain with no quote on one side of an expiration."""
    return chain.assign(**{column: chain[column].where(chain["expiration"] != end)})


def test_an_expiration_without_pairs_takes_the_carry_of_its_neighbours():
    chain = made_chain(dict(zip(ENDS, (0.01, 0.01, 0.02, 0.03), strict=True)), style="european")
    found, _ = forwards(without(chain, ENDS[2]))
    assert found["forward_source"].tolist() == ["parity", "parity", "neighbour", "parity"]
    assert found.loc[ENDS[2], "pairs"] == 0
    years = found["years"]
    straight = np.interp(years[ENDS[2]], [years[ENDS[1]], years[ENDS[3]]],
                         [0.01 * years[ENDS[1]], 0.03 * years[ENDS[3]]])  # fmt: skip
    assert found.loc[ENDS[2], "carry"] == pytest.approx(straight / years[ENDS[2]], rel=1e-6)
    for end, carry in ((ENDS[0], 0.01), (ENDS[3], 0.02)):  # outside, the nearest holds
        found, _ = forwards(without(chain, end))
        assert found.loc[end, "forward_source"] == ForwardSource.NEIGHBOUR
        assert found.loc[end, "carry"] == pytest.approx(carry, rel=1e-6)


def test_without_any_pair_spot_grows_at_the_rate_and_pays_what_is_known():
    chain = made_chain(dict.fromkeys(ENDS, 0.1)).assign(bid=np.nan)
    found, priced = forwards(chain, dividends=PAID)
    assert (found["forward_source"] == ForwardSource.SPOT).all()
    assert (found["carry"] == 0).all()
    assert found["dividends_pv"].to_numpy() == pytest.approx(
        [0, *[math.exp(-RATE * PAID.years[0])] * 2, sum(math.exp(-RATE * t) for t in PAID.years)]
    )
    grown = (SPOT - found["dividends_pv"]) * np.exp(RATE * found["years"])
    assert found["forward"].to_numpy() == pytest.approx(grown.to_numpy(), rel=1e-12)
    assert (priced["flag"] == QuoteFlag.NO_BID).all()
    assert priced["ask_iv"].notna().any()  # the side that stands has its volatility


WILD = {
    "one wild quote": ({"bid": 30.0, "ask": 31.0}, 1),
    "a wide one": ({"bid": 0.05, "ask": 20.0}, 3),
    "a crossed one": ({"bid": 30.0, "ask": 1.0}, 3),
    "a stale one": ({"bid": 30.0, "ask": 31.0, "quoted_at": NOW - timedelta(hours=2)}, 3),
    "one of unknown age": ({"bid": 30.0, "ask": 31.0, "quoted_at": pd.NaT}, 3),
}


@pytest.mark.parametrize("what", WILD)
def test_bad_quotes_hardly_move_a_forward(what):
    changes, count = WILD[what]
    carries = dict.fromkeys(ENDS, 0.02)
    chain = made_chain(carries, style="european", half=0.05)
    puts = (chain["right"] == "P") & chain["strike"].between(100, 99 + count)
    for column, value in changes.items():
        chain.loc[puts, column] = value
    clean, _ = forwards(made_chain(carries, style="european", half=0.05))
    found, _ = forwards(chain)
    assert (found["forward_source"] == ForwardSource.PARITY).all()
    assert found["forward"].to_numpy() == pytest.approx(clean["forward"].to_numpy(), abs=1e-3)


@pytest.mark.parametrize("strike", [98, 100, 102])
@pytest.mark.parametrize("wild", [0.01, 30.0])
def test_a_wild_quote_that_is_locked_does_not_outweigh_two_others(strike, wild):
    carries = dict.fromkeys(ENDS, 0.02)
    chain = made_chain(carries, style="european", strikes=(98, 100, 102), half=0.05)
    clean, _ = forwards(chain)
    one = (chain["strike"] == strike) & (chain["right"] == "C")
    chain.loc[one, ["bid", "ask"]] = wild
    found, _ = forwards(chain)
    assert found["forward"].to_numpy() == pytest.approx(clean["forward"].to_numpy(), abs=1e-3)


@pytest.mark.parametrize("minutes", [1, 30, 240])
@pytest.mark.parametrize("off", [-0.5, 0.5])
def test_in_the_last_hours_a_spot_out_of_step_is_not_taken_for_carry(minutes, off):
    close = datetime(2026, 11, 27, 18, tzinfo=UTC)  # the half day after Thanksgiving
    now = close - timedelta(minutes=minutes)
    years = minutes / 525_600
    chain = made_chain(dict.fromkeys(ENDS[:2], 0.0), style="european", half=0.01)
    value = np.maximum(np.where(chain["right"] == "C", 1, -1) * (SPOT - chain["strike"]), 0) + 0.05
    last = chain["expiration"] == ENDS[0]
    chain["bid"] = chain["bid"].where(~last, value - 0.01)
    chain["ask"] = chain["ask"].where(~last, value + 0.01)
    chain["quoted_at"] = pd.Timestamp(now)
    found, priced = forwards(chain, spot=SPOT + off, now=now)
    today = found.loc[ENDS[0]]
    assert abs(today["carry"]) == CARRY_MAX
    assert today["forward_source"] == ForwardSource.BOUNDED
    assert today["forward"] == pytest.approx(
        SPOT + off, abs=1.02 * (CARRY_MAX + RATE) * years * SPOT
    )
    # Nor does the expiration beside it learn from that.
    assert found.loc[ENDS[1], "forward_source"] == ForwardSource.PARITY
    solved = priced[priced["iv"].notna()]
    assert np.isfinite(solved[["delta", "gamma", "theta", "vega", "rho"]]).all(axis=None)


def test_two_roots_that_end_on_one_day_have_a_forward_each():
    end = date(2026, 12, 18)
    spx = made_chain({end: 0.01}, style="european")
    spxw = made_chain({end: 0.01}, style="european")
    spx["symbol"], spxw["symbol"] = (
        name + chain["symbol"].str[3:] for name, chain in (("SPX", spx), ("SPXW", spxw))
    )
    found, _ = forwards(as_chain(pd.concat([spx, spxw])).assign(underlying="SPX"))
    assert found["root"].tolist() == ["SPX", "SPXW"]
    assert found["years"].iloc[0] < found["years"].iloc[1]  # the morning before the close


def test_a_chain_without_a_spot_or_a_future_has_no_forward():
    chain = made_chain(dict.fromkeys(ENDS, 0.0))
    for found, _ in (
        forwards(chain, spot=np.nan),
        forwards(chain, now=datetime(2027, 5, 3, 16, tzinfo=UTC)),
    ):
        assert found[["carry", "forward", "forward_source"]].isna().all(axis=None)
        assert (found["pairs"] == 0).all()


def test_every_forward_names_the_day_of_its_yields():
    found, _ = forwards(made_chain(dict.fromkeys(ENDS, 0.0)))
    assert list(found.columns) == list(FORWARD)
    assert (found["curve_day"] == FLAT.day).all()
    assert (found["rate"] == RATE).all()
