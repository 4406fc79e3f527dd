"""The stock data endpoints, for several symbols and for one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simulator import codes, wire_data
from simulator.bars import Timeframe, adjusted, grouped, parse_adjustment, parse_timeframe
from simulator.exchange import Exchange
from simulator.feeds import EMPTY_FEEDS, history_until, stock_history_feed, stock_now
from simulator.filters import BadQuery, Query, choice, day, stock_symbol, stock_symbols
from simulator.market import Bar, Quote, prices_of, quote_of
from simulator.refusal import not_found
from simulator.series import Row, Stretch, pages, window
from simulator.times import DAY, MINUTE, new_york_day

Json = dict[str, object]
Latest = Callable[[Exchange, str, int], Json | None]
#: A stretch of trades or quotes is looked up this far back at most.
HISTORY_DAYS = 400


@dataclass(frozen=True, slots=True)
class Trade:
    """A price of the stock and when it stood first."""

    at: int
    price: float


# The latest


def _quote(exchange: Exchange, symbol: str, now: int) -> Json | None:
    quote = quote_of(exchange.market, symbol, now)
    return None if quote is None else wire_data.stock_quote(quote, _tape(exchange, symbol))


def _trade(exchange: Exchange, symbol: str, now: int) -> Json | None:
    spot = exchange.market.spot(symbol, now)
    if spot is None:
        return None
    return wire_data.stock_trade(spot[0], float(spot[1]), _tape(exchange, symbol))


def _tape(exchange: Exchange, symbol: str) -> str:
    return codes.tape_of(exchange.market.listed_as(symbol)[1])


def _minute_bar(exchange: Exchange, symbol: str, now: int) -> Json | None:
    """The last minute that is over: in the first minute of a session, one of the session before."""
    running = exchange.sessions.started(now)
    for session in (running, exchange.sessions.before(running.day)):
        if bars := exchange.market.minutes(symbol, session.open, now - MINUTE + 1):
            return wire_data.bar(bars[-1])
    return None


def _snapshot(exchange: Exchange, symbol: str, now: int) -> Json | None:
    quote = _quote(exchange, symbol, now)
    if quote is None:
        return None
    shown: Json = {"latestTrade": _trade(exchange, symbol, now), "latestQuote": quote}
    bar = _minute_bar(exchange, symbol, now)
    if bar is not None:
        shown["minuteBar"] = bar
    daily = list(grouped(exchange.market.daily(symbol, now), parse_timeframe("1Day")))
    for key, one in zip(("dailyBar", "prevDailyBar"), reversed(daily), strict=False):
        shown[key] = wire_data.bar(one)
    return shown


def _several(exchange: Exchange, query: Query, of: Latest) -> Json:
    """Symbols without an answer are left out."""
    now = stock_now(exchange, query)
    symbols = stock_symbols(query)
    if now is None:
        return {}
    found = {symbol: of(exchange, symbol, now) for symbol in symbols}
    return {symbol: shown for symbol, shown in found.items() if shown is not None}


def _one(exchange: Exchange, query: Query, name: str, of: Latest) -> Json:
    now = stock_now(exchange, query)
    shown = None if now is None else of(exchange, stock_symbol(name), now)
    if shown is None:
        raise not_found(f"no data found for {name}")
    return shown


def latest_quotes(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/quotes/latest."""
    return _in_currency(query, {"quotes": _several(exchange, query, _quote)})


