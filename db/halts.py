"""Halts: a person's or a failed check's stop on new risk."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.schema import halts


def standing_halt(session: Session, account_id: int) -> str | None:
    """The reason of the halt that stands; None when none does."""
    return session.execute(
        select(halts.c.reason).where(halts.c.account_id == account_id, halts.c.cleared_at.is_(None))
    ).scalar_one_or_none()


def set_halt(session: Session, account_id: int, reason: str, now: datetime) -> bool:
    """Set a halt; False when one stands already."""
    row = session.execute(
        insert(halts)
        .values(account_id=account_id, reason=reason, set_at=now)
        .on_conflict_do_nothing()
        .returning(halts.c.id)
    )
    return row.first() is not None


def clear_halt(session: Session, account_id: int, now: datetime) -> bool:
    """Clear the halt; False when none stood."""
    row = session.execute(
        update(halts)
        .where(halts.c.account_id == account_id, halts.c.cleared_at.is_(None))
        .values(cleared_at=now)
        .returning(halts.c.id)
    )
    return row.first() is not None
