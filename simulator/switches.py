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


class RateLimit(StrEnum):
    """Whether a request too many in a minute of the exchange's clock is turned down."""

    AUTO = "auto"  # on when the clock runs by itself; a clock that is stepped has no minutes
    ON = "on"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, slots=True)
class Switches:
    """How this broker behaves."""

    fills: FillMode = FillMode.PAPER
    #: Share of eligible orders that fill in parts; the real paper account's is 0.1.
    partial_share: float = 0.0
    #: The window is not documented; here it is a fixed minute.
    rate_limit: RateLimit = RateLimit.AUTO
    trading_requests_a_minute: int = 200
    data_requests_a_minute: int = 200

    def __post_init__(self) -> None:
        if not 0 <= self.partial_share <= 1:
            raise BadSwitch("partial_share must be from 0 to 1")
        if min(self.trading_requests_a_minute, self.data_requests_a_minute) < 1:
            raise BadSwitch("requests a minute must be at least 1")


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


def read_switches(path: Path) -> Switches:
    """From a TOML file; BadSwitch when it cannot be read."""
    try:
        return with_words(Switches(), tomllib.loads(path.read_text()))
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
