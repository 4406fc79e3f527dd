"""Intents: their moves, their legs in the broker's words."""

from decimal import Decimal

import pytest

from domain.orders import LIVE, MOVES, IntentState, Leg, Purpose, Side, lowest_terms, to_limit

ENDS = {
    IntentState.FILLED,
    IntentState.CANCELED,
    IntentState.REFUSED,
    IntentState.NOT_SENT,
}


def test_an_intent_never_comes_back_to_a_state_it_left():
    order = list(IntentState)
    for state, targets in MOVES.items():
        assert targets
        # Down the list only: then no chain of moves can be a circle.
        assert all(order.index(target) > order.index(state) for target in targets)


def test_what_has_ended_stays_as_it_is_and_everything_else_can_end():
    assert set(IntentState) - MOVES.keys() == ENDS
    for state in MOVES:
        reached, new = set(), {state}
        while new:
            reached |= new
            new = {t for s in new for t in MOVES.get(s, ())} - reached
        assert reached & ENDS


def test_an_order_that_left_is_never_called_not_sent_and_one_that_did_not_is_never_live():
    for state in LIVE:
        assert IntentState.NOT_SENT not in MOVES[state]
        assert IntentState.PLANNED not in MOVES[state]
    assert set(LIVE) == set(MOVES) - {IntentState.PLANNED}
    # A working order exists: no later answer may say the broker refused it.
    assert IntentState.REFUSED not in MOVES[IntentState.WORKING]


@pytest.mark.parametrize(
    ("side", "purpose", "word"),
    [
        (Side.BUY, Purpose.OPEN, "buy_to_open"),
        (Side.SELL, Purpose.OPEN, "sell_to_open"),
        (Side.BUY, Purpose.CLOSE, "buy_to_close"),
        (Side.SELL, Purpose.CLOSE, "sell_to_close"),
    ],
)
def test_a_leg_says_its_intent_in_the_brokers_words(side, purpose, word):
    leg = Leg(symbol="SPY261218P00600000", side=side, ratio=1)
    assert leg.position_intent(purpose) == word


def test_a_reversed_leg_gives_back_what_the_leg_took():
    leg = Leg(symbol="SPY261218P00600000", side=Side.SELL, ratio=3)
    assert leg.reversed() == Leg(symbol=leg.symbol, side=Side.BUY, ratio=3)
    assert leg.reversed().reversed() == leg


def test_lowest_terms_move_the_common_factor_into_the_units():
    legs = [
        Leg(symbol="SPY261218P00600000", side=Side.SELL, ratio=4),
        Leg(symbol="SPY261218P00590000", side=Side.BUY, ratio=6),
    ]
    reduced, quantity = lowest_terms(legs, 5)
    assert [leg.ratio for leg in reduced] == [2, 3]
    assert quantity == 10


@pytest.mark.parametrize(
    ("price", "limit"),
    [(-3.0000000000000004, "-3.00"), (2.999999999, "3.00"), (2.991, "3.00"), (-2.999, "-2.99")],
)
def test_a_limit_is_rounded_towards_trading_and_not_by_binary_noise(price, limit):
    assert to_limit(price) == Decimal(limit)


@pytest.mark.parametrize("price", [-0.004, -0.0, 0.0, -1e-9])
def test_a_limit_of_nothing_has_no_sign(price):
    assert str(to_limit(price)) == "0.00"
