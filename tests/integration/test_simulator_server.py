"""A real simulator process, driven by the unmodified alpaca-py clients."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections import namedtuple
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

with warnings.catch_warnings():
    # alpaca-py imports the old websockets API when any of its clients is imported.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.option import OptionHistoricalDataClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.requests import (
        CorporateActionsRequest,
        OptionChainRequest,
        OptionLatestQuoteRequest,
        OptionSnapshotRequest,
        StockBarsRequest,
        StockLatestQuoteRequest,
        StockSnapshotRequest,
    )
    from alpaca.data.timeframe import TimeFrame
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderClass, OrderSide, OrderType, PositionIntent, TimeInForce
    from alpaca.trading.requests import (
        GetCalendarRequest,
        GetOptionContractsRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        OptionLegRequest,
    )

ROOT = Path(__file__).parents[2]
RECORDED = ROOT.parent / "shared/market-data"
GOOG = RECORDED / "options-minute/GOOG-2015-12-24.parquet"
needs_recording = pytest.mark.skipif(
    not GOOG.is_file(), reason="the recorded GOOG quotes of 2015-12-24 are not on this machine"
)

Server = namedtuple("Server", "url trading options stocks raw_trading raw_options")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SIMULATOR_")}
    return kept | {"NO_PROXY": "127.0.0.1", "PYTHONUNBUFFERED": "1"} | more


@contextlib.contextmanager
def running(*arguments, **variables):
    port = free_port()
    command = [sys.executable, "-m", "simulator", "--port", str(port), *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(**variables), stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(process, url)
        yield server(url)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert "Traceback" not in errors


def wait_until_up(process, url):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/sim/health", timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError("the simulator did not start within 30 s")


def server(url):
    keys = {"api_key": "key", "secret_key": "secret", "url_override": url}
    clients = (
        TradingClient(**keys),
        OptionHistoricalDataClient(**keys),
        StockHistoricalDataClient(**keys),
        TradingClient(**keys, raw_data=True),
        OptionHistoricalDataClient(**keys, raw_data=True),
    )
    for client in clients:
        client._session.trust_env = False  # no proxy between us and the loopback
    return Server(url, *clients)


def http(server, method, path, body=None):
    """Status and JSON, without a client's opinion."""
    headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.loads(answer.read())


def move(server, moment):
    status, body = http(server, "POST", "/sim/clock", {"now": moment})
    assert status == 200, body
    return body


@pytest.fixture
def broker():
    with running() as up:
        move(up, "2026-11-20T16:30:00Z")
        yield up


@pytest.fixture(scope="module")
def market():
    """For questions that change nothing."""
    with running() as up:
        move(up, "2026-11-20T16:30:00Z")
        yield up


@pytest.fixture(scope="module")
def recorded():
    arguments = ("--replay", str(RECORDED), "--underlying", "GOOG", "--day", "2015-12-24")
    with running(*arguments, "--cash", "200000") as up:
        yield up


def condor(client_order_id, *, limit=-0.5, qty=1):
    legs = [
        ("SPY261224P00575000", PositionIntent.SELL_TO_OPEN, OrderSide.SELL),
        ("SPY261224P00570000", PositionIntent.BUY_TO_OPEN, OrderSide.BUY),
        ("SPY261224C00625000", PositionIntent.SELL_TO_OPEN, OrderSide.SELL),
        ("SPY261224C00630000", PositionIntent.BUY_TO_OPEN, OrderSide.BUY),
    ]
    return LimitOrderRequest(
        qty=qty,
        type=OrderType.LIMIT,
        order_class=OrderClass.MLEG,
        time_in_force=TimeInForce.DAY,
        limit_price=limit,
        client_order_id=client_order_id,
        legs=[
            OptionLegRequest(symbol=symbol, ratio_qty=1, side=side, position_intent=intent)
            for symbol, intent, side in legs
        ],
    )


