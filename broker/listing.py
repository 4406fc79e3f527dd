"""Lists of orders: ours and others' of the same account."""

import logging
from collections.abc import Iterable

from broker.parse import Body, parse_order
from domain.orders import is_ours
from domain.records import Order

log = logging.getLogger(__name__)


def listed_orders(rows: Iterable[Body], told: set[str]) -> list[Order]:
    """The orders of a list. One that does not parse and is not ours is left out: what somebody
    placed by hand must not hold up all that is ours.

    told  client_order_ids of those that were left out before; each is logged once
    """
    found: list[Order] = []
    for row in rows:
        try:
            found.append(parse_order(row))
        except (ValueError, TypeError, AttributeError) as error:
            name = row.get("client_order_id")
            if not isinstance(name, str) or not name or is_ours(name):
                raise
            if name not in told:
                told.add(name)
                log.warning("the order %s, which is not ours, is left out: %s", name, error)
    return found
