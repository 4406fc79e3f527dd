"""What the simulated broker promises about parts of a share."""

from decimal import Decimal

import pytest

from simulator import routes_orders, routes_trading, wire
from simulator.closing import closing_body
from simulator.times import MINUTE, new_york_moment
from tests.unit.test_simulator_bonds import PROFIT
from tests.unit.test_simulator_exchange import CLOSE, DAY, P595, market, refusal, send, single
from tests.unit.test_simulator_orders import change, exchange, no_of, shares

NIGHT = new_york_moment(DAY, 8, 0)


def dollars(side, usd, **more):
    return shares(side, qty=None, notional=usd, **more)


def held(broker):
    return broker.book.qty("SPY")


def test_a_part_of_a_share_is_bought_shown_and_sold():
    broker = exchange()
    bought = send(broker, shares("buy", qty="1.123456789"))
    assert bought.status == "filled"
    shown = routes_trading.position(broker, {}, "SPY")
    assert (shown["qty"], shown["qty_available"]) == ("1.123456789", "1.123456789")
    assert wire.order(bought)["filled_qty"] == "1.123456789"
    paid = round(bought.filled_avg_price * bought.qty, 2)
    assert broker.book.cash == Decimal(100_000) - paid
    (row,) = routes_trading.activities(broker, {}, "")
    assert (row["qty"], row["cum_qty"], row["leaves_qty"]) == ("1.123456789", "1.123456789", "0")
    send(broker, shares("sell", qty="0.123456789"))
    assert held(broker) == 1
    send(broker, shares("sell", qty=1))
    assert not broker.book.positions


def test_so_many_dollars_buy_what_they_can_to_a_billionth_and_cost_that_much():
    broker = exchange()
    order = send(broker, dollars("buy", "250.75"))
    assert broker.book.cash == Decimal("99749.25")
    assert order.qty == order.filled_qty == held(broker)
    assert round(held(broker) * order.filled_avg_price, 6) == Decimal("250.75")
    shown = wire.order(order)
    assert (shown["notional"], shown["qty"]) == ("250.75", None)
    assert no_of(broker.replace, order.id, {"limit_price": "1"}).status == 422


def test_so_many_dollars_of_the_night_buy_at_the_price_of_the_opening():
    table = market()
    broker = exchange(table, at=NIGHT)
    order = send(broker, dollars("buy", "600"))
    assert order.status == "accepted"
    assert no_of(broker.replace, order.id, {"qty": 2}).status == 422
    table.stock = Decimal(300)
    broker.advance(new_york_moment(DAY, 9, 31))
    assert Decimal("1.9") < held(broker) < Decimal("2.1")
    assert broker.book.cash == 99_400


def test_a_sale_for_dollars_sells_no_more_than_there_is():
    table = market()
    broker = exchange(table, at=NIGHT)
    broker.book_by_hand("SPY", None, Decimal(1), Decimal(600))
    send(broker, dollars("sell", "500"))
    table.stock = Decimal(400)
    broker.advance(new_york_moment(DAY, 9, 31))
    assert not broker.book.positions


@pytest.mark.parametrize(
    ("kind", "price"), [("limit", "limit_price"), ("stop", "stop_price"), ("market", None)]
)
def test_parts_may_be_ordered_at_a_limit_and_a_stop_and_expire_with_the_day(kind, price):
    broker = exchange()
    far = {price: "590" if kind == "limit" else "610"} if price else {}
    order = send(broker, shares("buy", kind, qty="0.5", **far))
    assert order.status == ("new" if price else "filled")
    broker.advance(CLOSE)
    assert order.status == ("expired" if price else "filled")


def test_a_working_order_for_parts_can_be_replaced():
    broker = exchange()
    order = send(broker, shares("buy", "limit", qty="0.5", limit_price="590"))
    new = change(broker, order, qty="0.75", limit_price="605")
    assert (new.status, held(broker)) == ("filled", Decimal("0.75"))


def test_partial_fills_of_parts_add_up():
    broker = exchange(partial_share=1.0)
    order = send(broker, shares("buy", qty="3.5"))
    broker.advance(broker.now + 10 * MINUTE)
    assert (order.status, held(broker)) == ("filled", Decimal("3.5"))


def test_a_position_with_a_part_is_closed_by_quantity_percentage_or_whole():
    broker = exchange()
    send(broker, shares("buy", qty="2.5"))
    assert closing_body(broker.book, "SPY", None, "33.3")["qty"] == "0.8325"
    for query, left in (({"qty": "0.25"}, "2.25"), ({"percentage": "50"}, "1.125"), ({}, "0")):
        routes_orders.close_position(broker, query, "SPY", None)
        assert held(broker) == Decimal(left)


def test_a_percentage_of_whole_shares_stays_whole():
    broker = exchange()
    send(broker, shares("buy", qty=5))
    assert closing_body(broker.book, "SPY", None, "50")["qty"] == "2"


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (shares("buy", tif="gtc", qty="0.5"), 42210000, "fractional orders must be DAY orders"),
        (dollars("buy", "100", tif="gtc"), 42210000, "fractional orders must be DAY orders"),
        (shares("sell", qty="0.5"), 42210000, "fractional orders cannot be sold short"),
        (dollars("sell", "100"), 42210000, "fractional orders cannot be sold short"),
        (dollars("buy", "0.99"), 40310000, "cost basis must be >= minimal amount of order 1"),
        (shares("buy", qty="0.001"), 40310000, "cost basis must be >= minimal amount of order 1"),
        (shares("buy", qty="0.0000000001"), 40010001, "no more than 9 decimals"),
        (dollars("buy", "0"), 40010001, "notional must be > 0"),
        (dollars("buy", "-5"), 40010001, "notional must be > 0"),
        (dollars("buy", "5", kind="limit", limit_price="600"), 42210000, "must be market orders"),
        (shares("buy", notional="5"), 40010001, "only one of qty or notional"),
        (shares("buy", "trailing_stop", qty="0.5", trail_price="1"), 42210000, "trailing stop"),
        (dollars("buy", "500000"), 40310000, "insufficient buying power"),
        (shares("buy", qty="0.5", order_class="oto", take_profit=PROFIT), 42210000, "be simple"),
        (dollars("buy", "50", order_class="oto", take_profit=PROFIT), 42210000, "be simple"),
        (single(P595, "buy", qty="0.5"), 42210000, "qty must be integer"),
        (single(P595, "buy", qty=None, notional="100"), 42210000, "notional not supported"),
    ],
)
def test_what_cannot_be_had_in_parts_is_refused(body, code, text):
    no = refusal(exchange(), body)
    assert no.code == code, no.message
    assert text in no.message


def test_a_short_position_is_not_bought_back_in_parts():
    broker = exchange()
    send(broker, shares("sell", qty=2))
    assert refusal(broker, shares("buy", qty="0.5")).code == 42210000


def test_an_owner_may_do_without_parts():
    broker = exchange()
    routes_orders.configure(broker, {}, "", {"fractional_trading": False})
    assert refusal(broker, shares("buy", qty="0.5")).code == 40310000
    assert send(broker, shares("buy", qty=1)).status == "filled"
