"""Reconcile fills: read the broker's books back and make ours equal."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.orm import Session

from db import books, intents
from db.intents import StoredIntent
from domain.cycle import Cycle, Step
from domain.orders import IntentState
from domain.reconcile import (
    IntentUpdate,
    intent_update,
    settled_structure,
    structure_update,
    without_order,
)
from domain.records import Account, Activity, Fill, Order, Position
from tasks.context import (
    READ_RETRIES,
    READ_RETRY_DELAYS_S,
    broker,
    is_unanswered,
    log,
    step,
    transaction,
)

#: Rows may be corrected later: the last days are read again each time.
REREAD = timedelta(days=4)
#: The broker may not list an order at once. This long after sending, no order means there is none.
NOT_RECEIVED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Books:
    """The broker's side, read in one go."""

    orders: list[Order]
    fills: list[Fill]
    activities: list[Activity]
    positions: list[Position]
    account: Account


@task(
    cache_policy=NO_CACHE,
    retries=READ_RETRIES,
    retry_delay_seconds=READ_RETRY_DELAYS_S,
    retry_condition_fn=is_unanswered,
)
def reconcile(cycle: Cycle, name: Step = Step.RECONCILE) -> None:
    """Orders, fills, activities, positions and money as the broker has them, and what that means
    for our intents and structures. Run again over an unchanged broker it changes nothing.

    name  the step's name in the ledger: a cycle reconciles before it decides and after it sends
    """
    with step(cycle, name) as this:
        with transaction() as session:
            live = intents.read_live(session, cycle.account_id)
        # Orders before fills before positions: what is read later knows all that was read before.
        theirs = _read_books(this.now - REREAD)
        by_id = {order.client_order_id: order for order in theirs.orders}
        answers = {
            one.intent.client_order_id: by_id.get(one.intent.client_order_id)
            or broker().order_by_client_id(one.intent.client_order_id)
            for one in live
        }
        with transaction() as session:
            this.row_count = _save_books(session, cycle, theirs, this.now)
            for one in live:
                order = answers[one.intent.client_order_id]
                this.row_count += _settle_intent(session, one, order, this.now)
            this.row_count += _settle_structures(session, cycle, theirs, this.now)


def _read_books(since: datetime) -> _Books:
    orders = broker().orders(since)
    fills, activities = broker().fills_and_activities(since)
    return _Books(
        orders=orders,
        fills=fills,
        activities=activities,
        positions=broker().positions(),
        account=broker().account(),
    )


def _save_books(session: Session, cycle: Cycle, theirs: _Books, moment: datetime) -> int:
    account_id = cycle.account_id
    written = books.save_orders(session, account_id, theirs.orders)
    written += books.save_fills(session, account_id, theirs.fills)
    written += books.save_activities(session, account_id, theirs.activities)
    written += books.save_positions(session, cycle, theirs.positions)
    return written + books.save_account(session, cycle, theirs.account, moment)


def _settle_intent(
    session: Session, one: StoredIntent, order: Order | None, moment: datetime
) -> int:
    """Move an intent to where its order stands, and its structure with it; 1 when it moved."""
    update = intent_update(order) if order is not None else None
    state, detail = _settled_state(one, update, moment)
    if not intents.move_intent(session, one.intent.client_order_id, state, detail):
        return 0
    change = None
    if update is not None:
        structure = intents.read_structure(session, one.structure_id)
        change = structure_update(structure, one.intent.purpose, update)
    elif state is IntentState.REFUSED:
        change = without_order(one.intent.purpose)
    if change is not None:
        intents.apply_structure_update(session, one.structure_id, change, moment)
    log.info("settled", intent=one.intent.client_order_id, state=str(state), detail=detail)
    return 1


def _settled_state(
    one: StoredIntent, update: IntentUpdate | None, moment: datetime
) -> tuple[IntentState, str | None]:
    """The order's state; without an order unknown at first, and never received once it was sent
    so long ago that the broker would list it."""
    if update is not None:
        return update.state, None
    if one.sent_at is None or moment - one.sent_at <= NOT_RECEIVED_AFTER:
        return IntentState.UNKNOWN, "the broker lists no such order yet"
    return IntentState.REFUSED, "never received: the broker has no order under this id"


def _settle_structures(session: Session, cycle: Cycle, theirs: _Books, moment: datetime) -> int:
    """Structures whose legs have expired or been assigned."""
    held = {position.symbol: position for position in theirs.positions}
    known = books.read_activities(session, cycle.account_id)
    settled = 0
    for structure in intents.read_structures(session, cycle.account_id):
        change = settled_structure(structure, held, known)
        if change is not None:
            intents.apply_structure_update(session, structure.id, change, moment)
            settled += 1
    return settled
