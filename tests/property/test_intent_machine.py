"""The life of intents on a real Postgres: whatever happens in whatever order, no structure has two
live orders, states go along the allowed moves only, a halt holds, and an old lease writes nothing.

The broker is a table of what each order went through; readings of it are as old as they may be.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from db import cycles, halts, intents, planning
from db.intents import Claim, SentPrice
from db.session import transaction
from domain.cycle import Cycle, CycleKind, LeaseLost
from domain.orders import (
    ENDED,
    GIVEN_UP,
    LIVE,
    MOVES,
    UNSETTLED,
    IntentState,
    Leg,
    OrderIntent,
    Purpose,
    Side,
    next_look_at,
)
from domain.records import Order, Quote
from tasks import context
from tasks import settings as task_settings
from tasks.orders import give_up, record, refresh
from tests.property.database_machine import DatabaseMachine

SLOT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LEGS = (
    Leg(symbol="AAPL261218P00210000", side=Side.BUY, ratio=1),
    Leg(symbol="AAPL261218P00215000", side=Side.SELL, ratio=1),
)
PRICE = SentPrice(
    limit=Decimal("-1.05"),
    mid=Decimal("-1.10"),
    quotes={leg.symbol: Quote(bid=Decimal(1), ask=Decimal(2), quoted_at=SLOT) for leg in LEGS},
)
PER_MINUTE_MAX = 3
NAMESPACE = UUID(int=5)
picks = st.integers(0, 10**6)


def only_with(*words):
    """A rule for when an intent or a structure is in one of these states."""
    return precondition(lambda self: not self.known.isdisjoint(words))


class IntentLife(DatabaseMachine):
    @initialize()
    def begin(self):
        self.empty()
        self.now = SLOT
        self.known = set()  # states of intents and structures, as of the last step
        self.old = []  # cycles whose lease is gone
        self.orders = {}  # client_order_id -> what the broker's order went through
        self.sent = []  # (moment, purpose) of every claim
        self.count = 0
        self.cycle = self.open(SLOT)

    def open(self, slot):
        with transaction(self.url) as session:
            account_id = cycles.ensure_account(session, "A1", "paper", self.now)
            known = (account_id, "A1")
            opened = cycles.open_cycle(
                session, known, CycleKind.TRADING, slot, self.now, (None, "1")
            )
        assert isinstance(opened, Cycle), opened
        return opened

    def stored(self, states=tuple(IntentState)):
        with transaction(self.url) as session:
            mine = intents._read(session, self.cycle.account_id, states)
        return sorted(mine, key=lambda one: one.intent.client_order_id)

    def pick(self, number, states):
        found = self.stored(states)
        return found[number % len(found)] if found else None

    def is_halted(self):
        with transaction(self.url) as session:
            return halts.standing_halt(session, self.cycle.account_id) is not None

    # What a cycle does

    def plan(self, session, cycle, purpose, structure_id=None, quantity=3):
        self.count += 1
        name = f"{purpose}-{self.count:04}"
        values = {"cycle": cycle.id, "purpose": purpose, "structure": structure_id,
                  "underlying": f"U{self.count}"}  # fmt: skip
        candidate_id = session.execute(
            text(
                "INSERT INTO candidates (cycle_id, strategy, underlying, purpose, structure_id,"
                " is_accepted) VALUES (:cycle, 'iron_condor', :underlying, :purpose, :structure,"
                " true) RETURNING id"
            ),
            values,
        ).scalar_one()
        intent = OrderIntent(
            client_order_id=name,
            strategy="iron_condor",
            underlying=f"U{self.count}",
            purpose=purpose,
            legs=LEGS,
            quantity=quantity,
            limit_price=Decimal("-1.00"),
            loss_usd_worst=Decimal(400 * quantity),
        )
        planning.plan_intent(session, cycle, intent, (candidate_id, structure_id), self.now)

    @rule()
    def decide_an_entry(self):
        with context.transaction(self.cycle) as session:
            self.plan(session, self.cycle, Purpose.OPEN)

    @only_with("open")
    @rule(number=picks)
    def decide_an_exit(self, number):
        open_ones = self.rows(
            "SELECT id, quantity FROM structures WHERE state = 'open' ORDER BY id"
        )
        if not open_ones:
            return
        held = open_ones[number % len(open_ones)]
        planned = self.rows(
            f"SELECT 1 FROM intents WHERE structure_id = {held.id} AND purpose = 'close'"
            " AND state = 'planned'"
        )
        if not planned:  # the database would refuse it: see `a_second_live_order_is_refused`
            with context.transaction(self.cycle) as session:
                self.plan(session, self.cycle, Purpose.CLOSE, held.id, held.quantity)

    @only_with("planned")
    @rule(number=picks)
    def claim(self, number):
        one = self.pick(number, tuple(IntentState))
        if one is None:
            return
        with context.transaction(self.cycle) as session:
            answer = intents.claim(session, one, PRICE, self.now, PER_MINUTE_MAX)
        opens = one.intent.purpose is Purpose.OPEN
        lately = [at for at, purpose in self.sent if purpose is Purpose.OPEN
                  and at > self.now - timedelta(minutes=1)]  # fmt: skip
        if opens and self.is_halted():
            assert answer is Claim.HALTED
        elif opens and len(lately) >= PER_MINUTE_MAX:
            assert answer is Claim.TOO_MANY
        elif one.state is not IntentState.PLANNED:
            assert answer is Claim.TAKEN
        else:
            assert answer is Claim.CLAIMED
            self.sent.append((self.now, one.intent.purpose))

    @only_with("sending")
    @rule(number=picks, is_lost=st.booleans())
    def nobody_answers(self, number, is_lost):
        one = self.pick(number, [IntentState.SENDING])
        if one is None:
            return
        if not is_lost:
            self.arrive(one)
        with context.transaction(self.cycle) as session:
            to = (IntentState.UNKNOWN, 0)
            intents.move_intent(session, one.intent.client_order_id, to, self.now, "no answer")
            refresh(session, one.structure_id, self.now)

    @only_with("sending")
    @rule(number=picks)
    def the_broker_refuses(self, number):
        one = self.pick(number, [IntentState.SENDING])
        if one is not None and one.intent.client_order_id not in self.orders:
            with context.transaction(self.cycle) as session:
                give_up(session, one, IntentState.REFUSED, "no", self.now)

    def arrive(self, one):
        name = one.intent.client_order_id
        first = Order(
            id=uuid5(NAMESPACE, name), client_order_id=name, parent_id=None, order_class="mleg",
            symbol=None, side=None, position_intent=None, quantity=Decimal(one.intent.quantity),
            filled_quantity=Decimal(0), filled_average_price=None, limit_price=PRICE.limit,
            status="pending_new", submitted_at=self.now, updated_at=self.now, filled_at=None,
            legs=(),
        )  # fmt: skip
        self.orders.setdefault(name, [first])

    @only_with(*UNSETTLED, *GIVEN_UP)
    @rule(number=picks)
    def the_broker_takes_it(self, number):
        """However late: also after everybody has given it up."""
        one = self.pick(number, [*UNSETTLED, *GIVEN_UP])
        if one is not None:
            self.arrive(one)

    @precondition(lambda self: self.orders)
    @rule(number=picks, status=st.sampled_from(["new", "fill", "canceled", "expired"]))
    def the_order_goes_on(self, number, status):
        name = sorted(self.orders)[number % len(self.orders)]
        last = self.orders[name][-1]
        if last.status in ENDED:
            return
        self.now += timedelta(seconds=1)
        changed = {"status": status, "updated_at": self.now}
        if status == "new" and last.status != "pending_new":
            return
        if status == "fill":
            filled = last.filled_quantity + 1 + number % int(last.quantity - last.filled_quantity)
            whole = filled == last.quantity
            changed |= {
                "status": "filled" if whole else "partially_filled",
                "filled_quantity": filled,
                "filled_average_price": PRICE.limit,
            }
        self.orders[name].append(replace(last, **changed))

    @precondition(lambda self: self.orders)
    @rule(number=picks, age=st.integers(0, 5), twice=st.booleans())
    def an_order_is_read(self, number, age, twice):
        """As it is, or as it was some changes ago."""
        name = sorted(self.orders)[number % len(self.orders)]
        history = self.orders[name]
        order = history[max(len(history) - 1 - age, 0)]
        for again in (False, True)[: 1 + twice]:
            with context.transaction(self.cycle) as session:
                one = intents.read_one(session, name)
                written = record(session, self.cycle, one, order, self.now)
                assert not (again and written)

    @only_with(*UNSETTLED)
    @rule(number=picks, times=st.integers(1, 6))
    def an_order_is_looked_up(self, number, times):
        one = self.pick(number, UNSETTLED)
        for _ in range(times):
            if one is not None and one.state in UNSETTLED:
                self.look(one)
                with transaction(self.url) as session:
                    one = intents.read_one(session, one.intent.client_order_id)

    def look(self, one):
        due = next_look_at(one.sent_at, one.looked_at, one.looks)
        name = one.intent.client_order_id
        if due is not None:
            self.now = max(self.now, due)
        with context.transaction(self.cycle) as session:
            if name in self.orders:
                record(session, self.cycle, one, self.orders[name][-1], self.now)
            elif due is None:
                give_up(session, one, IntentState.NOT_RECEIVED, "never received", self.now)
            else:
                intents.count_look(session, name, self.now)

    @only_with("canceled", "expired")
    @rule(number=picks)
    def what_an_order_left_is_asked_for_again(self, number):
        one = self.pick(number, [IntentState.CANCELED, IntentState.EXPIRED])
        if one is None or one.filled_quantity == one.intent.quantity:
            return
        last = (
            f"SELECT client_order_id FROM intents WHERE structure_id = {one.structure_id}"
            f" AND purpose = '{one.intent.purpose}'"
            " ORDER BY candidate_id DESC, attempt DESC LIMIT 1"
        )
        if self.rows(last)[0][0] != one.intent.client_order_id:
            return
        live = ", ".join(f"'{state}'" for state in (IntentState.PLANNED, *LIVE))
        if self.rows(
            f"SELECT 1 FROM intents WHERE structure_id = {one.structure_id}"
            f" AND purpose = '{one.intent.purpose}' AND state IN ({live})"
        ):
            return
        name = f"{one.intent.client_order_id}+"
        with context.transaction(self.cycle) as session:
            rest = one.intent.rest(name, one.filled_quantity)
            origin = (one.candidate_id, one.structure_id)
            planning.plan_intent(session, self.cycle, rest, origin, self.now)
            refresh(session, one.structure_id, self.now)

    @only_with("planned")
    @rule(number=picks)
    def what_was_planned_is_given_up(self, number):
        one = self.pick(number, [IntentState.PLANNED])
        if one is not None:
            with context.transaction(self.cycle) as session:
                assert give_up(session, one, IntentState.NOT_SENT, "late", self.now)

    # Roads that chance alone seldom takes to their end

    def newest(self, purpose, states):
        found = [one for one in self.stored(states) if one.intent.purpose is purpose]
        return found[-1] if found else None

    def send_newest(self, purpose):
        """The intent as claimed; None when it may not leave."""
        one = self.newest(purpose, [IntentState.PLANNED])
        if one is None or one.intent.attempt > 1:
            return None
        with context.transaction(self.cycle) as session:
            if intents.claim(session, one, PRICE, self.now, PER_MINUTE_MAX) is not Claim.CLAIMED:
                return None
        self.sent.append((self.now, purpose))
        return one

    @rule()
    def an_entry_fills_whole(self):
        self.decide_an_entry()
        one = self.send_newest(Purpose.OPEN)
        if one is None:
            return
        self.arrive(one)
        history = self.orders[one.intent.client_order_id]
        self.now += timedelta(seconds=1)
        whole = {"filled_quantity": history[-1].quantity, "filled_average_price": PRICE.limit}
        history.append(replace(history[-1], status="filled", updated_at=self.now, **whole))
        with context.transaction(self.cycle) as session:
            one = intents.read_one(session, one.intent.client_order_id)
            record(session, self.cycle, one, history[-1], self.now)

    @only_with("open")
    @rule(number=picks)
    def an_exit_is_given_up_as_never_received(self, number):
        self.decide_an_exit(number)
        one = self.send_newest(Purpose.CLOSE)
        if one is not None:
            for _ in range(6):
                with transaction(self.url) as session:
                    one = intents.read_one(session, one.intent.client_order_id)
                self.look(one)

    @only_with(*GIVEN_UP)
    @rule(number=picks)
    def what_was_given_up_turns_up(self, number):
        one = self.pick(number, GIVEN_UP)
        if one is not None:
            self.arrive(one)
            with context.transaction(self.cycle) as session:
                order = self.orders[one.intent.client_order_id][-1]
                record(session, self.cycle, one, order, self.now)

    # What happens around it

    @rule()
    def a_person_halts(self):
        with transaction(self.url) as session:
            halts.set_halt(session, self.cycle.account_id, "enough")

    @only_with("halted")
    @rule()
    def a_person_clears_the_halt(self):
        with transaction(self.url) as session:
            halts.clear_halt(session, self.cycle.account_id)

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(is_same_slot=st.booleans())
    def another_process_takes_over(self, is_same_slot):
        self.old.append(self.cycle)
        self.now += cycles.LEASE + timedelta(minutes=30)
        self.cycle = self.open(self.cycle.slot if is_same_slot else self.now)

    @precondition(lambda self: self.old)
    @rule(number=picks)
    def the_old_process_wakes_up(self, number):
        """It tries everything, and changes nothing."""
        old = self.old[number % len(self.old)]
        before = self.contents()

        def plan(session):
            self.plan(session, old, Purpose.OPEN)

        def claim(session):
            for one in intents.read_planned(session, old):
                intents.claim(session, one, PRICE, self.now, PER_MINUTE_MAX)

        def settle(session):
            for one in intents.read_unsettled(session, old.account_id):
                give_up(session, one, IntentState.NOT_RECEIVED, "no", self.now)

        for attempt in (plan, claim, settle):
            with pytest.raises(LeaseLost), context.transaction(old) as session:
                attempt(session)
        assert self.contents() == before

    def contents(self):
        names = ("intents", "intent_events", "structures", "candidates", "orders", "cycles")
        return {name: self.rows(f"SELECT * FROM {name} ORDER BY 1") for name in names}

    # What always holds

    @invariant()
    def no_two_orders_of_a_structure_may_fill_but_those_given_up_before(self):
        live = ", ".join(f"'{state}'" for state in (IntentState.PLANNED, *LIVE))
        doubled = self.rows(
            f"SELECT structure_id, purpose FROM intents WHERE state IN ({live})"
            " AND client_order_id NOT IN"
            " (SELECT client_order_id FROM intent_events"
            " WHERE state IN ('not_received', 'refused'))"
            " GROUP BY structure_id, purpose HAVING count(*) > 1"
        )
        assert doubled == []

    @invariant()
    def every_intent_went_along_the_moves_from_planned_and_never_lost_a_fill(self):
        last = {}
        for row in self.rows(
            "SELECT client_order_id, state, filled_quantity FROM intent_events ORDER BY id"
        ):
            before, filled = last.get(row.client_order_id, (None, 0))
            assert row.filled_quantity >= filled
            assert row.state == "planned" if before is None else (
                row.state == before or row.state in MOVES[before]
            )  # fmt: skip
            last[row.client_order_id] = (row.state, row.filled_quantity)
        stored = self.rows("SELECT client_order_id, state, filled_quantity FROM intents")
        assert {row[0]: (row[1], row[2]) for row in stored} == last
        structures = self.rows("SELECT DISTINCT state FROM structures")
        self.known = {row[1] for row in stored} | {row[0] for row in structures}
        if self.is_halted():
            self.known.add("halted")

    @invariant()
    def what_left_is_what_was_claimed_and_no_more(self):
        left = self.rows("SELECT count(*) FROM intents WHERE sent_at IS NOT NULL")
        assert left[0][0] == len(self.sent)

    @invariant()
    def every_structure_is_what_its_orders_make_of_it(self):
        with transaction(self.url) as session:
            found = session.execute(text("SELECT id, state FROM structures")).all()
            # An exit says that it is on its way as soon as it is claimed.
            assert [row for row in found if refresh(session, row.id, self.now)] == []


def test_the_life_of_intents_keeps_its_promises_whatever_happens(database_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    task_settings.settings.cache_clear()
    monkeypatch.setattr(IntentLife, "url", database_url)
    run_state_machine_as_test(
        IntentLife, settings=settings(max_examples=25, stateful_step_count=50)
    )
    task_settings.settings.cache_clear()