def test_the_account_the_clock_and_the_calendar_parse(market):
    account = market.trading.get_account()
    assert (account.cash, account.options_trading_level) == ("100000", 3)
    assert market.raw_trading.get_account()["options_buying_power"] == "100000"
    clock = market.trading.get_clock()
    assert clock.is_open
    assert clock.timestamp.isoformat() == "2026-11-20T11:30:00-05:00"
    assert clock.next_close.isoformat() == "2026-11-20T16:00:00-05:00"
    days = market.trading.get_calendar(
        GetCalendarRequest(start=date(2026, 11, 25), end=date(2026, 11, 30))
    )
    assert [(d.date.day, d.close.hour) for d in days] == [(25, 16), (27, 13), (30, 16)]
    assert market.trading.get_account_configurations().max_options_trading_level is None
    assert {asset.symbol for asset in market.trading.get_all_assets()} == {"SPY", "AAPL", "NVDA"}
    assert market.trading.get_asset("SPY").exchange.value == "ARCA"


def test_a_chain_of_over_a_thousand_contracts_comes_in_pages_without_gap_or_double(market):
    chain = market.options.get_option_chain(OptionChainRequest(underlying_symbol="SPY"))
    assert len(chain) > 1000
    listed, token = [], None
    while True:
        page = market.trading.get_option_contracts(
            GetOptionContractsRequest(
                underlying_symbols=["SPY"],
                expiration_date_gte="2026-11-20",
                limit=300,
                page_token=token,
            )
        )
        listed += [contract.symbol for contract in page.option_contracts]
        token = page.next_page_token
        if token is None:
            break
    assert listed == sorted(set(listed)) == sorted(chain)


def test_a_chain_has_two_sided_quotes_greeks_and_some_oddities(market):
    raw = market.raw_options.get_option_chain(OptionChainRequest(underlying_symbol="SPY"))
    quotes = [snapshot["latestQuote"] for snapshot in raw.values()]
    assert any(quote["bp"] == 0 and quote["bs"] == 0 for quote in quotes)
    assert all(quote["c"] == "A" for quote in quotes)
    with_greeks = [s for s in raw.values() if "greeks" in s]
    assert len(with_greeks) > 700
    assert all("impliedVolatility" in snapshot for snapshot in with_greeks)
    chain = market.options.get_option_chain(
        OptionChainRequest(
            underlying_symbol="SPY",
            type="put",
            expiration_date="2026-12-24",
            strike_price_gte=570,
            strike_price_lte=580,
        )
    )
    assert list(chain) == [f"SPY261224P00{strike}000" for strike in (570, 575, 580)]
    assert -0.3 < chain["SPY261224P00575000"].greeks.delta < -0.1


def test_an_unknown_underlying_is_an_empty_chain_and_an_empty_list(market):
    assert market.options.get_option_chain(OptionChainRequest(underlying_symbol="ZZZZ")) == {}
    found = market.trading.get_option_contracts(
        GetOptionContractsRequest(underlying_symbols=["ZZZZ"])
    )
    assert found.option_contracts == []


