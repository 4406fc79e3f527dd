"""Limits by name, exposure by hand, and the worst that well-known positions can lose."""

from decimal import Decimal

import pytest

from domain.orders import Leg, OrderIntent, Purpose, Side
from domain.records import Position
from domain.risk import (
    UNKNOWN_EXPOSURE,
    UNLIMITED,
    Book,
    Check,
    Exposure,
    Greek,
    Limits,
    exposure,
    intent_exposure,
    largest_quantity,
    package,
    verdicts,
    worst_losses,
)

SETTINGS = {
    "position_contracts_max": 10,
    "single_trade_loss_share_max": Decimal("0.02"),
    "option_allocation_share_max": Decimal("0.30"),
    "concentration_share_max": Decimal("0.10"),
    "delta_usd_max": Decimal(50_000),
    "gamma_usd_max": Decimal(40_000),
    "theta_usd_max": Decimal(1_000),
    "daily_loss_usd_max": Decimal(2_000),
    "orders_per_minute_max": 3,
    "same_legs_minutes_min": 20,
    "price_collar_share_max": Decimal("0.25"),
}
LIMITS = Limits(**SETTINGS)
PUT, CALL = "SPY261218P00570000", "SPY261218C00630000"


#: With a limit of -3.00: the mid is -4.00, and the legs trade for 4.00 together.
MIDS = {PUT: Decimal("4.00"), CALL: Decimal(0)}


def intent(purpose=Purpose.OPEN, quantity=5, loss="2000", ratio=1, limit="-3.00"):
    return OrderIntent(
        client_order_id="one",
        strategy="iron_condor",
        underlying="SPY",
        purpose=purpose,
        legs=(
            Leg(symbol=PUT, side=Side.SELL, ratio=1),
            Leg(symbol=CALL, side=Side.BUY, ratio=ratio),
        ),
        quantity=quantity,
        limit_price=Decimal(limit),
        loss_usd_worst=Decimal(loss),
    )


BOOK = {
    "is_halted": False,
    "equity": Decimal(100_000),
    "options_buying_power": Decimal(2_000),
    "day_profit_usd": Decimal(-2_000),
    "loss_usd_worst": {"SPY": Decimal(8_000), "QQQ": Decimal(20_000)},
    "exposure": Exposure(delta_usd=-40_000, gamma_usd=30_000, theta_usd=900),
    "unsettled_orders": {"QQQ": 2, "SPY": 0},
    "orders_last_minute": 2,
    "recent_packages": frozenset({package([Leg(symbol=PUT, side=Side.SELL, ratio=1)])}),
}
#: Takes every exposure to its limit exactly.
ADDED = Exposure(delta_usd=-10_000, gamma_usd=-70_000, theta_usd=100)


def denied(book=None, added=ADDED, mids=MIDS, **changes):
    found = verdicts(intent(**changes), Book(**BOOK | (book or {})), LIMITS, added, mids)
    assert [verdict.check for verdict in found] == list(Check)
    return {verdict.check for verdict in found if not verdict.passed}


def test_an_order_at_every_limit_exactly_passes():
    assert denied() == set()


