"""Cycles on a real Postgres: who may run a slot."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db import cycles
from db.session import engine, transaction
from domain.cycle import Cycle, CycleKind, CycleState, Skip

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


def test_a_slot_that_is_done_stays_done(database_url):
    first = open_at(database_url, SLOT, SLOT)
    close(database_url, first, CycleState.DONE)
    second = open_at(database_url, SLOT, SLOT + timedelta(minutes=1))
    assert second == Skip(reason="the trading cycle of 2026-11-20 15:00Z has been run already")
    assert states(database_url) == [(SLOT, "done", None)]


def test_a_slot_that_failed_is_run_again_as_the_same_cycle(database_url):
    first = open_at(database_url, SLOT, SLOT)
    close(database_url, first, CycleState.FAILED, "the lights went out")
    again = open_at(database_url, SLOT, SLOT + timedelta(minutes=1))
    assert again == replace(first, lease_number=first.lease_number + 1)
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
    running = Skip(reason="the trading cycle of 2026-11-20 15:00Z is running", is_busy=True)
    assert open_at(database_url, SLOT, SLOT) == running
    assert open_at(database_url, NEXT, SLOT) == running
    assert open_at(database_url, NEXT, SLOT, CycleKind.END_OF_DAY) == running


def test_a_silent_cycle_is_taken_over_once_its_lease_ran_out_and_not_before(database_url):
    first = open_at(database_url, SLOT, SLOT)
    assert isinstance(open_at(database_url, SLOT, SLOT + cycles.LEASE), Skip)
    late = SLOT + cycles.LEASE + timedelta(seconds=1)
    assert open_at(database_url, SLOT, late) == replace(first, lease_number=2)


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
