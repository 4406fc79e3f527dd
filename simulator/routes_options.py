"""The option data endpoints: snapshots, latest quotes and trades, bars, trades, code tables."""

from collections.abc import Iterator, Sequence

from simulator import codes, wire_data
from simulator.bars import Timeframe, grouped, parse_timeframe
from simulator.exchange import Exchange
from simulator.feeds import history_until, option_feed, trades_until
from simulator.filters import (
    BadQuery,
    Query,
    contract_filter,
    option_symbols,
    page,
    stock_symbol,
    whole,
)
from simulator.market import Bar, Chain
from simulator.series import Stretch, bound, pages, window
from simulator.symbols import Contract
from simulator.tape import Print
from simulator.times import MINUTE, new_york_day, new_york_moment

Json = dict[str, object]
Picked = tuple[Chain, Sequence[int]]


def chain(exchange: Exchange, query: Query, underlying: str) -> Json:
    """GET /v1beta1/options/snapshots/{underlying}: ordered by symbol, paged."""
    limit = whole(query, "limit", 100, 1000)
    feed = option_feed(exchange, query)
    keep, since = contract_filter(query), bound(query, "updated_since")
    found = exchange.market.chain(stock_symbol(underlying), exchange.now)
    if found is None:
        return {"snapshots": {}, "next_page_token": None}
    rows: Sequence[int] = range(len(found.contracts))
    if not keep.is_open():
        rows = [row for row in rows if keep.keeps(found.contracts[row])]
    rows = _updated(exchange, feed, (found, rows), since)
    token = query.get("page_token")
    shown, following = page(rows, lambda row: found.contracts[row].symbol, token, limit)
    return {
        "snapshots": _snapshots(exchange, feed, (found, shown)),
        "next_page_token": following,
    }


