"""Structures as stored: what was opened together, and what its orders have made of it."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, func, literal, select, tuple_, update
from sqlalchemy.orm import Session

from db.schema import intents, orders, structure_legs, structures
from domain.orders import IntentState, Leg, Purpose, Side
from domain.reconcile import Part, StructureUpdate
from domain.structures import ALIVE, Structure, StructureState


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
) -> bool:
    """Write what a structure is by its orders and settlements; False when that is known."""
    wanted = {field.name: getattr(change, field.name) for field in fields(change)}
    new = tuple_(*(literal(value, structures.c[name].type) for name, value in wanted.items()))
    known = tuple_(*(structures.c[name] for name in wanted))
    written = session.execute(
        update(structures)
        .where(structures.c.id == structure_id, known.is_distinct_from(new))
        .values(**wanted, closed_at=None if change.state in ALIVE else now)
        .returning(structures.c.id)
    )
    return written.first() is not None


def read_parts(session: Session, structure_id: int) -> list[Part]:
    """A structure's intents, with what the broker's orders have filled of them by now."""
    rows = session.execute(
        select(
            intents.c.purpose,
            intents.c.state,
            func.coalesce(orders.c.filled_quantity, 0).label("filled"),
            orders.c.filled_average_price,
        )
        .outerjoin(
            orders,
            (orders.c.account_id == intents.c.account_id)
            & (orders.c.client_order_id == intents.c.client_order_id),
        )
        .where(intents.c.structure_id == structure_id)
        .order_by(intents.c.planned_at, intents.c.attempt)
    )
    return [
        Part(
            purpose=Purpose(row.purpose),
            state=IntentState(row.state),
            filled_quantity=int(row.filled),
            price=row.filled_average_price,
        )
        for row in rows
    ]
