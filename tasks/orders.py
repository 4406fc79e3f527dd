"""What a broker's order means for its intent and structure, written down; look-ups of orders that
nobody has answered for."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from broker.errors import BrokerError, Unknown
from db import books, cycles, intents, structures
from db.intents import StoredIntent
from domain.books import Books
from domain.cycle import Cycle
from domain.holding import Holdings, legs_left
from domain.orders import UNSETTLED, IntentState, next_look_at
from domain.reconcile import intent_move, is_of, structure_update
from domain.records import TERMINAL, Order
from domain.structures import Structure
from tasks.context import broker, log, now, read, transaction
from tasks.waiting import wait

#: However far the broker's clock jumps, no single wait is longer.
WAIT_MAX = timedelta(seconds=60)
#: Waits and looks of one settling; a dozen orders need no more than six rounds each.
ROUNDS_MAX = 200


def record(
    connection: Connection, cycle: Cycle, one: StoredIntent, order: Order, at: datetime
) -> int:
    """Write an order of ours as the broker has it, with what that makes of its intent and its
    structure; rows written. Under an id that another copy of us has used before there is another
    order: ours was never received, and reconcile tells of the other."""
    written = books.save(connection, cycle, Books(orders=(order,)), at)
    if not is_of(order, one.intent):
        if one.state in UNSETTLED:
            why = f"another order has its id: {order.id}"
            written += give_up(connection, one, IntentState.NOT_RECEIVED, why, at)
        return written
    written += follow(connection, one, order, at)
    return written + refresh(connection, one.structure_id, at) if written else 0


def follow(connection: Connection, one: StoredIntent, order: Order, at: datetime) -> int:
    """Move an intent to where its order stands; 1 when that is news."""
    move = intent_move(one.state, one.filled_quantity, order)
    if move is None:
        return 0
    to = (move.state, move.filled_quantity)
    log.info("moved", intent=one.intent.client_order_id, state=str(move.state))
    return int(intents.move_intent(connection, one.intent.client_order_id, to, at))


def give_up(
    connection: Connection, one: StoredIntent, state: IntentState, why: str, at: datetime
) -> int:
    """End an intent that has no order, and say why; 0 when it has gone on meanwhile."""
    client_order_id = one.intent.client_order_id
    if not intents.move_intent(connection, client_order_id, (state, one.filled_quantity), at, why):
        return 0
    log.info("given up", intent=client_order_id, state=str(state), reason=why)
    return 1 + refresh(connection, one.structure_id, at)


def refresh(connection: Connection, structure_id: int, at: datetime) -> int:
    """Bring a structure to what its orders make of it; 1 when it has changed."""
    structure = structures.read_structure(connection, structure_id)
    parts = structures.read_parts(connection, [structure_id])
    change = structure_update(structure, parts[structure_id])
    return int(structures.apply_structure_update(connection, structure_id, change, at))


def read_holdings(connection: Connection, account_id: int, alive: Sequence[Structure]) -> Holdings:
    """What the account holds, and what is each living structure's of it."""
    parts = structures.read_parts(connection, [structure.id for structure in alive])
    return Holdings(
        account={
            held.symbol: held.quantity for held in books.read_positions(connection, account_id)
        },
        structures={structure.id: legs_left(structure, parts[structure.id]) for structure in alive},
    )


def withdraw_earlier(cycle: Cycle) -> int:
    """Ask to cancel what earlier slots have left in the market; how many cancels the broker took.
    Each is tried, before the first that nobody answered for stops the step."""
    with transaction(cycle) as connection:
        live = intents.read_live(connection, cycle.account_id)
    return _withdraw_all(cycle, [one for one in live if one.slot < cycle.slot])


def withdraw_own(cycle: Cycle) -> int:
    """The same for what this slot has in the market."""
    with transaction(cycle) as connection:
        live = intents.read_live(connection, cycle.account_id)
    return _withdraw_all(cycle, [one for one in live if one.slot == cycle.slot])


def _withdraw_all(cycle: Cycle, ones: Sequence[StoredIntent]) -> int:
    withdrawn, failed = 0, []
    for one in ones:
        try:
            withdrawn += withdraw(cycle, one)
        except Unknown as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return withdrawn


def withdraw(cycle: Cycle, one: StoredIntent) -> int:
    """1 when the broker took the cancel of an order that still works; what was read of the order is
    kept. Reconcile sees what became of it."""
    client_order_id = one.intent.client_order_id
    found = read(lambda: broker().order_by_client_id(client_order_id))
    if found is None:
        return 0
    moment = now()
    with transaction(cycle) as connection:
        cycles.renew_lease(connection, cycle, moment)
        record(connection, cycle, one, found, moment)
    if found.status in TERMINAL:
        return 0
    try:
        broker().cancel(found.id)
    except BrokerError as error:  # it has ended meanwhile, or the next look tells
        log.info("not withdrawn", intent=client_order_id, reason=str(error))
        return 0
    log.info("withdrawn", intent=client_order_id)
    return 1


def settle_unsettled(cycle: Cycle, moment: datetime) -> tuple[int, datetime]:
    """Look up every order without an answer, on its schedule, until each is found or was never
    received; rows written, and when that was done. Waits a minute at most, in the broker's time.

    moment  now
    """
    written = 0
    for _ in range(ROUNDS_MAX):
        with transaction(cycle) as connection:
            cycles.renew_lease(connection, cycle, moment)
            pending = intents.read_unsettled(connection, cycle.account_id)
            due = {one.intent.client_order_id: _next_look(one) for one in pending}
            for one in pending:
                if due[one.intent.client_order_id] is None:
                    why = "never received: the broker has no order under this id"
                    written += give_up(connection, one, IntentState.NOT_RECEIVED, why, moment)
        waiting = [(at, one) for one in pending if (at := due[one.intent.client_order_id])]
        if not waiting:
            return written, moment
        first, one = min(waiting, key=lambda each: each[0])
        if first > moment:
            wait(min(first - moment, WAIT_MAX).total_seconds())
        else:
            written += _look(cycle, one)
        moment = now()
    raise Unknown("orders have no answer and the broker's clock does not come to their next look")


def _next_look(one: StoredIntent) -> datetime | None:
    assert one.sent_at is not None  # it has left
    return next_look_at(one.sent_at, one.looked_at, one.looks)


def _look(cycle: Cycle, one: StoredIntent) -> int:
    order = broker().order_by_client_id(one.intent.client_order_id)
    moment = now()
    with transaction(cycle) as connection:
        if order is not None:
            return record(connection, cycle, one, order, moment)
        intents.count_look(connection, one.intent.client_order_id, moment)
        to = (IntentState.UNKNOWN, one.filled_quantity)
        why = "the broker lists no such order yet"
        return 1 + intents.move_intent(connection, one.intent.client_order_id, to, moment, why)
