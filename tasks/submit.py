"""Submit orders: each intent leaves once, its answer is kept, and what is not filled is worked from
the mid towards the natural price."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from broker.errors import BrokerError, IdTaken, Refused, Unknown
from db import cycles, intents, orders, planning, structures
from db.intents import Claim, SentPrice, StoredIntent
from domain.cycle import Cycle, LeaseLost, Step
from domain.execution import gate, limit_at, package_price
from domain.holding import closable, legs_left
from domain.orders import ENDED, LIVE, UNSETTLED, IntentState, Purpose, client_order_id
from domain.records import Quote
from domain.structures import StructureState
from tasks.config import config
from tasks.context import broker, listen, log, now, read, step, transaction
from tasks.orders import (
    give_up,
    record,
    refresh,
    settle_unsettled,
    withdraw,
    withdraw_earlier,
    withdraw_own,
)
from tasks.waiting import wait

#: How often to look in an attempt's time what became of it, should the broker tell nothing.
LOOKS = 4
#: And at most: a stream that repeats itself is not to use up the broker's rate limit.
LOOKS_MAX = 20
#: How long a cancel may take before its order is left to the next cycle.
CANCEL_S, CANCEL_LOOKS = 2.0, 5
#: No order leaves so shortly before the close: it could not be worked any more, and what the broker
#: gets after the close it keeps for the next day, or refuses.
LAST_S = 30.0
#: A claim is for a request that leaves at once. A process that was stopped after it sends nothing:
#: its prices are old, and its lease may be another's by now.
CLAIM_S = 10.0
#: What may be asked for again: the order is known to have ended, and nobody turned it down.
MAY_FOLLOW = (IntentState.CANCELED, IntentState.EXPIRED)


@task(cache_policy=NO_CACHE)  # never retried: an order is not a read
def submit(cycle: Cycle) -> None:
    """Work what this cycle planned, after a second try to withdraw what an earlier slot has left.
    When it fails, what it has in the market is withdrawn before the error goes on."""
    with step(cycle, Step.SUBMIT) as this:
        with transaction(cycle) as connection:
            live = intents.read_live(connection, cycle.account_id)
            planned = intents.read_planned(connection, cycle)
        withdrawn = withdraw_earlier(cycle)
        mine = [one for one in planned if one.slot == cycle.slot]
        left_over = [one for one in live if one.slot == cycle.slot and one.state not in UNSETTLED]
        if mine or left_over:
            listen()
        with _withdrawn_on_failure(cycle):
            this.row_count = _work(cycle, mine, left_over)
        this.note = f"{withdrawn} withdrawn" if withdrawn else None


@contextmanager
def _withdrawn_on_failure(cycle: Cycle) -> Iterator[None]:
    """Ask to cancel what is in the market when an error ends the work, and let that error go on. A
    process that is told to end asks for nothing more: the next run of the slot goes on with it."""
    try:
        yield
    except Exception:  # whatever it is: it goes on below
        try:
            withdraw_own(cycle)
        # The first error says more, and the next cycle withdraws.
        except (BrokerError, LeaseLost, SQLAlchemyError) as error:
            log.warning("not withdrawn", slot=f"{cycle.slot:%Y-%m-%dT%H:%MZ}", reason=str(error))
        raise


def _work(cycle: Cycle, planned: list[StoredIntent], working: list[StoredIntent]) -> int:
    """Send what is planned, and again at a better price what was not filled; requests that left.

    working  orders of this slot that are in the market already, from a run that was stopped
    """
    rules = config().execution
    over = now() + timedelta(seconds=rules.deadline_s)
    sent = 0
    while planned or working:
        answered = [one for one in planned if _send(cycle, one)]
        sent += len(answered)
        settle_unsettled(cycle, now())  # what is found is worked on like any other
        working = _watch(cycle, _still_live(cycle, [*working, *answered]))
        ended = [_cancel(cycle, one) for one in working]
        planned, working = _follow_ups(cycle, ended, over), []
    return sent


def _send(cycle: Cycle, one: StoredIntent) -> bool:
    """Whether a request left. The claim is committed first: a crash after that leaves `sending`,
    which reconcile looks up and nothing ever sends again."""
    quotes = read(lambda: broker().quotes([leg.symbol for leg in one.intent.legs]))
    clock = read(broker().clock)  # after the quotes: they may have taken their time
    price = _price(one, quotes, clock.now)
    with transaction(cycle) as connection:
        cycles.renew_lease(connection, cycle, clock.now)
        if not clock.is_open:
            why: str = "the market has closed"
        elif clock.next_close - clock.now <= timedelta(seconds=LAST_S):
            why = f"the market closes within {LAST_S:.0f} s"
        elif isinstance(price, str):
            why = f"its quotes: {price}"
        elif not _may_go(connection, one):
            why = "its structure is not there to be closed"
        else:
            per_minute_max = config().limits.orders_per_minute_max
            claim = intents.claim(connection, one, price, clock.now, per_minute_max)
            why = claim
        if why != Claim.CLAIMED:
            give_up(connection, one, IntentState.NOT_SENT, why, clock.now)
            return False
        assert isinstance(price, SentPrice)
    return _post(cycle, one, price, time.monotonic())


def _may_go(connection: Connection, one: StoredIntent) -> bool:
    """Whether an exit closes what its orders have left its structure, and no other is on its way:
    one that was given up may have come up since this one was planned. An entry may always go."""
    if one.intent.purpose is Purpose.OPEN:
        return True
    structure = structures.read_structure(connection, one.structure_id)
    parts = structures.read_parts(connection, [one.structure_id])[one.structure_id]
    left, units = legs_left(structure, parts), one.intent.quantity
    is_there = closable(one.intent.legs, units, [left]) == units
    return is_there and structure.state is StructureState.OPEN


def _price(one: StoredIntent, quotes: Mapping[str, Quote], moment: datetime) -> SentPrice | str:
    """The limit this attempt goes out at; or why its quotes are not traded on."""
    intent, rules = one.intent, config().execution
    closed = gate(intent.legs, quotes, intent.purpose, moment, rules)
    if closed is not None:
        return closed
    price = package_price(intent.legs, quotes)
    limit = limit_at(intent.attempt, intent.legs, price, intent.limit_price, rules)
    return SentPrice(limit=limit, mid=price.mid, quotes=quotes)


def _post(cycle: Cycle, one: StoredIntent, price: SentPrice, claimed_s: float) -> bool:
    """Send a claimed intent and write what was answered; whether a request left.

    The lease is held while the request is under way, and a process that was taken for dead finds it
    lost before that. One that is stopped between the two is seen by its own clock. What is left is
    the moment between that look and the request: an order that leaves there is still the only one
    of its id, and whoever has taken over looks it up.

    claimed_s  when the claim was committed, by this process's monotonic clock
    """
    client_order_id = one.intent.client_order_id
    with transaction(cycle) as connection:
        waited_s = time.monotonic() - claimed_s
        if waited_s > CLAIM_S:
            # Nothing has left and nothing will: there is no order to be looked up.
            why = f"never sent: {waited_s:.0f} s passed after the claim"
            give_up(connection, one, IntentState.NOT_RECEIVED, why, now())
            return False
        try:
            order = broker().submit(one.intent, price.limit)
        except Refused as error:
            state, why = _state_of(error), str(error)
        except Unknown as error:
            state, why = IntentState.UNKNOWN, str(error)
        else:
            sending = intents.read_one(connection, client_order_id)
            record(connection, cycle, sending, order, now())
            return True
        intents.move_intent(connection, client_order_id, (state, 0), now(), why)
        refresh(connection, one.structure_id, now())
    log.info("no order", intent=client_order_id, state=str(state), detail=why)
    return True


def _state_of(error: Refused) -> IntentState:
    """A taken id is an order that exists, whoever made it: only a look tells."""
    return IntentState.UNKNOWN if isinstance(error, IdTaken) else IntentState.REFUSED


def _still_live(cycle: Cycle, ones: Iterable[StoredIntent]) -> list[StoredIntent]:
    """Those that are in the market by what was answered, as they stand now."""
    with transaction(cycle) as connection:
        known = [intents.read_one(connection, one.intent.client_order_id) for one in ones]
    return [one for one in known if one.state in LIVE and one.state not in UNSETTLED]


def _watch(cycle: Cycle, working: list[StoredIntent]) -> list[StoredIntent]:
    """What is still in the market when the attempt's time is over: by the broker's clock, or by
    ours where that one stands still."""
    attempt_s = config().execution.attempt_s
    moment, began_s, looks = now(), time.monotonic(), 0
    until = moment + timedelta(seconds=attempt_s)
    while working and moment < until and looks < LOOKS_MAX:
        if time.monotonic() - began_s >= attempt_s:
            break
        wait(min(attempt_s / LOOKS, (until - moment).total_seconds()))
        moment = now()
        working = [seen for one in working if (seen := _look(cycle, one, moment)).state in LIVE]
        looks += 1
    return working


def _look(cycle: Cycle, one: StoredIntent, moment: datetime) -> StoredIntent:
    """The intent as its order stands at the broker now."""
    order = read(lambda: broker().order_by_client_id(one.intent.client_order_id))
    with transaction(cycle) as connection:
        cycles.renew_lease(connection, cycle, moment)
        if order is None or not record(connection, cycle, one, order, moment):
            return one
        return intents.read_one(connection, one.intent.client_order_id)


def _cancel(cycle: Cycle, one: StoredIntent) -> StoredIntent:
    """The intent once its order is known to have ended; as it stands when that takes too long."""
    withdraw(cycle, one)
    seen = _look(cycle, one, now())
    for _ in range(CANCEL_LOOKS):
        if seen.state in ENDED:
            break
        wait(CANCEL_S)
        seen = _look(cycle, seen, now())
    return seen


def _follow_ups(cycle: Cycle, ended: Iterable[StoredIntent], over: datetime) -> list[StoredIntent]:
    """The next attempts, planned for what ended orders left."""
    moment, follow_ups = now(), []
    if moment >= over:
        return []
    with transaction(cycle) as connection:
        for known in ended:
            one = intents.read_one(connection, known.intent.client_order_id)
            left = one.intent.quantity - one.filled_quantity
            again = one.intent.attempt < config().execution.attempts
            if one.state not in MAY_FOLLOW or not left or not again:
                continue
            if orders.was_replaced(connection, cycle.account_id, one.intent.client_order_id):
                continue  # the rest is asked for already
            name = _next_id(connection, cycle, one)
            intent = one.intent.rest(name, one.filled_quantity)
            origin = (one.candidate_id, one.structure_id)
            planning.plan_intent(connection, cycle, intent, origin, moment)
            follow_ups.append(intents.read_one(connection, intent.client_order_id))
            refresh(connection, one.structure_id, moment)
    return follow_ups


def _next_id(connection: Connection, cycle: Cycle, one: StoredIntent) -> str:
    """The id of the attempt after this one, for the same decision."""
    intent, closes = one.intent, None
    if intent.purpose is Purpose.CLOSE:
        closes = structures.read_openings(connection, [one.structure_id])[one.structure_id]
    return client_order_id(
        cycle.account, intent.strategy, cycle.slot, closes, intent.legs, intent.attempt + 1
    )
