"""Every endpoint of data and reference, through the unmodified alpaca-py clients."""

import warnings
from collections import namedtuple
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

with warnings.catch_warnings():
    # alpaca-py imports the old websockets API when any of its clients is imported.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    from alpaca.common.enums import Sort
    from alpaca.common.exceptions import APIError
    from alpaca.data import requests as ask
    from alpaca.data.enums import Adjustment, DataFeed, OptionsFeed
    from alpaca.data.historical.corporate_actions import CorporateActionsClient
    from alpaca.data.historical.option import OptionHistoricalDataClient
    from alpaca.data.historical.stock import StockHistoricalDataClient
    from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import AssetExchange, ContractType, ExerciseStyle
    from alpaca.trading.requests import (
        GetAssetsRequest,
        GetCalendarRequest,
        GetOptionContractsRequest,
    )

from simulator.exchange import Exchange
from simulator.market import Action
from simulator.switches import Switches
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

DAY = date(2026, 11, 20)
CALL, PUT = "AAPL261204C00230000", "AAPL261204P00230000"
Clients = namedtuple("Clients", "trading options stocks actions")


class Paying(Synthetic):
    """AAPL pays, splits and spins off within the next days."""

    def actions(self, now):
        def made(kind, day, rate):
            return Action(symbol="AAPL", kind=kind, ex_day=date(2026, 11, day), rate=Decimal(rate))

        return [
            made("cash dividend", 20, "0.26"),
            made("split", 23, "4"),
            made("split", 24, "0.1"),
            made("spin-off", 25, "0.5"),
            made("stock dividend", 27, "0.02"),
        ]


@pytest.fixture
def clients(market, serving):
    sessions = market[1]
    made = Paying(DAY, ["AAPL", "SPY"], 7, sessions)
    start = new_york_moment(DAY, 12, 0)
    url = serving(
        Exchange(
            made,
            sessions,
            account="DATA",
            cash=Decimal(100_000),
            start=start,
            switches=Switches(snapshot_daily_bars=True),
        )
    )
    keys = {"api_key": "key", "secret_key": "secret", "url_override": url}
    found = Clients(
        TradingClient(**keys),
        OptionHistoricalDataClient(**keys),
        StockHistoricalDataClient(**keys),
        CorporateActionsClient(**keys),
    )
    for client in found:
        client._session.trust_env = False  # no proxy between us and the loopback
    return found


def test_option_data_parses(clients):
    options = clients.options
    both = {"symbol_or_symbols": [CALL, PUT]}
    quotes = options.get_option_latest_quote(ask.OptionLatestQuoteRequest(**both))
    trades = options.get_option_latest_trade(ask.OptionLatestTradeRequest(**both))
    shown = options.get_option_snapshot(ask.OptionSnapshotRequest(**both))
    assert set(quotes) == set(trades) == set(shown) == {CALL, PUT}
    assert shown[CALL].latest_trade == trades[CALL]
    assert shown[CALL].latest_quote == quotes[CALL]
    assert shown[CALL].greeks.delta > 0 > shown[PUT].greeks.delta
    chain = options.get_option_chain(
        ask.OptionChainRequest(
            underlying_symbol="AAPL",
            feed=OptionsFeed.INDICATIVE,
            type=ContractType.CALL,
            strike_price_gte=230,
            strike_price_lte=235,
            expiration_date=date(2026, 12, 4),
            root_symbol="AAPL",
            updated_since=datetime(2026, 11, 20, 16, 45, tzinfo=UTC),
        )
    )
    assert list(chain) == [f"AAPL261204C00{k}00" for k in ("2300", "2325", "2350")]
    assert options.get_option_exchange_codes()["C"].startswith("CBOE")


def test_option_history_parses_and_pages_by_itself(clients):
    both = {"symbol_or_symbols": [CALL, PUT]}
    trades = clients.options.get_option_trades(ask.OptionTradesRequest(**both, sort=Sort.DESC))
    times = [trade.timestamp for trade in trades[CALL]]
    assert times == sorted(times, reverse=True)
    assert len(times) > 10
    capped = clients.options.get_option_trades(ask.OptionTradesRequest(**both, limit=3))
    assert sum(len(rows) for rows in capped.data.values()) == 3
    bars = clients.options.get_option_bars(
        ask.OptionBarsRequest(
            **both, timeframe=TimeFrame.Day, start=datetime(2026, 11, 9, tzinfo=UTC)
        )
    )
    assert len(bars[CALL]) == 10
    assert all(bar.low <= bar.vwap <= bar.high for bar in bars[CALL])


def test_stock_data_parses(clients):
    stocks = clients.stocks
    both = {"symbol_or_symbols": ["AAPL", "SPY"]}
    quotes = stocks.get_stock_latest_quote(ask.StockLatestQuoteRequest(**both))
    trades = stocks.get_stock_latest_trade(ask.StockLatestTradeRequest(**both, feed=DataFeed.IEX))
    bars = stocks.get_stock_latest_bar(ask.StockLatestBarRequest(**both, currency="USD"))
    shown = stocks.get_stock_snapshot(ask.StockSnapshotRequest(**both))
    assert set(quotes) == set(trades) == set(bars) == set(shown) == {"AAPL", "SPY"}
    snapshot = shown["AAPL"]
    assert (snapshot.latest_quote, snapshot.latest_trade) == (quotes["AAPL"], trades["AAPL"])
    assert snapshot.minute_bar == bars["AAPL"]
    assert snapshot.daily_bar.timestamp == datetime(2026, 11, 20, 5, tzinfo=UTC)


