"""From quotes to Greeks: every row is solved or says why not, on made-up and recorded chains."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from domain import pricing
from domain.calendar import Clock, ClockKind
from domain.chain import BROKER, CHAIN, DOUBTS, GREEKS, QuoteFlag, as_chain
from domain.dividends import as_dividends, schedule
from domain.greeks import chain_to_greeks
from domain.pricing import Dividends, Terms
from domain.rates import Curve, curve

RECORDED = Path(__file__).parents[2].parent / "shared" / "market-data"
NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
EXPIRATION = date(2026, 12, 18)
SPOT, FORWARD, RATE, VOL = 600.0, 597.0, 0.04, 0.20
FLAT = Curve(day=date(2026, 11, 19), years=(0.0, 1.0), rates=(RATE, RATE))
#: Options on SPY trade until 16:15.
CLOSE = datetime(2026, 12, 18, 21, 15, tzinfo=UTC)
YEARS = (CLOSE - NOW).total_seconds() / (365 * 86400)
NUMBERS = ["iv", "delta", "gamma", "theta", "vega", "rho"]


def black(forward, strike, right, vol=VOL, years=YEARS):
    """Black's formula with the error function: shares nothing with domain/pricing.py."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    sign = 1 if right == "C" else -1

    def below(x):
        return math.erfc(-sign * x / math.sqrt(2)) / 2

    return sign * math.exp(-RATE * years) * (forward * below(d1) - strike * below(d1 - deviation))


def made_chain(changes=(), strikes=range(500, 701, 10)):
    """A chain priced off FORWARD and VOL; `changes` are (symbol, column, value)."""
    rows = []
    for strike in strikes:
        for right in "CP":
            mid = black(FORWARD, strike, right)
            rows.append(
                dict.fromkeys(CHAIN, np.nan)
                | {
                    "symbol": f"SPY261218{right}{strike * 1000:08d}",
                    "underlying": "SPY",
                    "expiration": EXPIRATION,
                    "strike": strike,
                    "right": right,
                    "style": "european",
                    "multiplier": 100,
                    "bid": mid * 0.99,
                    "ask": mid * 1.01,
                    "quoted_at": pd.Timestamp(NOW),
                }
            )
    frame = pd.DataFrame(rows).set_index("symbol", drop=False)
    for symbol, column, value in changes:
        frame.loc[symbol, column] = value
    return as_chain(frame)


def recorded_curve(day):
    yields = pd.read_csv(RECORDED / "treasury-par-yields.csv")
    return curve(yields.assign(date=pd.to_datetime(yields["date"]).dt.date), day)


def test_the_volatility_and_forward_that_made_a_chain_are_found_again():
    found = chain_to_greeks(made_chain(), SPOT, NOW, FLAT)
    assert found["flag"].isna().all()
    assert found["iv"].to_numpy() == pytest.approx(VOL, abs=1e-9)
    assert found["forward"].to_numpy() == pytest.approx(FORWARD, rel=1e-12)
    assert found["years"].to_numpy() == pytest.approx(YEARS, rel=1e-12)
    assert list(found.columns) == [*CHAIN, *GREEKS]


def test_greeks_have_the_sign_and_unit_that_the_chain_names():
    found = chain_to_greeks(made_chain(), SPOT, NOW, FLAT).set_index("symbol")
    call, put = found.loc["SPY261218C00600000"], found.loc["SPY261218P00600000"]
    assert 0.45 < call["delta"] < 0.55
    assert call["delta"] - put["delta"] == pytest.approx(
        math.exp(-RATE * YEARS) * FORWARD / SPOT, rel=1e-9
    )
    point = black(FORWARD, 600, "C", VOL + 0.005) - black(FORWARD, 600, "C", VOL - 0.005)
    assert call["vega"] == pytest.approx(point, rel=1e-4)
    # A day passes while spot stands: the forward has a day less to drift.
    hour = 1 / 365 / 24
    later = black(SPOT * (FORWARD / SPOT) ** (1 - hour / YEARS), 600, "C", years=YEARS - hour)
    assert call["theta"] == pytest.approx((later - call["mid"]) * 24, rel=1e-3)
    bent = (
        black(FORWARD * 1.001, 600, "C") + black(FORWARD * 0.999, 600, "C") - 2 * call["mid"]
    ) / 0.6**2
    assert call["gamma"] == pytest.approx(bent, rel=1e-3)
    assert call["rho"] > 0 > put["rho"]