def test_contracts_without_an_expiration_asked_for_end_with_the_week(market):
    found = market.trading.get_option_contracts(
        GetOptionContractsRequest(underlying_symbols=["SPY"], limit=10_000)
    )
    assert {c.expiration_date for c in found.option_contracts} == {date(2026, 11, 20)}
    one = market.trading.get_option_contract("SPY261224P00575000")
    assert (one.strike_price, one.size) == (575.0, "100")
    assert market.trading.get_option_contract(one.id).symbol == one.symbol
    with pytest.raises(APIError) as caught:
        market.trading.get_option_contract("SPY261224P00001000")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_stock_quotes_bars_and_snapshots_parse(market):
    quote = market.stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="SPY"))
    assert quote["SPY"].ask_price - quote["SPY"].bid_price == pytest.approx(0.02)
    bars = market.stocks.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols=["SPY"],
            timeframe=TimeFrame.Minute,
            start=datetime(2026, 11, 20, 14, 30, tzinfo=UTC),
        )
    )
    assert len(bars["SPY"]) == 120
    assert bars["SPY"][-1].timestamp == datetime(2026, 11, 20, 16, 29, tzinfo=UTC)
    daily = market.stocks.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols="SPY",
            timeframe=TimeFrame.Day,
            start=datetime(2026, 11, 1, tzinfo=UTC),
        )
    )
    assert daily["SPY"][-2].close == 600.0
    snapshot = market.stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="SPY"))
    assert snapshot["SPY"].previous_daily_bar.close == 600.0
    actions = CorporateActionsClient(api_key="k", secret_key="s", url_override=market.url)
    actions._session.trust_env = False
    asked = CorporateActionsRequest(
        symbols=["SPY"], start=date(2026, 11, 20), end=date(2026, 12, 31)
    )
    found = actions.get_corporate_actions(asked).data
    dividends = [(paid.ex_date, paid.rate) for paid in found["cash_dividends"]]
    assert list(found) == ["cash_dividends"]
    assert dividends[-1] == (date(2026, 12, 18), 1.8)


def test_option_quotes_and_snapshots_by_symbol_leave_unknown_ones_out(market):
    symbols = ["SPY261224P00575000", "AAPL261224P00001000"]
    request = OptionLatestQuoteRequest(symbol_or_symbols=symbols)
    assert list(market.options.get_option_latest_quote(request)) == symbols[:1]
    request = OptionSnapshotRequest(symbol_or_symbols=symbols)
    assert list(market.options.get_option_snapshot(request)) == symbols[:1]


def test_a_condor_is_pending_then_filled_at_the_natural_credit(broker):
    placed = broker.trading.submit_order(condor("c-1", qty=2))
    assert placed.status.value == "pending_new"
    assert placed.symbol is None
    order = broker.trading.get_order_by_client_id("c-1")
    assert order.status.value == "filled"
    signed = [
        float(leg.filled_avg_price) * (1 if leg.side == OrderSide.BUY else -1) for leg in order.legs
    ]
    assert sum(signed) == pytest.approx(float(order.filled_avg_price), abs=1e-9)
    credit = -float(order.filled_avg_price)
    assert 1.0 < credit < 2.0
    account = broker.trading.get_account()
    assert float(account.cash) == pytest.approx(100_000 + 200 * credit, abs=1e-6)
    assert float(account.options_buying_power) == pytest.approx(float(account.cash) - 1000)
    positions = {p.symbol: p.qty for p in broker.trading.get_all_positions()}
    assert sorted(positions.values()) == ["-2", "-2", "2", "2"]
    held = broker.trading.get_open_position("SPY261224P00575000")
    assert (held.side.value, held.qty_available) == ("short", "-2")
    fills = broker.raw_trading.get("/account/activities/FILL", {"page_size": 3})
    rest = broker.raw_trading.get(
        "/account/activities/FILL", {"page_size": 3, "page_token": fills[-1]["id"]}
    )
    assert len(fills) == 3
    assert {f["order_id"] for f in fills + rest} == {str(leg.id) for leg in order.legs}
    again = broker.raw_trading.get_order_by_id(order.id)
    assert again["legs"][0]["ratio_qty"] == "1"


def test_a_working_order_can_be_canceled_once_and_all_at_once(broker):
    order = broker.trading.submit_order(condor("c-1", limit=-4.9))
    assert broker.trading.get_order_by_id(order.id).status.value == "new"
    assert broker.trading.cancel_order_by_id(order.id) is None
    assert broker.trading.get_order_by_id(order.id).status.value == "canceled"
    with pytest.raises(APIError) as caught:
        broker.trading.cancel_order_by_id(order.id)
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    with pytest.raises(APIError) as caught:
        broker.trading.submit_order(condor("c-1"))
    assert (caught.value.status_code, caught.value.code) == (422, 40010001)
    other = broker.trading.submit_order(condor("c-2", limit=-4.9))
    canceled = broker.trading.cancel_orders()
    assert [(c.id, c.status) for c in canceled] == [(other.id, 200)]
    with pytest.raises(APIError) as caught:
        broker.trading.get_order_by_client_id("nobody")
    assert (caught.value.status_code, caught.value.code) == (404, 40410000)


