"""How fast the simulator is: snapshots of a chain, a day without clients, orders over loopback.

    python -P -m bench.simulator

The peer of the snapshots is the standard library's encoder on the same objects alone, of the order
round trips a bare round trip to the same server (its health), so that the ratio says what is ours.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from http.client import HTTPConnection

import uvicorn
from rich.console import Console
from rich.table import Table

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.profile import Profile
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 11, 20)
KEYS = {"APCA-API-KEY-ID": "bench", "APCA-API-SECRET-KEY": "bench"}
WIDE = Profile(
    symbol="WIDE",
    price_usd=600.0,
    vol=0.2,
    strike_step_usd=Decimal("2.5"),
    strike_step_far_usd=Decimal("2.5"),
    strike_range=0.175,
    weekdays=True,
)
SNAPSHOTS = 10_000
PAGE = 1_000
ORDERS = 600
MINUTES = 390
SNAPSHOTS_S_MAX = 0.5
ORDERS_PER_S_MIN = 300
DAY_S_MAX = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the answer. `peer` in the same unit."""

    name: str
    value: float
    unit: str
    target: float
    peer: float
    peer_name: str

    def is_met(self) -> bool:
        higher = self.unit.endswith("/s")
        return self.value >= self.target if higher else self.value <= self.target


def make_exchange() -> Exchange:
    sessions = Sessions(DAY, DAY)
    market = Synthetic(DAY, ["WIDE"], 7, sessions, profiles={"WIDE": WIDE})
    start = new_york_moment(DAY, 10, 0)
    return Exchange(market, sessions, account="BENCH", cash=Decimal(10_000_000), start=start)


@contextmanager
def served(exchange: Exchange) -> Iterator[HTTPConnection]:
    """A kept connection to the exchange behind real HTTP."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(exchange), log_level="warning", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True
    )
    thread.start()
    connection = HTTPConnection("127.0.0.1", listening.getsockname()[1])
    while not server.started:
        time.sleep(0.01)
    try:
        yield connection
    finally:
        connection.close()
        server.should_exit = True
        thread.join()
        listening.close()


def ask(connection: HTTPConnection, method: str, path: str, body: object = None) -> bytes:
    sent = None if body is None else json.dumps(body)
    connection.request(method, path, sent, KEYS | {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 400:
        raise SystemExit(f"{method} {path}: {answer.status} {content!r}")
    return content


def snapshots(connection: HTTPConnection) -> Figure:
    """Pages of a thousand until ten thousand contracts have come, encoded and sent."""
    ask(connection, "GET", "/v1beta1/options/snapshots/WIDE?limit=1")
    pages, seen, token = [], 0, ""
    started = time.perf_counter()
    while seen < SNAPSHOTS:
        text = ask(
            connection, "GET", f"/v1beta1/options/snapshots/WIDE?limit={PAGE}&page_token={token}"
        )
        pages.append(text)
        # Counting must not read the page as JSON inside the measured time.
        seen += text.count(b'"latestQuote"')
        token = text.rpartition(b'"next_page_token":')[2].strip(b'"}').decode()
        token = "" if token == "null" else token
    taken = (time.perf_counter() - started) * SNAPSHOTS / seen
    read = [json.loads(page) for page in pages]
    started = time.perf_counter()
    for page in read:
        json.dumps(page, allow_nan=False, separators=(",", ":")).encode()
    peer = (time.perf_counter() - started) * SNAPSHOTS / seen
    name = f"{SNAPSHOTS:,} contracts of snapshots"
    return Figure(
        name=name, value=taken, unit="s", target=SNAPSHOTS_S_MAX, peer=peer,
        peer_name="encoding alone",
    )  # fmt: skip


def orders(connection: HTTPConnection, exchange: Exchange) -> Figure:
    """POST of an order that fills, and its answer, one after the other."""
    chain = exchange.market.chain("WIDE", exchange.now)
    assert chain is not None
    rows = [k for k, bid in enumerate(chain.bid) if 1 < bid < chain.ask[k] < 5]
    symbols = [chain.contracts[row].symbol for row in rows[:50]]
    started = time.perf_counter()
    for number in range(ORDERS):
        order = {
            "symbol": symbols[number % len(symbols)],
            "qty": "1",
            "side": "buy",
            "type": "limit",
            "limit_price": "9.00",
            "time_in_force": "day",
        }
        ask(connection, "POST", "/v2/orders", order)
    rate = ORDERS / (time.perf_counter() - started)
    started = time.perf_counter()
    for _ in range(ORDERS):
        ask(connection, "GET", "/sim/health")
    peer = ORDERS / (time.perf_counter() - started)
    return Figure(
        name="order round trips", value=rate, unit="/s", target=ORDERS_PER_S_MIN, peer=peer,
        peer_name="bare round trips",
    )  # fmt: skip


def day() -> Figure:
    """A day's minutes of every contract's quotes and Greeks, a fresh market each time."""
    exchange = make_exchange()
    session = exchange.session
    started = time.perf_counter()
    quoted = 0
    for minute in range(MINUTES):
        exchange.advance(max(session.open + minute * MINUTE, exchange.now))
        chain = exchange.market.chain("WIDE", session.open + minute * MINUTE)
        assert chain is not None
        quoted += len(chain.contracts)
    taken = time.perf_counter() - started
    name = f"{MINUTES} minutes of {quoted // MINUTES:,} contracts"
    return Figure(
        name=name, value=taken, unit="s", target=DAY_S_MAX, peer=MINUTES * 60.0,
        peer_name="the real day",
    )  # fmt: skip


def show(figures: list[Figure]) -> None:
    table = Table(title="The simulator's speed")
    for heading in ("what", "measured", "target", "peer", "ratio"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for figure in figures:
        mark = "" if figure.is_met() else " (missed)"
        table.add_row(
            figure.name,
            f"{figure.value:,.3g} {figure.unit}{mark}",
            f"{figure.target:g} {figure.unit}",
            f"{figure.peer:,.3g} {figure.unit}, {figure.peer_name}",
            f"{figure.value / figure.peer:.3g}",
        )
    Console().print(table)


def main() -> int:
    """1 when a target is missed."""
    exchange = make_exchange()
    exchange.market.chain("WIDE", exchange.now)  # kernels compiled, the session's table made
    figures = [day()]
    with served(exchange) as connection:
        figures += [snapshots(connection), orders(connection, exchange)]
    show(figures)
    answer = {
        "bench": "simulator",
        "day_390_minutes_s": round(figures[0].value, 3),
        "snapshots_10000_s": round(figures[1].value, 4),
        "snapshots_to_encoding_ratio": round(figures[1].value / figures[1].peer, 2),
        "order_round_trips_per_s": round(figures[2].value, 1),
        "orders_to_bare_ratio": round(figures[2].value / figures[2].peer, 3),
        "targets_met": all(figure.is_met() for figure in figures),
    }
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0 if answer["targets_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
