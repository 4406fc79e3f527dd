"""The lease: one writer an account. Whoever was taken for dead and comes back writes nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from db import cycles, halts
from db.schema import metadata
from db.session import engine, transaction
from domain.cycle import Cycle, CycleKind, CycleState, LeaseLost, Skip
from tasks import context, settings

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NEXT = SLOT + timedelta(minutes=30)
#: The lease of a cycle that began at SLOT and was silent since has run out.
LATE = SLOT + cycles.LEASE + timedelta(seconds=1)


def open_at(url, slot, now, version="1", kind=CycleKind.TRADING, number="A1"):
    with transaction(url) as session:
        account_id = cycles.ensure_account(session, number, "paper", now)
        origin = (None, version)
        return cycles.open_cycle(session, (account_id, number), kind, slot, now, origin)


@pytest.fixture
def of_this_process(database_url, monkeypatch):
    """The transactions of the tasks go to the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    settings.settings.cache_clear()
    yield database_url
    settings.settings.cache_clear()


def contents(url):
    with engine(url).connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(text(f"SELECT * FROM {name}"))))
            for name in metadata.tables
        }


@pytest.mark.parametrize("slot", [SLOT, NEXT], ids=["the same slot", "another slot"])
def test_after_another_cycle_has_begun_the_first_writes_nothing_more(slot, of_this_process):
    first = open_at(of_this_process, SLOT, SLOT)
    with context.transaction(first) as session:  # as long as nobody else has begun
        cycles.begin_step(session, first, "snapshot", SLOT)
    second = open_at(of_this_process, slot, LATE)
    assert isinstance(second, Cycle)
    assert (second.id == first.id) == (slot == SLOT)
    before = contents(of_this_process)
    with pytest.raises(LeaseLost, match="another process has taken over"):  # noqa: SIM117
        with context.transaction(first) as session:
            cycles.begin_step(session, first, "greeks", LATE)
    assert contents(of_this_process) == before
    with context.transaction(second) as session:
        cycles.begin_step(session, second, "greeks", LATE)


def test_a_cycle_that_was_taken_for_dead_writes_nothing_though_nobody_has_followed_it(
    of_this_process,
):
    close(of_this_process, open_at(of_this_process, SLOT, SLOT))
    first = open_at(of_this_process, NEXT, SLOT)
    assert isinstance(open_at(of_this_process, SLOT, LATE), Skip)  # that one is done
    before = contents(of_this_process)
    with pytest.raises(LeaseLost), context.transaction(first) as session:
        cycles.begin_step(session, first, "greeks", LATE)
    assert contents(of_this_process) == before
    assert isinstance(open_at(of_this_process, NEXT, LATE), Cycle)


def test_what_was_begun_under_a_lease_holds_off_whoever_would_take_over(of_this_process):
    """Until it is committed; the other is skipped and breaks nothing."""
    first = open_at(of_this_process, SLOT, SLOT)
    with ThreadPoolExecutor(1) as pool, context.transaction(first) as session:
        cycles.begin_step(session, first, "snapshot", SLOT)
        other = pool.submit(open_at, of_this_process, NEXT, LATE)
        assert other.result(timeout=20) == Skip(
            reason="another cycle of the account is at work", is_busy=True
        )
    with context.transaction(first) as session:
        cycles.end_step(session, first, "snapshot", 1, (0, None))
    assert open_at(of_this_process, NEXT, SLOT) == Skip(
        reason="the trading cycle of 2026-11-20 15:00Z is running", is_busy=True
    )


def test_a_cycle_that_is_held_off_takes_over_as_soon_as_the_other_has_committed(of_this_process):
    first = open_at(of_this_process, SLOT, SLOT)
    with ThreadPoolExecutor(1) as pool:
        with context.transaction(first):
            other = pool.submit(open_at, of_this_process, NEXT, LATE)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.2)
        assert isinstance(other.result(timeout=20), Cycle)


@pytest.mark.parametrize("slot", [SLOT, NEXT], ids=["the same slot", "another slot"])
@pytest.mark.parametrize("state", [CycleState.DONE, CycleState.FAILED])
def test_the_old_lease_closes_nothing(state, slot, database_url):
    first = open_at(database_url, SLOT, SLOT)
    open_at(database_url, slot, LATE)
    before = contents(database_url)
    with transaction(database_url) as session:
        cycles.close_cycle(session, first, state, "too late")
    assert contents(database_url) == before


