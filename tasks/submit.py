"""Submit orders: each planned intent leaves once, and its answer is kept."""

from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.orm import Session

from broker.errors import IdTaken, Refused, Unknown
from db import intents
from db.intents import StoredIntent
from domain.cycle import Cycle, Step
from domain.orders import IntentState
from domain.reconcile import without_order
from tasks.context import broker, log, now, step, transaction


@task(cache_policy=NO_CACHE)  # never retried: an order is not a read
def submit(cycle: Cycle) -> None:
    """Withdraw what an earlier slot left working, then send what this cycle planned."""
    with step(cycle, Step.SUBMIT) as this:
        with transaction() as session:
            live = intents.read_live(session, cycle.account_id)
            planned = intents.read_planned(session, cycle)
        withdrawn = sum(_withdraw(one) for one in live if one.slot < cycle.slot)
        for one in planned:
            if one.slot == cycle.slot:
                this.row_count += _send(one)
            else:
                _give_up(one, "its slot passed before it was sent", this.now)
        this.note = f"{withdrawn} withdrawn" if withdrawn else None


def _send(one: StoredIntent) -> int:
    """1 when a request left. The claim is committed first: a crash after that leaves `sending`,
    which reconcile looks up and nothing ever sends again."""
    client_order_id = one.intent.client_order_id
    moment = now()
    with transaction() as session:
        claimed = intents.claim(session, client_order_id, moment)
    if not claimed:
        _give_up(one, "a halt was set before it was sent", moment)
        return 0
    state, detail = IntentState.WORKING, None
    try:
        broker().submit(one.intent)
    except IdTaken:
        detail = "the broker had it already"
    except Refused as error:
        state, detail = IntentState.REFUSED, str(error)
    except Unknown as error:
        state, detail = IntentState.UNKNOWN, str(error)
    with transaction() as session:
        intents.move_intent(session, client_order_id, state, detail)
        if state is IntentState.REFUSED:
            _end_without_order(session, one, moment)
    log.info("sent", intent=client_order_id, state=str(state), detail=detail)
    return 1


def _end_without_order(session: Session, one: StoredIntent, moment: datetime) -> None:
    change = without_order(one.intent.purpose)
    intents.apply_structure_update(session, one.structure_id, change, moment)


def _give_up(one: StoredIntent, why: str, moment: datetime) -> None:
    """End an intent that no request has left for."""
    with transaction() as session:
        if not intents.move_intent(session, one.intent.client_order_id, IntentState.NOT_SENT, why):
            return  # another worker has claimed it
        _end_without_order(session, one, moment)
    log.info("given up", intent=one.intent.client_order_id, reason=why)


def _withdraw(one: StoredIntent) -> int:
    """1 when the broker took the cancel of an order that is still working; reconcile sees what
    became of it."""
    found = broker().order_by_client_id(one.intent.client_order_id)
    if found is None:
        return 0
    try:
        broker().cancel(found.id)
    except Refused:
        return 0  # it has ended meanwhile
    log.info("withdrawn", intent=one.intent.client_order_id)
    return 1
