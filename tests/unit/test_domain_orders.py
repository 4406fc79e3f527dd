"""Intents: their moves, their look-ups, their legs in the broker's words, what a walk leaves."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from domain.orders import (
    ENDED,
    GIVEN_UP,
    LIVE,
    LOOK_AFTER_S,
    MOVES,
    UNSETTLED,
    IntentState,
    Leg,
    OrderIntent,
    Purpose,
    Side,
    client_order_id,
    is_ours,
    lowest_terms,
    next_look_at,
)

ENDS = {
    IntentState.FILLED,
    IntentState.CANCELED,
    IntentState.EXPIRED,
    IntentState.REJECTED,
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
    for state in (*LIVE, *GIVEN_UP):
        assert IntentState.NOT_SENT not in MOVES[state]
        assert IntentState.PLANNED not in MOVES[state]
    assert set(LIVE) == set(MOVES) - {IntentState.PLANNED, *GIVEN_UP}


def test_an_order_that_exists_is_never_called_refused_or_not_received():
    for state in (IntentState.ACCEPTED, IntentState.WORKING):
        assert not MOVES[state] & {IntentState.REFUSED, IntentState.NOT_RECEIVED, *UNSETTLED}
    # Nor is one without an answer: the broker did not say no.
    assert IntentState.REFUSED not in MOVES[IntentState.UNKNOWN]


def test_whatever_may_exist_unseen_may_be_found_in_every_state_that_an_order_has():
    for state in (*UNSETTLED, *GIVEN_UP):
        assert {IntentState.ACCEPTED, IntentState.WORKING, *ENDED} <= MOVES[state]


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


LEFT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def seconds_after(seconds):
    return LEFT + timedelta(seconds=seconds)


def test_an_order_without_an_answer_is_looked_up_at_2_5_15_30_and_60_seconds_and_no_more():
    looks, moments, last = 0, [], None
    while (due := next_look_at(LEFT, last, looks)) is not None:
        moments.append((due - LEFT).total_seconds())
        looks, last = looks + 1, due
    assert moments == [2, 5, 15, 30, 60]


def test_looks_that_come_late_keep_the_pauses_of_the_schedule_and_none_is_left_out():
    """An order that the broker is slow to list is given its minute however late we ask first."""
    late = first = seconds_after(500)  # the process was away
    assert next_look_at(LEFT, None, 0) == seconds_after(2)  # due at once
    pauses = []
    for looks in range(1, len(LOOK_AFTER_S)):
        due = next_look_at(LEFT, late, looks)
        pauses.append((due - late).total_seconds())
        late = due
    assert pauses == [3, 10, 15, 30]
    assert (late - first).total_seconds() == 58
    assert next_look_at(LEFT, late, len(LOOK_AFTER_S)) is None


def test_one_look_that_comes_late_does_not_bring_the_next_one_closer():
    assert next_look_at(LEFT, seconds_after(29), 3) == seconds_after(44)  # 15 s after the third
    assert next_look_at(LEFT, seconds_after(4), 1) == seconds_after(7)


@pytest.mark.parametrize("name", ["by-hand", "904837e3-3b76-47ec-b432-046db621571b", "", "iron"])
def test_an_id_that_others_made_is_not_taken_for_ours(name):
    assert not is_ours(name)


def test_an_id_of_ours_is_known_as_such():
    for strategy in ("iron_condor", "a", "a_strategy_with_a_long_name"):
        for closes in (None, "first"):
            name = client_order_id("PA123", strategy, LEFT, closes, an_intent().legs, 3)
            assert is_ours(name)


def an_intent(quantity=5, loss="1000.01"):
    return OrderIntent(
        client_order_id="first",
        strategy="iron_condor",
        underlying="SPY",
        purpose=Purpose.OPEN,
        legs=(Leg(symbol="SPY261218P00600000", side=Side.SELL, ratio=1),),
        quantity=quantity,
        limit_price=Decimal("-1.05"),
        loss_usd_worst=Decimal(loss),
    )


def test_the_next_attempt_asks_for_what_is_left_and_can_lose_its_share_rounded_up():
    rest = an_intent().rest("second", 2)
    assert (rest.client_order_id, rest.attempt, rest.quantity) == ("second", 2, 3)
    assert rest.loss_usd_worst == Decimal("600.01")  # 600.006
    assert (rest.legs, rest.limit_price, rest.purpose) == (
        an_intent().legs,
        Decimal("-1.05"),
        Purpose.OPEN,
    )
    last = rest.rest("third", 1)
    assert (last.attempt, last.quantity) == (3, 2)


def test_the_first_attempt_has_the_id_of_the_decision_and_each_further_one_its_own():
    decision = ("PA123", "iron_condor", LEFT, None, an_intent().legs)
    ids = [client_order_id(*decision, attempt) for attempt in range(1, 21)]
    assert ids[0] == client_order_id(*decision)
    assert len(set(ids)) == 20
    assert ids == [client_order_id(*decision, attempt) for attempt in range(1, 21)]


def test_exits_of_two_structures_with_the_same_legs_have_two_ids_that_say_close():
    legs = [leg.reversed() for leg in an_intent().legs]
    first, second = (
        client_order_id("PA123", "iron_condor", LEFT, opened_by, legs)
        for opened_by in ("first", "second")
    )
    assert first != second
    assert "-close-" in first
    assert "-open-" in client_order_id("PA123", "iron_condor", LEFT, None, legs)
