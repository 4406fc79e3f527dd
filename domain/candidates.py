"""A candidate: what a strategy looked at in a slot, traded or not, with the reason and numbers."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.orders import SHARES_PER_CONTRACT, Leg, Purpose


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One possible trade.

    rule       what decided: the rule that turned it down, the exit rule that fired, or None for
               an entry that passed them all
    value      the number that the rule saw; None when there was none
    threshold  what it was held against
    price_*    net USD per share of one unit in the broker's sign: positive is a debit
    width      USD per share that the wider side can lose, before the credit
    """

    strategy: str
    underlying: str
    purpose: Purpose
    structure_id: int | None
    expiration: date | None
    legs: tuple[Leg, ...]
    width: Decimal | None
    price_natural: Decimal | None
    price_mid: Decimal | None
    is_accepted: bool
    rule: str | None
    value: float | None
    threshold: float | None


def loss_usd_one(candidate: Candidate, limit_price: Decimal) -> Decimal:
    """What one unit can lose from entry at `limit_price`, USD: its width less the credit."""
    if candidate.width is None:
        raise ValueError(f"{candidate.strategy} {candidate.underlying} has no width: no loss known")
    return max((candidate.width + limit_price) * SHARES_PER_CONTRACT, Decimal(0))
