"""Query parameters: reading them, and applying them to contracts and lists."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from simulator.symbols import Contract, is_option_symbol
from simulator.times import parse_moment

SUNDAY = 6
SYMBOLS_MAX = 100  # contracts a request may name
_STOCK = re.compile(r"^[A-Z][A-Z0-9]{0,9}([./-][A-Z0-9]{1,4})?$")
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2200, 12, 31)

Item = TypeVar("Item")
Query = Mapping[str, str]


class BadQuery(ValueError):
    """A parameter that cannot be read."""


def words(query: Query, key: str) -> list[str]:
    """A comma list; empty when absent."""
    return [word.strip() for word in query.get(key, "").split(",") if word.strip()]


def is_true(query: Query, key: str) -> bool:
    return flag(query, key) is True


def flag(query: Query, key: str) -> bool | None:
    """None when absent; any case, as clients write it."""
    text = query.get(key)
    if not text:
        return None
    if text.lower() not in {"true", "false"}:
        raise BadQuery(f"invalid {key}: must be true or false")
    return text.lower() == "true"


def option_symbols(query: Query) -> list[str]:
    """At least one and at most 100, in order; a doubled one counts once."""
    symbols = sorted(set(_symbols(query)))
    if len(symbols) > SYMBOLS_MAX:
        raise BadQuery(f"too many symbols: at most {SYMBOLS_MAX}")
    return [_checked(symbol, is_option_symbol(symbol)) for symbol in symbols]


def stock_symbols(query: Query) -> list[str]:
    """At least one, in order; lower case is no symbol."""
    return [stock_symbol(symbol) for symbol in sorted(set(_symbols(query)))]


def stock_symbol(symbol: str) -> str:
    """Itself, when it may be one."""
    return _checked(symbol, _STOCK.match(symbol) is not None)


def _symbols(query: Query) -> list[str]:
    found = words(query, "symbols")
    if not found:
        raise BadQuery("symbols is required")
    return found


def _checked(symbol: str, is_right: bool) -> str:
    if not is_right:
        raise BadQuery(f"invalid symbol: {symbol}")
    return symbol


def whole(query: Query, key: str, default: int, most: int) -> int:
    """Between 1 and `most`."""
    text = query.get(key) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise BadQuery(f"invalid {key}: must be between 1 and {most}")
    return int(text)


def choice(query: Query, key: str, allowed: Sequence[str], default: str) -> str:
    value = query.get(key) or default
    if value not in allowed:
        raise BadQuery(f"invalid {key}: must be one of {', '.join(allowed)}")
    return value


def day(query: Query, key: str) -> date | None:
    """None when absent. A moment counts as its day, one that no calendar here reaches as the first
    or the last: nothing is known there either."""
    found = _read(query, key, lambda text: datetime.fromisoformat(text.replace(" ", "+")).date())
    return None if found is None else min(max(found, FIRST_DAY), LAST_DAY)


def moment(query: Query, key: str) -> int | None:
    """None when absent."""
    return _read(query, key, parse_moment)


def number(query: Query, key: str) -> Decimal | None:
    """None when absent; NaN and infinity are refused."""
    value = _read(query, key, Decimal)
    if value is not None and not value.is_finite():
        raise BadQuery(f"invalid {key}")
    return value


def _read(query: Query, key: str, parse: Callable[[str], Item]) -> Item | None:
    text = query.get(key)
    if not text:
        return None
    try:
        return parse(text)
    except (ValueError, OverflowError, InvalidOperation):
        raise BadQuery(f"invalid {key}: {text}") from None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContractFilter:
    """None does not filter."""

    right: str | None
    root: str | None
    strike_low: Decimal | None
    strike_high: Decimal | None
    first: date | None
    last: date | None

    def is_open(self) -> bool:
        """Keeps everything."""
        return self == _OPEN

    def keeps(self, contract: Contract) -> bool:
        return (
            (self.right is None or contract.right == self.right)
            and (self.root is None or contract.root == self.root)
            and (self.strike_low is None or contract.strike >= self.strike_low)
            and (self.strike_high is None or contract.strike <= self.strike_high)
            and self._keeps_expiration(contract)
        )

    def _keeps_expiration(self, contract: Contract) -> bool:
        late_enough = self.first is None or contract.expiration >= self.first
        return late_enough and (self.last is None or contract.expiration <= self.last)


_OPEN = ContractFilter(
    right=None, root=None, strike_low=None, strike_high=None, first=None, last=None
)


def contract_filter(query: Query) -> ContractFilter:
    """From the parameters that the contract list and the chain share."""
    exact = day(query, "expiration_date")
    return ContractFilter(
        right=choice(query, "type", ("call", "put"), "call") if query.get("type") else None,
        root=query.get("root_symbol") or None,
        strike_low=number(query, "strike_price_gte"),
        strike_high=number(query, "strike_price_lte"),
        first=exact or day(query, "expiration_date_gte"),
        last=exact or day(query, "expiration_date_lte"),
    )


def next_weekend(today: date) -> date:
    """The last day of the contract list when no expiration is asked for.

    >>> next_weekend(date(2026, 11, 19)), next_weekend(date(2026, 11, 21))
    (datetime.date(2026, 11, 22), datetime.date(2026, 11, 29))
    """
    ahead = SUNDAY - today.weekday()
    return today + timedelta(days=ahead if today.weekday() < 5 else ahead + 7)


def page(
    items: Sequence[Item], name_of: Callable[[Item], str], token: str | None, limit: int
) -> tuple[Sequence[Item], str | None]:
    """One page of a list ordered by contract, and the token of the next; None after the last.

    A token is base64 of the last contract of its page.
    """
    after = read_token(token, is_option_symbol)
    rest = [item for item in items if name_of(item) > after] if after else items
    shown = rest[:limit]
    if len(rest) > limit and name_of(rest[limit]) == (last := name_of(shown[-1])):
        # Copies of one contract stay together, for the token only names it.
        earlier = [item for item in shown if name_of(item) != last]
        shown = earlier or [item for item in rest if name_of(item) == last]
    more = len(rest) > len(shown)
    return shown, b64encode(name_of(shown[-1]).encode()).decode() if more else None


def read_token(token: str | None, is_ours: Callable[[str], object]) -> str:
    """What a page token says, empty without one; BadQuery for one that its list never makes."""
    if not token:
        return ""
    try:
        told = b64decode(token, validate=True).decode()
    except ValueError:  # neither base64 nor text
        told = ""
    if not is_ours(told):
        raise BadQuery("invalid page_token")
    return told