def flagged(changes, spot=SPOT, now=NOW):
    return chain_to_greeks(made_chain(changes), spot, now, FLAT).set_index("symbol")


DEEP_CALL = "SPY261218C00500000"
FAR_PUT = "SPY261218P00500000"


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"bid": np.nan, "ask": np.nan}, QuoteFlag.NO_QUOTE),
        ({"bid": np.nan}, QuoteFlag.NO_BID),
        ({"ask": np.nan}, QuoteFlag.NO_ASK),
        ({"bid": 120.0, "ask": 100.0}, QuoteFlag.CROSSED),
        ({"bid": 90.0, "ask": 91.0}, QuoteFlag.BELOW_INTRINSIC),
        ({"bid": 600.0, "ask": 601.0}, QuoteFlag.ABOVE_BOUND),
    ],
)
def test_a_row_that_cannot_be_solved_says_why_and_has_no_number(changes, flag):
    found = flagged([(DEEP_CALL, column, value) for column, value in changes.items()])
    assert found.loc[DEEP_CALL, "flag"] == flag
    assert found.loc[DEEP_CALL, NUMBERS].isna().all()
    assert found.drop(DEEP_CALL)["flag"].isna().all()


def test_a_price_that_no_volatility_gives_says_so():
    """A minute before the end even 2,000 % a year are worth a hundredth of spot."""
    dear = [("SPY261218C00600000", "bid", 29.0), ("SPY261218C00600000", "ask", 30.0)]
    found = flagged(dear, now=CLOSE - timedelta(minutes=1))
    row = found.loc["SPY261218C00600000"]
    assert row["flag"] == QuoteFlag.BEYOND_BOUNDS
    assert row[NUMBERS].isna().all()


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_the_side_that_stands_has_its_volatility(side):
    other = {"bid": "ask", "ask": "bid"}[side]
    found = flagged([(FAR_PUT, other, np.nan)]).loc[FAR_PUT]
    assert found["flag"] == {"bid": QuoteFlag.NO_ASK, "ask": QuoteFlag.NO_BID}[side]
    assert found[f"{side}_iv"] == pytest.approx(VOL, abs=0.005)
    assert np.isnan(found[f"{other}_iv"])


def test_the_mids_volatility_lies_between_those_of_bid_and_ask():
    found = flagged([])
    assert not (found["bid_iv"] >= found["iv"]).any()
    assert (found["iv"] < found["ask_iv"]).all()
    # A bid below what exercise is worth has none, and only such a one.
    sign = np.where(found["right"] == "C", 1, -1)
    floor = math.exp(-RATE * YEARS) * sign * (FORWARD - found["strike"])
    assert (found["bid_iv"].isna() == (found["bid"] < floor)).all()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"bid": 0.01, "ask": 1.00}, QuoteFlag.WIDE),
        ({"quoted_at": pd.Timestamp(NOW) - pd.Timedelta(seconds=3_601)}, QuoteFlag.STALE),
        ({"quoted_at": pd.NaT}, QuoteFlag.STALE),
    ],
)
def test_a_quote_that_is_doubted_has_its_numbers_and_its_flag(changes, flag):
    found = flagged([(FAR_PUT, column, value) for column, value in changes.items()])
    assert found.loc[FAR_PUT, "flag"] == flag
    assert found.loc[FAR_PUT, NUMBERS].notna().all()
    assert found.drop(FAR_PUT)["flag"].isna().all()


def test_what_cannot_be_solved_is_not_called_wide():
    found = flagged([(DEEP_CALL, "bid", 20.0), (DEEP_CALL, "ask", 70.0)])
    assert found.loc[DEEP_CALL, "flag"] == QuoteFlag.BELOW_INTRINSIC


