"""What a broker may do one way or the other: where the real one's habit is not documented, and how
fills go. Every switch is a plain value with a default; the page docs/simulator.md lists them.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import Any, get_type_hints

SETTLE_MINUTES_MAX = 900  # 07:00 of the next day: before anything can be traded


class BadSwitch(ValueError):
    """A switch that does not exist, or a value that it cannot take."""


class FillMode(StrEnum):
    PAPER = "paper"  # marketable or nothing, at the far side
    QUEUE = "queue"  # better than the far side, towards the mid, after a wait


class DataPlan(StrEnum):
    PLUS = "plus"  # opra and sip at once
    BASIC = "basic"  # indicative and iex; opra and the last 15 minutes of sip are refused


class ExpiryGreeks(StrEnum):
    ABSENT = "absent"  # neither greeks nor volatility
    ZERO = "zero"  # greeks of zero, and no volatility


class SellOut(StrEnum):
    UNSUPPORTED = "unsupported"  # what the account has not the shares or the cash for
    EVERYTHING = "everything"  # all that expires; seen on paper accounts
    NOTHING = "nothing"


class RowsAt(StrEnum):
    MORNING = "morning"  # at 01:10 New York of the next day
    AT_ONCE = "at_once"


class ExercisePosts(StrEnum):
    AT_ONCE = "at_once"
    NIGHT = "night"


class RateLimit(StrEnum):
    AUTO = "auto"  # on when the clock runs by itself; a clock that is stepped has no minutes
    ON = "on"
    OFF = "off"


class OffIncrement(StrEnum):
    REJECTED = "rejected"  # by the venue: accepted first, then rejected on the stream
    REFUSED = "refused"  # by the broker, in its answer
    TAKEN = "taken"


class MultilegReplace(StrEnum):
    WORKS = "works"
    UNRELIABLE = "unreliable"  # closing ones fail: the old order still holds what they would close
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """How this broker behaves."""

    #: Of everything that the broker leaves to chance; `--seed` sets the market's too.
    seed: int = 7
    #: How an order meets the market.
    fills: FillMode = FillMode.PAPER
    #: Share of eligible orders that fill in parts; the real paper account's is 0.1.
    partial_share: float = 0.0
    #: What the account was approved for; its own configuration may lower it.
    options_level: int = 3
    #: Good-till-canceled orders for contracts: documented since August 2026; older pages know day
    #: orders only.
    option_gtc: bool = True
    #: Stop and stop-limit orders for single contracts; one specification lists neither.
    option_stops: bool = True
    #: Whether orders for contracts that could meet each other are refused; documented for shares.
    option_wash_check: bool = True
    #: A limit of two decimals that is no multiple of the contract's increment.
    off_increment: OffIncrement = OffIncrement.REJECTED
    #: Step of the net price of several legs, USD.
    net_increment: Decimal = Decimal("0.01")
    #: Whether a net limit of exactly 0 is taken.
    zero_net: bool = True
    #: What PATCH does to an order of several legs.
    multileg_replace: MultilegReplace = MultilegReplace.UNRELIABLE
    #: A replaced order that had filled in part: the new one works for the whole quantity again,
    #: as has been reported, not for what is left of it.
    replace_forgets_fills: bool = False
    #: How long a cancel or a replacement takes to reach the market. Until then a fill can win.
    pending_minutes: int = 0

    # Data
    #: What the account may read without delay, and how many symbols a stream takes.
    data_plan: DataPlan = DataPlan.PLUS
    #: Of contracts on their last day; both have been seen of the real one.
    expiry_greeks: ExpiryGreeks = ExpiryGreeks.ABSENT
    #: Cents by which quotes of the indicative feed may lie off; orders fill at the true ones.
    indicative_off_cents: int = 0
    #: Option snapshots carry dailyBar and prevDailyBar, at the price of reading the whole day.
    snapshot_daily_bars: bool = False

    # Expiry, exercise and assignment
    #: On an early close the last minutes for opening and the sell-out keep their distance from the
    #: close; else they stay at their time of a whole day, after such a close.
    cutoffs_follow_close: bool = True
    #: What the broker closes before expiry, half an hour before the close (a quarter for SPY, QQQ
    #: and IWM).
    sell_out: SellOut = SellOut.UNSUPPORTED
    #: From the close to the run that moves contracts, shares and cash; documented: overnight.
    settle_minutes: int = 120
    #: When the rows of a night can be read.
    activity_rows: RowsAt = RowsAt.MORNING
    #: Hours that such a row can be read after its created_at; the documentation promises none.
    activity_hours_late: int = 0
    #: An exercise and its trade of shares are rows of one id, as in the published sample.
    pairs_share_id: bool = True
    #: A lapsed short contract shows a negative qty; both signs have been seen.
    expired_shorts_negative: bool = False
    #: When an exercise that a client asks for moves contracts, shares and cash.
    exercise_posts: ExercisePosts = ExercisePosts.AT_ONCE
    #: Contracts expiring today that may be held and on order before opening more is refused; 0 is
    #: no limit. The real account's limit is not documented.
    expiring_today_max: int = 0
    #: Chance a night of one short contract that has no time value left; 0: nobody exercises early.
    early_assignment: float = 0.05

    # Money that a paper account never sees
    #: Fees of a day's trades, a row a kind.
    fees: bool = False
    #: Cash dividends of shares that are held.
    dividends: bool = False

    # Streams
    #: trade_updates in binary frames, as on paper; else in text frames.
    trade_updates_binary: bool = True
    #: Whether an order that is accepted in the session is told as pending_new before new.
    trade_updates_pending_new: bool = False
    #: Whether each leg has its own event after that of its parent, with the same execution_id.
    trade_updates_of_legs: bool = False
    #: Connections to /stream at a time, more are refused with HTTP 429; 0 is no limit.
    stream_trading_connections_max: int = 0
    #: Connections to one data stream at a time, more get error 406; 0 is no limit.
    stream_data_connections_max: int = 1
    #: Frames that wait for a slow client before it is dropped with error 407.
    stream_waiting_max: int = 1024
    #: Real time in which a data stream's client must have sent its keys; then error 404.
    stream_auth_s: float = 10.0

    # Rate limits
    #: Whether a request too many in a minute of the exchange's clock is turned down. The real
    #: window is not documented.
    rate_limit: RateLimit = RateLimit.AUTO
    #: Beyond it 429 with code 42910000, rate limit exceeded.
    trading_requests_a_minute: int = 200
    #: Beyond it 429 with too many requests and no code.
    data_requests_a_minute: int = 200

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                wanted = f"at least {least}" if most == inf else f"from {least} to {most}"
                raise BadSwitch(f"the switch {name} is {value}; it must be {wanted}")


#: What a number may be, both ends included.
BOUNDS: dict[str, tuple[float | Decimal, float]] = {
    "options_level": (0, 3),
    "net_increment": (Decimal("0.01"), 1),
    "pending_minutes": (0, 390),
    "stream_auth_s": (0, inf),
    "partial_share": (0, 1),
    "early_assignment": (0, 1),
    "expiring_today_max": (0, inf),
    "indicative_off_cents": (0, 100),
    "settle_minutes": (0, SETTLE_MINUTES_MAX),
    "activity_hours_late": (0, inf),
    "seed": (0, inf),
    "stream_trading_connections_max": (0, inf),
    "stream_data_connections_max": (0, inf),
    "stream_waiting_max": (1, inf),
    "trading_requests_a_minute": (1, inf),
    "data_requests_a_minute": (1, inf),
}


def with_words(switches: Switches, words: dict[str, object]) -> Switches:
    """`switches` with some set anew, from text or from values of TOML; BadSwitch names the first
    that is wrong."""
    kinds = get_type_hints(Switches)
    known = [field.name for field in fields(Switches)]
    for name in words:
        if name not in kinds:
            raise BadSwitch(f"there is no switch {name}; there are {', '.join(known)}")
    found: dict[str, Any] = {name: _value(name, kinds[name], words[name]) for name in words}
    return replace(switches, **found)


def read_switches(path: Path, before: Switches) -> Switches:
    """`before` with those of a TOML file set anew; BadSwitch when it cannot be read."""
    try:
        return with_words(before, tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise BadSwitch(f"{path}: {problem}") from None


def _value(name: str, kind: Any, word: object) -> object:
    text = str(word).strip()
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        value = kind(text)
        if isinstance(value, Decimal) and not value.is_finite():
            raise ValueError
        return value
    except (ValueError, KeyError, ArithmeticError):
        wanted = (
            " or ".join(kind)
            if isinstance(kind, type) and issubclass(kind, StrEnum)
            else {"bool": "true or false"}.get(kind.__name__, f"a {kind.__name__}")
        )
        raise BadSwitch(f"the switch {name} is {text!r}; it takes {wanted}") from None
