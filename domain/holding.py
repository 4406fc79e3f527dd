"""Holding: what its own orders have left a structure, leg by leg, and how much of it an exit may
close."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from domain.audit import Discrepancy
from domain.orders import LIVE, IntentState, Leg, Purpose, Side
from domain.structures import Structure


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One intent of a structure, and what its order has filled at the broker by now."""

    purpose: Purpose
    state: IntentState
    filled_quantity: int
    price: Decimal | None  # average, net USD per share; None without a fill
    #: Contracts filled of each leg that it trades; while none is known each is filled as the whole.
    legs: Mapping[str, int] = field(default_factory=dict)


def legs_left(structure: Structure, parts: Sequence[Part]) -> dict[str, int]:
    """Contracts that the orders of a structure have left it by symbol, negative when short; a leg
    of which nothing is left is missing."""
    left = {leg.symbol: _sign(leg) * _net(leg, parts, _filled) for leg in structure.legs}
    return {symbol: quantity for symbol, quantity in left.items() if quantity}


def unmatched(structure: Structure, parts: Sequence[Part]) -> list[Discrepancy]:
    """Legs of which more or less is left than of the structure's whole units: a trade was taken
    back, or more was closed than had been opened."""
    found = []
    for leg in structure.legs:
        whole, left = max(_net(leg, parts, _whole), 0), _net(leg, parts, _filled)
        if left != whole:
            subject, sign = f"{leg.symbol} of structure {structure.id}", _sign(leg)
            expected, there = Decimal(sign * whole), Decimal(sign * left)
            found.append(Discrepancy(subject=subject, expected=expected, found=there))
    return found


def is_at_work(parts: Iterable[Part]) -> bool:
    """Whether an order may still fill: until none does legs may stand apart."""
    return any(part.state in LIVE for part in parts)


def _net(leg: Leg, parts: Iterable[Part], count: Callable[[Part, Leg], int]) -> int:
    """Opened less closed, both without a sign."""
    return sum(
        count(part, leg) if part.purpose is Purpose.OPEN else -count(part, leg) for part in parts
    )


def _filled(part: Part, leg: Leg) -> int:
    return part.legs.get(leg.symbol, 0) if part.legs else part.filled_quantity * leg.ratio


def _whole(part: Part, leg: Leg) -> int:
    """What the units of the order make of a leg; an exit may leave a leg out."""
    is_traded = not part.legs or leg.symbol in part.legs
    return part.filled_quantity * leg.ratio if is_traded else 0


def _sign(leg: Leg) -> int:
    return 1 if leg.side is Side.BUY else -1


def closable(
    legs: Iterable[Leg], units: int, holdings: Iterable[Mapping[str, int | Decimal]]
) -> int:
    """How many of `units` an exit by `legs` may close: each leg is there in every one of
    `holdings`, contracts by symbol, negative when short."""
    there = [
        -_sign(leg) * held.get(leg.symbol, 0) // leg.ratio for leg in legs for held in holdings
    ]
    return max(0, min(units, *map(int, there)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdings:
    """Contracts by symbol, negative when short: the account's by the broker's positions, and what
    each living structure's own orders have left it."""

    account: Mapping[str, Decimal]
    structures: Mapping[int, Mapping[str, int]]

    def held(self, structure_id: int, left: Mapping[str, int]) -> frozenset[str]:
        """Symbols of which the account holds some of what a structure's orders have left it,
        besides what is other structures'."""
        return frozenset(
            symbol
            for symbol, quantity in left.items()
            if self._free(structure_id, symbol) * (1 if quantity > 0 else -1) > 0
        )

    def missing(self) -> list[Discrepancy]:
        """Contracts of living structures that the account does not hold: assigned early, or traded
        away by a person."""
        found = []
        symbols = {symbol for left in self.structures.values() for symbol in left}
        for symbol in sorted(symbols):
            own = sum(left.get(symbol, 0) for left in self.structures.values())
            there = self.account.get(symbol, Decimal(0))
            if (there < own) if own > 0 else (there > own):
                subject = f"{symbol} of the structures"
                found.append(Discrepancy(subject=subject, expected=Decimal(own), found=there))
        return found

    def closable(self, structure: Structure, legs: Sequence[Leg]) -> int:
        """Units that an exit of a structure may be for: what its own orders have left it, and the
        account holds besides what is other structures'."""
        free = {leg.symbol: self._free(structure.id, leg.symbol) for leg in legs}
        return closable(legs, structure.quantity, [self.structures[structure.id], free])

    def _free(self, structure_id: int, symbol: str) -> Decimal:
        """What the account holds besides what is other structures'."""
        others = (left for key, left in self.structures.items() if key != structure_id)
        return self.account.get(symbol, Decimal(0)) - sum(left.get(symbol, 0) for left in others)
