"""HTTP on an exchange: who may ask, what is asked, and every refusal as JSON."""

import json
import os
import secrets
from collections.abc import Awaitable, Callable
from decimal import Decimal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import routes_data, routes_orders, routes_trading, wire
from simulator.exchange import ClockError, Exchange
from simulator.filters import BadQuery, Query
from simulator.pace import Pace
from simulator.refusal import MALFORMED, NOT_FOUND, Refusal, malformed
from simulator.symbols import plain
from simulator.times import parse_moment, rfc3339, rfc3339_short

Answer = Callable[[Exchange, Query, str], object]
Endpoint = Callable[[Request], Awaitable[Response]]
BODY_BYTES_MAX = 1_000_000

#: Path -> what answers its GET. The path's own parameter, if any, is called `name`.
TRADING_READS: dict[str, Answer] = {
    "/v2/account": routes_trading.account,
    "/v2/account/configurations": routes_trading.configurations,
    "/v2/account/activities": routes_trading.activities,
    "/v2/account/activities/{name}": routes_trading.activities,
    "/v2/clock": routes_trading.clock,
    "/v2/calendar": routes_trading.calendar,
    "/v2/assets": routes_trading.assets,
    "/v2/assets/{name}": routes_trading.asset,
    "/v2/options/contracts": routes_trading.contracts,
    "/v2/options/contracts/{name}": routes_trading.contract,
    "/v2/orders": routes_trading.orders,
    "/v2/orders:by_client_order_id": routes_trading.order_by_client_id,
    "/v2/orders/{name}": routes_trading.order,
    "/v2/positions": routes_trading.positions,
    "/v2/positions/{name}": routes_trading.position,
}
DATA_READS: dict[str, Answer] = {
    "/v1beta1/options/snapshots": routes_data.option_snapshots,
    "/v1beta1/options/snapshots/{name}": routes_data.chain,
    "/v1beta1/options/quotes/latest": routes_data.option_quotes,
    "/v1beta1/options/trades/latest": routes_data.option_trades,
    "/v2/stocks/quotes/latest": routes_data.stock_quotes,
    "/v2/stocks/trades/latest": routes_data.stock_trades,
    "/v2/stocks/bars/latest": routes_data.stock_latest_bars,
    "/v2/stocks/bars": routes_data.stock_bars,
    "/v2/stocks/snapshots": routes_data.stock_snapshots,
    "/v1/corporate-actions": routes_data.corporate_actions,
}


