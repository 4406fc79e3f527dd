"""Every fault on order fires over a real socket and in process, is counted, and leaves the books of
the broker in order."""

import json
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
import requests

from broker.client import Broker, Keys
from broker.errors import Unknown
from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.faults import FaultKind
from simulator.in_process import InProcess
from simulator.sessions import Sessions
from simulator.streams import StreamRefused, Streams
from simulator.symbols import is_option_symbol
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, SECOND, new_york_moment
from tests.conftest import serve

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
MARKET = Synthetic(DAY, ["AAPL"], 7, SESSIONS)
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
START = new_york_moment(DAY, 11, 0)
HTTP_KINDS = [
    FaultKind.CLOSED_BEFORE,
    FaultKind.CLOSED_AFTER,
    FaultKind.TIMEOUT_BEFORE,
    FaultKind.TIMEOUT_AFTER,
    FaultKind.ERROR_BEFORE,
    FaultKind.ERROR_AFTER,
    FaultKind.TOO_MANY,
    FaultKind.CUT_BODY,
    FaultKind.WRONG_BODY,
    FaultKind.FORBIDDEN,
    FaultKind.UNPROCESSABLE,
    FaultKind.ID_TAKEN,
    FaultKind.SLOW,
]
#: What is done at the broker though its answer is not what it seems.
DONE = {"closed_after", "timeout_after", "error_after", "cut_body", "wrong_body", "slow"}


