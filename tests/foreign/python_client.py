"""Drives a running simulator with the second published Python client: see README.md beside it.

usage: python python_client.py [http://127.0.0.1:8799]
"""

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import timedelta

SIMULATOR = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8799"
# The client takes its address of data from the environment only.
os.environ["APCA_API_DATA_URL"] = SIMULATOR

# After the address above: the client reads it as it is imported.
import requests  # noqa: E402
from alpaca_trade_api import REST, Stream  # noqa: E402
from alpaca_trade_api.rest import APIError, TimeFrame  # noqa: E402

KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
api = REST("key", "secret", SIMULATOR)
failed: list[str] = []


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def step(name: str, action: Callable[[], object]) -> object:
    """What the action returns, after it has been told."""
    try:
        answer = action()
    except Exception as problem:
        failed.append(name)
        say(f"FAILS {name}: {type(problem).__name__} {problem}")
        return None
    say(f"ok    {name}: {str(answer)[:220]}".replace("\n", " "))
    return answer


def put() -> str:
    """A put a little below the money; the client has no call for contracts, so a plain one asks."""
    today = api.get_clock().timestamp.date()
    spot = api.get_latest_quote("SPY").bp
    chain = requests.get(
        f"{SIMULATOR}/v2/options/contracts",
        params={
            "underlying_symbols": "SPY",
            "type": "put",
            "expiration_date_gte": str(today + timedelta(days=20)),
            "strike_price_gte": str(spot * 0.96),
            "strike_price_lte": str(spot),
        },
        headers=KEYS,
        timeout=10,
    ).json()
    return chain["option_contracts"][0]["symbol"]


def chain_by_the_clients_own_get(symbol: str) -> str:
    """The chain by the general call of the client, which takes any path."""
    page = api.data_get("/options/snapshots/SPY", {"limit": 100}, api_version="v1beta1")
    quotes = api.data_get("/options/quotes/latest", {"symbols": symbol}, api_version="v1beta1")
    return f"{len(page['snapshots'])} {page['next_page_token']} {quotes['quotes'][symbol]}"


def an_order_from_place_to_cancel(symbol: str, prices: tuple[float, float]) -> str:
    """Place, replace, read, list, cancel."""
    order = api.submit_order(
        symbol, qty=1, side="buy", type="limit", time_in_force="day", limit_price=prices[0]
    )
    newer = api.replace_order(order.id, limit_price=prices[1])
    assert newer.replaces == order.id, newer
    assert newer.id in [one.id for one in api.list_orders(status="open", nested=True)]
    same = api.get_order_by_client_order_id(newer.client_order_id)
    assert same.id == newer.id, same
    api.cancel_order(newer.id)
    status = api.get_order(newer.id).status
    assert status == "canceled", status
    return f"{order.status}, replaced at {newer.limit_price}, {status}"


