"""The endpoints of what is listed and when it trades: clock, calendar, assets, contracts."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from simulator import wire, wire_reference
from simulator.exchange import Exchange
from simulator.filters import (
    BadQuery,
    Query,
    choice,
    contract_filter,
    day,
    flag,
    moment,
    next_weekend,
    page,
    whole,
    words,
)
from simulator.refusal import not_found
from simulator.symbols import Contract, asset_id, is_id
from simulator.times import new_york_day

Json = dict[str, object]
ATTRIBUTES: Final = (
    "ptp_no_exception",
    "ptp_with_exception",
    "ipo",
    "has_options",
    "options_late_close",
    "fractional_eh_enabled",
    "overnight_tradable",
    "overnight_halted",
)
WEEK_DAYS = 7


def clock(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/clock."""
    return wire.clock(exchange)


def calendar(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/calendar: as far as the simulator's calendar reaches."""
    sessions = exchange.sessions
    last = sessions.all[-2].day
    start, end = day(query, "start") or sessions.all[0].day, min(day(query, "end") or last, last)
    if query.get("start") and query.get("end") and end < start and start <= last:
        raise BadQuery("end must not be before start")
    if choice(query, "date_type", ("TRADING", "SETTLEMENT"), "TRADING") == "TRADING":
        return [wire.calendar_day(one, sessions) for one in sessions.between(start, end)]
    early = sessions.between(start - timedelta(days=WEEK_DAYS), end)
    shown = [wire.calendar_day(one, sessions) for one in early]
    return [one for one in shown if str(start) <= str(one["settlement_date"]) <= str(end)]


def market_calendar(exchange: Exchange, query: Query, market: str) -> Json:
    """GET /v3/calendar/{market}: one week unless asked for more."""
    named = wire_reference.market(market)
    zone = choice(query, "timezone", ("UTC",), "UTC") if query.get("timezone") else ""
    start = day(query, "start") or new_york_day(exchange.now)
    end = min(day(query, "end") or start + timedelta(days=WEEK_DAYS), exchange.sessions.all[-2].day)
    shown = [
        wire_reference.market_day(one, exchange.sessions, is_utc=bool(zone))
        for one in exchange.sessions.between(start, end)
    ]
    return {"market": named, "calendar": shown}


def market_clocks(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v3/clock: of New York's stock and option markets, now or at a time asked for."""
    markets = words(query, "markets") or ["NYSE", "NASDAQ", "OPRA"]
    asked = moment(query, "time")
    at = exchange.now if asked is None else asked
    low, high = exchange.sessions.bounds()
    if not low <= at <= high:
        raise BadQuery("time is outside the calendar")
    return {
        "clocks": [wire_reference.market_clock(market, exchange.sessions, at) for market in markets]
    }


def assets(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/assets: the underlyings that match every filter."""
    attributes = words(query, "attributes")
    unknown = [word for word in attributes if word not in ATTRIBUTES]
    if unknown:
        raise BadQuery(f"invalid attribute: {unknown[0]}")
    choice(query, "status", ("active", "inactive"), "active")
    wanted = {
        "status": query.get("status"),
        "class": query.get("asset_class") or "us_equity",
        "exchange": query.get("exchange"),
    }
    shown = [_asset(exchange, symbol) for symbol in exchange.market.underlyings]
    return [
        asset
        for asset in shown
        if all(not value or asset[key] == value for key, value in wanted.items())
        and (not attributes or set(attributes) & set(wire_reference.attributes(asset)))
    ]


def asset(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/assets/{symbol or id}."""
    for symbol in exchange.market.underlyings:
        if name in {symbol, asset_id(symbol)}:
            return _asset(exchange, symbol)
    raise not_found(f"asset not found for {name}")


def _asset(exchange: Exchange, symbol: str) -> Json:
    name, listed_on = exchange.market.listed_as(symbol)
    return wire.asset(symbol, name, listed_on)


def contracts(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/options/contracts: by symbol, paged."""
    limit = whole(query, "limit", 100, 10_000)
    keep = contract_filter(query)
    is_active = choice(query, "status", ("active", "inactive"), "active") == "active"
    with_deliverables = flag(query, "show_deliverables") is True
    until = _last_expiration(exchange, query)
    found = [
        listed
        for listed in _listed(exchange, query)
        if listed.expiration <= until
        and (listed.is_active and listed.last_day >= exchange.session.day) == is_active
        and keep.keeps(listed)
    ]
    shown, token = page(found, lambda c: c.symbol, query.get("page_token"), limit)
    return {
        "option_contracts": [
            _contract(exchange, listed, with_deliverables=with_deliverables) for listed in shown
        ],
        "next_page_token": token,
    }


def _last_expiration(exchange: Exchange, query: Query) -> date:
    """Without any expiration asked for, the list ends with the next weekend."""
    asked = ("expiration_date", "expiration_date_gte", "expiration_date_lte")
    if any(query.get(key) for key in asked):
        return date.max
    return next_weekend(new_york_day(exchange.now))


def _listed(exchange: Exchange, query: Query) -> Sequence[Contract]:
    style = choice(query, "style", ("american", "european"), "american")
    if style == "european":
        return []  # every contract of this market is american
    penny = flag(query, "ppind")
    underlyings = words(query, "underlying_symbols") or exchange.market.underlyings
    found = [
        listed
        for underlying in sorted(set(underlyings))
        for listed in exchange.market.contracts(underlying, exchange.now)
        if penny is None or listed.penny == penny
    ]
    return sorted(found, key=lambda listed: listed.symbol)


def contract(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/options/contracts/{symbol or id}."""
    listed = exchange.market.contract(name, exchange.now)
    if listed is None and is_id(name):
        everything = (
            c
            for u in exchange.market.underlyings
            for c in exchange.market.contracts(u, exchange.now)
        )
        listed = next((c for c in everything if c.id == name), None)
    if listed is None:
        raise not_found(f"option contract {name} not found")
    return _contract(exchange, listed, with_deliverables=True)


def _contract(exchange: Exchange, listed: Contract, *, with_deliverables: bool) -> Json:
    shown = wire.contract(listed, exchange.market, exchange.now, exchange.session.day)
    if with_deliverables:
        shown["deliverables"] = wire_reference.deliverables(listed)
    return shown
