"""What the broker's answers make of intents and structures."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from domain.holding import Part
from domain.orders import (
    ENDED,
    GIVEN_UP,
    LIVE,
    MOVES,
    UNSETTLED,
    IntentState,
    Leg,
    Purpose,
    Side,
)
from domain.reconcile import (
    IntentMove,
    StructureUpdate,
    intent_move,
    order_state,
    structure_update,
)
from domain.records import Order
from domain.structures import Structure, StructureState

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
SHORT, LONG = "SPY261218P00570000", "SPY261218P00560000"
STRUCTURE = Structure(
    id=1,
    strategy="iron_condor",
    underlying="SPY",
    state=StructureState.OPEN,
    quantity=5,
    entry_price=Decimal("-3.00"),
    realized_usd=Decimal(0),
    legs=(
        Leg(symbol=LONG, side=Side.BUY, ratio=1),
        Leg(symbol=SHORT, side=Side.SELL, ratio=1),
    ),
)


def order(status, filled=0, price=None, quantity=5):
    return Order(
        id=UUID(int=1),
        client_order_id="one",
        parent_id=None,
        order_class="mleg",
        symbol=None,
        side=None,
        position_intent=None,
        quantity=Decimal(quantity),
        filled_quantity=Decimal(filled),
        filled_average_price=None if price is None else Decimal(price),
        limit_price=Decimal("-3.00"),
        status=status,
        submitted_at=NOW,
        updated_at=NOW,
        filled_at=None,
        legs=(),
    )


#: Every order status of Alpaca's documents, and what it means for an intent.
STATUSES = {
    "filled": IntentState.FILLED,
    "canceled": IntentState.CANCELED,
    "expired": IntentState.EXPIRED,
    "rejected": IntentState.REJECTED,
    "replaced": IntentState.CANCELED,
    "new": IntentState.WORKING,
    "partially_filled": IntentState.WORKING,
    "done_for_day": IntentState.WORKING,
    "pending_cancel": IntentState.WORKING,
    "pending_replace": IntentState.WORKING,
    "accepted": IntentState.ACCEPTED,
    "pending_new": IntentState.ACCEPTED,
    "accepted_for_bidding": IntentState.ACCEPTED,
    "stopped": IntentState.WORKING,
    "suspended": IntentState.WORKING,
    "calculated": IntentState.WORKING,
    "held": IntentState.WORKING,
    "a status of tomorrow": IntentState.WORKING,  # while it is not known to have ended it may fill
}


@pytest.mark.parametrize(("status", "state"), STATUSES.items())
def test_a_status_at_the_broker_means_one_state_of_the_intent(status, state):
    assert order_state(order(status)) is state
    # Whatever was not answered, or was given up, may become it.
    for before in (*UNSETTLED, *GIVEN_UP):
        assert state in MOVES[before]
        assert intent_move(before, 0, order(status)) == IntentMove(state=state, filled_quantity=0)


@pytest.mark.parametrize("known", IntentState)
@pytest.mark.parametrize("status", STATUSES)
def test_a_reading_moves_an_intent_forwards_or_not_at_all(known, status):
    move = intent_move(known, 0, order(status))
    assert move is None or move.state in MOVES[known]


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("status", ["new", "partially_filled", "pending_cancel", "accepted"])
def test_an_old_reading_of_an_order_that_has_ended_changes_nothing(state, status):
    assert intent_move(state, 2, order(status, 1)) is None
    assert intent_move(state, 2, order(status, 2)) is None


def test_what_was_filled_stays_filled_however_old_a_reading_is():
    late = intent_move(IntentState.WORKING, 3, order("canceled", 2))
    assert late == IntentMove(state=IntentState.CANCELED, filled_quantity=3)
    assert intent_move(IntentState.WORKING, 3, order("partially_filled", 1)) is None


@pytest.mark.parametrize("state", [*LIVE, *ENDED, *GIVEN_UP])
def test_a_fill_that_is_seen_late_counts_wherever_the_intent_stands(state):
    move = intent_move(state, 1, order("partially_filled", 4))
    assert move.filled_quantity == 4
    assert move.state in (state, IntentState.WORKING)


def test_a_reading_that_says_nothing_new_moves_nothing():
    for status, state in STATUSES.items():
        assert intent_move(state, 2, order(status, 2)) is None


# Structures


def part(purpose, state, filled=0, price=None):
    return Part(
        purpose=purpose,
        state=IntentState(state),
        filled_quantity=filled,
        price=None if price is None else Decimal(price),
    )


def entry(state, filled=0, price=None):
    return part(Purpose.OPEN, state, filled, price)


def leave(state, filled=0, price=None):
    return part(Purpose.CLOSE, state, filled, price)


@pytest.mark.parametrize("state", [IntentState.PLANNED, *LIVE])
def test_an_entry_that_may_still_fill_keeps_its_structure_opening(state):
    nothing_yet = structure_update(STRUCTURE, [entry(state)])
    assert nothing_yet == StructureUpdate(state=StructureState.OPENING, quantity=5)
    some = structure_update(STRUCTURE, [entry(state, 3, "-2.90")])
    assert some == StructureUpdate(
        state=StructureState.OPENING, quantity=3, entry_price=Decimal("-2.90")
    )


@pytest.mark.parametrize(("state", "filled"), [("filled", 5), ("canceled", 2), ("expired", 1)])
def test_an_opening_order_leaves_what_was_filled_open_at_its_price(state, filled):
    assert structure_update(STRUCTURE, [entry(state, filled, "-3.05")]) == StructureUpdate(
        state=StructureState.OPEN, quantity=filled, entry_price=Decimal("-3.05")
    )


@pytest.mark.parametrize(
    "state", ["canceled", "rejected", "expired", "refused", "not_sent", "not_received"]
)
def test_an_order_without_a_fill_leaves_nothing_opened_and_nothing_closed(state):
    failed = structure_update(STRUCTURE, [entry(state)])
    assert failed == StructureUpdate(state=StructureState.FAILED, quantity=5)
    kept = structure_update(STRUCTURE, [entry("filled", 5, "-3.00"), leave(state)])
    assert kept == structure_update(STRUCTURE, [entry("filled", 5, "-3.00")])
    assert kept.state is StructureState.OPEN


def test_attempts_that_filled_in_parts_make_one_structure_at_their_average_price():
    walk = [
        entry("canceled", 1, "-3.10"),
        entry("canceled"),
        entry("canceled", 3, "-3.05"),
        entry("filled", 1, "-3.00"),
    ]
    assert structure_update(STRUCTURE, walk) == StructureUpdate(
        state=StructureState.OPEN, quantity=5, entry_price=Decimal("-3.05")
    )
    assert structure_update(STRUCTURE, walk[:3]).quantity == 4
    thirds = [entry("canceled", 1, "-3.00"), entry("filled", 2, "-3.01")]
    assert round(structure_update(STRUCTURE, thirds).entry_price, 4) == Decimal("-3.0067")


def test_an_attempt_that_was_given_up_and_fills_later_counts_in_full():
    given_up = [entry("canceled", 2, "-3.10"), entry("not_received")]
    assert structure_update(STRUCTURE, given_up).quantity == 2
    found = [entry("canceled", 2, "-3.10"), entry("filled", 3, "-3.00")]
    assert structure_update(STRUCTURE, found) == StructureUpdate(
        state=StructureState.OPEN, quantity=5, entry_price=Decimal("-3.04")
    )
    alone = structure_update(replace(STRUCTURE, state=StructureState.FAILED), found[1:])
    assert (alone.state, alone.quantity) == (StructureState.OPEN, 3)


def test_profit_is_exact_though_an_average_price_is_none():
    parts = [entry("canceled", 1, "-3.00"), entry("filled", 2, "-3.01")]
    parts += [leave("canceled", 1, "1.20"), leave("filled", 2, "1.30")]
    closed = structure_update(STRUCTURE, parts)
    assert round(closed.entry_price, 4) == Decimal("-3.0067")
    assert round(closed.exit_price, 4) == Decimal("1.2667")
    assert closed.realized_usd == 902 - 380  # what was received less what was paid


def test_a_filled_closing_order_closes_at_its_price():
    parts = [entry("filled", 5, "-3.00"), leave("filled", 5, "1.20")]
    assert structure_update(STRUCTURE, parts) == StructureUpdate(
        state=StructureState.CLOSED,
        quantity=5,
        entry_price=Decimal("-3.00"),
        exit_price=Decimal("1.20"),
        realized_usd=Decimal(900),  # (3.00 - 1.20) x 5 x 100
    )


def test_closing_orders_that_filled_in_parts_leave_the_rest_open_and_then_close_it():
    parts = [entry("filled", 5, "-3.00"), leave("canceled", 2, "1.20")]
    rest = structure_update(STRUCTURE, parts)
    assert (rest.state, rest.quantity) == (StructureState.OPEN, 3)
    assert (rest.exit_price, rest.realized_usd) == (Decimal("1.20"), Decimal(360))
    closing = structure_update(STRUCTURE, [*parts, leave("working", 1, "1.30")])
    assert (closing.state, closing.quantity) == (StructureState.CLOSING, 2)
    assert closing.realized_usd == 360 + 170
    closed = structure_update(STRUCTURE, [*parts, leave("filled", 3, "1.30")])
    assert (closed.state, closed.quantity) == (StructureState.CLOSED, 5)
    assert (closed.exit_price, closed.realized_usd) == (Decimal("1.26"), Decimal(870))


@pytest.mark.parametrize("state", LIVE)
def test_a_closing_order_that_may_still_fill_keeps_its_structure_closing(state):
    parts = [entry("filled", 5, "-3.00"), leave(state)]
    assert structure_update(STRUCTURE, parts).state is StructureState.CLOSING


def test_a_trade_that_was_taken_back_is_not_held_whatever_its_intent_says():
    """The intent stays filled: its units never fall. The order at the broker has none any more."""
    assert structure_update(STRUCTURE, [entry("filled", 0)]).state is StructureState.FAILED
    part_left = structure_update(STRUCTURE, [entry("filled", 4, "-3.00")])
    assert (part_left.state, part_left.quantity) == (StructureState.OPEN, 4)
    exit_gone = structure_update(STRUCTURE, [entry("filled", 5, "-3.00"), leave("filled", 0)])
    assert exit_gone == structure_update(STRUCTURE, [entry("filled", 5, "-3.00")])
