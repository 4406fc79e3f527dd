"""What the simulated broker promises about orders that are bound to each other."""

from decimal import Decimal

import pytest

from simulator import routes_orders, routes_trading
from simulator.past import copied
from simulator.promises import promised
from simulator.times import MINUTE, new_york_moment
from tests.unit.test_simulator_exchange import CLOSE, DAY, P595, market, refusal, send
from tests.unit.test_simulator_orders import change, exchange, heard, no_of, shares

PROFIT, LOSS = {"limit_price": "610"}, {"stop_price": "590"}
NIGHT = new_york_moment(DAY, 8, 0)


def bracket(side="buy", **more):
    body = {"order_class": "bracket", "take_profit": PROFIT, "stop_loss": LOSS} | more
    kind = "limit" if "limit_price" in body else "market"
    return shares(side, kind, **body)


def oco(**more):
    return bracket("sell", **{"order_class": "oco", "type": "limit"} | more)


def chain(broker, body):
    """The orders of a bond as they stand, after the first has met the market."""
    return send(broker, body).bond.chain


def statuses(orders):
    return [order.status for order in orders]


def moved(broker, table, price, minutes=1):
    table.stock = Decimal(price)
    broker.advance(broker.now + minutes * MINUTE)


def holding(table=None, **words):
    broker = exchange(table, **words)
    send(broker, shares("buy"))
    return broker


def test_the_exits_of_a_bracket_are_held_until_its_entry_is_filled():
    table = market()
    broker = exchange(table)
    events = heard(broker)
    entry, profit, stop = chain(broker, bracket(limit_price="595"))
    assert statuses((entry, profit, stop)) == ["new", "held", "held"]
    assert (profit.side, profit.type, profit.qty) == ("sell", "limit", 10)
    assert (stop.side, stop.type, stop.order_class) == ("sell", "stop", "bracket")
    moved(broker, table, "594")
    assert statuses((entry, profit, stop)) == ["filled", "new", "held"]
    told = [(event, name) for event, name in events if name != entry.id]
    assert told == [("held", profit.id), ("held", stop.id), ("new", profit.id)]


def test_a_filled_take_profit_cancels_the_stop():
    table = market()
    broker = exchange(table)
    events = heard(broker)
    entry, profit, stop = chain(broker, bracket())
    moved(broker, table, "611")
    assert statuses((entry, profit, stop)) == ["filled", "filled", "canceled"]
    assert events[-2:] == [("fill", profit.id), ("canceled", stop.id)]
    assert not broker.book.positions
    assert not broker.book.working


@pytest.mark.parametrize("limit", [{}, {"limit_price": "589"}])
def test_a_stop_whose_price_is_reached_takes_over_from_the_take_profit(limit):
    table = market()
    broker = exchange(table)
    events = heard(broker)
    entry, profit, stop = chain(broker, bracket(stop_loss=LOSS | limit))
    moved(broker, table, "590")
    assert statuses((entry, profit, stop)) == ["filled", "canceled", "filled"]
    assert events[-3:] == [("new", stop.id), ("canceled", profit.id), ("fill", stop.id)]
    assert not broker.book.positions


def test_a_stop_limit_beyond_its_limit_works_on_alone():
    table = market()
    broker = exchange(table)
    _, profit, stop = chain(broker, bracket(stop_loss=LOSS | {"limit_price": "589.5"}))
    moved(broker, table, "580")
    assert statuses((profit, stop)) == ["canceled", "new"]
    broker.cancel(stop.id)
    assert broker.book.qty("SPY") == 10


def test_a_short_bracket_is_the_mirror_of_a_long_one():
    table = market()
    broker = exchange(table)
    body = bracket("sell", take_profit={"limit_price": "590"}, stop_loss={"stop_price": "610"})
    entry, profit, stop = chain(broker, body)
    assert (profit.side, stop.side) == ("buy", "buy")
    moved(broker, table, "610")
    assert statuses((entry, profit, stop)) == ["filled", "canceled", "filled"]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_canceling_one_order_of_a_group_cancels_what_is_open_of_it(place):
    broker = exchange()
    orders = chain(broker, bracket(limit_price="595"))
    broker.cancel(orders[place].id)
    assert statuses(orders) == ["canceled"] * 3
    filled = chain(broker, bracket())
    assert no_of(broker.cancel, filled[0].id).code == 42210000
    broker.cancel(filled[2].id)
    assert statuses(filled) == ["filled", "canceled", "canceled"]


def test_all_orders_of_a_group_are_canceled_without_a_complaint():
    broker = exchange()
    orders = chain(broker, bracket(limit_price="595"))
    status, answers = routes_orders.cancel_all(broker, {}, "", None)
    assert status == 207
    assert answers == [{"id": order.id, "status": 200} for order in orders]


