"""The trading endpoints that change something. Each answers with a status and a body; an answer
shows an order as it was accepted, before it meets the market."""

from collections.abc import Callable
from typing import Final

from simulator import wire
from simulator.closing import closing_body, closing_order
from simulator.configuration import configure as configured
from simulator.exchange import Exchange
from simulator.filters import Query, is_true
from simulator.refusal import Refusal

Json = dict[str, object]
Answer = tuple[int, object]
#: The exchange, the query, the path's own parameter and the body.
Write = Callable[[Exchange, Query, str, object], Answer]


def place(exchange: Exchange, query: Query, _: str, body: object) -> Answer:
    """POST /v2/orders."""
    shown = wire.order(exchange.place(body))
    exchange.route()
    return 200, shown


def replace(exchange: Exchange, query: Query, order_id: str, body: object) -> Answer:
    """PATCH /v2/orders/{id}: the new order; that it gets its way is told on the stream."""
    shown = wire.order(exchange.replace(order_id, body))
    exchange.route()
    return 200, shown


def cancel(exchange: Exchange, query: Query, order_id: str, body: object) -> Answer:
    """DELETE /v2/orders/{id}."""
    exchange.cancel(order_id)
    return 204, None


def cancel_all(exchange: Exchange, query: Query, _: str, body: object) -> Answer:
    """DELETE /v2/orders: one answer an open order."""
    return 207, [_canceled(exchange, order_id) for order_id in list(exchange.book.working)]


def _canceled(exchange: Exchange, order_id: str) -> Json:
    try:
        exchange.cancel(order_id)
    except Refusal as no:
        if exchange.find(order_id).status != "canceled":  # by another one that it is bound to
            return {"id": order_id, "status": no.status, "body": no.body()}
    return {"id": order_id, "status": 200}


def close_position(exchange: Exchange, query: Query, name: str, body: object) -> Answer:
    """DELETE /v2/positions/{symbol or asset id}."""
    asked = closing_body(exchange.book, name, query.get("qty"), query.get("percentage"))
    return place(exchange, query, "", asked)


def close_positions(exchange: Exchange, query: Query, _: str, body: object) -> Answer:
    """DELETE /v2/positions: one answer a position."""
    if is_true(query, "cancel_orders"):
        cancel_all(exchange, query, "", None)
    held = [position.symbol for position in closing_order(exchange.book)]
    answers = [_closed(exchange, symbol) for symbol in held]
    exchange.route()
    return 207, answers


def _closed(exchange: Exchange, symbol: str) -> Json:
    try:
        order = exchange.place(closing_body(exchange.book, symbol, None, None))
    except Refusal as no:
        return {"symbol": symbol, "status": no.status, "body": no.body()}
    return {"symbol": symbol, "status": 200, "body": wire.order(order)}


def exercise(exchange: Exchange, query: Query, name: str, body: object) -> Answer:
    """POST /v2/positions/{symbol or asset id}/exercise: no body either way."""
    exchange.office.exercise(name, exchange.now)
    return 200, None


def do_not_exercise(exchange: Exchange, query: Query, name: str, body: object) -> Answer:
    """POST /v2/positions/{symbol or asset id}/do-not-exercise."""
    exchange.office.decline(name, exchange.now)
    return 200, None


def configure(exchange: Exchange, query: Query, _: str, body: object) -> Answer:
    """PATCH /v2/account/configurations."""
    exchange.book.configuration = configured(exchange.book.configuration, body)
    return 200, wire.configurations(exchange.book.configuration)


WRITES: Final[dict[tuple[str, str], Write]] = {
    ("POST", "/v2/orders"): place,
    ("DELETE", "/v2/orders"): cancel_all,
    ("PATCH", "/v2/orders/{name}"): replace,
    ("DELETE", "/v2/orders/{name}"): cancel,
    ("DELETE", "/v2/positions"): close_positions,
    ("DELETE", "/v2/positions/{name}"): close_position,
    ("POST", "/v2/positions/{name}/exercise"): exercise,
    ("POST", "/v2/positions/{name}/do-not-exercise"): do_not_exercise,
    ("PATCH", "/v2/account/configurations"): configure,
}
