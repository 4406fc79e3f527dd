"""What an account holds and has asked for. Plain records; the exchange moves them."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID, uuid5

from simulator.bonds import Bond
from simulator.margin import Lot
from simulator.states import FINAL
from simulator.symbols import Contract, account_id, asset_id


@dataclass(kw_only=True, slots=True)
class Order:
    """An order, or one leg of an order of several.

    qty counts units for the parent and contracts for a leg; prices are USD a share, net
    per unit for a parent of legs.
    """

    id: str
    client_order_id: str
    created_at: int
    symbol: str = ""
    contract: Contract | None = None
    order_class: str = "simple"
    type: str = ""
    side: str = ""
    intent: str | None = None
    time_in_force: str = "day"
    qty: Decimal
    ratio: int | None = None  # legs only
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    notional: Decimal | None = None  # USD; the qty follows from the price of the fill
    hwm: Decimal | None = None  # the best price a trailing stop has seen
    is_triggered: bool = False  # a stop that has become a market or limit order
    extended_hours: bool = False
    status: str
    submitted_at: int
    updated_at: int
    expires_at: int
    filled_at: int | None = None
    expired_at: int | None = None
    canceled_at: int | None = None
    failed_at: int | None = None
    replaced_at: int | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    filled_qty: Decimal = Decimal(0)
    filled_usd: Decimal = Decimal(0)  # price times quantity of all executions
    legs: tuple["Order", ...] = ()
    required_usd: Decimal = Decimal(0)  # buying power held while it works
    #: While a cancel or replacement is pending: when it is done, what it was before, what follows.
    due_at: int | None = None
    status_before: str = ""
    successor: "Order | None" = None
    is_waiting: bool = False  # for the order that it is to replace
    closes: bool = False  # it takes from what was held when it was sent, shares too
    is_brokers: bool = False  # the broker's own: no client asked for it, and nothing stops it
    bond: Bond | None = field(default=None, compare=False)

    @property
    def is_held(self) -> bool:
        """Another order has to end before it works."""
        return self.bond is not None and self.bond.holds(self)

    @property
    def is_open(self) -> bool:
        return self.status not in FINAL

    @property
    def leaves(self) -> Decimal:
        """What is not filled yet."""
        return self.qty - self.filled_qty

    @property
    def filled_avg_price(self) -> Decimal | None:
        """To a millionth; None before the first execution."""
        return round(self.filled_usd / self.filled_qty, 6) if self.filled_qty else None

    def executed(self) -> tuple["Order", ...]:
        """The orders that move positions: the legs, or itself."""
        return self.legs or (self,)

    def signed_qty(self) -> Decimal:
        return self.qty if self.side == "buy" else -self.qty


@dataclass(kw_only=True, slots=True)
class Position:
    """qty is negative when short; entry and mark are USD a share."""

    symbol: str
    contract: Contract | None  # None for a stock
    qty: Decimal
    entry: Decimal
    mark: Decimal

    @property
    def multiplier(self) -> int:
        return 100 if self.contract is not None else 1

    def lot(self) -> Lot | None:
        """None for a stock."""
        return lot_of(self.contract, self.qty) if self.contract is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """A fill, or what a night did. `net_usd` is None for fills; `at` is when the row was made.

    qty is what the row moves: signed contracts or shares, unsigned for fills, 0 for money alone.
    """

    id: str
    kind: str
    at: int
    day: date
    symbol: str
    qty: Decimal
    price: Decimal | None = None
    net_usd: Decimal | None = None
    group_id: str | None = None
    side: str | None = None
    order_id: str | None = None
    cum_qty: Decimal = Decimal(0)
    leaves_qty: Decimal = Decimal(0)
    readable_at: int = 0
    status: str = "executed"  # or correct, canceled
    sub_kind: str = ""
    description: str = ""
    shown_qty: Decimal | None = None  # where the row says another number than it moves
    per_share_usd: Decimal | None = None
    entry_usd: Decimal | None = None  # at which it is held from now on, where that is no price
    split_rate: Decimal | None = None  # new shares for one

    @property
    def counts(self) -> bool:
        """Not taken back."""
        return self.status != "canceled"

    @property
    def execution_id(self) -> str:
        """What the stream calls a fill."""
        return self.id.partition("::")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A dividend that holders of an ex-day's morning get; negative shares pay it."""

    symbol: str
    shares: Decimal
    rate_usd: Decimal
    ex_day: date
    pay_day: date


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """What the owner of an account may set."""

    fractional_trading: bool = True
    max_margin_multiplier: str = "4"
    no_shorting: bool = False
    suspend_trade: bool = False
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    max_options_trading_level: int | None = None  # None: as approved


@dataclass(kw_only=True)
class Book:
    """One account."""

    account: str
    cash_start: Decimal
    cash: Decimal
    equity_last: Decimal
    orders: dict[str, Order] = field(default_factory=dict)
    working: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[str, Order] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    exercising: dict[str, Decimal] = field(default_factory=dict)  # contracts, tonight
    not_exercising: set[str] = field(default_factory=set)
    to_be_assigned: dict[str, int] = field(default_factory=dict)  # contracts, tonight
    locked_until: dict[str, int] = field(default_factory=dict)  # by underlying, since an assignment
    dividends_due: list[Due] = field(default_factory=list)
    configuration: Configuration = field(default_factory=Configuration)
    marked_at: int = -1  # when its positions were last given their prices
    _count: int = 0

    def new_id(self) -> str:
        """The next of this account's ids."""
        self._count += 1
        return str(uuid5(UUID(account_id(self.account)), str(self._count)))

    def hold(self, symbol: str, contract: Contract | None, change: Decimal, price: Decimal) -> None:
        """Add contracts or shares at a price; average entry, unchanged while closing."""
        held = self.positions.get(symbol)
        if held is None:
            self.positions[symbol] = Position(
                symbol=symbol, contract=contract, qty=change, entry=price, mark=price
            )
            return
        after = held.qty + change
        if after == 0:
            del self.positions[symbol]
        elif held.qty * change > 0:
            held.entry = (held.entry * held.qty + price * change) / after
        elif held.qty * after < 0:
            held.entry = price
        held.qty = after

    def qty(self, symbol: str) -> Decimal:
        held = self.positions.get(symbol)
        return held.qty if held is not None else Decimal(0)

    def position(self, symbol_or_id: str) -> Position | None:
        by_symbol = self.positions.get(symbol_or_id)
        if by_symbol is not None:
            return by_symbol
        return next(
            (p for p in self.positions.values() if asset_id(p.symbol) == symbol_or_id), None
        )


def trade_usd(price: Decimal, qty: Decimal, *, is_option: bool) -> Decimal:
    """What a trade of so many costs, to the cent: only parts of a share cost less."""
    return round(price * qty * (100 if is_option else 1), 2)


def lot_of(contract: Contract, qty: Decimal) -> Lot:
    """A contract and a count as the margin rule sees them."""
    return Lot(
        right=contract.right,
        strike=contract.strike,
        expiration=contract.last_day,
        qty=qty,
        size=contract.size,
    )