def two_legs_by_the_clients_own_post(symbol: str) -> str:
    """An order of two legs by the general call of the client, which knows none of its own."""
    wing = f"{symbol[:-8]}{int(symbol[-8:]) - 5000:08d}"
    legs = [
        {"symbol": wing, "ratio_qty": "1", "side": "buy", "position_intent": "buy_to_open"},
        {"symbol": symbol, "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
    ]
    common = {"order_class": "mleg", "type": "limit", "qty": "1", "time_in_force": "day"}
    order = api.post("/orders", {**common, "limit_price": "-4.50", "legs": legs})
    newer = api.patch(f"/orders/{order['id']}", {"limit_price": "-4.40"})
    assert newer["replaces"] == order["id"], newer
    api.cancel_order(newer["id"])
    status = api.get_order(newer["id"], nested=True).status
    assert status == "canceled", status
    return f"{len(order['legs'])} legs, replaced at {newer['limit_price']}, {status}"


def a_refusal() -> str:
    """What the client makes of a refused order."""
    try:
        api.submit_order("SPY", qty=1, side="buy", type="limit", limit_price="100.123")
    except APIError as problem:
        return f"{problem.status_code} {problem.code} {problem}"
    raise AssertionError("it was taken")


async def told_until(stream: Stream, enough: asyncio.Event, seconds: float) -> None:
    """Run the client's streams until enough has been told."""
    tasks = [
        asyncio.create_task(stream._trading_ws._run_forever()),
        asyncio.create_task(stream._data_ws._run_forever()),
    ]
    try:
        await asyncio.wait_for(enough.wait(), seconds)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stream._trading_ws.close()
        await stream._data_ws.close()


def an_order_streamed_to_its_fill(symbol: str) -> str:
    """The events of a market order, as the stream tells them."""

    async def run() -> str:
        stream, enough, events = Stream("key", "secret", SIMULATOR, SIMULATOR), asyncio.Event(), []

        async def heard(update: object) -> None:
            events.append(update.event)
            if update.event == "fill":
                events.append(f"{update.qty} at {update.price} {update.order['status']}")
                enough.set()

        stream.subscribe_trade_updates(heard)

        async def buy() -> None:
            while not stream._trading_ws._running:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(api.submit_order, symbol, 2, "buy", "market", "day")

        order = asyncio.create_task(buy())
        await told_until(stream, enough, 30)
        await order
        return str(events)

    return asyncio.run(run())


def quotes_and_bars_streamed() -> str:
    """The first quote and the first minute of SPY."""

    async def run() -> str:
        stream, enough, heard = Stream("key", "secret", SIMULATOR, SIMULATOR), asyncio.Event(), {}

        async def hear(item: object) -> None:
            heard.setdefault(type(item).__name__, item)
            if len(heard) == 2:
                enough.set()

        stream.subscribe_quotes(hear, "SPY", "AAPL")
        stream.subscribe_bars(hear, "SPY")
        await told_until(stream, enough, 150)
        return " ".join(f"{name} {item._raw}" for name, item in heard.items())

    return asyncio.run(run())


def history() -> str:
    """Rows of the frames of data that the client makes of today."""
    today = api.get_clock().timestamp.isoformat()[:10]
    bars = api.get_bars("SPY", TimeFrame.Minute, start=today, feed="iex").df
    trades = api.get_trades("SPY", start=today, limit=5, feed="iex").df
    quotes = api.get_quotes(["SPY", "AAPL"], start=today, limit=5, feed="iex").df
    return f"{len(bars)} bars, {len(trades)} trades, {len(quotes)} quotes"


def listed() -> str:
    """Assets, all and one."""
    assets = api.list_assets(status="active", asset_class="us_equity")
    return f"{[one.symbol for one in assets]} {api.get_asset('SPY')._raw['class']}"


def configured() -> str:
    """The configuration, changed and changed back."""
    before = api.get_account_configurations().no_shorting
    after = api.update_account_configurations(no_shorting=not before).no_shorting
    assert after is not before
    return str(api.update_account_configurations(no_shorting=before)._raw)


def calendar() -> str:
    """A week."""
    today = api.get_clock().timestamp.date()
    return str(api.get_calendar(str(today), str(today + timedelta(days=7))))


def latest() -> str:
    """Latest of every kind."""
    quotes = api.get_latest_quotes(["SPY", "AAPL"])
    trade, bar = api.get_latest_trade("SPY"), api.get_latest_bar("SPY")
    shots = api.get_snapshots(["SPY", "AAPL"])
    return f"{quotes['AAPL'].ap} {trade.p} {bar.c} {shots['SPY'].latest_quote.bp}"


def main() -> None:
    """Every step in its order."""
    # So that there are minutes to read.
    requests.post(f"{SIMULATOR}/sim/clock", json={"seconds": 600}, headers=KEYS, timeout=60)
    step("account", lambda: f"{api.get_account().account_number} {api.get_account().cash}")
    step("account configuration", configured)
    step("clock", lambda: f"{api.get_clock().timestamp} {api.get_clock().is_open}")
    step("calendar", calendar)
    step("assets", listed)
    step("latest quotes, trade, bar and snapshots", latest)
    step("history as frames", history)
    symbol = str(step("a contract (plain request)", put))
    step("chain and option quote (general call)", lambda: chain_by_the_clients_own_get(symbol))
    step("place, replace, cancel: stock", lambda: an_order_from_place_to_cancel("SPY", (100, 101)))
    step(
        "place, replace, cancel: option",
        lambda: an_order_from_place_to_cancel(symbol, (0.05, 0.06)),
    )
    step(
        "place, replace, cancel: two legs (general call)",
        lambda: two_legs_by_the_clients_own_post(symbol),
    )
    step("a refused order is an APIError", a_refusal)
    step("stream an option order to its fill", lambda: an_order_streamed_to_its_fill(symbol))
    step("stream a share to its fill", lambda: an_order_streamed_to_its_fill("SPY"))
    step("stream quotes and bars", quotes_and_bars_streamed)
    step("positions", lambda: [f"{p.symbol} {p.qty}" for p in api.list_positions()])
    step("one position", lambda: api.get_position(symbol)._raw)
    step("activities", lambda: [a.id for a in api.get_activities("FILL")])
    step("activities by list and page", lambda: len(api.get_activities(["FILL"], page_size=1)))
    step("portfolio history", lambda: api.get_portfolio_history(period="1D", timeframe="5Min").df)
    step("close one position", lambda: api.close_position("SPY", qty=1).status)
    step("cancel all orders", api.cancel_all_orders)
    step("close all positions", lambda: [p._raw["status"] for p in api.close_all_positions()])
    say(f"{len(failed)} steps failed" if failed else "every step passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