class Json(JSONResponse):
    """ASCII, so that any text a client sent can be said back; NaN raises."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class Server:
    """One exchange behind HTTP. Requests are answered one at a time, in order."""

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self.exchange = exchange
        self.pace = pace
        self.keys = (os.environ.get("SIMULATOR_KEY_ID"), os.environ.get("SIMULATOR_SECRET_KEY"))

    def read(self, answer: Answer, *, is_data: bool) -> Endpoint:
        """An endpoint that changes nothing."""

        async def endpoint(request: Request) -> Response:
            name = request.path_params.get("name", "")
            return Json(answer(self.exchange, request.query_params, name))

        return self.guarded(endpoint, is_data=is_data)

    def guarded(self, endpoint: Endpoint, *, is_data: bool = False) -> Endpoint:
        """Ask for keys, bring the clock up to date, turn a refusal into its answer."""

        async def guard(request: Request) -> Response:
            if not self._may_ask(request):
                unknown = {"code": 40110000, "message": "request is not authorized"}
                return Json(unknown, status_code=401)
            self.exchange.advance(self.pace.now(self.exchange.now))
            try:
                return await endpoint(request)
            except BadQuery as problem:
                refusal = malformed(str(problem))
            except Refusal as problem:
                refusal = problem
            body: dict[str, object] = {"message": refusal.message}
            if not is_data:
                body = refusal.body()
            return Json(body, status_code=refusal.status)

        return guard

    def _may_ask(self, request: Request) -> bool:
        given = (
            request.headers.get("APCA-API-KEY-ID", ""),
            request.headers.get("APCA-API-SECRET-KEY", ""),
        )
        if not all(given):
            return False
        pairs = zip(given, self.keys, strict=True)
        return all(
            wanted is None or secrets.compare_digest(got.encode(), wanted.encode())
            for got, wanted in pairs
        )

    def write(self, answer: routes_orders.Write) -> Endpoint:
        """An endpoint that changes something."""

        async def endpoint(request: Request) -> Response:
            body = await _body(request) if request.method in {"POST", "PATCH"} else None
            name = request.path_params.get("name", "")
            status, shown = answer(self.exchange, request.query_params, name, body)
            return Response(status_code=status) if status == 204 else Json(shown, status)

        return self.guarded(endpoint)

    # The simulator's own

    async def move_clock(self, request: Request) -> Response:
        """POST /sim/clock {"now": ...}: forward only."""
        try:
            body = await _body(request)
            to = parse_moment(str(body["now"] if isinstance(body, dict) else ""))
        except (Refusal, KeyError, ValueError):
            message = 'the body must be {"now": "2026-11-20T15:00:00Z"}'
            return Json({"message": message}, status_code=400)
        try:
            self.exchange.advance(to)
        except ClockError as problem:
            return Json({"message": str(problem)}, status_code=409)
        self.pace.restart(to)
        return Json(self._health())

    async def health(self, request: Request) -> Response:
        """GET /sim/health: no keys needed."""
        self.exchange.advance(self.pace.now(self.exchange.now))
        return Json(self._health())

    def _health(self) -> dict[str, object]:
        exchange = self.exchange
        return {
            "status": "ok",
            "now": rfc3339(exchange.now),
            "account": exchange.book.account,
            "day": exchange.session.day.isoformat(),
            "days": [day.isoformat() for day in exchange.market.days],
            "underlyings": list(exchange.market.underlyings),
            "session_open": rfc3339_short(exchange.session.open),
            "session_close": rfc3339_short(exchange.session.close),
        }

    async def state(self, request: Request) -> Response:
        """GET /sim/state: everything the account is."""
        return Json(state(self.exchange))


def state(exchange: Exchange) -> dict[str, object]:
    """The whole account as JSON: equal for equal runs."""
    book = exchange.book
    return {
        "now": rfc3339(exchange.now),
        "account": routes_trading.account(exchange, {}, ""),
        "cash_start": plain(book.cash_start),
        "cash": plain(book.cash),
        "orders": [wire.order(order) for order in book.orders.values()],
        "positions": routes_trading.positions(exchange, {}, ""),
        "activities": [wire.activity(done) for done in book.activities],
    }


async def _body(request: Request) -> object:
    """JSON with every number exact; Refusal when it is not JSON."""
    raw = await request.body()
    if len(raw) > BODY_BYTES_MAX:
        raise malformed("request body is too large")
    try:
        body: object = json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise malformed("request body format is invalid") from None
    return body


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


async def _no_such_endpoint(request: Request, problem: Exception) -> Response:
    body = {"code": NOT_FOUND, "message": "endpoint not found"}
    if isinstance(problem, HTTPException) and problem.status_code not in {404, 405}:
        body = {"code": MALFORMED, "message": problem.detail}
        return Json(body, status_code=problem.status_code)
    return Json(body, status_code=404)


def create_app(exchange: Exchange, pace: Pace | None = None) -> Starlette:
    """Every endpoint of one exchange."""
    server = Server(exchange, pace or Pace(0, exchange.now))
    routes = [
        Route("/sim/health", server.health, methods=["GET"]),
        Route("/sim/clock", server.guarded(server.move_clock), methods=["POST"]),
        Route("/sim/state", server.guarded(server.state), methods=["GET"]),
    ]
    for (method, path), write in routes_orders.WRITES.items():
        routes.append(Route(path, server.write(write), methods=[method]))
    for reads, is_data in ((TRADING_READS, False), (DATA_READS, True)):
        for path, answer in reads.items():
            routes.append(Route(path, server.read(answer, is_data=is_data), methods=["GET"]))
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_endpoint})
