"""Reconcile on a real Postgres, against a broker whose lists are late, older than what was read
before, corrected, taken back: after every pass our books are the newest it has said, each thing
once; a second pass writes nothing; the audit names what nothing explains and nothing else."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from sqlalchemy import Connection

from db import cycles, halts, intents, planning
from db.candidates import leg_rows
from db.intents import Claim, SentPrice
from db.schema import metadata
from db.session import transaction
from domain.cycle import Cycle, CycleKind, CycleState
from domain.orders import IntentState, OrderIntent, Purpose
from domain.records import Activity, Fill, Quote
from tasks import context, orders, reconcile
from tasks import settings as task_settings
from tests.property.books_model import PACKAGES, BooksModel, Held, Lapse, intent_of
from tests.property.broker_model import CASH, START, ModelBroker
from tests.property.database_machine import DatabaseMachine

DAYS_MAX = timedelta(days=3, hours=12)  # rows older than four days are not read again
PRICE = SentPrice(limit=Decimal("-1.05"), mid=Decimal("-1.10"), quotes={
    symbol: Quote(bid=Decimal(1), ask=Decimal(2), quoted_at=START)
    for package in PACKAGES for symbol, _ in package
})  # fmt: skip

picks = st.integers(0, 10**6)
fates = st.sampled_from(["answered", "answered", "silent", "lost"])
cents = st.integers(1, 500).map(lambda n: Decimal(n) / 100)
amounts = st.integers(-5000, 5000).filter(bool).map(lambda n: Decimal(n) / 100)
lapses = st.tuples(st.booleans(), st.booleans(), st.booleans())
a_package = st.integers(0, len(PACKAGES) - 1)


class BooksLife(DatabaseMachine):
    broker = ModelBroker()  # of the class: what the tasks ask

    @initialize()
    def begin(self) -> None:
        self.empty()
        BooksLife.broker = ModelBroker()
        self.books = BooksModel(self.broker)
        self.withdrawn: set[str] = set()
        self.slots: dict[str, datetime] = {}  # of each order
        self.of_earlier_slots: set[str] = set()  # which the first step of a cycle withdraws
        self.count = 0
        self.open_cycle(CycleKind.TRADING)
        self.a_pass([0])

    def open_cycle(self, kind: CycleKind) -> None:
        now = self.broker.now
        with transaction(self.url) as session:
            account_id = cycles.ensure_account(session, "A1", "paper", now)
            self.count += 1
            slot, known = START + timedelta(minutes=self.count), (account_id, "A1")
            opened = cycles.open_cycle(session, known, kind, slot, now, (None, "1"))
        assert isinstance(opened, Cycle), opened
        self.cycle = opened

    # Orders

    def send(self, held_id: int | None, package: int, units: int, fate: str) -> None:
        """Plan, claim and send as a cycle does; `silent` arrives without an answer, `lost` not."""
        self.count += 1
        purpose = Purpose.OPEN if held_id is None else Purpose.CLOSE
        intent = intent_of(self.count, purpose, package, units)
        name, now = intent.client_order_id, self.broker.now
        with context.transaction(self.cycle) as session:
            origin = (self.candidate(session, intent, held_id), held_id)
            planning.plan_intent(session, self.cycle, intent, origin, now)
            one = intents.read_one(session, name)
            assert intents.claim(session, one, PRICE, now, 10**6) is Claim.CLAIMED
        self.slots[name] = self.cycle.slot
        held = self.books.held.setdefault(one.structure_id, Held(package, units))
        (held.entries if held_id is None else held.exits).append(name)
        held.state = "opening" if held_id is None else "closing"
        self.books.unanswered[name] = "sending"
        if fate != "lost":
            traded = tuple((leg.symbol, leg.side) for leg in intent.legs)
            self.broker.place(name, traded, units)
        with context.transaction(self.cycle) as session:
            if fate == "answered":
                one = intents.read_one(session, name)
                order = self.broker.order_by_client_id(name)
                assert order is not None
                orders.record(session, self.cycle, one, order, now)
            elif fate == "silent":
                intents.move_intent(session, name, (IntentState.UNKNOWN, 0), now, "no answer")
                self.books.unanswered[name] = "unknown"

    def candidate(self, session: Connection, intent: OrderIntent, held_id: int | None) -> int:
        values = {"cycle_id": self.cycle.id, "is_accepted": True, "structure_id": held_id}
        values |= {name: getattr(intent, name) for name in ("strategy", "underlying", "purpose")}
        table = metadata.tables["candidates"]
        inserted = session.execute(table.insert().values(values).returning(table.c.id))
        candidate_id = int(inserted.scalar_one())
        legs = leg_rows("candidate_id", candidate_id, intent.legs)
        session.execute(metadata.tables["candidate_legs"].insert(), legs)
        return candidate_id

    @rule(package=a_package, units=st.integers(1, 3), fate=fates)
    def an_entry_is_sent(self, package: int, units: int, fate: str) -> None:
        if package not in self.books.gone:
            self.send(None, package, units, fate)

    @rule(package=a_package, units=st.integers(1, 3), price=cents)
    def an_entry_is_filled_and_read(self, package: int, units: int, price: Decimal) -> None:
        if package not in self.books.gone:
            self.send(None, package, units, "answered")
            self.broker.fill(list(self.broker.placed.values())[-1], units, price)
            self.a_pass([0])

    @rule(number=picks, fate=fates)
    def an_exit_is_sent(self, number: int, fate: str) -> None:
        """For all that is held, where the newest of its entries has been read."""
        if found := self.books.to_leave():
            key = found[number % len(found)]
            self.send(key, self.books.held[key].package, self.books.held[key].quantity, fate)

    @rule(number=picks, status=st.sampled_from(["new", "fill", "fill", "canceled"]), price=cents)
    def an_order_goes_on(self, number: int, status: str, price: Decimal) -> None:
        found = self.books.working()
        if not found:
            return
        placed = found[number % len(found)]
        if status == "fill":
            self.broker.fill(placed, 1 + number % placed.left, price)
        elif status != "new" or placed.history[-1].status == "pending_new":
            self.broker.tell(placed, status)

    @rule(number=picks, is_given_up=st.booleans())
    def an_entry_arrives_late(self, number: int, is_given_up: bool) -> None:
        """Also after it was given up as never received."""
        if is_given_up:
            self.a_whole_reconcile(0)
        if found := self.books.lost():
            name, held = found[number % len(found)]
            self.broker.place(name, PACKAGES[held.package], held.quantity)

    # Rows

    @precondition(lambda self: self.broker.rows)
    @rule(number=picks, price=cents)
    def a_row_is_corrected(self, number: int, price: Decimal) -> None:
        row = self.broker.rows[number % len(self.broker.rows)]
        if isinstance(row.now, Fill) and row.now.status != "canceled":
            self.broker.change(row, status="correct", price=price)
        elif isinstance(row.now, Activity) and row.now.activity_type == "FEE":
            self.broker.change(row, status="correct", net_amount=-price)

    @rule(number=picks)
    def an_execution_is_taken_back(self, number: int) -> None:
        """All legs of it, and none that an exit has followed."""
        if found := self.books.to_take_back():
            self.broker.change(found[number % len(found)], status="canceled")

    @rule(start=picks, count=st.integers(1, 6))
    def rows_are_listed(self, start: int, count: int) -> None:
        self.broker.list_some(start, count)

    @rule(cost=cents)
    def a_fee_is_taken(self, cost: Decimal) -> None:
        self.count += 1
        self.broker.note("FEE", f"fee-{self.count}", None, 0, -cost)

    @rule(number=picks, lapse=lapses, is_listed=st.booleans())
    def a_package_expires(self, number: int, lapse: Lapse, is_listed: bool) -> None:
        """Each leg worthless or exercised; the rows come at once or later."""
        if found := self.books.in_hand():
            self.books.expire(found[number % len(found)], lapse)
            for _ in range(2 * is_listed):  # an expiry comes after what was traded before it
                self.broker.list_some(0, len(self.broker.rows))
            self.a_pass([0])

    @rule(number=picks, price=cents)
    def a_person_trades_a_package_away(self, number: int, price: Decimal) -> None:
        if found := [n for n in self.books.in_hand() if not self.books.working(n)]:
            self.books.trade_away(found[number % len(found)], price)

    @rule(subject=st.sampled_from([CASH, "TSLA", "SPY"]), amount=amounts)
    def something_moves_that_nothing_explains(self, subject: str, amount: Decimal) -> None:
        self.broker.planted[subject] += amount if subject == CASH else int(amount) or 1

    # Time

    @rule(hours=st.sampled_from([0.1, 1, 8]), kind=st.sampled_from(CycleKind))
    def another_cycle_begins(self, hours: float, kind: CycleKind) -> None:
        if self.broker.now < START + DAYS_MAX:
            self.broker.now += timedelta(hours=hours)
        with transaction(self.url) as session:
            cycles.close_cycle(session, self.cycle, CycleState.DONE, None)
        self.open_cycle(kind)

    @rule(seconds=st.integers(-300, 300))
    def the_brokers_clock_moves(self, seconds: int) -> None:
        self.broker.now += timedelta(seconds=seconds)

    # Passes

    @rule(ages=st.lists(st.integers(0, 4), min_size=1, max_size=3))
    def a_pass(self, ages: list[int]) -> None:
        """Over orders as they were so many changes ago, each in its turn."""
        self.broker.ages = ages
        self.one_pass()
        if self.broker.asked - self.withdrawn:  # a pass that withdraws has changed the broker
            self.withdrawn = set(self.broker.asked)
            self.one_pass()
        before = self.contents()
        self.one_pass()
        assert self.contents() == before

    def one_pass(self) -> None:
        now = self.broker.now
        wrong, _ = reconcile._pass(self.cycle, context.StepNote(now=now), now)
        self.check()
        assert {each.subject: each.found - each.expected for each in wrong} == self.wrong()

    def wrong(self) -> dict[str, Decimal]:
        """What nothing explains, and legs that stand apart."""
        moved = self.broker.unexplained() if self.cycle.kind is CycleKind.TRADING else {}
        torn = self.books.torn() | {
            subject: off
            for subject, off in self.books.missing().items()
            if subject.removesuffix(" of the structures") not in moved
        }
        return moved | torn

    @rule(per_wait=st.integers(0, 3))
    def a_whole_reconcile(self, per_wait: int) -> None:
        """It looks up what has no answer, and reads again while rows come in. As the only one of an
        end of day it withdraws what works still."""
        self.broker.ages, self.broker.per_wait = [0], per_wait
        if self.cycle.kind is CycleKind.END_OF_DAY:
            self.of_earlier_slots |= {
                name
                for name, slot in self.slots.items()
                if slot < self.cycle.slot
                and name in self.broker.placed
                and not self.broker.placed[name].has_ended
                and self.books.unanswered.get(name) != "not_received"
            }
        reconcile.reconcile.fn(self.cycle)
        for name in self.books.unanswered:
            if name not in self.broker.placed:
                self.books.unanswered[name] = "not_received"
        self.withdrawn = set(self.broker.asked)
        self.check()
        if self.cycle.kind is CycleKind.TRADING:
            wrong = self.wrong()
            standing = self.rows("SELECT subject FROM discrepancies WHERE explained_at IS NULL")
            assert sorted(row[0] for row in standing) == sorted(wrong)
            with transaction(self.url) as session:
                assert halts.clear_halt(session, self.cycle.account_id) is bool(wrong)

    # What a pass leaves

    def check(self) -> None:
        self.every_order_fill_and_activity_is_there_once_as_it_was_told_last()
        self.every_intent_stands_where_its_order_does_and_never_lost_a_fill()
        for held in self.books.held.values():
            self.books.follow(held)
        known = [(key, held.state, held.quantity) for key, held in self.books.held.items()]
        assert self.rows("SELECT id, state, quantity FROM structures ORDER BY id") == known
        assert self.broker.asked == self.books.to_withdraw() | self.of_earlier_slots

    def every_order_fill_and_activity_is_there_once_as_it_was_told_last(self) -> None:
        told = [self.broker.placed[name].history[n] for name, n in self.broker.known.items()]
        every = [order for parent in told for order in (parent, *parent.legs)]
        names = "id status quantity filled_quantity filled_average_price updated_at"
        self.same("orders", names, every)
        listed = [row.listed for row in self.broker.rows if row.listed is not None]
        fills = [row for row in listed if isinstance(row, Fill)]
        others = [row for row in listed if not isinstance(row, Fill)]
        self.same("fills", "id order_id symbol side quantity price status", fills)
        self.same("activities", "activity_type id symbol quantity net_amount status", others)
        self.same("positions", "symbol quantity", self.broker.positions())
        marked = self.rows(f"SELECT cash FROM account_marks WHERE cycle_id = {self.cycle.id}")
        assert marked == [(self.broker.account().cash,)]

    def same(self, table: str, columns: str, theirs: Sequence[object]) -> None:
        ours = self.rows(f"SELECT {columns.replace(' ', ', ')} FROM {table}")
        expected = [tuple(getattr(each, name) for name in columns.split()) for each in theirs]
        assert sorted(ours, key=str) == sorted(expected, key=str)

    def every_intent_stands_where_its_order_does_and_never_lost_a_fill(self) -> None:
        found = self.rows("SELECT client_order_id, state, filled_quantity FROM intents")
        assert {row[0]: row[1:] for row in found} == {
            name: (self.books.told(name)[0], self.broker.most_filled[name])
            for name in self.books.unanswered
        }


def test_the_books_keep_their_promises_whatever_the_broker_lists(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    task_settings.settings.cache_clear()
    for module in (context, orders, reconcile):
        monkeypatch.setattr(module, "broker", lambda: BooksLife.broker)
    for module in (orders, reconcile):
        monkeypatch.setattr(module, "wait", lambda seconds: BooksLife.broker.wait(seconds))
    monkeypatch.setattr(BooksLife, "url", database_url)
    how = settings(max_examples=35, stateful_step_count=50)
    stateful.run_state_machine_as_test(BooksLife, settings=how)
    task_settings.settings.cache_clear()
