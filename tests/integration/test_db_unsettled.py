"""A claim: the last look at the book before a request leaves, in one transaction with it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from db import cycles, intents, planning
from db.intents import Claim, SentPrice
from db.session import transaction
from domain.cycle import CycleKind
from domain.orders import IntentState, Leg, OrderIntent, Purpose, Side
from domain.records import Quote

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
QUOTE = Quote(bid=Decimal(1), ask=Decimal(1), quoted_at=SLOT)
PRICE = SentPrice(limit=Decimal(-1), mid=Decimal(-1), quotes={"SPY261218P00500000": QUOTE})


@pytest.fixture
def cycle(database_url):
    with transaction(database_url) as session:
        account_id = cycles.ensure_account(session, "A1", "paper", SLOT)
        known, origin = (account_id, "A1"), (None, "0.1.0")
        return cycles.open_cycle(session, known, CycleKind.TRADING, SLOT, SLOT, origin)


def planned(url, cycle, name, underlying="SPY", purpose=Purpose.OPEN, structure_id=None):
    """A planned intent of its own candidate; its structure's id."""
    legs = (Leg(symbol=f"{underlying}261218P00500000", side=Side.SELL, ratio=1),)
    intent = OrderIntent(
        client_order_id=name,
        strategy="iron_condor",
        underlying=underlying,
        purpose=purpose,
        legs=legs,
        quantity=1,
        limit_price=Decimal(-1),
        loss_usd_worst=Decimal(100),
    )
    add = text(
        "INSERT INTO candidates"
        " (cycle_id, strategy, underlying, purpose, structure_id, is_accepted)"
        " VALUES (:cycle, :name, :underlying, :purpose, :structure, true) RETURNING id"
    )
    values = {"cycle": cycle.id, "name": name, "underlying": underlying, "purpose": str(purpose)}
    with transaction(url) as session:
        candidate_id = session.execute(add, {**values, "structure": structure_id}).scalar_one()
        leg = text("INSERT INTO candidate_legs VALUES (:candidate, 1, :symbol, 'sell', 1)")
        session.execute(leg, {"candidate": candidate_id, "symbol": legs[0].symbol})
        planning.plan_intent(session, cycle, intent, (candidate_id, structure_id), SLOT)
        return intents.read_one(session, name).structure_id


def claim(url, name):
    with transaction(url) as session:
        return intents.claim(session, intents.read_one(session, name), PRICE, SLOT, 10)


def move(url, name, state):
    with transaction(url) as session:
        intents.move_intent(session, name, (state, 0), SLOT)


@pytest.mark.parametrize("answer", [IntentState.SENDING, IntentState.UNKNOWN])
def test_while_a_closing_order_has_no_answer_nothing_is_opened_in_its_underlying(
    database_url, cycle, answer
):
    held = planned(database_url, cycle, "held")
    assert claim(database_url, "held") is Claim.CLAIMED
    move(database_url, "held", IntentState.FILLED)
    planned(database_url, cycle, "closing", purpose=Purpose.CLOSE, structure_id=held)
    assert claim(database_url, "closing") is Claim.CLAIMED
    move(database_url, "closing", answer)
    planned(database_url, cycle, "opening")
    planned(database_url, cycle, "elsewhere", underlying="QQQ")
    assert claim(database_url, "opening") is Claim.UNSETTLED
    assert claim(database_url, "elsewhere") is Claim.CLAIMED
    move(database_url, "closing", IntentState.WORKING)
    assert claim(database_url, "opening") is Claim.CLAIMED
