"""Option symbols (OSI without spaces) and the ids everything has."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid5

Right = Literal["call", "put"]

#: Every id is made from this and a name, so that the same run has the same ids.
NAMESPACE = UUID("6f3b1f1e-8f43-5c59-9d0c-6a3f3cf7a001")
_OSI = re.compile(r"^([A-Z]{1,5}[0-9]?)(\d{2})(\d{2})(\d{2})([CP])(\d{8})$")


def asset_id(symbol: str) -> str:
    """The same for every account and every run."""
    return str(uuid5(NAMESPACE, f"asset:{symbol}"))


def is_id(text: str) -> bool:
    """Looks like the id of an asset."""
    return len(text) == 36 and text.count("-") == 4


def account_id(account: str) -> str:
    """The same for every run of an account name."""
    return str(uuid5(NAMESPACE, f"account:{account}"))


def request_id(number: int) -> str:
    """Of the request that was answered as this number; 32 letters of hexadecimal."""
    return uuid5(NAMESPACE, f"request:{number}").hex


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliverable:
    """A part of what an adjusted contract delivers: shares of `symbol`, or USD."""

    kind: Literal["equity", "cash"]
    symbol: str
    amount: Decimal
    percent: Decimal = Decimal(100)  # of the strike that is paid for it


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """What is listed. Prices per share; premium and strike count 100 times."""

    symbol: str
    root: str
    underlying: str
    expiration: date
    last_day: date  # the last trading day: the Friday before a Saturday expiration
    right: Right
    strike: Decimal
    penny: bool  # trades in the penny program
    open_interest: int | None = None  # None: not known
    open_interest_day: date | None = None
    id: str = ""
    size: int = 100  # shares delivered; another number after an adjustment
    deliverables: tuple[Deliverable, ...] = ()  # empty: `size` shares of the underlying
    is_active: bool = True
    is_tradable: bool = True

    def intrinsic(self, spot: Decimal) -> Decimal:
        """USD, a hundredth of what exercise at a spot brings; below zero when it costs."""
        worth = spot * self.size / 100 - self.strike
        return worth if self.right == "call" else -worth


def osi(root: str, expiration: date, right: Right, strike: Decimal) -> str:
    """
    >>> osi("SPY", date(2026, 12, 18), "put", Decimal(600))
    'SPY261218P00600000'
    """
    return f"{root}{expiration:%y%m%d}{right[0].upper()}{int(strike * 1000):08d}"


def is_option_symbol(symbol: str) -> bool:
    """Looks like a contract, listed or not."""
    return _OSI.match(symbol) is not None


def root_of(symbol: str) -> str:
    """The letters in front; the whole text when it is no option symbol."""
    found = _OSI.match(symbol)
    return found.group(1) if found else symbol


def expiration_of(symbol: str) -> date | None:
    """None when it is no option symbol, or of no day that there is."""
    found = _OSI.match(symbol)
    try:
        return None if found is None else date.fromisoformat(f"20{symbol[-15:-9]}")
    except ValueError:
        return None


def title(contract: Contract) -> str:
    """SPY Dec 18 2026 600 Put."""
    day = f"{contract.expiration:%b %d %Y}"
    return f"{contract.underlying} {day} {plain(contract.strike)} {contract.right.title()}"


def plain(number: Decimal) -> str:
    """A decimal without exponent and without trailing zeros.

    >>> plain(Decimal("4.10")), plain(Decimal("600")), plain(Decimal("-0.00"))
    ('4.1', '600', '0')
    """
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