@pytest.mark.parametrize("style", ["american", "european"])
@pytest.mark.parametrize("off", [-0.5, 0.0, 1e-9])
def test_at_or_below_exercise_there_is_no_one_volatility(style, off):
    chain = made_chain().assign(style=style)
    deep = chain["symbol"] == "SPY261218P00700000"
    discounted = math.exp(-RATE * YEARS) * (700 - FORWARD)
    exercise = max(discounted, 700 - SPOT) if style == "american" else discounted
    chain.loc[deep, "bid"] = chain.loc[deep, "ask"] = exercise + off
    found = chain_to_greeks(chain, SPOT, NOW, FLAT).set_index("symbol").loc["SPY261218P00700000"]
    assert found["flag"] == QuoteFlag.BELOW_INTRINSIC
    assert found[NUMBERS].isna().all()


def test_the_difference_to_the_broker_is_ours_less_the_brokers_and_unknown_where_either_is():
    sent = dict(zip(BROKER, (0.25, 0.5, 0.01, -0.2, 0.6, 0.3), strict=True))
    found = flagged([("SPY261218C00600000", name, value) for name, value in sent.items()])
    row = found.loc["SPY261218C00600000"]
    for name, value in sent.items():
        own = name.removeprefix("broker_")
        assert row[f"{own}_gap"] == pytest.approx(row[own] - value, abs=1e-15)
    gaps = [f"{name}_gap" for name in NUMBERS]
    assert found.drop("SPY261218C00600000")[gaps].isna().all(axis=None)
    bare = flagged([("SPY261218C00600000", "broker_iv", 0.25), ("SPY261218C00600000", "bid", 0)])
    assert np.isnan(bare.loc["SPY261218C00600000", "iv_gap"])


def test_a_trading_clock_restates_volatility_and_vega_and_nothing_else():
    clock = Clock(kind=ClockKind.TRADING, closed_weight=0.0)
    sent = made_chain([("SPY261218C00600000", "broker_iv", 0.25)])
    plain = chain_to_greeks(sent, SPOT, NOW, FLAT)
    found = chain_to_greeks(sent, SPOT, NOW, FLAT, clock=clock)
    scale = np.sqrt(found["years"] / found["clock_years"])
    assert (scale - 1).abs().min() > 0.003
    for name in ("bid_iv", "iv", "ask_iv"):
        assert found[name].to_numpy() == pytest.approx(
            (plain[name] * scale).to_numpy(), nan_ok=True
        )
    assert found["vega"].to_numpy() == pytest.approx((plain["vega"] / scale).to_numpy())
    # The broker's year is the calendar's, whatever ours is.
    same = ["delta", "gamma", "theta", "rho", "forward", "years", "iv_gap", "vega_gap"]
    pd.testing.assert_frame_equal(found[same], plain[same])


def test_each_row_names_its_model():
    styles = made_chain()
    styles["style"] = np.where(styles["strike"] < 600, "european", "american")
    later = Dividends(years=(0.01, 0.5), amounts=(1.0, 1.0))
    for dividends, american in ((None, "american"), (later, "american_dividends")):
        found = chain_to_greeks(styles, SPOT, NOW, FLAT, dividends)
        wanted = np.where(styles["style"] == "american", american, "european")
        assert found["model"].tolist() == wanted.tolist()
    after = Dividends(years=(0.5,), amounts=(1.0,))
    found = chain_to_greeks(styles, SPOT, NOW, FLAT, after)
    assert set(found["model"]) == {"european", "american"}


@pytest.mark.parametrize("spot", [np.nan, 0.0, -1.0])
def test_without_a_price_of_the_underlying_nothing_is_solved(spot):
    found = flagged([], spot)
    assert (found["flag"] == QuoteFlag.NO_UNDERLYING).all()
    assert found[NUMBERS].isna().all(axis=None)


