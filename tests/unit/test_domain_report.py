"""The assignment report: shares and cash with the right signs, the likeliest first."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.records import Position
from domain.report import Likelihood, assignment_risks

EVENING = datetime(2026, 12, 18, 21, 5, tzinfo=UTC)  # after the close of the expiry day
WEEK_BEFORE = datetime(2026, 12, 11, 21, 5, tzinfo=UTC)
PUT, CALL = "SPY261218P00600000", "SPY261218C00600000"


def short(symbol, quantity=-2):
    return Position(
        symbol=symbol,
        quantity=Decimal(quantity),
        average_entry_price=Decimal("3.00"),
        current_price=None,
        market_value=None,
    )


def risk(symbol, spot, mid=None, now=EVENING, quantity=-2):
    spots = {} if spot is None else {"SPY": Decimal(spot)}
    mids = {} if mid is None else {symbol: Decimal(mid)}
    rows = assignment_risks([short(symbol, quantity)], spots, mids, now)
    assert len(rows) == 1
    return rows[0]


def test_an_assigned_put_brings_shares_and_takes_cash():
    found = risk(PUT, "590")
    assert (found.quantity, found.shares, found.cash_usd) == (-2, 200, Decimal(-120_000))
    assert found.moneyness == Decimal("0.0169")  # 10 of 590
    assert found.strike == 600


def test_an_assigned_call_takes_shares_and_brings_cash():
    found = risk(CALL, "610", quantity=-3)
    assert (found.quantity, found.shares, found.cash_usd) == (-3, -300, Decimal(180_000))
    assert found.moneyness == Decimal("0.0164")


@pytest.mark.parametrize(
    ("symbol", "spot", "likelihood"),
    [
        (PUT, "590", Likelihood.CERTAIN),
        (CALL, "610", Likelihood.CERTAIN),
        (PUT, "610", Likelihood.UNLIKELY),
        (CALL, "590", Likelihood.UNLIKELY),
        (PUT, "600", Likelihood.PIN),
        (CALL, "600", Likelihood.PIN),
        (PUT, "601.50", Likelihood.PIN),  # out of the money, but news may come
        (PUT, "601.51", Likelihood.UNLIKELY),  # a quarter of a percent of spot is 1.503...
        (PUT, "598.51", Likelihood.PIN),
        (PUT, "598.50", Likelihood.CERTAIN),
        (PUT, None, Likelihood.UNKNOWN),
    ],
)
def test_on_the_evening_of_expiry_the_close_decides(symbol, spot, likelihood):
    assert risk(symbol, spot).likelihood is likelihood


@pytest.mark.parametrize(
    ("symbol", "spot", "mid", "likelihood"),
    [
        (PUT, "590", "10.05", Likelihood.LIKELY),
        (PUT, "590", "9.90", Likelihood.LIKELY),  # below intrinsic value: worth exercising
        (PUT, "590", "10.06", Likelihood.POSSIBLE),
        (CALL, "610", "10.05", Likelihood.LIKELY),
        (CALL, "610", "10.06", Likelihood.POSSIBLE),
        (PUT, "590", None, Likelihood.UNKNOWN),
        (PUT, "610", None, Likelihood.UNLIKELY),  # out of the money no quote is needed
        (PUT, "600", "0.01", Likelihood.UNLIKELY),
        (PUT, None, "10.05", Likelihood.UNKNOWN),
    ],
)
def test_before_expiry_what_exercise_throws_away_decides(symbol, spot, mid, likelihood):
    found = risk(symbol, spot, mid, WEEK_BEFORE)
    assert found.likelihood is likelihood
    assert found.days_to_expiry == 7
    known = spot is not None and mid is not None
    assert (found.extrinsic is not None) == known
    assert (found.moneyness is None) == (spot is None)


def test_extrinsic_value_is_the_mid_less_what_exercise_brings():
    assert risk(PUT, "590", "12.34", WEEK_BEFORE).extrinsic == Decimal("2.34")
    assert risk(PUT, "610", "2.34", WEEK_BEFORE).extrinsic == Decimal("2.34")


def test_only_short_options_can_be_assigned():
    held = [short("SPY", -100), short(PUT, 2), short("AAPL", 100)]
    assert assignment_risks(held, {"SPY": Decimal(590)}, {}, EVENING) == []


def test_the_likeliest_stand_first_and_of_equals_the_soonest():
    symbols = {
        "SPY261218P00590000": Likelihood.UNLIKELY,
        "SPY270115P00640000": Likelihood.POSSIBLE,
        "XYZ261218P00010000": Likelihood.UNKNOWN,
        "SPY270115P00650000": Likelihood.LIKELY,
        "SPY261218P00601000": Likelihood.PIN,
        "SPY261218P00620000": Likelihood.CERTAIN,
        "SPY261218C00580000": Likelihood.CERTAIN,
        "SPY270115P00590000": Likelihood.UNLIKELY,
    }
    mids = {"SPY270115P00650000": Decimal("50.01"), "SPY270115P00640000": Decimal(42)}
    positions = [short(symbol) for symbol in symbols]
    found = assignment_risks(positions, {"SPY": Decimal(600)}, mids, EVENING)
    assert {row.symbol: row.likelihood for row in found} == symbols
    assert [row.symbol for row in found] == [
        "SPY261218C00580000",
        "SPY261218P00620000",
        "SPY261218P00601000",
        "SPY270115P00650000",
        "XYZ261218P00010000",
        "SPY270115P00640000",
        "SPY261218P00590000",
        "SPY270115P00590000",
    ]
    assert list(Likelihood) == sorted(set(symbols.values()), key=list(Likelihood).index)


def test_a_saturday_expiration_is_settled_on_its_friday():
    friday = datetime(2014, 6, 20, 20, 5, tzinfo=UTC)
    rows = assignment_risks([short("AAPL140621P00100000")], {"AAPL": Decimal("90.91")}, {}, friday)
    assert rows[0].days_to_expiry == 0
    assert rows[0].likelihood is Likelihood.CERTAIN
