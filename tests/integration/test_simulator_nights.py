"""Exercise, rows and portfolio of a served simulator, asked by the unmodified alpaca-py client."""

import warnings
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from simulator.symbols import asset_id

with warnings.catch_warnings():
    # alpaca-py imports the old websockets API when any of its clients is imported.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.requests import GetPortfolioHistoryRequest, LimitOrderRequest

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)


def client_of(simulator, *, raw=False):
    client = TradingClient(
        api_key="key", secret_key="secret", url_override=simulator.url, raw_data=raw
    )
    client._session.trust_env = False  # no proxy between us and the loopback
    return client


@pytest.fixture
def held(simulator):
    """The symbol of one long call in the money, bought at ten."""
    simulator.advance(TEN)
    exchange = simulator.exchange
    spot = exchange.market.spot("AAPL", exchange.now)[1]
    symbol = next(
        c.symbol
        for c in exchange.market.contracts("AAPL", exchange.now)
        if c.right == "call" and (c.expiration - TEN.date()).days == 7 and spot - c.strike > 8
        and spot - c.strike < 16
    )  # fmt: skip
    order = LimitOrderRequest(symbol=symbol, qty=1, side="buy", time_in_force="day", limit_price=60)
    client_of(simulator).submit_order(order)
    assert [p.symbol for p in exchange.book.positions.values()] == [symbol]
    return symbol


@pytest.mark.parametrize("by_id", [False, True])
def test_the_client_exercises_a_position_by_symbol_or_id(simulator, held, by_id):
    client, raw = client_of(simulator), client_of(simulator, raw=True)
    assert client.exercise_options_position(asset_id(held) if by_id else held) is None
    (position,) = client.get_all_positions()
    assert (position.symbol, position.qty) == ("AAPL", "100")
    assert [row["activity_type"] for row in raw.get("/account/activities")] == ["FILL"]
    simulator.advance(SATURDAY)
    trade, exercised, _ = raw.get("/account/activities")
    assert (exercised["activity_type"], exercised["symbol"]) == ("OPEXC", held)
    assert (exercised["id"], exercised["group_id"]) == (trade["id"], trade["group_id"])
    assert Decimal(trade["net_amount"]) == -100 * Decimal(trade["price"])


def test_what_the_client_may_not_exercise_is_refused_with_its_code(simulator, held):
    client = client_of(simulator)
    with pytest.raises(APIError) as caught:
        client.exercise_options_position("AAPL261127C00999000")  # no such contract
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    simulator.advance(datetime(2026, 11, 20, 21, 0, tzinfo=UTC))
    with pytest.raises(APIError) as caught:
        client.exercise_options_position(held)
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)
    with pytest.raises(APIError) as caught:
        client.post("/positions/AAPL/do-not-exercise")
    assert (caught.value.status_code, caught.value.code) == (422, 42210000)


def test_a_declined_exercise_lets_the_contract_lapse(simulator, held):
    raw = client_of(simulator, raw=True)
    assert raw.post(f"/positions/{held}/do-not-exercise") is None
    simulator.advance(datetime(2026, 11, 28, 7, 0, tzinfo=UTC))
    assert raw.get_all_positions() == []
    assert raw.get("/account/activities/OPEXP")[0]["symbol"] == held


def test_the_client_reads_the_history_of_its_portfolio(simulator, held):
    client = client_of(simulator)
    for minute in range(1, 6):
        simulator.advance(TEN.replace(minute=minute))
    found = client.get_portfolio_history(GetPortfolioHistoryRequest(period="1D", timeframe="1Min"))
    assert found.timeframe == "1Min"
    assert found.base_value == 100_000
    assert len(found.timestamp) == len(found.equity) == len(found.profit_loss_pct) == 36
    assert found.equity[-1] == pytest.approx(float(client.get_account().equity))
    days = client.get_portfolio_history()
    assert (days.timeframe, len(days.equity)) == ("1D", 1)
    with pytest.raises(APIError) as caught:
        client.get_portfolio_history(GetPortfolioHistoryRequest(period="nonsense"))
    assert caught.value.status_code == 400
