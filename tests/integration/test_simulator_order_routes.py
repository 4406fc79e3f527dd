"""Orders and positions of the simulated broker, driven by the unmodified alpaca-py client."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

with warnings.catch_warnings():
    # alpaca-py imports the old websockets API when any of its clients is imported.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderClass, OrderSide, QueryOrderStatus, TimeInForce
    from alpaca.trading.models import AccountConfiguration
    from alpaca.trading.requests import (
        ClosePositionRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        OptionLegRequest,
        ReplaceOrderRequest,
        StopLimitOrderRequest,
        TrailingStopOrderRequest,
    )

from simulator.__main__ import build, parser
from simulator.startup import StartupError
from simulator.switches import FillMode

ROOT = Path(__file__).parents[2]
TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
CALL, HIGHER = "AAPL261218C00230000", "AAPL261218C00240000"


@pytest.fixture
def trading(simulator):
    simulator.advance(TEN)
    client = TradingClient(api_key="key", secret_key="secret", url_override=simulator.url)
    client._session.trust_env = False  # no proxy between us and the loopback
    return client


def limit(symbol, side, price, qty=1, **more):
    return LimitOrderRequest(
        symbol=symbol, side=side, limit_price=price, qty=qty, time_in_force=TimeInForce.DAY, **more
    )


def spread(price, qty=1, ends="open"):
    legs = [
        OptionLegRequest(symbol=s, ratio_qty=1, position_intent=f"{side}_to_{ends}")
        for s, side in ((CALL, "buy"), (HIGHER, "sell"))
    ]
    return LimitOrderRequest(
        qty=qty,
        order_class=OrderClass.MLEG,
        legs=legs,
        limit_price=price,
        time_in_force=TimeInForce.DAY,
    )


def refused(call, *arguments):
    with pytest.raises(APIError) as caught:
        call(*arguments)
    return caught.value.status_code, caught.value.code


def test_an_order_is_replaced_and_the_chain_of_ids_can_be_walked(trading):
    old = trading.submit_order(limit(CALL, OrderSide.BUY, 0.5))
    new = trading.replace_order_by_id(old.id, ReplaceOrderRequest(limit_price=0.55, qty=2))
    assert (new.replaces, new.status.value, new.qty) == (old.id, "pending_new", "2")
    before, after = trading.get_order_by_id(old.id), trading.get_order_by_id(new.id)
    assert (before.status.value, before.replaced_by) == ("replaced", new.id)
    assert before.replaced_at is not None
    assert after.status.value == "new"
    assert refused(trading.replace_order_by_id, new.id, ReplaceOrderRequest(qty=2)) == (
        422,
        42210000,
    )
    assert refused(trading.cancel_order_by_id, old.id) == (422, 42210000)


def test_several_legs_are_replaced_together(trading):
    old = trading.submit_order(spread(0.01))
    new = trading.replace_order_by_id(old.id, ReplaceOrderRequest(limit_price=9.0))
    done = trading.get_order_by_id(new.id)
    assert (done.status.value, [leg.filled_qty for leg in done.legs]) == ("filled", ["1", "1"])
    assert {leg.status.value for leg in trading.get_order_by_id(old.id).legs} == {"replaced"}
    assert refused(trading.replace_order_by_id, done.legs[0].id, ReplaceOrderRequest(qty=2)) == (
        422,
        42210000,
    )


def test_stops_and_trailing_stops_are_read_back_as_they_were_sent(trading):
    stop = trading.submit_order(
        StopLimitOrderRequest(
            symbol=CALL,
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.GTC,
            stop_price=90,
            limit_price=91,
        )
    )
    assert (stop.stop_price, stop.limit_price, stop.time_in_force.value) == ("90", "91", "gtc")
    trail = trading.submit_order(
        TrailingStopOrderRequest(
            symbol="AAPL",
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            trail_percent=5,
        )
    )
    shown = trading.get_order_by_id(trail.id)
    assert (shown.trail_percent, shown.status.value) == ("5", "new")
    assert float(shown.stop_price) > float(shown.hwm) > 0


def test_positions_are_closed_one_by_one_and_all_at_once(trading):
    trading.submit_order(limit(CALL, OrderSide.BUY, 90, qty=4))
    trading.submit_order(MarketOrderRequest(symbol="AAPL", qty=10, side="buy", time_in_force="day"))
    half = trading.close_position(CALL, ClosePositionRequest(percentage="50"))
    assert (half.qty, half.side.value, half.type.value) == ("2", "sell", "market")
    assert trading.get_open_position(CALL).qty == "2"
    waiting = trading.submit_order(limit(CALL, OrderSide.SELL, 500, qty=2))
    answers = {a.symbol: a.status for a in trading.close_all_positions(cancel_orders=False)}
    assert answers == {CALL: 403, "AAPL": 200}
    (last,) = trading.close_all_positions(cancel_orders=True)
    assert (last.status, last.body.symbol) == (200, CALL)
    assert trading.get_all_positions() == []
    assert trading.get_order_by_id(waiting.id).status.value == "canceled"
    assert refused(trading.close_position, CALL) == (404, 40410000)


def test_all_orders_are_canceled_with_an_answer_each(trading):
    ids = {trading.submit_order(limit(CALL, OrderSide.BUY, p)).id for p in (0.5, 0.55)}
    answers = trading.cancel_orders()
    assert {UUID(str(a.id)) for a in answers} == ids
    assert {a.status for a in answers} == {200}
    assert trading.get_orders() == []


def test_the_configuration_of_the_account_is_kept_and_lowers_its_level(trading):
    chosen = trading.get_account_configurations()
    assert isinstance(chosen, AccountConfiguration)
    chosen.max_options_trading_level = 2
    chosen.no_shorting = True
    assert trading.set_account_configurations(chosen).max_options_trading_level == 2
    account = trading.get_account()
    assert (account.options_approved_level, account.options_trading_level) == (3, 2)
    assert account.shorting_enabled is False
    assert refused(trading.submit_order, spread(9)) == (403, 40310000)


def test_orders_are_listed_by_symbol_time_and_place(trading, simulator):
    single = trading.submit_order(limit(CALL, OrderSide.BUY, 0.5))
    several = trading.submit_order(spread(0.01))
    shares = trading.submit_order(limit("AAPL", OrderSide.BUY, 10))

    def ids(**query):
        asked = GetOrdersRequest(status=QueryOrderStatus.ALL, **query)
        return [order.id for order in trading.get_orders(asked)]

    assert ids(nested=True) == [shares.id, several.id, single.id]
    assert ids(nested=True, direction="asc", limit=1) == [single.id]
    assert ids(nested=True, symbols=[HIGHER]) == [several.id]
    assert ids(nested=True, symbols=["AAPL"]) == [shares.id]
    assert ids(nested=True, after=single.submitted_at, until=shares.submitted_at) == [several.id]
    leg = several.legs[0].id
    assert leg in ids()
    query = {"status": "all", "nested": True, "after_order_id": str(leg)}
    assert [o["id"] for o in trading.get("/orders", query)] == [str(shares.id)]
    query = {"status": "all", "symbols": "AAPL", "asset_class": "us_option", "nested": True}
    assert len(trading.get("/orders", query)) == 2
    both = {"after_order_id": str(leg), "after": "2026-11-20T00:00:00Z"}
    assert refused(trading.get, "/orders", both)[0] == 400


def send(url, method, path, raw=None):
    headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
    request = urllib.request.Request(url + path, raw, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.loads(answer.read())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/v2/orders/nobody"),
        ("PATCH", "/v2/account/configurations"),
        ("POST", "/v2/orders"),
    ],
)
@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"1", b'"x"', b"[" * 100_000, b""])
def test_a_body_that_is_none_gets_an_error_body(simulator, method, path, raw):
    status, body = send(simulator.url, method, path, raw)
    assert (status, set(body) >= {"code", "message"}) in {(400, True), (404, True)}
    assert send(simulator.url, "GET", "/v2/clock")[0] == 200


@pytest.mark.parametrize("path", ["x", "%00", "%C3%A9", "AAPL", "1" * 3000])
@pytest.mark.parametrize("query", ["", "?qty=NaN", "?percentage=1e999", "?qty=-1", "?qty=%00"])
def test_closing_what_is_not_held_gets_an_error_body(simulator, path, query):
    status, body = send(simulator.url, "DELETE", f"/v2/positions/{path}{query}")
    assert (status, body["code"]) == (404, 40410000)


def test_switches_come_from_a_file_and_from_the_line_which_wins(tmp_path):
    file = tmp_path / "habits.toml"
    file.write_text('fills = "queue"\npartial_share = 0.1\nzero_net = false\n')
    line = ["--switches", str(file), "--switch", "partial_share=0.5", "--seed", "3"]
    switches = build(parser().parse_args([*line, "--underlying", "AAPL"])).switches
    assert (switches.fills, switches.partial_share, switches.seed) == (FillMode.QUEUE, 0.5, 3)
    assert switches.zero_net is False


@pytest.mark.parametrize("text", ["partial_share", "nothing=1", "partial_share=2", "zero_net=x"])
def test_a_wrong_switch_keeps_the_simulator_from_starting(text):
    with pytest.raises(StartupError, match=text.split("=")[0]):
        build(parser().parse_args(["--switch", text]))


def test_a_missing_file_of_switches_is_said_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "simulator", "--switches", "/nowhere.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("simulator: /nowhere.toml: ")
    assert done.stderr.count("\n") == 1
