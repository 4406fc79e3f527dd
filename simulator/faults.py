"""Faults on order: what a network or a broker can do wrong, armed in advance and counted.

A fault stands armed until it has fired `times` times, after letting `skip` chances pass. Whoever
has a chance to go wrong asks `take`; without an armed fault of its kind nothing happens. Faults of
the market last from a moment to a moment instead, and count once, when first met.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self


class FaultKind(StrEnum):
    """What goes wrong. The number is the fault's in the reliability catalogue."""

    about: str

    def __new__(cls, word: str, about: str = "") -> Self:
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.about = about
        return kind

    # The network and the gateway
    CLOSED_BEFORE = "closed_before", "F1 the connection is closed before the request is read"
    TIMEOUT_BEFORE = "timeout_before", "F2 no answer, and the broker never read the request"
    TIMEOUT_AFTER = "timeout_after", "F3 no answer, though the broker did what was asked"
    CLOSED_AFTER = "closed_after", "F3 done, then the connection is closed without an answer"
    ERROR_BEFORE = "error_before", "F4 500, 502, 503 or 504, and nothing was done"
    ERROR_AFTER = "error_after", "F4 500, 502, 503 or 504, though it was done"
    TOO_MANY = "too_many", "F5 429; reset is the seconds until its reset (0: no header)"
    CUT_BODY = "cut_body", "F6 done, half the answer (clean 1: with a length that fits the half)"
    WRONG_BODY = "wrong_body", "F6 done, 200 with a page of HTML (json 1: with other JSON)"
    FORBIDDEN = "forbidden", "F7 403, not enough buying power"
    UNPROCESSABLE = "unprocessable", "F7 422, an order that cannot be taken"
    ID_TAKEN = "id_taken", "F7 422 client_order_id must be unique (done 1: for the order just made)"
    SLOW = "slow", "F8 done at once, answered late"
    # Reads
    ORDERS_LAG = "orders_lag", "F10 orders are read as they were some seconds ago"
    PAGES_SHIFT = "pages_shift", "F11 the list grows between two of its pages"
    FILLS_LAG = "fills_lag", "F12 positions are right; orders and activities are of earlier"
    ACTIVITIES_LAG = "activities_lag", "F12 activities are of earlier, orders and positions right"
    POSITIONS_LAG = "positions_lag", "F12 positions are of earlier, orders and activities right"
    ACCOUNT_LAG = "account_lag", "F12 the account's cash and equity are of earlier"
    NOT_FOUND = "not_found", "F9 404 for an order that exists"
    # Fills, and what happens at the broker without the client
    PARTIAL_FILLS = "partial_fills", "F18 the next order that fills does so in parts, one a minute"
    PARTIAL_CANCEL = "partial_cancel", "F19 the next order that fills gets a part, the rest ends"
    FILL_RACES_CANCEL = "fill_races_cancel", "F19 the cancel is accepted, and the order fills"
    LEGS_APART = "legs_apart", "F20 the last leg of a filled order is read as unfilled for a while"
    TRADE_BUSTED = "trade_busted", "F21 the next fill is taken back"
    TRADE_CORRECTED = "trade_corrected", "F21 the next fill gets another price (cents added)"
    ASSIGNMENT = "assignment", "F22 short contracts of `symbol` are assigned overnight"
    HAND_ORDER = "hand_order", "F23 an order that the client did not send; body is the order's"
    HAND_POSITION = "hand_position", "F23 qty of `symbol` is booked in or out at a price"
    # Streams. `method` may name the event they wait for, `path` the stream
    STREAM_DUPLICATE = "stream_duplicate", "F13 an event comes twice"
    STREAM_REPLAY = "stream_replay", "F14 all events of an order come again after it closed"
    STREAM_REORDER = (
        "stream_reorder",
        "F15 fill before new, partial after fill, fill before the answer",
    )
    STREAM_DROP = "stream_drop", "F16 a single fill is never told"
    STREAM_MUTE = "stream_mute", "F16 connected and silent, for so many events or seconds"
    STREAM_DOWN = "stream_down", "F17 closed, and refused for some seconds of the clock"
    STREAM_REFUSE = "stream_refuse", "F17 a connection is refused with this status of HTTP"
    # Time
    CLOCK_SKEW = "clock_skew", "F35 the broker's clock says another time, also an earlier one"
    # The market, from a moment to a moment; `symbol` is a stock or a contract
    STALE = "stale", "F37 quotes are of some seconds ago"
    CROSSED = "crossed", "F37 every n-th contract is bid above its offer"
    LOCKED = "locked", "F37 every n-th contract is bid at its offer"
    ZERO_BID = "zero_bid", "F37 every n-th contract has no bid"
    ONE_SIDED = "one_sided", "F37 every n-th contract has no offer"
    MISSING = "missing", "F37 every n-th contract is not in the chain"
    DUPLICATED = "duplicated", "F37 every n-th contract is listed twice"
    NO_GREEKS = "no_greeks", "F38 every n-th contract has no volatility and no Greeks"
    WILD_GREEKS = "wild_greeks", "F38 every n-th contract has Greeks beyond all reason"
    INACTIVE = "inactive", "F39 contracts are not active: shown so, and no order is taken"
    UNTRADABLE = "untradable", "F39 contracts are active and not tradable: no order is taken"
    HALT = "halt", "F39 the stock and its contracts stand still; nothing fills"
    GAP = "gap", "F40 the stock jumps by some percent, its contracts with it"


