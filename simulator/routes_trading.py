"""The trading endpoints: account, clock, contracts, orders, positions, activities."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from simulator import wire
from simulator.book import Activity, Order
from simulator.exchange import Exchange
from simulator.filters import (
    BadQuery,
    Query,
    choice,
    contract_filter,
    day,
    is_true,
    moment,
    next_weekend,
    page,
    whole,
    words,
)
from simulator.profile import PROFILES
from simulator.refusal import not_found
from simulator.symbols import Contract, asset_id
from simulator.times import new_york_day, new_york_moment

Json = dict[str, object]
TRADE_KINDS: Final = ("FILL",)
ACTIVITIES_MAX = 100


def account(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/account."""
    return wire.account(exchange, exchange.figures())


def configurations(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/account/configurations."""
    return wire.configurations()


def clock(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/clock."""
    return wire.clock(exchange)


def calendar(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/calendar: as far as the simulator's calendar reaches."""
    days = exchange.sessions.all
    start, end = day(query, "start") or days[0].day, day(query, "end") or days[-2].day
    shown = exchange.sessions.between(start, min(end, days[-2].day))
    return [wire.calendar_day(session, exchange.sessions) for session in shown]


def assets(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/assets: the underlyings."""
    if query.get("status") == "inactive" or query.get("asset_class") not in {None, "us_equity"}:
        return []
    return [_asset(symbol) for symbol in exchange.market.underlyings]


def asset(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/assets/{symbol or id}."""
    for symbol in exchange.market.underlyings:
        if name in {symbol, asset_id(symbol)}:
            return _asset(symbol)
    raise not_found(f"asset not found for {name}")


def _asset(symbol: str) -> Json:
    profile = PROFILES.get(symbol)
    if profile is None:
        return wire.asset(symbol, f"{symbol} Common Stock", "NASDAQ")
    return wire.asset(symbol, profile.name, profile.exchange)


def contracts(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/options/contracts."""
    limit = whole(query, "limit", 100, 10_000)
    keep = contract_filter(query)
    status = choice(query, "status", ("active", "inactive"), "active")
    asked = ("expiration_date", "expiration_date_gte", "expiration_date_lte")
    until = date.max
    if not any(query.get(key) for key in asked):
        until = next_weekend(new_york_day(exchange.now))
    found = [
        listed
        for listed in _listed(exchange, query)
        if listed.expiration <= until
        and _is_active(exchange, listed) == (status == "active")
        and keep.keeps(listed)
    ]
    shown, token = page(found, lambda c: c.symbol, query.get("page_token"), limit)
    return {
        "option_contracts": [_contract(exchange, listed) for listed in shown],
        "next_page_token": token,
    }


def _listed(exchange: Exchange, query: Query) -> Sequence[Contract]:
    european = choice(query, "style", ("american", "european"), "american") == "european"
    penny = query.get("ppind", "").lower()
    underlyings = words(query, "underlying_symbols") or exchange.market.underlyings
    found = [
        listed
        for underlying in sorted(set(underlyings))
        for listed in exchange.market.contracts(underlying, exchange.now)
        if not european and (not penny or listed.penny == (penny == "true"))
    ]
    return sorted(found, key=lambda listed: listed.symbol)


def _is_active(exchange: Exchange, listed: Contract) -> bool:
    return listed.last_day >= exchange.session.day


def contract(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/options/contracts/{symbol or id}."""
    listed = exchange.market.contract(name, exchange.now)
    if listed is None:
        everything = (
            c
            for u in exchange.market.underlyings
            for c in exchange.market.contracts(u, exchange.now)
        )
        listed = next((c for c in everything if c.id == name), None)
    if listed is None:
        raise not_found(f"option contract {name} not found")
    return _contract(exchange, listed)


def _contract(exchange: Exchange, listed: Contract) -> Json:
    return wire.contract(listed, exchange.market, exchange.now, exchange.session.day)


def orders(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/orders."""
    status = choice(query, "status", ("open", "closed", "all"), "open")
    limit = whole(query, "limit", 50, 500)
    nested = is_true(query, "nested")
    newest_first = choice(query, "direction", ("asc", "desc"), "desc") == "desc"
    found = [
        order
        for order in _between(exchange, query)
        if status == "all" or order.is_open == (status == "open")
    ]
    found = [order for order in found if _wanted(order, query)]
    found = (found[::-1] if newest_first else found)[:limit]
    if nested:
        return [wire.order(order) for order in found]
    flat = [each for order in found for each in (order, *order.legs)]
    return [wire.order(each, nested=False) for each in flat[:limit]]


def _between(exchange: Exchange, query: Query) -> list[Order]:
    """Placed in the asked window, oldest first; both ends excluded."""
    found = list(exchange.book.orders.values())
    after, until = moment(query, "after"), moment(query, "until")
    found = [order for order in found if after is None or order.submitted_at > after]
    found = [order for order in found if until is None or order.submitted_at < until]
    before_id, after_id = query.get("before_order_id"), query.get("after_order_id")
    if (before_id or after_id) and (after is not None or until is not None):
        raise BadQuery("before_order_id and after_order_id exclude after and until")
    if before_id and after_id:
        raise BadQuery("before_order_id and after_order_id exclude each other")
    if before_id:
        return found[: found.index(exchange.find(before_id))]
    return found[found.index(exchange.find(after_id)) + 1 :] if after_id else found


def _wanted(order: Order, query: Query) -> bool:
    """A parent matches when one of its legs does."""
    symbols = set(words(query, "symbols"))
    executed = order.executed()
    names = {each.symbol for each in executed}
    names |= {each.contract.underlying for each in executed if each.contract is not None}
    asset_class, side = query.get("asset_class"), query.get("side")
    return (
        (not symbols or bool(symbols & names))
        and (asset_class in {None, "", "all"} or wire.asset_class(executed[0]) == asset_class)
        and (not side or side == order.side)
    )


def order(exchange: Exchange, query: Query, order_id: str) -> Json:
    """GET /v2/orders/{id}: legs are shown whether asked for or not."""
    return wire.order(exchange.find(order_id))


def order_by_client_id(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/orders:by_client_order_id."""
    return wire.order(exchange.find_by_client_id(query.get("client_order_id", "")))


def cancel_all(exchange: Exchange) -> list[Json]:
    """DELETE /v2/orders."""
    ids = list(exchange.book.working)
    for order_id in ids:
        exchange.cancel(order_id)
    return [{"id": order_id, "status": 200} for order_id in ids]


def positions(exchange: Exchange, query: Query, _: str) -> list[Json]:
    """GET /v2/positions: one row a contract, by symbol."""
    exchange.figures()
    return [_position(exchange, symbol) for symbol in sorted(exchange.book.positions)]


def position(exchange: Exchange, query: Query, name: str) -> Json:
    """GET /v2/positions/{symbol or asset id}."""
    held = exchange.book.position(name)
    if held is None:
        raise not_found("position does not exist")
    exchange.figures()
    return _position(exchange, held.symbol)


def _position(exchange: Exchange, symbol: str) -> Json:
    closed = exchange.market.last_close(symbol, exchange.now)
    last = None if closed is None else closed[1]
    return wire.position(exchange.book.positions[symbol], exchange.book, last)


def activities(exchange: Exchange, query: Query, kind: str) -> list[Json]:
    """GET /v2/account/activities and /{type}: newest first unless direction=asc."""
    size = whole(query, "page_size", ACTIVITIES_MAX, ACTIVITIES_MAX)
    kinds = {kind} if kind else set(words(query, "activity_types"))
    if kinds and query.get("category"):
        raise BadQuery("category and activity_types exclude each other")
    low, high = _activity_window(query)
    found = [
        done
        for done in exchange.book.activities
        if (not kinds or done.kind in kinds) and low <= done.at < high and _in_category(done, query)
    ]
    if choice(query, "direction", ("asc", "desc"), "desc") == "desc":
        found.reverse()
    token = query.get("page_token")
    if token:
        seen = [place for place, done in enumerate(found) if done.id == token]
        found = found[seen[0] + 1 :] if seen else []
    return [wire.activity(done) for done in found[:size]]


def _activity_window(query: Query) -> tuple[int, int]:
    """Moments an activity must lie in, the second excluded."""
    exact = day(query, "date")
    if exact is not None:
        following = exact + timedelta(days=1)
        return new_york_moment(exact, 0, 0), new_york_moment(following, 0, 0)
    after, until = moment(query, "after"), moment(query, "until")
    return (0 if after is None else after + 1), (2**63 if until is None else until)


def _in_category(done: Activity, query: Query) -> bool:
    category = query.get("category")
    order_id = query.get("order_id")
    if order_id and done.order_id != order_id:
        return False
    return not category or (done.kind in TRADE_KINDS) == (category == "trade_activity")
