"""A structure: the legs that were opened together and are judged and closed together."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from domain.orders import SHARES_PER_CONTRACT, Leg


class StructureState(StrEnum):
    OPENING = "opening"  # its opening intent is planned or on its way
    OPEN = "open"  # at least one unit is held, and no closing intent is on its way
    CLOSING = "closing"  # a closing intent is on its way
    CLOSED = "closed"  # every unit was traded away
    EXPIRED = "expired"  # its last legs expired worthless
    ASSIGNED = "assigned"  # a leg was exercised or assigned
    FAILED = "failed"  # the opening intent ended without a fill


#: States in which the structure takes one of its underlying's places.
ALIVE = (StructureState.OPENING, StructureState.OPEN, StructureState.CLOSING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Structure:
    """Units of a package that we hold. `entry_price` is net USD per share of one unit, positive a
    debit, negative a credit."""

    id: int
    strategy: str
    underlying: str
    state: StructureState
    quantity: int
    entry_price: Decimal
    #: What the units that were closed before have earned, USD.
    realized_usd: Decimal
    legs: tuple[Leg, ...]

    @property
    def credit(self) -> Decimal:
        """USD per share received for one unit; negative when it was paid for."""
        return -self.entry_price


def realized_usd(entry_price: Decimal, exit_price: Decimal, quantity: Decimal) -> Decimal:
    """What a round trip earned, USD: both prices net per share, positive a debit."""
    return -(entry_price + exit_price) * quantity * SHARES_PER_CONTRACT