#: Kinds that keep something from the client for so long.
WAITS: Final = (
    FaultKind.TIMEOUT_BEFORE,
    FaultKind.TIMEOUT_AFTER,
    FaultKind.ORDERS_LAG,
    FaultKind.FILLS_LAG,
    FaultKind.ACTIVITIES_LAG,
    FaultKind.POSITIONS_LAG,
    FaultKind.ACCOUNT_LAG,
    FaultKind.LEGS_APART,
)
#: Kinds that are the quotes' own, in the order they are applied.
ON_ROWS: Final = (
    FaultKind.CROSSED,
    FaultKind.LOCKED,
    FaultKind.ZERO_BID,
    FaultKind.ONE_SIDED,
    FaultKind.NO_GREEKS,
    FaultKind.WILD_GREEKS,
    FaultKind.MISSING,
)
#: What these did stays in the history of prices when they are taken back.
REMEMBERED: Final = (FaultKind.HALT, FaultKind.GAP)
#: What a kind can be told, and what it takes when it is not told.
DEFAULTS: Mapping[FaultKind, Mapping[str, float]] = {
    **{kind: {"seconds": 30} for kind in WAITS},
    **{kind: {"every": 10} for kind in (*ON_ROWS, FaultKind.DUPLICATED)},
    FaultKind.ERROR_BEFORE: {"status": 500},
    FaultKind.ERROR_AFTER: {"status": 500},
    FaultKind.TOO_MANY: {"reset": 0, "plain": 0},
    FaultKind.CUT_BODY: {"clean": 0},
    FaultKind.WRONG_BODY: {"json": 0},
    FaultKind.ID_TAKEN: {"done": 0},
    FaultKind.SLOW: {"seconds": 20},
    FaultKind.PARTIAL_FILLS: {"parts": 3},
    FaultKind.PARTIAL_CANCEL: {"units": 1},
    FaultKind.TRADE_CORRECTED: {"cents": 1},
    FaultKind.ASSIGNMENT: {"qty": 1},
    FaultKind.HAND_POSITION: {"qty": 1, "price": 0},
    FaultKind.STREAM_REORDER: {"before_answer": 0},
    FaultKind.STREAM_MUTE: {"events": 0, "seconds": 0},
    FaultKind.STREAM_DOWN: {"seconds": 1},
    FaultKind.STREAM_REFUSE: {"status": 429},
    FaultKind.CLOCK_SKEW: {"seconds": 5},
    FaultKind.STALE: {"seconds": 3600},
    FaultKind.GAP: {"percent": -20},
}


