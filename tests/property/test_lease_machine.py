"""The lease on a real Postgres, whatever its processes do in whatever order: one cycle of an
account runs, and who has lost the lease changes nothing. A plain model says what must come."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from db import cycles, halts
from db.session import transaction
from domain.cycle import Cycle, CycleKind, CycleState, LeaseLost, Skip, Step
from tasks import context
from tasks import settings as task_settings
from tasks.context import StepNote
from tasks.open_cycle import closing
from tests.property.database_machine import DatabaseMachine

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SILENCE_MAX = timedelta(minutes=3)
NUMBERS = ("A1", "A2")
#: Mostly the same; "0.10.0" comes after "0.9.0".
VERSIONS = (*[(0, 9, 0)] * 7, (0, 10, 0), (0, 8, 7))
Name = tuple[CycleKind, int]  # the number of its slot
Version = tuple[int, int, int]

accounts = st.sampled_from(NUMBERS)
names = st.tuples(st.sampled_from(CycleKind), st.integers(0, 1))
versions = st.sampled_from(VERSIONS)
a_step = st.sampled_from(Step)
picks = st.integers(0, 10**6)
#: Around the end of a lease, short and long, and the broker's clock stepped back.
leaps = st.sampled_from([1, 179, 180, 181, 3600]) | st.integers(1, 600) | st.integers(-300, -1)


@dataclass
class Slot:
    """A row of `cycles` as it has to be."""

    state: str
    version: Version
    until: datetime
    number: int = 0  # of the lease it ran under last


@dataclass
class Process:
    """Somebody who has opened a cycle."""

    account: str
    name: Name
    cycle: Cycle
    is_replaced: bool = False  # taken for dead, or followed by another
    has_ended: bool = False
    doing: tuple[AbstractContextManager[StepNote], StepNote, Step] | None = None


@dataclass
class Account:
    number: int = 0  # the greatest lease number that was given
    slots: dict[Name, Slot] = field(default_factory=dict)
    steps: dict[tuple[Name, str], tuple[datetime, int | None]] = field(default_factory=dict)


def moment_of(slot: int) -> datetime:
    return START + timedelta(minutes=30 * slot)


def said(version: Version) -> str:
    return ".".join(map(str, version))


class LeaseLife(DatabaseMachine):
    now = START  # of the class: the broker's clock, which the tasks read

    @initialize()
    def begin(self) -> None:
        self.empty()
        LeaseLife.now = START
        self.accounts = {number: Account() for number in NUMBERS}
        with transaction(self.url) as session:
            self.ids = {n: cycles.ensure_account(session, n, "paper", START) for n in NUMBERS}
        self.processes: list[Process] = []

    @contextmanager
    def changing_nothing(self) -> Iterator[None]:
        before = self.contents()
        yield
        assert self.contents() == before

    def pick(self, number: int, is_replaced: bool) -> Process | None:
        """A process that still means to work, or one whose lease is gone."""
        same = [one for one in self.processes if one.is_replaced is is_replaced]
        found = [one for one in same if is_replaced or not one.has_ended]
        return found[number % len(found)] if found else None

    # What processes do

    @rule(account=accounts, name=names, version=versions)
    def a_process_opens_a_cycle(self, account: str, name: Name, version: Version) -> None:
        reason = self.why_not(account, name, version)
        opened = self.open(account, name, version)
        if reason is not None:
            assert isinstance(opened, Skip), opened
            assert reason in opened.reason
            return
        assert isinstance(opened, Cycle), opened
        mine = self.accounts[account]
        assert opened.lease_number > mine.number
        mine.number = opened.lease_number
        mine.slots[name] = Slot("running", version, LeaseLife.now + SILENCE_MAX, mine.number)
        self.replace_all(account)
        self.processes.append(Process(account, name, opened))

    def open(self, account: str, name: Name, version: Version) -> Cycle | Skip:
        known, origin = (self.ids[account], account), (None, said(version))
        slot, now = moment_of(name[1]), LeaseLife.now
        with transaction(self.url) as session:
            return cycles.open_cycle(session, known, name[0], slot, now, origin)

    def why_not(self, account: str, name: Name, version: Version) -> str | None:
        """Words of the reason that this slot may not be run; who is silent too long is dead."""
        mine = self.accounts[account].slots
        for slot in mine.values():
            if slot.state == "running" and slot.until < LeaseLife.now:
                slot.state = "failed"
                self.replace_all(account)
        if any(slot.version > version for slot in mine.values()):
            return f"this is {said(version)}: update it"
        if any(slot.state == "running" for slot in mine.values()):
            return "is running"
        if name in mine and mine[name].state == "done":
            return "has been run already"
        return None

    def replace_all(self, account: str) -> None:
        for one in self.processes:
            one.is_replaced |= one.account == account

    @rule(number=picks, name=st.none() | names, version=versions)
    def silence_and_another_comes(self, number: int, name: Name | None, version: Version) -> None:
        """For the same slot or one of its own; in vain when that is done, or its program old."""
        one = self.pick(number, is_replaced=False)
        if one is not None:
            LeaseLife.now += SILENCE_MAX + timedelta(seconds=1)
            self.a_process_opens_a_cycle(one.account, name or one.name, version)

    @rule(number=picks, step=a_step)
    def a_step_begins(self, number: int, step: Step) -> None:
        one = self.pick(number, is_replaced=False)
        if one is None or one.doing is not None:
            return
        doing = context.step(one.cycle, step)
        one.doing = (doing, doing.__enter__(), step)
        mine = self.accounts[one.account]
        mine.steps[one.name, step] = (LeaseLife.now, None)
        mine.slots[one.name].until = LeaseLife.now + SILENCE_MAX

    @rule(number=picks, rows=st.integers(0, 9))
    def a_step_ends(self, number: int, rows: int) -> None:
        """It may have begun before a silence in which nobody came."""
        one = self.pick(number, is_replaced=False)
        if one is None or one.doing is None:
            return
        (doing, note, step), one.doing = one.doing, None
        note.row_count = rows
        doing.__exit__(None, None, None)
        began, _ = self.accounts[one.account].steps[one.name, step]
        self.accounts[one.account].steps[one.name, step] = (began, rows)

    @rule(number=picks)
    def a_lease_is_renewed(self, number: int) -> None:
        one = self.pick(number, is_replaced=False)
        if one is not None:
            with context.transaction(one.cycle) as session:
                cycles.renew_lease(session, one.cycle, LeaseLife.now)
            self.accounts[one.account].slots[one.name].until = LeaseLife.now + SILENCE_MAX

    @rule(number=picks, fails=st.booleans(), is_asked_again=st.booleans())
    def a_cycle_ends(self, number: int, fails: bool, is_asked_again: bool) -> None:
        one = self.pick(number, is_replaced=False)
        if one is None:
            return
        with suppress(ZeroDivisionError), closing(one.cycle):
            assert not fails or 1 / 0
        one.has_ended = True
        self.accounts[one.account].slots[one.name].state = "failed" if fails else "done"
        if is_asked_again:
            self.a_process_opens_a_cycle(one.account, one.name, VERSIONS[0])

    @rule(account=accounts, name=names, version=versions)
    def a_slot_is_skipped(self, account: str, name: Name, version: Version) -> None:
        words, at = ("the market is closed", said(version)), moment_of(name[1])
        with transaction(self.url) as session:
            cycles.record_skip(session, self.ids[account], name[0], at, LeaseLife.now, words)
        skipped = Slot("skipped", version, LeaseLife.now)
        self.accounts[account].slots.setdefault(name, skipped)

    # What must not be possible

    @precondition(lambda self: any(one.is_replaced for one in self.processes))
    @rule(number=picks, step=a_step)
    def whoever_was_replaced_wakes_up_and_changes_nothing(self, number: int, step: Step) -> None:
        """It ends its step, begins others, renews, and ends its cycle, well or badly."""
        old = self.pick(number, is_replaced=True)
        assert old is not None
        with self.changing_nothing():
            if old.doing is not None:
                with pytest.raises(LeaseLost):
                    old.doing[0].__exit__(None, None, None)
                old.doing = None
            with pytest.raises(LeaseLost), closing(old.cycle), context.step(old.cycle, step):
                pass
            with pytest.raises(LeaseLost), context.transaction(old.cycle) as session:
                cycles.end_step(session, old.cycle, step, 1, (1, None))
            with transaction(self.url) as session:
                cycles.renew_lease(session, old.cycle, LeaseLife.now + timedelta(hours=9))
                cycles.close_cycle(session, old.cycle, CycleState.DONE, None)

    @rule(number=picks, name=names, step=a_step)
    def while_a_lease_is_held_nobody_takes_over(self, number: int, name: Name, step: Step) -> None:
        """However long: not the slot nor another. The other account and a halt do not wait."""
        one = self.pick(number, is_replaced=False)
        if one is None:
            return
        with context.transaction(one.cycle) as session:
            cycles.begin_step(session, one.cycle, step, LeaseLife.now)
            with self.changing_nothing():
                held_off = self.open(one.account, name, max(VERSIONS))
                words = "another cycle of the account is at work"
                assert held_off == Skip(reason=words, is_busy=True)
            with transaction(self.url) as person:
                halts.set_halt(person, one.cycle.account_id, "enough")
            (other,) = set(NUMBERS) - {one.account}
            self.a_process_opens_a_cycle(other, name, VERSIONS[0])
        self.accounts[one.account].steps[one.name, step] = (LeaseLife.now, None)
        self.accounts[one.account].slots[one.name].until = LeaseLife.now + SILENCE_MAX

    @rule(seconds=leaps)
    def the_brokers_clock_moves(self, seconds: int) -> None:
        LeaseLife.now += timedelta(seconds=seconds)

    # What always holds

    @invariant()
    def the_tables_say_what_has_happened_and_nothing_else(self) -> None:
        slots, steps = {}, {}
        for number, mine in self.accounts.items():
            for (kind, at), slot in mine.slots.items():
                stands = (slot.state, said(slot.version), slot.until, slot.number)
                slots[self.ids[number], kind, moment_of(at)] = stands
            for ((kind, at), step), did in mine.steps.items():
                steps[self.ids[number], kind, moment_of(at), step] = did
        cycle, state = "account_id, kind, slot", "state, code_version, lease_until, lease_number"
        found = self.rows(f"SELECT {cycle}, {state} FROM cycles")
        assert {row[:3]: row[3:] for row in found} == slots
        join = "steps JOIN cycles ON cycles.id = cycle_id"
        found = self.rows(f"SELECT {cycle}, step, started_at, row_count FROM {join}")
        assert {row[:4]: row[4:] for row in found} == steps

    @invariant()
    def one_cycle_of_an_account_runs_and_lease_numbers_only_grow(self) -> None:
        running = self.rows("SELECT account_id FROM cycles WHERE state = 'running'")
        assert len(running) == len(set(running))
        for number, lease_number in self.rows("SELECT number, lease_number FROM accounts"):
            assert lease_number >= self.accounts[number].number
            self.accounts[number].number = lease_number


def test_the_lease_keeps_its_promises_whatever_happens(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    task_settings.settings.cache_clear()
    clock = SimpleNamespace(clock=lambda: SimpleNamespace(now=LeaseLife.now))
    monkeypatch.setattr(context, "broker", lambda: clock)
    monkeypatch.setattr(cycles, "LOCK_TIMEOUT_MS", 10)  # nobody comes while this process waits
    monkeypatch.setattr(LeaseLife, "url", database_url)
    how = settings(max_examples=60, stateful_step_count=50)
    stateful.run_state_machine_as_test(LeaseLife, settings=how)
    task_settings.settings.cache_clear()
