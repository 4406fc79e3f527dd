"""Brackets and their like, and parts of a share, driven by the unmodified alpaca-py client."""

import json
import warnings
from datetime import UTC, datetime

import pytest

with warnings.catch_warnings():
    # alpaca-py imports the old websockets API when any of its clients is imported.
    warnings.filterwarnings("ignore", "websockets", DeprecationWarning)
    from alpaca.common.exceptions import APIError
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, OrderType, TimeInForce
    from alpaca.trading.requests import (
        ClosePositionRequest,
        GetOrdersRequest,
        LimitOrderRequest,
        MarketOrderRequest,
        ReplaceOrderRequest,
        StopLossRequest,
        TakeProfitRequest,
    )

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@pytest.fixture
def trading(simulator):
    simulator.advance(TEN)
    client = TradingClient(api_key="key", secret_key="secret", url_override=simulator.url)
    client._session.trust_env = False  # no proxy between us and the loopback
    return client


def group(order_class, side=OrderSide.BUY, limit=None, **exits):
    kind = MarketOrderRequest if limit is None else LimitOrderRequest
    prices = {} if limit is None else {"limit_price": limit}
    return kind(
        symbol="AAPL",
        qty=10,
        side=side,
        time_in_force=TimeInForce.GTC,
        order_class=order_class,
        **prices,
        **exits,
    )


def exits(profit, stop, limit=None):
    return {
        "take_profit": TakeProfitRequest(limit_price=profit),
        "stop_loss": StopLossRequest(stop_price=stop, limit_price=limit),
    }


def test_a_bracket_is_placed_read_changed_and_canceled(trading):
    made = trading.submit_order(group(OrderClass.BRACKET, limit=100, **exits(900, 50, 49)))
    assert made.order_class == OrderClass.BRACKET
    assert [leg.status for leg in made.legs] == [OrderStatus.HELD] * 2
    assert [leg.order_type for leg in made.legs] == [OrderType.LIMIT, OrderType.STOP_LIMIT]
    nested = trading.get_orders(GetOrdersRequest(nested=True))
    assert [[leg.id for leg in order.legs] for order in nested] == [[leg.id for leg in made.legs]]
    assert len(trading.get_orders(GetOrdersRequest(nested=False))) == 3
    stop = trading.replace_order_by_id(made.legs[1].id, ReplaceOrderRequest(stop_price=60))
    assert (stop.order_class, stop.status) == (OrderClass.BRACKET, OrderStatus.HELD)
    again = trading.get_order_by_id(made.id)
    assert [leg.id for leg in again.legs] == [made.legs[0].id, stop.id]
    trading.cancel_order_by_id(made.id)
    assert {leg.status for leg in trading.get_order_by_id(made.id).legs} == {OrderStatus.CANCELED}


def test_a_filled_bracket_leaves_its_exits_and_one_cancels_the_other(trading):
    made = trading.submit_order(group(OrderClass.BRACKET, **exits(900, 50)))
    filled = trading.get_order_by_id(made.id)
    assert filled.status == OrderStatus.FILLED
    assert [leg.status for leg in filled.legs] == [OrderStatus.NEW, OrderStatus.HELD]
    assert trading.get_open_position("AAPL").qty_available == "0"
    trading.cancel_order_by_id(filled.legs[0].id)
    assert trading.get_order_by_id(filled.legs[1].id).status == OrderStatus.CANCELED
    assert trading.get_open_position("AAPL").qty_available == "10"


def test_one_triggers_other_and_one_cancels_other_do_what_they_say(trading):
    stop = StopLossRequest(stop_price=50)
    made = trading.submit_order(group(OrderClass.OTO, stop_loss=stop))
    (leg,) = trading.get_order_by_id(made.id).legs
    assert (leg.status, leg.order_type) == (OrderStatus.NEW, OrderType.STOP)
    trading.cancel_order_by_id(leg.id)
    sell = group(OrderClass.OCO, OrderSide.SELL, limit=900, **exits(900, 50))
    oco = trading.submit_order(sell)
    assert (oco.order_type, oco.limit_price) == (OrderType.LIMIT, "900")
    assert [leg.status for leg in oco.legs] == [OrderStatus.HELD]
    with pytest.raises(APIError, match="insufficient qty available"):
        trading.submit_order(sell)


def test_the_client_reads_why_a_bracket_is_refused(trading):
    with pytest.raises(APIError) as caught:
        trading.submit_order(group(OrderClass.BRACKET, limit=100, **exits(900, 100)))
    assert caught.value.status_code == 422
    assert json.loads(str(caught.value)) == {
        "code": 42210000,
        "message": "stop_loss.stop_price must be <= base_price - 0.01",
        "base_price": "100",
    }


def test_parts_of_a_share_are_bought_for_dollars_and_closed(trading):
    order = MarketOrderRequest(
        symbol="AAPL", notional=100.5, side=OrderSide.BUY, time_in_force=TimeInForce.DAY
    )
    made = trading.submit_order(order)
    assert (made.notional, made.qty) == ("100.5", None)
    assert trading.get_order_by_id(made.id).status == OrderStatus.FILLED
    assert 0 < float(trading.get_open_position("AAPL").qty) < 1
    assert trading.get_account().cash == "99899.5"
    trading.close_position("AAPL", ClosePositionRequest(percentage="25"))
    trading.close_position("AAPL")
    assert trading.get_all_positions() == []
