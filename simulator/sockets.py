"""The websockets: each connection is a conversation, an inbox and a codec. No client, however slow
or rude, holds up the exchange or another client."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator import stream_codec
from simulator.access import Keys, fits
from simulator.inbox import End, Inbox
from simulator.stream_codec import Codec, Garbled
from simulator.stream_talk import MarketTalk, Talk, TradingTalk
from simulator.streams import IEX, PATHS, SIP, TRADING, StreamRefused, Streams

CLOSE_CODES = {End.CLOSED: 1000, End.SLOW: 1008, End.DOWN: 1012}
#: What a client that does not read has to take the last frames.
GRACE_S = 2.0
#: How often the clock is asked while somebody listens.
TICK_S = 0.25
#: What a request waits at most for its trade updates to leave, where a fault wants them first.
HURRY_S = 1.0
#: uvicorn logs a refused handshake as an error of ours unless its connection has ended by then.
REFUSED_S = 0.01
LOG = logging.getLogger("simulator")


class Connection:
    """One accepted websocket until it ends."""

    def __init__(self, websocket: WebSocket, inbox: Inbox, talk: Talk, codec: Codec) -> None:
        self._websocket = websocket
        self._inbox = inbox
        self._talk = talk
        self._codec = codec
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._look)

        inbox.wake, inbox.is_remote = wake, True

    async def run(self, auth_s: float, tick: Callable[[], Coroutine[None, None, None]]) -> None:
        """Until either side has had enough."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(auth_s, self._talk.time_out)
        self._talk.greet()
        writer = asyncio.create_task(self._write())
        others = (self._hear(), self._is_over(), tick())
        tasks = [writer, *(asyncio.create_task(other) for other in others)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            self._inbox.end()
            await asyncio.wait([writer], timeout=GRACE_S)
        finally:
            timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _is_over(self) -> None:
        await self._over.wait()

    def _look(self) -> None:
        self._news.set()
        if self._inbox.ended is not None:
            self._over.set()

    async def _write(self) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # the client has gone
            while True:
                self._news.clear()
                while (frame := self._inbox.take()) is not None:
                    await self._send(frame)
                if self._inbox.ended is not None and self._inbox.is_empty:
                    await self._websocket.close(CLOSE_CODES[self._inbox.ended])
                    return
                await self._news.wait()

    async def _send(self, frame: object) -> None:
        wire = self._codec.encode(frame)
        if isinstance(wire, str):
            await self._websocket.send_text(wire)
        else:
            await self._websocket.send_bytes(wire)

    async def _hear(self) -> None:
        while self._inbox.ended is None:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = message.get("bytes")
            self._answer(message.get("text") or "" if raw is None else raw)

    def _answer(self, raw: bytes | str) -> None:
        try:
            self._talk.hear(self._codec.decode(raw))
        except Garbled as problem:
            self._talk.misheard(is_format=problem.is_format)
        except Exception:
            # One conversation ends, and says so; the server and every other client go on.
            LOG.exception("a stream failed")
            self._talk.break_off()


def _path(websocket: WebSocket) -> str:
    """Which stream is meant."""
    return websocket.url.path.rstrip("/")


class Sockets:
    """The endpoints of `streams`; `catch_up` brings the clock up to date, `runs` says whether it
    moves by itself."""

    def __init__(
        self,
        streams: Streams,
        keys: Keys,
        catch_up: Callable[[], object],
        runs: Callable[[], bool],
    ) -> None:
        self.streams = streams
        self._keys = keys
        self._catch_up = catch_up
        self._runs = runs

    def routes(self) -> list[WebSocketRoute]:
        # alpaca-trade-api asks for /stream/, and the real broker lets it.
        return [WebSocketRoute(path, self.endpoint) for path in (*PATHS, TRADING + "/")]

    async def endpoint(self, websocket: WebSocket) -> None:
        path = _path(websocket)
        try:
            inbox = self.streams.open(path)
        except StreamRefused as problem:
            await websocket.send_denial_response(Response(status_code=problem.status))
            await asyncio.sleep(REFUSED_S)
            return
        try:
            await websocket.accept()
            talk = (TradingTalk if path == TRADING else MarketTalk)(self.streams, inbox, self._fits)
            connection = Connection(websocket, inbox, talk, self._codec(websocket))
            await connection.run(self.streams.exchange.switches.stream_auth_s, self._tick)
        finally:
            self.streams.close(inbox)

    def _codec(self, websocket: WebSocket) -> Codec:
        kind = websocket.headers.get("content-type", "").partition(";")[0].strip().lower()
        path = _path(websocket)
        if path == TRADING and kind != "application/msgpack":
            is_binary = self.streams.exchange.switches.trade_updates_binary
            return stream_codec.JSON_BINARY if is_binary else stream_codec.JSON_TEXT
        if path in {IEX, SIP} and kind != "application/msgpack":
            return stream_codec.JSON_TEXT
        if kind == "application/json":
            return stream_codec.MSGPACK_ONLY
        return stream_codec.MSGPACK

    def _fits(self, key: str, secret: str) -> bool:
        """Whether these are the account's; any will do where none are wanted, but some."""
        return fits((key, secret), self._keys)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._runs():
                self._catch_up()

    async def hurry(self) -> None:
        """Let trade updates leave before the answer to the request that caused them."""
        if not self.streams.hurries():
            return
        inboxes = [i for i in self.streams.inboxes if i.path == TRADING and i.is_remote]
        with suppress(TimeoutError):
            async with asyncio.timeout(HURRY_S):
                while not all(inbox.is_empty for inbox in inboxes):
                    await asyncio.sleep(0)
