"""Reconcile fills: read the broker's books back and make ours equal."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection

from broker.errors import BrokerError
from db import audits, books, halts, intents, structures
from db.intents import StoredIntent
from domain.audit import Discrepancy, discrepancies, expected
from domain.books import Books
from domain.cycle import Cycle, CycleKind, Step
from domain.holding import is_at_work, legs_left, unmatched
from domain.orders import LIVE, IntentState
from domain.reconcile import settled_structure, structure_update
from domain.records import Account, Order, Position
from domain.structures import ALIVE
from tasks.context import (
    READ_RETRIES,
    READ_RETRY_DELAYS_S,
    StepNote,
    broker,
    is_unanswered,
    log,
    now,
    step,
    transaction,
)
from tasks.orders import follow, settle_unsettled, withdraw_earlier
from tasks.waiting import wait

#: Rows may be corrected later: the last days are read again each time.
REREAD = timedelta(days=4)
#: Lists may lag behind each other: what does not add up is read again for so long, so often.
AGAIN_FOR, PASS_S, PASSES_MAX = timedelta(seconds=62), 8.0, 20


@task(
    cache_policy=NO_CACHE,
    retries=READ_RETRIES,
    retry_delay_seconds=READ_RETRY_DELAYS_S,
    retry_condition_fn=is_unanswered,
)
def reconcile(cycle: Cycle, name: Step = Step.RECONCILE) -> None:
    """Orders, fills, activities, positions and money as the broker has them, and what that means
    for our intents and structures. Run again over an unchanged broker it changes nothing.

    What no order and no activity explains, and legs that are left of a structure and make no whole
    units, read several times over a minute, set the halt.

    As the first step of a cycle it withdraws what earlier slots have left in the market, before
    anything else can fail.

    name  the step's name in the ledger: a cycle reconciles before it decides and after it sends
    """
    with step(cycle, name) as this:
        this.row_count, moment = settle_unsettled(cycle, this.now)
        notes = _at_first(cycle) if _is_first(cycle, name) else []
        wrong = _pass(cycle, this, moment)
        until, passes = this.now + AGAIN_FOR, 1
        while wrong and passes < PASSES_MAX and moment < until:
            wait(PASS_S)
            moment = now()
            wrong, passes = _pass(cycle, this, moment), passes + 1
        this.row_count += _raise_alarm(cycle, wrong, moment)
        if wrong:
            notes.append(f"unexplained: {', '.join(each.subject for each in wrong)}")
        this.note = "; ".join(notes) or None


def _is_first(cycle: Cycle, name: Step) -> bool:
    return name is Step.RECONCILE_BEFORE or cycle.kind is CycleKind.END_OF_DAY


def _at_first(cycle: Cycle) -> list[str]:
    """Withdraw what is no longer wanted; what there is to say of a cycle's beginning."""
    notes = []
    if cycle.version_before is not None:
        notes.append(f"version {cycle.version_before} ran here before")
    if withdrawn := withdraw_earlier(cycle):
        notes.append(f"{withdrawn} withdrawn")
    return notes


def _pass(cycle: Cycle, this: StepNote, moment: datetime) -> list[Discrepancy]:
    """Read everything once and write it; what does not add up."""
    theirs, account = _read_books(moment - REREAD)
    late: list[tuple[StoredIntent, Order]] = []
    with transaction(cycle) as connection:
        this.row_count += books.save(connection, cycle, theirs, moment)
        this.row_count += books.save_account(connection, cycle, account, moment)
        by_id = {order.client_order_id: order for order in theirs.orders}
        sent = intents.read_sent(connection, cycle.account_id, moment - REREAD)
        for one in sent:
            order = by_id.get(one.intent.client_order_id)
            if order is not None:
                this.row_count += follow(connection, one, order, moment)
                if one.state is IntentState.NOT_RECEIVED:
                    late.append((one, order))
        traded = {one.structure_id for one in sent}
        settled, wrong = _settle_structures(connection, cycle, theirs, traded, moment)
        this.row_count += settled
        wrong += _audit(connection, cycle, account.cash, theirs.positions or (), moment)
    for one, order in late:
        _withdraw_late(cycle, one, order)
    return wrong


def _read_books(since: datetime) -> tuple[Books, Account]:
    # Orders before fills before positions: what is read later knows all that was read before.
    orders = broker().orders(since)
    fills, activities = broker().fills_and_activities(since)
    positions, account = broker().positions(), broker().account()
    books_of_broker = Books(
        orders=tuple(orders),
        fills=tuple(fills),
        activities=tuple(activities),
        positions=tuple(positions),
    )
    return books_of_broker, account


def _settle_structures(
    connection: Connection, cycle: Cycle, theirs: Books, traded: set[int], moment: datetime
) -> tuple[int, list[Discrepancy]]:
    """Structures as their orders have made them, and those whose legs have expired, been assigned
    or been traded by others; rows written, and the legs that are left and make no whole units.

    traded  ids of those whose orders may have changed, whatever their state
    """
    held = {position.symbol for position in theirs.positions or ()}
    known = books.read_activities(connection, cycle.account_id)
    elsewhere = books.traded_elsewhere(connection, cycle.account_id)
    found = structures.read_structures(connection, cycle.account_id, traded)
    parts = structures.read_parts(connection, [structure.id for structure in found])
    settled, apart = 0, []
    for structure in found:
        mine = parts[structure.id]
        wrong = unmatched(structure, mine)
        left = legs_left(structure, mine).keys()
        by_orders = structure_update(structure, mine)
        change = settled_structure(by_orders, left, not wrong, held, known, elsewhere)
        settled += structures.apply_structure_update(connection, structure.id, change, moment)
        if change.state in ALIVE and not is_at_work(mine):
            apart += wrong
    return settled, apart


def _withdraw_late(cycle: Cycle, one: StoredIntent, order: Order) -> None:
    """An order that was given up as never received has come up: it is ours and counts, and what is
    left of it is not wanted any more."""
    log.warning("found late", intent=one.intent.client_order_id, status=order.status)
    with transaction(cycle) as connection:
        state = intents.read_one(connection, one.intent.client_order_id).state
    if state in LIVE:
        try:
            broker().cancel(order.id)
        except BrokerError as error:  # the next cycle withdraws whatever still works
            log.warning("not withdrawn", intent=one.intent.client_order_id, reason=str(error))


def _audit(
    connection: Connection,
    cycle: Cycle,
    cash: Decimal,
    held: Sequence[Position],
    moment: datetime,
) -> list[Discrepancy]:
    """What the account holds and no fill and no activity since its beginning explains.

    Asked in the session only: at night contracts and cash move hours before the rows that say why.
    """
    if cycle.kind is not CycleKind.TRADING:
        return []
    account_id = cycle.account_id
    beginning = audits.read_beginning(connection, account_id)
    if beginning is None:
        audits.begin(connection, account_id, cash, held, moment)
        return []
    should = expected(beginning, *audits.read_movements(connection, account_id))
    return discrepancies(should, cash, held)


def _raise_alarm(cycle: Cycle, wrong: list[Discrepancy], moment: datetime) -> int:
    """Store what does not add up, and halt on it; rows written."""
    if cycle.kind is not CycleKind.TRADING:
        return 0
    with transaction(cycle) as connection:
        written = audits.save_discrepancies(connection, cycle, wrong, moment)
        if wrong:
            said = "; ".join(f"{x.subject} {x.found}, not {x.expected}" for x in wrong)
            log.error("unexplained", what=said)
            written += halts.set_halt(connection, cycle.account_id, f"the books disagree: {said}")
    return written
