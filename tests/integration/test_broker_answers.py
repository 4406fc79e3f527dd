"""Whatever the broker, or what stands in its place, answers: what it means, and that a request
leaves once. A socket of our own plays the broker, so that every byte of the answer is ours."""

import json
import socket
import threading
import traceback
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from broker import transport
from broker.client import Broker, Keys, Window
from broker.errors import BrokerError, IdTaken, NotAuthorized, NotFound, Refused, Unknown
from domain.orders import Leg, OrderIntent, Purpose, Side

KEY_ID, SECRET_KEY = "PKTHISISTHEKEYID", "this-is-the-secret-key"
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
INTENT = OrderIntent(
    client_order_id="iron_condor-261120T1500-open-0123456789abcdef",
    strategy="iron_condor",
    underlying="AAPL",
    purpose=Purpose.OPEN,
    legs=(
        Leg(symbol="AAPL261218P00210000", side=Side.BUY, ratio=1),
        Leg(symbol="AAPL261218P00215000", side=Side.SELL, ratio=1),
    ),
    quantity=2,
    limit_price=Decimal("-1.05"),
    loss_usd_worst=Decimal(790),
)
WINDOW = Window(
    expiration_min=date(2026, 11, 20),
    expiration_max=date(2026, 12, 31),
    strike_min=Decimal(100),
    strike_max=Decimal(300),
)


def answer(status, body=b"", headers=""):
    """A whole HTTP answer."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body


class Stand:
    """Plays the broker: answers every request with the same bytes and keeps what was asked."""

    def __init__(self, reply, keeps_open):
        self.reply, self.keeps_open = reply, keeps_open
        self.requests = []
        self._held = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.requests.append(self._read(connection))
            if self.reply is not None:
                connection.sendall(self.reply)
            if self.keeps_open:
                self._held.append(connection)  # never answers, never hangs up
            else:
                connection.close()

    def _read(self, connection):
        """Request line and body, read to the end so that closing sends no reset."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", 0)):
            body += connection.recv(65536)
        return head.split(b"\r\n")[0].decode(), body

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


@pytest.fixture
def stand():
    """Builds a Stand; all are closed at the end."""
    built = []

    def build(reply, keeps_open=False):
        built.append(Stand(reply, keeps_open))
        return built[-1]

    yield build
    for one in built:
        one.close()


def broker_at(url):
    return Broker(Keys(key_id=KEY_ID, secret_key=SECRET_KEY), url=url, is_live=False)


ORDER = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": INTENT.client_order_id,
    "qty": "2",
    "filled_qty": "0",
    "status": "pending_new",
    "submitted_at": "2026-11-20T15:00:00.123456789Z",
    "updated_at": "2026-11-20T15:00:00.123456789Z",
    "order_class": "mleg",
    "side": "",
    "symbol": "",
}


def legs_of(first_side, second="00215000"):
    """The two legs of INTENT as an answer has them, or others."""
    second_side = "sell" if first_side == "buy" else "buy"
    return [
        ORDER
        | {
            "id": f"61e69015-8549-4bfd-b9c3-01e75843f47{number}",
            "client_order_id": f"leg-{number}",
            "symbol": f"AAPL261218P{strike}",
            "side": side,
        }
        for number, (side, strike) in enumerate([(first_side, "00210000"), (second_side, second)])
    ]


def without(name):
    return {key: value for key, value in ORDER.items() if key != name}


