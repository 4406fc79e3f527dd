"""Halts: a person's or a failed check's stop on new risk."""

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from db.schema import accounts, halts


def standing_halt(connection: Connection, account_id: int) -> str | None:
    """The reason of the halt that stands; None when none does."""
    return connection.execute(
        select(halts.c.reason).where(halts.c.account_id == account_id, halts.c.cleared_at.is_(None))
    ).scalar_one_or_none()


def set_halt(connection: Connection, account_id: int, reason: str) -> bool:
    """Set a halt; False when one stands already.

    It waits for claims under way and holds back those that begin: once it is committed, no opening
    claim commits.
    """
    connection.execute(
        select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True)
    )
    row = connection.execute(
        insert(halts)
        .values(account_id=account_id, reason=reason)
        .on_conflict_do_nothing()
        .returning(halts.c.id)
    )
    return row.first() is not None


def clear_halt(connection: Connection, account_id: int) -> bool:
    """Clear the halt; False when none stood."""
    row = connection.execute(
        update(halts)
        .where(halts.c.account_id == account_id, halts.c.cleared_at.is_(None))
        .values(cleared_at=func.now())
        .returning(halts.c.id)
    )
    return row.first() is not None


def all_accounts(connection: Connection) -> list[tuple[int, str]]:
    """Id and number of every account that has been seen."""
    rows = connection.execute(select(accounts.c.id, accounts.c.number).order_by(accounts.c.id))
    return [(row.id, row.number) for row in rows]