@pytest.mark.parametrize(
    ("book", "changes", "check"),
    [
        ({"is_halted": True}, {}, Check.HALT),
        ({"day_profit_usd": Decimal("-2000.01")}, {}, Check.DAILY_LOSS),
        ({}, {"quantity": 11}, Check.POSITION_SIZE),
        ({}, {"quantity": 4, "ratio": 3}, Check.POSITION_SIZE),
        ({"options_buying_power": Decimal("1999.99")}, {}, Check.BUYING_POWER),
        (
            {"options_buying_power": Decimal(9_999), "loss_usd_worst": {}},
            {"loss": "2000.01"},
            Check.SINGLE_TRADE_LOSS,
        ),
        (
            {"loss_usd_worst": {"SPY": Decimal(8_000), "QQQ": Decimal("20000.01")}},
            {},
            Check.OPTION_ALLOCATION,
        ),
        ({"loss_usd_worst": {"SPY": Decimal("8000.01")}}, {}, Check.CONCENTRATION),
        ({}, {"added": Exposure(delta_usd=-10_001)}, Check.PORTFOLIO_DELTA),
        ({}, {"added": Exposure(delta_usd=90_001)}, Check.PORTFOLIO_DELTA),
        ({}, {"added": Exposure(gamma_usd=10_001)}, Check.PORTFOLIO_GAMMA),
        ({}, {"added": Exposure(gamma_usd=-70_001)}, Check.PORTFOLIO_GAMMA),
        ({}, {"added": Exposure(theta_usd=101)}, Check.PORTFOLIO_THETA),
        ({}, {"added": Exposure(theta_usd=-1_901)}, Check.PORTFOLIO_THETA),
        ({"unsettled_orders": {"SPY": 1}}, {}, Check.UNSETTLED_ORDER),
        ({"recent_packages": frozenset({package(intent().legs)})}, {}, Check.SAME_LEGS),
        ({"orders_last_minute": 3}, {}, Check.ORDER_RATE),
        ({}, {"limit": "-2.99"}, Check.PRICE_COLLAR),
        ({}, {"mids": MIDS | {PUT: Decimal("4.01")}}, Check.PRICE_COLLAR),
    ],
)
def test_one_broken_limit_denies_the_order_by_its_own_name_and_no_other(book, changes, check):
    assert denied(book, **changes) == {check}


def test_what_cannot_be_known_never_passes():
    exposures = {Check.PORTFOLIO_DELTA, Check.PORTFOLIO_GAMMA, Check.PORTFOLIO_THETA}
    assert denied(added=UNKNOWN_EXPOSURE) == exposures
    assert denied({"exposure": UNKNOWN_EXPOSURE}, added=Exposure()) == exposures
    assert denied({"loss_usd_worst": {"QQQ": UNLIMITED}}) == {Check.OPTION_ALLOCATION}
    both = {Check.OPTION_ALLOCATION, Check.CONCENTRATION}
    assert denied({"loss_usd_worst": {"SPY": UNLIMITED}}) == both
    assert denied(mids={PUT: Decimal("4.00")}) == {Check.PRICE_COLLAR}
    assert denied(mids=dict.fromkeys(MIDS, Decimal(0))) == {Check.PRICE_COLLAR}


def test_the_same_legs_in_another_order_size_or_price_are_the_same_package():
    one, other = intent(), intent(quantity=1, limit="-9.00")
    assert package(one.legs) == package(reversed(other.legs))
    assert package(one.legs) != package(leg.reversed() for leg in one.legs)
    assert package(one.legs) != package(intent(ratio=2).legs)


def test_an_account_without_equity_opens_nothing():
    assert Check.SINGLE_TRADE_LOSS in denied({"equity": Decimal(0)})
    assert Check.SINGLE_TRADE_LOSS in denied({"equity": Decimal(-5_000)})


def test_what_closes_risk_is_asked_nothing_even_when_halted():
    book = Book(**BOOK | {"is_halted": True, "equity": Decimal(0)})
    found = verdicts(intent(Purpose.CLOSE, quantity=99), book, LIMITS, UNKNOWN_EXPOSURE, {})
    assert found == ()


def test_a_book_counts_an_intent_from_the_moment_it_is_on_its_way():
    before = Book(**BOOK)
    after = before.with_intent(intent(), ADDED)
    assert after.loss_usd_worst == {"SPY": Decimal(10_000), "QQQ": Decimal(20_000)}
    assert after.options_buying_power == 0
    assert after.exposure == Exposure(delta_usd=-50_000, gamma_usd=-40_000, theta_usd=1_000)
    assert (after.orders_last_minute, len(after.recent_packages)) == (3, 2)
    assert package(intent().legs) in after.recent_packages
    assert after.unsettled_orders == before.unsettled_orders
    assert before == Book(**BOOK)
    first = Book(**BOOK | {"loss_usd_worst": {}}).with_intent(intent(), ADDED)
    assert first.loss_usd_worst == {"SPY": Decimal(2_000)}