@dataclass
class Door:
    """A way in, and the exchange behind it."""

    session: requests.Session
    url: str
    exchange: Exchange

    def ask(self, method, path, body=None, **query):
        return self.session.request(
            method, self.url + path, params=query, json=body, headers=KEYS, timeout=2
        )

    def get(self, path, **query):
        answer = self.ask("GET", path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def arm(self, kind, **more):
        answer = self.ask("POST", "/sim/faults", {"kind": kind, **more})
        assert answer.status_code == 200, answer.text

    def pass_time(self, seconds):
        assert self.ask("POST", "/sim/clock", {"seconds": seconds}).status_code == 200

    def fired(self, kind):
        return self.get("/sim/faults")["fired"].get(kind, 0)


@contextmanager
def opened(way, market=MARKET):
    exchange = Exchange(market, SESSIONS, account="F", cash=Decimal(100_000), start=START)
    with requests.Session() as session:
        session.trust_env = False
        if way == "in process":
            session.mount("http://", InProcess(create_app(exchange)))
            yield Door(session, "http://simulator", exchange)
        else:
            serving = serve(exchange)
            yield Door(session, next(serving).url, exchange)
            next(serving, None)
    assert_books_add_up(exchange)


@pytest.fixture(params=["socket", "in process"])
def door(request):
    with opened(request.param) as one:
        yield one


@pytest.fixture
def inside():
    with opened("in process") as one:
        yield one


def is_taken_back(row):
    return getattr(row, "status", "") == "canceled"


def assert_books_add_up(exchange):
    """Cash and positions are what the activities make them, orders what their fills do."""
    book, held = exchange.book, Counter()
    cash = book.cash_start
    for row in book.activities:
        if is_taken_back(row):
            continue
        if row.kind == "FILL":
            sign = 1 if row.side == "buy" else -1
            held[row.symbol] += sign * int(row.qty)
            cash -= sign * row.qty * row.price * (100 if is_option_symbol(row.symbol) else 1)
        else:
            held[row.symbol] += int(row.qty)
            cash += row.net_usd
    assert cash == book.cash
    assert {s: q for s, q in held.items() if q} == {
        p.symbol: p.qty for p in book.positions.values()
    }
    for order in book.orders.values():
        for leg in order.executed():
            rows = [row for row in book.activities if row.order_id == leg.id]
            done = sum(int(row.qty) for row in rows if not is_taken_back(row))
            assert done == leg.filled_qty
        assert (order.id in book.working) == order.is_open


def contracts(door, count=2):
    """Puts with both sides, near the money, by strike."""
    chain = door.exchange.market.chain("AAPL", door.exchange.now)
    spot = float(door.exchange.market.spot("AAPL", door.exchange.now)[1])
    near = [
        (contract.strike, contract.symbol)
        for row, contract in enumerate(chain.contracts)
        if contract.right == "put"
        and contract.last_day == date(2026, 12, 18)
        and chain.bid[row] < chain.ask[row]
        and float(contract.strike) < spot
    ]
    return [symbol for _, symbol in sorted(near)[-count:]]


def single(door, limit="9.90", qty=1, **more):
    return {
        "symbol": contracts(door, 1)[0],
        "side": "buy",
        "qty": qty,
        "type": "limit",
        "limit_price": limit,
        "time_in_force": "day",
    } | more


def spread(door, qty=1):
    low, high = contracts(door)
    return {
        "order_class": "mleg",
        "qty": qty,
        "type": "limit",
        "limit_price": "-0.01",
        "time_in_force": "day",
        "legs": [
            {"symbol": high, "ratio_qty": 1, "side": "sell", "position_intent": "sell_to_open"},
            {"symbol": low, "ratio_qty": 1, "side": "buy", "position_intent": "buy_to_open"},
        ],
    }


@pytest.mark.parametrize("kind", HTTP_KINDS)
def test_an_order_meets_the_fault_and_is_done_or_not_as_the_fault_says(door, kind):
    settings = {"seconds": 0.05} if kind in {"timeout_before", "timeout_after", "slow"} else {}
    door.arm(kind, method="POST", path="/v2/orders", settings=settings)
    body = single(door, client_order_id="f-1")
    try:
        answer = door.ask("POST", "/v2/orders", body)
        status, text = answer.status_code, answer.text
    except (requests.ConnectionError, requests.Timeout) as problem:
        status, text = type(problem).__name__, ""
    except requests.exceptions.ChunkedEncodingError:
        status, text = "cut", ""
    assert door.fired(kind) == 1
    assert ("f-1" in door.exchange.book.by_client_id) == (kind in DONE)
    wanted = {"error_before": 500, "error_after": 500, "too_many": 429, "forbidden": 403}
    wanted |= {"unprocessable": 422, "id_taken": 422, "slow": 200}
    assert kind not in wanted or status == wanted[kind]
    if status == 200 and kind != "slow":
        with pytest.raises((ValueError, KeyError)):
            json.loads(text)["id"]
    again = door.ask("POST", "/v2/orders", body)
    assert again.status_code == (422 if kind in DONE else 200)


def test_a_connection_without_an_answer_is_the_clients_own_error(door):
    for kind in ("closed_before", "closed_after"):
        door.arm(kind)
        with pytest.raises(requests.ConnectionError):
            door.ask("GET", "/v2/account")
    for kind in ("timeout_before", "timeout_after"):
        door.arm(kind, settings={"seconds": 0.05})
        with pytest.raises((requests.Timeout, requests.ConnectionError)):
            door.ask("GET", "/v2/account")
    assert door.ask("GET", "/v2/account").status_code == 200


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_every_error_of_a_gateway_can_be_had_with_skips_and_repeats(inside, status):
    inside.arm(
        "error_before", method="GET", path="/v2/*", skip=1, times=2, settings={"status": status}
    )
    statuses = [inside.ask("GET", "/v2/account").status_code for _ in range(4)]
    assert statuses == [200, status, status, 200]


def test_a_429_comes_with_and_without_a_reset_and_with_both_bodies(door):
    door.arm("too_many")
    bare = door.ask("GET", "/v2/account")
    assert "X-RateLimit-Reset" not in bare.headers
    assert bare.json() == {"code": 42910000, "message": "rate limit exceeded"}
    door.arm("too_many", settings={"reset": 20, "plain": 1})
    told = door.ask("GET", "/v2/account")
    assert int(told.headers["X-RateLimit-Reset"]) == START // SECOND + 20
    assert told.json() == {"message": "too many requests."}


def test_an_id_can_be_taken_by_the_very_request_that_is_refused(door):
    door.arm("id_taken", settings={"done": 1})
    answer = door.ask("POST", "/v2/orders", single(door, client_order_id="twice"))
    assert answer.json() == {"code": 40010001, "message": "client_order_id must be unique"}
    found = door.get("/v2/orders:by_client_order_id", client_order_id="twice")
    assert found["status"] == "filled"


def test_in_process_a_slow_answer_takes_virtual_time(inside):
    inside.arm("slow", settings={"seconds": 90})
    inside.get("/v2/account")
    assert inside.exchange.now == START + 90 * SECOND


def test_an_order_is_listed_only_when_the_lag_is_over(door):
    door.arm("orders_lag", method="GET", times=0, settings={"seconds": 30})
    placed = door.ask("POST", "/v2/orders", single(door, "0.05", client_order_id="late")).json()
    assert door.get("/v2/orders") == []
    assert door.ask("GET", f"/v2/orders/{placed['id']}").status_code == 404
    missing = door.ask("GET", "/v2/orders:by_client_order_id", client_order_id="late")
    assert missing.status_code == 404
    door.pass_time(29)
    assert door.get("/v2/orders") == []
    door.pass_time(2)
    assert [order["id"] for order in door.get("/v2/orders")] == [placed["id"]]
    assert door.fired("orders_lag") == 5


def test_positions_are_right_while_the_fill_is_listed_nowhere(door):
    door.arm("fills_lag", times=0, settings={"seconds": 20})
    door.ask("POST", "/v2/orders", single(door))
    assert len(door.get("/v2/positions")) == 1
    assert door.get("/v2/account/activities") == []
    assert door.get("/v2/orders", status="all") == []
    door.pass_time(21)
    assert len(door.get("/v2/account/activities")) == 1
    assert door.get("/v2/orders", status="all")[0]["status"] == "filled"


def test_positions_and_account_can_lag_while_orders_are_right(door):
    cash = door.get("/v2/account")["cash"]
    door.arm("positions_lag")
    door.arm("account_lag")
    door.arm("activities_lag")
    door.ask("POST", "/v2/orders", single(door))
    assert door.get("/v2/positions") == []
    assert door.get("/v2/account")["cash"] == cash
    assert door.get("/v2/account/activities") == []
    assert door.get("/v2/orders", status="all")[0]["status"] == "filled"
    assert len(door.get("/v2/positions")) == 1
    assert door.get("/v2/account")["cash"] != cash


def test_an_existing_order_is_not_found_once(door):
    placed = door.ask("POST", "/v2/orders", single(door, "0.05")).json()
    door.arm("not_found")
    assert door.ask("GET", f"/v2/orders/{placed['id']}").status_code == 404
    assert door.get(f"/v2/orders/{placed['id']}")["id"] == placed["id"]
    assert door.fired("not_found") == 1


def test_a_page_begins_with_what_ended_the_one_before(door):
    door.arm("pages_shift")
    path, since = "/v2/options/contracts", "2026-12-01"
    first = door.get(path, limit=3, expiration_date_gte=since)
    token = first["next_page_token"]
    second = door.get(path, limit=3, expiration_date_gte=since, page_token=token)
    assert second["option_contracts"][0] == first["option_contracts"][-1]
    assert door.fired("pages_shift") == 1
    door.arm("pages_shift")
    chain = "/v1beta1/options/snapshots/AAPL"
    first = door.get(chain, limit=3)
    second = door.get(chain, limit=3, page_token=first["next_page_token"])
    assert next(iter(second["snapshots"])) == list(first["snapshots"])[-1]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/stocks/bars", {"symbols": "AAPL", "timeframe": "1Day", "start": "2026-10-01"}),
        ("/v2/stocks/trades", {"symbols": "AAPL", "start": "2026-11-20"}),
        ("/v1beta1/options/bars", {"timeframe": "1Min", "start": "2026-11-20"}),
        ("/v1beta1/options/trades", {"start": "2026-11-20"}),
    ],
)
@pytest.mark.parametrize("limit", [3, 4])
def test_a_page_of_rows_by_symbol_begins_with_what_ended_the_one_before(inside, path, query, limit):
    inside.pass_time(3600)
    busy = [c.symbol for c in MARKET.contracts("AAPL", START) if (c.open_interest or 0) > 2000]
    query = {"symbols": ",".join(busy[-2:]), "limit": limit, **query}
    rows = next(iter(inside.get(path, **query)))
    first = inside.get(path, **query)
    query["page_token"] = first["next_page_token"]
    calm = inside.get(path, **query)[rows]
    inside.arm("pages_shift")
    query.pop("page_token")
    inside.get(path, **query)
    shifted = inside.get(path, **query, page_token=first["next_page_token"])[rows]
    name, last = list(first[rows].items())[-1]
    assert shifted == {**calm, name: [last[-1], *calm.get(name, [])]}
    assert next(iter(shifted)) == name
    assert inside.fired("pages_shift") == 1