PAGE = b"<!DOCTYPE html><html><title>Please wait</title><p>We are checking your browser</html>"
LIMITED = {"message": "too many requests."}
FAULT = {"code": 50010000, "message": "internal server error occurred"}
#: What nobody can take for an answer.
UNTRUSTED = {
    "a time-out of theirs": answer("408 Request Timeout", b""),
    "too many requests": answer("429 Too Many Requests", LIMITED),
    "too many requests, come back": answer("429 Too Many Requests", LIMITED, "Retry-After: 1\r\n"),
    "an error of theirs": answer("500 Internal Server Error", FAULT),
    "an error of theirs as a page": answer("500 Internal Server Error", PAGE),
    "a gateway without a broker": answer("502 Bad Gateway", PAGE),
    "out of service": answer("503 Service Unavailable", b""),
    "a gateway that waited too long": answer("504 Gateway Timeout", b"stream timeout"),
    "a page instead of an order": answer("200 OK", PAGE),
    "nothing": answer("200 OK", b""),
    "null": answer("200 OK", b"null"),
    "a list": answer("200 OK", b"[]"),
    "a word": answer("200 OK", b'"ok"'),
    "a number": answer("200 OK", b"7"),
    "an empty object": answer("200 OK", {}),
    "an order cut in the middle": answer("200 OK", json.dumps(ORDER).encode()[:60]),
    "an order of which the rest never came": answer("200 OK", ORDER)[:-20],
    "a chunk that never ends": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a line that stops": b"HTTP/1.1 20",
    "a hang-up": b"",
    "bytes that are no text": answer("200 OK", b"\xff\xfe{\x00"),
    "JSON in JSON": answer("200 OK", json.dumps(json.dumps(ORDER)).encode()),
    "an order without an id": answer("200 OK", without("id")),
    "an order without its own id": answer("200 OK", without("client_order_id")),
    "an order without a status": answer("200 OK", without("status")),
    "an order with null for a quantity": answer("200 OK", ORDER | {"qty": None}),
    "an order of NaN": answer("200 OK", ORDER | {"qty": "NaN"}),
    "an order of words": answer("200 OK", ORDER | {"filled_qty": "some"}),
    "an id that is none": answer("200 OK", ORDER | {"id": "first"}),
    "a time that is none": answer("200 OK", ORDER | {"submitted_at": "soon"}),
    "a time without a zone": answer("200 OK", ORDER | {"submitted_at": "2026-11-20T15:00:00"}),
    "legs that are no list": answer("200 OK", ORDER | {"legs": {"0": ORDER}}),
    "legs that are words": answer("200 OK", ORDER | {"legs": ["long_put"]}),
    "another's order": answer("200 OK", ORDER | {"client_order_id": "by-hand"}),
    "an order of another size": answer("200 OK", ORDER | {"qty": "3"}),
    "an order for an amount": answer("200 OK", ORDER | {"qty": None, "notional": "500"}),
    "an order of other legs": answer("200 OK", ORDER | {"legs": legs_of("buy", "00220000")}),
    "an order the other way round": answer("200 OK", ORDER | {"legs": legs_of("sell")}),
    "an order of another thing": answer("200 OK", ORDER | {"symbol": "AAPL", "side": "buy"}),
}
#: Pages and codes that are no word of the broker's on an order.
UNTRUSTED |= {
    f"a {status} {kind}": answer(f"{status} Something", body)
    for status in (400, 403, 404, 405, 409, 413, 422, 425, 429, 499)
    for kind, body in {
        "page": PAGE,
        "without a code": {"message": "forbidden."},
        "with a code of others": {"code": 1020, "message": "access denied"},
        "with a code that is no number": {"code": "blocked", "message": "access denied"},
    }.items()
} | {
    f"a {status} that settles nothing": answer(
        f"{status} Something", {"code": status * 100_000, "message": "try again"}
    )
    for status in (409, 425, 499)
}


def everything_said(error):
    """The error as a log would show it, its causes included."""
    return "".join(traceback.format_exception(error)) + repr(error)


def assert_keys_are_kept(error):
    said = everything_said(error)
    assert SECRET_KEY not in said
    assert KEY_ID not in said


@pytest.mark.parametrize("what", UNTRUSTED)
def test_what_nobody_can_trust_is_unknown_and_the_order_left_once(what, stand):
    playing = stand(UNTRUSTED[what])
    with pytest.raises(Unknown) as said:
        broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert [line for line, _ in playing.requests] == ["POST /v2/orders HTTP/1.1"]
    assert INTENT.client_order_id in str(said.value)
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 600
    assert_keys_are_kept(said.value)


