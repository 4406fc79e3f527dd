"""Where the clock may be told to go, and the next moment at which anything happens."""

from collections.abc import Mapping
from decimal import Decimal

from simulator.exchange import Exchange
from simulator.times import MINUTE, SECOND, parse_moment

USAGE = (
    'the body must be {"now": "2026-11-20T15:00:00Z"}, {"seconds": 60} or '
    '{"to": "open"}, "close" or "next_day"'
)


class BadMove(ValueError):
    """The text says what would be right."""


def target(exchange: Exchange, body: object) -> int:
    """The moment that is asked for; it may lie behind."""
    if not isinstance(body, Mapping) or len(body) != 1:
        raise BadMove(USAGE)
    ((key, value),) = body.items()
    if key == "now":
        return _moment(value)
    if key == "seconds":
        return exchange.now + _nanoseconds(value)
    if key == "to":
        return _named(exchange, value)
    raise BadMove(USAGE)


def _moment(value: object) -> int:
    try:
        return parse_moment(str(value))
    except (ValueError, OverflowError):
        raise BadMove(USAGE) from None


def _nanoseconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadMove(USAGE)
    if not abs(Decimal(str(value))) <= 10**9:  # not a number either
        raise BadMove(USAGE)
    return int(Decimal(str(value)) * SECOND)


def _named(exchange: Exchange, value: object) -> int:
    """The next opening; the next close; 09:00 on the next trading day."""
    now = exchange.now
    if value == "open":
        return exchange.sessions.next_open(now)
    if value == "close":
        return exchange.session.close
    if value == "next_day":
        after = max(now, exchange.sessions.started(now).close)
        opened = exchange.sessions.next_open(after)
        return max(now, opened - 30 * MINUTE)
    raise BadMove(USAGE)


def next_event(exchange: Exchange) -> int:
    """The next minute while the market is open, else the next opening."""
    if not exchange.is_open:
        return exchange.sessions.next_open(exchange.now)
    return min((exchange.now // MINUTE + 1) * MINUTE, exchange.session.close)