def test_at_the_close_of_its_last_day_a_contract_has_expired():
    found = flagged([], now=CLOSE)
    assert (found["flag"] == QuoteFlag.EXPIRED).all()
    assert found[NUMBERS].isna().all(axis=None)
    before = flagged([], now=CLOSE - timedelta(minutes=1))
    assert not (before["flag"] == QuoteFlag.EXPIRED).any()


def test_too_few_pairs_near_the_money_leave_the_forward_to_the_rate():
    found = chain_to_greeks(made_chain(strikes=(590, 600, 700)), SPOT, NOW, FLAT)
    assert found["forward"].to_numpy() == pytest.approx(SPOT * math.exp(RATE * YEARS), rel=1e-12)
    found = chain_to_greeks(made_chain(strikes=(590, 600, 610)), SPOT, NOW, FLAT)
    assert found["forward"].to_numpy() == pytest.approx(FORWARD, rel=1e-12)


@pytest.mark.parametrize(("bid", "ask"), [(np.nan, 1.0), (9.0, 8.0), (1.0, np.nan)])
def test_an_unsound_quote_has_no_say_in_the_forward(bid, ask):
    chain = made_chain(strikes=(590, 600, 610))
    chain.loc[chain["symbol"] == "SPY261218P00600000", ["bid", "ask"]] = bid, ask
    found = chain_to_greeks(chain, SPOT, NOW, FLAT)  # two pairs are left: too few
    assert found["forward"].to_numpy() == pytest.approx(SPOT * math.exp(RATE * YEARS), rel=1e-12)


def test_one_wild_quote_does_not_move_the_forward():
    found = flagged([("SPY261218P00600000", "bid", 60.0), ("SPY261218P00600000", "ask", 62.0)])
    assert found["forward"].to_numpy() == pytest.approx(FORWARD, rel=1e-12)


def test_no_contracts_have_no_greeks():
    found = chain_to_greeks(made_chain().iloc[:0], SPOT, NOW, FLAT)
    assert found.empty
    assert list(found.columns) == [*CHAIN, *GREEKS]


def test_the_chain_that_was_given_is_left_as_it_was():
    chain = made_chain([(DEEP_CALL, "bid", np.nan)])
    before = chain.copy(deep=True)
    chain_to_greeks(chain, SPOT, NOW, FLAT)
    pd.testing.assert_frame_equal(chain, before)


def known_dividends(underlying, now):
    """What the companies had said or paid like clockwork, in the shares of the day."""
    actions = pd.read_csv(RECORDED / "corporate-actions.csv")
    paid = actions[(actions["kind"] == "cash dividend") & (actions["underlying"] == underlying)]
    before_split = underlying == "AAPL" and now.date() < date(2014, 6, 9)
    amounts = paid["amount"] * np.where(before_split & (paid["ex_date"] > "2014-06-09"), 7, 1)
    return schedule(as_dividends(paid.assign(amount=amounts.astype(str))), underlying, now)