def test_an_order_fills_in_parts_one_a_minute(door):
    door.arm("partial_fills", settings={"parts": 3})
    placed = door.ask("POST", "/v2/orders", single(door, qty=5)).json()
    seen = []
    for _ in range(3):
        shown = door.get(f"/v2/orders/{placed['id']}")
        seen.append((shown["status"], shown["filled_qty"]))
        door.pass_time(60)
    assert seen == [("partially_filled", "1"), ("partially_filled", "3"), ("filled", "5")]
    rows = door.get("/v2/account/activities", direction="asc")
    assert [(r["type"], r["cum_qty"], r["leaves_qty"]) for r in rows] == [
        ("partial_fill", "1", "4"),
        ("partial_fill", "3", "2"),
        ("fill", "5", "0"),
    ]
    assert door.fired("partial_fills") == 1


def test_a_part_is_filled_and_the_rest_canceled(door):
    door.arm("partial_cancel", settings={"units": 2})
    placed = door.ask("POST", "/v2/orders", spread(door, qty=3)).json()
    shown = door.get(f"/v2/orders/{placed['id']}")
    assert (shown["status"], shown["filled_qty"]) == ("canceled", "2")
    assert [leg["filled_qty"] for leg in shown["legs"]] == ["2", "2"]
    assert door.fired("partial_cancel") == 1


