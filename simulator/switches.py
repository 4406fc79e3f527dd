"""What a broker may do one way or the other: where the real one's habit is not documented, and how
fills go. Every switch is a plain value with a default; the page docs/simulator.md lists them.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints


class BadSwitch(ValueError):
    """A switch that does not exist, or a value that it cannot take."""


class FillMode(StrEnum):
    PAPER = "paper"  # marketable or nothing, at the far side
    QUEUE = "queue"  # better than the far side, towards the mid, after a wait


class OffIncrement(StrEnum):
    """A price of two decimals that is no multiple of the contract's increment."""

    REJECTED = "rejected"  # by the venue: accepted first, then rejected on the stream
    REFUSED = "refused"  # by the broker, in its answer
    TAKEN = "taken"


class MultilegReplace(StrEnum):
    """What PATCH does to an order of several legs."""

    WORKS = "works"
    UNRELIABLE = "unreliable"  # closing ones fail: the old order still holds what they would close
    DISABLED = "disabled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """How this broker behaves."""

    #: Of everything that is left to chance once an order is placed.
    seed: int = 7
    fills: FillMode = FillMode.PAPER
    #: Share of eligible orders that fill in parts; the real paper account's is 0.1.
    partial_share: float = 0.0
    #: What the account was approved for; its own configuration may lower it.
    options_level: int = 3
    #: Documented as accepted since August 2026; older pages know day orders only.
    option_gtc: bool = True
    #: Stop and stop-limit orders for single contracts; one specification lists neither.
    option_stops: bool = True
    #: Whether orders for contracts may cross each other; documented for shares only.
    option_wash_check: bool = True
    off_increment: OffIncrement = OffIncrement.REJECTED
    #: Of the net price of several legs, USD.
    net_increment: Decimal = Decimal("0.01")
    #: A net limit of exactly 0.
    zero_net: bool = True
    multileg_replace: MultilegReplace = MultilegReplace.UNRELIABLE
    #: A replaced order that had filled in part: the new one works for the whole quantity again,
    #: as has been reported, not for what is left of it.
    replace_forgets_fills: bool = False
    #: How long a cancel or a replacement takes to reach the market. Until then a fill can win.
    pending_minutes: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.partial_share <= 1:
            raise BadSwitch("partial_share must be from 0 to 1")
        if not 0 <= self.options_level <= 3:
            raise BadSwitch("options_level must be from 0 to 3")
        if not Decimal("0.01") <= self.net_increment <= 1:
            raise BadSwitch("net_increment must be from 0.01 to 1")
        if not 0 <= self.pending_minutes <= 390:
            raise BadSwitch("pending_minutes must be from 0 to 390")


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
        return kind(text) if kind is not Decimal else Decimal(text)
    except (ValueError, KeyError, ArithmeticError):
        wanted = (
            " or ".join(kind)
            if isinstance(kind, type) and issubclass(kind, StrEnum)
            else {"bool": "true or false"}.get(kind.__name__, f"a {kind.__name__}")
        )
        raise BadSwitch(f"the switch {name} is {text!r}; it takes {wanted}") from None
