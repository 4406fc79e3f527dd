"""Claims and moves on a real Postgres: who may send an intent, and where it may go."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from db import candidates, cycles, halts, intents, planning
from db.intents import Claim, SentPrice
from db.session import engine, transaction
from domain.candidates import Candidate
from domain.cycle import CycleKind
from domain.orders import LIVE, IntentState, Leg, OrderIntent, Purpose, Side
from domain.records import Quote

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NEXT = SLOT + timedelta(minutes=30)


def open_at(url, slot, now, kind=CycleKind.TRADING):
    with transaction(url) as session:
        account_id = cycles.ensure_account(session, "A1", "paper", now)
        return cycles.open_cycle(session, (account_id, "A1"), kind, slot, now, (None, "1"))


def at_once(work, count):
    """What `count` threads that start together answer."""
    ready = threading.Barrier(count)

    def run(number):
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


LEGS = (
    Leg(symbol="AAPL261218P00210000", side=Side.BUY, ratio=1),
    Leg(symbol="AAPL261218P00215000", side=Side.SELL, ratio=1),
)


@pytest.fixture
def cycle(database_url):
    return open_at(database_url, SLOT, SLOT)


def candidate(purpose, structure_id=None):
    return Candidate(
        strategy="iron_condor",
        underlying="AAPL",
        purpose=purpose,
        structure_id=structure_id,
        expiration=LEGS[0].expiration,
        legs=LEGS,
        width=Decimal(5),
        price_natural=Decimal(-1),
        price_mid=Decimal("-1.1"),
        is_accepted=True,
        rule=None,
        value=None,
        threshold=None,
    )


def intent(name, purpose=Purpose.OPEN):
    return OrderIntent(
        client_order_id=name,
        strategy="iron_condor",
        underlying="AAPL",
        purpose=purpose,
        legs=LEGS,
        quantity=2,
        limit_price=Decimal("-1.00"),
        loss_usd_worst=Decimal(800),
    )


def plan(url, cycle, name, purpose=Purpose.OPEN, structure_id=None):
    """A planned intent with the candidate it came of; the structure's id."""
    with transaction(url) as session:
        candidates.replace_candidates(session, cycle, [candidate(purpose, structure_id)])
        ((candidate_id, _),) = candidates.read_accepted(session, cycle)
        origin = (candidate_id, structure_id)
        planning.plan_intent(session, cycle, intent(name, purpose), origin, SLOT)
    query = text("SELECT structure_id FROM intents WHERE client_order_id = :name")
    with engine(url).connect() as connection:
        return connection.execute(query, {"name": name}).scalar_one()


def state_of(url, name):
    query = text("SELECT state, sent_at, detail FROM intents WHERE client_order_id = :name")
    with engine(url).connect() as connection:
        return tuple(connection.execute(query, {"name": name}).one())


PRICE = SentPrice(
    limit=Decimal("-1.05"),
    mid=Decimal("-1.10"),
    quotes={
        leg.symbol: Quote(bid=None, ask=Decimal(price), quoted_at=SLOT)
        for leg, price in zip(LEGS, ("0.50", "1.60"), strict=True)
    },
)


def claim_in(session, name, price=PRICE, now=SLOT, per_minute_max=10):
    return intents.claim(session, intents.read_one(session, name), price, now, per_minute_max)


def claim(url, name, **more):
    with transaction(url) as session:
        return claim_in(session, name, **more)


def test_of_workers_that_claim_one_intent_at_once_exactly_one_wins(database_url, cycle):
    plan(database_url, cycle, "one")
    answers = at_once(lambda _: claim(database_url, "one"), 4)
    assert sorted(answers) == sorted([Claim.CLAIMED, *[Claim.TAKEN] * 3])
    assert state_of(database_url, "one") == ("sending", SLOT, None)


