"""The market data endpoints: option snapshots and quotes, stocks, corporate actions."""

from collections.abc import Callable, Sequence
from typing import Final

from simulator import wire_data
from simulator.exchange import Exchange
from simulator.filters import (
    BadQuery,
    Query,
    choice,
    contract_filter,
    day,
    moment,
    page,
    whole,
    words,
)
from simulator.market import Action, Bar, Chain
from simulator.symbols import is_option_symbol, root_of
from simulator.times import MINUTE, new_york_day, new_york_moment

Json = dict[str, object]
SNAPSHOT_SYMBOLS_MAX = 100
ACTION_GROUPS: Final = {
    "cash_dividend": "cash_dividends",
    "forward_split": "forward_splits",
    "spin_off": "spin_offs",
}
TIMEFRAME_UNITS: Final = {"Min": 1, "T": 1, "Hour": 60, "H": 60}


def chain(exchange: Exchange, query: Query, underlying: str) -> Json:
    """GET /v1beta1/options/snapshots/{underlying}: ordered by symbol, paged."""
    limit = whole(query, "limit", 100, 1000)
    keep = contract_filter(query)
    since = moment(query, "updated_since")
    found = exchange.market.chain(underlying, exchange.now)
    rows: list[int] = []
    if found is not None:
        rows = [row for row, listed in enumerate(found.contracts) if keep.keeps(listed)]
    if found is None or not rows:
        return {"snapshots": {}, "next_page_token": None}
    if since is not None:
        rows = [row for row in rows if int(found.at[row]) >= since]
    shown, token = page(
        rows, lambda row: found.contracts[row].symbol, query.get("page_token"), limit
    )
    return {"snapshots": wire_data.snapshots(found, shown), "next_page_token": token}