def test_a_fill_wins_against_a_cancel_that_was_accepted(door):
    placed = door.ask("POST", "/v2/orders", single(door, "0.05")).json()
    door.arm("fill_races_cancel")
    assert door.ask("DELETE", f"/v2/orders/{placed['id']}").status_code == 204
    shown = door.get(f"/v2/orders/{placed['id']}")
    assert (shown["status"], shown["filled_avg_price"]) == ("filled", "0.05")
    assert door.fired("fill_races_cancel") == 1


def test_the_last_leg_of_a_spread_is_reported_later(door):
    door.arm("legs_apart", times=2, settings={"seconds": 60})
    placed = door.ask("POST", "/v2/orders", spread(door)).json()
    apart = door.get(f"/v2/orders/{placed['id']}")
    assert [leg["status"] for leg in apart["legs"]] == ["filled", "new"]
    assert len(door.get("/v2/account/activities")) == 1
    whole = door.get(f"/v2/orders/{placed['id']}")
    assert [leg["status"] for leg in whole["legs"]] == ["filled", "filled"]
    assert len(door.get("/v2/account/activities")) == 2


def test_orders_and_positions_appear_that_no_client_asked_for(door):
    by_hand = door.ask("POST", "/sim/orders", single(door)).json()
    assert door.get("/v2/orders", status="all")[0]["id"] == by_hand["id"]
    answer = door.ask("POST", "/sim/positions", {"symbol": "AAPL", "qty": 100, "price": "200"})
    assert answer.json() == {"symbol": "AAPL", "qty": "100"}
    assert door.get("/v2/positions/AAPL")["avg_entry_price"] == "200"
    assert door.ask("POST", "/sim/positions", {"symbol": "NONE", "qty": 1}).status_code == 404
    later = "2026-11-20T17:00:00Z"
    door.arm("hand_position", symbol="AAPL", at=later, settings={"qty": -100, "price": 210})
    assert door.get("/v2/positions/AAPL")["qty"] == "100"
    door.ask("POST", "/sim/clock", {"to": "close"})
    assert door.ask("GET", "/v2/positions/AAPL").status_code == 404
    assert (door.fired("hand_order"), door.fired("hand_position")) == (1, 2)


@pytest.mark.parametrize("limit", [1, 2, 5, 7, 1000])
def test_no_copy_of_a_contract_that_is_listed_twice_gets_lost_between_pages(inside, limit):
    inside.arm("duplicated", settings={"every": 2})
    query = {"expiration_date": "2026-12-18", "limit": 1000, "type": "put"}
    whole = inside.get("/v2/options/contracts", **query)["option_contracts"]
    query |= {"limit": limit}
    found, token = [], ""
    while token is not None:
        page = inside.get("/v2/options/contracts", **query, page_token=token)
        found += page["option_contracts"]
        token = page["next_page_token"]
    assert found == whole


