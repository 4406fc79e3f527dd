"""Risk: what everything can lose, and whether one more intent may be sent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from domain.contracts import Right, is_option, parse_symbol
from domain.orders import SHARES_PER_CONTRACT, Leg, OrderIntent, Purpose, Side
from domain.records import Position

UNLIMITED = Decimal("Infinity")


class Check(StrEnum):
    """Every check an opening intent must pass; each leaves a verdict."""

    HALT = "halt"  # someone, or a failed check, stopped new risk
    DAILY_LOSS = "daily_loss"  # today has lost too much already
    POSITION_SIZE = "position_size"  # contracts a leg
    SINGLE_TRADE_LOSS = "single_trade_loss"  # this order alone, at its worst
    OPTION_ALLOCATION = "option_allocation"  # everything held and working, at its worst
    CONCENTRATION = "concentration"  # the same in one underlying
    PORTFOLIO_DELTA = "portfolio_delta"  # after the fill
    PORTFOLIO_GAMMA = "portfolio_gamma"
    PORTFOLIO_THETA = "portfolio_theta"
    BUYING_POWER = "buying_power"  # the broker would refuse it
    UNSETTLED_ORDER = "unsettled_order"  # an order of the underlying has no answer yet
    SAME_LEGS = "same_legs"  # the same package was sent a short while ago
    ORDER_RATE = "order_rate"  # opening orders a minute
    PRICE_COLLAR = "price_collar"  # the worst price it takes, against the mid


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a person decided; config/limits.toml explains each. Shares are of equity."""

    position_contracts_max: int
    single_trade_loss_share_max: Decimal
    option_allocation_share_max: Decimal
    concentration_share_max: Decimal
    delta_usd_max: Decimal
    gamma_usd_max: Decimal
    theta_usd_max: Decimal
    daily_loss_usd_max: Decimal
    orders_per_minute_max: int
    same_legs_minutes_min: int
    price_collar_share_max: Decimal

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
            if not is_number or Decimal(value).is_nan() or not value > 0:
                raise ValueError(f"{field.name} is {value}: it must be a number above 0")
            if field.name.endswith("share_max") and value > 1:
                raise ValueError(f"{field.name} is {value}: a share of equity, at most 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """Sensitivities in USD: delta_usd is the stock position it moves like, gamma_usd how that
    changes when spot moves 1 %, theta_usd what a calendar day brings. NaN when a part is unknown.
    """

    delta_usd: float = 0.0
    gamma_usd: float = 0.0
    theta_usd: float = 0.0

    def __add__(self, other: "Exposure") -> "Exposure":
        return Exposure(
            delta_usd=self.delta_usd + other.delta_usd,
            gamma_usd=self.gamma_usd + other.gamma_usd,
            theta_usd=self.theta_usd + other.theta_usd,
        )


UNKNOWN_EXPOSURE = Exposure(delta_usd=float("nan"), gamma_usd=float("nan"), theta_usd=float("nan"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Greek:
    """One share's worth of a contract: delta, gamma and theta a day, at the underlying's spot."""

    spot: float
    delta: float
    gamma: float
    theta: float


def exposure(greek: Greek | None, shares: float) -> Exposure:
    """The exposure of `shares` (contracts times multiplier, signed); NaN without Greeks."""
    if greek is None:
        return UNKNOWN_EXPOSURE
    return Exposure(
        delta_usd=greek.delta * shares * greek.spot,
        gamma_usd=greek.gamma * shares * greek.spot * greek.spot * 0.01,
        theta_usd=greek.theta * shares,
    )


def intent_exposure(intent: OrderIntent, greeks: Mapping[str, Greek]) -> Exposure:
    """What the whole intent adds once filled."""
    total = Exposure()
    for leg in intent.legs:
        signed = leg.ratio if leg.side is Side.BUY else -leg.ratio
        shares = signed * intent.quantity * SHARES_PER_CONTRACT
        total += exposure(greeks.get(leg.symbol), shares)
    return total


#: Legs as (symbol, side, ratio), in no order.
Package = frozenset[tuple[str, str, int]]


def package(legs: Iterable[Leg]) -> Package:
    """What makes two orders the same package, whatever its size and price."""
    return frozenset((leg.symbol, str(leg.side), leg.ratio) for leg in legs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """What is held or on its way, read in the transaction that stores the verdicts.

    loss_usd_worst  by underlying: if every live opening order fills and everything held goes to
                    its worst. Orders with an unknown answer count in full.
    """

    is_halted: bool
    equity: Decimal
    options_buying_power: Decimal
    day_profit_usd: Decimal
    loss_usd_worst: Mapping[str, Decimal]
    exposure: Exposure
    #: Orders without an answer, by underlying.
    unsettled_orders: Mapping[str, int]
    #: Opening orders that left in the last minute, or are about to.
    orders_last_minute: int
    #: Packages that were opened within the last same_legs_minutes_min.
    recent_packages: frozenset["Package"]

    def with_intent(self, intent: OrderIntent, added: Exposure) -> "Book":
        """The book once `intent` is on its way."""
        losses = dict(self.loss_usd_worst)
        losses[intent.underlying] = (
            losses.get(intent.underlying, Decimal(0)) + intent.loss_usd_worst
        )
        return replace(
            self,
            loss_usd_worst=losses,
            exposure=self.exposure + added,
            options_buying_power=self.options_buying_power - intent.loss_usd_worst,
            orders_last_minute=self.orders_last_minute + 1,
            recent_packages=self.recent_packages | {package(intent.legs)},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One check's answer with its numbers: passes when value <= threshold."""

    check: Check
    value: float
    threshold: float

    @property
    def passed(self) -> bool:
        return self.value <= self.threshold  # NaN is not


def verdicts(
    intent: OrderIntent,
    book: Book,
    limits: Limits,
    added: Exposure,
    mids: Mapping[str, Decimal],
) -> tuple[Verdict, ...]:
    """Every check of an opening intent. What closes risk passes a halt and every limit, so a
    closing intent is asked nothing and gets no verdict.

    added  the intent's exposure once filled
    mids   USD per share of each leg; without one the price is not known to be near it
    """
    if intent.purpose is Purpose.CLOSE:
        return ()
    equity = book.equity
    after = book.with_intent(intent, added)
    contracts = max(leg.ratio for leg in intent.legs) * intent.quantity
    asked: dict[Check, tuple[Decimal | float, Decimal | float]] = {
        Check.HALT: (Decimal(book.is_halted), Decimal(0)),
        Check.DAILY_LOSS: (-book.day_profit_usd, limits.daily_loss_usd_max),
        Check.POSITION_SIZE: (Decimal(contracts), Decimal(limits.position_contracts_max)),
        Check.SINGLE_TRADE_LOSS: (
            intent.loss_usd_worst,
            limits.single_trade_loss_share_max * equity,
        ),
        Check.OPTION_ALLOCATION: (
            sum(after.loss_usd_worst.values(), Decimal(0)),
            limits.option_allocation_share_max * equity,
        ),
        Check.CONCENTRATION: (
            after.loss_usd_worst[intent.underlying],
            limits.concentration_share_max * equity,
        ),
        Check.PORTFOLIO_DELTA: (abs(after.exposure.delta_usd), limits.delta_usd_max),
        Check.PORTFOLIO_GAMMA: (abs(after.exposure.gamma_usd), limits.gamma_usd_max),
        Check.PORTFOLIO_THETA: (abs(after.exposure.theta_usd), limits.theta_usd_max),
        Check.BUYING_POWER: (intent.loss_usd_worst, book.options_buying_power),
        Check.UNSETTLED_ORDER: (book.unsettled_orders.get(intent.underlying, 0), 0),
        Check.SAME_LEGS: (int(package(intent.legs) in book.recent_packages), 0),
        Check.ORDER_RATE: (after.orders_last_minute, limits.orders_per_minute_max),
        Check.PRICE_COLLAR: (_beyond_mid(intent, mids), limits.price_collar_share_max),
    }
    return tuple(
        Verdict(check=check, value=float(value), threshold=float(threshold))
        for check, (value, threshold) in asked.items()
    )


def _beyond_mid(intent: OrderIntent, mids: Mapping[str, Decimal]) -> float:
    """How far the worst price taken lies beyond the mid, as a share of what the legs trade for;
    NaN when a leg has no mid."""
    if any(leg.symbol not in mids for leg in intent.legs):
        return float("nan")
    signed = [leg.ratio * (1 if leg.side is Side.BUY else -1) for leg in intent.legs]
    prices = [mids[leg.symbol] for leg in intent.legs]
    mid = sum((n * price for n, price in zip(signed, prices, strict=True)), Decimal(0))
    gross = sum((abs(n) * price for n, price in zip(signed, prices, strict=True)), Decimal(0))
    return float((intent.limit_price - mid) / gross) if gross else float("nan")


def largest_quantity(loss_usd_one: Decimal, equity: Decimal, limits: Limits) -> int:
    """Units to ask for: as many as position size and single-trade loss allow, and at least one,
    so that a trade too large for the account is turned down by name.

    loss_usd_one  what one unit can lose, USD, 0 or more
    """
    if loss_usd_one <= 0:
        return limits.position_contracts_max
    fitting = int(limits.single_trade_loss_share_max * equity / loss_usd_one)
    return max(1, min(fitting, limits.position_contracts_max))


def worst_losses(
    positions: Iterable[Position], underlyings: Mapping[str, str]
) -> dict[str, Decimal]:
    """What positions can lose from their entry price, USD, by underlying.

    underlyings  symbol -> underlying, for every position

    At each expiration the legs that still live are taken at intrinsic value at one spot; the worst
    spot of the worst expiration counts. A long that expires earlier covers nothing after that. A
    short call without cover has no bound: the answer is Infinity.
    """
    groups: defaultdict[str, list[Position]] = defaultdict(list)
    for position in positions:
        groups[underlyings[position.symbol]].append(position)
    return {underlying: _worst_loss(group) for underlying, group in groups.items()}


def _worst_loss(group: list[Position]) -> Decimal:
    cost = sum((_shares(p) * p.average_entry_price for p in group), Decimal(0))
    ends = {_expiration(p) for p in group if is_option(p.symbol)} or {date.max}
    return max(_worst_loss_at(end, group, cost) for end in ends)


def _worst_loss_at(end: date, group: list[Position], cost: Decimal) -> Decimal:
    """The loss at expiration `end`; what expired before is worth nothing then."""
    alive = [p for p in group if _expiration(p) >= end]
    if sum((_shares(p) for p in alive if _gains_upwards(p)), Decimal(0)) < 0:
        return UNLIMITED
    strikes = {parse_symbol(p.symbol).strike for p in alive if is_option(p.symbol)}
    least = min(sum(_shares(p) * _worth(p, spot) for p in alive) for spot in strikes | {Decimal(0)})
    return max(cost - least, Decimal(0))


def _expiration(position: Position) -> date:
    """When the position ends; shares never do."""
    return parse_symbol(position.symbol).expiration if is_option(position.symbol) else date.max


def _shares(position: Position) -> Decimal:
    multiplier = SHARES_PER_CONTRACT if is_option(position.symbol) else 1
    return position.quantity * multiplier


def _gains_upwards(position: Position) -> bool:
    """Whether one more unit gains without end as spot rises: shares and calls."""
    return not is_option(position.symbol) or parse_symbol(position.symbol).right is Right.CALL


def _worth(position: Position, spot: Decimal) -> Decimal:
    """USD per share at `spot`, at the end."""
    symbol = position.symbol
    return parse_symbol(symbol).intrinsic(spot) if is_option(symbol) else spot
