"""Intents: the outbox. A row is committed before any request about it leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from db import halts
from db.candidates import read_legs
from db.schema import (
    accounts,
    candidates,
    cycles,
    intent_quotes,
    intents,
    structures,
)
from domain.cycle import Cycle
from domain.orders import LIVE, MOVES, UNSETTLED, IntentState, OrderIntent, Purpose
from domain.records import Quote
from domain.risk import Package, package
from domain.structures import StructureState

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredIntent:
    """An intent with where it stands."""

    intent: OrderIntent
    candidate_id: int
    structure_id: int
    state: IntentState
    filled_quantity: int
    slot: datetime
    sent_at: datetime | None  # None: no request has left
    looks: int
    looked_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SentPrice:
    """The limit an intent is sent at, the mid then, and the quotes of its legs."""

    limit: Decimal
    mid: Decimal
    quotes: Mapping[str, Quote]


class Claim(StrEnum):
    """Whether an intent may be sent, and why not."""

    CLAIMED = "claimed"
    HALTED = "a halt stands"
    UNSETTLED = "an order of its underlying has no answer"
    TOO_MANY = "too many opening orders in a minute"
    TAKEN = "it is not planned any more"


def claim(
    connection: Connection, one: StoredIntent, price: SentPrice, now: datetime, per_minute_max: int
) -> Claim:
    """Move an intent from planned to sending at a price. What opens risk is not sent while a halt
    stands, an order of its underlying has no answer, or too many have left within a minute.

    Commit before the request leaves. A crash after that leaves `sending`, which reconcile looks
    up at the broker and which is never sent again.
    """
    intent = one.intent
    # set_halt takes this row for itself, so that a halt and a claim are one before the other.
    account_of = select(intents.c.account_id).where(
        intents.c.client_order_id == intent.client_order_id
    )
    account_id = connection.execute(account_of).scalar_one()
    connection.execute(
        select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(read=True)
    )
    if intent.purpose is Purpose.OPEN:
        if halts.standing_halt(connection, account_id) is not None:
            return Claim.HALTED
        unsettled = [other.intent for other in read_unsettled(connection, account_id)]
        others = [other for other in unsettled if other.client_order_id != intent.client_order_id]
        if any(other.underlying == intent.underlying for other in others):
            return Claim.UNSETTLED
        if opened_since(connection, account_id, now - MINUTE) >= per_minute_max:
            return Claim.TOO_MANY
    sent = {"sent_at": now, "sent_price": price.limit, "mid_price": price.mid, "moved_at": now}
    claimed = connection.execute(
        update(intents)
        .where(
            intents.c.client_order_id == intent.client_order_id,
            intents.c.state == IntentState.PLANNED,
        )
        .values(state=IntentState.SENDING, **sent)
        .returning(intents.c.structure_id)
    ).scalar_one_or_none()
    if claimed is None:
        return Claim.TAKEN
    connection.execute(
        insert(intent_quotes),
        [
            {
                "client_order_id": intent.client_order_id,
                "symbol": symbol,
                **{name: getattr(quote, name) for name in ("bid", "ask", "quoted_at")},
            }
            for symbol, quote in price.quotes.items()
        ],
    )
    if intent.purpose is Purpose.CLOSE:
        closing = update(structures).where(structures.c.id == claimed)
        connection.execute(closing.values(state=StructureState.CLOSING))
    return Claim.CLAIMED


def opened_since(connection: Connection, account_id: int, since: datetime) -> int:
    """Opening orders that have left after `since`."""
    return connection.execute(
        select(func.count()).where(
            intents.c.account_id == account_id,
            intents.c.purpose == Purpose.OPEN,
            intents.c.sent_at > since,
        )
    ).scalar_one()


def move_intent(
    connection: Connection,
    client_order_id: str,
    to: tuple[IntentState, int],
    now: datetime,
    detail: str | None = None,
) -> bool:
    """Move an intent along MOVES; False when it stood where that cannot be reached from.

    to  the state, and its units filled in all: never fewer than are known
    """
    state, filled = to
    before = [origin for origin, reachable in MOVES.items() if state in reachable]
    moved = connection.execute(
        update(intents)
        .where(
            intents.c.client_order_id == client_order_id,
            intents.c.state.in_(before)
            | ((intents.c.state == state) & (intents.c.filled_quantity < filled)),
        )
        .values(
            state=state,
            filled_quantity=func.greatest(intents.c.filled_quantity, filled),
            detail=detail,
            moved_at=now,
        )
        .returning(intents.c.client_order_id)
    )
    return moved.first() is not None


def count_look(connection: Connection, client_order_id: str, now: datetime) -> None:
    """Note that the broker listed no order under this id."""
    connection.execute(
        update(intents)
        .where(intents.c.client_order_id == client_order_id)
        .values(looks=intents.c.looks + 1, looked_at=now)
    )


def read_planned(connection: Connection, cycle: Cycle) -> list[StoredIntent]:
    """The account's intents that no request has left for, this cycle's and older ones."""
    return _read(connection, cycle.account_id, [IntentState.PLANNED])


def read_live(connection: Connection, account_id: int) -> list[StoredIntent]:
    """The intents for which an order may exist that may still fill."""
    return _read(connection, account_id, LIVE)


def read_unsettled(connection: Connection, account_id: int) -> list[StoredIntent]:
    """The intents that nobody has answered for."""
    return _read(connection, account_id, UNSETTLED)


def read_one(connection: Connection, client_order_id: str) -> StoredIntent:
    """One intent as it stands now."""
    (found,) = _stored(connection, intents.c.client_order_id == client_order_id)
    return found


def read_sent(connection: Connection, account_id: int, since: datetime) -> list[StoredIntent]:
    """Every intent that may exist at the broker: what left since then, and what is still live."""
    recent = (intents.c.sent_at >= since) | intents.c.state.in_(LIVE)
    return _stored(connection, (intents.c.account_id == account_id) & recent)


def known_ids(connection: Connection, account_id: int, ids: Iterable[str]) -> set[str]:
    """Those of these client_order_ids that are an intent's."""
    mine = (intents.c.account_id == account_id) & intents.c.client_order_id.in_(list(ids))
    return set(connection.execute(select(intents.c.client_order_id).where(mine)).scalars())