#: File, moment, least share of contracts with numbers, and how many have which flag.
MOMENTS = {
    "AAPL before its split, an hour before a weekly expiry": (
        "options-hour/AAPL-2014-06-06.parquet", "2014-06-06T19:00:00+00:00", 0.86,
    ),
    "AAPL at its adjusted strikes": (
        "options-hour/AAPL-2014-06-09.parquet", "2014-06-09T19:00:00+00:00", 0.71,
    ),
    "AAPL at the close of its ex-dividend day": (
        "options-eod/AAPL-2014-08-07.parquet", "2014-08-07T19:59:00+00:00", 0.79,
    ),
    "GOOG two hours before a weekly expiry": (
        "options-minute/GOOG-2015-12-24.parquet", "2015-12-24T16:00:00+00:00", 0.73,
    ),
    "GOOG a quarter of an hour before it": (
        "options-minute/GOOG-2015-12-24.parquet", "2015-12-24T17:45:00+00:00", 0.70,
    ),
    "TWX before its spin-off": (
        "options-minute/TWX-2014-06-05.parquet", "2014-06-05T19:00:00+00:00", 0.75,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=MOMENTS)
def recorded(request):
    """A recorded chain with its Greeks, its spot, the least share that has numbers, and the
    dividends that were listed for it: none of them."""
    name, at, share = MOMENTS[request.param]
    now = datetime.fromisoformat(at)
    chain, spot = recorded_chain(name, at)
    found = chain_to_greeks(chain, spot, now, recorded_curve(now.date()))
    return found, spot, share, Dividends()


def recorded_chain(name, at):
    """The chain that stood at `at`: the last row of each contract, and the spot beside it."""
    if not (RECORDED / name).is_file():
        pytest.skip("the recorded quotes are not beside this checkout")
    rows = pd.read_parquet(RECORDED / name)
    # An end-of-day chain has one stamp, of the close: it is looked at a minute before.
    rows = rows[rows["ts"] <= pd.Timestamp(at) + pd.Timedelta(minutes=int("eod" in name))]
    spot = float(rows["underlying_price"].iloc[-1])
    last = rows.groupby("symbol").tail(1).rename(columns={"type": "right", "ts": "quoted_at"})
    none = dict.fromkeys(BROKER, np.nan)
    return as_chain(last.assign(style="american", multiplier=100, **none)), spot


def test_a_recorded_chain_is_solved_where_a_price_says_anything(recorded):
    found, spot, share, _ = recorded
    solved = found["flag"].isna() | found["flag"].isin(DOUBTS)
    assert solved.mean() > share
    assert found.loc[solved, NUMBERS].notna().all(axis=None)
    assert found.loc[~solved, NUMBERS].isna().all(axis=None)
    # Out of the money by a tenth of spot or less, with two sides, there is always an answer.
    away = np.where(found["right"] == "C", 1, -1) * (found["strike"] / spot - 1)
    near = (away > 0) & (away < 0.1) & (found["bid"] > 0) & (found["ask"] >= found["bid"])
    assert near.sum() > 20
    assert solved[near].mean() > 0.999
    assert (found["forward_source"].isin(["parity", "bounded"])).all()


def test_a_recorded_solution_gives_the_mid_back(recorded):
    found, spot, _, dividends = recorded
    rows = found[found["iv"].notna()]
    terms = Terms(
        spot=np.full(len(rows), spot),
        strike=rows["strike"].to_numpy(),
        years=rows["years"].to_numpy(),
        rate=rows["rate"].to_numpy(),
        carry=rows["carry"].to_numpy(),
        sign=np.where(rows["right"] == "C", 1.0, -1.0),
        american=np.ones(len(rows), dtype=bool),
        dividends=dividends,
    )
    again = pricing.price(terms, rows["iv"].to_numpy())
    assert np.abs(again - rows["mid"]).max() < 1e-6 * spot


def pairs_of(found):
    """Calls beside puts of one strike, both sides of both quoted, with the volatilities that lie
    between bid and ask. A bid at or below the bound is any low volatility's, an ask at or above
    the other any high one's."""
    between = found.assign(low=found["bid_iv"].fillna(0.0), high=found["ask_iv"].fillna(np.inf))
    two_sided = between[(between["bid"] > 0) & (between["ask"] >= between["bid"])]
    calls, puts = (
        two_sided[two_sided["right"] == right].set_index(["expiration", "strike"]) for right in "CP"
    )
    return calls.join(puts, how="inner", rsuffix="_put")


def test_recorded_calls_and_puts_of_one_strike_agree_within_their_quotes(recorded):
    """Measured shares: 0.997, 1.000, 0.999, 1.000, 1.000, 1.000 of all two-sided pairs."""
    pairs = pairs_of(recorded[0])
    agree = (pairs["low"] <= pairs["high_put"]) & (pairs["low_put"] <= pairs["high"])
    assert len(pairs) > 70
    assert agree.mean() >= 0.95
    # Nor do they because the bounds say nothing: also where each of the four has a volatility.
    whole = pairs[["bid_iv", "ask_iv", "bid_iv_put", "ask_iv_put"]].notna().all(axis=1)
    assert whole.sum() > 40
    assert agree[whole].mean() >= 0.95
