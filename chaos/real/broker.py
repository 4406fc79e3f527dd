"""The simulator on loopback, in a thread of ours: its books can be looked into, and what arrives is
told before it is answered."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.pace import Pace
from simulator.times import rfc3339

KEY = b"apca-api-key-id"
LOOK_EVERY_S = 0.005


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request. `name` is the key that it came with."""

    name: str
    method: str
    path: str
    query: str
    body: bytes

    @property
    def is_order(self) -> bool:
        return self.method == "POST" and self.path == "/v2/orders"

    @property
    def order(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(kw_only=True)
class Snare:
    """Holds the next request that it meets, until whoever sent it is gone.

    is_after  the broker does what is asked, and its answer is held; else it never reads it
    """

    meets: Callable[[Asked], bool]
    is_after: bool
    sprung: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class Broker:
    """One address; the exchange behind it is another each round."""

    def __init__(self) -> None:
        self.url = ""
        self.on_asked: Callable[[Asked], None] = lambda asked: None
        self.on_answered: Callable[[Asked, int], None] = lambda asked, status: None
        self.snare: Snare | None = None
        self._app: ASGIApp | None = None
        self._lock = threading.Lock()

    def play(self, exchange: Exchange, speed: float = 0.0) -> None:
        """Serve a fresh exchange from now on; its clock stands still without a speed."""
        self.exchange = exchange
        self._app = create_app(exchange, Pace(speed, exchange.now))

    def advance(self, to: int) -> None:
        """Move the clock on to a moment, through the front door; one that has passed is left."""
        if to > self.exchange.now:
            self._move({"now": rfc3339(to)})

    def _move(self, move: dict[str, str]) -> None:
        answer = httpx.post(
            f"{self.url}/sim/clock",
            json=move,
            headers={"APCA-API-KEY-ID": "hand", "APCA-API-SECRET-KEY": "chaos"},
            trust_env=False,
            timeout=60,
        )
        answer.raise_for_status()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = _asked(scope, await _whole(receive))
        self.on_asked(asked)
        snare = self._taken(asked)
        if snare is not None and not snare.is_after:
            await _hold(snare, receive)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.on_answered(asked, int(message["status"]))
                if snare is not None:
                    await _hold(snare, receive)
            await send(message)

        await self._app(scope, _again(asked.body), told)

    def _taken(self, asked: Asked) -> Snare | None:
        snare = self.snare
        if snare is None or not snare.meets(asked):
            return None
        self.snare = None
        return snare


def _asked(scope: Scope, body: bytes) -> Asked:
    return Asked(
        name=dict(scope["headers"]).get(KEY, b"").decode(),
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode(),
        body=body,
    )


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _hold(snare: Snare, receive: Receive) -> None:
    """Until the sender's connection is closed."""
    snare.sprung.set()
    while (await receive())["type"] != "http.disconnect":
        await asyncio.sleep(LOOK_EVERY_S)
    snare.over.set()


@contextmanager
def on_loopback() -> Iterator[Broker]:
    """A broker's address, served until the end."""
    broker = Broker()
    config = uvicorn.Config(
        broker, port=0, log_level="warning", lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(LOOK_EVERY_S)
    broker.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield broker
    finally:
        server.should_exit = True
        thread.join()