def test_exposure_is_in_dollars_of_stock_of_one_percent_and_of_a_day():
    greek = Greek(spot=600.0, delta=-0.2, gamma=0.01, theta=-0.15)
    found = exposure(greek, -300)  # three short contracts
    assert found.delta_usd == pytest.approx(36_000)  # moves like 60 shares
    assert found.gamma_usd == pytest.approx(-0.01 * 6 * 300 * 600)  # a 1 % move is 6 USD
    assert found.theta_usd == pytest.approx(45)


def test_an_intents_exposure_sums_its_legs_with_their_sides_and_units():
    greeks = {
        PUT: Greek(spot=600.0, delta=-0.2, gamma=0.01, theta=-0.15),
        CALL: Greek(spot=600.0, delta=0.3, gamma=0.02, theta=-0.10),
    }
    found = intent_exposure(intent(quantity=2, ratio=3), greeks)
    assert found.delta_usd == pytest.approx((0.2 * 200 + 0.3 * 600) * 600)
    assert found.theta_usd == pytest.approx(0.15 * 200 - 0.10 * 600)
    missing = intent_exposure(intent(), {PUT: greeks[PUT]})
    assert missing.delta_usd != missing.delta_usd  # a leg without Greeks makes all unknown


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("value", [0, -1, Decimal("NaN"), 0.5, True, "1", None])
def test_a_limit_that_is_no_amount_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is "):
        Limits(**SETTINGS | {name: value})


@pytest.mark.parametrize("name", [name for name in SETTINGS if name.endswith("share_max")])
def test_a_share_above_one_is_named(name):
    with pytest.raises(ValueError, match=f"{name} is 1.01: a share of equity"):
        Limits(**SETTINGS | {name: Decimal("1.01")})


@pytest.mark.parametrize(
    ("loss", "quantity"),
    [("2000", 1), ("2000.01", 1), ("1000", 2), ("666.67", 2), ("700", 2), ("100", 10), ("0", 10)],
)
def test_an_entry_is_as_large_as_the_limits_allow_and_never_nothing(loss, quantity):
    assert largest_quantity(Decimal(loss), Decimal(100_000), LIMITS) == quantity


def position(symbol, quantity, price):
    return Position(
        symbol=symbol,
        quantity=Decimal(quantity),
        average_entry_price=Decimal(price),
        current_price=None,
        market_value=None,
    )


@pytest.mark.parametrize(
    ("held", "loss"),
    [
        ([], None),
        ([(PUT, 1, "2.50")], "250"),  # the premium
        ([(PUT, -1, "2.50")], "56750"),  # the strike less the premium, at zero
        ([(CALL, -1, "2.50")], "Infinity"),
        ([(CALL, -2, "2.50"), ("SPY261218C00640000", 1, "1.00")], "Infinity"),
        ([(CALL, -1, "2.50"), ("SPY", 100, "600")], "59750"),  # covered: the shares at zero
        ([(CALL, -1, "2.50"), ("SPY", 99, "600")], "Infinity"),
        ([("SPY", -100, "600")], "Infinity"),
        ([("SPY", 10, "600")], "6000"),
        ([("SPY", -100, "600"), ("SPY261218C00600000", 1, "5")], "500"),  # bought to cover
        (  # a condor: the wider side less the credit of 3.00
            [
                ("SPY261218P00560000", 2, "1.55"),
                (PUT, -2, "2.95"),
                (CALL, -2, "3.15"),
                ("SPY261218C00645000", 2, "1.55"),
            ],
            "2400",
        ),
        (  # bought below its floor: nothing can be lost
            [("SPY261218C00600000", 1, "1"), (CALL, -1, "2")],
            "0",
        ),
    ],
)
def test_the_worst_loss_of_a_known_position_is_the_textbooks(held, loss):
    positions = [position(*one) for one in held]
    found = worst_losses(positions, {p.symbol: "SPY" for p in positions})
    assert found == ({} if loss is None else {"SPY": Decimal(loss)})


def test_one_underlying_never_covers_another():
    positions = [position(CALL, -1, "2.50"), position("QQQ", 1000, "500")]
    found = worst_losses(positions, {CALL: "SPY", "QQQ": "QQQ"})
    assert found == {"SPY": UNLIMITED, "QQQ": Decimal(500_000)}
