"""Whose questions are answered."""

from base64 import b64encode
from decimal import Decimal

import pytest

from simulator.access import may_ask
from simulator.app import create_app
from simulator.exchange import Exchange

WANTED = ("key", "secret")


def basic(text):
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"},
        basic("key:secret"),
    ],
)
def test_the_named_keys_open_and_so_do_any_where_none_are_named(headers):
    assert may_ask(headers, WANTED)
    assert may_ask(headers, (None, None))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"APCA-API-KEY-ID": "key"},
        {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "wrong\xff"},
        basic("key:wrong"),
        basic("key"),
        {"Authorization": "Basic \xff%"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer key"},
    ],
)
def test_anything_else_stays_outside(headers):
    assert not may_ask(headers, WANTED)


def test_nobody_asks_without_keys_even_where_any_will_do():
    assert not may_ask({}, (None, None))
    assert may_ask({"Authorization": "Bearer token"}, (None, None))


def test_a_stranger_to_data_hears_a_message_alone(ask, mistakes, monkeypatch, market):
    monkeypatch.setenv("SIMULATOR_KEY_ID", "other")
    made, sessions = market
    start = sessions.on(made.days[0]).open
    app = create_app(Exchange(made, sessions, account="A", cash=Decimal(1), start=start))
    answer = ask(app, "GET", "/v2/stocks/snapshots?symbols=AAPL")
    assert (answer.status_code, mistakes("data_error", answer.json())) == (401, [])
    answer = ask(app, "GET", "/v2/clock")
    assert (answer.status_code, mistakes("trading_error", answer.json())) == (401, [])