def test_a_claim_waits_for_another_that_is_not_committed_and_then_loses(database_url, cycle):
    plan(database_url, cycle, "one")
    with ThreadPoolExecutor(1) as pool:
        with transaction(database_url) as session:
            assert claim_in(session, "one") is Claim.CLAIMED
            second = pool.submit(claim, database_url, "one")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.2)
        assert second.result(timeout=5) is Claim.TAKEN


def test_a_claim_that_was_rolled_back_leaves_the_intent_to_the_next(database_url, cycle):
    plan(database_url, cycle, "one")
    with engine(database_url).connect() as connection:
        assert claim_in(connection, "one") is Claim.CLAIMED  # and the power goes
    assert state_of(database_url, "one") == ("planned", None, None)
    assert claim(database_url, "one") is Claim.CLAIMED


def test_a_standing_halt_stops_an_opening_claim_and_lets_a_closing_one_through(database_url, cycle):
    structure_id = plan(database_url, cycle, "opening")
    with transaction(database_url) as session:
        session.execute(text("UPDATE intents SET state = 'sending', sent_at = now()"))
        session.execute(text("UPDATE intents SET state = 'filled', filled_quantity = 2"))
        session.execute(text("UPDATE cycles SET state = 'done', closed_at = now()"))
        assert halts.set_halt(session, cycle.account_id, "enough")
    later = open_at(database_url, NEXT, NEXT)
    plan(database_url, later, "closing", Purpose.CLOSE, structure_id)
    last = _another_opening(database_url, later)
    assert claim(database_url, last) is Claim.HALTED
    assert claim(database_url, "closing") is Claim.CLAIMED
    with engine(database_url).connect() as connection:
        found = connection.execute(
            text("SELECT state FROM structures WHERE id = :id"), {"id": structure_id}
        )
        assert found.scalar_one() == "closing"
    with transaction(database_url) as session:
        assert halts.clear_halt(session, cycle.account_id)
    assert claim(database_url, last) is Claim.CLAIMED


def _another_opening(url, cycle):
    """A second planned opening intent of the same cycle; its id."""
    with transaction(url) as session:
        candidate_id = session.execute(
            text(
                "INSERT INTO candidates (cycle_id, strategy, underlying, purpose, is_accepted)"
                " VALUES (:cycle, 'iron_condor', 'MSFT', 'open', true) RETURNING id"
            ),
            {"cycle": cycle.id},
        ).scalar_one()
        planning.plan_intent(session, cycle, intent("another"), (candidate_id, None), SLOT)
    return "another"


def test_a_halt_of_another_account_stops_nothing(database_url, cycle):
    plan(database_url, cycle, "one")
    with transaction(database_url) as session:
        other = cycles.ensure_account(session, "A2", "paper", SLOT)
        halts.set_halt(session, other, "enough")
    assert claim(database_url, "one") is Claim.CLAIMED


def test_once_a_halt_is_committed_no_opening_claim_commits(database_url, cycle):
    """A halt waits for a claim under way, and a claim for a halt under way."""
    plan(database_url, cycle, "one")

    def halt():
        with transaction(database_url) as session:
            return halts.set_halt(session, cycle.account_id, "enough")

    with ThreadPoolExecutor(1) as pool:
        with transaction(database_url) as session:
            assert claim_in(session, "one") is Claim.CLAIMED
            halting = pool.submit(halt)
            with pytest.raises(TimeoutError):
                halting.result(timeout=0.2)
        assert halting.result(timeout=5)
    with transaction(database_url) as session:
        halts.clear_halt(session, cycle.account_id)
    last = _another_opening(database_url, cycle)
    with ThreadPoolExecutor(1) as pool:
        with transaction(database_url) as session:
            assert halts.set_halt(session, cycle.account_id, "enough")
            claiming = pool.submit(claim, database_url, last)
            with pytest.raises(TimeoutError):
                claiming.result(timeout=0.2)
        assert claiming.result(timeout=5) is Claim.HALTED