def latest_trades(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/trades/latest."""
    return _in_currency(query, {"trades": _several(exchange, query, _trade)})


def latest_bars(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/bars/latest."""
    return _in_currency(query, {"bars": _several(exchange, query, _minute_bar)})


def snapshots(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/snapshots: not wrapped in a key."""
    return _several(exchange, query, _snapshot)


def latest_quote(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/{symbol}/quotes/latest."""
    return _in_currency(query, {"symbol": name, "quote": _one(exchange, query, name, _quote)})


def latest_trade(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/{symbol}/trades/latest."""
    return _in_currency(query, {"symbol": name, "trade": _one(exchange, query, name, _trade)})


def latest_bar(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/{symbol}/bars/latest."""
    return _in_currency(query, {"symbol": name, "bar": _one(exchange, query, name, _minute_bar)})


def snapshot(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/{symbol}/snapshot."""
    return _in_currency(query, {"symbol": name, **_one(exchange, query, name, _snapshot)})


# History


def bars(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/bars and /v2/stocks/{symbol}/bars."""
    timeframe = parse_timeframe(query.get("timeframe", ""))
    kinds = parse_adjustment(query.get("adjustment", ""))
    feed, bounds = _asked(exchange, query)

    def made(symbol: str) -> list[Bar]:
        found = _bars(exchange, symbol, timeframe, (*bounds, history_until(exchange, feed)))
        found = _adjusted(exchange, symbol, found, kinds) if kinds else found
        return [bar for bar in grouped(found, timeframe) if bounds[0] <= bar.at <= bounds[1]]

    return _paged(query, name, (feed, bounds), made, ("bars", lambda _, bar: wire_data.bar(bar)))


def trades(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/trades and /v2/stocks/{symbol}/trades: one for every price that stood."""
    feed, bounds = _asked(exchange, query)

    def made(symbol: str) -> list[Trade]:
        return _stood(exchange, symbol, bounds)

    def shown(symbol: str, one: Trade) -> Json:
        return wire_data.stock_trade(one.at, one.price, _tape(exchange, symbol))

    return _paged(query, name, (feed, bounds), made, ("trades", shown))


def quotes(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/stocks/quotes and /v2/stocks/{symbol}/quotes: one for every price that stood."""
    feed, bounds = _asked(exchange, query)

    def made(symbol: str) -> list[Quote]:
        at = [one.at for one in _stood(exchange, symbol, bounds)]
        found = [quote_of(exchange.market, symbol, moment) for moment in at]
        return [quote for quote in found if quote is not None]

    def shown(symbol: str, one: Quote) -> Json:
        return wire_data.stock_quote(one, _tape(exchange, symbol))

    return _paged(query, name, (feed, bounds), made, ("quotes", shown))


def _asked(exchange: Exchange, query: Query) -> tuple[str, tuple[int, int]]:
    """Feed and bounds. Names do not change in this market, so `asof` is only read."""
    if query.get("asof") != "-":
        day(query, "asof")
    feed = stock_history_feed(exchange, query)
    return feed, window(exchange, query, history_until(exchange, feed))


def _paged(
    query: Query,
    name: str,
    asked: tuple[str, tuple[int, int]],
    rows_of: Callable[[str], Sequence[Row]],
    kind: tuple[str, Callable[[str, Row], Json]],
) -> Json:
    """Of one symbol a list, of several a list each."""
    symbols = [stock_symbol(name)] if name else stock_symbols(query)
    feed, bounds = asked

    def taken(symbol: str, stretch: Stretch) -> Iterator[Row]:
        return stretch.of(rows_of(symbol))

    rows, token = pages(query, [] if feed in EMPTY_FEEDS else symbols, bounds, taken)
    key, show = kind
    found = {symbol: [show(symbol, one) for one in each] for symbol, each in rows.items()}
    shown: Json = {key: found, "next_page_token": token}
    if name:
        shown = {"symbol": name, key: found.get(name, []), "next_page_token": token}
    return _in_currency(query, shown)


def _bars(
    exchange: Exchange, symbol: str, timeframe: Timeframe, bounds: tuple[int, int, int]
) -> list[Bar]:
    """Minutes or days of the bars that begin in [start, end], out of what is over by `latest`."""
    start, end, latest = bounds
    if timeframe.is_intraday:
        last = min(timeframe.end(end) - 1, latest - MINUTE)
        return exchange.market.minutes(symbol, start, last + 1)
    return exchange.market.daily(symbol, latest)


def _adjusted(exchange: Exchange, symbol: str, bars: list[Bar], kinds: frozenset[str]) -> list[Bar]:
    """For what has gone ex by today."""
    today = new_york_day(exchange.now)
    known = [
        action
        for action in exchange.market.actions(exchange.now)
        if action.symbol == symbol and action.ex_day <= today
    ]
    return adjusted(bars, known, kinds, exchange.market.daily(symbol, exchange.now))


def _stood(exchange: Exchange, symbol: str, bounds: tuple[int, int]) -> list[Trade]:
    """Prices in [start, end], each with the moment it began to stand."""
    start, end = max(bounds[0], bounds[1] - HISTORY_DAYS * DAY), bounds[1]
    found = prices_of(exchange.market, symbol, start, end)
    return [Trade(at, float(price)) for at, price in found]


# Tables


def exchanges(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/meta/exchanges."""
    return dict(codes.STOCK_EXCHANGES)


def conditions(exchange: Exchange, query: Query, kind: str) -> Json:
    """GET /v2/stocks/meta/conditions/{trade or quote}: of one tape."""
    if not query.get("tape"):
        raise BadQuery("tape is required")
    known = codes.STOCK_CONDITIONS[choice(query, "tape", tuple(codes.STOCK_CONDITIONS), "A")]
    if kind not in known:
        raise BadQuery(f"invalid ticktype: {kind}")
    return dict(known[kind])


def _in_currency(query: Query, shown: Json) -> Json:
    """With the currency, when one was asked for."""
    return shown | {"currency": "USD"} if query.get("currency") else shown
