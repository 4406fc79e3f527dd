"""Two real processes on one database and one simulator: the same slot, overlapping slots, one that
is stopped past its lease and resumed, one that is killed. STRIKEFLOW_ROUNDS asks for more rounds
than these, STRIKEFLOW_SEED for those of a run that has failed."""

import os
import signal

import pytest

from chaos.real.child import Where
from chaos.real.nursery import State
from chaos.stage import server
from simulator.times import MINUTE

ROUNDS = int(os.environ.get("STRIKEFLOW_ROUNDS", "12"))
LEASE_S, LEASE_GIVEN = 180, "SELECT coalesce(max(lease_number), 0) FROM accounts"
BETWEEN = Where.BETWEEN


@pytest.fixture(scope="module")
def server_url():
    with server() as url:
        yield url


def assert_nothing_is_wrong(played):
    follower = played.further()
    assert follower.result == "done", played.story()
    assert played.wrong() == [], played.story()


def results(*children):
    return sorted(child.result.partition(":")[0] for child in children)


@pytest.mark.parametrize("number", range(0, ROUNDS, 4))
def test_of_two_processes_that_run_one_slot_at_once_one_trades_and_the_other_is_skipped(played):
    both = [played.child(name, played.slot) for name in ("first", "second")]
    played.run(*both)
    assert results(*both) == ["done", "skipped"], played.story()
    assert played.judge.arrivals
    assert_nothing_is_wrong(played)


@pytest.mark.parametrize("number", range(1, ROUNDS, 4))
def test_of_two_processes_with_overlapping_slots_one_trades_at_a_time(played):
    early = played.child("early", played.slot, played.signal(signal.SIGSTOP, BETWEEN))
    played.run(early)  # somewhere on its way it meets the next
    assert early.state is State.STOPPED
    played.pass_time(60)
    late = played.child("late", played.slot + MINUTE)
    played.run(early, late)
    assert results(early, late) in (["done", "skipped"], ["done", "done"]), played.story()
    assert early.result == "done" or not early.report.lease_number
    assert_nothing_is_wrong(played)


@pytest.mark.parametrize("number", range(2, ROUNDS, 4))
def test_a_process_that_was_stopped_past_its_lease_wakes_up_and_does_nothing_more(played):
    chance = played.chance
    where = chance.choice([BETWEEN, BETWEEN, BETWEEN, Where.INSIDE])
    sleeper = played.child("sleeper", played.slot, played.signal(signal.SIGSTOP, where))
    played.run(sleeper)
    assert sleeper.state is State.STOPPED, played.story()
    played.pass_time(LEASE_S + chance.choice([5, LEASE_S + 5]))
    wake = chance.choice(["after", "together", "amid"])
    pause = [played.signal(signal.SIGSTOP, BETWEEN)] if wake == "amid" else []
    other = played.child("other", played.minute(), *pause)
    played.run(other, sleeper) if wake == "together" else played.run(other)
    before, ((given,),) = played.judge.contents(), played.judge.rows(LEASE_GIVEN)
    played.run(sleeper)
    if wake != "together" and (sleeper.report.lease_number or given) < given:
        assert played.judge.contents() == before, f"it wrote: {played.story()}"
    played.run(other) if other.state is State.STOPPED else None
    assert "done" in results(sleeper, other), played.story()
    assert_nothing_is_wrong(played)


@pytest.mark.parametrize("number", range(3, ROUNDS, 4))
def test_what_one_of_two_processes_leaves_that_is_killed_is_mended_by_the_next_cycle(
    played,
):
    chance = played.chance
    # Whichever trades is killed; the other has come to its end before so many operations.
    kill = played.signal(signal.SIGKILL, chance.choice(list(Where)), share_min=0.1)
    both = [played.child(name, played.slot, kill) for name in ("first", "second")]
    played.run(*both)
    assert results(*both) == ["killed", "skipped"], played.story()
    assert_nothing_is_wrong(played)
