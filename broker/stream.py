"""The broker's stream of order updates, as a hint that something has happened.

What it says is never written: it may come twice, late, in another order, or not at all. Whoever
waits for an order wakes up earlier by it, and asks REST, which is the record. A stream that is
mute, refused or down costs time and nothing else.
"""

import asyncio
import logging
import threading
import time
from urllib.parse import urlsplit, urlunsplit

from alpaca.trading.stream import TradingStream

from broker.client import Keys

#: Between two looks that the stream asks for: one fill is told in several events.
PAUSE_S = 0.5
#: alpaca-py reconnects by itself; when it gives up all the same, so long until the next try.
AGAIN_S = 5.0

# alpaca-py tells of every lost connection with a traceback. Losing it is nothing to act on.
logging.getLogger("alpaca.trading.stream").setLevel(logging.CRITICAL)


class OrderNews:
    """Listens in a thread of its own, which ends with the process, or when it is closed."""

    def __init__(self, keys: Keys, url: str | None, is_live: bool) -> None:
        self._keys, self._is_live = keys, is_live
        self._url = None if url is None else stream_url(url)
        self._told, self._closed = threading.Event(), threading.Event()
        self._stream: TradingStream | None = None
        self._thread = threading.Thread(target=self._listen, name="order news", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Until the broker has news of an order, or until so much time has passed."""
        until = time.monotonic() + seconds
        time.sleep(min(PAUSE_S, seconds))
        self._told.wait(max(until - time.monotonic(), 0.0))
        self._told.clear()

    def close(self) -> None:
        """Listen no more."""
        self._closed.set()
        if self._stream is not None:
            self._stream.stop()
        self._thread.join()

    def _listen(self) -> None:
        while not self._closed.is_set():
            self._stream = stream = TradingStream(
                self._keys.key_id,
                self._keys.secret_key,
                paper=not self._is_live,
                raw_data=True,
                url_override=self._url or "",  # empty: the one of the account
            )
            stream.subscribe_trade_updates(self._hear)
            try:
                asyncio.run(stream._run_forever())  # type: ignore[no-untyped-call]  # run() prints
            except (OSError, ValueError, RuntimeError) as error:
                logging.getLogger(__name__).info("order news ended: %s", type(error).__name__)
            self._closed.wait(AGAIN_S)

    async def _hear(self, update: object) -> None:
        self._told.set()


def stream_url(broker_url: str) -> str:
    """Where a broker that answers at `broker_url` tells of orders.

    >>> stream_url("http://127.0.0.1:8765")
    'ws://127.0.0.1:8765/stream'
    """
    parts = urlsplit(broker_url)
    scheme = {"http": "ws", "https": "wss"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, "/stream", "", ""))
