"""Execution: whether a package's quotes may be traded on, and at what limit, attempt by attempt.

Prices are net USD per share of one unit: positive is a debit, negative a credit. The mid is what
both sides call fair, the natural price what trades at once: asks paid, bids received.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from domain.contracts import parse_symbol
from domain.orders import CENT, Leg, Purpose, Side
from domain.records import Quote

#: Options of these trade in cents at every price.
CENT_ROOTS = frozenset({"SPY", "QQQ", "IWM"})
NICKEL, DIME, DIME_FROM = Decimal("0.05"), Decimal("0.10"), Decimal(3)


class Gate(StrEnum):
    """Why a package's quotes are not traded on."""

    NO_QUOTE = "no_quote"  # nobody offers a leg, or the broker has no quote of it
    STALE = "stale"  # a leg's quote is older than the limit
    CROSSED = "crossed"  # a leg is bid above its offer
    ZERO_BID = "zero_bid"  # an entry's leg that nobody bids for
    WIDE = "wide"  # an entry's mid to natural costs too much of what is traded


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How orders are worked; config/execution.toml explains each."""

    quote_age_s_max: float
    width_share_max: float
    attempts: int
    attempt_s: float
    deadline_s: float
    edge_share_max: float

    def __post_init__(self) -> None:
        for name in ("quote_age_s_max", "width_share_max", "attempt_s", "deadline_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        if not 1 <= self.attempts <= 20:
            raise ValueError(f"attempts is {self.attempts}: a whole number from 1 to 20")
        if not 0 <= self.edge_share_max <= 1:
            raise ValueError(f"edge_share_max is {self.edge_share_max}: a share, 0 to 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a package is worth at this moment. `gross` is what its legs trade for together, without
    signs: the measure of its width."""

    mid: Decimal
    natural: Decimal
    gross: Decimal


def gate(
    legs: Sequence[Leg], quotes: Mapping[str, Quote], purpose: Purpose, now: datetime, rules: Rules
) -> Gate | None:
    """The first reason not to trade on these quotes; None when there is none.

    What closes risk is not held up by a width or a missing bid: what nobody bids for is sold for
    nothing or left out, as the decision says.
    """
    oldest = now - timedelta(seconds=rules.quote_age_s_max)
    for leg in legs:
        quote = quotes.get(leg.symbol)
        if quote is None or quote.ask is None or quote.quoted_at is None:
            return Gate.NO_QUOTE
        if quote.quoted_at < oldest:
            return Gate.STALE
        if quote.bid is not None and quote.bid > quote.ask:
            return Gate.CROSSED
        if quote.bid is None and purpose is Purpose.OPEN:
            return Gate.ZERO_BID
    if purpose is Purpose.OPEN:
        price = package_price(legs, quotes)
        if price.natural - price.mid > Decimal(str(rules.width_share_max)) * price.gross:
            return Gate.WIDE
    return None


def package_price(legs: Sequence[Leg], quotes: Mapping[str, Quote]) -> Price:
    """The price of one unit by quotes that passed the gate; a missing bid counts as nothing."""
    mid = natural = gross = Decimal(0)
    for leg in legs:
        quote = quotes[leg.symbol]
        bid, ask = quote.bid or Decimal(0), quote.ask
        assert ask is not None  # the gate saw to it
        middle = (bid + ask) / 2
        gross += leg.ratio * middle
        if leg.side is Side.BUY:
            mid, natural = mid + leg.ratio * middle, natural + leg.ratio * ask
        else:
            mid, natural = mid - leg.ratio * middle, natural - leg.ratio * bid
    return Price(mid=mid, natural=natural, gross=gross)


def limit_at(
    attempt: int, legs: Sequence[Leg], price: Price, worst: Decimal, rules: Rules
) -> Decimal:
    """The limit of an attempt: from the mid at the first towards the natural price at the last, as
    far as the edge budget goes, and never worse than `worst`.

    attempt  1 to rules.attempts
    """
    steps = max(rules.attempts - 1, 1)
    share = Decimal(attempt - 1 if rules.attempts > 1 else 1) / steps
    share *= Decimal(str(rules.edge_share_max))
    return min(on_tick(legs, price.mid + share * (price.natural - price.mid)), worst)


def on_tick(legs: Sequence[Leg], price: Decimal) -> Decimal:
    """The next price towards trading that the exchange takes: of several legs whole cents, of one
    contract its increment."""
    tick = CENT if len(legs) > 1 else _increment(legs[0].symbol, abs(price))
    return (price / tick).to_integral_value(ROUND_CEILING) * tick + 0  # a zero loses its sign


def _increment(symbol: str, price: Decimal) -> Decimal:
    """USD between two prices of a contract; a penny class trades on these too."""
    if parse_symbol(symbol).root in CENT_ROOTS:
        return CENT
    return NICKEL if price < DIME_FROM else DIME
