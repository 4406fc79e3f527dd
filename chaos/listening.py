"""The wait of a task in virtual time: over, or cut short because the broker's stream tells of an
order, as broker/stream.py cuts it short in real time."""

from __future__ import annotations

from collections.abc import Callable

from simulator.exchange import Exchange
from simulator.inbox import Inbox
from simulator.streams import TRADING, StreamRefused, Streams
from simulator.times import SECOND

#: Between two looks that the stream asks for; and how finely a wait is cut into moves of the clock.
PAUSE_S, MOVES = 0.5, 4


class Listening:
    """One connection to the stream of orders, made again at each wait while it is down."""

    def __init__(self, exchange: Exchange, advance: Callable[[int], None]) -> None:
        self._exchange = exchange
        self._advance = advance
        self.streams = Streams(exchange)
        self._inbox: Inbox | None = None

    def wait(self, seconds: float) -> str:
        """Let time pass; how the wait ended."""
        self._connect()
        until = self._exchange.now + int(seconds * SECOND)
        self._advance(min(until, self._exchange.now + int(PAUSE_S * SECOND)))
        step = max(int(seconds * SECOND) // MOVES, SECOND)
        while not self._has_news() and self._exchange.now < until:
            self._advance(min(until, self._exchange.now + step))
        told = self._inbox.read() if self._inbox is not None else []
        return f"{len(told)} told" if told else "nothing told"

    def _connect(self) -> None:
        if self._inbox is not None and self._inbox.ended is None:
            return
        try:
            self._inbox = self.streams.subscribe(TRADING)
        except StreamRefused:
            self._inbox = None

    def _has_news(self) -> bool:
        return self._inbox is not None and not self._inbox.is_empty
