"""The streams of one exchange, with no network in them: whoever subscribes reads an `Inbox`.

    streams = Streams(exchange)
    inbox = streams.subscribe("/stream")
    quotes = streams.subscribe("/v1beta1/opra", quotes={"SPY261218P00600000"})
    ...
    for envelope in inbox.read(): ...

What is read are the frames that a websocket would carry, before they are encoded.
"""

from collections.abc import Iterable

from simulator import wire_stream
from simulator.exchange import Exchange
from simulator.inbox import End, Inbox
from simulator.stream_faults import TOO_MANY, Event, Line
from simulator.stream_news import DELAYED_TRADES, INDICATIVE_QUOTES, OPTION_TRADES, News, Told
from simulator.symbols import is_option_symbol
from simulator.updates import Update
from simulator.wire_stream import Json

TRADING = "/stream"
INDICATIVE, OPRA = "/v1beta1/indicative", "/v1beta1/opra"
IEX, SIP = "/v2/iex", "/v2/sip"
PATHS = (TRADING, INDICATIVE, OPRA, IEX, SIP)
PAID = (OPRA, SIP)
TRADE_UPDATES = "trade_updates"
#: What `News` calls a channel by another name.
SOURCES = {
    (INDICATIVE, "trades"): DELAYED_TRADES,
    (INDICATIVE, "quotes"): INDICATIVE_QUOTES,
    (OPRA, "trades"): OPTION_TRADES,
}
FRAME_MESSAGES_MAX = 500


class StreamRefused(Exception):
    """A connection that is not accepted; `status` is that of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the stream refuses this connection with status {status}")
        self.status = status


class Streams:
    """Listens to an exchange and tells its inboxes, through whatever faults are armed."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.inboxes: list[Inbox] = []
        self._lines = {path: Line(path, exchange.faults) for path in PATHS}
        off_cents = exchange.switches.indicative_off_cents
        self._news = News(exchange.market, exchange.tape, off_cents)
        exchange.listeners.append(self._on_update)
        exchange.watchers.append(self._on_moved)

    def subscribe(self, path: str, **channels: Iterable[str]) -> Inbox:
        """An open inbox; StreamRefused when a fault or a limit is in the way."""
        inbox = self.open(path)
        inbox.is_admitted = True
        wanted = {TRADE_UPDATES: {"*"}} if path == TRADING else {}
        self.want(inbox, wanted | {name: set(symbols) for name, symbols in channels.items()})
        return inbox

    def open(self, path: str) -> Inbox:
        """An inbox that wants nothing yet; StreamRefused."""
        status = self._lines[path].refusal(self.exchange.now)
        most = self.exchange.switches.stream_trading_connections_max
        if not status and path == TRADING and 0 < most <= len(self._on(path)):
            status = TOO_MANY
        if status:
            raise StreamRefused(status)
        goodbye: object = wire_stream.error(407)
        if path == TRADING:
            goodbye = wire_stream.trading_error("slow client")
        inbox = Inbox(path, self.exchange.switches.stream_waiting_max, goodbye)
        self.inboxes.append(inbox)
        return inbox

    def close(self, inbox: Inbox) -> None:
        """Nothing more comes; what waits can still be read."""
        inbox.end()
        self._drop_ended()

    def want(self, inbox: Inbox, wanted: dict[str, set[str]]) -> None:
        """The whole set, by channel."""
        asked = {channel: symbols for channel, symbols in wanted.items() if symbols}
        if inbox.path != TRADING:
            named = {_source(inbox.path, channel): each for channel, each in asked.items()}
            self._news.watch(named, self.exchange.now)
        inbox.wanted = asked

    def is_full(self, path: str) -> bool:
        """Whether a data stream has all the connections it may have."""
        most = self.exchange.switches.stream_data_connections_max
        return 0 < most <= sum(inbox.is_admitted for inbox in self._on(path))

    def hurries(self) -> bool:
        """Whether trade updates must arrive before the answer to the request that caused them;
        said once."""
        line = self._lines[TRADING]
        hurried, line.hurries = line.hurries, False
        return hurried

    def _on(self, path: str) -> list[Inbox]:
        return [inbox for inbox in self.inboxes if inbox.path == path and inbox.ended is None]

    def _drop_ended(self) -> None:
        self.inboxes = [inbox for inbox in self.inboxes if inbox.ended is None]

    # Orders

    def _on_update(self, update: Update) -> None:
        switches = self.exchange.switches
        if update.event == "pending_new" and not switches.trade_updates_pending_new:
            return
        frames = [wire_stream.trade_update(update)]
        if switches.trade_updates_of_legs:
            frames += wire_stream.leg_updates(update)
        now = self.exchange.now
        event = Event(word=update.event, at=now, frames=tuple(frames), order_id=update.order.id)
        line = self._lines[TRADING]
        line.remember(event)
        self._tell(line, event, [i for i in self._on(TRADING) if TRADE_UPDATES in i.wanted])
        line.forget(event)

    def _tell(self, line: Line, event: Event, inboxes: list[Inbox]) -> None:
        if not inboxes:
            return
        if line.goes_down(event):
            for inbox in self._on(line.path):
                inbox.end(End.DOWN)
            self._drop_ended()
            return
        for frame in line.passes(event):
            for inbox in inboxes:
                inbox.put(frame)
        self._drop_ended()

    # Market data

    def _on_moved(self, before: int, now: int) -> None:
        listening = [i for i in self.inboxes if i.path != TRADING and i.wanted and i.ended is None]
        wanted: dict[str, set[str]] = {}
        for inbox in listening:
            for channel, symbols in inbox.wanted.items():
                wanted.setdefault(_source(inbox.path, channel), set()).update(symbols)
        told = self._news.moved(wanted, before, now)
        for inbox in listening:
            messages = _of(inbox, told)
            for start in range(0, len(messages), FRAME_MESSAGES_MAX):
                frame = messages[start : start + FRAME_MESSAGES_MAX]
                self._tell(
                    self._lines[inbox.path], Event(word="data", at=now, frames=(frame,)), [inbox]
                )


def _source(path: str, channel: str) -> str:
    """What `News` calls this channel."""
    return SOURCES.get((path, channel), channel)


def _of(inbox: Inbox, told: Told) -> list[Json]:
    """The messages that one listener wants."""
    is_stock = inbox.path in {IEX, SIP}
    sources = {_source(inbox.path, name): symbols for name, symbols in inbox.wanted.items()}
    return [
        message
        for (channel, symbol), messages in told.items()
        if channel in sources
        and (symbol in sources[channel] or "*" in sources[channel])
        and is_stock != is_option_symbol(symbol)
        for message in messages
    ]
