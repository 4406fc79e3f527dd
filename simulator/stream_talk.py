"""What is said on a stream: the client's messages, decoded, and what each is answered.

Answers go into the same inbox as the news, so that they arrive in order.
"""

from collections.abc import Callable
from typing import Protocol

from simulator import wire_stream
from simulator.inbox import Inbox
from simulator.streams import IEX, PAID, SIP, TRADE_UPDATES, Streams
from simulator.switches import DataPlan

MayAsk = Callable[[str, str], bool]  # key and secret
SYMBOL_LENGTH_MAX = 32
#: Error 405 beyond these. The better plan has no limit on stocks.
BASIC_STOCKS_MAX = 30
OPTION_QUOTES_MAX = {DataPlan.BASIC: 200, DataPlan.PLUS: 1000}
OPTION_CHANNELS = ("trades", "quotes")
STOCK_CHANNELS = (*OPTION_CHANNELS, "bars", "updatedBars", "dailyBars", "statuses", "lulds")
#: Those that no client asks for: they come with the trades.
WITH_TRADES = ("corrections", "cancelErrors")
OTHER_CHANNELS = (*STOCK_CHANNELS, *WITH_TRADES, "orderbooks", "news")


class Talk(Protocol):
    """One client's conversation."""

    def greet(self) -> None:
        """As soon as the connection stands."""

    def hear(self, message: object) -> None:
        """Answer one message; the inbox ends when the connection has to."""

    def misheard(self, *, is_format: bool) -> None:
        """What could not be decoded; `is_format` when JSON came where only MessagePack may."""

    def time_out(self) -> None:
        """The time to send keys is over."""

    def break_off(self) -> None:
        """Something went wrong on this side."""


class TradingTalk:
    """/stream: an object a message."""

    def __init__(self, streams: Streams, inbox: Inbox, may_ask: MayAsk) -> None:
        self._streams = streams
        self._inbox = inbox
        self._may_ask = may_ask

    def greet(self) -> None:
        """Nothing is said before the client speaks."""

    def time_out(self) -> None:
        """A client may take its time here."""

    def misheard(self, *, is_format: bool) -> None:
        self._fail("invalid message")

    def break_off(self) -> None:
        self._fail("internal error")

    def hear(self, message: object) -> None:
        action = message.get("action") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(action, str):
            self._fail("invalid message")
        elif action == "authenticate":
            data = message.get("data")
            given = data if isinstance(data, dict) else {}
            self._authenticate(given.get("key_id"), given.get("secret_key"))
        elif action == "auth":
            self._authenticate(message.get("key"), message.get("secret"))
        elif action in {"listen", "unlisten"}:
            self._listen(action, message.get("data"))
        else:
            self._fail(f"unknown action: {action[:SYMBOL_LENGTH_MAX]!a}")

    def _authenticate(self, key: object, secret: object) -> None:
        self._inbox.is_admitted = _admits(self._may_ask, key, secret)
        status = "authorized" if self._inbox.is_admitted else "unauthorized"
        self._inbox.put(wire_stream.authorization(status, "authenticate"))

    def _listen(self, action: str, data: object) -> None:
        if not self._inbox.is_admitted:
            self._inbox.put(wire_stream.authorization("unauthorized", action))
            return
        streams = data.get("streams") if isinstance(data, dict) else None
        if not isinstance(streams, list):
            self._fail("streams must be a list")
            return
        named = TRADE_UPDATES in streams
        listens = named if action == "listen" else TRADE_UPDATES in self._inbox.wanted and not named
        self._streams.want(self._inbox, {TRADE_UPDATES: {"*"}} if listens else {})
        accepted = [TRADE_UPDATES] if listens else []
        self._inbox.put({"stream": "listening", "data": {"streams": accepted}})

    def _fail(self, text: str) -> None:
        self._inbox.put(wire_stream.trading_error(text))
        self._inbox.end()


