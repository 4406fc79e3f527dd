"""The stream of order updates over a real socket: a hint that shortens a wait, and nothing more."""

import time
from datetime import UTC, datetime

import httpx
import pytest

from broker.client import Keys
from broker.stream import OrderNews
from simulator.faults import Fault, FaultKind

KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
LONG_S = 20.0
ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


def listeners(simulator):
    return [inbox for inbox in simulator.streams.inboxes if inbox.wanted]


@pytest.fixture
def news(simulator):
    simulator.advance(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
    listening = OrderNews(Keys(key_id="key", secret_key="secret"), simulator.url, is_live=False)
    until = time.monotonic() + LONG_S
    while not listeners(simulator) and time.monotonic() < until:
        time.sleep(0.02)
    yield listening
    listening.close()


def place(simulator):
    answer = httpx.post(f"{simulator.url}/v2/orders", json=ORDER, headers=KEYS, trust_env=False)
    assert answer.status_code == 200


def waited_s(news, seconds):
    began = time.monotonic()
    news.wait(seconds)
    return time.monotonic() - began


def test_news_of_an_order_ends_a_wait(simulator, news):
    place(simulator)
    assert waited_s(news, LONG_S) < LONG_S / 2


def test_without_news_a_wait_lasts_as_long_as_it_was_asked_to(news):
    assert waited_s(news, 1.0) >= 1.0


def test_a_mute_stream_costs_time_and_nothing_else(simulator, news):
    simulator.exchange.faults.arm(Fault(kind=FaultKind.STREAM_MUTE, path="/stream", times=0))
    place(simulator)
    assert waited_s(news, 1.0) >= 1.0


def test_a_stream_that_was_lost_is_taken_up_again(simulator, news):
    simulator.exchange.faults.arm(
        Fault(kind=FaultKind.STREAM_DOWN, path="/stream", settings={"seconds": 0})
    )
    place(simulator)
    waited_s(news, LONG_S)
    until = time.monotonic() + LONG_S
    while time.monotonic() < until:
        place(simulator)
        if waited_s(news, 2.0) < 1.9:
            return
    pytest.fail("it never told anything again")
