"""The broker's books as read back: orders, fills, activities, positions, money, and the report."""

from collections.abc import Iterable, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Numeric,
    Select,
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
    orders,
    positions,
)
from domain.books import Books, flat, news
from domain.cycle import Cycle
from domain.records import Account, Activity, Fill, Order, Position
from domain.report import AssignmentRisk

Record = TypeVar("Record", Order, Fill, Activity, Position)

MID = (func.coalesce(intent_quotes.c.bid, 0) + intent_quotes.c.ask) / 2
#: Written once: when a row was first seen.
ONCE = ("seen_at",)


def save(connection: Connection, cycle: Cycle, theirs: Books, now: datetime) -> int:
    """Make our books say what the broker's do; rows written, 0 when they did already."""
    rounded = _as_kept(theirs)
    found = news(_read(connection, cycle.account_id, rounded), rounded)
    mine = {"account_id": cycle.account_id}
    seen, here = {**mine, "seen_at": now}, {**mine, "cycle_id": cycle.id}
    written = _upsert(connection, orders, [mine | _row(orders, one) for one in found.orders])
    written += _upsert(connection, fills, [seen | _row(fills, one) for one in found.fills])
    written += _upsert(
        connection, activities, [seen | _row(activities, one) for one in found.activities]
    )
    written += _upsert(
        connection, positions, [here | _row(positions, one) for one in found.positions]
    )
    if found.gone:
        of_account = delete(positions).where(positions.c.account_id == cycle.account_id)
        connection.execute(of_account.where(positions.c.symbol.in_(found.gone)))
    return written + len(found.gone) + _add_mids(connection, cycle.account_id)


def _read(connection: Connection, account_id: int, theirs: Books) -> Books:
    """Our rows under the keys of theirs."""

    def under(table: Table, record: type[Record], ids: Iterable[object]) -> tuple[Record, ...]:
        listed = list(ids)
        if not listed:
            return ()
        mine = (table.c.account_id == account_id) & table.c.id.in_(listed)
        return _records(connection, table, record, mine)

    return Books(
        orders=under(orders, Order, [order.id for order in theirs.orders]),
        fills=under(fills, Fill, [fill.id for fill in theirs.fills]),
        activities=under(activities, Activity, [row.id for row in theirs.activities]),
        positions=None
        if theirs.positions is None
        else _records(connection, positions, Position, positions.c.account_id == account_id),
    )


def _records(
    connection: Connection, table: Table, record: type[Record], which: ColumnElement[bool]
) -> tuple[Record, ...]:
    """Rows of a table as the records they were written from."""
    columns = [table.c[name] for name in _names(record) if name in table.c]
    more: dict[str, Any] = {"legs": ()} if record is Order else {}
    rows = connection.execute(select(*columns).where(which)).mappings()
    return tuple(record(**row, **more) for row in rows)


def _names(record: Any) -> list[str]:
    return [field.name for field in fields_of(record)]


def _row(table: Table, record: Order | Fill | Activity | Position) -> dict[str, object]:
    return {name: getattr(record, name) for name in _names(type(record)) if name in table.c}


def _as_kept(theirs: Books) -> Books:
    """Numbers to as many places as their columns hold."""
    return Books(
        orders=tuple(_rounded(orders, order) for order in flat(theirs.orders)),
        fills=tuple(_rounded(fills, fill) for fill in theirs.fills),
        activities=tuple(_rounded(activities, row) for row in theirs.activities),
        positions=None
        if theirs.positions is None
        else tuple(_rounded(positions, held) for held in theirs.positions),
    )


def _rounded(table: Table, record: Record) -> Record:
    finer: dict[str, Any] = {
        name: value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        for name, places in _places(table).items()
        if isinstance(value := getattr(record, name, None), Decimal)
    }
    return replace(record, **finer)


@lru_cache
def _places(table: Table) -> dict[str, int]:
    return {
        column.name: column.type.scale or 0
        for column in table.columns
        if isinstance(column.type, Numeric)
    }


def _upsert(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> int:
    """Insert rows, or bring known ones up to date; how many were new or had changed. An equal one
    is not written again."""
    if not rows:
        return 0
    return connection.execute(_upserting(table, tuple(rows[0])), list(rows)).rowcount


@lru_cache
def _upserting(table: Table, names: tuple[str, ...]) -> TextClause:
    """As text, made once: SQLAlchemy compiles an ON CONFLICT of its own again at each use."""
    keys = [column.name for column in table.primary_key.columns]
    free = [name for name in names if name not in keys and name not in ONCE]
    known, new = (", ".join(f'{of}."{name}"' for name in free) for of in (table.name, "excluded"))
    written = text(
        f"INSERT INTO {table.name} ({_list(names)}) VALUES ({', '.join(f':{n}' for n in names)})"
        f" ON CONFLICT ({_list(keys)}) DO UPDATE SET ({_list(free)}) = ROW ({new})"
        f" WHERE ({known}) IS DISTINCT FROM ({new})"
    )
    return written.bindparams(*(bindparam(name, type_=table.c[name].type) for name in names))


def _list(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


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
    """What was held when last read, by symbol."""
    held = _records(connection, positions, Position, positions.c.account_id == account_id)
    return sorted(held, key=lambda position: position.symbol)


def read_activities(connection: Connection, account_id: int) -> list[Activity]:
    """Every activity known of the account."""
    return list(_records(connection, activities, Activity, activities.c.account_id == account_id))


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


def opening_equity(
    connection: Connection, account_id: int, since: datetime, until: datetime
) -> Decimal | None:
    """Equity at the close before the session [since, until), as it was read first in that session:
    the broker may move its own figure on as soon as the session ends. None when nobody read it."""
    return connection.execute(
        _marks(account_id, since, until, account_marks.c.last_equity)
        .order_by(account_marks.c.marked_at)
        .limit(1)
    ).scalar_one_or_none()


def equity_mark(
    connection: Connection, account_id: int, since: datetime, until: datetime
) -> tuple[Decimal, datetime] | None:
    """Equity as it was read last in [since, until), and when that was."""
    found = _marks(account_id, since, until, account_marks.c.equity, account_marks.c.marked_at)
    row = connection.execute(found.order_by(account_marks.c.marked_at.desc()).limit(1)).first()
    return None if row is None else (row.equity, row.marked_at)


def _marks(
    account_id: int, since: datetime, until: datetime, *columns: ColumnElement[Any]
) -> Select[Any]:
    return (
        select(*columns)
        .join_from(account_marks, cycles, cycles.c.id == account_marks.c.cycle_id)
        .where(
            cycles.c.account_id == account_id,
            account_marks.c.marked_at >= since,
            account_marks.c.marked_at < until,
        )
    )


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