def option_snapshots(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/snapshots?symbols=."""
    limit = whole(query, "limit", 100, 1000)
    symbols, token = page(_option_symbols(query), str, query.get("page_token"), limit)
    return {"snapshots": _by_symbol(exchange, symbols), "next_page_token": token}


def option_quotes(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/quotes/latest."""
    found = _by_symbol(exchange, _option_symbols(query))
    return {"quotes": {symbol: snapshot["latestQuote"] for symbol, snapshot in found.items()}}


def option_trades(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/trades/latest: this market knows no option trades."""
    _option_symbols(query)
    return {"trades": {}}


def _option_symbols(query: Query) -> list[str]:
    symbols = sorted(set(words(query, "symbols")))
    if not symbols:
        raise BadQuery("symbols is required")
    if len(symbols) > SNAPSHOT_SYMBOLS_MAX:
        raise BadQuery(f"too many symbols: at most {SNAPSHOT_SYMBOLS_MAX}")
    bad = [symbol for symbol in symbols if not is_option_symbol(symbol)]
    if bad:
        raise BadQuery(f"invalid symbol: {bad[0]}")
    return symbols


def _by_symbol(exchange: Exchange, symbols: Sequence[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for underlying in sorted({root_of(symbol) for symbol in symbols}):
        listed: Chain | None = exchange.market.chain(underlying, exchange.now)
        if listed is not None:
            rows = [listed.rows[symbol] for symbol in symbols if symbol in listed.rows]
            found |= wire_data.snapshots(listed, rows)
    return found


def stock_quotes(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/quotes/latest."""
    return {"quotes": _each(query, lambda symbol: _stock_quote(exchange, symbol))}


def stock_trades(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/trades/latest."""
    return {"trades": _each(query, lambda symbol: _stock_trade(exchange, symbol))}


def stock_latest_bars(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/bars/latest."""
    return {"bars": _each(query, lambda symbol: _minute_bar(exchange, symbol))}


def stock_snapshots(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/snapshots: not wrapped in a key."""
    return _each(query, lambda symbol: _stock_snapshot(exchange, symbol))


def _each(query: Query, of: Callable[[str], Json | None]) -> Json:
    found = {symbol: of(symbol) for symbol in _symbols(query)}
    return {symbol: shown for symbol, shown in found.items() if shown is not None}


def _symbols(query: Query) -> list[str]:
    symbols = words(query, "symbols")
    if not symbols:
        raise BadQuery("symbols is required")
    return sorted(set(symbols))


def _stock_quote(exchange: Exchange, symbol: str) -> Json | None:
    quote = None if is_option_symbol(symbol) else exchange.quote(symbol)
    return None if quote is None else wire_data.stock_quote(quote)


def _stock_trade(exchange: Exchange, symbol: str) -> Json | None:
    spot = exchange.market.spot(symbol, exchange.now)
    return None if spot is None else wire_data.stock_trade(spot[0], float(spot[1]))


def _minute_bar(exchange: Exchange, symbol: str) -> Json | None:
    opened = exchange.sessions.started(exchange.now).open
    bars = exchange.market.minutes(symbol, opened, _finished(exchange))
    return wire_data.bar(bars[-1]) if bars else None


def _finished(exchange: Exchange) -> int:
    """Minute bars that begin before this are over."""
    return exchange.now - MINUTE + 1


def _stock_snapshot(exchange: Exchange, symbol: str) -> Json | None:
    quote = _stock_quote(exchange, symbol)
    if quote is None:
        return None
    shown: Json = {"latestQuote": quote, "latestTrade": _stock_trade(exchange, symbol)}
    bar = _minute_bar(exchange, symbol)
    if bar is not None:
        shown["minuteBar"] = bar
    daily = [_at_midnight(bar) for bar in exchange.market.daily(symbol, exchange.now)]
    for key, one in zip(("dailyBar", "prevDailyBar"), reversed(daily), strict=False):
        shown[key] = wire_data.bar(one)
    return shown


def stock_bars(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/stocks/bars: minutes, hours or days, up to now; oldest first unless sort=desc."""
    limit = whole(query, "limit", 1000, 10_000)
    minutes = _timeframe_minutes(query.get("timeframe", ""))
    today = new_york_moment(new_york_day(exchange.now), 0, 0)
    start = moment(query, "start")
    end = moment(query, "end")
    bounds = (today if start is None else start, exchange.now if end is None else end)
    found = [
        (f"{symbol} {bar.at:020d}", symbol, bar)
        for symbol in _symbols(query)
        for bar in _bars(exchange, symbol, minutes, bounds)
    ]
    shown, token = page(found, lambda item: item[0], query.get("page_token"), limit)
    if choice(query, "sort", ("asc", "desc"), "asc") == "desc":
        shown = shown[::-1]
    grouped: dict[str, list[Json]] = {}
    for _name, symbol, bar in shown:
        grouped.setdefault(symbol, []).append(wire_data.bar(bar))
    return {"bars": grouped, "next_page_token": token}


def _timeframe_minutes(text: str) -> int | None:
    """None for a day."""
    count = text.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(count) :]
    if text in {"1Day", "1D"}:
        return None
    if unit not in TIMEFRAME_UNITS or not count.isdigit() or not 1 <= int(count) <= 59:
        raise BadQuery(f"invalid timeframe: {text}")
    return int(count) * TIMEFRAME_UNITS[unit]


def _bars(
    exchange: Exchange, symbol: str, minutes: int | None, bounds: tuple[int, int]
) -> list[Bar]:
    start, end = bounds
    if minutes is None:
        daily = [_at_midnight(bar) for bar in exchange.market.daily(symbol, exchange.now)]
        return [bar for bar in daily if start <= bar.at <= end]
    bars = exchange.market.minutes(symbol, start, min(end + 1, _finished(exchange)))
    return _grouped(bars, minutes * MINUTE)


def _grouped(bars: list[Bar], width: int) -> list[Bar]:
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        groups.setdefault(bar.at // width * width, []).append(bar)
    return [
        Bar(
            at=at,
            open=group[0].open,
            high=max(bar.high for bar in group),
            low=min(bar.low for bar in group),
            close=group[-1].close,
            volume=sum(bar.volume for bar in group),
            trades=sum(bar.trades for bar in group),
        )
        for at, group in groups.items()
    ]


def _at_midnight(bar: Bar) -> Bar:
    """A daily bar is stamped midnight New York."""
    return Bar(
        at=new_york_moment(new_york_day(bar.at), 0, 0),
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trades=bar.trades,
    )


def corporate_actions(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1/corporate-actions, of what is announced by now, ordered by day."""
    whole(query, "limit", 100, 1000)
    symbols, kinds = words(query, "symbols"), words(query, "types")
    first, last = day(query, "start"), day(query, "end")

    def keeps(action: Action) -> bool:
        early = first is not None and action.ex_day < first
        late = last is not None and action.ex_day > last
        return (not symbols or action.symbol in symbols) and not early and not late

    known = sorted(exchange.market.actions(exchange.now), key=lambda action: action.ex_day)
    found = wire_data.corporate_actions([action for action in known if keeps(action)])
    groups = {ACTION_GROUPS.get(kind, kind) for kind in kinds}
    kept = {group: rows for group, rows in found.items() if not groups or group in groups}
    return {"corporate_actions": kept, "next_page_token": None}
