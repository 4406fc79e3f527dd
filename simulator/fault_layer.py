"""The network and the gateway in front of the broker, where they go wrong: an ASGI layer.

Over a socket a connection is really closed or left without an answer. In process there is no
connection: `Dropped` and `NoAnswer` come out instead, and waiting moves the virtual clock.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator.faults import Fault, FaultKind, Faults
from simulator.shifting import Pages
from simulator.times import SECOND

HTML = b"<html><head><title>Please wait</title></head><body>Please wait.</body></html>"
SECONDS_MAX = 3600.0  # no connection is held longer
ERRORS: Mapping[int, str] = {
    500: "internal server error occurred",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timeout",
}


class Dropped(ConnectionError):
    """In process: the connection ended before an answer."""


class NoAnswer(TimeoutError):
    """In process: no answer came within any bound."""


class Running(Protocol):
    """The clock of the exchange behind the layer."""

    def now(self) -> int:
        """Bring it up to date."""

    def pass_time(self, nanoseconds: int) -> None:
        """Let virtual time pass."""


@dataclass(kw_only=True)
class Answer:
    """What the broker said, caught before it left."""

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def catch(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        else:
            self.body += message.get("body", b"")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request on its way to the broker."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    running: Running

    async def processed(self) -> Answer:
        """Let the broker do it, and keep the answer."""
        answer = Answer()
        await self.app(self.scope, self.receive, answer.catch)
        return answer

    async def say(self, status: int, body: object, extra: Mapping[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = b"text/html" if isinstance(body, bytes) else b"application/json"
        headers = [(b"content-type", kind), (b"content-length", str(len(content)).encode())]
        headers += [(key.lower().encode(), text.encode()) for key, text in (extra or {}).items()]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})

    async def pass_on(self, answer: Answer) -> None:
        """The answer as it is, its length set right."""
        headers = [pair for pair in answer.headers if pair[0] != b"content-length"]
        if answer.status != 204:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await self.send(start)
        await self.send({"type": "http.response.body", "body": answer.body})

    async def end(self) -> None:
        """End the connection within an answer; in process the answer just ends."""
        if self._transport() is None:
            await self.send({"type": "http.response.body", "body": b""})
        else:
            await self.drop()

    async def drop(self) -> None:
        """End the connection; what was sent before still leaves."""
        transport = self._transport()
        if transport is None:
            raise Dropped("the connection was closed")
        transport.close()
        await self._gone()

    async def hold(self, seconds: float) -> None:
        """Say nothing for a while, then end the connection."""
        if self._transport() is None:
            self.running.pass_time(int(seconds * SECOND))
            raise NoAnswer("no answer came")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gone(), min(seconds, SECONDS_MAX))
        await self.drop()

    async def wait(self, seconds: float) -> None:
        if self._transport() is None:
            self.running.pass_time(int(seconds * SECOND))
        else:
            await asyncio.sleep(min(seconds, SECONDS_MAX))

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _transport(self) -> asyncio.Transport | None:
        """The socket under a request of uvicorn's; None in process."""
        transport: asyncio.Transport | None = getattr(
            getattr(self.receive, "__self__", None), "transport", None
        )
        return transport


async def _closed_before(call: Call, fault: Fault) -> None:
    await call.drop()


async def _closed_after(call: Call, fault: Fault) -> None:
    await call.processed()
    await call.drop()


async def _timeout_before(call: Call, fault: Fault) -> None:
    await call.hold(fault.setting("seconds"))


async def _timeout_after(call: Call, fault: Fault) -> None:
    await call.processed()
    await call.hold(fault.setting("seconds"))


async def _error_before(call: Call, fault: Fault) -> None:
    status = int(fault.setting("status"))
    code = status * 100_000 + 10_000
    await call.say(status, {"code": code, "message": ERRORS.get(status, "error")})


async def _error_after(call: Call, fault: Fault) -> None:
    await call.processed()
    await _error_before(call, fault)


async def _too_many(call: Call, fault: Fault) -> None:
    """Both bodies that have been seen."""
    body: dict[str, object] = {"code": 42910000, "message": "rate limit exceeded"}
    if fault.setting("plain"):
        body = {"message": "too many requests."}
    reset = int(fault.setting("reset"))
    headers: dict[str, str] = {}
    if reset > 0:
        at = call.running.now() // SECOND + reset
        headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0"}
        headers |= {"X-RateLimit-Reset": str(at)}
    await call.say(429, body, headers)