def test_a_day_order_expires_at_the_close_and_lists_tell_open_from_closed(broker):
    order = broker.trading.submit_order(condor("c-1", limit=-4.9))
    nested = GetOrdersRequest(nested=True, symbols=["SPY261224P00575000"])
    assert [o.id for o in broker.trading.get_orders(nested)] == [order.id]
    move(broker, "2026-11-20T21:00:00Z")
    expired = broker.trading.get_order_by_id(order.id)
    assert expired.status.value == "expired"
    assert broker.trading.get_orders(nested) == []
    closed = broker.trading.get_orders(GetOrdersRequest(status="closed", nested=True))
    assert len(closed[0].legs) == 4
    assert not broker.trading.get_clock().is_open


def test_nothing_a_client_sends_is_answered_with_a_server_error(market):
    bodies = [
        b"", b"[", b"null", b"[]", b'"x"', b'{"qty":NaN}', b'{"qty":1e999}', b"\xff\xfe",
        b'{"symbol":"\\ud800","side":"buy","type":"market","time_in_force":"day","qty":1}',
        b'{"order_class":"mleg","legs":[[],{}],"type":"limit","time_in_force":"day","qty":1}',
        b"[" * 100_000,
    ]  # fmt: skip
    for body in bodies:
        status, answer = http(market, "POST", "/v2/orders", body)
        assert 400 <= status < 500, body
        assert set(answer) >= {"code", "message"}
    paths = [
        "/v2/options/contracts?limit=0", "/v2/options/contracts?limit=x",
        "/v2/options/contracts?expiration_date=9999-12-31x", "/v2/orders?after=yesterday",
        "/v2/options/contracts?strike_price_gte=NaN", "/v2/options/contracts?page_token=%%%",
        "/v2/account/activities?date=9999-12-32", "/v2/orders?status=none",
    ]  # fmt: skip
    for path in paths:
        assert http(market, "GET", path)[0] == 400, path
    assert http(market, "GET", "/v1beta1/options/snapshots/SPY?limit=1001") == (
        400,
        {"message": "invalid limit: must be between 1 and 1000"},
    )
    missing = (404, {"code": 40410000, "message": "endpoint not found"})
    assert http(market, "GET", "/v2/nothing") == missing
    assert http(market, "PUT", "/v2/account") == missing


def test_only_the_named_keys_may_ask():
    with running(SIMULATOR_KEY_ID="key", SIMULATOR_SECRET_KEY="right") as up:
        with pytest.raises(APIError) as caught:
            up.trading.get_account()
        assert (caught.value.status_code, caught.value.code) == (401, 40110000)
        right = TradingClient("key", "right", url_override=up.url)
        right._session.trust_env = False
        assert right.get_account().status.value == "ACTIVE"


def test_the_clock_moves_forward_only_and_says_where_it_stands(broker):
    status, answer = http(broker, "POST", "/sim/clock", {"now": "2026-11-20T15:00:00Z"})
    assert status == 409
    assert "2026-11-20T16:30" in answer["message"]
    assert http(broker, "POST", "/sim/clock", {"then": 1})[0] == 400


def test_two_processes_give_the_same_account_for_the_same_requests():
    states = []
    for _ in range(2):
        with running("--seed", "11", "--underlying", "SPY") as up:
            move(up, "2026-11-20T16:30:00Z")
            up.trading.submit_order(condor("c-1", qty=2))
            up.trading.submit_order(condor("c-2", limit=-4.9))
            move(up, "2026-11-23T15:00:00Z")
            states.append(http(up, "GET", "/sim/state"))
    assert states[0] == states[1]
    assert len(states[0][1]["orders"]) == 2