def test_stock_history_parses_and_pages_by_itself(clients):
    stocks = clients.stocks
    day = {
        "symbol_or_symbols": ["AAPL", "SPY"],
        "start": datetime(2026, 11, 20, 14, 30, tzinfo=UTC),
        "end": datetime(2026, 11, 20, 15, 30, tzinfo=UTC),
        "asof": "2026-11-20",
        "feed": DataFeed.SIP,
    }
    trades = stocks.get_stock_trades(ask.StockTradesRequest(**day))
    quotes = stocks.get_stock_quotes(ask.StockQuotesRequest(**day))
    for symbol in ("AAPL", "SPY"):
        assert len(trades[symbol]) == len(quotes[symbol]) == 61
        for trade, quote in zip(trades[symbol], quotes[symbol], strict=True):
            assert trade.timestamp == quote.timestamp
            assert quote.bid_price <= trade.price <= quote.ask_price
    bars = stocks.get_stock_bars(
        ask.StockBarsRequest(**day, timeframe=TimeFrame(30, TimeFrameUnit.Minute))
    )
    assert [bar.timestamp.minute for bar in bars["SPY"]] == [30, 0, 30]
    weeks = ask.StockBarsRequest(
        symbol_or_symbols="AAPL",
        timeframe=TimeFrame.Week,
        start=datetime(2026, 11, 1, tzinfo=UTC),
        adjustment=Adjustment.ALL,
    )
    assert [bar.timestamp.day for bar in stocks.get_stock_bars(weeks)["AAPL"]] == [2, 9, 16]


def test_corporate_actions_of_every_known_kind_parse_and_page(clients):
    days = {"start": date(2026, 11, 1), "end": date(2026, 11, 30)}
    found = clients.actions.get_corporate_actions(
        ask.CorporateActionsRequest(symbols=["AAPL"], **days)
    ).data
    kinds = {"cash_dividends", "forward_splits", "reverse_splits", "spin_offs", "stock_dividends"}
    assert set(found) == kinds
    assert found["cash_dividends"][0].rate == 0.26
    assert (found["forward_splits"][0].new_rate, found["forward_splits"][0].old_rate) == (4, 1)
    assert (found["reverse_splits"][0].new_rate, found["reverse_splits"][0].old_rate) == (1, 10)
    by_id = ask.CorporateActionsRequest(ids=[str(found["spin_offs"][0].id)])
    assert set(clients.actions.get_corporate_actions(by_id).data) == {"spin_offs"}
    some = ask.CorporateActionsRequest(types=["cash_dividend", "unit_split"], **days)
    assert set(clients.actions.get_corporate_actions(some).data) == {"cash_dividends"}
    last = ask.CorporateActionsRequest(sort=Sort.DESC, limit=1, **days)
    assert set(clients.actions.get_corporate_actions(last).data) == {"stock_dividends"}
    today = clients.actions.get_corporate_actions(ask.CorporateActionsRequest(symbols=["AAPL"]))
    assert set(today.data) == {"cash_dividends"}


def test_what_is_listed_and_when_it_trades_parses(clients):
    trading = clients.trading
    assert trading.get_clock().is_open
    day = GetCalendarRequest(start=date(2026, 11, 27), end=date(2026, 11, 27))
    assert trading.get_calendar(day)[0].close.hour == 13
    found = trading.get_all_assets(
        GetAssetsRequest(exchange=AssetExchange.ARCA, attributes="has_options")
    )
    assert [asset.symbol for asset in found] == ["SPY"]
    assert trading.get_asset(found[0].id) == found[0]
    listed = trading.get_option_contracts(
        GetOptionContractsRequest(
            underlying_symbols=["AAPL"],
            expiration_date_gte=date(2026, 12, 1),
            root_symbol="AAPL",
            type=ContractType.PUT,
            style=ExerciseStyle.AMERICAN,
            strike_price_gte="200",
            strike_price_lte="230",
            limit=4,
        )
    )
    assert len(listed.option_contracts) == 4
    assert listed.next_page_token
    assert trading.get_option_contract(PUT).open_interest is not None


def test_a_refusal_reaches_the_client_as_the_broker_words_it(clients):
    with pytest.raises(APIError) as caught:
        clients.stocks.get_stock_latest_quote(
            ask.StockLatestQuoteRequest(symbol_or_symbols="spy 500")
        )
    assert caught.value.status_code == 400
    assert str(caught.value) == '{"message":"invalid symbol: spy 500"}'


@pytest.mark.parametrize("way", ["basic", "bearer"])
def test_other_ways_to_show_keys_are_known(clients, way):
    url = clients.trading._base_url
    keys = {"api_key": "key", "secret_key": "secret", "use_basic_auth": True}
    if way == "bearer":
        keys = {"oauth_token": "token"}
    client = OptionHistoricalDataClient(**keys, url_override=url)
    client._session.trust_env = False
    assert client.get_option_exchange_codes()