class MarketTalk:
    """A data stream: lists of messages to the client, one object a message from it."""

    def __init__(self, streams: Streams, inbox: Inbox, may_ask: MayAsk) -> None:
        self._streams = streams
        self._inbox = inbox
        self._may_ask = may_ask
        self._is_stock = inbox.path in {IEX, SIP}
        self._channels = STOCK_CHANNELS if self._is_stock else OPTION_CHANNELS
        self._plan = streams.exchange.switches.data_plan

    def greet(self) -> None:
        self._inbox.put([{"T": "success", "msg": "connected"}])

    def time_out(self) -> None:
        if not self._inbox.is_admitted:
            self._fail(404)

    def misheard(self, *, is_format: bool) -> None:
        if is_format:
            self._fail(412)
        else:
            self._error(400)

    def break_off(self) -> None:
        self._fail(500)

    def hear(self, message: object) -> None:
        if not isinstance(message, dict):
            self._error(400)
            return
        action = message.get("action")
        if action == "auth":
            self._authenticate(message.get("key"), message.get("secret"))
        elif action not in ("subscribe", "unsubscribe"):
            self._error(400)
        elif not self._inbox.is_admitted:
            self._error(401)
        else:
            self._subscribe(message, adds=action == "subscribe")

    def _authenticate(self, key: object, secret: object) -> None:
        path = self._inbox.path
        if self._inbox.is_admitted:
            self._error(403)
        elif not _admits(self._may_ask, key, secret):
            self._error(402)
        elif path in PAID and self._plan is DataPlan.BASIC:
            self._fail(409)
        elif self._streams.is_full(path):
            self._fail(406)
        else:
            self._inbox.is_admitted = True
            self._inbox.put([{"T": "success", "msg": "authenticated"}])

    def _subscribe(self, message: dict[str, object], *, adds: bool) -> None:
        asked = {name: symbols for name, symbols in message.items() if name != "action"}
        code = self._problem(asked)
        if code:
            self._error(code)
            return
        wanted = {name: set(symbols) for name, symbols in self._inbox.wanted.items()}
        for name, symbols in asked.items():
            assert isinstance(symbols, list)  # _problem has looked
            had = wanted.get(name, set())
            wanted[name] = had.union(symbols) if adds else had.difference(symbols)
        if self._is_beyond(wanted):
            self._error(405)
            return
        self._streams.want(self._inbox, wanted)
        self._inbox.put([self._subscription()])

    def _problem(self, asked: dict[str, object]) -> int:
        """The code of the error, 0 when there is none."""
        for name, symbols in asked.items():
            if name not in self._channels:
                return 410 if name in OTHER_CHANNELS else 400
            if not isinstance(symbols, list) or not all(map(_is_symbol, symbols)):
                return 400
            if not self._is_stock and name == "quotes" and "*" in symbols:
                return 413
        return 0 if asked else 400

    def _is_beyond(self, wanted: dict[str, set[str]]) -> bool:
        if not self._is_stock:
            return len(wanted.get("quotes", set())) > OPTION_QUOTES_MAX[self._plan]
        symbols = set().union(*wanted.values()) - {"*"}
        return self._plan is DataPlan.BASIC and len(symbols) > BASIC_STOCKS_MAX

    def _subscription(self) -> wire_stream.Json:
        """The full set."""
        wanted = self._inbox.wanted
        shown: wire_stream.Json = {"T": "subscription"}
        shown |= {name: sorted(wanted.get(name, set())) for name in self._channels}
        if self._is_stock:
            shown |= {name: sorted(wanted.get("trades", set())) for name in WITH_TRADES}
        return shown

    def _error(self, code: int) -> None:
        self._inbox.put(wire_stream.error(code))

    def _fail(self, code: int) -> None:
        self._error(code)
        self._inbox.end()


def _admits(may_ask: MayAsk, key: object, secret: object) -> bool:
    return isinstance(key, str) and isinstance(secret, str) and may_ask(key, secret)


def _is_symbol(symbol: object) -> bool:
    return isinstance(symbol, str) and symbol.isascii() and 0 < len(symbol) <= SYMBOL_LENGTH_MAX