@pytest.mark.parametrize("times", [0, 3])
def test_what_happens_by_itself_again_and_again_does_so_once_a_minute(inside, times):
    settings = {"qty": 1, "price": 200}
    inside.arm("hand_position", symbol="AAPL", times=times, settings=settings)
    held = []
    for _ in range(4):
        held.append(inside.get("/v2/positions/AAPL")["qty"])
        inside.pass_time(30)
        inside.pass_time(30)
    assert held == ["1", "2", "3", "3" if times else "4"]
    inside.ask("DELETE", "/sim/faults")
    inside.pass_time(3600)
    assert inside.get("/v2/positions/AAPL")["qty"] == ("3" if times else "5")


def test_short_contracts_are_assigned_overnight_on_order(door):
    door.ask("POST", "/v2/orders", spread(door, qty=2))
    short = contracts(door)[1]
    assert door.ask("POST", "/sim/assign", {"symbol": short, "qty": 3}).status_code == 422
    assert door.ask("POST", "/sim/assign", {"symbol": short, "qty": 1}).status_code == 200
    assert door.get(f"/v2/positions/{short}")["qty"] == "-2"
    door.ask("POST", "/sim/clock", {"to": "next_day"})
    assert door.get(f"/v2/positions/{short}")["qty"] == "-1"
    assert door.get("/v2/positions/AAPL")["qty"] == "100"
    assert door.fired("assignment") == 1


def test_what_cannot_happen_is_noted_and_stops_nothing(inside):
    inside.arm("assignment", symbol="AAPL261218P00200000")
    told = inside.get("/sim/faults")
    assert "insufficient short position" in told["failed"][0]
    assert (told["armed"], told["fired"].get("assignment", 0)) == ([], 0)


@pytest.mark.parametrize("seconds", [5, -5, 300, -300])
def test_the_brokers_clock_is_wrong_once(door, seconds):
    right = door.get("/v2/clock")["timestamp"]
    door.arm("clock_skew", settings={"seconds": seconds})
    wrong = door.get("/v2/clock")["timestamp"]
    assert (wrong > right) == (seconds > 0)
    assert door.get("/v2/clock")["timestamp"] == right
    assert door.fired("clock_skew") == 1


def test_faults_that_make_no_sense_are_refused_and_nothing_is_armed(inside):
    bad = [
        {"kind": "nothing"},
        {"kind": "slow", "settings": {"minutes": 1}},
        {"kind": "slow", "times": -1},
        {"kind": "slow", "settings": {"seconds": "NaN"}},
        {"kind": "slow", "at": "soon"},
        {"kind": "slow", "colour": "red"},
        *({"kind": kind, "settings": {"status": 0}} for kind in ("error_before", "stream_refuse")),
        *({"kind": "error_after", "settings": {"status": s}} for s in (42, 200, 204, 499, 501, -5)),
        *({"kind": "stream_refuse", "settings": {"status": s}} for s in (200, 101, 700, -1, 404.5)),
        {"kind": "closed_before", "settings": {"seconds": 3}},
        {"kind": "hand_position", "symbol": "AAPL", "settings": {"qty": 1.5}},
        *(
            {"kind": "stale", "symbol": symbol}
            for symbol in ("XXXX", "aapl", "XXXX261218P00200000")
        ),
        {"kind": "missing", "symbol": "AAPL261218P00200001"},
        {"kind": "stream_reorder", "method": "fill"},
        [{"kind": "slow"}, 7],
        "slow",
    ]
    for body in bad:
        answer = inside.ask("POST", "/sim/faults", body)
        assert answer.status_code == 400, body
        assert answer.json()["message"]
    assert inside.get("/sim/faults")["armed"] == []
    assert inside.ask("DELETE", "/sim/faults", kind="nothing").status_code == 400


def test_half_a_contract_cannot_be_booked_by_hand(inside):
    body = {"symbol": "AAPL", "qty": 1.5, "price": 200}
    assert inside.ask("POST", "/sim/positions", body).status_code == 400
    assert inside.get("/v2/positions") == []


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_stream_is_refused_with_any_status_of_an_error(inside, status):
    inside.arm("stream_refuse", settings={"status": status})
    with pytest.raises(StreamRefused) as refused:
        Streams(inside.exchange).subscribe("/stream")
    assert refused.value.status == status


