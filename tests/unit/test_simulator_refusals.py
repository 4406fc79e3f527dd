"""What a client may get wrong is refused with the code that is documented for it."""

from datetime import date
from decimal import Decimal

import pytest

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
APP = create_app(
    Exchange(
        Synthetic(DAY, ["AAPL"], 7, SESSIONS),
        SESSIONS,
        account="REFUSALS",
        cash=Decimal(100_000),
        start=new_york_moment(DAY, 11, 0),
    )
)
CONTRACT = "AAPL261204C00230000"
ORDER = {
    "symbol": CONTRACT,
    "qty": "1",
    "side": "buy",
    "type": "limit",
    "limit_price": "0.05",
    "time_in_force": "day",
}


@pytest.fixture(scope="module")
def get(ask):
    return lambda path, **query: ask(APP, "GET", path, params=query)


@pytest.fixture(scope="module")
def post(ask):
    return lambda **change: ask(APP, "POST", "/v2/orders", json=ORDER | change)


def said(answer):
    return answer.status_code, answer.json().get("code")


@pytest.mark.parametrize("path", ["/v2/account/", "/v2/orders/", "/v2/options/contracts/"])
def test_a_path_too_long_by_a_slash_is_no_endpoint(get, path):
    answer = get(path)
    assert said(answer) == (404, 40410000)
    assert answer.json()["message"] == "endpoint not found"


def test_the_data_api_has_no_such_path_either_and_no_code(get):
    answer = get("/v2/stocks/bars/", symbols="AAPL", timeframe="1Min")
    assert (answer.status_code, answer.json()) == (404, {"message": "endpoint not found"})


@pytest.mark.parametrize("odd", ["\0", "a\nb", "a\x1b[0m", "\x7f", "\x85"])
def test_control_characters_are_no_part_of_a_client_order_id(post, odd):
    assert said(post(client_order_id=odd)) == (422, 40010001)


def test_any_other_text_is_a_client_order_id(post):
    given = "a b/é💥:1"
    assert post(client_order_id=given).json()["client_order_id"] == given