@pytest.mark.parametrize("part", [{"take_profit": PROFIT}, {"stop_loss": LOSS}])
def test_one_triggers_other_has_one_exit(part):
    table = market()
    broker = exchange(table)
    entry, after = chain(broker, shares("buy", order_class="oto", **part))
    assert statuses((entry, after)) == ["filled", "new"]
    moved(broker, table, "610" if "take_profit" in part else "590")
    moved(broker, table, "611" if "take_profit" in part else "589")
    assert after.status == "filled"


def test_one_cancels_other_promises_what_it_closes_once():
    table = market()
    broker = holding(table)
    profit, stop = chain(broker, oco())
    assert statuses((profit, stop)) == ["new", "held"]
    assert (profit.limit_price, stop.stop_price) == (Decimal(610), Decimal(590))
    assert promised(broker.book, "SPY") == 10
    no = refusal(broker, oco())
    assert (no.code, no.extra["available"]) == (40310000, "0")
    moved(broker, table, "590")
    assert statuses((profit, stop)) == ["canceled", "filled"]


def test_a_take_profit_that_is_filled_in_part_leaves_the_stop_the_rest():
    table = market()
    broker = exchange(table)
    _, profit, stop = chain(broker, bracket())
    broker.execute(profit, 4, [Decimal(610)])
    assert (stop.status, stop.qty) == ("held", 6)
    moved(broker, table, "590")
    assert (profit.status, profit.filled_qty, stop.filled_qty) == ("canceled", 4, 6)
    assert not broker.book.positions


def test_an_entry_that_ends_filled_in_part_has_no_exits():
    broker = exchange()
    entry, profit, stop = chain(broker, bracket(limit_price="595"))
    broker.execute(entry, 4, [Decimal(595)])
    assert statuses((entry, profit, stop)) == ["partially_filled", "held", "held"]
    broker.cancel(entry.id)
    assert statuses((profit, stop)) == ["canceled", "canceled"]
    assert broker.book.qty("SPY") == 4


def test_exits_do_not_close_what_is_no_longer_there():
    table = market()
    broker = exchange(table)
    entry, profit, stop = chain(broker, bracket(limit_price="595"))
    broker.book_by_hand("SPY", None, -10, Decimal(600))
    moved(broker, table, "594")
    assert statuses((entry, profit, stop)) == ["filled", "canceled", "canceled"]


def test_a_group_of_the_day_ends_with_it_and_the_take_profit_is_what_expires():
    broker = exchange()
    orders = chain(broker, bracket())
    lasting = chain(broker, bracket(time_in_force="gtc", limit_price="595"))
    waiting = chain(broker, bracket(limit_price="595"))
    broker.advance(CLOSE)
    assert statuses(orders) == ["filled", "expired", "canceled"]
    assert statuses(waiting) == ["expired", "canceled", "canceled"]
    assert statuses(lasting) == ["new", "held", "held"]


def test_a_bracket_of_the_night_is_accepted_and_begins_at_the_opening():
    broker = exchange(at=NIGHT)
    orders = chain(broker, bracket())
    assert statuses(orders) == ["accepted", "held", "held"]
    broker.advance(new_york_moment(DAY, 9, 31))
    assert statuses(orders) == ["filled", "new", "held"]


# Replacing


def test_the_prices_of_a_group_can_be_replaced_and_the_new_order_stands_for_the_old():
    table = market()
    broker = exchange(table)
    entry, profit, stop = chain(broker, bracket(limit_price="595"))
    lower = change(broker, stop, stop_price="580")
    higher = change(broker, profit, limit_price="620")
    later = change(broker, entry, limit_price="598")
    assert statuses((entry, profit, stop)) == ["replaced"] * 3
    assert later.bond.chain == [later, higher, lower]
    assert statuses((later, higher, lower)) == ["new", "held", "held"]
    moved(broker, table, "597")
    assert statuses((later, higher, lower)) == ["filled", "new", "held"]
    lowest = change(broker, lower, stop_price="570")
    moved(broker, table, "571")
    assert lowest.status == "held"
    moved(broker, table, "569")
    assert statuses((higher, lowest)) == ["canceled", "filled"]


def test_a_group_that_ends_takes_a_waiting_replacement_with_it():
    table = market()
    broker = exchange(table, pending_minutes=5)
    _, profit, stop = chain(broker, bracket())
    new = change(broker, stop, stop_price="580")
    assert statuses((stop, new)) == ["pending_replace", "held"]
    moved(broker, table, "611")
    assert statuses((profit, stop, new)) == ["filled", "canceled", "canceled"]


def test_a_replacement_that_was_asked_for_while_held_works_when_it_comes():
    table = market()
    broker = exchange(table, pending_minutes=3)
    entry, profit, _ = chain(broker, bracket(limit_price="595"))
    new = change(broker, profit, limit_price="620")
    moved(broker, table, "594")
    assert statuses((entry, profit, new)) == ["filled", "pending_replace", "held"]
    moved(broker, table, "594", 3)
    assert statuses((profit, new)) == ["replaced", "new"]