@pytest.mark.parametrize("slot", [SLOT, NEXT], ids=["the same slot", "another slot"])
def test_the_old_lease_keeps_nobody_elses_alive(slot, database_url):
    first = open_at(database_url, SLOT, SLOT)
    open_at(database_url, slot, LATE)
    before = contents(database_url)
    with transaction(database_url) as session:
        cycles.renew_lease(session, first, LATE + timedelta(hours=1))
    assert contents(database_url) == before


def test_a_halt_is_set_while_a_cycle_is_at_work(of_this_process):
    """A person who stops the trading waits for no order that is on its way."""
    first = open_at(of_this_process, SLOT, SLOT)

    def halt():
        with transaction(of_this_process) as session:
            session.execute(text("SET LOCAL lock_timeout = 5000"))
            return halts.set_halt(session, first.account_id, "enough")

    with ThreadPoolExecutor(1) as pool, context.transaction(first):
        assert pool.submit(halt).result(timeout=20)


def test_a_lease_of_one_account_is_nothing_to_another(of_this_process):
    first = open_at(of_this_process, SLOT, SLOT)
    other = open_at(of_this_process, NEXT, LATE, number="A2")
    for cycle in (first, other):
        with context.transaction(cycle) as session:
            cycles.begin_step(session, cycle, "snapshot", LATE)


def test_each_cycle_takes_the_next_number_and_a_skip_takes_none(database_url):
    first = open_at(database_url, SLOT, SLOT)
    assert isinstance(open_at(database_url, NEXT, SLOT), Skip)
    second = open_at(database_url, NEXT, LATE)
    assert (first.lease_number, second.lease_number) == (1, 2)


# Which program may run


def close(url, cycle):
    with transaction(url) as session:
        cycles.close_cycle(session, cycle, CycleState.DONE, None)


@pytest.mark.parametrize(
    ("before", "now"), [("0.2.0", "0.1.9"), ("0.10.0", "0.9.0"), ("1.0", "0.99.99"), ("2", "1.9")]
)
def test_once_a_newer_version_has_run_an_older_one_is_refused(before, now, database_url):
    close(database_url, open_at(database_url, SLOT, SLOT, before))
    assert open_at(database_url, NEXT, NEXT, now) == Skip(
        reason=f"version {before} has run here and this is {now}: update it"
    )
    assert isinstance(open_at(database_url, NEXT, NEXT, before), Cycle)


@pytest.mark.parametrize(
    ("before", "now"),
    [("0.1.0", "0.1.0"), ("0.9.0", "0.10.0"), ("1", "1.0.1"), ("0.1.0+f", "0.1.0+a")],
)
def test_a_newer_version_goes_on_where_an_older_one_has_run(before, now, database_url):
    close(database_url, open_at(database_url, SLOT, SLOT, before))
    assert isinstance(open_at(database_url, NEXT, NEXT, now), Cycle)


def test_while_another_program_runs_a_cycle_none_is_opened_and_both_are_named(database_url):
    first = open_at(database_url, SLOT, SLOT, "0.1.0+aaa")
    words = "the trading cycle of 2026-11-20 15:00Z is running by version 0.1.0+aaa"
    held_off = Skip(reason=f"{words}, and this is 0.1.0+bbb", is_busy=True)
    assert open_at(database_url, NEXT, SLOT, "0.1.0+bbb") == held_off
    close(database_url, first)
    assert isinstance(open_at(database_url, NEXT, SLOT, "0.1.0+bbb"), Cycle)


def test_a_cycle_knows_which_other_program_ran_the_one_before(database_url):
    first = open_at(database_url, SLOT, SLOT, "0.1.0+aaa")
    assert first.version_before is None
    close(database_url, first)
    second = open_at(database_url, NEXT, NEXT, "0.1.0+bbb")
    assert second.version_before == "0.1.0+aaa"
    close(database_url, second)
    third = open_at(database_url, NEXT + timedelta(minutes=30), NEXT, "0.1.0+bbb")
    assert third.version_before is None