def test_an_order_that_is_not_found_is_named_as_it_was_asked_for(inside):
    inside.ask("POST", "/v2/orders", single(inside, "0.05", client_order_id="mine"))
    inside.arm("not_found")
    answer = inside.ask("GET", "/v2/orders:by_client_order_id", client_order_id="mine")
    assert answer.status_code == 404
    assert answer.json()["message"] == "order not found for mine"


def test_armed_faults_can_be_taken_back(inside):
    inside.arm("slow")
    inside.arm("error_before")
    assert len(inside.ask("DELETE", "/sim/faults", kind="slow").json()["armed"]) == 1
    assert inside.ask("DELETE", "/sim/faults").json()["armed"] == []
    assert inside.ask("GET", "/v2/account").status_code == 200


def test_every_kind_says_what_it_does(inside):
    table = inside.get("/sim/faults")["kinds"]
    assert {row["kind"] for row in table} == set(FaultKind)
    assert all(set(row) == {"kind", "about", "settings", "armed", "fired"} for row in table)


def test_the_projects_own_client_calls_an_order_without_an_answer_unknown(inside):
    broker = Broker(Keys(key_id="key", secret_key="secret"), url="http://simulator", is_live=False)
    broker._trading._session.mount("http://", InProcess(create_app(inside.exchange)))
    inside.exchange.faults.now = inside.exchange.now
    inside.arm("timeout_after")
    with pytest.raises(Unknown):
        broker.account()
    assert broker.account().cash == 100_000


def test_stepping_the_clock_goes_to_the_named_moments(inside):
    def step(body):
        answer = inside.ask("POST", "/sim/clock", body)
        return answer.json()["now"][:16] if answer.status_code == 200 else answer.status_code

    assert step({"seconds": 90}) == "2026-11-20T16:01"
    assert step({"to": "close"}) == "2026-11-20T21:00"
    assert step({"to": "next_day"}) == "2026-11-23T14:00"
    assert step({"to": "open"}) == "2026-11-23T14:30"
    assert step({"to": "next_day"}) == "2026-11-24T14:00"
    assert step({"to": "noon"}) == 400
    assert step({"seconds": -1}) == 409
    assert step({"seconds": "x"}) == 400
    assert step({"seconds": 1e18}) == 400
    assert step([]) == 400
    assert inside.exchange.now % MINUTE == 0


@pytest.mark.parametrize(
    "kind",
    ["stale", "crossed", "locked", "zero_bid", "one_sided", "missing", "no_greeks", "wild_greeks"],
)
def test_a_disturbed_chain_is_served_and_its_fault_counted_once(door, kind):
    path = "/v1beta1/options/snapshots/AAPL"
    calm = door.get(path, limit=1000)["snapshots"]
    door.arm(kind, symbol="AAPL")
    disturbed = door.get(path, limit=1000)["snapshots"]
    assert disturbed != calm
    assert door.fired(kind) == 1
    door.ask("DELETE", "/sim/faults")
    assert door.get(path, limit=1000)["snapshots"] == calm


def test_a_gap_a_halt_and_a_double_listing_are_served_and_counted(door):
    def price():
        return door.get("/v2/stocks/trades/latest", symbols="AAPL")["trades"]["AAPL"]["p"]

    before = price()
    door.arm("gap", symbol="AAPL", settings={"percent": 20})
    assert price() == pytest.approx(before * 1.2, abs=0.01)
    door.arm("halt", symbol="AAPL", until="2026-11-20T16:30:00Z")
    door.pass_time(600)
    assert price() == pytest.approx(before * 1.2, abs=0.01)
    placed = door.ask("POST", "/v2/orders", single(door)).json()
    assert door.get(f"/v2/orders/{placed['id']}")["status"] == "new"
    door.pass_time(25 * 60)
    assert door.get(f"/v2/orders/{placed['id']}")["status"] == "filled"
    door.arm("duplicated")
    query = {"expiration_date_gte": "2026-12-01", "limit": 1000}
    listed = door.get("/v2/options/contracts", **query)["option_contracts"]
    assert len({row["symbol"] for row in listed}) < len(listed)
    assert [door.fired(kind) for kind in ("gap", "halt", "duplicated")] == [1, 1, 1]


