"""What the broker's answers make of intents and structures."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from domain.candidates import Candidate, loss_usd_one
from domain.orders import MOVES, IntentState, Leg, Purpose, Side
from domain.reconcile import (
    StructureUpdate,
    intent_update,
    settled_structure,
    structure_update,
    without_order,
)
from domain.records import Activity, Order, Position
from domain.structures import ALIVE, Structure, StructureState, realized_usd

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
    "expired": IntentState.CANCELED,
    "rejected": IntentState.CANCELED,
    "replaced": IntentState.CANCELED,
    "new": IntentState.WORKING,
    "partially_filled": IntentState.WORKING,
    "done_for_day": IntentState.WORKING,
    "pending_cancel": IntentState.WORKING,
    "pending_replace": IntentState.WORKING,
    "accepted": IntentState.WORKING,
    "pending_new": IntentState.WORKING,
    "accepted_for_bidding": IntentState.WORKING,
    "stopped": IntentState.WORKING,
    "suspended": IntentState.WORKING,
    "calculated": IntentState.WORKING,
    "held": IntentState.WORKING,
    "a status of tomorrow": IntentState.WORKING,  # while it is not known to have ended it may fill
}


@pytest.mark.parametrize(("status", "state"), STATUSES.items())
def test_a_status_at_the_broker_means_one_state_of_the_intent(status, state):
    update = intent_update(order(status))
    assert update.state is state
    assert update.order.status == status
    # Whatever was not answered may become it.
    assert state in MOVES[IntentState.SENDING]
    assert state in MOVES[IntentState.UNKNOWN]


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize(("status", "filled"), [("new", 0), ("partially_filled", 3)])
def test_a_working_order_changes_no_structure_yet(purpose, status, filled):
    update = intent_update(order(status, filled, "-2.9"))
    assert structure_update(STRUCTURE, purpose, update) is None


@pytest.mark.parametrize(("status", "filled"), [("filled", 5), ("canceled", 2), ("expired", 1)])
def test_an_opening_order_leaves_what_was_filled_open_at_its_price(status, filled):
    update = intent_update(order(status, filled, "-3.05"))
    assert structure_update(STRUCTURE, Purpose.OPEN, update) == StructureUpdate(
        state=StructureState.OPEN, quantity=filled, entry_price=Decimal("-3.05")
    )


@pytest.mark.parametrize("status", ["canceled", "rejected", "expired"])
def test_an_order_without_a_fill_leaves_nothing_opened_and_nothing_closed(status):
    update = intent_update(order(status))
    failed = structure_update(STRUCTURE, Purpose.OPEN, update)
    assert failed == StructureUpdate(state=StructureState.FAILED) == without_order(Purpose.OPEN)
    kept = structure_update(STRUCTURE, Purpose.CLOSE, update)
    assert kept.state is StructureState.OPEN is without_order(Purpose.CLOSE).state
    assert kept.quantity in (None, STRUCTURE.quantity)
    assert (kept.exit_price, kept.realized_usd) == (None, None)


def test_a_filled_closing_order_closes_at_its_price():
    update = intent_update(order("filled", 5, "1.20"))
    assert structure_update(STRUCTURE, Purpose.CLOSE, update) == StructureUpdate(
        state=StructureState.CLOSED,
        exit_price=Decimal("1.20"),
        realized_usd=Decimal(900),  # (3.00 - 1.20) x 5 x 100
    )


def test_a_closing_order_that_ended_with_a_part_leaves_the_rest_open():
    update = intent_update(order("canceled", 2, "1.20"))
    found = structure_update(STRUCTURE, Purpose.CLOSE, update)
    assert (found.state, found.quantity) == (StructureState.OPEN, 3)
    assert found.entry_price is None  # unchanged


@pytest.mark.parametrize(
    ("entry", "leave", "quantity", "earned"),
    [
        ("-3.00", "1.20", 5, "900"),  # sold at 3.00, bought back at 1.20
        ("-3.00", "6.50", 2, "-700"),
        ("-3.00", "0", 4, "1200"),  # expired worthless: the credit is kept
        ("2.50", "-4.00", 1, "150"),  # bought at 2.50, sold at 4.00
        ("2.50", "0", 3, "-750"),
        ("2.50", "-2.50", 7, "0"),
    ],
)
def test_a_round_trip_earned_what_was_received_less_what_was_paid(entry, leave, quantity, earned):
    found = realized_usd(Decimal(entry), Decimal(leave), Decimal(quantity))
    assert found == Decimal(earned)


def test_a_credit_is_what_was_received():
    assert STRUCTURE.credit == Decimal("3.00")
    assert replace(STRUCTURE, entry_price=Decimal("2.50")).credit == Decimal("-2.50")


def activity(kind, symbol):
    return Activity(
        activity_type=kind,
        id="1",
        day=date(2026, 12, 18),
        symbol=symbol,
        quantity=Decimal(5),
        price=None,
        net_amount=Decimal(0),
        status="executed",
        description=None,
    )


def held(*symbols):
    return {
        symbol: Position(
            symbol=symbol,
            quantity=Decimal(1),
            average_entry_price=Decimal(1),
            current_price=None,
            market_value=None,
        )
        for symbol in symbols
    }


EXPIRED = [activity("OPEXP", SHORT), activity("OPEXP", LONG)]


def test_a_structure_that_expired_worthless_keeps_its_credit():
    assert settled_structure(STRUCTURE, {}, EXPIRED) == StructureUpdate(
        state=StructureState.EXPIRED, exit_price=Decimal(0), realized_usd=Decimal(1500)
    )


@pytest.mark.parametrize("kind", ["OPASN", "OPEXC"])
def test_one_assigned_leg_makes_the_structure_assigned_and_its_profit_unsaid(kind):
    found = settled_structure(STRUCTURE, {}, [activity("OPEXP", LONG), activity(kind, SHORT)])
    assert found == StructureUpdate(state=StructureState.ASSIGNED)


@pytest.mark.parametrize(
    ("structure", "positions", "activities"),
    [
        (STRUCTURE, held(LONG), EXPIRED),  # a leg is still held
        (STRUCTURE, held(LONG, SHORT), EXPIRED),
        (STRUCTURE, {}, []),  # gone, but nobody says why
        (STRUCTURE, {}, [activity("OPEXP", "SPY261218C00630000")]),  # another's
        (STRUCTURE, {}, [activity("FEE", None)]),
        *[
            (replace(STRUCTURE, state=state), {}, EXPIRED)
            for state in StructureState
            if state is not StructureState.OPEN
        ],
    ],
)
def test_a_structure_is_not_settled_while_that_is_not_certain(structure, positions, activities):
    assert settled_structure(structure, positions, activities) is None


def test_shares_of_the_underlying_do_not_keep_an_assigned_structure_open():
    found = settled_structure(STRUCTURE, held("SPY"), [activity("OPASN", SHORT)])
    assert found.state is StructureState.ASSIGNED


def test_what_takes_a_place_is_what_may_still_be_held():
    ended = {
        StructureState.CLOSED,
        StructureState.EXPIRED,
        StructureState.ASSIGNED,
        StructureState.FAILED,
    }
    assert set(StructureState) - set(ALIVE) == ended


def candidate(width):
    return Candidate(
        strategy="iron_condor", underlying="SPY", purpose=Purpose.OPEN, structure_id=None,
        expiration=None, legs=(), width=width, price_natural=None, price_mid=None,
        is_accepted=True, rule=None, value=None, threshold=None,
    )  # fmt: skip


def test_one_unit_can_lose_its_width_less_the_credit():
    assert loss_usd_one(candidate(Decimal(10)), Decimal("-3.00")) == 700
    assert loss_usd_one(candidate(Decimal(10)), Decimal("1.00")) == 1100  # a debit is lost too
    assert loss_usd_one(candidate(Decimal(2)), Decimal("-3.00")) == 0
    with pytest.raises(ValueError, match="iron_condor SPY has no width"):
        loss_usd_one(candidate(None), Decimal("-3.00"))