async def _cut_body(call: Call, fault: Fault) -> None:
    answer = await call.processed()
    half = answer.body[: len(answer.body) // 2]
    if fault.setting("clean") or not answer.body:
        answer.body = half
        await call.pass_on(answer)
        return
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await call.send(start)
    await call.send({"type": "http.response.body", "body": half, "more_body": True})
    await call.end()


async def _wrong_body(call: Call, fault: Fault) -> None:
    await call.processed()
    await call.say(200, {"status": "ok"} if fault.setting("json") else HTML)


async def _forbidden(call: Call, fault: Fault) -> None:
    words = "insufficient options buying power (required: 1000, available: 0)"
    body = {"code": 40310000, "message": words, "options_buying_power": "0", "cost_basis": "1000"}
    await call.say(403, body)


async def _unprocessable(call: Call, fault: Fault) -> None:
    await call.say(422, {"code": 42210000, "message": "asset is not tradable"})


async def _id_taken(call: Call, fault: Fault) -> None:
    """With done 1 as after a gateway that sent it twice: the order is there."""
    if fault.setting("done"):
        await call.processed()
    await call.say(422, {"code": 40010001, "message": "client_order_id must be unique"})


async def _slow(call: Call, fault: Fault) -> None:
    answer = await call.processed()
    await call.wait(fault.setting("seconds"))
    await call.pass_on(answer)


async def _not_found(call: Call, fault: Fault) -> None:
    asked = parse_qs(call.scope["query_string"].decode("latin-1")).get("client_order_id")
    name = asked[0] if asked else str(call.scope["path"]).rpartition("/")[2]
    await call.say(404, {"code": 40410000, "message": f"order not found for {name}"})


WAYS: Mapping[FaultKind, Callable[[Call, Fault], Awaitable[None]]] = {
    FaultKind.CLOSED_BEFORE: _closed_before,
    FaultKind.CLOSED_AFTER: _closed_after,
    FaultKind.TIMEOUT_BEFORE: _timeout_before,
    FaultKind.TIMEOUT_AFTER: _timeout_after,
    FaultKind.ERROR_BEFORE: _error_before,
    FaultKind.ERROR_AFTER: _error_after,
    FaultKind.TOO_MANY: _too_many,
    FaultKind.CUT_BODY: _cut_body,
    FaultKind.WRONG_BODY: _wrong_body,
    FaultKind.SLOW: _slow,
}
#: Refusals of an order; nothing else is refused so.
ON_ORDERS: Mapping[FaultKind, Callable[[Call, Fault], Awaitable[None]]] = {
    FaultKind.FORBIDDEN: _forbidden,
    FaultKind.UNPROCESSABLE: _unprocessable,
    FaultKind.ID_TAKEN: _id_taken,
}
ON_READING_AN_ORDER: Mapping[FaultKind, Callable[[Call, Fault], Awaitable[None]]] = {
    FaultKind.NOT_FOUND: _not_found,
}


class FaultLayer:
    """Lets a request through, or to the oldest armed fault that it meets. The simulator's own
    endpoints never fail."""

    def __init__(self, app: ASGIApp, faults: Faults, running: Running) -> None:
        self._app = app
        self._faults = faults
        self._running = running
        self._pages = Pages(faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        faults = self._faults
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or path.startswith("/sim/") or not faults.armed:
            await self._app(scope, receive, send)
            return
        self._running.now()
        method = str(scope["method"])
        ways = _ways(method, path)
        fault = faults.take_any(ways.keys(), method, path)
        call = Call(app=self._app, scope=scope, receive=receive, send=send, running=self._running)
        if fault is not None:
            await ways[fault.kind](call, fault)
        elif method == "GET" and self._pages.are_watched():
            answer = await call.processed()
            query = scope["query_string"].decode("latin-1")
            answer.body = self._pages.shifted(path, query, answer.body)
            await call.pass_on(answer)
        else:
            await self._app(scope, receive, send)


def _ways(method: str, path: str) -> Mapping[FaultKind, Callable[[Call, Fault], Awaitable[None]]]:
    """Everything that can go wrong with such a request."""
    if method in {"POST", "PATCH"} and (path == "/v2/orders" or path.startswith("/v2/orders/")):
        return {**WAYS, **ON_ORDERS}
    if method == "GET" and path.startswith(("/v2/orders/", "/v2/orders:")):
        return {**WAYS, **ON_READING_AN_ORDER}
    return WAYS
