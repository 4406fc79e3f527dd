"""What the market data streams tell between two moments of the clock, never of what is later."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from simulator import wire_stream
from simulator.codes import tape_of
from simulator.market import Market, Quote, quote_of
from simulator.symbols import is_option_symbol
from simulator.tape import Tape
from simulator.times import MINUTE
from simulator.wire_stream import Json

#: How late the free feed tells option trades.
DELAY = 15 * MINUTE
#: The channel "trades" of the option feeds, prompt and late.
OPTION_TRADES, DELAYED_TRADES = "optionTrades", "delayedTrades"
LULD_SHARE = Decimal("0.05")
LULD_MINUTES = 5

Wanted = Mapping[str, set[str]]  # channel -> symbols
Told = dict[tuple[str, str], list[Json]]  # channel and symbol -> messages


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From `before`, which has been told, to `now`."""

    market: Market
    tape: Tape
    before: int
    now: int


class News:
    """One market's. Remembers the quotes it told last, to tell those that changed."""

    def __init__(self, market: Market, tape: Tape) -> None:
        self._market = market
        self._tape = tape
        self._seen: dict[str, Quote | None] = {}

    def watch(self, wanted: Wanted, now: int) -> None:
        """What is quoted now is known to whoever has just asked for it."""
        for symbol in self.expand("quotes", wanted.get("quotes", set()), now):
            if symbol not in self._seen:
                self._seen[symbol] = quote_of(self._market, symbol, now)

    def expand(self, channel: str, symbols: set[str], now: int) -> set[str]:
        """A star is every underlying, and every contract for the trades of options."""
        if "*" not in symbols:
            return symbols
        named = symbols - {"*"}
        if channel not in {OPTION_TRADES, DELAYED_TRADES}:
            return named.union(self._market.underlyings)
        chains = [self._market.chain(name, now) for name in self._market.underlyings]
        listed = (contract for chain in chains if chain for contract in chain.contracts)
        return named.union(contract.symbol for contract in listed)

    def moved(self, wanted: Wanted, before: int, now: int) -> Told:
        """Every message of what is wanted."""
        span = Span(market=self._market, tape=self._tape, before=before, now=now)
        told: Told = {}
        for channel, symbols in wanted.items():
            tells = CHANNELS.get(channel)
            for symbol in self.expand(channel, symbols, now):
                if channel == "quotes":
                    told[channel, symbol] = self._quote(symbol, now)
                elif tells is not None:
                    told[channel, symbol] = tells(span, symbol)
        self._forget(symbol for channel, symbol in told if channel == "quotes")
        return told

    def _quote(self, symbol: str, now: int) -> list[Json]:
        quote = quote_of(self._market, symbol, now)
        if quote == self._seen.get(symbol):
            return []
        self._seen[symbol] = quote
        if quote is None:
            return []
        if is_option_symbol(symbol):
            return [wire_stream.option_quote(symbol, quote)]
        return [wire_stream.stock_quote(symbol, quote, _tape(self._market, symbol))]

    def _forget(self, wanted: Iterable[str]) -> None:
        self._seen = {symbol: self._seen.get(symbol) for symbol in wanted}


def _tape(market: Market, symbol: str) -> str:
    return tape_of(market.listed_as(symbol)[1])


def stock_trades(span: Span, symbol: str) -> list[Json]:
    """One at each new price."""
    last, new = span.market.spot(symbol, span.before), span.market.spot(symbol, span.now)
    if new is None or (last is not None and last[0] == new[0]):
        return []
    return [wire_stream.stock_trade(symbol, new[0], new[1], _tape(span.market, symbol))]


def option_trades(span: Span, symbol: str) -> list[Json]:
    return _option_trades(span, symbol, span.before, span.now)


def delayed_trades(span: Span, symbol: str) -> list[Json]:
    return _option_trades(span, symbol, span.before - DELAY, span.now - DELAY)


def _option_trades(span: Span, symbol: str, before: int, now: int) -> list[Json]:
    """Those that the REST API knows too."""
    contract = span.market.contract(symbol, now)
    if contract is None:
        return []
    return [
        wire_stream.option_trade(symbol, one) for one in span.tape.prints(contract, before + 1, now)
    ]


def bars(span: Span, symbol: str) -> list[Json]:
    """Of the minutes that have ended."""
    start, end = span.before - MINUTE + 1, span.now - MINUTE + 1
    found = span.market.minutes(symbol, start, end)
    return [wire_stream.minute_bar(symbol, bar) for bar in found]


def daily_bars(span: Span, symbol: str) -> list[Json]:
    """The day so far, with every minute that ends."""
    if not bars(span, symbol):
        return []
    return [wire_stream.daily_bar(symbol, bar) for bar in span.market.daily(symbol, span.now)[-1:]]


def lulds(span: Span, symbol: str) -> list[Json]:
    """Every five minutes, the band about the mean of the last five minutes."""
    width = LULD_MINUTES * MINUTE
    if span.before // width == span.now // width:
        return []
    at = span.now // width * width
    found = span.market.minutes(symbol, at - width, at - MINUTE + 1)
    if not found:
        return []
    mean = Decimal(str(sum(bar.close for bar in found) / len(found)))
    low, high = (round(mean * (1 + sign * LULD_SHARE), 2) for sign in (-1, 1))
    return [wire_stream.luld(symbol, at, (low, high), _tape(span.market, symbol))]


def statuses(span: Span, symbol: str) -> list[Json]:
    """A halt that began or ended."""
    before, now = (span.market.halt(symbol, at) for at in (span.before, span.now))
    if (before is None) == (now is None):
        return []
    code = "" if now is None else now.code
    return [wire_stream.status(symbol, span.now, code, _tape(span.market, symbol))]


#: Quotes are told by `News` itself. No market here has late trades, so updatedBars stay silent.
CHANNELS: dict[str, Callable[[Span, str], list[Json]]] = {
    "trades": stock_trades,
    OPTION_TRADES: option_trades,
    DELAYED_TRADES: delayed_trades,
    "bars": bars,
    "dailyBars": daily_bars,
    "lulds": lulds,
    "statuses": statuses,
}
