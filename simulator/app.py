"""HTTP on an exchange: who may ask, what is asked, and every refusal as JSON."""

import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from simulator import clock_moves, happenings, portfolio, routes_reference, routes_trading, wire
from simulator.access import may_ask
from simulator.admin import Admin
from simulator.answers import Json, body_of
from simulator.exchange import ClockError, Exchange
from simulator.fault_layer import FaultLayer
from simulator.faults import Fault
from simulator.filters import BadQuery
from simulator.limits import budgets, too_many
from simulator.pace import Pace
from simulator.past import Past
from simulator.refusal import MALFORMED, NOT_FOUND, Refusal, malformed
from simulator.regrets import Regrets
from simulator.routes_data import DATA_READS, PREFIXES, Answer
from simulator.routes_orders import WRITES, Write
from simulator.sockets import Sockets
from simulator.streams import Streams
from simulator.symbols import plain, request_id
from simulator.times import rfc3339, rfc3339_short

Endpoint = Callable[[Request], Awaitable[Response]]

#: Path -> what answers its GET. The path's own parameter, if any, is called `name`.
TRADING_READS: dict[str, Answer] = {
    "/v2/account": routes_trading.account,
    "/v2/account/configurations": routes_trading.configurations,
    "/v2/account/activities": routes_trading.activities,
    "/v2/account/activities/{name}": routes_trading.activities,
    "/v2/account/portfolio/history": portfolio.portfolio_history,
    "/v2/clock": routes_reference.clock,
    "/v2/calendar": routes_reference.calendar,
    "/v3/clock": routes_reference.market_clocks,
    "/v3/calendar/{name}": routes_reference.market_calendar,
    "/v2/assets": routes_reference.assets,
    "/v2/assets/{name}": routes_reference.asset,
    "/v2/options/contracts": routes_reference.contracts,
    "/v2/options/contracts/{name}": routes_reference.contract,
    "/v2/orders": routes_trading.orders,
    "/v2/orders:by_client_order_id": routes_trading.order_by_client_id,
    "/v2/orders/{name}": routes_trading.order,
    "/v2/positions": routes_trading.positions,
    "/v2/positions/{name}": routes_trading.position,
}


class Server:
    """One exchange behind HTTP. Requests are answered one at a time, in order."""

    def __init__(self, exchange: Exchange, pace: Pace, streams: Streams) -> None:
        self.exchange = exchange
        self.pace = pace
        self.answered = 0
        self.past = Past(exchange)
        self.regrets = Regrets(exchange)
        self.budgets = budgets(exchange.switches, clock_runs=pace.runs)
        self.keys = (os.environ.get("SIMULATOR_KEY_ID"), os.environ.get("SIMULATOR_SECRET_KEY"))
        self.sockets = Sockets(streams, self.keys, self.now, lambda: self.pace.runs)

    def read(self, answer: Answer, *, is_data: bool) -> Endpoint:
        """An endpoint that changes nothing."""

        async def endpoint(request: Request) -> Response:
            name = request.path_params.get("name", "")
            if self.pace.is_max and request.url.path == "/v2/clock":
                with suppress(ClockError):
                    self.move_to(clock_moves.next_event(self.exchange))
            seen = self.past.seen("GET", request.url.path)
            return Json(answer(seen, request.query_params, name))

        return self.guarded(endpoint, is_data=is_data)

    def guarded(self, endpoint: Endpoint, *, is_data: bool = False) -> Endpoint:
        """Ask for keys, bring the clock up to date, turn a refusal into its answer."""

        async def guard(request: Request) -> Response:
            response = await answer(request)
            self.answered += 1
            response.headers["X-Request-ID"] = request_id(self.answered)
            return response

        async def answer(request: Request) -> Response:
            if not may_ask(request.headers, self.keys):
                return _unauthorized(is_data=is_data)
            self.now()
            is_own = request.url.path.startswith("/sim/")
            budget = self.budgets[is_data]
            try:
                if not is_own and not budget.spend(self.exchange.now):
                    raise too_many(is_data=is_data)
                response = await endpoint(request)
            except BadQuery as problem:
                response = _refused(malformed(str(problem)), is_data=is_data)
            except Refusal as problem:
                response = _refused(problem, is_data=is_data)
            if not is_own:
                response.headers.update(budget.headers())
            return response

        return guard

    # The clock

    def now(self) -> int:
        """Bring the exchange up to date; at the calendar's end it stands still."""
        with suppress(ClockError):
            self._advance(self.pace.now(self.exchange.now))
        return self.exchange.now

    def move_to(self, moment: int) -> None:
        """By hand: the clock goes on from there; ClockError."""
        self._advance(moment)
        self.pace.restart(moment)

    def pass_time(self, nanoseconds: int) -> None:
        """Let virtual time pass, as far as the calendar reaches."""
        self.move_to(min(self.exchange.now + nanoseconds, self.exchange.sessions.bounds()[1]))

    def armed(self) -> None:
        """Faults were armed: keep the books that some of them will show."""
        self.past.record()

    def _advance(self, to: int) -> None:
        happenings.advance(self.exchange, to)
        self.regrets.do()
        self.past.record()

    def write(self, answer: Write) -> Endpoint:
        """An endpoint that changes something."""

        async def endpoint(request: Request) -> Response:
            body = await body_of(request)
            name = request.path_params.get("name", "")
            status, shown = answer(self.exchange, request.query_params, name, body)
            await self.sockets.hurry()
            return Response(status_code=status) if shown is None else Json(shown, status)

        return self.guarded(endpoint)

    # The simulator's own

    async def health(self, request: Request) -> Response:
        """GET /sim/health: no keys needed."""
        self.now()
        return Json(self.health_shown())

    def health_shown(self) -> dict[str, object]:
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


