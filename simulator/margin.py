"""What held and ordered options can lose: the universal spread rule.

All contracts of one underlying are summed; at each expiration the contracts that still
live are worth their intrinsic value, premium left out. The requirement is the largest
loss over all expirations and stock prices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from simulator.symbols import Right

SHARES = 100  # a contract


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """Contracts held or to be held; negative when short."""

    right: Right
    strike: Decimal
    expiration: date
    qty: int


def maintenance(lots: Sequence[Lot]) -> Decimal:
    """USD, at least 0. Short calls beyond their cover count to the highest strike only."""
    worst = Decimal(0)
    for end in {lot.expiration for lot in lots}:
        alive = [lot for lot in lots if lot.expiration >= end]
        prices = {Decimal(0)} | {lot.strike for lot in alive}
        worst = min(worst, *(_payoff(alive, price) for price in prices))
    return -worst


def uncovered(lots: Iterable[Lot], right: Right) -> int:
    """Short contracts of one right that no long one covers.

    A long contract covers one short contract that does not outlive it.
    """
    held = [lot for lot in lots if lot.right == right]
    return max(
        (
            -sum(lot.qty for lot in held if lot.qty < 0 and lot.expiration >= end)
            - sum(lot.qty for lot in held if lot.qty > 0 and lot.expiration >= end)
            for end in {lot.expiration for lot in held}
        ),
        default=0,
    )


def without_covered_calls(lots: Sequence[Lot], shares: int) -> list[Lot]:
    """The lots less the uncovered short calls that held shares stand for."""
    left = min(max(uncovered(lots, "call"), 0), max(shares, 0) // SHARES)
    kept = []
    for lot in sorted(lots, key=lambda lot: (-lot.strike, lot.expiration)):
        taken = min(left, -lot.qty) if lot.right == "call" and lot.qty < 0 else 0
        left -= taken
        if lot.qty + taken:
            kept.append(
                Lot(
                    right=lot.right,
                    strike=lot.strike,
                    expiration=lot.expiration,
                    qty=lot.qty + taken,
                )
            )
    return kept


def _payoff(lots: Iterable[Lot], price: Decimal) -> Decimal:
    total = Decimal(0)
    for lot in lots:
        value = price - lot.strike if lot.right == "call" else lot.strike - price
        total += lot.qty * SHARES * max(value, Decimal(0))
    return total
