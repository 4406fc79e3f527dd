"""Every word and every error of the websockets, said to a served simulator by a raw client."""

import asyncio
import json
import socket
import threading
import urllib.request
from contextlib import contextmanager
from decimal import Decimal

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind
from simulator.inbox import End
from simulator.pace import Pace
from simulator.sessions import Sessions
from simulator.sockets import Sockets
from simulator.streams import PATHS, Streams
from simulator.switches import Switches, with_words
from simulator.synthetic import Synthetic
from simulator.times import DAY, MINUTE, new_york_moment, parse_moment
from tests.conftest import MADE_UP_DAY, serve

TEN = new_york_moment(MADE_UP_DAY, 10, 0)
PUT = "AAPL270115P00220000"
PACKED = {"Content-Type": "application/msgpack"}
OPRA, INDICATIVE, IEX, SIP = "/v1beta1/opra", "/v1beta1/indicative", "/v2/iex", "/v2/sip"
DATA = (OPRA, INDICATIVE, IEX, SIP)
AUTH = {"action": "auth", "key": "KEY-ID", "secret": "SECRET"}
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]


class Client:
    """A raw client that speaks one codec."""

    def __init__(self, connection, *, packs):
        self.connection = connection
        self._packs = packs

    def say(self, message):
        self.connection.send(
            msgpack.packb(message) if self._packs else json.dumps(message).encode()
        )

    def hear(self):
        raw = self.connection.recv(timeout=10)
        if isinstance(raw, bytes) and self._packs:
            return msgpack.unpackb(raw, timestamp=2)
        return json.loads(raw)

    def ask(self, message):
        self.say(message)
        return self.hear()

    def is_closed(self):
        """Whether the other side has closed, with everything read."""
        try:
            self.connection.recv(timeout=10)
        except ConnectionClosed as problem:
            self.code = problem.rcvd.code if problem.rcvd else None
            return True
        return False


@contextmanager
def client(simulator, path, *, packs=None, **more):
    """Connected; a data stream's greeting has been heard."""
    packs = not path.startswith("/stream") if packs is None else packs
    headers = PACKED if packs else {}
    url = simulator.url.replace("http", "ws") + path
    with connect(url, additional_headers=headers, proxy=None, **more) as connection:
        one = Client(connection, packs=packs)
        if not path.startswith("/stream"):
            assert one.hear() == [{"T": "success", "msg": "connected"}]
        yield one


@contextmanager
def served(market, **switches):
    exchange = Exchange(
        *market,
        account="SIM000001",
        cash=Decimal(100_000),
        start=TEN,
        switches=with_words(Switches(), switches),
    )
    yield from serve(exchange)


@pytest.fixture
def at_ten(simulator):
    simulator.exchange.advance(TEN)
    return simulator