def _refused(problem: Refusal, *, is_data: bool) -> Response:
    body: dict[str, object] = {"message": problem.message}
    if not is_data:
        body = problem.body()
    return Json(body, status_code=problem.status)


def _unauthorized(*, is_data: bool) -> Response:
    body: dict[str, object] = {"code": 40110000, "message": "request is not authorized"}
    return Json({"message": "unauthorized."} if is_data else body, status_code=401)


async def _no_such_endpoint(request: Request, problem: Exception) -> Response:
    """A path or a verb that there is not; the data API's errors have no code."""
    status, code, message = 404, NOT_FOUND, "endpoint not found"
    if isinstance(problem, HTTPException) and problem.status_code not in {404, 405}:
        status, code, message = problem.status_code, MALFORMED, problem.detail
    body: dict[str, object] = {"message": message}
    if not request.url.path.startswith(PREFIXES):
        body = {"code": code, "message": message}
    return Json(body, status_code=status)


class Application(Starlette):
    """The endpoints behind a network that can fail."""

    def __init__(self, server: Server, routes: list[BaseRoute]) -> None:
        self._server = server
        super().__init__(routes=routes, exception_handlers={HTTPException: _no_such_endpoint})
        self.router.redirect_slashes = False  # a path too long by a slash is no endpoint there

    def build_middleware_stack(self) -> ASGIApp:
        """The failing network is outermost: what it raises is nobody's to turn into an answer."""
        within = super().build_middleware_stack()
        return FaultLayer(within, self._server.exchange.faults, self._server)


def create_app(
    exchange: Exchange,
    pace: Pace | None = None,
    *,
    faults: Iterable[Fault] = (),
    streams: Streams | None = None,
) -> Starlette:
    """Every endpoint of one exchange, and its streams, which may be read in process as well.
    Without a pace its clock stands until it is moved; `faults` are armed from the start, more of
    them with `exchange.faults.arm`."""
    for fault in faults:
        exchange.faults.arm(fault)
    streams = Streams(exchange) if streams is None else streams
    server = Server(exchange, pace or Pace(0, exchange.now), streams)
    routes: list[BaseRoute] = [
        *server.sockets.routes(),
        Route("/sim/health", server.health, methods=["GET"]),
        *Admin(server).routes(),
        Route("/sim/state", server.guarded(server.state), methods=["GET"]),
    ]
    for (method, path), write in WRITES.items():
        routes.append(Route(path, server.write(write), methods=[method]))
    for reads, is_data in ((TRADING_READS, False), (DATA_READS, True)):
        for path, answer in reads.items():
            routes.append(Route(path, server.read(answer, is_data=is_data), methods=["GET"]))
    return Application(server, routes)
