"""What the market data streams tell between two moments of the clock, never of what is later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from simulator import wire_data, wire_stream
from simulator.codes import tape_of
from simulator.market import Market, Quote, prices_of, quote_of
from simulator.symbols import is_option_symbol
from simulator.tape import Tape
from simulator.times import MINUTE
from simulator.wire_stream import Json

#: How late the free feed tells option trades.
DELAY = 15 * MINUTE
#: The channel "trades" of the option feeds, prompt and late.
OPTION_TRADES, DELAYED_TRADES = "optionTrades", "delayedTrades"
#: The channel "quotes" of the free option feed.
INDICATIVE_QUOTES = "indicativeQuotes"
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
    """One market's. Remembers what it told last of quotes, trades and halts, to tell what changed.
    Quotes of the free feed lie up to `off_cents` off."""

    def __init__(self, market: Market, tape: Tape, off_cents: int = 0) -> None:
        self._market = market
        self._tape = tape
        self._off_cents = off_cents
        self._seen: dict[tuple[str, str], object] = {}

    def watch(self, wanted: Wanted, now: int) -> None:
        """What is so now is known to whoever has just asked for it."""
        for channel in wanted.keys() & STATES.keys():
            for symbol in self.expand(channel, wanted[channel], now):
                if (channel, symbol) not in self._seen:
                    self._seen[channel, symbol] = STATES[channel](self._market, symbol, now)

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
        seen: dict[tuple[str, str], object] = {}
        for channel, symbols in wanted.items():
            for symbol in self.expand(channel, symbols, now):
                key = channel, symbol
                if channel in STATES:
                    seen[key] = STATES[channel](self._market, symbol, now)
                    told[key] = self._changed(span, key, seen[key])
                elif channel in CHANNELS:
                    told[key] = CHANNELS[channel](span, symbol)
        self._seen = seen
        return told

    def _changed(self, span: Span, key: tuple[str, str], state: object) -> list[Json]:
        channel, symbol = key
        last = self._seen.get(key)
        if state == last or state is None:
            return []
        if channel == "trades":
            found = prices_of(span.market, symbol, span.before, span.now)
            tape = _tape(span.market, symbol)
            return [wire_stream.stock_trade(symbol, *one, tape) for one in found if one != last]
        if channel == "statuses":
            return [wire_stream.status(symbol, span.now, str(state), _tape(span.market, symbol))]
        assert isinstance(state, Quote)
        if is_option_symbol(symbol):
            shown = wire_stream.option_quote(symbol, state)
            return [shown | self._off(symbol, span.now) if channel == INDICATIVE_QUOTES else shown]
        return [wire_stream.stock_quote(symbol, state, _tape(span.market, symbol))]

    def _off(self, symbol: str, now: int) -> Json:
        """What the free feed says otherwise, as the REST API has it."""
        contract = self._market.contract(symbol, now)
        chain = self._market.chain(contract.underlying, now) if contract is not None else None
        if chain is None or not self._off_cents:
            return {}
        shown = wire_data.snapshots(chain, [chain.rows[symbol]], off_cents=self._off_cents)
        quote = shown[symbol]["latestQuote"]
        assert isinstance(quote, dict)
        return {key: quote[key] for key in ("bx", "bp", "ax", "ap")}


def _tape(market: Market, symbol: str) -> str:
    return tape_of(market.listed_as(symbol)[1])


def _halted(market: Market, symbol: str, now: int) -> str:
    """The code of the halt that stands; empty while it trades."""
    halt = market.halt(symbol, now)
    return "" if halt is None else halt.code


def _spot(market: Market, symbol: str, now: int) -> tuple[int, Decimal] | None:
    return market.spot(symbol, now)


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


#: What is told when it is not what was told last, by channel.
STATES: dict[str, Callable[[Market, str, int], object]] = {
    "quotes": quote_of,
    INDICATIVE_QUOTES: quote_of,
    "trades": _spot,
    "statuses": _halted,
}
#: What happened since. No market here has late trades, so updatedBars stay silent.
CHANNELS: dict[str, Callable[[Span, str], list[Json]]] = {
    OPTION_TRADES: option_trades,
    DELAYED_TRADES: delayed_trades,
    "bars": bars,
    "dailyBars": daily_bars,
    "lulds": lulds,
}