@dataclass(kw_only=True, slots=True, eq=False)
class Fault:
    """`method` (or the word of a stream's event) and `path` say what it may meet; empty is any. A
    path ends with * to mean everything below. `settings` are the kind's own numbers. times 0 is
    for ever."""

    kind: FaultKind
    method: str = ""
    path: str = ""
    symbol: str = ""
    skip: int = 0
    times: int = 1
    at: int = 0  # not before this moment
    until: int | None = None  # and not from this one on
    settings: dict[str, float] = field(default_factory=dict)
    body: Mapping[str, object] | None = None  # of an order placed by hand
    is_met: bool = False

    def setting(self, name: str) -> float:
        """As told, else the kind's default."""
        return self.settings.get(name, DEFAULTS.get(self.kind, {}).get(name, 0.0))

    def meets(self, method: str, path: str) -> bool:
        if self.method and self.method.upper() != method.upper():
            return False
        if self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return not self.path or self.path == path

    def lasts(self, now: int) -> bool:
        return self.at <= now and (self.until is None or now < self.until)


Fits = Callable[[Fault], bool]


class Faults:
    """Those that are armed, oldest first, and how often each kind has fired."""

    def __init__(self) -> None:
        self.now = 0  # the exchange says how late it is
        self.armed: list[Fault] = []
        self.ended: list[Fault] = []  # of those that are remembered
        self.when_disarmed: list[Callable[[FaultKind | None], None]] = []
        self.fired: Counter[FaultKind] = Counter()
        self.failed: list[str] = []  # what was to happen and could not
        self.parts: dict[str, int] = {}  # by order: how many of its parts are still to come

    def arm(self, fault: Fault) -> None:
        self.armed.append(fault)

    def disarm(self, kind: FaultKind | None = None) -> None:
        """All of a kind, or all. What is remembered has ended now."""
        taken = [fault for fault in self.armed if kind in {None, fault.kind}]
        self.armed = [fault for fault in self.armed if fault not in taken]
        for fault in taken:
            if fault.kind in REMEMBERED and fault.at < self.now:
                fault.until = self.now if fault.until is None else min(fault.until, self.now)
                self.ended.append(fault)
        for tell in self.when_disarmed:
            tell(kind)

    def take(
        self, kind: FaultKind, method: str = "", path: str = "", fits: Fits | None = None
    ) -> Fault | None:
        """The armed fault of this kind that now fires; None when nothing goes wrong."""
        return self.take_any((kind,), method, path, fits)

    def take_any(
        self,
        kinds: Collection[FaultKind],
        method: str = "",
        path: str = "",
        fits: Fits | None = None,
    ) -> Fault | None:
        """The same among several kinds: one fires at most."""
        for fault in self.armed:
            if fault.kind not in kinds or not fault.meets(method, path):
                continue
            if not fault.lasts(self.now) or (fits is not None and not fits(fault)):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.times > 0:
                fault.times -= 1
                if fault.times == 0:
                    self.armed.remove(fault)
            self.fired[fault.kind] += 1
            return fault
        return None

    def lasting(self, kind: FaultKind, symbols: Collection[str], now: int) -> Fault | None:
        """The fault of the market in force at a moment, perhaps a past one, for any of these; one
        without a symbol is for all. It is counted when it is first met."""
        for fault in self.armed:
            if fault.kind != kind or not fault.lasts(now):
                continue
            if fault.symbol and fault.symbol not in symbols:
                continue
            self.meet(fault)
            return fault
        return None

    def meet(self, fault: Fault) -> None:
        """Count a lasting fault, once."""
        if not fault.is_met:
            fault.is_met = True
            self.fired[fault.kind] += 1
