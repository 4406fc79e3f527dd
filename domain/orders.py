"""What we mean to send: intents, their legs, states and ids."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from math import gcd

from domain.contracts import parse_symbol

CENT = Decimal("0.01")
SHARES_PER_CONTRACT = 100


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class Purpose(StrEnum):
    OPEN = "open"  # takes on risk: every limit and halt applies
    CLOSE = "close"  # gives risk back: passes a halt and every limit


class IntentState(StrEnum):
    """Where an intent stands. Moves go downwards in this list, and MOVES names each."""

    PLANNED = "planned"  # decided and committed; no request has left
    SENDING = "sending"  # committed before the request leaves; a crash after it leaves this
    UNKNOWN = "unknown"  # no answer to trust; an order may exist
    WORKING = "working"  # the broker has it, not all of it is filled
    FILLED = "filled"  # all of it
    CANCELED = "canceled"  # ended at the broker with less than all filled
    REFUSED = "refused"  # the broker said no; no order exists
    NOT_SENT = "not_sent"  # given up before any request left


#: state -> the states it may become. Nothing leaves a state that is not a key.
MOVES: dict[IntentState, frozenset[IntentState]] = {
    IntentState.PLANNED: frozenset({IntentState.SENDING, IntentState.NOT_SENT}),
    IntentState.SENDING: frozenset(
        {
            IntentState.UNKNOWN,
            IntentState.WORKING,
            IntentState.FILLED,
            IntentState.CANCELED,
            IntentState.REFUSED,
        }
    ),
    IntentState.UNKNOWN: frozenset(
        {IntentState.WORKING, IntentState.FILLED, IntentState.CANCELED, IntentState.REFUSED}
    ),
    IntentState.WORKING: frozenset({IntentState.FILLED, IntentState.CANCELED}),
}

#: States in which an order may exist at the broker and may still fill.
LIVE = (IntentState.SENDING, IntentState.UNKNOWN, IntentState.WORKING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Leg:
    """One contract of a package; `ratio` of it in each unit."""

    symbol: str
    side: Side
    ratio: int

    @property
    def expiration(self) -> date:
        return parse_symbol(self.symbol).expiration

    def position_intent(self, purpose: Purpose) -> str:
        """Alpaca's word for it: buy_to_open, sell_to_close ..."""
        return f"{self.side}_to_{purpose}"

    def reversed(self) -> "Leg":
        other = Side.SELL if self.side is Side.BUY else Side.BUY
        return Leg(symbol=self.symbol, side=other, ratio=self.ratio)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderIntent:
    """A decision to trade, complete: the same decision always has the same client_order_id."""

    client_order_id: str
    strategy: str
    underlying: str
    purpose: Purpose
    legs: tuple[Leg, ...]
    quantity: int
    #: Net USD per share of one unit: positive is a debit, negative a credit.
    limit_price: Decimal
    #: What all units can lose if everything goes wrong, USD, 0 or more.
    loss_usd_worst: Decimal


def client_order_id(
    account: str, strategy: str, slot: datetime, purpose: Purpose, legs: Sequence[Leg]
) -> str:
    """The id of a decision, at most 48 characters: equal for equal arguments, for ever.

    The readable part is for people; the digest makes it unique.
    """
    package = ",".join(sorted(f"{leg.side}:{leg.ratio}:{leg.symbol}" for leg in legs))
    moment = slot.astimezone(UTC)
    said = f"{account}|{strategy}|{moment.isoformat()}|{purpose}|{package}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"{strategy[:12]}-{moment:%y%m%dT%H%M}-{purpose}-{digest}"


def lowest_terms(legs: Sequence[Leg], quantity: int) -> tuple[tuple[Leg, ...], int]:
    """The same package with coprime ratios, as the broker demands, and its units."""
    common = gcd(*(leg.ratio for leg in legs))
    reduced = tuple(
        Leg(symbol=leg.symbol, side=leg.side, ratio=leg.ratio // common) for leg in legs
    )
    return reduced, quantity * common


def to_limit(price: float) -> Decimal:
    """The limit, whole cents, at which a package trades at the natural `price` at once.

    price  net USD per share: positive is a debit, negative a credit; finite

    Rounded up, towards paying more or receiving less, because a cent short of natural does not
    trade; binary noise beyond a millionth is dropped first.
    >>> to_limit(-3.0000000000000004), to_limit(0.1 + 0.2), to_limit(-0.4249)
    (Decimal('-3.00'), Decimal('0.30'), Decimal('-0.42'))
    """
    limit = Decimal(str(round(price, 6))).quantize(CENT, ROUND_CEILING)
    return limit + 0  # a zero loses its sign: -0.00 is no price to send