def test_an_answer_that_never_comes_is_unknown_and_the_order_left_once(stand, monkeypatch):
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.2)
    playing = stand(None, keeps_open=True)
    with pytest.raises(Unknown, match="Timeout") as said:
        broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert len(playing.requests) == 1
    assert_keys_are_kept(said.value)


def test_an_answer_that_stops_half_way_is_unknown_and_the_order_left_once(stand, monkeypatch):
    monkeypatch.setattr(transport, "READ_TIMEOUT_S", 0.2)
    playing = stand(answer("200 OK", ORDER)[:-10], keeps_open=True)
    with pytest.raises(Unknown) as said:
        broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert len(playing.requests) == 1
    assert_keys_are_kept(said.value)


def test_a_refused_connection_is_unknown():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(Unknown, match="ConnectionError") as said:
        broker_at(url).submit(INTENT, INTENT.limit_price)
    assert_keys_are_kept(said.value)


def test_an_order_is_not_sent_to_where_the_answer_points(stand):
    """A POST that is sent elsewhere again would be a second order."""
    elsewhere = stand(answer("200 OK", ORDER))
    moved = answer("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/v2/orders\r\n")
    playing = stand(moved)
    with pytest.raises(BrokerError):
        broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert len(playing.requests) == 1
    assert elsewhere.requests == []


def refused(code, message):
    return {"code": code, "message": message}


