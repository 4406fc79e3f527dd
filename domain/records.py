"""What the broker tells us, parsed once: account, order, fill, activity, position."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from domain.orders import Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The broker's clock: the only clock of a cycle."""

    now: datetime
    is_open: bool
    next_open: datetime
    next_close: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Money in USD. `last_equity` is the equity at the previous close."""

    number: str
    cash: Decimal
    equity: Decimal
    last_equity: Decimal
    options_buying_power: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    options_level: int
    is_blocked: bool

    @property
    def day_profit_usd(self) -> Decimal:
        return self.equity - self.last_equity


#: Order statuses after which nothing more can happen.
TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One order at the broker; a multi-leg parent has no symbol and no side of its own."""

    id: UUID
    client_order_id: str
    parent_id: UUID | None
    order_class: str
    symbol: str | None
    side: Side | None
    position_intent: str | None
    quantity: Decimal | None  # None: ordered for an amount of money
    filled_quantity: Decimal
    filled_average_price: Decimal | None
    limit_price: Decimal | None
    status: str
    submitted_at: datetime
    updated_at: datetime
    filled_at: datetime | None
    legs: tuple["Order", ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """One execution of one contract or share; `id` is the activity's. A row may be corrected later
    under its id: `status` is then correct, or canceled for a trade that was taken back."""

    id: str
    order_id: UUID
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    filled_at: datetime
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """What happened to the account besides fills: expiry, assignment, fees, dividends. Exercise
    and its share movement may share one id, so the key is (activity_type, id)."""

    activity_type: str
    id: str
    day: date
    symbol: str | None
    quantity: Decimal | None
    price: Decimal | None
    net_amount: Decimal
    status: str
    description: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Contracts or shares held; negative when short. Prices USD per share."""

    symbol: str
    quantity: Decimal
    average_entry_price: Decimal
    current_price: Decimal | None
    market_value: Decimal | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """A contract's two sides, USD per share; None where nobody stands."""

    bid: Decimal | None
    ask: Decimal | None
    quoted_at: datetime | None
