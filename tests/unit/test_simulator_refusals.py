"""What a client may get wrong is refused with the code that is documented for it."""

import json
from base64 import b64encode
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
MARKET = Synthetic(DAY, ["AAPL"], 7, SESSIONS)


def app_at(hour):
    start = new_york_moment(DAY, hour, 0)
    return create_app(
        Exchange(MARKET, SESSIONS, account="REFUSALS", cash=Decimal(100_000), start=start)
    )


APP = app_at(11)
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


@pytest.mark.parametrize("odd", ["1e2", " 1", "1 ", "1_0", "\u0661", "0x1", ".", ""])
def test_a_quantity_in_text_is_digits_and_a_point(post, odd):
    assert said(post(qty=odd)) == (422, 40010001)


@pytest.mark.parametrize("text", ["1", "1.0", "+1", "01"])
def test_digits_and_a_point_are_a_quantity(post, text):
    assert post(qty=text).json()["qty"] == "1"


@pytest.mark.parametrize("digits", ["9" * 5_000, "1e999", "-" + "9" * 5_000])
def test_a_number_beyond_all_bounds_is_a_bad_quantity_however_it_is_written(ask, digits):
    body = json.dumps(ORDER).replace('"qty": "1"', f'"qty": {digits}')
    assert said(ask(APP, "POST", "/v2/orders", content=body)) == (422, 40010001)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/v2/orders", "nested"),
        ("/v2/orders/x", "nested"),
        ("/v2/account/portfolio/history", "extended_hours"),
        ("/v2/options/contracts", "show_deliverables"),
    ],
)
def test_a_switch_of_a_question_is_true_or_false(get, path, key):
    assert said(get(path, **{key: "maybe"})) == (400, 40010000)
    assert key in get(path, **{key: "maybe"}).json()["message"]
    assert get(path, **{key: "True"}).status_code != 400


def test_who_closes_all_positions_says_true_or_false(ask):
    answer = ask(APP, "DELETE", "/v2/positions", params={"cancel_orders": "maybe"})
    assert said(answer) == (400, 40010000)


def test_an_order_is_not_looked_up_without_its_client_order_id(get):
    for query in ({}, {"client_order_id": ""}):
        answer = get("/v2/orders:by_client_order_id", **query)
        assert said(answer) == (400, 40010000)
        assert "client_order_id" in answer.json()["message"]


@pytest.mark.parametrize("text", ["", "\0\0\0", "garbage", "AAPL|", "AAPL|1|2", "2026-11-20 AAPL"])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/options/contracts", {}),
        ("/v1beta1/options/snapshots/AAPL", {}),
        ("/v1beta1/options/snapshots", {"symbols": CONTRACT}),
        ("/v1beta1/options/bars", {"symbols": CONTRACT, "timeframe": "1Min"}),
        ("/v2/stocks/trades", {"symbols": "AAPL"}),
        ("/v1/corporate-actions", {}),
        ("/v2/account/activities", {}),
    ],
)
def test_a_page_token_that_no_page_had_is_refused(get, path, query, text):
    for token in (f"x{text}", b64encode(text.encode()).decode() or "AAAA"):
        answer = get(path, page_token=token, **query)
        assert (answer.status_code, "page_token" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize("start", ["1900-01-01", "0001-01-01", "0001-01-01T00:00:00Z"])
def test_bars_begin_on_any_day_that_there_was(get, start):
    asked = {"symbols": "AAPL", "timeframe": "1Min", "start": start}
    before = get("/v2/stocks/bars", end="1960-01-01", **asked)
    assert before.json() == {"bars": {}, "next_page_token": None}
    with_ours = get("/v2/stocks/bars", end="9999-12-31", **asked)
    assert len(with_ours.json()["bars"]["AAPL"]) > 60


@pytest.mark.parametrize("odd", ["2026-11-20x", "2026-11-20T25:00:00Z", "20-11-2026", "today"])
def test_a_day_with_anything_behind_it_but_a_time_is_refused(get, odd):
    for path, key in (("/v2/options/contracts", "expiration_date"), ("/v2/calendar", "start")):
        assert said(get(path, **{key: odd})) == (400, 40010000)
        assert get(path, **{key: "2026-11-20T09:30:00-05:00"}).status_code == 200


def test_no_contract_expires_on_a_day_out_of_all_calendars(get):
    for day in ("0001-01-01", "9999-12-31"):
        answer = get("/v2/options/contracts", expiration_date=day)
        assert answer.json() == {"option_contracts": [], "next_page_token": None}


@pytest.mark.parametrize(
    ("kind", "said_of_it", "status"),
    [("inactive", "is not active", "inactive"), ("untradable", "is not tradable", "active")],
)
@pytest.mark.parametrize("named", [CONTRACT, "AAPL", ""])
def test_no_order_is_taken_for_a_contract_that_the_broker_bars(
    ask, kind, said_of_it, status, named
):
    app = app_at(11)
    ask(app, "POST", "/sim/faults", json={"kind": kind, "symbol": named})
    answer = ask(app, "POST", "/v2/orders", json=ORDER)
    assert said(answer) == (422, 42210000)
    assert answer.json()["message"] == f'contract "{CONTRACT}" {said_of_it}'
    shown = ask(app, "GET", f"/v2/options/contracts/{CONTRACT}").json()
    assert (shown["status"], shown["tradable"]) == (status, False)
    query = {"status": status, "expiration_date": "2026-12-04", "limit": 10_000}
    listed = ask(app, "GET", "/v2/options/contracts", params=query).json()["option_contracts"]
    assert CONTRACT in [contract["symbol"] for contract in listed if not contract["tradable"]]
    ask(app, "DELETE", "/sim/faults")
    assert ask(app, "POST", "/v2/orders", json=ORDER).status_code == 200
