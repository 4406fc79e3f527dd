"""The broker's books as read back: orders, fills, activities, positions, money, and the report."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Table, delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.schema import (
    account_marks,
    activities,
    assignment_risks,
    cycles,
    fills,
    orders,
    positions,
)
from domain.cycle import Cycle
from domain.records import Account, Activity, Fill, Order, Position
from domain.report import AssignmentRisk

ORDER_COLUMNS = [field.name for field in fields(Order) if field.name != "legs"]


def _upsert(session: Session, table: Table, rows: Sequence[dict[str, object]]) -> int:
    """Insert rows, or bring known ones up to date; how many were new or had changed.

    A row that is known and equal is not written, so that a second pass over an unchanged broker
    writes nothing.
    """
    if not rows:
        return 0
    keys = [column.name for column in table.primary_key.columns]
    new = insert(table)
    free = [name for name in rows[0] if name not in keys]
    changed = tuple_(*(table.c[name] for name in free)).is_distinct_from(
        tuple_(*(new.excluded[name] for name in free))
    )
    upsert = new.on_conflict_do_update(
        index_elements=keys, set_={name: new.excluded[name] for name in free}, where=changed
    ).returning(table.c[keys[0]])
    return len(session.execute(upsert, list(rows)).all())


def save_orders(session: Session, account_id: int, found: Sequence[Order]) -> int:
    """Make our orders the broker's, parents before their legs; rows new or changed."""
    flat = [order for parent in found for order in (parent, *parent.legs)]
    rows = [
        {"account_id": account_id, **{name: getattr(order, name) for name in ORDER_COLUMNS}}
        for order in flat
    ]
    return _upsert(session, orders, rows)


def save_fills(session: Session, account_id: int, found: Sequence[Fill]) -> int:
    """Store each execution once; rows new or corrected."""
    return _upsert(session, fills, [_row(account_id, fill) for fill in found])


def save_activities(session: Session, account_id: int, found: Sequence[Activity]) -> int:
    """Store each activity once; rows new or corrected."""
    return _upsert(session, activities, [_row(account_id, activity) for activity in found])


def _row(account_id: int, record: Fill | Activity) -> dict[str, object]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return {"account_id": account_id, **values}


def save_positions(session: Session, cycle: Cycle, held: Sequence[Position]) -> int:
    """Make our positions the broker's: what is not held any more goes."""
    gone = delete(positions).where(positions.c.account_id == cycle.account_id)
    session.execute(gone.where(positions.c.symbol.not_in([p.symbol for p in held])))
    rows = [
        {
            "account_id": cycle.account_id,
            "cycle_id": cycle.id,
            **{field.name: getattr(position, field.name) for field in fields(position)},
        }
        for position in held
    ]
    return _upsert(session, positions, rows)


def save_account(session: Session, cycle: Cycle, account: Account, now: datetime) -> int:
    """Store the account's money as this cycle saw it last."""
    row = {
        "cycle_id": cycle.id,
        "marked_at": now,
        "cash": account.cash,
        "equity": account.equity,
        "last_equity": account.last_equity,
        "options_buying_power": account.options_buying_power,
        "initial_margin": account.initial_margin,
        "maintenance_margin": account.maintenance_margin,
    }
    return _upsert(session, account_marks, [row])


def read_positions(session: Session, account_id: int) -> list[Position]:
    """What was held when last read."""
    rows = session.execute(
        select(positions).where(positions.c.account_id == account_id).order_by(positions.c.symbol)
    ).mappings()
    return [Position(**{field.name: row[field.name] for field in fields(Position)}) for row in rows]


def read_activities(session: Session, account_id: int) -> list[Activity]:
    """Every activity known of the account."""
    rows = session.execute(
        select(activities).where(activities.c.account_id == account_id)
    ).mappings()
    return [Activity(**{field.name: row[field.name] for field in fields(Activity)}) for row in rows]


def read_money(session: Session, cycle: Cycle) -> tuple[Decimal, Decimal, Decimal] | None:
    """Equity, equity at the previous close, options buying power, as this cycle read them."""
    row = session.execute(
        select(
            account_marks.c.equity,
            account_marks.c.last_equity,
            account_marks.c.options_buying_power,
        ).where(account_marks.c.cycle_id == cycle.id)
    ).first()
    return None if row is None else (row.equity, row.last_equity, row.options_buying_power)


def opening_equity(session: Session, account_id: int, since: datetime) -> Decimal | None:
    """Equity at the close before `since`, as the first cycle from then on read it. The broker may
    move its own figure on as soon as the day ends. None before any cycle."""
    return session.execute(
        select(account_marks.c.last_equity)
        .join(cycles, cycles.c.id == account_marks.c.cycle_id)
        .where(cycles.c.account_id == account_id, cycles.c.slot >= since)
        .order_by(cycles.c.slot)
        .limit(1)
    ).scalar_one_or_none()


def replace_assignment_risks(
    session: Session, cycle: Cycle, found: Sequence[AssignmentRisk]
) -> None:
    """Store the report in place of an earlier one of the same cycle."""
    session.execute(delete(assignment_risks).where(assignment_risks.c.cycle_id == cycle.id))
    if found:
        session.execute(
            insert(assignment_risks),
            [
                {"cycle_id": cycle.id, **{f.name: getattr(risk, f.name) for f in fields(risk)}}
                for risk in found
            ],
        )
