"""A market's days without clients, as fast as possible."""

from dataclasses import dataclass

from simulator import clock_moves, happenings
from simulator.exchange import ClockError, Exchange


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """What was lived through."""

    days: int
    minutes: int
    quotes: int


def run_through(exchange: Exchange, days: int) -> Passed:
    """From event to event, every chain asked for each minute, until so many closes have passed or
    the calendar ends."""
    closes = minutes = quotes = 0
    while closes < days:
        was_open = exchange.is_open
        try:
            happenings.advance(exchange, clock_moves.next_event(exchange))
        except ClockError:
            break
        closes += was_open and not exchange.is_open
        if exchange.is_open:
            minutes += 1
            quotes += sum(_quotes(exchange, name) for name in exchange.market.underlyings)
    return Passed(days=closes, minutes=minutes, quotes=quotes)


def _quotes(exchange: Exchange, underlying: str) -> int:
    chain = exchange.market.chain(underlying, exchange.now)
    return 0 if chain is None else len(chain.contracts)
