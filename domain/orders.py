"""What we mean to send: intents, their legs, states and ids."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from math import gcd

from domain.contracts import parse_symbol

CENT = Decimal("0.01")
SHARES_PER_CONTRACT = 100
#: What client_order_id makes: strategy, slot, purpose, digest.
OURS = re.compile(r".{1,12}-\d{6}T\d{4}-(open|close)-[0-9a-f]{16}")


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
    NOT_RECEIVED = "not_received"  # looked up often and long enough: the broker has no such order
    REFUSED = "refused"  # the broker said no
    ACCEPTED = "accepted"  # the broker has it, the market not yet
    WORKING = "working"  # in the market, not all of it filled
    FILLED = "filled"  # all of it
    CANCELED = "canceled"  # ended at somebody's wish with less than all filled
    EXPIRED = "expired"  # its day ended first
    REJECTED = "rejected"  # accepted, and then turned down by the venue
    NOT_SENT = "not_sent"  # given up before any request left


#: What an order that exists may end as.
ENDED = (IntentState.FILLED, IntentState.CANCELED, IntentState.EXPIRED, IntentState.REJECTED)
_AT_BROKER = frozenset({IntentState.ACCEPTED, IntentState.WORKING, *ENDED})

#: state -> the states it may become. Nothing leaves a state that is not a key. The database holds
#: the same table (intent_moves) and refuses every other move.
MOVES: dict[IntentState, frozenset[IntentState]] = {
    IntentState.PLANNED: frozenset({IntentState.SENDING, IntentState.NOT_SENT}),
    IntentState.SENDING: _AT_BROKER
    | {IntentState.UNKNOWN, IntentState.NOT_RECEIVED, IntentState.REFUSED},
    IntentState.UNKNOWN: _AT_BROKER | {IntentState.NOT_RECEIVED},
    # A broker that listed nothing for a minute may still list the order later: it is adopted. So is
    # one that was taken for refused. Nothing is sent for either again.
    IntentState.NOT_RECEIVED: _AT_BROKER,
    IntentState.REFUSED: _AT_BROKER,
    IntentState.ACCEPTED: _AT_BROKER - {IntentState.ACCEPTED},
    IntentState.WORKING: frozenset(ENDED),
}

#: States without an answer: an order may exist that nobody has told us of.
UNSETTLED = (IntentState.SENDING, IntentState.UNKNOWN)
#: States in which an order may exist at the broker and may still fill.
LIVE = (*UNSETTLED, IntentState.ACCEPTED, IntentState.WORKING)

#: States in which nothing is waited for any more, and an order may come up all the same.
GIVEN_UP = (IntentState.NOT_RECEIVED, IntentState.REFUSED)

#: When an order without an answer is looked up, seconds after it left. Only when all these looks
#: found nothing is it taken as never received.
LOOK_AFTER_S = (2.0, 5.0, 15.0, 30.0, 60.0)


def next_look_at(sent_at: datetime, looked_at: datetime | None, looks: int) -> datetime | None:
    """When to look the order up again after `looks` that found nothing; None when that was enough.

    looked_at  the last of them; a late one is followed by the next only after the schedule's pause:
               what a broker does not list yet takes its time, whenever we ask
    """
    if looks >= len(LOOK_AFTER_S):
        return None
    due = sent_at + timedelta(seconds=LOOK_AFTER_S[looks])
    if looked_at is None or not looks:
        return due
    pause_s = LOOK_AFTER_S[looks] - LOOK_AFTER_S[looks - 1]
    return max(due, looked_at + timedelta(seconds=pause_s))


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
    """One order to be sent for a decision to trade, complete: the same decision and attempt always
    have the same client_order_id."""

    client_order_id: str
    strategy: str
    underlying: str
    purpose: Purpose
    legs: tuple[Leg, ...]
    #: 1 for the first order of a decision; each further one asks for what those before left.
    attempt: int = 1
    quantity: int
    #: The worst price that the decision takes, net USD per share of one unit: positive is a debit,
    #: negative a credit. What it is sent at is never worse.
    limit_price: Decimal
    #: What all units can lose if everything goes wrong, USD, 0 or more.
    loss_usd_worst: Decimal

    def rest(self, client_order_id: str, filled: int) -> "OrderIntent":
        """The next attempt, for what `filled` units of this one left."""
        left = self.quantity - filled
        loss = self.loss_usd_worst * left / self.quantity
        return replace(
            self,
            client_order_id=client_order_id,
            attempt=self.attempt + 1,
            quantity=left,
            loss_usd_worst=loss.quantize(CENT, ROUND_CEILING),
        )


def client_order_id(
    account: str,
    strategy: str,
    slot: datetime,
    closes: str | None,
    legs: Sequence[Leg],
    attempt: int = 1,
) -> str:
    """The id of a decision's order, at most 48 characters: equal for equal arguments, for ever.

    The readable part is for people; the digest makes it unique.

    closes  the id of the first order that opened what this one closes: two structures of equal legs
            are two decisions, and a restored database may number them anew; None: it opens
    """
    purpose = Purpose.OPEN if closes is None else Purpose.CLOSE
    package = ",".join(sorted(f"{leg.side}:{leg.ratio}:{leg.symbol}" for leg in legs))
    moment = slot.astimezone(UTC)
    said = f"{account}|{strategy}|{moment.isoformat()}|{purpose}|{package}"
    if closes is not None:
        said += f"|{closes}"
    if attempt > 1:
        said += f"|{attempt}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    return f"{strategy[:12]}-{moment:%y%m%dT%H%M}-{purpose}-{digest}"


def is_ours(name: str) -> bool:
    """Whether a client_order_id has the form of client_order_id."""
    return OURS.fullmatch(name) is not None


def lowest_terms(legs: Sequence[Leg], quantity: int) -> tuple[tuple[Leg, ...], int]:
    """The same package with coprime ratios, as the broker demands, and its units."""
    common = gcd(*(leg.ratio for leg in legs))
    reduced = tuple(
        Leg(symbol=leg.symbol, side=leg.side, ratio=leg.ratio // common) for leg in legs
    )
    return reduced, quantity * common