def test_a_second_halt_keeps_the_first_ones_reason(database_url, cycle):
    with transaction(database_url) as session:
        assert halts.set_halt(session, cycle.account_id, "first")
        assert not halts.set_halt(session, cycle.account_id, "second")
        assert halts.standing_halt(session, cycle.account_id) == "first"
        assert halts.clear_halt(session, cycle.account_id)
        assert not halts.clear_halt(session, cycle.account_id)


def test_planning_the_same_decision_again_changes_nothing(database_url, cycle):
    plan(database_url, cycle, "one")
    with transaction(database_url) as session:
        ((candidate_id, _),) = candidates.read_accepted(session, cycle)
        assert not planning.plan_intent(session, cycle, intent("one"), (candidate_id, None), NEXT)
    with engine(database_url).connect() as connection:
        for table in ("intents", "structures"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1


def test_an_id_of_another_decision_is_an_error_and_never_taken_for_planned(database_url, cycle):
    structure_id = plan(database_url, cycle, "one")
    _another_opening(database_url, cycle)
    with transaction(database_url) as session:
        ((candidate_id, _), (other_id, _)) = candidates.read_accepted(session, cycle)
        assert not planning.plan_intent(
            session, cycle, intent("one"), (candidate_id, structure_id), NEXT
        )
        for origin in ((other_id, None), (candidate_id, structure_id + 1)):
            with pytest.raises(planning.IdInUse, match="one is of candidate"):
                planning.plan_intent(session, cycle, intent("one"), origin, NEXT)


#: The way to each state, through states that are allowed.
WAYS = {
    state: ["sending", state]
    for state in IntentState
    if state not in ("planned", "sending", "not_sent")
} | {"planned": [], "sending": ["sending"], "not_sent": ["not_sent"]}


def bring(session, name, state):
    """Bring a planned intent to a state along allowed moves."""
    for step in WAYS[state]:
        session.execute(
            text(
                "UPDATE intents SET state = :state, sent_at = CASE WHEN :state != 'not_sent'"
                " THEN now() END WHERE client_order_id = :name"
            ),
            {"state": step, "name": name},
        )


@pytest.mark.parametrize("state", IntentState)
def test_what_may_still_fill_counts_against_the_limits_in_full(state, database_url, cycle):
    plan(database_url, cycle, "one")
    with transaction(database_url) as session:
        bring(session, "one", state)
        losses = intents.live_losses(session, cycle.account_id, [IntentState.PLANNED, *LIVE])
    live = {"planned", "sending", "unknown", "accepted", "working"}
    assert losses == ({"AAPL": Decimal(800)} if state in live else {})


def test_a_claim_keeps_its_price_its_mid_and_the_quotes_it_was_made_from(database_url, cycle):
    plan(database_url, cycle, "one")
    assert claim(database_url, "one") is Claim.CLAIMED
    with engine(database_url).connect() as connection:
        sent = connection.execute(text("SELECT sent_price, mid_price FROM intents")).one()
        assert tuple(sent) == (PRICE.limit, PRICE.mid)
        quotes = connection.execute(text("SELECT symbol, bid, ask FROM intent_quotes"))
        assert {(q.symbol, q.bid, q.ask) for q in quotes} == {
            (symbol, quote.bid, quote.ask) for symbol, quote in PRICE.quotes.items()
        }


def test_no_more_opening_orders_leave_within_a_minute_than_are_allowed(database_url, cycle):
    plan(database_url, cycle, "one")
    last = _another_opening(database_url, cycle)
    assert claim(database_url, "one", per_minute_max=1) is Claim.CLAIMED
    soon, later = SLOT + timedelta(seconds=59), SLOT + timedelta(seconds=60)
    assert claim(database_url, last, now=soon, per_minute_max=1) is Claim.TOO_MANY
    assert state_of(database_url, last)[0] == "planned"
    assert claim(database_url, last, now=later, per_minute_max=1) is Claim.CLAIMED
