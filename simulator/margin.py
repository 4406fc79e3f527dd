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
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """Contracts held or to be held; negative when short."""

    right: Right
    strike: Decimal
    expiration: date
    qty: Decimal


def maintenance(lots: Sequence[Lot]) -> Decimal:
    """USD, at least 0. Short calls beyond their cover count to the highest strike only."""
    strikes = sorted((lot.strike, lot.right, lot.expiration, lot.qty) for lot in lots)
    worst = Decimal(0)
    for end in {lot.expiration for lot in lots}:
        worst = min(worst, _worst([row for row in strikes if row[2] >= end]))
    return -worst * SHARES


def uncovered(lots: Iterable[Lot], right: Right) -> Decimal:
    """Short contracts of one right that no long one covers.

    A long contract covers one short contract that does not outlive it.
    """
    held = [lot for lot in lots if lot.right == right]
    return max(
        (
            -sum((lot.qty for lot in held if lot.expiration >= end), ZERO)
            for end in {lot.expiration for lot in held}
        ),
        default=ZERO,
    )


def without_covered_calls(lots: Sequence[Lot], shares: Decimal) -> list[Lot]:
    """The lots less the uncovered short calls that held shares stand for."""
    left = min(max(uncovered(lots, "call"), ZERO), max(shares, ZERO) // SHARES)
    kept = []
    for lot in sorted(lots, key=lambda lot: (-lot.strike, lot.expiration)):
        taken = min(left, -lot.qty) if lot.right == "call" and lot.qty < 0 else ZERO
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


def _worst(rows: Sequence[tuple[Decimal, Right, date, Decimal]]) -> Decimal:
    """The least payoff in USD a share over stock prices of zero and the strikes, at most 0.

    One walk from low to high strikes: the payoff is straight between them.
    """
    payoff = sum((strike * qty for strike, right, _, qty in rows if right == "put"), Decimal(0))
    slope = -sum(qty for _, right, _, qty in rows if right == "put")
    worst, price = min(payoff, Decimal(0)), Decimal(0)
    for strike, _, _, qty in rows:
        if strike != price:
            payoff += slope * (strike - price)
            price = strike
            worst = min(worst, payoff)
        slope += qty  # a put's fall ends, a call's rise begins
    return worst
