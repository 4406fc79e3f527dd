"""The broker's books as read back: orders, fills, activities, positions, money, and the report."""

from collections.abc import Iterable, Sequence
from dataclasses import fields as fields_of
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from sqlalchemy import (
    Connection,
    Table,
    TextClause,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from db.schema import (
    account_marks,
    activities,
    assignment_risks,
    cycles,
    fills,
    intent_quotes,
    intents,
    orders,
    positions,
)
from domain.cycle import Cycle
from domain.records import Account, Activity, Fill, Order, Position
from domain.report import AssignmentRisk

MID = (func.coalesce(intent_quotes.c.bid, 0) + intent_quotes.c.ask) / 2
ORDER_COLUMNS = [field.name for field in fields_of(Order) if field.name != "legs"]


#: Written once: when a row was first seen, and what we have added to it since.
ONCE = ("seen_at",)


def _upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[dict[str, object]],
    newest: str | None = None,
) -> int:
    """Insert rows, or bring known ones up to date; how many were new or had changed.

    A row that is known and equal is not written, so that a second pass over an unchanged broker
    writes nothing.

    newest  a column of time: a row that is older by it than what is known is not written either
    """
    if not rows:
        return 0
    return connection.execute(_upserting(table, tuple(rows[0]), newest), list(rows)).rowcount


@lru_cache
def _upserting(table: Table, names: tuple[str, ...], newest: str | None) -> TextClause:
    """As text, made once: SQLAlchemy compiles an ON CONFLICT of its own again at each use."""
    keys = [column.name for column in table.primary_key.columns]
    free = [name for name in names if name not in keys and name not in ONCE]
    known, new = (", ".join(f'{of}."{name}"' for name in free) for of in (table.name, "excluded"))
    is_newer = f' AND {table.name}."{newest}" <= excluded."{newest}"' if newest else ""
    written = text(
        f"INSERT INTO {table.name} ({_list(names)}) VALUES ({', '.join(f':{n}' for n in names)})"
        f" ON CONFLICT ({_list(keys)}) DO UPDATE SET ({_list(free)}) = ROW ({new})"
        f" WHERE ({known}) IS DISTINCT FROM ({new}){is_newer}"
    )
    return written.bindparams(*(bindparam(name, type_=table.c[name].type) for name in names))


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def save_orders(connection: Connection, account_id: int, found: Sequence[Order]) -> int:
    """Make our orders the broker's, parents before their legs; rows new or changed. A list may be
    older than what was read of one order: what is known stays."""
    flat = [order for parent in found for order in (parent, *parent.legs)]
    rows = [
        {"account_id": account_id, **{name: getattr(order, name) for name in ORDER_COLUMNS}}
        for order in flat
    ]
    return _upsert(connection, orders, rows, newest="updated_at")


def save_fills(
    connection: Connection, account_id: int, found: Sequence[Fill], now: datetime
) -> int:
    """Store each execution once, with the mid its leg had when its order left; rows new or
    corrected."""
    rows = [_row(account_id, fill, now) for fill in found]
    return _upsert(connection, fills, rows) + _add_mids(connection, account_id)


def _add_mids(connection: Connection, account_id: int) -> int:
    """A fill's order may be listed after it: what has no mid yet and can have one gets it."""
    leg, parent = orders.alias("leg"), orders.alias("parent")
    sent_as = func.coalesce(parent.c.client_order_id, leg.c.client_order_id)
    mids = (
        select(leg.c.id, intent_quotes.c.symbol, MID.label("mid"))
        .outerjoin(parent, parent.c.id == leg.c.parent_id)
        .join(intent_quotes, intent_quotes.c.client_order_id == sent_as)
        .where(leg.c.account_id == account_id)
        .subquery()
    )
    added = connection.execute(
        update(fills)
        .where(
            fills.c.account_id == account_id,
            fills.c.mid_price.is_(None),
            fills.c.order_id == mids.c.id,
            fills.c.symbol == mids.c.symbol,
        )
        .values(mid_price=mids.c.mid)
        .returning(fills.c.id)
    )
    return len(added.all())


