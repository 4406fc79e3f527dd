"""The simulator's own endpoints: its clock, its faults, and what happens at the broker by hand."""

from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator import clock_moves, fault_script, happenings, wire
from simulator.answers import Json, body_of
from simulator.exchange import ClockError, Exchange
from simulator.fault_script import BadFault
from simulator.faults import FaultKind
from simulator.refusal import Refusal, malformed
from simulator.symbols import plain

Endpoint = Callable[[Request], Awaitable[Response]]


class Simulator(Protocol):
    """What these endpoints act on."""

    exchange: Exchange

    def guarded(self, endpoint: Endpoint, *, is_data: bool = False) -> Endpoint:
        """Keys asked for, clock up to date."""

    def move_to(self, moment: int) -> None:
        """Live through everything up to it; ClockError."""

    def armed(self) -> None:
        """Faults were armed: what some of them need to know is kept from now on."""

    def health_shown(self) -> dict[str, object]:
        """Where the clock stands."""


class Admin:
    """One simulator's."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[Route]:
        endpoints: list[tuple[str, Endpoint, str]] = [
            ("/sim/clock", self.move_clock, "POST"),
            ("/sim/faults", self.show_faults, "GET"),
            ("/sim/faults", self.arm, "POST"),
            ("/sim/faults", self.disarm, "DELETE"),
            ("/sim/orders", self.place, "POST"),
            ("/sim/positions", self.book, "POST"),
            ("/sim/assign", self.assign, "POST"),
        ]
        guarded = self._simulator.guarded
        return [Route(path, guarded(does), methods=[method]) for path, does, method in endpoints]

    @property
    def _exchange(self) -> Exchange:
        return self._simulator.exchange

    async def move_clock(self, request: Request) -> Response:
        """POST /sim/clock: forward only."""
        try:
            to = clock_moves.target(self._exchange, await body_of(request))
        except (Refusal, clock_moves.BadMove):
            return Json({"message": clock_moves.USAGE}, status_code=400)
        try:
            self._simulator.move_to(to)
        except ClockError as problem:
            return Json({"message": str(problem)}, status_code=409)
        return Json(self._simulator.health_shown())

    async def show_faults(self, request: Request) -> Response:
        """GET /sim/faults: the table of kinds, what stands armed, how often each has fired."""
        return Json(fault_script.shown(self._exchange.faults))

    async def arm(self, request: Request) -> Response:
        """POST /sim/faults: one fault or a list of them; none is armed when one is wrong."""
        try:
            exchange = self._exchange
            found = fault_script.read_faults(await body_of(request), exchange.now, exchange.market)
        except BadFault as problem:
            return Json({"message": str(problem)}, status_code=400)
        for fault in found:
            self._exchange.faults.arm(fault)
        happenings.do_due(self._exchange)
        self._simulator.armed()
        return Json(fault_script.shown(self._exchange.faults))

    async def disarm(self, request: Request) -> Response:
        """DELETE /sim/faults?kind=: nothing of that kind, or nothing at all, is armed any more."""
        word = request.query_params.get("kind")
        if word is not None and word not in set(FaultKind):
            return Json({"message": f"there is no fault {word}"}, status_code=400)
        self._exchange.faults.disarm(None if word is None else FaultKind(word))
        return Json(fault_script.shown(self._exchange.faults))

    async def place(self, request: Request) -> Response:
        """POST /sim/orders: as POST /v2/orders, but not from the client."""
        order = happenings.place_by_hand(self._exchange, await body_of(request))
        self._exchange.faults.fired[FaultKind.HAND_ORDER] += 1
        return Json(wire.order(order))

    async def book(self, request: Request) -> Response:
        """POST /sim/positions {"symbol", "qty", "price"}: qty is signed; no price is the mid."""
        symbol, qty, price = await _symbol_and_qty(request)
        happenings.book_by_hand(self._exchange, symbol, Decimal(qty), price)
        self._exchange.faults.fired[FaultKind.HAND_POSITION] += 1
        return Json({"symbol": symbol, "qty": plain(self._exchange.book.qty(symbol))})

    async def assign(self, request: Request) -> Response:
        """POST /sim/assign {"symbol", "qty"}: that many short contracts tonight."""
        symbol, qty, _ = await _symbol_and_qty(request)
        happenings.assign(self._exchange, symbol, qty)
        self._exchange.faults.fired[FaultKind.ASSIGNMENT] += 1
        return Json({"symbol": symbol, "qty": str(qty)})


async def _symbol_and_qty(request: Request) -> tuple[str, int, Decimal]:
    body = await body_of(request)
    if not isinstance(body, dict):
        raise malformed("request body must be a JSON object")
    qty = _number(body, "qty", 1)
    if qty != int(qty):
        raise malformed("qty must be a whole number")
    return str(body.get("symbol")), int(qty), _number(body, "price", 0)


def _number(body: dict[str, object], key: str, default: int) -> Decimal:
    try:
        number = Decimal(str(body.get(key, default)))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) > happenings.QTY_MAX:
        raise malformed(f"invalid {key}")
    return number
