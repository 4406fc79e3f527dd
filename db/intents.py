"""Intents: the outbox. A row is committed before any request about it leaves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.candidates import leg_rows, read_legs
from db.schema import (
    accounts,
    candidates,
    cycles,
    halts,
    intents,
    structure_legs,
    structures,
)
from domain.cycle import Cycle
from domain.orders import LIVE, MOVES, IntentState, Leg, OrderIntent, Purpose, Side
from domain.reconcile import StructureUpdate
from domain.structures import ALIVE, Structure, StructureState


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredIntent:
    """An intent with where it stands."""

    intent: OrderIntent
    structure_id: int
    state: IntentState
    slot: datetime
    sent_at: datetime | None  # None: no request has left


def plan_intent(
    session: Session,
    cycle: Cycle,
    intent: OrderIntent,
    origin: tuple[int, int | None],
    now: datetime,
) -> None:
    """Store an intent as planned, with its structure; the same decision again changes nothing.

    origin  the candidate's id, and the structure's when it closes one
    """
    candidate_id, structure_id = origin
    known = select(intents.c.client_order_id).where(
        intents.c.client_order_id == intent.client_order_id
    )
    if session.execute(known).first() is not None:
        return
    if structure_id is None:
        structure_id = _new_structure(session, cycle, intent, now)
    session.execute(
        insert(intents).values(
            client_order_id=intent.client_order_id,
            account_id=cycle.account_id,
            cycle_id=cycle.id,
            candidate_id=candidate_id,
            structure_id=structure_id,
            purpose=intent.purpose,
            quantity=intent.quantity,
            limit_price=intent.limit_price,
            loss_usd_worst=intent.loss_usd_worst,
            state=IntentState.PLANNED,
            planned_at=now,
        )
    )


def _new_structure(session: Session, cycle: Cycle, intent: OrderIntent, now: datetime) -> int:
    structure_id: int = session.execute(
        insert(structures)
        .values(
            account_id=cycle.account_id,
            strategy=intent.strategy,
            underlying=intent.underlying,
            state=StructureState.OPENING,
            quantity=intent.quantity,
            opened_at=now,
        )
        .returning(structures.c.id)
    ).scalar_one()
    session.execute(insert(structure_legs), leg_rows("structure_id", structure_id, intent.legs))
    return structure_id


def claim(session: Session, client_order_id: str, now: datetime) -> bool:
    """Move an intent from planned to sending; False when another worker has it, or when a halt
    stands and it opens risk.

    Commit before the request leaves. A crash after that leaves `sending`, which reconcile looks
    up at the broker and which is never sent again.
    """
    # set_halt takes this row for itself, so that a halt and a claim are one before the other.
    account_of = select(intents.c.account_id).where(intents.c.client_order_id == client_order_id)
    session.execute(
        select(accounts.c.id).where(accounts.c.id.in_(account_of)).with_for_update(read=True)
    )
    is_halted = (
        select(halts.c.id)
        .where(halts.c.account_id == intents.c.account_id, halts.c.cleared_at.is_(None))
        .exists()
    )
    claimed = session.execute(
        update(intents)
        .where(
            intents.c.client_order_id == client_order_id,
            intents.c.state == IntentState.PLANNED,
            (intents.c.purpose == Purpose.CLOSE) | ~is_halted,
        )
        .values(state=IntentState.SENDING, sent_at=now)
        .returning(intents.c.structure_id, intents.c.purpose)
    ).first()
    if claimed is None:
        return False
    if claimed.purpose == Purpose.CLOSE:
        _set_structure(session, claimed.structure_id, {"state": StructureState.CLOSING})
    return True


def move_intent(
    session: Session, client_order_id: str, state: IntentState, detail: str | None = None
) -> bool:
    """Move an intent along MOVES; False when it stood where `state` cannot be reached from."""
    before = [origin for origin, reachable in MOVES.items() if state in reachable]
    moved = session.execute(
        update(intents)
        .where(intents.c.client_order_id == client_order_id, intents.c.state.in_(before))
        .values(state=state, detail=detail)
        .returning(intents.c.client_order_id)
    )
    return moved.first() is not None


def read_planned(session: Session, cycle: Cycle) -> list[StoredIntent]:
    """The account's intents that no request has left for, this cycle's and older ones."""
    return _read(session, cycle.account_id, [IntentState.PLANNED])


def read_live(session: Session, account_id: int) -> list[StoredIntent]:
    """The intents for which an order may exist that may still fill."""
    return _read(session, account_id, LIVE)


def _read(session: Session, account_id: int, states: Iterable[IntentState]) -> list[StoredIntent]:
    rows = session.execute(
        select(intents, candidates.c.strategy, candidates.c.underlying, cycles.c.slot)
        .join(candidates, candidates.c.id == intents.c.candidate_id)
        .join(cycles, cycles.c.id == intents.c.cycle_id)
        .where(intents.c.account_id == account_id, intents.c.state.in_(list(states)))
        .order_by(intents.c.purpose, intents.c.planned_at, intents.c.client_order_id)
    )
    return [
        StoredIntent(
            intent=OrderIntent(
                client_order_id=row.client_order_id,
                strategy=row.strategy,
                underlying=row.underlying,
                purpose=Purpose(row.purpose),
                legs=read_legs(session, row.candidate_id),
                quantity=row.quantity,
                limit_price=row.limit_price,
                loss_usd_worst=row.loss_usd_worst,
            ),
            structure_id=row.structure_id,
            state=IntentState(row.state),
            slot=row.slot,
            sent_at=row.sent_at,
        )
        for row in rows
    ]


def live_losses(session: Session, account_id: int) -> dict[str, Decimal]:
    """Worst-case loss of opening intents that are planned or may still fill, USD, by underlying.

    The unknown ones count in full, and so does what a part-filled one has filled already.
    """
    rows = session.execute(
        select(structures.c.underlying, func.sum(intents.c.loss_usd_worst))
        .join(structures, structures.c.id == intents.c.structure_id)
        .where(
            intents.c.account_id == account_id,
            intents.c.purpose == Purpose.OPEN,
            intents.c.state.in_([IntentState.PLANNED, *LIVE]),
        )
        .group_by(structures.c.underlying)
    )
    return {underlying: loss for underlying, loss in rows}


def read_structures(
    session: Session, account_id: int, states: Iterable[StructureState] = ALIVE
) -> list[Structure]:
    """The account's structures in these states; one without a fill yet has entry price 0."""
    rows = session.execute(
        select(structures)
        .where(structures.c.account_id == account_id, structures.c.state.in_(list(states)))
        .order_by(structures.c.id)
    ).all()
    return [_structure(session, row) for row in rows]


