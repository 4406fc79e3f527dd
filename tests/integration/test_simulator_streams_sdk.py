"""The streams of a served simulator, read by the unmodified stream clients of alpaca-py."""

import asyncio
import queue
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from alpaca.data.live.option import OptionDataStream
from alpaca.data.live.stock import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, OptionLegRequest
from alpaca.trading.stream import TradingStream

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
PUT, LOWER_PUT = "AAPL270115P00220000", "AAPL270115P00210000"
KEYS = {"api_key": "KEY-ID", "secret_key": "SECRET"}


def endpoint(simulator, path):
    return simulator.url.replace("http", "ws") + path


@contextmanager
def running(stream, is_ready):
    """The stream's blocking run() in a thread, once `is_ready`; stopped at the end."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    wait_until(is_ready)
    try:
        yield
    finally:
        # stop() alone lets the reader finish its own wait of 5 s; a closed socket wakes it.
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop).result(5)
        asyncio.run_coroutine_threadsafe(stream._ws.close(), stream._loop).result(5)
        thread.join(10)
    assert not thread.is_alive()


def wait_until(is_true):
    for _ in range(2000):
        if is_true():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not come about within 10 s")


@pytest.fixture
def trading(simulator):
    client = TradingClient(**KEYS, url_override=simulator.url)
    client._session.trust_env = False
    simulator.advance(TEN)
    return client


@pytest.fixture
def told(simulator):
    """Reads trade updates into a queue from now on; yields it."""
    yield from listening(simulator, raw_data=False)


@pytest.fixture
def told_raw(simulator):
    yield from listening(simulator, raw_data=True)


def listening(simulator, *, raw_data):
    heard = queue.Queue()
    stream = TradingStream(**KEYS, url_override=endpoint(simulator, "/stream"), raw_data=raw_data)

    async def hear(update):
        heard.put(update)

    stream.subscribe_trade_updates(hear)
    with running(stream, lambda: any(i.wanted for i in inboxes(simulator))):
        yield heard


def inboxes(simulator):
    return simulator.streams.inboxes


def next_of(heard):
    return heard.get(timeout=10)


def test_an_order_is_told_as_new_and_then_as_filled(trading, told):
    order = trading.submit_order(
        MarketOrderRequest(symbol=PUT, qty=2, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )
    new, fill = next_of(told), next_of(told)
    assert (new.event, fill.event) == ("new", "fill")
    assert new.order.id == fill.order.id == order.id
    assert (new.order.status, fill.order.status) == ("new", "filled")
    assert (fill.qty, fill.position_qty) == (2, 2)
    assert fill.price == float(fill.order.filled_avg_price)
    assert fill.execution_id != new.execution_id
    activity = trading.get("/account/activities/FILL")[0]
    assert activity["id"].endswith(str(fill.execution_id))


def test_a_canceled_order_is_told_as_new_and_then_as_canceled(trading, told):
    order = trading.submit_order(
        LimitOrderRequest(
            symbol=PUT,
            qty=1,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            limit_price=0.01,
        )
    )
    trading.cancel_order_by_id(order.id)
    assert [next_of(told).event, next_of(told).event] == ["new", "canceled"]


def test_a_spread_is_told_as_one_with_an_execution_a_leg(trading, told_raw):
    trading.submit_order(
        MarketOrderRequest(
            qty=2,
            order_class=OrderClass.MLEG,
            time_in_force=TimeInForce.DAY,
            legs=[
                OptionLegRequest(
                    symbol=PUT, ratio_qty=1, position_intent=PositionIntent.SELL_TO_OPEN
                ),
                OptionLegRequest(
                    symbol=LOWER_PUT, ratio_qty=1, position_intent=PositionIntent.BUY_TO_OPEN
                ),
            ],
        )
    )
    new, fill = next_of(told_raw)["data"], next_of(told_raw)["data"]
    assert (new["event"], fill["event"]) == ("new", "fill")
    assert fill["position_qtys"] == {PUT: "-2", LOWER_PUT: "2"}
    assert (fill["qty"], fill["price"]) == ("2", fill["order"]["filled_avg_price"])
    assert not {"execution_id", "position_qty"} & set(fill)
    assert [leg["symbol"] for leg in fill["legs"]] == [PUT, LOWER_PUT]
    assert [leg["order_id"] for leg in fill["legs"]] == [leg["id"] for leg in fill["order"]["legs"]]
    rows = trading.get("/account/activities/FILL")
    ids = {row["id"].partition("::")[2] for row in rows}
    assert {leg["execution_id"] for leg in fill["legs"]} == ids
    assert new["event_id"] != fill["event_id"]
    assert len(fill["event_id"]) == 26


def collected(stream, method, symbols):
    """Subscribes and answers the queue that its handler fills."""
    heard = queue.Queue()

    async def hear(message):
        heard.put(message)

    method(hear, *symbols)
    return heard


def steps(simulator, minutes):
    for minute in range(1, minutes + 1):
        simulator.advance(TEN + timedelta(minutes=minute))


def wants(simulator, *channels):
    return lambda: any(set(channels) <= set(inbox.wanted) for inbox in inboxes(simulator))


@pytest.mark.parametrize("feed", ["opra", "indicative"])
def test_option_quotes_and_trades_come_as_the_clock_steps(feed, simulator):
    simulator.advance(TEN)
    stream = OptionDataStream(**KEYS, url_override=endpoint(simulator, f"/v1beta1/{feed}"))
    quotes = collected(stream, stream.subscribe_quotes, [PUT])
    trades = collected(stream, stream.subscribe_trades, [PUT, LOWER_PUT])
    with running(stream, wants(simulator, "quotes", "trades")):
        steps(simulator, 40)
        for minute in range(1, 41):
            quote = next_of(quotes)
            at = TEN + timedelta(minutes=minute)
            assert (quote.symbol, quote.timestamp) == (PUT, at)
        now = simulator.exchange.quote(PUT)
        assert (quote.bid_price, quote.ask_price) == (float(now.bid), float(now.ask))
        trade = next_of(trades)
        assert trade.symbol in {PUT, LOWER_PUT}
        assert trade.price > 0
        assert trade.size >= 1
        late = timedelta(minutes=15 if feed == "indicative" else 0)
        assert TEN - late < trade.timestamp <= simulator.now - late
    assert quotes.empty()


def test_stock_quotes_trades_and_bars_come_as_the_clock_steps(simulator):
    simulator.advance(TEN)
    stream = StockDataStream(**KEYS, url_override=endpoint(simulator, "/v2/iex"))
    quotes = collected(stream, stream.subscribe_quotes, ["AAPL"])
    trades = collected(stream, stream.subscribe_trades, ["*"])
    bars = collected(stream, stream.subscribe_bars, ["AAPL"])
    days = collected(stream, stream.subscribe_daily_bars, ["AAPL"])
    with running(stream, wants(simulator, "quotes", "trades", "bars", "dailyBars")):
        steps(simulator, 2)
        for minute in (1, 2):
            at = TEN + timedelta(minutes=minute)
            quote, trade = next_of(quotes), next_of(trades)
            assert quote.timestamp == trade.timestamp == at
            assert quote.bid_price < trade.price < quote.ask_price
            bar, day = next_of(bars), next_of(days)
            assert bar.timestamp == at - timedelta(minutes=1)
            assert bar.close == trade.price
            assert day.timestamp == datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
            assert day.low <= bar.low <= bar.high <= day.high


def test_a_client_that_unsubscribes_hears_no_more_of_that_symbol(simulator):
    simulator.advance(TEN)
    stream = OptionDataStream(**KEYS, url_override=endpoint(simulator, "/v1beta1/opra"))
    quotes = collected(stream, stream.subscribe_quotes, [PUT, LOWER_PUT])
    with running(stream, wants(simulator, "quotes")):
        wait_until(lambda: stream._running)
        stream.unsubscribe_quotes(PUT)
        wait_until(lambda: inboxes(simulator)[0].wanted == {"quotes": {LOWER_PUT}})
        steps(simulator, 1)
        assert next_of(quotes).symbol == LOWER_PUT
    assert quotes.empty()
