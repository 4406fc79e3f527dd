"""Which quotes are traded on, and the limits of a walk from the mid towards the natural price."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.execution import (
    Gate,
    Price,
    Rules,
    gate,
    limit_at,
    on_tick,
    package_price,
)
from domain.orders import Leg, Purpose, Side
from domain.records import Quote

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
RULES = Rules(
    quote_age_s_max=60,
    width_share_max=0.25,
    attempts=4,
    attempt_s=15,
    deadline_s=90,
    edge_share_max=1,
)
SHORT, LONG = "AAPL261218P00215000", "AAPL261218P00210000"
LEGS = (
    Leg(symbol=LONG, side=Side.BUY, ratio=1),
    Leg(symbol=SHORT, side=Side.SELL, ratio=1),
)


def quote(bid, ask, age_s=0):
    bid, ask = (None if side is None else Decimal(side) for side in (bid, ask))
    return Quote(bid=bid, ask=ask, quoted_at=NOW - timedelta(seconds=age_s))


#: Sells at 2.00 to 2.20 and buys at 1.00 to 1.10: mid -1.05, natural -0.90, traded 3.15.
QUOTES = {LONG: quote("1.00", "1.10"), SHORT: quote("2.00", "2.20")}


def closed(changes=None, purpose=Purpose.OPEN, rules=RULES, legs=LEGS):
    return gate(legs, QUOTES | (changes or {}), purpose, NOW, rules)


def test_sound_quotes_are_traded_on():
    assert closed() is None
    assert closed(purpose=Purpose.CLOSE) is None


#: What is wrong with a quote of a leg -> why its package is not traded on.
WRONG = {
    "nobody offers it": (quote("2.00", None), Gate.NO_QUOTE),
    "nobody stands on either side": (quote(None, None), Gate.NO_QUOTE),
    "its moment is not known": (replace(quote("2.00", "2.20"), quoted_at=None), Gate.NO_QUOTE),
    "it is older than the limit": (quote("2.00", "2.20", 60.001), Gate.STALE),
    "it is bid above its offer": (quote("2.21", "2.20"), Gate.CROSSED),
}


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("symbol", QUOTES)
@pytest.mark.parametrize("what", WRONG)
def test_a_package_is_not_traded_when_one_leg(what, symbol, purpose):
    found, reason = WRONG[what]
    assert closed({symbol: found}, purpose) is reason


@pytest.mark.parametrize("purpose", Purpose)
def test_a_leg_that_the_broker_has_no_quote_of_is_not_traded(purpose):
    for symbol in QUOTES:
        others = {name: known for name, known in QUOTES.items() if name != symbol}
        assert gate(LEGS, others, purpose, NOW, RULES) is Gate.NO_QUOTE


def test_a_quote_just_as_old_as_allowed_and_a_locked_one_are_traded_on():
    assert closed({SHORT: quote("2.00", "2.20", 60)}) is None
    assert closed({SHORT: quote("2.10", "2.10")}) is None


@pytest.mark.parametrize("symbol", QUOTES)
def test_a_leg_that_nobody_bids_for_holds_up_an_entry_and_no_exit(symbol):
    assert closed({symbol: quote(None, "0.05")}) is Gate.ZERO_BID
    assert closed({symbol: quote(None, "0.05")}, Purpose.CLOSE) is None


def test_an_entry_whose_crossing_costs_too_much_of_what_is_traded_is_held_up_and_no_exit():
    share = 0.15 / 3.15  # what mid to natural costs, of what both legs trade for
    assert closed(rules=replace(RULES, width_share_max=share + 1e-9)) is None
    narrow = replace(RULES, width_share_max=share - 1e-9)
    assert closed(rules=narrow) is Gate.WIDE
    assert closed(rules=narrow, purpose=Purpose.CLOSE) is None


def test_a_package_is_worth_its_mids_and_trades_at_asks_paid_and_bids_received():
    assert package_price(LEGS, QUOTES) == Price(
        mid=Decimal("-1.05"), natural=Decimal("-0.90"), gross=Decimal("3.15")
    )
    away = [leg.reversed() for leg in LEGS]
    assert package_price(away, QUOTES) == Price(
        mid=Decimal("1.05"), natural=Decimal("1.20"), gross=Decimal("3.15")
    )


def test_ratios_count_and_a_bid_that_is_missing_counts_as_nothing():
    legs = [replace(LEGS[0], ratio=2), LEGS[1]]
    quotes = QUOTES | {SHORT: quote(None, "0.10")}
    assert package_price(legs, quotes) == Price(
        mid=Decimal("2.05"), natural=Decimal("2.20"), gross=Decimal("2.15")
    )


PRICE = package_price(LEGS, QUOTES)


def walk(rules=RULES, price=PRICE, worst=Decimal("-0.90")):
    return [limit_at(n, LEGS, price, worst, rules) for n in range(1, rules.attempts + 1)]


def test_a_walk_begins_at_the_mid_and_ends_at_the_natural_price_in_equal_steps():
    assert walk() == [Decimal(x) for x in ("-1.05", "-1.00", "-0.95", "-0.90")]


@pytest.mark.parametrize("attempts", range(1, 21))
@pytest.mark.parametrize("edge", [0, 0.1, 0.33, 0.5, 1])
@pytest.mark.parametrize("worst", ["-0.90", "-0.97", "-1.20", "0.50"])
def test_no_step_of_a_walk_goes_back_or_beyond_its_budget_or_is_worse_than_decided(
    attempts, edge, worst
):
    rules = replace(RULES, attempts=attempts, edge_share_max=edge)
    limits = walk(rules, worst=Decimal(worst))
    assert limits == sorted(limits)
    budget = PRICE.mid + Decimal(str(edge)) * (PRICE.natural - PRICE.mid)
    assert all(limit <= Decimal(worst) for limit in limits)
    assert all(limit < budget + Decimal("0.01") for limit in limits)  # the next cent at most


def test_half_the_edge_ends_the_walk_half_way():
    limits = walk(replace(RULES, edge_share_max=0.5))
    assert (limits[0], limits[-1]) == (Decimal("-1.05"), Decimal("-0.97"))  # -0.975, to a cent


def test_one_attempt_alone_goes_as_far_as_the_budget_at_once():
    assert walk(replace(RULES, attempts=1)) == [Decimal("-0.90")]
    assert walk(replace(RULES, attempts=1, edge_share_max=0)) == [Decimal("-1.05")]


def test_quotes_that_moved_away_never_make_a_price_worse_than_was_decided():
    moved = Price(mid=Decimal("-0.50"), natural=Decimal("-0.30"), gross=Decimal(3))
    assert walk(price=moved) == [Decimal("-0.90")] * 4


ONE = (Leg(symbol=SHORT, side=Side.SELL, ratio=1),)
SPY = (Leg(symbol="SPY261218P00570000", side=Side.SELL, ratio=1),)


@pytest.mark.parametrize(
    ("legs", "price", "limit"),
    [
        (LEGS, "-3.0000", "-3.00"),
        (LEGS, "2.991", "3.00"),
        (LEGS, "-2.999", "-2.99"),  # of a credit it takes less
        (LEGS, "-0.0049", "0"),
        (ONE, "1.01", "1.05"),  # one contract alone has the increment of its class
        (ONE, "-1.01", "-1.00"),
        (ONE, "-2.99", "-2.95"),
        (ONE, "3.01", "3.10"),
        (ONE, "-3.01", "-3.00"),
        (SPY, "1.011", "1.02"),  # of these every contract trades in cents at every price
        (SPY, "-7.019", "-7.01"),
        ([replace(SPY[0], symbol="IWM261218C00230000")], "3.0101", "3.02"),
        ([replace(SPY[0], symbol="QQQ261218C00630000")], "9.99", "9.99"),
    ],
)
def test_a_limit_is_the_next_price_towards_trading_that_the_exchange_takes(legs, price, limit):
    assert on_tick(legs, Decimal(price)) == Decimal(limit)


@pytest.mark.parametrize("price", ["-0.004", "-0.0", "0.0", "0"])
def test_a_limit_of_nothing_has_no_sign(price):
    assert not on_tick(LEGS, Decimal(price)).is_signed()
    assert not on_tick(ONE, Decimal(price)).is_signed()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quote_age_s_max", 0),
        ("width_share_max", -0.1),
        ("attempt_s", float("nan")),
        ("deadline_s", 0),
        ("attempts", 0),
        ("attempts", 21),
        ("edge_share_max", -0.01),
        ("edge_share_max", 1.01),
        ("edge_share_max", float("nan")),
    ],
)
def test_a_rule_that_makes_no_sense_is_named(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        replace(RULES, **{name: value})