def request(simulator, method, path, body=None):
    asked = urllib.request.Request(
        simulator.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"APCA-API-KEY-ID": "KEY-ID", "APCA-API-SECRET-KEY": "SECRET"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(asked, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


def buy(simulator):
    body = {"symbol": PUT, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    return request(simulator, "POST", "/v2/orders", body)


def an_error(code, message):
    assert isinstance(message, list)
    assert (message[0]["T"], message[0]["code"]) == ("error", code)
    return True


# /stream


@pytest.mark.parametrize(
    "keys",
    [AUTH, {"action": "authenticate", "data": {"key_id": "KEY-ID", "secret_key": "SECRET"}}],
)
def test_both_documented_ways_to_authenticate_are_answered_alike(keys, at_ten):
    with client(at_ten, "/stream") as one:
        assert one.ask(keys) == {
            "stream": "authorization",
            "data": {"status": "authorized", "action": "authenticate"},
        }
        assert one.ask(LISTEN) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        order = buy(at_ten)
        told = [one.hear()["data"] for _ in range(2)]
        assert [update["event"] for update in told] == ["new", "fill"]
        assert {update["order"]["id"] for update in told} == {order["id"]}


@pytest.mark.parametrize(
    "keys",
    [
        {"action": "auth", "key": "KEY-ID", "secret": "WRONG"},
        {"action": "auth", "key": "KEY-ID", "secret": "\ud800"},
        {"action": "auth", "key": 1, "secret": None},
        {"action": "authenticate"},
        {"action": "authenticate", "data": {"key_id": "KEY-ID"}},
    ],
)
def test_wrong_keys_are_unauthorized_and_may_be_mended(keys, market, monkeypatch):
    monkeypatch.setenv("SIMULATOR_KEY_ID", "KEY-ID")
    monkeypatch.setenv("SIMULATOR_SECRET_KEY", "SECRET")
    with served(market) as simulator, client(simulator, "/stream") as one:
        assert one.ask(keys)["data"] == {"status": "unauthorized", "action": "authenticate"}
        assert one.ask(AUTH)["data"]["status"] == "authorized"


def test_trade_updates_are_also_told_at_the_address_that_ends_in_a_slash(at_ten):
    with client(at_ten, "/stream/") as one:
        one.ask(AUTH)
        one.ask(LISTEN)
        order = buy(at_ten)
        assert one.hear()["data"]["order"]["id"] == order["id"]


def test_listening_before_the_keys_is_unauthorized(at_ten):
    with client(at_ten, "/stream") as one:
        assert one.ask(LISTEN) == {
            "stream": "authorization",
            "data": {"status": "unauthorized", "action": "listen"},
        }
        buy(at_ten)
        assert one.ask(AUTH)["data"]["status"] == "authorized"


def test_the_last_listen_is_the_whole_set_and_unknown_streams_are_left_out(at_ten):
    with client(at_ten, "/stream") as one:
        one.ask(AUTH)
        both = {"action": "listen", "data": {"streams": ["trade_updates", "account_updates", 7]}}
        assert one.ask(both)["data"] == {"streams": ["trade_updates"]}
        assert one.ask({"action": "listen", "data": {"streams": []}})["data"] == {"streams": []}
        buy(at_ten)
        assert one.ask(LISTEN)["data"] == {"streams": ["trade_updates"]}
        off = {"action": "unlisten", "data": {"streams": ["trade_updates"]}}
        assert one.ask(off)["data"] == {"streams": []}


@pytest.mark.parametrize(
    "message",
    [
        b"not json",
        b"[]",
        b"7",
        b"{}",
        b'{"action": "dance"}',
        b'{"action": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"action": "\\ud800"}',
    ],
)
def test_what_makes_no_sense_is_an_error_and_the_end(message, at_ten):
    with client(at_ten, "/stream") as one:
        one.connection.send(message)
        answer = one.hear()
        assert answer["action"] == "error"
        assert answer["data"]["error_message"]
        assert one.is_closed()
    assert request(at_ten, "GET", "/sim/health")["status"] == "ok"


def test_streams_that_are_no_list_are_an_error_and_the_end(at_ten):
    with client(at_ten, "/stream") as one:
        one.ask(AUTH)
        assert one.ask({"action": "listen", "data": {"streams": "trade_updates"}})["action"] == (
            "error"
        )
        assert one.is_closed()


@pytest.mark.parametrize(("binary", "kind"), [(True, bytes), (False, str)])
def test_the_switch_chooses_binary_or_text_frames(binary, kind, market):
    with (
        served(market, trade_updates_binary=binary) as simulator,
        client(simulator, "/stream") as one,
    ):
        one.say(AUTH)
        raw = one.connection.recv(timeout=10)
        assert isinstance(raw, kind)
        assert json.loads(raw)["stream"] == "authorization"


def test_trade_updates_are_also_spoken_in_messagepack(at_ten):
    with client(at_ten, "/stream", packs=True) as one:
        one.ask(AUTH)
        one.ask(LISTEN)
        buy(at_ten)
        assert [one.hear()["data"]["event"] for _ in range(2)] == ["new", "fill"]


def test_the_limit_on_trading_connections_refuses_the_next_handshake(market):
    with served(market, stream_trading_connections_max=1) as simulator:
        with client(simulator, "/stream"):
            with pytest.raises(InvalidStatus) as refused, client(simulator, "/stream"):
                pass
            assert refused.value.response.status_code == 429
        wait_until_nobody_listens(simulator)
        with client(simulator, "/stream") as one:
            assert one.ask(AUTH)["data"]["status"] == "authorized"


def wait_until_nobody_listens(simulator):
    for _ in range(2000):
        if not simulator.streams.inboxes:
            return
        threading.Event().wait(0.005)
    raise AssertionError("a connection that has gone is still there")


# Data streams


@pytest.mark.parametrize("path", DATA)
def test_a_data_stream_greets_admits_and_answers_with_the_full_set(path, at_ten):
    with client(at_ten, path) as one:
        assert one.ask(AUTH) == AUTHENTICATED
        symbol = "AAPL" if path in {IEX, SIP} else PUT
        answer = one.ask({"action": "subscribe", "quotes": [symbol], "trades": ["*"]})
        assert (answer[0]["T"], answer[0]["quotes"], answer[0]["trades"]) == (
            "subscription",
            [symbol],
            ["*"],
        )
        answer = one.ask({"action": "unsubscribe", "trades": ["*"]})
        assert (answer[0]["quotes"], answer[0]["trades"]) == ([symbol], [])
        at_ten.exchange.advance(TEN + MINUTE)
        (quote,) = one.hear()
        assert (quote["T"], quote["S"], quote["t"]) == ("q", symbol, TEN + MINUTE)


def test_stocks_are_told_in_json_to_whoever_does_not_ask_for_messagepack(at_ten):
    with client(at_ten, IEX, packs=False) as one:
        assert one.ask(AUTH) == AUTHENTICATED
        channels = {name: ["AAPL"] for name in ("bars", "trades", "quotes", "statuses", "lulds")}
        (answer,) = one.ask({"action": "subscribe", **channels})
        assert answer["corrections"] == answer["cancelErrors"] == answer["trades"] == ["AAPL"]
        assert answer["updatedBars"] == answer["dailyBars"] == []
        at_ten.exchange.advance(TEN + 5 * MINUTE)
        raw = one.connection.recv(timeout=10)
        assert isinstance(raw, str)
        told = json.loads(raw)
        assert [message["T"] for message in told].count("b") == 5
        assert {message["T"] for message in told} == {"b", "t", "q", "l"}
        assert all(parse_moment(message["t"]) <= at_ten.exchange.now for message in told)


def test_a_moment_is_a_messagepack_timestamp_to_the_nanosecond(at_ten):
    with client(at_ten, OPRA) as one:
        one.ask(AUTH)
        one.ask({"action": "subscribe", "quotes": [PUT]})
        at_ten.exchange.advance(TEN + MINUTE)
        raw = one.connection.recv(timeout=10)
        (quote,) = msgpack.unpackb(raw)
        assert quote["t"] == msgpack.Timestamp.from_unix_nano(at_ten.exchange.quote(PUT).at)


def test_a_request_in_fragments_is_one_message(at_ten):
    with client(at_ten, OPRA) as one:
        one.ask(AUTH)
        raw = msgpack.packb({"action": "subscribe", "quotes": [PUT]})
        one.connection.send(raw[start : start + 7] for start in range(0, len(raw), 7))
        assert one.hear()[0]["quotes"] == [PUT]


@pytest.mark.parametrize(
    "message",
    [
        [],
        {},
        7,
        None,
        "auth",
        {"action": "dance"},
        {"action": ["auth"]},
        {"action": "subscribe"},
        {"action": "subscribe", "quotes": PUT},
        {"action": "subscribe", "quotes": [7]},
        {"action": "subscribe", "quotes": [""]},
        {"action": "subscribe", "quotes": ["x" * 1000]},
        {"action": "subscribe", "dances": [PUT]},
    ],
)
@pytest.mark.parametrize("path", [OPRA, IEX])
def test_error_400_for_what_makes_no_sense_and_the_talk_goes_on(path, message, at_ten):
    with client(at_ten, path) as one:
        assert one.ask(AUTH) == AUTHENTICATED
        assert an_error(400, one.ask(message))
        assert one.ask({"action": "unsubscribe", "quotes": []})[0]["T"] == "subscription"


@pytest.mark.parametrize(
    "raw", [b"", b"\xc1", b"\x81", b"\x81\x01\x02", b"\x93" * 5000, b"\xff\x00"]
)
def test_error_400_for_bytes_that_are_no_messagepack(raw, at_ten):
    with client(at_ten, OPRA) as one:
        one.connection.send(raw)
        assert an_error(400, one.hear())
        assert one.ask(AUTH) == AUTHENTICATED


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_error_401_before_the_keys(action, at_ten):
    with client(at_ten, IEX) as one:
        assert an_error(401, one.ask({"action": action, "quotes": ["AAPL"]}))
        assert one.ask(AUTH) == AUTHENTICATED


def test_error_402_for_wrong_keys(market, monkeypatch):
    monkeypatch.setenv("SIMULATOR_SECRET_KEY", "SECRET")
    with served(market) as simulator, client(simulator, OPRA) as one:
        assert an_error(402, one.ask(AUTH | {"secret": "WRONG"}))
        assert an_error(402, one.ask({"action": "auth"}))
        assert one.ask(AUTH) == AUTHENTICATED


def test_error_403_for_keys_that_were_shown_already(at_ten):
    with client(at_ten, IEX) as one:
        one.ask(AUTH)
        assert an_error(403, one.ask(AUTH))


def test_error_404_and_the_end_when_no_keys_come_in_time(market):
    with served(market, stream_auth_s=0.05) as simulator:
        with client(simulator, OPRA) as one:
            assert an_error(404, one.hear())
            assert one.is_closed()
        with client(simulator, "/stream") as one:
            assert one.ask(AUTH)["data"]["status"] == "authorized"


def test_error_405_leaves_the_set_as_it_was(market):
    names = [f"S{number}" for number in range(201)]
    with served(market, data_plan="basic") as simulator:
        with client(simulator, IEX) as one:
            one.ask(AUTH)
            one.ask({"action": "subscribe", "quotes": names[:29], "bars": ["S29", "S0", "*"]})
            assert an_error(405, one.ask({"action": "subscribe", "trades": ["S30"]}))
            (answer,) = one.ask({"action": "unsubscribe", "trades": ["S31"]})
            assert (answer["quotes"], answer["trades"]) == (sorted(names[:29]), [])
        with client(simulator, INDICATIVE) as one:
            one.ask(AUTH)
            assert one.ask({"action": "subscribe", "trades": names})[0]["trades"]
            assert one.ask({"action": "subscribe", "quotes": names[:200]})[0]["quotes"]
            assert an_error(405, one.ask({"action": "subscribe", "quotes": names[200:]}))


def test_error_406_for_the_second_connection_to_the_same_stream_and_no_other(at_ten):
    with client(at_ten, OPRA) as one, client(at_ten, OPRA) as two, client(at_ten, IEX) as three:
        assert one.ask(AUTH) == three.ask(AUTH) == AUTHENTICATED
        assert an_error(406, two.ask(AUTH))
        assert two.is_closed()
        assert one.ask({"action": "subscribe", "quotes": [PUT]})[0]["quotes"] == [PUT]


def test_the_limit_on_data_connections_can_be_lifted(market):
    with (
        served(market, stream_data_connections_max=0) as simulator,
        client(simulator, OPRA) as one,
        client(simulator, OPRA) as two,
    ):
        assert one.ask(AUTH) == two.ask(AUTH) == AUTHENTICATED


def test_error_407_for_a_client_that_does_not_read_and_nobody_else_notices(market):
    with served(market, stream_waiting_max=2) as simulator:
        exchange = simulator.exchange
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", int(simulator.url.rpartition(":")[2])))
        with (
            client(simulator, OPRA, sock=lazy, max_queue=1, compression=None) as slow,
            client(simulator, IEX) as quick,
        ):
            assert slow.ask(AUTH) == quick.ask(AUTH) == AUTHENTICATED
            symbols = [c.symbol for c in exchange.market.contracts("AAPL", exchange.now)][:200]
            slow.ask({"action": "subscribe", "quotes": symbols})
            quick.ask({"action": "subscribe", "bars": ["AAPL"]})
            inbox = next(i for i in simulator.streams.inboxes if i.path == OPRA)
            for minute in range(1, 350):
                exchange.advance(TEN + minute * MINUTE)
                assert quick.hear()[0]["T"] == "b"
                if inbox.ended is not None:
                    break
            assert inbox.ended is End.SLOW
            assert request(simulator, "GET", "/sim/health")["status"] == "ok"
            *_, last = heard_to_the_end(slow)
            assert an_error(407, last)


def heard_to_the_end(one):
    while True:
        try:
            yield one.hear()
        except ConnectionClosed:
            return


@pytest.mark.parametrize("path", [OPRA, SIP])
def test_error_409_for_a_paid_feed_without_its_subscription(path, market):
    with served(market, data_plan="basic") as simulator:
        with client(simulator, path) as one:
            assert an_error(409, one.ask(AUTH))
            assert one.is_closed()
        with client(simulator, INDICATIVE) as one:
            assert one.ask(AUTH) == AUTHENTICATED


@pytest.mark.parametrize(
    ("path", "channel"), [(OPRA, "bars"), (INDICATIVE, "news"), (IEX, "orderbooks")]
)
def test_error_410_for_a_channel_of_another_feed(path, channel, at_ten):
    with client(at_ten, path) as one:
        one.ask(AUTH)
        assert an_error(410, one.ask({"action": "subscribe", channel: ["AAPL"]}))


@pytest.mark.parametrize("headers", [{}, PACKED, {"Content-Type": "application/json"}])
@pytest.mark.parametrize("as_text", [True, False])
def test_error_412_for_json_on_an_option_stream(headers, as_text, at_ten):
    url = at_ten.url.replace("http", "ws") + OPRA
    with connect(url, additional_headers=headers, proxy=None) as connection:
        one = Client(connection, packs=True)
        assert one.hear()[0]["msg"] == "connected"
        said = json.dumps(AUTH)
        connection.send(said if as_text else said.encode())
        assert an_error(412, one.hear())
        assert one.is_closed()


@pytest.mark.parametrize("path", [OPRA, INDICATIVE])
def test_error_413_for_the_quotes_of_every_option(path, at_ten):
    with client(at_ten, path) as one:
        one.ask(AUTH)
        assert an_error(413, one.ask({"action": "subscribe", "quotes": ["*"]}))
        assert one.ask({"action": "subscribe", "trades": ["*"]})[0]["trades"] == ["*"]


def test_error_500_ends_one_talk_and_not_the_server(caplog):
    class Broken(Synthetic):
        def contract(self, symbol, now):
            if symbol == "AAPL991231C00001000":
                raise ZeroDivisionError
            return super().contract(symbol, now)

    sessions = Sessions(MADE_UP_DAY, MADE_UP_DAY)
    with served((Broken(MADE_UP_DAY, ["AAPL"], 7, sessions), sessions)) as simulator:
        with client(simulator, OPRA) as one:
            one.ask(AUTH)
            bad = {"action": "subscribe", "quotes": ["AAPL991231C00001000"]}
            assert an_error(500, one.ask(bad))
            assert one.is_closed()
        simulator.exchange.advance(TEN + MINUTE)
        assert "ZeroDivisionError" in caplog.text
        assert request(simulator, "GET", "/sim/health")["status"] == "ok"


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_vanishes_is_forgotten(path, at_ten):
    with client(at_ten, path) as one:
        one.ask(AUTH)
        one.connection.socket.shutdown(socket.SHUT_RDWR)
    wait_until_nobody_listens(at_ten)
    buy(at_ten)
    at_ten.exchange.advance(TEN + MINUTE)


def test_a_path_that_is_no_stream_is_refused(at_ten):
    with pytest.raises(InvalidStatus), client(at_ten, "/v2/otc"):
        pass


# Faults, as a socket sees them; what they do to events is in the unit tests


def test_a_refused_connection_sees_its_status_at_the_handshake(at_ten, caplog):
    at_ten.exchange.faults.arm(Fault(kind=FaultKind.STREAM_REFUSE, path="/stream"))
    with pytest.raises(InvalidStatus) as refused, client(at_ten, "/stream"):
        pass
    assert refused.value.response.status_code == 429
    with client(at_ten, "/stream") as one:
        assert one.ask(AUTH)["data"]["status"] == "authorized"
    assert not caplog.records  # a refusal is no error of the server


def test_a_stream_that_goes_down_closes_its_sockets_and_comes_back(at_ten):
    fault = Fault(kind=FaultKind.STREAM_DOWN, path="/stream", settings={"seconds": 60})
    with client(at_ten, "/stream") as one:
        one.ask(AUTH)
        one.ask(LISTEN)
        at_ten.exchange.faults.arm(fault)
        buy(at_ten)
        assert one.is_closed()
        assert one.code == 1012
    with pytest.raises(InvalidStatus) as refused, client(at_ten, "/stream"):
        pass
    assert refused.value.response.status_code == 503
    at_ten.exchange.advance(TEN + MINUTE)
    with client(at_ten, "/stream") as one:
        assert one.ask(AUTH)["data"]["status"] == "authorized"


def test_every_event_fault_reaches_the_socket(at_ten):
    faults = at_ten.exchange.faults
    with client(at_ten, "/stream") as one:
        one.ask(AUTH)
        one.ask(LISTEN)
        expected = {
            FaultKind.STREAM_DUPLICATE: ["new", "new", "fill"],
            FaultKind.STREAM_REPLAY: ["new", "fill", "new", "fill"],
            FaultKind.STREAM_REORDER: ["fill", "new"],
            FaultKind.STREAM_DROP: ["new"],
            FaultKind.STREAM_MUTE: ["fill"],
        }
        for kind, words in expected.items():
            faults.arm(Fault(kind=kind))
            buy(at_ten)
            assert [one.hear()["data"]["event"] for _ in words] == words
        assert set(faults.fired) == set(expected)


def test_a_fill_can_be_made_to_leave_before_the_answer_of_its_request(market):
    exchange = Exchange(*market, account="SIM000001", cash=Decimal(100_000), start=TEN)
    streams = Streams(exchange)
    sockets = Sockets(streams, (None, None), lambda: None, lambda: False)
    inbox = streams.subscribe("/stream")
    inbox.is_remote = True
    left = []

    async def writer():
        while len(left) < 4:
            await asyncio.sleep(0)
            left.extend(inbox.read())

    async def post(*, is_hurried):
        if is_hurried:
            settings = {"before_answer": 1}
            exchange.faults.arm(Fault(kind=FaultKind.STREAM_REORDER, settings=settings))
        body = {"symbol": PUT, "qty": "1", "side": "buy", "type": "market"}
        exchange.place(body | {"time_in_force": "day"})
        exchange.route()
        await sockets.hurry()
        return len(left)

    async def run():
        task = asyncio.create_task(writer())
        seen = [await post(is_hurried=False), await post(is_hurried=True)]
        await task
        return seen

    assert asyncio.run(run()) == [0, 4]


def test_with_a_running_clock_data_come_without_any_request(market):
    exchange = Exchange(*market, account="SIM000001", cash=Decimal(100_000), start=TEN)
    with contextmanager(serve)(exchange, Pace(600, TEN)) as simulator:
        with client(simulator, IEX) as one:
            one.ask(AUTH)
            one.ask({"action": "subscribe", "bars": ["AAPL"]})
            assert one.hear()[0]["T"] == "b"
        assert TEN < simulator.exchange.now < TEN + DAY
