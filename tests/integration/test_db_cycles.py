"""Cycles, claims and moves on a real Postgres: who may run a slot, and who may send an intent."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import candidates, cycles, halts, intents
from db.session import engine, transaction
from domain.candidates import Candidate
from domain.cycle import Cycle, CycleKind, CycleState, Skip
from domain.orders import IntentState, Leg, OrderIntent, Purpose, Side

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NEXT = SLOT + timedelta(minutes=30)


def open_at(url, slot, now, kind=CycleKind.TRADING):
    with transaction(url) as session:
        account_id = cycles.ensure_account(session, "A1", "paper", now)
        return cycles.open_cycle(session, (account_id, "A1"), kind, slot, now, (None, "1"))


def close(url, cycle, state, reason=None):
    with transaction(url) as session:
        cycles.close_cycle(session, cycle, state, reason)


def states(url):
    query = text("SELECT slot, state, reason FROM cycles ORDER BY slot")
    with engine(url).connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def at_once(work, count):
    """What `count` threads that start together answer."""
    ready = threading.Barrier(count)

    def run(number):
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


# Who runs a slot


def test_a_slot_that_is_done_stays_done(database_url):
    first = open_at(database_url, SLOT, SLOT)
    close(database_url, first, CycleState.DONE)
    second = open_at(database_url, SLOT, SLOT + timedelta(minutes=1))
    assert second == Skip(reason="the trading cycle of 2026-11-20 15:00Z has been run already")
    assert states(database_url) == [(SLOT, "done", None)]


def test_a_slot_that_failed_is_run_again_as_the_same_cycle(database_url):
    first = open_at(database_url, SLOT, SLOT)
    close(database_url, first, CycleState.FAILED, "the lights went out")
    assert open_at(database_url, SLOT, SLOT + timedelta(minutes=1)) == first
    assert states(database_url) == [(SLOT, "running", None)]


def test_a_slot_that_was_skipped_may_still_be_run(database_url):
    with transaction(database_url) as session:
        account_id = cycles.ensure_account(session, "A1", "paper", SLOT)
        words = ("the market is closed", "1")
        cycles.record_skip(session, account_id, CycleKind.TRADING, SLOT, SLOT, words)
    assert states(database_url) == [(SLOT, "skipped", "the market is closed")]
    assert isinstance(open_at(database_url, SLOT, SLOT), Cycle)
    assert states(database_url) == [(SLOT, "running", None)]


def test_a_skip_never_overwrites_what_a_slot_has_done(database_url):
    first = open_at(database_url, SLOT, SLOT)
    for state in (None, CycleState.DONE):
        if state is not None:
            close(database_url, first, state)
        with transaction(database_url) as session:
            words = ("too late", "1")
            cycles.record_skip(session, first.account_id, CycleKind.TRADING, SLOT, NEXT, words)
    assert states(database_url) == [(SLOT, "done", None)]


def test_while_a_cycle_runs_no_other_of_the_account_is_opened(database_url):
    open_at(database_url, SLOT, SLOT)
    running = Skip(reason="the trading cycle of 2026-11-20 15:00Z is running")
    assert open_at(database_url, SLOT, SLOT) == running
    assert open_at(database_url, NEXT, SLOT) == running
    assert open_at(database_url, NEXT, SLOT, CycleKind.END_OF_DAY) == running


def test_a_silent_cycle_is_taken_over_once_its_lease_ran_out_and_not_before(database_url):
    first = open_at(database_url, SLOT, SLOT)
    assert isinstance(open_at(database_url, SLOT, SLOT + cycles.LEASE), Skip)
    late = SLOT + cycles.LEASE + timedelta(seconds=1)
    assert open_at(database_url, SLOT, late) == first


def test_a_silent_cycle_of_another_slot_is_buried_with_the_reason(database_url):
    open_at(database_url, SLOT, SLOT)
    assert isinstance(open_at(database_url, NEXT, NEXT), Cycle)
    assert states(database_url) == [
        (SLOT, "failed", "its lease ran out"),
        (NEXT, "running", None),
    ]


def test_a_step_renews_the_lease(database_url):
    cycle = open_at(database_url, SLOT, SLOT)
    with transaction(database_url) as session:
        cycles.begin_step(session, cycle, "snapshot", SLOT + timedelta(minutes=2))
    assert isinstance(open_at(database_url, SLOT, SLOT + timedelta(minutes=4)), Skip)


def test_a_cycle_that_was_buried_cannot_be_closed_as_done(database_url):
    first = open_at(database_url, SLOT, SLOT)
    open_at(database_url, NEXT, NEXT)
    close(database_url, first, CycleState.DONE)
    assert states(database_url)[0] == (SLOT, "failed", "its lease ran out")


def test_of_threads_that_open_one_slot_at_once_exactly_one_wins(database_url):
    for minute in range(5):
        slot = SLOT + timedelta(minutes=minute)
        answers = at_once(lambda _, slot=slot: open_at(database_url, slot, slot), 4)
        (won,) = [answer for answer in answers if isinstance(answer, Cycle)]
        close(database_url, won, CycleState.DONE)


def test_of_threads_that_open_different_slots_at_once_exactly_one_wins(database_url):
    answers = at_once(lambda n: open_at(database_url, SLOT + timedelta(minutes=n), SLOT), 4)
    assert sum(isinstance(answer, Cycle) for answer in answers) == 1


def test_two_accounts_run_at_once_without_knowing_of_each_other(database_url):
    open_at(database_url, SLOT, SLOT)
    with transaction(database_url) as session:
        other = cycles.ensure_account(session, "A2", "live", SLOT)
        opened = cycles.open_cycle(
            session, (other, "A2"), CycleKind.TRADING, SLOT, SLOT, (None, "1")
        )
    assert isinstance(opened, Cycle)


# Who sends an intent

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
        intents.plan_intent(session, cycle, intent(name, purpose), origin, SLOT)
    query = text("SELECT structure_id FROM intents WHERE client_order_id = :name")
    with engine(url).connect() as connection:
        return connection.execute(query, {"name": name}).scalar_one()


def state_of(url, name):
    query = text("SELECT state, sent_at, detail FROM intents WHERE client_order_id = :name")
    with engine(url).connect() as connection:
        return tuple(connection.execute(query, {"name": name}).one())


def claim(url, name):
    with transaction(url) as session:
        return intents.claim(session, name, SLOT)


def move(url, name, state, detail=None):
    with transaction(url) as session:
        return intents.move_intent(session, name, state, detail)


def test_of_workers_that_claim_one_intent_at_once_exactly_one_wins(database_url, cycle):
    plan(database_url, cycle, "one")
    assert sorted(at_once(lambda _: claim(database_url, "one"), 4)) == [False, False, False, True]
    assert state_of(database_url, "one") == ("sending", SLOT, None)


def test_a_claim_waits_for_another_that_is_not_committed_and_then_loses(database_url, cycle):
    plan(database_url, cycle, "one")
    with ThreadPoolExecutor(1) as pool:
        with transaction(database_url) as session:
            assert intents.claim(session, "one", SLOT)
            second = pool.submit(claim, database_url, "one")
            with pytest.raises(TimeoutError):
                second.result(timeout=0.2)
        assert second.result(timeout=5) is False


def test_a_claim_that_was_rolled_back_leaves_the_intent_to_the_next(database_url, cycle):
    plan(database_url, cycle, "one")
    with engine(database_url).connect() as connection:
        assert intents.claim(Session(connection), "one", SLOT)  # and the power goes
    assert state_of(database_url, "one") == ("planned", None, None)
    assert claim(database_url, "one")


def test_a_standing_halt_stops_an_opening_claim_and_lets_a_closing_one_through(database_url, cycle):
    structure_id = plan(database_url, cycle, "opening")
    with transaction(database_url) as session:
        session.execute(text("UPDATE intents SET state = 'filled', sent_at = now()"))
        session.execute(text("UPDATE cycles SET state = 'done', closed_at = now()"))
        assert halts.set_halt(session, cycle.account_id, "enough")
    later = open_at(database_url, NEXT, NEXT)
    plan(database_url, later, "closing", Purpose.CLOSE, structure_id)
    last = _another_opening(database_url, later)
    assert claim(database_url, last) is False
    assert claim(database_url, "closing") is True
    with engine(database_url).connect() as connection:
        found = connection.execute(
            text("SELECT state FROM structures WHERE id = :id"), {"id": structure_id}
        )
        assert found.scalar_one() == "closing"
    with transaction(database_url) as session:
        assert halts.clear_halt(session, cycle.account_id)
    assert claim(database_url, last) is True


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
        intents.plan_intent(session, cycle, intent("another"), (candidate_id, None), SLOT)
    return "another"


def test_a_halt_of_another_account_stops_nothing(database_url, cycle):
    plan(database_url, cycle, "one")
    with transaction(database_url) as session:
        other = cycles.ensure_account(session, "A2", "paper", SLOT)
        halts.set_halt(session, other, "enough")
    assert claim(database_url, "one")


def test_once_a_halt_is_committed_no_opening_claim_commits(database_url, cycle):
    """A halt waits for a claim under way, and a claim for a halt under way."""
    plan(database_url, cycle, "one")

    def halt():
        with transaction(database_url) as session:
            return halts.set_halt(session, cycle.account_id, "enough")

    with ThreadPoolExecutor(1) as pool:
        with transaction(database_url) as session:
            assert intents.claim(session, "one", SLOT)
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
        assert claiming.result(timeout=5) is False


def test_a_second_halt_keeps_the_first_ones_reason(database_url, cycle):
    with transaction(database_url) as session:
        assert halts.set_halt(session, cycle.account_id, "first")
        assert not halts.set_halt(session, cycle.account_id, "second")
        assert halts.standing_halt(session, cycle.account_id) == "first"
        assert halts.clear_halt(session, cycle.account_id)
        assert not halts.clear_halt(session, cycle.account_id)


#: Every move that is allowed, written down a second time: what leaves for the broker never
#: comes back, and what has ended never moves.
ALLOWED = {
    ("planned", "sending"),
    ("planned", "not_sent"),
    ("sending", "unknown"),
    ("sending", "working"),
    ("sending", "filled"),
    ("sending", "canceled"),
    ("sending", "refused"),
    ("unknown", "working"),
    ("unknown", "filled"),
    ("unknown", "canceled"),
    ("unknown", "refused"),
    ("working", "filled"),
    ("working", "canceled"),
}


def test_an_intent_moves_along_the_allowed_moves_only(database_url, cycle):
    plan(database_url, cycle, "one")
    moved = set()
    for before in IntentState:
        for after in IntentState:
            with transaction(database_url) as session:
                left = None if before in ("planned", "not_sent") else SLOT
                session.execute(
                    text("UPDATE intents SET state = :state, sent_at = :left"),
                    {"state": before, "left": left},
                )
            if (before, after) == ("planned", "sending"):
                assert claim(database_url, "one")  # this one move is the claim's
                moved.add((before, after))
            elif move(database_url, "one", after, "why"):
                assert state_of(database_url, "one")[0] == after
                assert state_of(database_url, "one")[2] == "why"
                moved.add((before, after))
            else:
                assert state_of(database_url, "one")[0] == before
    assert moved == ALLOWED


def test_planning_the_same_decision_again_changes_nothing(database_url, cycle):
    plan(database_url, cycle, "one")
    with transaction(database_url) as session:
        ((candidate_id, _),) = candidates.read_accepted(session, cycle)
        intents.plan_intent(session, cycle, intent("one"), (candidate_id, None), NEXT)
    with engine(database_url).connect() as connection:
        for table in ("intents", "structures"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1


def test_what_may_still_fill_counts_against_the_limits_in_full(database_url, cycle):
    plan(database_url, cycle, "one")
    counted = {}
    for state in IntentState:
        with transaction(database_url) as session:
            left = None if state in ("planned", "not_sent") else SLOT
            session.execute(
                text("UPDATE intents SET state = :state, sent_at = :left"),
                {"state": state, "left": left},
            )
            losses = intents.live_losses(session, cycle.account_id)
            counted[str(state)] = losses.get("AAPL", Decimal(0))
    live = {"planned", "sending", "unknown", "working"}
    assert counted == {state: Decimal(800 if state in live else 0) for state in counted}