@pytest.mark.parametrize(
    ("place", "body", "code"),
    [
        (1, {"qty": 5}, 42210000),
        (1, {"time_in_force": "gtc"}, 42210000),
        (1, {"limit_price": "589"}, 42210000),
        (2, {"stop_price": "611"}, 42210000),
        (2, {"stop_price": "595"}, 42210000),
        (0, {"limit_price": "589"}, 42210000),
        (2, {"limit_price": "580"}, 42210000),
        (2, {"stop_price": "590"}, 42210000),
    ],
)
def test_a_group_that_would_make_no_sense_is_not_replaced(place, body, code):
    broker = exchange()
    orders = chain(broker, bracket(limit_price="595"))
    assert no_of(broker.replace, orders[place].id, body).code == code
    assert statuses(orders) == ["new", "held", "held"]


# Refusing


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (bracket(take_profit=None), 40010001, "bracket orders require take_profit.limit_price"),
        (bracket(stop_loss={}), 40010001, "bracket orders require stop_loss.stop_price"),
        (bracket(stop_loss={"trail_percent": "1"}), 40010001, "require stop_loss.stop_price"),
        (bracket(stop_loss="590"), 40010000, "request body format is invalid"),
        (bracket(stop_loss={"stop_price": "590.001"}), 42210000, "sub-penny"),
        (bracket(order_class="oto"), 40010001, "oto orders require either"),
        (shares("buy", order_class="oto"), 40010001, "oto orders require either"),
        (bracket(type="stop", stop_price="610"), 40010001, "must be market or limit orders"),
        (oco(type="market"), 40010001, "oco orders must be limit orders"),
        (bracket(time_in_force="ioc"), 40010001, 'support only "day" or "gtc" time_in_force'),
        (bracket(extended_hours=True), 40310000, "do not support extended hours trading"),
        (bracket(take_profit={"limit_price": "580"}), 42210000, "> stop_loss.stop_price"),
        (bracket("sell"), 42210000, "take_profit.limit_price must be < stop_loss.stop_price"),
        (bracket(limit_price="590"), 42210000, "stop_loss.stop_price must be <= base_price - 0.01"),
        (bracket(limit_price="610"), 42210000, "profit.limit_price must be >= base_price + 0.01"),
        (bracket(stop_loss={"stop_price": "601"}), 42210000, "stop_loss.stop_price must be <="),
        (oco(), 42210000, "oco orders must be exit orders"),
        (shares("buy", take_profit=PROFIT), 42210000, "need order_class"),
        (bracket(symbol=P595.symbol), 42210000, "complex orders not supported for options"),
        (bracket(qty=1000), 40310000, "insufficient buying power"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused_whole(body, code, text):
    broker = exchange()
    no = refusal(broker, body)
    assert no.code == code, no.message
    assert text in no.message
    assert not broker.book.orders


def test_a_refused_price_says_what_it_was_measured_by():
    assert refusal(exchange(), bracket(limit_price="590")).extra == {"base_price": "590"}


def test_a_bracket_opens_and_does_not_close():
    broker = holding()
    body = bracket("sell", take_profit={"limit_price": "590"}, stop_loss={"stop_price": "610"})
    assert refusal(broker, body).message == "bracket orders must be entry orders"


def test_groups_may_cross_what_other_orders_may_not():
    broker = holding()
    chain(broker, oco())
    assert "wash trade" in refusal(broker, shares("buy")).message
    assert statuses(chain(broker, bracket())) == ["filled", "new", "held"]


# Reading


def test_a_list_shows_a_group_under_its_parent_or_one_by_one():
    broker = exchange()
    entry, profit, stop = chain(broker, bracket(limit_price="595"))
    nested = routes_trading.orders(broker, {"nested": "true"}, "")
    assert [order["id"] for order in nested] == [entry.id]
    assert [leg["id"] for leg in nested[0]["legs"]] == [profit.id, stop.id]
    flat = routes_trading.orders(broker, {}, "")
    assert {order["id"] for order in flat} == {entry.id, profit.id, stop.id}
    assert all(order["legs"] is None for order in flat)


def test_exits_whose_parent_is_not_in_the_list_stand_for_themselves():
    broker = exchange()
    _, profit, stop = chain(broker, bracket())
    nested = routes_trading.orders(broker, {"nested": "true", "direction": "asc"}, "")
    assert [order["id"] for order in nested] == [profit.id, stop.id]


def test_a_copy_of_the_books_has_bonds_of_its_own():
    broker = exchange()
    orders = chain(broker, bracket())
    twins = [copied(broker.book).orders[order.id] for order in orders]
    broker.cancel(orders[2].id)
    assert statuses(twins) == ["filled", "new", "held"]
    assert twins[0].bond.chain == twins
