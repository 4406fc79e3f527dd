"""The trading endpoints: account, orders, positions, activities."""

import re
from datetime import timedelta
from typing import Final

from simulator import wire
from simulator.book import Activity, Order
from simulator.exchange import Exchange
from simulator.filters import (
    BadQuery,
    Query,
    choice,
    day,
    is_true,
    moment,
    whole,
    words,
)
from simulator.refusal import not_found
from simulator.rows import readable
from simulator.times import new_york_moment

Json = dict[str, object]
TRADE_KINDS: Final = ("FILL",)
CATEGORIES: Final = ("trade_activity", "non_trade_activity")
ACTIVITIES_MAX = 100
_ACTIVITY_ID = re.compile(r"[0-9]{17}::[^ ]+")


def account(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/account."""
    return wire.account(exchange, exchange.figures())


def configurations(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/account/configurations."""
    return wire.configurations(exchange.book.configuration)


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
    found = found[::-1] if newest_first else found
    if nested:
        return [wire.order(order) for order in _rolled_up(found)[:limit]]
    return [wire.order(each, nested=False) for each in _flat(found, limit)]


def _flat(found: list[Order], limit: int) -> list[Order]:
    """Legs behind their parent. A page is longer rather than end among legs: with the one moment
    that all of them were sent at, the next page would not show the rest."""
    flat: list[Order] = []
    for order in found:
        if len(flat) >= limit:
            break
        flat += [order, *order.legs]
    return flat


def _rolled_up(orders: list[Order]) -> list[Order]:
    """Without those that are shown as legs of another one of the list."""
    legs = {id(leg) for each in orders if each.bond for leg in each.bond.legs_of(each)}
    return [order for order in orders if id(order) not in legs]


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
        return found[: found.index(_parent(exchange, before_id))]
    return found[found.index(_parent(exchange, after_id)) + 1 :] if after_id else found


def _parent(exchange: Exchange, order_id: str) -> Order:
    """Of a leg the order it belongs to, else the order itself."""
    found = exchange.find(order_id)
    return next((o for o in exchange.book.orders.values() if found in o.legs), found)


def _wanted(order: Order, query: Query) -> bool:
    """A parent matches when one of its legs does. Underlyings are names of their contracts only
    where contracts are asked for."""
    symbols = set(words(query, "symbols"))
    executed = order.executed()
    names = {each.symbol for each in executed}
    asset_class, side = query.get("asset_class"), query.get("side")
    if asset_class == "us_option":
        names |= {each.contract.underlying for each in executed if each.contract is not None}
    return (
        (not symbols or bool(symbols & names))
        and (asset_class in {None, "", "all"} or wire.asset_class(executed[0]) == asset_class)
        and (not side or side == order.side)
    )


def order(exchange: Exchange, query: Query, order_id: str) -> Json:
    """GET /v2/orders/{id}: legs are shown whether asked for or not."""
    is_true(query, "nested")
    return wire.order(exchange.find(order_id))


def order_by_client_id(exchange: Exchange, query: Query, _: str) -> Json:
    """GET /v2/orders:by_client_order_id."""
    client_order_id = query.get("client_order_id")
    if not client_order_id:
        raise BadQuery("client_order_id is required")
    return wire.order(exchange.find_by_client_id(client_order_id))


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
    """GET /v2/account/activities and /{type}: newest first unless direction=asc.

    A page never ends between two rows of one id, else the second would be read never or for ever:
    it is then one longer.
    """
    size = whole(query, "page_size", ACTIVITIES_MAX, ACTIVITIES_MAX)
    if query.get("date") and not query.get("page_size"):
        size = len(exchange.book.activities) + 1
    kinds = {kind} if kind else set(words(query, "activity_types"))
    if kinds and query.get("category"):
        raise BadQuery("category and activity_types exclude each other")
    choice(query, "category", CATEGORIES, CATEGORIES[0])
    low, high = _activity_window(query)
    found = [
        done
        for done in readable(exchange.book.activities, exchange.now)
        if (not kinds or done.kind in kinds) and low <= done.at < high and _in_category(done, query)
    ]
    if choice(query, "direction", ("asc", "desc"), "desc") == "desc":
        found.reverse()
    token = query.get("page_token")
    if token:
        if not _ACTIVITY_ID.fullmatch(token):
            raise BadQuery("invalid page_token")
        seen = [place for place, done in enumerate(found) if done.id == token]
        found = found[seen[-1] + 1 :] if seen else []
    while 0 < size < len(found) and found[size].id == found[size - 1].id:
        size += 1
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
