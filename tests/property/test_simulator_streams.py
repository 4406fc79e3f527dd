"""Laws of the streams: no client can break them, and no fault makes up what did not happen."""

import json
from decimal import Decimal

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import stream_codec
from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind
from simulator.inbox import End
from simulator.stream_codec import Garbled
from simulator.stream_talk import MarketTalk, TradingTalk
from simulator.streams import PATHS, TRADING, Streams
from simulator.times import MINUTE, new_york_moment
from tests.conftest import MADE_UP_DAY

TEN = new_york_moment(MADE_UP_DAY, 10, 0)
PUT, LOWER_PUT = "AAPL270115P00220000", "AAPL270115P00210000"

SYMBOLS = st.sampled_from(["AAPL", "*", PUT, "NOPE", "", "\ud800", "x" * 40]) | st.integers()
CHANNELS = st.sampled_from(["quotes", "trades", "bars", "lulds", "statuses", "news", "dances"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ACTIONS = st.sampled_from(
    ["auth", "authenticate", "listen", "unlisten", "subscribe", "unsubscribe"]
)
SENSIBLE = st.builds(
    lambda action, channels, data: {
        "action": action,
        "key": "K",
        "secret": "S",
        **channels,
        **data,
    },
    ACTIONS,
    st.dictionaries(CHANNELS, st.lists(SYMBOLS, max_size=4) | ANYTHING, max_size=2),
    st.fixed_dictionaries(
        {}, optional={"data": ANYTHING | st.just({"streams": ["trade_updates"]})}
    ),
)
SUBSCRIBES = st.builds(
    lambda action, channels: {"action": action, **channels},
    st.sampled_from(["subscribe", "unsubscribe"]),
    st.dictionaries(CHANNELS, st.lists(SYMBOLS, max_size=4), max_size=2),
)
AUTH = st.just({"action": "auth", "key": "K", "secret": "S"})


def an_exchange(market):
    return Exchange(*market, account="SIM000001", cash=Decimal(100_000), start=TEN)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=60)
@given(said=st.lists(AUTH | SUBSCRIBES | SENSIBLE | ANYTHING, max_size=8))
def test_whatever_a_client_says_is_answered_in_frames_that_can_be_sent(path, market, said):
    exchange = an_exchange(market)
    streams = Streams(exchange)
    inbox = streams.open(path)
    talk = (TradingTalk if path == TRADING else MarketTalk)(streams, inbox, lambda *_: True)
    talk.greet()
    for minute, message in enumerate(said):
        if inbox.ended is None:
            talk.hear(message)
            assert inbox.ended is not None or not inbox.is_empty
        exchange.advance(TEN + minute * MINUTE)
        for frame in inbox.read():
            packed = msgpack.unpackb(stream_codec.to_msgpack(frame))
            assert json.loads(stream_codec.to_json(frame))
            assert isinstance(packed, dict if path == TRADING else list)
    assert inbox.ended in {None, End.CLOSED}


@settings(max_examples=200)
@given(raw=st.binary(max_size=60) | st.text(max_size=60))
def test_whatever_bytes_come_are_a_message_or_garbled(raw):
    for codec in (stream_codec.JSON_TEXT, stream_codec.MSGPACK, stream_codec.MSGPACK_ONLY):
        try:
            codec.decode(raw)
        except Garbled:
            continue


EVENT_FAULTS = st.builds(
    Fault,
    kind=st.sampled_from([kind for kind in FaultKind if kind.startswith("stream_")]),
    method=st.sampled_from(["", "new", "fill", "canceled"]),
    skip=st.integers(0, 3),
    times=st.integers(1, 3),
    settings=st.just({}) | st.just({"seconds": 60}),
)
LOSSY = {
    FaultKind.STREAM_DROP,
    FaultKind.STREAM_MUTE,
    FaultKind.STREAM_DOWN,
    FaultKind.STREAM_REFUSE,
}
STEPS = st.lists(st.sampled_from(["fill", "work", "cancel", "minute"]), min_size=1, max_size=12)


@settings(max_examples=80)
@given(faults=st.lists(EVENT_FAULTS, max_size=4), steps=STEPS)
def test_faults_lose_repeat_and_reorder_events_but_never_make_one_up(market, faults, steps):
    exchange = an_exchange(market)
    streams = Streams(exchange)
    inbox = streams.subscribe("/stream")
    truth = []
    exchange.listeners.append(lambda update: truth.append((update.order.id, update.event)))
    for fault in faults:
        exchange.faults.arm(fault)
    heard = []
    for step in steps:
        live(exchange, step)
        heard += [envelope["data"] for envelope in inbox.read()]
    told = {(one["order"]["id"], one["event"]) for one in heard}
    happened = {one for one in truth if one[1] != "pending_new"}
    assert told <= happened
    executions = {done.execution_id for done in exchange.book.activities}
    assert {one["execution_id"] for one in heard if one["event"] == "fill"} <= executions
    fired = set(exchange.faults.fired)
    if not fired & (LOSSY | {FaultKind.STREAM_REORDER}):
        assert told == happened
    if not fired:
        assert [(one["order"]["id"], one["event"]) for one in heard] == [
            one for one in truth if one in happened
        ]


def live(exchange, step):
    if step == "minute":
        exchange.advance(exchange.now + MINUTE)
    elif step == "cancel":
        for order in list(exchange.book.working.values()):
            exchange.cancel(order.id)
    else:
        body = {"qty": "1", "side": "buy", "time_in_force": "day", "type": "market", "symbol": PUT}
        if step == "work":
            body |= {"type": "limit", "limit_price": "0.01", "symbol": LOWER_PUT}
        exchange.place(body)
        exchange.route()