def save_activities(
    connection: Connection, account_id: int, found: Sequence[Activity], now: datetime
) -> int:
    """Store each activity once; rows new or corrected."""
    return _upsert(connection, activities, [_row(account_id, activity, now) for activity in found])


def _row(account_id: int, record: Fill | Activity, now: datetime) -> dict[str, object]:
    values = {field.name: getattr(record, field.name) for field in fields_of(record)}
    return {"account_id": account_id, "seen_at": now, **values}


def traded_elsewhere(connection: Connection, account_id: int) -> set[str]:
    """Symbols that orders traded which are not ours: placed by hand, or by the broker."""
    parent = orders.alias("parent")
    sent_as = func.coalesce(parent.c.client_order_id, orders.c.client_order_id)
    ours = select(intents.c.client_order_id).where(intents.c.account_id == account_id)
    found = connection.execute(
        select(orders.c.symbol)
        .outerjoin(parent, parent.c.id == orders.c.parent_id)
        .where(
            orders.c.account_id == account_id,
            orders.c.symbol.is_not(None),
            orders.c.filled_quantity > 0,
            sent_as.not_in(ours),
        )
        .distinct()
    )
    return set(found.scalars())


def save_positions(connection: Connection, cycle: Cycle, held: Sequence[Position]) -> int:
    """Make our positions the broker's: what is not held any more goes."""
    gone = delete(positions).where(positions.c.account_id == cycle.account_id)
    connection.execute(gone.where(positions.c.symbol.not_in([p.symbol for p in held])))
    rows = [
        {
            "account_id": cycle.account_id,
            "cycle_id": cycle.id,
            **{field.name: getattr(position, field.name) for field in fields_of(position)},
        }
        for position in held
    ]
    return _upsert(connection, positions, rows)


def save_account(connection: Connection, cycle: Cycle, account: Account, now: datetime) -> int:
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
    return _upsert(connection, account_marks, [row])


def read_positions(connection: Connection, account_id: int) -> list[Position]:
    """What was held when last read."""
    rows = connection.execute(
        select(positions).where(positions.c.account_id == account_id).order_by(positions.c.symbol)
    ).mappings()
    return [
        Position(**{field.name: row[field.name] for field in fields_of(Position)}) for row in rows
    ]


def read_activities(connection: Connection, account_id: int) -> list[Activity]:
    """Every activity known of the account."""
    rows = connection.execute(
        select(activities).where(activities.c.account_id == account_id)
    ).mappings()
    return [
        Activity(**{field.name: row[field.name] for field in fields_of(Activity)}) for row in rows
    ]


def read_money(connection: Connection, cycle: Cycle) -> tuple[Decimal, Decimal, Decimal] | None:
    """Equity, equity at the previous close, options buying power, as this cycle read them."""
    row = connection.execute(
        select(
            account_marks.c.equity,
            account_marks.c.last_equity,
            account_marks.c.options_buying_power,
        ).where(account_marks.c.cycle_id == cycle.id)
    ).first()
    return None if row is None else (row.equity, row.last_equity, row.options_buying_power)


def opening_equity(connection: Connection, account_id: int, since: datetime) -> Decimal | None:
    """Equity at the close before `since`, as the first cycle from then on read it. The broker may
    move its own figure on as soon as the day ends. None before any cycle."""
    return connection.execute(
        select(account_marks.c.last_equity)
        .join(cycles, cycles.c.id == account_marks.c.cycle_id)
        .where(cycles.c.account_id == account_id, cycles.c.slot >= since)
        .order_by(cycles.c.slot)
        .limit(1)
    ).scalar_one_or_none()


def replace_assignment_risks(
    connection: Connection, cycle: Cycle, found: Sequence[AssignmentRisk]
) -> None:
    """Store the report in place of an earlier one of the same cycle."""
    connection.execute(delete(assignment_risks).where(assignment_risks.c.cycle_id == cycle.id))
    if found:
        connection.execute(
            insert(assignment_risks),
            [
                {"cycle_id": cycle.id, **{f.name: getattr(risk, f.name) for f in fields_of(risk)}}
                for risk in found
            ],
        )