def read_structure(session: Session, structure_id: int) -> Structure:
    """One structure, in whatever state."""
    found = session.execute(select(structures).where(structures.c.id == structure_id)).one()
    return _structure(session, found)


def _structure(session: Session, row: Row[Any]) -> Structure:
    return Structure(
        id=row.id,
        strategy=row.strategy,
        underlying=row.underlying,
        state=StructureState(row.state),
        quantity=row.quantity,
        entry_price=Decimal(0) if row.entry_price is None else row.entry_price,
        realized_usd=Decimal(0) if row.realized_usd is None else row.realized_usd,
        legs=read_structure_legs(session, row.id),
    )


def read_structure_legs(session: Session, structure_id: int) -> tuple[Leg, ...]:
    """Its legs in the order they were sent."""
    rows = session.execute(
        select(structure_legs)
        .where(structure_legs.c.structure_id == structure_id)
        .order_by(structure_legs.c.leg_number)
    )
    return tuple(Leg(symbol=r.symbol, side=Side(r.side), ratio=r.ratio) for r in rows)


def apply_structure_update(
    session: Session, structure_id: int, change: StructureUpdate, now: datetime
) -> None:
    """Write what an order or a settlement did to a structure."""
    known = {
        name: getattr(change, name)
        for name in ("state", "quantity", "entry_price", "exit_price", "realized_usd")
        if getattr(change, name) is not None
    }
    if change.state not in ALIVE:
        known["closed_at"] = now
    _set_structure(session, structure_id, known)


def _set_structure(session: Session, structure_id: int, columns: dict[str, object]) -> None:
    session.execute(update(structures).where(structures.c.id == structure_id).values(**columns))
