"""The audit's rows: what the account began with, what moved it since, what nothing explains."""

from collections.abc import Iterable, Sequence
from dataclasses import fields as fields_of
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from sqlalchemy import ColumnElement, Connection, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from db.schema import activities, beginnings, discrepancies, fills
from db.schema.columns import SHARES
from domain.audit import CASH, Discrepancy, Holdings
from domain.cycle import Cycle
from domain.orders import Side
from domain.records import Activity, Fill, Position


def begin(
    connection: Connection, account_id: int, cash: Decimal, held: Sequence[Position], now: datetime
) -> None:
    """Take what the account holds now as its beginning: every fill and activity that is known is in
    it."""
    rows = [{"symbol": CASH, "amount": cash}]
    rows += [{"symbol": p.symbol, "amount": p.quantity} for p in held]
    connection.execute(
        insert(beginnings).on_conflict_do_nothing(),
        [{"account_id": account_id, "seen_at": now, **row} for row in rows],
    )
    for table in (fills, activities):
        mine = update(table).where(table.c.account_id == account_id)
        connection.execute(mine.values(in_beginning=True))


def put_into_beginning(
    connection: Connection,
    account_id: int,
    late_fills: Iterable[Fill],
    late_activities: Iterable[Activity],
) -> None:
    """What these rows did was in the beginning already."""
    for table, key in (
        (fills, fills.c.id.in_([fill.id for fill in late_fills])),
        (
            activities,
            tuple_(activities.c.activity_type, activities.c.id).in_(
                [(row.activity_type, row.id) for row in late_activities]
            ),
        ),
    ):
        mine = update(table).where(table.c.account_id == account_id, key)
        connection.execute(mine.values(in_beginning=True))


def read_beginning(connection: Connection, account_id: int) -> tuple[Holdings, datetime] | None:
    """What the account held when it was first read, and when that was; None before that."""
    rows = connection.execute(select(beginnings).where(beginnings.c.account_id == account_id)).all()
    if not rows:
        return None
    amounts = {row.symbol: row.amount for row in rows}
    cash = amounts.pop(CASH)
    return Holdings(cash=cash, positions=amounts), rows[0].seen_at


def read_movements(connection: Connection, account_id: int) -> tuple[list[Fill], list[Activity]]:
    """Every fill and activity since the account's beginning."""
    return (
        [
            Fill(**{f.name: row[f.name] for f in fields_of(Fill)} | {"side": Side(row["side"])})
            for row in connection.execute(
                select(fills).where(fills.c.account_id == account_id, ~fills.c.in_beginning)
            ).mappings()
        ],
        [
            Activity(**{f.name: row[f.name] for f in fields_of(Activity)})
            for row in connection.execute(
                select(activities).where(
                    activities.c.account_id == account_id, ~activities.c.in_beginning
                )
            ).mappings()
        ],
    )


def save_discrepancies(
    connection: Connection, cycle: Cycle, found: Sequence[Discrepancy], now: datetime
) -> int:
    """Store what is new among those found, and close those that are gone or have become others;
    rows written."""
    standing = _standing(cycle.account_id)
    off = discrepancies.c.found - discrepancies.c.expected
    still = [(each.subject, _kept(each.found) - _kept(each.expected)) for each in found]
    gone = connection.execute(
        update(discrepancies)
        .where(standing, tuple_(discrepancies.c.subject, off).not_in(still))
        .values(explained_at=now)
        .returning(discrepancies.c.id)
    ).all()
    known = set(connection.execute(select(discrepancies.c.subject).where(standing)).scalars())
    new = [each for each in found if each.subject not in known]
    if new:
        connection.execute(
            insert(discrepancies),
            [
                {
                    "account_id": cycle.account_id,
                    "cycle_id": cycle.id,
                    "seen_at": now,
                    **{f.name: getattr(each, f.name) for f in fields_of(each)},
                }
                for each in new
            ],
        )
    return len(gone) + len(new)


def _kept(amount: Decimal) -> Decimal:
    """To as many places as a column holds."""
    return amount.quantize(Decimal(1).scaleb(-(SHARES.scale or 0)), ROUND_HALF_UP)


def accept(connection: Connection, account_id: int) -> int:
    """A person goes on with what stands: it halts no more, unless it changes; how many."""
    accepted = connection.execute(
        update(discrepancies)
        .where(_standing(account_id), discrepancies.c.accepted_at.is_(None))
        .values(accepted_at=func.now())
        .returning(discrepancies.c.id)
    )
    return len(accepted.all())


def read_unaccepted(connection: Connection, account_id: int) -> set[str]:
    """Subjects that stand and that nobody has accepted."""
    these = _standing(account_id) & discrepancies.c.accepted_at.is_(None)
    return set(connection.execute(select(discrepancies.c.subject).where(these)).scalars())


def _standing(account_id: int) -> ColumnElement[bool]:
    mine = discrepancies.c.account_id == account_id
    return mine & discrepancies.c.explained_at.is_(None)