def snapshots(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/snapshots?symbols=."""
    limit = whole(query, "limit", 100, 1000)
    feed, since = option_feed(exchange, query), bound(query, "updated_since")
    picked = [
        (found, _updated(exchange, feed, (found, rows), since))
        for found, rows in _picked(exchange, option_symbols(query))
    ]
    listed = {found.contracts[row].symbol: (found, row) for found, rows in picked for row in rows}
    shown, token = page(sorted(listed), str, query.get("page_token"), limit)
    answer: dict[str, wire_data.Json] = {}
    for found, _rows in picked:
        rows = [listed[symbol][1] for symbol in shown if listed[symbol][0] is found]
        answer |= _snapshots(exchange, feed, (found, rows))
    return {"snapshots": {symbol: answer[symbol] for symbol in shown}, "next_page_token": token}


def latest_quotes(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/quotes/latest."""
    feed = option_feed(exchange, query)
    off = exchange.switches.indicative_off_cents if feed == "indicative" else 0
    quotes: Json = {}
    for found, rows in _picked(exchange, option_symbols(query)):
        for symbol, snapshot in wire_data.snapshots(found, rows, off_cents=off).items():
            quotes[symbol] = snapshot["latestQuote"]
    return {"quotes": quotes}


def latest_trades(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/trades/latest."""
    until = trades_until(exchange, option_feed(exchange, query))
    contracts = list(_listed(exchange, option_symbols(query)).values())
    prints = exchange.tape.latest(contracts, until)
    return {
        "trades": {
            contract.symbol: wire_data.option_trade(one)
            for contract, one in zip(contracts, prints, strict=True)
            if one is not None
        }
    }


def trades(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/trades."""
    listed = _listed(exchange, option_symbols(query))
    bounds = window(exchange, query, history_until(exchange))

    def prints(symbol: str, asked: Stretch) -> Iterator[Print]:
        return exchange.tape.prints(
            listed[symbol], asked.start, asked.end, newest_first=asked.newest_first
        )

    shown, token = pages(query, list(listed), bounds, prints)
    found = {
        symbol: [wire_data.option_trade(one) for one in rows] for symbol, rows in shown.items()
    }
    return {"trades": found, "next_page_token": token}


def bars(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/bars: of minutes with a trade; the running minute is not shown."""
    timeframe = parse_timeframe(query.get("timeframe", ""))
    listed = _listed(exchange, option_symbols(query))
    bounds = window(exchange, query, history_until(exchange))

    def made(symbol: str, asked: Stretch) -> Iterator[Bar]:
        return _bars(exchange, listed[symbol], timeframe, asked)

    shown, token = pages(query, list(listed), bounds, made)
    found = {symbol: [wire_data.bar(one) for one in rows] for symbol, rows in shown.items()}
    return {"bars": found, "next_page_token": token}


def exchanges(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v1beta1/options/meta/exchanges."""
    return dict(codes.OPTION_EXCHANGES)


def conditions(exchange: Exchange, query: Query, kind: str) -> Json:
    """GET /v1beta1/options/meta/conditions/{trade or quote}."""
    if kind not in codes.OPTION_CONDITIONS:
        raise BadQuery(f"invalid ticktype: {kind}")
    return dict(codes.OPTION_CONDITIONS[kind])


def _listed(exchange: Exchange, symbols: Sequence[str]) -> dict[str, Contract]:
    """Unknown ones are left out."""
    found = {symbol: exchange.market.contract(symbol, exchange.now) for symbol in symbols}
    return {symbol: contract for symbol, contract in found.items() if contract is not None}


def _picked(exchange: Exchange, symbols: Sequence[str]) -> list[Picked]:
    """The chains and rows of those that are quoted."""
    listed = _listed(exchange, symbols)
    picked: list[Picked] = []
    for underlying in sorted({contract.underlying for contract in listed.values()}):
        found = exchange.market.chain(underlying, exchange.now)
        if found is not None:
            picked.append((found, [found.rows[name] for name in listed if name in found.rows]))
    return picked


def _updated(exchange: Exchange, feed: str, picked: Picked, since: int | None) -> Sequence[int]:
    """Rows whose quote or trade is as young as asked for."""
    found, rows = picked
    if since is None:
        return rows
    prints = _prints(exchange, feed, picked)
    return [
        row
        for row, one in zip(rows, prints, strict=True)
        if int(found.at[row]) >= since or (one is not None and one.at >= since)
    ]


def _prints(exchange: Exchange, feed: str, picked: Picked) -> list[Print | None]:
    found, rows = picked
    contracts = [found.contracts[row] for row in rows]
    return exchange.tape.latest(contracts, trades_until(exchange, feed))


def _snapshots(exchange: Exchange, feed: str, picked: Picked) -> dict[str, wire_data.Json]:
    found, rows = picked
    off = exchange.switches.indicative_off_cents if feed == "indicative" else 0
    today = new_york_day(exchange.now)
    made = wire_data.snapshots(
        found, rows, off_cents=off, expiring=today, zeros=exchange.switches.expiry_greeks == "zero"
    )
    prints = _prints(exchange, feed, picked)
    for row, one in zip(rows, prints, strict=True):
        if one is not None:
            made[found.contracts[row].symbol] |= wire_data.last_print(one, exchange.now)
    if exchange.switches.snapshot_daily_bars:
        for row in rows:
            contract = found.contracts[row]
            made[contract.symbol] |= _daily(exchange, contract, trades_until(exchange, feed))
    return made


def _daily(exchange: Exchange, contract: Contract, until: int) -> Json:
    """dailyBar and prevDailyBar of the session that runs or ran last, and the one before it."""
    day = exchange.sessions.started(until).day
    shown: Json = {}
    for key, one in (("dailyBar", day), ("prevDailyBar", exchange.sessions.before(day).day)):
        start = new_york_moment(one, 0, 0)
        end = min(until, new_york_moment(one, 23, 59))
        asked = Stretch(start=start, end=end, newest_first=True)
        made = next(_bars(exchange, contract, parse_timeframe("1Day"), asked), None)
        if made is not None:
            shown[key] = wire_data.bar(made)
    return shown


def _bars(
    exchange: Exchange, contract: Contract, timeframe: Timeframe, asked: Stretch
) -> Iterator[Bar]:
    """Bars that begin within the stretch, of minutes that are over."""
    last = min(timeframe.end(asked.end) - 1, history_until(exchange) - MINUTE)
    minutes = exchange.tape.minutes(contract, asked.start, last, newest_first=asked.newest_first)
    made = grouped(minutes, timeframe)
    return (bar for bar in made if asked.start <= bar.at <= asked.end)
