"""Reconcile fills: read the broker's books back and make ours equal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection

from broker.errors import BrokerError, NotFound
from db import audits, books, cycles, intents, orders, structures
from db.intents import StoredIntent
from domain import calendar
from domain.audit import Discrepancy
from domain.books import Books
from domain.contracts import parse_symbol
from domain.cycle import Cycle, CycleKind, Step
from domain.holding import Holdings, Part, is_at_work, legs_left, unmatched
from domain.orders import GIVEN_UP, LIVE
from domain.reconcile import is_of, settled_structure, strange_orders, structure_update
from domain.records import Order
from domain.structures import ALIVE
from tasks.audit import Reading, audit, but_for_late_rows, raise_alarm
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
        wrong, reading = _pass(cycle, this, moment)
        until, passes = this.now + AGAIN_FOR, 1
        while wrong and passes < PASSES_MAX and moment < until:
            wait(PASS_S)
            moment = now()
            (wrong, reading), passes = _pass(cycle, this, moment), passes + 1
        if wrong:
            wrong = but_for_late_rows(cycle, wrong, reading)
        this.row_count += raise_alarm(cycle, wrong, moment)
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


def _pass(cycle: Cycle, this: StepNote, moment: datetime) -> tuple[list[Discrepancy], Reading]:
    """Read everything once and write it; what does not add up, and what was read."""
    reading = _read(cycle, moment)
    theirs, account = reading.books, reading.account
    late: list[tuple[StoredIntent, Order]] = []
    with transaction(cycle) as connection:
        this.row_count += books.save(connection, cycle, theirs, moment)
        this.row_count += books.save_account(connection, cycle, account, moment)
        by_id = {order.client_order_id: order for order in theirs.orders}
        sent = intents.read_sent(connection, cycle.account_id, reading.since)
        for one in sent:
            order = by_id.get(one.intent.client_order_id)
            if order is not None and is_of(order, one.intent):
                this.row_count += follow(connection, one, order, moment)
                if one.state in GIVEN_UP:
                    late.append((one, order))
        wrong = strange_orders(
            theirs.orders,
            {one.intent.client_order_id: one.intent for one in sent},
            intents.known_ids(connection, cycle.account_id, by_id),
        )
        traded = {one.structure_id for one in sent}
        settled, apart = _settle_structures(connection, cycle, theirs, traded, moment)
        this.row_count += settled
        odd = audit(connection, cycle, reading, moment)
        told = {f"{each.subject} of the structures" for each in odd}
        wrong += odd + [each for each in apart if each.subject not in told]
    for one, order in late:
        _withdraw_late(cycle, one, order)
    return wrong, reading


def _read(cycle: Cycle, moment: datetime) -> Reading:
    """Everything since the books were last read, and some days before: rows are corrected late."""
    with transaction(cycle) as connection:
        last = cycles.last_read_at(connection, cycle.account_id)
        since = min(moment, last or moment) - REREAD
        unfinished = orders.unfinished(connection, cycle.account_id, since)
        is_first = audits.read_beginning(connection, cycle.account_id) is None
    reading = _read_books(since, unfinished)
    if is_first:
        again = _read_books(since, unfinished)
        is_equal = again.books == reading.books and again.account.cash == reading.account.cash
        moved = (order.updated_at for order in again.books.orders)
        is_quiet = all(each < moment - AGAIN_FOR for each in moved)
        return replace(again, is_still=is_equal and is_quiet)
    return reading


def _read_books(since: datetime, unfinished: Sequence[UUID]) -> Reading:
    # Orders before fills before positions: what is read later knows all that was read before.
    orders = broker().orders(since)
    listed = {order.id for order in orders}
    orders += [order for key in unfinished if key not in listed and (order := _order(key))]
    fills, activities = broker().fills_and_activities(since)
    positions, account = broker().positions(), broker().account()
    theirs = Books(
        orders=tuple(orders),
        fills=tuple(fills),
        activities=tuple(activities),
        positions=tuple(positions),
    )
    return Reading(since=since, books=theirs, account=account)


def _order(key: UUID) -> Order | None:
    """An order that is too old for the list; None when the broker has forgotten it."""
    try:
        return broker().order(key)
    except NotFound:
        log.warning("forgotten", order=str(key))
        return None


def _settle_structures(
    connection: Connection, cycle: Cycle, theirs: Books, traded: set[int], moment: datetime
) -> tuple[int, list[Discrepancy]]:
    """Structures as their orders have made them, and those whose legs have expired, been assigned
    or been traded by others; rows written, and legs of which there is more or less than there
    should be.

    traded  ids of those whose orders may have changed, whatever their state
    """
    account = {position.symbol: position.quantity for position in theirs.positions or ()}
    known = books.read_activities(connection, cycle.account_id)
    elsewhere = orders.traded_elsewhere(connection, cycle.account_id)
    found = structures.read_structures(connection, cycle.account_id, traded)
    parts = structures.read_parts(connection, [structure.id for structure in found])
    lefts = {structure.id: legs_left(structure, parts[structure.id]) for structure in found}
    alive = {structure.id: lefts[structure.id] for structure in found if structure.state in ALIVE}
    settled, apart = 0, []
    for structure in found:
        mine, left = parts[structure.id], lefts[structure.id]
        wrong = unmatched(structure, mine)
        by_orders = structure_update(structure, mine)
        held = Holdings(account=account, structures=alive).held(structure.id, left)
        if structure.state not in ALIVE and held != left.keys():
            held = frozenset()  # what has ended does not come back for a contract of somebody else
        change = settled_structure(by_orders, left.keys(), not wrong, held, known, elsewhere)
        settled += structures.apply_structure_update(connection, structure.id, change, moment)
        alive.pop(structure.id, None)
        if change.state in ALIVE:
            alive[structure.id] = left
            apart += [] if is_at_work(mine) else wrong
    return settled, apart + _missing(account, alive, parts, moment)


def _missing(
    account: Mapping[str, Decimal],
    alive: Mapping[int, Mapping[str, int]],
    parts: Mapping[int, Sequence[Part]],
    moment: datetime,
) -> list[Discrepancy]:
    """Contracts of living structures that the account has not: those of an order at work may be on
    their way, and those that have expired are settled by the rows that say so."""
    today = calendar.trading_day(moment)
    busy = {symbol for key, left in alive.items() if is_at_work(parts[key]) for symbol in left}
    watched = {
        key: {
            symbol: quantity
            for symbol, quantity in left.items()
            if symbol not in busy and parse_symbol(symbol).expiration >= today
        }
        for key, left in alive.items()
    }
    return Holdings(account=account, structures=watched).missing()


def _withdraw_late(cycle: Cycle, one: StoredIntent, order: Order) -> None:
    """An order that was given up as never received or refused has come up: it is ours and counts,
    and what is left of it is not wanted any more."""
    log.warning("found late", intent=one.intent.client_order_id, status=order.status)
    with transaction(cycle) as connection:
        state = intents.read_one(connection, one.intent.client_order_id).state
    if state in LIVE:
        try:
            broker().cancel(order.id)
        except BrokerError as error:  # the next cycle withdraws whatever still works
            log.warning("not withdrawn", intent=one.intent.client_order_id, reason=str(error))
