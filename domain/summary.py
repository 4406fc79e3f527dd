"""What a cycle, or a whole day, came to: the numbers a trader reads first."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.orders import Leg


@dataclass(frozen=True, kw_only=True, slots=True)
class StepTotal:
    """One step over the cycles that were summed."""

    step: str
    runs: int
    row_count: int
    duration_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldStructure:
    """A structure as it stands: prices net USD a share, negative for a credit."""

    id: int
    strategy: str
    underlying: str
    state: str
    quantity: int
    entry_price: Decimal | None
    exit_price: Decimal | None
    realized_usd: Decimal | None
    legs: tuple[Leg, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ShortRisk:
    """A short contract of the last assignment report."""

    symbol: str
    quantity: int
    days_to_expiry: int
    moneyness: Decimal | None
    extrinsic: Decimal | None
    likelihood: str
    shares: int
    cash_usd: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What happened to the account on the day besides trading: expiry, assignment, dividend."""

    activity_type: str
    symbol: str | None
    quantity: Decimal | None
    price: Decimal | None
    net_amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Counts over some cycles, and the books as they stood at the end of the last one.

    turned_down  rule -> candidates that it turned down
    denials      risk check -> accepted candidates that it denied
    intents      state -> intents
    """

    account: str
    day: date | None
    cycles: dict[str, int]
    skips: tuple[str, ...]
    contracts: int
    priced: int
    flags: dict[str, int]
    candidates: int
    accepted: int
    turned_down: dict[str, int]
    denials: dict[str, int]
    intents: dict[str, int]
    orders: int
    fills: int
    positions: tuple[tuple[str, Decimal, Decimal], ...]
    structures: tuple[HeldStructure, ...]
    cash_usd: Decimal | None
    equity_usd: Decimal | None
    profit_usd: Decimal | None  # since the close before the first of the cycles
    buying_power_usd: Decimal | None
    assignment: tuple[ShortRisk, ...]
    events: tuple[Event, ...]  # of the day; none when the cycles are not a day's
    steps: tuple[StepTotal, ...]