def seen_of_a_stock(door):
    """What is told of a stock now: the last trade, the day so far, the minutes and trades."""
    snapshot = door.get("/v2/stocks/AAPL/snapshot")
    minutes = door.get("/v2/stocks/AAPL/bars", timeframe="1Min", limit=10_000)["bars"]
    trades = door.get("/v2/stocks/AAPL/trades", limit=10_000)["trades"]
    return snapshot["latestTrade"], snapshot["dailyBar"], minutes, trades


@pytest.mark.parametrize("second", [0, 30])
def test_what_a_halted_stock_would_have_done_is_known_neither_then_nor_later(inside, second):
    contracts_asked = "/v1beta1/options/trades"
    busy = [c.symbol for c in MARKET.contracts("AAPL", START) if (c.open_interest or 0) > 2000]
    inside.pass_time(second)
    inside.arm("halt", symbol="AAPL")
    before = seen_of_a_stock(inside)
    for _ in range(10):
        inside.pass_time(61)
        assert seen_of_a_stock(inside) == before
    inside.ask("DELETE", "/sim/faults")
    inside.pass_time(600)
    _, daily, minutes, trades = seen_of_a_stock(inside)
    halted = ("2026-11-20T16:00:30", "2026-11-20T16:10:40")
    assert [bar["t"] for bar in minutes if halted[0][:16] <= bar["t"][:16] <= halted[1][:16]] == []
    inner = [one["t"] for one in trades if f"2026-11-20T16:00:{second:02}" < one["t"][:19]]
    assert inner[0][:19] >= "2026-11-20T16:10:10"
    assert (daily["h"], daily["l"]) == (
        max(one["p"] for one in trades),
        min(one["p"] for one in trades),
    )
    assert daily["v"] >= before[1]["v"]
    printed = inside.get(
        contracts_asked, symbols=",".join(busy[:100]), start=f"{halted[0]}Z", limit=1000
    )
    times = [one["t"] for rows in printed["trades"].values() for one in rows]
    assert times
    assert min(times) > halted[1]


@pytest.mark.parametrize("second", [0, 20, 30])
def test_every_answer_agrees_on_a_jump_and_on_its_end(inside, second):
    inside.pass_time(second)
    told = []
    for step in range(24):
        if step == 5:
            inside.arm("gap", symbol="AAPL", settings={"percent": -12.3})
        if step == 15:
            inside.ask("DELETE", "/sim/faults")
        last, daily, minutes, trades = seen_of_a_stock(inside)
        told.append((last["t"], last["p"]))
        assert (trades[-1]["t"], trades[-1]["p"]) == told[-1]
        assert daily["c"] == last["p"]
        assert daily["l"] == min(one["p"] for one in trades)
        assert daily["h"] == max(one["p"] for one in trades)
        for bar in minutes:
            inner = [one["p"] for one in trades if one["t"][:16] == bar["t"][:16]]
            assert bar["l"] <= min(inner[-1:]) <= bar["h"]
            assert all(round(bar[key], 2) == bar[key] for key in "ohlc")
        inside.pass_time(20)
    listed = [(one["t"], one["p"]) for one in seen_of_a_stock(inside)[3]]
    assert set(told) <= set(listed)
    assert 0.85 < told[6][1] / told[4][1] < 0.9
    assert 1.1 < told[16][1] / told[14][1] < 1.2


@pytest.mark.skipif(
    not hasattr(Exchange, "bust_fill"), reason="this exchange cannot take back a trade"
)
@pytest.mark.parametrize("kind", ["trade_busted", "trade_corrected"])
def test_a_fill_is_taken_back_or_corrected_before_the_next_request(door, kind):
    door.arm(kind)
    placed = door.ask("POST", "/v2/orders", single(door)).json()
    row = door.get("/v2/account/activities")[0]
    assert row["status"] == {"trade_busted": "canceled", "trade_corrected": "correct"}[kind]
    filled = door.get(f"/v2/orders/{placed['id']}")["filled_qty"]
    assert filled == ("0" if kind == "trade_busted" else "1")
    assert door.fired(kind) == 1
