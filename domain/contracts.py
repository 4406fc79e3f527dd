"""Option contracts: the OCC symbol and what it says."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

_OCC = re.compile(
    r"(?P<root>[A-Z]{1,6}\d?)(?P<day>\d{6})(?P<right>[CP])(?P<strike>\d{8})", re.ASCII
)


class Right(StrEnum):
    CALL = "C"
    PUT = "P"


class BadSymbol(ValueError):
    """Not an OCC option symbol."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What an OCC symbol says. `root` ends in a digit on contracts adjusted for a corporate
    action; then 100 shares are not what is delivered."""

    symbol: str
    root: str
    expiration: date
    right: Right
    strike: Decimal

    @property
    def is_adjusted(self) -> bool:
        return self.root[-1].isdigit()

    def intrinsic(self, spot: Decimal) -> Decimal:
        """USD per share that exercise now is worth, never negative."""
        gain = spot - self.strike if self.right is Right.CALL else self.strike - spot
        return max(gain, Decimal(0))


def parse_symbol(symbol: str) -> Contract:
    """The contract of an OCC symbol without padding; BadSymbol when it is not one.

    >>> parse_symbol("AAPL140719C00093930").strike
    Decimal('93.930')
    """
    found = _OCC.fullmatch(symbol)
    if found is None:
        raise BadSymbol(f"{symbol!r} is not an option symbol such as SPY261218P00600000")
    try:
        expiration = datetime.strptime(found["day"], "%y%m%d").date()  # noqa: DTZ007 - a date, no instant
    except ValueError:
        raise BadSymbol(f"{symbol!r} expires on a day that no calendar has") from None
    return Contract(
        symbol=symbol,
        root=found["root"],
        expiration=expiration,
        right=Right(found["right"]),
        strike=Decimal(found["strike"]).scaleb(-3),
    )


def is_option(symbol: str) -> bool:
    """Whether `parse_symbol` reads `symbol`; a stock's never matches."""
    try:
        parse_symbol(symbol)
    except BadSymbol:
        return False
    return True
