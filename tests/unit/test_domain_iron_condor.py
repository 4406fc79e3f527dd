"""One condor whose every number is known by hand, turned down and closed by each rule in turn."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from domain.chain import CHAIN, GREEKS
from domain.orders import Leg, Side
from domain.strategies.iron_condor import Exit, Rule, Rules, chain_to_condors, exit_view
from domain.structures import Structure, StructureState

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
EXPIRATION = date(2026, 12, 30)  # 40 days away
SPOT = 600.0
#: right, strike, bid, ask, delta: a credit of 3.00 at natural prices, 3.20 at mids, width 10.
QUOTES = [
    ("P", 560.0, 1.45, 1.55, -0.12),
    ("P", 570.0, 2.95, 3.05, -0.20),
    ("P", 580.0, 5.00, 5.20, -0.30),
    ("C", 620.0, 5.00, 5.20, 0.30),
    ("C", 630.0, 3.15, 3.25, 0.20),
    ("C", 640.0, 1.45, 1.55, 0.12),
]
SETTINGS = {
    "days_to_expiry_min": 25,
    "days_to_expiry_target": 40,
    "days_to_expiry_max": 50,
    "short_delta_min": 0.12,
    "short_delta_target": 0.20,
    "short_delta_max": 0.28,
    "wing_width_share": 0.015,
    "wing_width_share_min": 0.005,
    "wing_width_share_max": 0.03,
    "quote_age_s_max": 1800,
    "open_interest_min": 10,
    "slippage_share_max": 0.05,
    "credit_share_min": 0.25,
    "structures_per_underlying_max": 1,
    "profit_share_exit": 0.5,
    "loss_credit_multiple_exit": 2.0,
    "days_to_expiry_exit": 7,
}


def rules(**changes):
    return Rules(**SETTINGS | changes)


def symbol(right, strike, expiration=EXPIRATION):
    return f"SPY{expiration:%y%m%d}{right}{round(strike * 1000):08d}"


def made_chain(*, expirations=(EXPIRATION,), quotes=QUOTES, **columns):
    rows = [
        dict.fromkeys([*CHAIN, *GREEKS], np.nan)
        | {
            "symbol": symbol(right, strike, expiration),
            "underlying": "SPY",
            "expiration": expiration,
            "strike": strike,
            "right": right,
            "style": "american",
            "open_interest": 500.0,
            "bid": bid,
            "ask": ask,
            "mid": (bid + ask) / 2,
            "delta": delta,
            "quoted_at": pd.Timestamp(NOW) - pd.Timedelta(seconds=60),
            "flag": None,
        }
        | columns
        for expiration in expirations
        for right, strike, bid, ask, delta in quotes
    ]
    return pd.DataFrame(rows).astype(CHAIN | GREEKS).assign(flag=lambda f: f["flag"].astype(object))


def condors(chain=None, spot=SPOT, open_count=0, now=NOW, **changes):
    chain = made_chain() if chain is None else chain
    return chain_to_condors(chain, spot, now, rules(**changes), open_count)


def only(found):
    assert len(found) == 1
    return found.iloc[0]


def test_a_sound_condor_has_the_legs_and_prices_that_were_worked_out_by_hand():
    row = only(condors())
    assert row["rule"] is None
    assert row["long_put"] == symbol("P", 560)
    assert row["short_put"] == symbol("P", 570)
    assert row["short_call"] == symbol("C", 630)
    assert row["long_call"] == symbol("C", 640)
    assert row["expiration"] == EXPIRATION
    assert row["days_to_expiry"] == 40
    assert row["width"] == 10
    assert row["credit_natural"] == pytest.approx(2.95 + 3.15 - 1.55 - 1.55)
    assert row["credit_mid"] == pytest.approx(3.00 + 3.20 - 1.50 - 1.50)
    assert np.isnan(row["value"])
    assert np.isnan(row["threshold"])


@pytest.mark.parametrize(
    ("changes", "rule", "value", "threshold"),
    [
        ({"days_to_expiry_min": 41, "days_to_expiry_target": 45}, "days_to_expiry", 40, 41),
        ({"days_to_expiry_max": 39, "days_to_expiry_target": 30}, "days_to_expiry", 40, 39),
        (
            {"short_delta_min": 0.21, "short_delta_target": 0.22},
            "short_delta", 0.20, 0.22,
        ),
        (
            {"short_delta_max": 0.19, "short_delta_target": 0.18},
            "short_delta", 0.20, 0.18,
        ),
        (
            {"wing_width_share_min": 0.017, "wing_width_share": 0.017},
            "wing", 10 / 600, 0.017,
        ),
        ({"wing_width_share_max": 0.016}, "wing", 10 / 600, 0.016),
        ({"quote_age_s_max": 59}, "quote_age", 60, 59),
        ({"slippage_share_max": 0.0199}, "slippage", 0.02, 0.0199),
        ({"credit_share_min": 0.3001}, "credit_share", 0.30, 0.3001),
        ({"open_interest_min": 501}, "open_interest", 500, 501),
    ],
)  # fmt: skip
def test_each_rule_turns_the_row_down_with_its_number_and_threshold(
    changes, rule, value, threshold
):
    row = only(condors(**changes))
    assert row["rule"] == rule
    assert row["value"] == pytest.approx(value)
    assert row["threshold"] == pytest.approx(threshold)


@pytest.mark.parametrize(
    "changes",
    [
        {"days_to_expiry_min": 40},
        {"days_to_expiry_max": 40},
        {"short_delta_max": 0.20},
        {"short_delta_min": 0.20},
        {"quote_age_s_max": 60},
        {"open_interest_min": 500},
        {"slippage_share_max": 0.02000001},
        {"credit_share_min": 0.29999999},
    ],
)
def test_at_its_threshold_a_rule_still_passes(changes):
    assert only(condors(**changes))["rule"] is None


def test_a_side_without_contracts_or_without_a_wing_says_so():
    calls = [quote for quote in QUOTES if quote[0] == "C"]
    row = only(condors(made_chain(quotes=calls)))
    assert row["rule"] == Rule.SHORT_DELTA
    assert np.isnan(row["value"])
    row = only(condors(made_chain(quotes=QUOTES[1:])))
    assert row["rule"] == Rule.WING
    assert np.isnan(row["value"])


def test_a_flagged_contract_is_nobodys_leg():
    chain = made_chain()
    chain.loc[chain["symbol"] == symbol("P", 560), "flag"] = "no_bid"
    assert only(condors(chain))["rule"] == Rule.WING
    chain.loc[chain["symbol"] == symbol("P", 570), "flag"] = "no_bid"
    assert only(condors(chain))["rule"] == Rule.SHORT_DELTA


def test_of_sound_expirations_only_the_nearest_to_the_target_is_traded():
    expirations = (date(2026, 12, 18), date(2026, 12, 23), date(2026, 12, 31))  # 28, 33, 41
    found = condors(made_chain(expirations=expirations))
    assert found["rule"].tolist() == [Rule.NOT_BEST, Rule.NOT_BEST, None]
    assert found["value"].tolist()[:2] == [28, 33]
    assert found["threshold"].tolist()[:2] == [41, 41]
    # Of two as near the earlier one.
    found = condors(made_chain(expirations=expirations), days_to_expiry_target=37)
    assert found["rule"].tolist() == [Rule.NOT_BEST, None, Rule.NOT_BEST]


def test_an_underlying_whose_places_are_taken_opens_nothing():
    row = only(condors(open_count=1))
    assert (row["rule"], row["value"], row["threshold"]) == (Rule.ALREADY_OPEN, 1, 1)
    assert only(condors(open_count=1, structures_per_underlying_max=2))["rule"] is None


def test_no_contracts_give_no_condors():
    assert condors(made_chain().iloc[:0]).empty


@pytest.mark.parametrize(
    "column", ["bid", "ask", "mid", "delta", "strike", "open_interest", "quoted_at"]
)
@pytest.mark.parametrize("leg", [0, 1, 4, 5])
def test_an_unknown_number_in_a_leg_turns_it_down_or_another_leg_is_taken(column, leg):
    chain = made_chain()
    chain.loc[leg, column] = None
    if column in ("bid", "ask"):
        chain.loc[leg, "mid"] = np.nan
    row = only(condors(chain))
    if row["rule"] is None:
        assert chain.loc[leg, "symbol"] not in row.tolist()


@pytest.mark.parametrize("spot", [np.nan, 0.0])
def test_without_a_spot_nothing_is_traded(spot):
    with np.errstate(all="ignore"):
        assert only(condors(spot=spot))["rule"] is not None


def test_the_wing_after_a_split_is_the_listed_strike_nearest_to_the_wanted_one():
    # AAPL's strikes of June 2014 were sevenths of round ones, rounded to the cent.
    quotes = [
        ("P", 85.71, 0.40, 0.41, -0.13),
        ("P", 86.43, 0.50, 0.51, -0.15),
        ("P", 87.86, 0.80, 0.81, -0.20),
        ("C", 99.29, 0.80, 0.81, 0.20),
        ("C", 100.00, 0.66, 0.67, 0.18),
        ("C", 100.71, 0.50, 0.51, 0.15),
    ]
    row = only(condors(made_chain(quotes=quotes), spot=93.70, wing_width_share_max=0.05))
    # 1.4055 below 87.86 and above 99.29 lie 86.4545 and 100.6955.
    assert row["long_put"] == symbol("P", 86.43)
    assert row["long_call"] == symbol("C", 100.71)
    assert row["width"] == pytest.approx(1.43)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [-1, float("nan"), True, "1", None])
def test_a_setting_that_is_no_amount_is_named(name, value):
    with pytest.raises(ValueError, match=f"iron_condor.{name} is"):
        rules(**{name: value})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"days_to_expiry_min": 41}, "iron_condor.days_to_expiry: 41 <= 40 <= 50"),
        ({"short_delta_target": 0.29}, "iron_condor.short_delta: 0.12 <= 0.29 <= 0.28"),
        ({"wing_width_share": 0.04}, "iron_condor.wing_width_share: 0.005 <= 0.04 <= 0.03"),
        ({"short_delta_max": 0.5}, "iron_condor.short_delta_max is 0.5"),
    ],
)
def test_settings_that_contradict_each_other_are_named(changes, said):
    with pytest.raises(ValueError, match=said):
        rules(**changes)


STRUCTURE = Structure(
    id=1,
    strategy="iron_condor",
    underlying="SPY",
    state=StructureState.OPEN,
    quantity=2,
    entry_price=Decimal("-4.00"),
    realized_usd=Decimal(0),
    legs=(
        Leg(symbol=symbol("P", 560), side=Side.BUY, ratio=1),
        Leg(symbol=symbol("P", 570), side=Side.SELL, ratio=1),
        Leg(symbol=symbol("C", 630), side=Side.SELL, ratio=1),
        Leg(symbol=symbol("C", 640), side=Side.BUY, ratio=1),
    ),
)
#: Buying it back: shorts at asks, longs at bids.
DEBIT_NATURAL, DEBIT_MID = 3.05 + 3.25 - 1.45 - 1.45, 3.00 + 3.20 - 1.50 - 1.50


def view(chain=None, now=NOW, structure=STRUCTURE, **changes):
    return exit_view(structure, made_chain() if chain is None else chain, now, rules(**changes))


def with_credit(credit):
    return Structure(
        **{name: getattr(STRUCTURE, name) for name in STRUCTURE.__slots__}
        | {"entry_price": -Decimal(credit)}
    )


def test_a_condor_that_has_earned_little_is_held():
    found = view()
    assert (found.rule, found.is_exit) == (Exit.HOLD, False)
    assert found.debit_natural == pytest.approx(DEBIT_NATURAL)
    assert found.debit_mid == pytest.approx(DEBIT_MID)
    assert found.value == pytest.approx(1 - DEBIT_NATURAL / 4)
    assert found.threshold == 0.5


def test_a_condor_that_has_earned_half_its_credit_is_closed():
    found = view(structure=with_credit("6.81"))
    assert (found.rule, found.is_exit) == (Exit.PROFIT, True)
    assert found.value == pytest.approx(1 - DEBIT_NATURAL / 6.81)
    assert view(structure=with_credit("6.79")).rule is Exit.HOLD
    assert view(profit_share_exit=view().value).rule is Exit.PROFIT  # just that share is enough


def test_a_condor_that_costs_twice_its_credit_is_closed():
    found = view(structure=with_credit("1.59"))
    assert (found.rule, found.is_exit) == (Exit.LOSS, True)
    assert found.value == pytest.approx(DEBIT_MID / 1.59)
    assert found.threshold == 2
    assert view(structure=with_credit("1.61")).rule is Exit.HOLD


def flagged(chain, contract, flag="wide"):
    return chain.assign(flag=chain["flag"].where(chain["symbol"] != contract, flag))


@pytest.mark.parametrize("leg", [symbol("P", 570), symbol("C", 630)])
def test_the_middle_of_a_wide_quote_is_no_loss(leg):
    chain = flagged(made_chain(), leg)
    found = view(chain, structure=with_credit("1.59"))
    assert (found.rule, found.is_exit) == (Exit.HOLD, False)
    # What would cost so much to close is closed all the same when its time is up, or by what the
    # broker's own prices earn.
    assert view(chain, days_to_expiry_exit=60).rule is Exit.DAYS_TO_EXPIRY
    assert view(chain, structure=with_credit("6.81")).rule is Exit.PROFIT


def test_a_wide_quote_of_what_is_owned_hides_no_loss():
    chain = flagged(made_chain(), symbol("P", 560))
    assert view(chain, structure=with_credit("1.59")).rule is Exit.LOSS


@pytest.mark.parametrize("flag", ["wide", "stale"])
def test_a_contract_with_greeks_that_are_doubted_is_no_leg(flag):
    legs = chain_to_condors(made_chain(), 600.0, NOW, rules(), 0).iloc[0]
    for name in ("short_put", "short_call", "long_put", "long_call"):
        doubted = flagged(made_chain(), legs[name], flag)
        found = chain_to_condors(doubted, 600.0, NOW, rules(), 0).iloc[0]
        assert legs[name] not in found.to_numpy()


def test_a_condor_near_its_expiry_is_closed_whatever_it_earned():
    now = datetime(2026, 12, 23, 16, tzinfo=UTC)
    chain = made_chain(quoted_at=pd.Timestamp(now))
    found = view(chain, now)
    assert (found.rule, found.is_exit, found.value, found.threshold) == (
        Exit.DAYS_TO_EXPIRY, True, 7, 7,
    )  # fmt: skip
    day_before = now - timedelta(days=1)
    assert view(made_chain(quoted_at=pd.Timestamp(day_before)), day_before).rule is Exit.HOLD


def changed(**columns):
    chain = made_chain()
    for column, value in columns.items():
        chain.loc[chain["symbol"] == symbol("P", 560), column] = value
    return chain


@pytest.mark.parametrize(
    "chain",
    [
        made_chain(quotes=QUOTES[1:]),  # the leg is not listed any more
        made_chain().iloc[:0],
        changed(ask=np.nan),
        changed(bid=np.nan, ask=np.nan),
        changed(quoted_at=pd.NaT),
        changed(quoted_at=pd.Timestamp(NOW) - pd.Timedelta(seconds=1801)),
        changed(bid=1.56),  # crossed
    ],
    ids=["gone", "empty", "no ask", "no quote", "no time", "old", "crossed"],
)
def test_a_condor_with_a_leg_that_has_no_sound_quote_is_kept(chain):
    # Even when every other reason to close it stands.
    found = view(chain, structure=with_credit("0.10"), days_to_expiry_exit=60)
    assert (found.rule, found.is_exit) == (Exit.UNPRICED, False)


def test_a_worthless_wing_counts_as_nothing_and_is_left_to_expire():
    # The winning condor: nobody bids for its wings, and it must still be closed.
    found = view(changed(bid=np.nan), days_to_expiry_exit=60)
    assert (found.rule, found.is_exit) == (Exit.DAYS_TO_EXPIRY, True)
    assert found.debit_natural == pytest.approx(DEBIT_NATURAL + 1.45)
    assert {leg.symbol for leg in found.legs} == {
        symbol("P", 570),
        symbol("C", 630),
        symbol("C", 640),
    }
    assert found.legs[0] == STRUCTURE.legs[1].reversed()


def test_a_structure_that_brought_no_credit_is_closed_by_the_calendar_alone():
    assert view(structure=with_credit("0")).rule is Exit.HOLD
    assert view(structure=with_credit("-1")).rule is Exit.HOLD
    assert view(structure=with_credit("0"), days_to_expiry_exit=60).is_exit


def test_shorts_that_cross_are_turned_down_because_both_sides_can_lose():
    quotes = [
        ("C", 590.0, 3.15, 3.25, 0.20),
        ("C", 600.0, 1.45, 1.55, 0.12),
        ("P", 610.0, 1.45, 1.55, -0.12),
        ("P", 620.0, 2.95, 3.05, -0.20),
    ]
    row = only(condors(made_chain(quotes=quotes)))
    assert (row["rule"], row["value"], row["threshold"]) == (Rule.SHORTS_CROSS, 620.0, 590.0)


def test_ratios_count_in_the_price_of_closing():
    legs = (
        Leg(symbol=symbol("P", 560), side=Side.BUY, ratio=2),
        Leg(symbol=symbol("P", 570), side=Side.SELL, ratio=1),
    )
    structure = Structure(
        **{name: getattr(STRUCTURE, name) for name in STRUCTURE.__slots__} | {"legs": legs}
    )
    assert view(structure=structure).debit_natural == pytest.approx(3.05 - 2 * 1.45)


def test_the_chain_that_was_given_is_left_as_it_was():
    chain = made_chain()
    before = chain.copy(deep=True)
    condors(chain)
    view(chain)
    pd.testing.assert_frame_equal(chain, before)