def recent_packages(connection: Connection, account_id: int, since: datetime) -> frozenset[Package]:
    """Packages that opening orders were sent for since then."""
    sent = select(intents.c.candidate_id).where(
        intents.c.account_id == account_id,
        intents.c.purpose == Purpose.OPEN,
        intents.c.sent_at > since,
    )
    ids = connection.execute(sent.distinct()).scalars().all()
    return frozenset(package(legs) for legs in read_legs(connection, ids).values())


def _read(
    connection: Connection, account_id: int, states: Iterable[IntentState]
) -> list[StoredIntent]:
    mine = intents.c.account_id == account_id
    return _stored(connection, mine & intents.c.state.in_(list(states)))


STORED = (
    select(intents, candidates.c.strategy, candidates.c.underlying, cycles.c.slot)
    .join(candidates, candidates.c.id == intents.c.candidate_id)
    .join(cycles, cycles.c.id == intents.c.cycle_id)
    .order_by(intents.c.purpose, intents.c.planned_at, intents.c.client_order_id)
)


def _stored(connection: Connection, which: ColumnElement[bool]) -> list[StoredIntent]:
    rows = connection.execute(STORED.where(which)).all()
    legs = read_legs(connection, {row.candidate_id for row in rows})
    return [
        StoredIntent(
            intent=OrderIntent(
                client_order_id=row.client_order_id,
                strategy=row.strategy,
                underlying=row.underlying,
                purpose=Purpose(row.purpose),
                legs=legs.get(row.candidate_id, ()),
                attempt=row.attempt,
                quantity=row.quantity,
                limit_price=row.limit_price,
                loss_usd_worst=row.loss_usd_worst,
            ),
            candidate_id=row.candidate_id,
            structure_id=row.structure_id,
            state=IntentState(row.state),
            filled_quantity=row.filled_quantity,
            slot=row.slot,
            sent_at=row.sent_at,
            looks=row.looks,
            looked_at=row.looked_at,
        )
        for row in rows
    ]


def live_losses(
    connection: Connection, account_id: int, states: Iterable[IntentState]
) -> dict[str, Decimal]:
    """Worst-case loss of opening intents in these states, USD, by underlying.

    The unknown ones count in full, and so does what a part-filled one has filled already.
    """
    rows = connection.execute(
        select(structures.c.underlying, func.sum(intents.c.loss_usd_worst))
        .join(structures, structures.c.id == intents.c.structure_id)
        .where(
            intents.c.account_id == account_id,
            intents.c.purpose == Purpose.OPEN,
            intents.c.state.in_(list(states)),
        )
        .group_by(structures.c.underlying)
    )
    return {underlying: loss for underlying, loss in rows}