def test_virtual_time_runs_by_itself_when_given_a_speed():
    with running("--speed", "600", "--underlying", "SPY") as up:
        first = up.trading.get_clock().timestamp
        time.sleep(0.3)
        passed = up.trading.get_clock().timestamp - first
        assert timedelta(minutes=2) < passed < timedelta(hours=2)


@needs_recording
def test_recorded_goog_quotes_are_shown_as_they_stood_and_nothing_later(recorded):
    before = http(recorded, "GET", "/v1beta1/options/snapshots/GOOG")
    assert before == (200, {"snapshots": {}, "next_page_token": None})
    move(recorded, "2015-12-24T15:00:00Z")
    chain = recorded.raw_options.get_option_chain(OptionChainRequest(underlying_symbol="GOOG"))
    rows = pd.read_parquet(GOOG)
    seen = rows[rows["ts"] <= pd.Timestamp("2015-12-24T15:00:00Z")]
    last = seen.sort_values("ts", kind="stable").groupby("symbol").last(skipna=False)
    assert list(chain) == sorted(last.index)
    bids = {symbol: snapshot["latestQuote"]["bp"] for symbol, snapshot in chain.items()}
    asks = {symbol: snapshot["latestQuote"]["ap"] for symbol, snapshot in chain.items()}
    assert bids == last["bid"].fillna(0.0).to_dict()
    assert asks == last["ask"].fillna(0.0).to_dict()
    assert all("greeks" not in snapshot for snapshot in chain.values())
    newest = max(snapshot["latestQuote"]["t"] for snapshot in chain.values())
    assert newest <= "2015-12-24T15:00:00.000000000Z"


@needs_recording
def test_recorded_goog_contracts_settle_at_the_official_close_read_the_next_morning(recorded):
    move(recorded, "2015-12-24T15:30:00Z")
    symbols = ["GOOG151224C00745000", "GOOG151224P00745000", "GOOG151224P00750000"]
    sides = [OrderSide.BUY, OrderSide.BUY, OrderSide.SELL]
    for symbol, side in zip(symbols, sides, strict=True):
        order = LimitOrderRequest(
            symbol=symbol,
            qty=1,
            side=side,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            limit_price=50 if side == OrderSide.BUY else 0.05,
        )
        placed = recorded.trading.submit_order(order)
        assert recorded.trading.get_order_by_id(placed.id).status.value == "filled"
    cash = float(recorded.trading.get_account().cash)
    move(recorded, "2015-12-25T07:00:00Z")
    done = recorded.raw_trading.get("/account/activities", {"direction": "asc"})[3:]
    # the stock closed at 748.40: the 745 call is exercised, the short 750 put assigned
    assert [(a["activity_type"], a["symbol"], a["qty"], a["net_amount"]) for a in done] == [
        ("OPASN", symbols[2], "1", "0"),
        ("OPTRD", "GOOG", "100", "-75000"),
        ("OPEXC", symbols[0], "-1", "0"),
        ("OPTRD", "GOOG", "100", "-74500"),
        ("OPEXP", symbols[1], "-1", "0"),
    ]
    assert float(recorded.trading.get_account().cash) == pytest.approx(cash - 149_500)
    held = recorded.trading.get_all_positions()
    assert [(p.symbol, p.qty, p.avg_entry_price) for p in held] == [("GOOG", "200", "747.5")]
    chain = recorded.raw_options.get_option_chain(OptionChainRequest(underlying_symbol="GOOG"))
    assert not any(symbol.startswith("GOOG151224") for symbol in chain)
    gone = recorded.trading.get_option_contract(symbols[0])
    assert (gone.status.value, gone.tradable) == ("inactive", False)
    with pytest.raises(APIError) as caught:
        recorded.trading.submit_order(
            LimitOrderRequest(
                symbol=symbols[0], qty=1, side="buy", time_in_force="day", limit_price=1
            )
        )
    assert "is expired" in caught.value.message
