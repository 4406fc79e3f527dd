"""What held and ordered options can lose: the universal spread rule.

All contracts of one underlying are summed; at each expiration the contracts that still
live are worth their intrinsic value, premium left out. The requirement is the largest
loss over all expirations and stock prices.

A contract delivers `size` shares for a hundred times its strike: after an adjustment its payoff
bends at another price than its strike, and it covers more or fewer shares than a fresh one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_CEILING, Decimal

from simulator.symbols import Right

SHARES = 100  # that premium and strike of a contract are counted for
CENT = Decimal("0.01")
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """Contracts held or to be held; negative when short."""

    right: Right
    strike: Decimal
    expiration: date
    qty: Decimal
    size: int = SHARES  # shares that one contract delivers

    @property
    def shares(self) -> Decimal:
        """That all of them deliver."""
        return self.qty * self.size

    @property
    def bend(self) -> Decimal:
        """The stock price at which the payoff begins or ends, USD."""
        return self.strike if self.size == SHARES else self.strike * SHARES / self.size


def maintenance(lots: Sequence[Lot]) -> Decimal:
    """USD, at least 0. Short calls beyond their cover count to the highest bend only."""
    rising = sorted(((lot.bend, lot) for lot in lots), key=lambda pair: pair[0])
    worst = Decimal(0)
    for end in {lot.expiration for lot in lots}:
        worst = min(worst, _worst([pair for pair in rising if pair[1].expiration >= end]))
    return (-worst).quantize(CENT)  # bends of unlike sizes have no end of decimals


def uncovered(lots: Iterable[Lot], right: Right) -> Decimal:
    """Shares of short contracts of one right that no long one covers.

    A long contract covers a short one that does not outlive it, share for share.
    """
    held = [lot for lot in lots if lot.right == right]
    return max(
        (
            -sum((lot.shares for lot in held if lot.expiration >= end), ZERO)
            for end in {lot.expiration for lot in held}
        ),
        default=ZERO,
    )


def bare_calls(lots: Sequence[Lot]) -> list[Decimal]:
    """Of each lot how many short calls no long call covers: as few as can be.

    From the last expiration on, for a long call covers what does not outlive it; of one day
    those with the highest bends.
    """
    bare = [ZERO] * len(lots)
    over = ZERO  # shares of longer-lived long calls that cover nothing yet
    calls = [place for place, lot in enumerate(lots) if lot.right == "call"]
    for end in sorted({lots[place].expiration for place in calls}, reverse=True):
        group = [place for place in calls if lots[place].expiration == end]
        over += sum((lots[place].shares for place in group), ZERO)
        for place in sorted(group, key=lambda place: -lots[place].bend):
            if over < 0 and lots[place].qty < 0:
                bare[place] = min(whole(-over / lots[place].size), -lots[place].qty)
                over += bare[place] * lots[place].size
    return bare


def whole(contracts: Decimal) -> Decimal:
    """Rounded up."""
    return contracts.to_integral_value(rounding=ROUND_CEILING)


def without_covered_calls(lots: Sequence[Lot], shares: Decimal) -> list[Lot]:
    """The lots less the short calls that only held shares stand for."""
    if not any(lot.qty < 0 and lot.right == "call" for lot in lots):
        return list(lots)
    left, kept = max(shares, ZERO), []
    for lot, bare in zip(lots, bare_calls(lots), strict=True):
        taken = min(left // lot.size, bare)
        left -= taken * lot.size
        if lot.qty + taken:
            kept.append(replace(lot, qty=lot.qty + taken) if taken else lot)
    return kept


def _worst(rising: Sequence[tuple[Decimal, Lot]]) -> Decimal:
    """The least payoff in USD over stock prices of zero and the bends, at most 0.

    One walk from low to high bends: the payoff is straight between them.
    """
    puts = [lot for _, lot in rising if lot.right == "put"]
    payoff = SHARES * sum((lot.strike * lot.qty for lot in puts), Decimal(0))
    slope = -sum(lot.shares for lot in puts)
    worst, price = min(payoff, Decimal(0)), Decimal(0)
    for bend, lot in rising:
        if bend != price:
            payoff += slope * (bend - price)
            price = bend
            worst = min(worst, payoff)
        slope += lot.shares  # a put's fall ends, a call's rise begins
    return worst
