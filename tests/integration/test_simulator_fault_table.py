"""Every kind of fault, one after the other on one account: each fires and is counted, and the
broker answers as ever when all have been. `python -P -m pytest -s` prints the table."""

import json
from datetime import date
from decimal import Decimal

import pytest
import requests

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.faults import FaultKind
from simulator.in_process import InProcess
from simulator.sessions import Sessions
from simulator.streams import StreamRefused, Streams
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

DAY = date(2026, 11, 20)
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
CALL, SHORT, LONG = "AAPL261218C00240000", "AAPL261218P00215000", "AAPL261218P00210000"
STREAM = {kind: {"path": "/stream"} for kind in FaultKind if kind.startswith("stream_")}
#: What a kind needs beside its name to be met by what `live` does.
ARMED = STREAM | {
    FaultKind.ASSIGNMENT: {"symbol": SHORT},
    FaultKind.HAND_ORDER: {
        "body": {
            "symbol": "AAPL",
            "qty": "1",
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
        }
    },
    FaultKind.HAND_POSITION: {"symbol": "AAPL", "settings": {"qty": 1}},
    FaultKind.STREAM_MUTE: {"path": "/stream", "settings": {"events": 1}},
    FaultKind.STREAM_REORDER: {"path": "/stream", "method": "new"},
}


class Life:
    """A client that does a little of everything, whatever is answered."""

    def __init__(self):
        sessions = Sessions(DAY, DAY)
        market = Synthetic(DAY, ["AAPL"], 7, sessions)
        start = new_york_moment(DAY, 10, 0)
        self.exchange = Exchange(market, sessions, account="F", cash=Decimal(500_000), start=start)
        self.streams = Streams(self.exchange)
        self.session = requests.Session()
        self.session.mount("http://", InProcess(create_app(self.exchange, streams=self.streams)))

    def ask(self, method, path, body=None, **query):
        return self.session.request(
            method, f"http://simulator{path}", params=query, json=body, headers=KEYS
        )

    def tried(self, *request, **query):
        try:
            return self.ask(*request, **query)
        except requests.RequestException:
            return None

    def order(self, symbol, side, price, **more):
        body = {"symbol": symbol, "side": side, "qty": "2", "type": "limit", **more}
        return self.tried("POST", "/v2/orders", body | {"limit_price": price} | DAILY)

    def live(self):
        """Listen, look at the market, trade, let time pass, cancel, read everything."""
        inbox = None
        try:
            inbox = self.streams.subscribe("/stream")
        except StreamRefused:
            inbox = self.streams.subscribe("/stream")
        chain = {"feed": "opra", "limit": "1000"}
        self.tried("GET", "/v1beta1/options/snapshots/AAPL", **chain)
        self.tried("GET", "/v2/options/contracts", underlying_symbols="AAPL", limit="1000")
        self.order(LONG, "buy", "99")  # marketable
        resting = self.order(CALL, "buy", "0.01")
        self.spread()
        self.ask("POST", "/sim/clock", {"seconds": 60})
        self.tried("GET", "/v2/clock")
        for path in ("/v2/orders", "/v2/positions", "/v2/account", "/v2/account/activities"):
            self.tried("GET", path, status="all", nested="true", limit="2", page_size="2")
        self.page_on()
        found = resting.json() if resting is not None and resting.status_code == 200 else {}
        if isinstance(found, dict) and "id" in found:
            self.tried("GET", f"/v2/orders/{found['id']}")
            self.tried("DELETE", f"/v2/orders/{found['id']}")
        self.tried("DELETE", "/v2/orders")
        self.ask("POST", "/sim/clock", {"seconds": 60})
        inbox.read()
        self.streams.close(inbox)

    def spread(self):
        legs = [
            {"symbol": SHORT, "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
            {"symbol": LONG, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        ]
        body = {"order_class": "mleg", "qty": "1", "type": "limit", "limit_price": "5"}
        self.tried("POST", "/v2/orders", body | {"legs": legs} | DAILY)

    def page_on(self):
        """The second page of what happened."""
        first = self.tried("GET", "/v2/account/activities", page_size="2")
        if first is not None and first.status_code == 200 and isinstance(first.json(), list):
            last = first.json()[-1]["id"] if first.json() else ""
            self.tried("GET", "/v2/account/activities", page_size="2", page_token=last)


DAILY = {"time_in_force": "day"}


@pytest.fixture(scope="module")
def table():
    life = Life()
    life.live()
    for kind in FaultKind:
        armed = life.ask("POST", "/sim/faults", {"kind": kind} | ARMED.get(kind, {}))
        assert armed.status_code == 200, armed.text
        life.live()
        life.ask("DELETE", "/sim/faults")
    life.ask("POST", "/sim/faults", {"kind": FaultKind.ASSIGNMENT} | ARMED[FaultKind.ASSIGNMENT])
    life.ask("POST", "/sim/clock", {"to": "next_day"})
    found = life.ask("GET", "/sim/faults").json()
    for row in found["kinds"]:
        print(f"{row['kind']:18} {row['fired']:3}  {row['about']}")  # noqa: T201 - with -s
    found["account"] = life.ask("GET", "/v2/account")
    return found


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_fires_and_is_counted_in_one_table(table, kind):
    (row,) = [row for row in table["kinds"] if row["kind"] == kind]
    assert row["fired"] >= 1, json.dumps(row)


def test_after_every_fault_the_broker_answers_as_ever(table):
    assert table["account"].status_code == 200
    assert table["failed"] == []
