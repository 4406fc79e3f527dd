"""The broker's orders, ours or not, as they were read."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select

from db.schema import intents, orders
from domain.records import TERMINAL


def traded_elsewhere(connection: Connection, account_id: int) -> set[str]:
    """Symbols that orders traded which are not ours: by hand, or by the broker. A fill whose order
    nobody has read may be ours."""
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


def unfinished(connection: Connection, account_id: int, before: datetime) -> list[UUID]:
    """Orders, ours or not, that had not ended when last read, and are too old for a list that
    begins at `before`."""
    found = connection.execute(
        select(orders.c.id)
        .where(
            orders.c.account_id == account_id,
            orders.c.parent_id.is_(None),
            orders.c.submitted_at <= before,
            orders.c.status.not_in(TERMINAL),
        )
        .order_by(orders.c.submitted_at, orders.c.id)
    )
    return list(found.scalars())


def was_replaced(connection: Connection, account_id: int, client_order_id: str) -> bool:
    """Whether a person has put another order in the place of this one."""
    status = select(orders.c.status).where(
        orders.c.account_id == account_id, orders.c.client_order_id == client_order_id
    )
    return connection.execute(status).scalar_one_or_none() == "replaced"
