"""What holds for any chain, however odd its quotes: nothing unsolved passes, nothing is made up."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.carry import CARRY_MAX
from domain.chain import BROKER, CHAIN, DOUBTS, GREEKS, QuoteFlag, as_chain
from domain.greeks import chain_to_greeks, forward_columns
from domain.rates import Curve
from domain.strategies.iron_condor import Rules, chain_to_condors

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
#: Today with five hours to go, an expired one, a Saturday's, and far ones.
ENDS = [date(2026, 11, 20), date(2026, 11, 19), date(2026, 12, 19), date(2027, 1, 15),
        date(2028, 1, 21)]  # fmt: skip
NUMBERS = ["iv", "delta", "gamma", "theta", "vega", "rho"]

price = st.one_of(
    st.none(), st.floats(0.01, 60).map(lambda usd: round(usd, 2)), st.sampled_from([0.0, 1e-9, 1e6])
)
quote = st.tuples(price, price, st.sampled_from([None, 0, 30, 4_000]))
chains = st.tuples(
    st.lists(st.sampled_from(ENDS), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(80, 120), min_size=1, max_size=8, unique=True),
    st.sampled_from(["american", "european"]),
    st.lists(quote, min_size=48, max_size=48),
    st.sampled_from([100.0, 100.0, 0.01, 1e5, 0.0, np.nan]),
)


def made(ends, strikes, style, quotes):
    rows = [
        dict.fromkeys([*CHAIN, *BROKER], np.nan)
        | {
            "symbol": f"XYZ{end:%y%m%d}{right}{strike * 1000:08d}",
            "underlying": "XYZ", "expiration": end, "strike": strike, "right": right,
            "style": style, "multiplier": 100, "open_interest": 100,
        }
        for end in ends for strike in strikes for right in "CP"
    ]  # fmt: skip
    for row, (bid, ask, age_s) in zip(rows, quotes, strict=False):
        quoted_at = pd.NaT if age_s is None else pd.Timestamp(NOW - timedelta(seconds=age_s))
        row |= {"bid": bid, "ask": ask, "quoted_at": quoted_at}
    frame = pd.DataFrame(rows)
    return as_chain(frame.assign(quoted_at=pd.to_datetime(frame["quoted_at"], utc=True)))


@settings(max_examples=60, deadline=None)
@given(chains, st.floats(-0.02, 0.2))
def test_every_row_is_solved_or_says_why_and_every_forward_says_from_where(given_chain, rate):
    *columns, spot = given_chain
    chain = made(*columns)
    curve = Curve(day=date(2026, 11, 19), years=(0.0, 1.0), rates=(rate, rate))
    found = chain_to_greeks(chain, spot, NOW, curve)

    assert list(found.columns) == [*CHAIN, *GREEKS]
    pd.testing.assert_frame_equal(found[list(CHAIN)], chain)
    solved = found["iv"].notna()
    assert (solved == (found["flag"].isna() | found["flag"].isin(DOUBTS))).all()
    assert (found[NUMBERS].notna().all(axis=1) == solved).all()
    assert (found[NUMBERS].isna().all(axis=1) == ~solved).all()
    assert np.isfinite(found.loc[solved, NUMBERS]).all(axis=None)
    assert found["flag"].dropna().isin(list(QuoteFlag)).all()
    # A side without a price has no volatility.
    for side in ("bid", "ask"):
        assert found.loc[~(found[side] > 0), f"{side}_iv"].isna().all()

    ends = forward_columns(found)
    assert (ends["forward"].notna() == ends["forward_source"].notna()).all()
    assert (ends["forward"].notna() == ((ends["years"] > 0) & (spot > 0))).all()
    assert not (ends["carry"].abs() > CARRY_MAX).any()
    read = ends["forward_source"].isin(["parity", "bounded"])
    assert ((ends["pairs"] >= 3) == read).all()


EASY = Rules(
    days_to_expiry_min=0, days_to_expiry_target=30, days_to_expiry_max=500,
    short_delta_min=0.0, short_delta_target=0.2, short_delta_max=0.49,
    wing_width_share=0.05, wing_width_share_min=0.0, wing_width_share_max=1.0,
    quote_age_s_max=1e9, open_interest_min=0, slippage_share_max=1e9, credit_share_min=0.0,
    structures_per_underlying_max=1, profit_share_exit=0.5, loss_credit_multiple_exit=2.0,
    days_to_expiry_exit=7,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(chains)
def test_no_flagged_contract_becomes_a_leg_however_lax_the_rules(given_chain):
    *columns, spot = given_chain
    curve = Curve(day=date(2026, 11, 19), years=(0.0, 1.0), rates=(0.04, 0.04))
    found = chain_to_greeks(made(*columns), spot, NOW, curve)
    flagged = set(found.loc[found["flag"].notna(), "symbol"])
    condors = chain_to_condors(found, spot, NOW, EASY, 0)
    legs = condors[["long_put", "short_put", "short_call", "long_call"]].to_numpy().ravel()
    assert not flagged & {leg for leg in legs if isinstance(leg, str)}