#: A no that can be trusted -> its kind.
REFUSALS = {
    "a bad request": (
        answer("400 Bad Request", refused(40010000, "request body format is invalid")),
        Refused,
    ),
    "no buying power": (
        answer("403 Forbidden", refused(40310000, "insufficient options buying power")),
        Refused,
    ),
    "an order that cannot be": (
        answer("422 Unprocessable Entity", refused(42210000, "asset is not active")),
        Refused,
    ),
    "another bad parameter": (
        answer("422 Unprocessable Entity", refused(40010001, "qty must be > 0")),
        Refused,
    ),
    "no such thing": (answer("404 Not Found", refused(40410000, "asset not found")), NotFound),
    "an id that is taken": (
        answer("422 Unprocessable Entity", refused(40010001, "client_order_id must be unique")),
        IdTaken,
    ),
    "wrong keys": (
        answer("401 Unauthorized", refused(40110000, "request is not authorized")),
        NotAuthorized,
    ),
    "an id that is taken, in other words": (
        answer("422 Unprocessable Entity", refused(40010001, "Client-Order-ID was used before")),
        IdTaken,
    ),
    "an id that is taken, under 400": (
        answer("400 Bad Request", refused(40010001, "duplicate order")),
        IdTaken,
    ),
    "a bad parameter that is not named": (
        answer("422 Unprocessable Entity", refused(40010001, "")),
        IdTaken,
    ),
    "wrong keys without a body": (answer("401 Unauthorized", b""), NotAuthorized),
    "wrong keys as 403": (
        answer("403 Forbidden", refused(40110000, "request is not authorized")),
        NotAuthorized,
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_no_that_can_be_trusted_is_that_kind_of_no_and_was_asked_once(what, stand):
    reply, kind = REFUSALS[what]
    playing = stand(reply)
    with pytest.raises(Refused) as said:
        broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert type(said.value) is kind
    assert said.value.status == int(reply.split()[1])
    assert len(playing.requests) == 1
    assert ("APCA_API_KEY_ID" in str(said.value)) == (kind is NotAuthorized)
    assert_keys_are_kept(said.value)


#: Every question of the client.
QUESTIONS = {
    "clock": lambda broker: broker.clock(),
    "account": lambda broker: broker.account(),
    "contracts": lambda broker: broker.contracts("AAPL", WINDOW),
    "contract": lambda broker: broker.contract("AAPL261218P00210000"),
    "chain_snapshots": lambda broker: broker.chain_snapshots("AAPL", WINDOW),
    "snapshots": lambda broker: broker.snapshots(["AAPL261218P00210000"]),
    "quotes": lambda broker: broker.quotes(["AAPL261218P00210000"]),
    "spots": lambda broker: broker.spots(["AAPL"]),
    "order_by_client_id": lambda broker: broker.order_by_client_id("one"),
    "order": lambda broker: broker.order(UUID(int=1)),
    "cancel": lambda broker: broker.cancel(UUID(int=1)),
    "orders": lambda broker: broker.orders(NOW),
    "positions": lambda broker: broker.positions(),
    "fills_and_activities": lambda broker: broker.fills_and_activities(NOW),
}


def test_every_question_of_the_client_is_asked_here():
    known = {name for name in vars(Broker) if not name.startswith("_")} - {"submit"}
    assert known == QUESTIONS.keys()


NO_ANSWER = (
    "too many requests",
    "an error of theirs as a page",
    "a gateway that waited too long",
    "a hang-up",
)
NO_SUCH_FORM = (
    "a page instead of an order",
    "a word",
    "a number",
    "an order of which the rest never came",
    "bytes that are no text",
)


@pytest.mark.parametrize(
    ("question", "what"),
    [
        *((question, what) for question in QUESTIONS for what in NO_ANSWER),
        # The answer to a cancel has no body that could be wrong.
        *(
            (question, what)
            for question in QUESTIONS
            if question != "cancel"
            for what in NO_SUCH_FORM
        ),
    ],
)
def test_every_question_that_gets_no_answer_is_unknown_and_asked_again_only_after_a_hang_up(
    question, what, stand
):
    playing = stand(UNTRUSTED[what])
    with pytest.raises(Unknown) as said:
        QUESTIONS[question](broker_at(playing.url))
    # A read on a connection that was closed meanwhile is asked once more; a cancel never is.
    times = 2 if what == "a hang-up" and question != "cancel" else 1
    assert len(playing.requests) == times
    assert_keys_are_kept(said.value)


@pytest.mark.parametrize("question", QUESTIONS)
def test_wrong_keys_name_the_variables_and_never_the_keys(question, stand):
    playing = stand(answer("401 Unauthorized", refused(40110000, "request is not authorized")))
    with pytest.raises(NotAuthorized, match="check APCA_API_KEY_ID and APCA_API_SECRET_KEY") as no:
        QUESTIONS[question](broker_at(playing.url))
    assert_keys_are_kept(no.value)


def test_keys_are_in_no_text_of_the_client():
    broker = broker_at("http://127.0.0.1:1")
    for one in (broker, Keys(key_id=KEY_ID, secret_key=SECRET_KEY)):
        for shown in (repr(one), str(one), f"{one}"):
            assert SECRET_KEY not in shown
            assert KEY_ID not in shown


def test_the_request_is_the_intent_and_nothing_else(stand):
    playing = stand(answer("200 OK", ORDER))
    order = broker_at(playing.url).submit(INTENT, Decimal("-1.07"))  # better than it must be
    assert order.id == UUID(ORDER["id"])
    ((_, body),) = playing.requests
    assert json.loads(body, parse_float=str) == {
        "client_order_id": INTENT.client_order_id,
        "legs": [
            {
                "symbol": "AAPL261218P00210000",
                "ratio_qty": "1.0",
                "side": "buy",
                "position_intent": "buy_to_open",
            },
            {
                "symbol": "AAPL261218P00215000",
                "ratio_qty": "1.0",
                "side": "sell",
                "position_intent": "sell_to_open",
            },
        ],
        "limit_price": "-1.07",
        "order_class": "mleg",
        "qty": "2.0",
        "time_in_force": "day",
        "type": "limit",
    }


def test_an_answer_with_its_legs_is_taken_for_what_was_asked(stand):
    playing = stand(answer("200 OK", ORDER | {"legs": legs_of("buy")}))
    order = broker_at(playing.url).submit(INTENT, INTENT.limit_price)
    assert [leg.symbol for leg in order.legs] == [leg.symbol for leg in INTENT.legs]


def test_a_single_leg_is_compared_with_the_order_itself(stand):
    one = replace(INTENT, legs=INTENT.legs[:1])
    good = ORDER | {"order_class": "simple", "symbol": one.legs[0].symbol, "side": "buy"}
    assert broker_at(stand(answer("200 OK", good)).url).submit(one, Decimal("1.07")).quantity == 2
    playing = stand(answer("200 OK", good | {"side": "sell"}))
    with pytest.raises(Unknown):
        broker_at(playing.url).submit(one, Decimal("1.07"))


NO_ORDER = answer("404 Not Found", refused(40410000, "order not found for one"))
#: A 404 of whatever stands between, which knows nothing of orders.
NOT_FOUND_PAGES = {
    "a page": answer("404 Not Found", PAGE),
    "nothing": answer("404 Not Found", b""),
    "words": answer("404 Not Found", b"404 page not found"),
    "a message alone": answer("404 Not Found", {"message": "Not Found"}),
    "a code of others": answer("404 Not Found", {"code": 404, "message": "no Route matched"}),
}


def test_there_is_no_such_order_only_when_the_broker_says_so(stand):
    assert broker_at(stand(NO_ORDER).url).order_by_client_id("one") is None
    for reply in NOT_FOUND_PAGES.values():
        with pytest.raises(Unknown):
            broker_at(stand(reply).url).order_by_client_id("one")


def test_an_order_that_is_looked_up_is_the_one_that_was_asked_for_or_unknown(stand):
    playing = stand(answer("200 OK", ORDER))
    assert broker_at(playing.url).order_by_client_id(INTENT.client_order_id).quantity == 2
    with pytest.raises(Unknown, match=INTENT.client_order_id):
        broker_at(playing.url).order_by_client_id("one")


def test_a_plain_403_to_a_question_is_about_the_keys(stand):
    """The data API has no codes, and nothing is lost by asking for the keys."""
    with pytest.raises(NotAuthorized):
        broker_at(stand(answer("403 Forbidden", b"forbidden.")).url).spots(["AAPL"])


BY_HAND = ORDER | {"id": "61e69015-8549-4bfd-b9c3-01e75843f470", "client_order_id": "by-hand"}


def test_an_order_by_hand_that_does_not_parse_is_left_out_of_the_list_and_told_of_once(
    stand, caplog
):
    broker = broker_at(stand(answer("200 OK", [BY_HAND | {"qty": "some"}, ORDER])).url)
    for _ in range(2):
        assert [order.client_order_id for order in broker.orders(NOW)] == [INTENT.client_order_id]
    told = [record.getMessage() for record in caplog.records if "by-hand" in record.getMessage()]
    assert len(told) == 1


@pytest.mark.parametrize(
    "odd",
    [
        ORDER | {"qty": "some"},
        ORDER | {"status": None},
        {**BY_HAND, "client_order_id": None, "qty": "some"},
        "a word",
    ],
)
def test_an_order_of_ours_that_does_not_parse_fails_the_list_and_so_does_one_that_may_be(
    odd, stand
):
    with pytest.raises(Unknown):
        broker_at(stand(answer("200 OK", [BY_HAND, odd])).url).orders(NOW)


def test_an_order_for_an_amount_of_money_has_no_quantity_and_is_in_the_list(stand):
    bought = BY_HAND | {"qty": None, "notional": "500", "filled_qty": "0.123456789"}
    (order,) = broker_at(stand(answer("200 OK", [bought])).url).orders(NOW)
    assert (order.quantity, order.filled_quantity) == (None, Decimal("0.123456789"))
