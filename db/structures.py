"""Structures as stored: what was opened together, and what its orders have made of it."""

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    case,
    cast,
    func,
    select,
    tuple_,
    update,
)

from db.candidates import as_legs
from db.schema import fills, intents, orders, structure_legs, structures
from domain.audit import TAKEN_BACK
from domain.holding import Part
from domain.orders import IntentState, Leg, Purpose
from domain.reconcile import StructureUpdate
from domain.structures import ALIVE, Structure, StructureState


def read_structures(
    connection: Connection, account_id: int, and_these: Collection[int] = ()
) -> list[Structure]:
    """The account's structures that are alive, and those of these ids in whatever state; one
    without a fill yet has entry price 0."""
    wanted = structures.c.state.in_(ALIVE) | structures.c.id.in_(and_these)
    return _read(connection, (structures.c.account_id == account_id) & wanted)


def read_structure(connection: Connection, structure_id: int) -> Structure:
    """One structure, in whatever state."""
    (found,) = _read(connection, structures.c.id == structure_id)
    return found


def _read(connection: Connection, which: ColumnElement[bool]) -> list[Structure]:
    rows = connection.execute(select(structures).where(which).order_by(structures.c.id)).all()
    legs = read_structure_legs(connection, [row.id for row in rows])
    return [_structure(row, legs[row.id]) for row in rows]


def _structure(row: Row[Any], legs: tuple[Leg, ...]) -> Structure:
    return Structure(
        id=row.id,
        strategy=row.strategy,
        underlying=row.underlying,
        state=StructureState(row.state),
        quantity=row.quantity,
        entry_price=Decimal(0) if row.entry_price is None else row.entry_price,
        realized_usd=Decimal(0) if row.realized_usd is None else row.realized_usd,
        legs=legs,
    )


def read_structure_legs(
    connection: Connection, structure_ids: Collection[int]
) -> dict[int, tuple[Leg, ...]]:
    """Each structure's legs in the order they were sent."""
    if not structure_ids:
        return {}
    rows = connection.execute(
        select(structure_legs)
        .where(structure_legs.c.structure_id.in_(structure_ids))
        .order_by(structure_legs.c.structure_id, structure_legs.c.leg_number)
    )
    return {key: as_legs(of_one) for key, of_one in groupby(rows, lambda row: row.structure_id)}


def read_openings(connection: Connection, structure_ids: Collection[int]) -> dict[int, str]:
    """The client_order_id of the first intent that opened each structure: its name that stays."""
    first = (
        select(intents.c.structure_id, intents.c.client_order_id)
        .where(intents.c.structure_id.in_(list(structure_ids)), intents.c.purpose == Purpose.OPEN)
        .order_by(intents.c.structure_id, intents.c.attempt, intents.c.planned_at)
        .distinct(intents.c.structure_id)
    )
    return {row.structure_id: row.client_order_id for row in connection.execute(first)}


def apply_structure_update(
    connection: Connection, structure_id: int, change: StructureUpdate, now: datetime
) -> bool:
    """Write what a structure is by its orders and settlements; False when that is known."""
    wanted = {name: getattr(change, name) for name in CHANGED}
    closed_at = None if change.state in ALIVE else now
    these = {"structure_id": structure_id, "closing_at": closed_at, **wanted}
    return connection.execute(CHANGE, these).first() is not None


CHANGED = [field.name for field in fields(StructureUpdate)]
#: Averages are rounded to what a column holds, for the comparison too.
_wanted = {name: cast(bindparam(name), structures.c[name].type) for name in CHANGED}
CHANGE = (
    update(structures)
    .where(
        structures.c.id == bindparam("structure_id"),
        tuple_(*(structures.c[name] for name in CHANGED)).is_distinct_from(
            tuple_(*_wanted.values())
        ),
    )
    .values(**_wanted, closed_at=bindparam("closing_at"))
    .returning(structures.c.id)
)
_leg = orders.alias("leg")
#: What is left of orders of which a trade was taken back: the broker may leave the order as it was,
#: or say it there first.
_left = (
    select(
        fills.c.order_id,
        func.sum(case((fills.c.status == TAKEN_BACK, 0), else_=fills.c.quantity)).label("quantity"),
    )
    .group_by(fills.c.order_id)
    .having(func.bool_or(fills.c.status == TAKEN_BACK))
    .subquery()
)
_of_leg = func.least(_left.c.quantity, _leg.c.filled_quantity)
#: Of an execution that was taken back in all its legs nothing is filled any more.
_units = func.max(func.ceil(_of_leg * orders.c.quantity / _leg.c.quantity))
PARTS = (
    select(
        intents.c.structure_id,
        intents.c.purpose,
        intents.c.state,
        func.least(func.coalesce(orders.c.filled_quantity, 0), _units).label("filled"),
        orders.c.filled_average_price,
        func.jsonb_object_agg(_leg.c.symbol, _of_leg)
        .filter(_leg.c.symbol.is_not(None))
        .label("legs"),
    )
    .outerjoin(
        orders,
        (orders.c.account_id == intents.c.account_id)
        & (orders.c.client_order_id == intents.c.client_order_id),
    )
    .outerjoin(
        _leg,  # an order of one leg is that leg
        (_leg.c.parent_id == orders.c.id)
        | ((_leg.c.id == orders.c.id) & _leg.c.symbol.is_not(None)),
    )
    .outerjoin(_left, _left.c.order_id == _leg.c.id)
    .where(intents.c.structure_id.in_(bindparam("structure_ids", expanding=True)))
    .group_by(intents.c.client_order_id, orders.c.id)
    .order_by(intents.c.structure_id, intents.c.planned_at, intents.c.attempt)
)


def read_parts(connection: Connection, structure_ids: Collection[int]) -> dict[int, list[Part]]:
    """Each structure's intents, with what the broker's orders have filled of them by now."""
    if not structure_ids:
        return {}
    rows = connection.execute(PARTS, {"structure_ids": list(structure_ids)})
    return {
        key: [_part(row) for row in of_one] for key, of_one in groupby(rows, lambda row: row[0])
    }


def _part(row: Row[Any]) -> Part:
    return Part(
        purpose=Purpose(row.purpose),
        state=IntentState(row.state),
        filled_quantity=int(row.filled),
        price=row.filled_average_price,
        legs={symbol: int(filled) for symbol, filled in (row.legs or {}).items()},
    )
