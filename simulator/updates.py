"""What the exchange tells whoever listens, at the moment it happens; the order is still as it is
only until the next call, so a listener reads what it wants at once."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from simulator.book import Order


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One trade of one order or leg; position_qty is signed, after it."""

    id: str
    order: Order
    qty: Decimal
    price: Decimal
    position_qty: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """`event` is the word of the trade_updates stream; executions are those of a fill."""

    event: str
    order: Order
    at: int
    executions: tuple[Execution, ...] = ()


Listener = Callable[[Update], None]

#: Told where the clock stood and where it stands now, before anything that is due there happens.
Watcher = Callable[[int, int], None]
