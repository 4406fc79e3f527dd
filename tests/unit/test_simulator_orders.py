"""What the simulated broker promises about replacing, filling, refusing and closing."""

from datetime import date
from decimal import Decimal

import pytest

from simulator import matching, routes_orders
from simulator.exchange import Exchange
from simulator.fills import Offer, at_most, between, net
from simulator.refusal import Refusal
from simulator.states import FINAL, MOVES, IllegalMove, check_move
from simulator.switches import BadSwitch, Switches, with_words
from simulator.times import MINUTE, new_york_moment
from tests.unit.test_simulator_exchange import (
    C610,
    C610_LATER,
    C615,
    CLOSE,
    CONDOR,
    DAY,
    OPEN,
    P590,
    P595,
    SESSIONS,
    market,
    multileg,
    option,
    quote,
    refusal,
    send,
    single,
)

ELEVEN = new_york_moment(DAY, 11, 0)
NICKEL, DIME = option("put", 550), option("put", 560)


def exchange(table=None, *, cash="100000", at=ELEVEN, **words):
    return Exchange(
        table or market(),
        SESSIONS,
        account="TEST",
        cash=Decimal(cash),
        start=at,
        switches=with_words(Switches(), words),
    )


def heard(broker):
    told = []
    broker.listeners.append(lambda update: told.append((update.event, update.order.id)))
    return told


def no_of(action, *arguments):
    with pytest.raises(Refusal) as caught:
        action(*arguments)
    return caught.value


def change(broker, order, **body):
    new = broker.replace(order.id, body)
    broker.route()
    return new


# States


def test_nothing_leaves_a_final_state_and_every_state_can_be_left_or_is_final():
    assert all(not MOVES[status] for status in FINAL)
    assert all(MOVES[status] for status in MOVES if status not in FINAL)
    assert {after for moves in MOVES.values() for after in moves} <= set(MOVES)
    for status in FINAL:
        with pytest.raises(IllegalMove):
            check_move(status, "new")


# Replacing


def test_a_replacement_is_a_new_order_and_the_old_one_says_by_which():
    broker = exchange()
    old = send(broker, single(P595, "buy", limit="1", client_order_id="one"))
    new = broker.replace(old.id, {"limit_price": "4.2", "qty": None})
    assert (old.status, new.status, new.replaces) == ("pending_replace", "pending_new", old.id)
    broker.route()
    assert (old.status, old.replaced_by, old.filled_qty) == ("replaced", new.id, 0)
    assert (new.status, new.filled_avg_price) == ("filled", Decimal("4.15"))
    assert old.replaced_at is not None
    assert new.client_order_id != "one"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"limit_price": "1.00"}, 42210000, "order parameters are not changed"),
        ({"qty": 2}, 42210000, "order parameters are not changed"),
        ({}, 42210000, "order parameters are not changed"),
        ({"client_order_id": "two"}, 42210000, "order parameters are not changed"),
        ({"limit_price": "1.1", "client_order_id": "one"}, 40010001, "must be unique"),
        ({"limit_price": "1.123"}, 42210000, "decimals"),
        ({"limit_price": "x"}, 40010001, "limit_price"),
        ({"qty": 0}, 40010001, "qty"),
        ({"qty": "1.5"}, 42210000, "qty"),
        ({"stop_price": "1"}, 42210000, "stop price"),
        ({"trail": "1"}, 42210000, "trail percent"),
        ({"time_in_force": "ioc"}, 42210000, "time_in_force"),
        ({"limit_price": "900"}, 40310000, "insufficient options buying power"),
        ([], 40010000, "JSON object"),
    ],
)
def test_a_bad_replacement_is_refused_and_the_old_order_goes_on(body, code, message):
    broker = exchange()
    old = send(broker, single(P595, "buy", limit="1", qty=2, client_order_id="one"))
    no = no_of(broker.replace, old.id, body)
    assert (no.code, message in no.message) == (code, True), no.message
    assert old.status == "new"
    assert list(broker.book.orders) == [old.id]


def test_only_a_working_order_can_be_replaced():
    early = exchange(at=new_york_moment(DAY, 9, 0))
    waiting = early.place(single(P595, "buy", limit="1"))
    assert "accepted" in no_of(early.replace, waiting.id, {"limit_price": "2"}).message
    broker = exchange()
    old = send(broker, single(P595, "buy", limit="1"))
    change(broker, old, limit_price="1.5")
    assert no_of(broker.replace, old.id, {"limit_price": "2"}).message == "order already replaced"
    filled = send(broker, single(P590, "buy"))
    assert "filled" in no_of(broker.replace, filled.id, {"limit_price": "2"}).message
    several = send(broker, multileg(*CONDOR, limit="-4"))
    assert "leg" in no_of(broker.replace, several.legs[0].id, {"limit_price": "2"}).message
    assert no_of(broker.replace, "nobody", {"limit_price": "2"}).code == 40410000


def test_a_replacement_needs_the_dearer_of_both_and_frees_the_rest_once_done():
    broker = exchange(cash="1000")
    old = send(broker, single(P595, "buy", limit="4", qty=2))
    new = broker.replace(old.id, {"qty": 1})
    assert broker.figures().ordered == 800
    broker.route()
    assert broker.figures().ordered == 400
    broker.replace(new.id, {"limit_price": "4.05", "qty": 2})
    assert broker.figures().ordered == 810


def test_a_fill_wins_against_a_pending_replacement_and_the_new_order_is_rejected():
    table = market()
    broker = exchange(table, pending_minutes=2)
    old = send(broker, single(P595, "buy", limit="4.10"))
    told = heard(broker)
    new = change(broker, old, limit_price="4")
    table.quotes[P595.symbol] = quote("4.00", "4.05")
    broker.advance(broker.now + MINUTE)
    assert (old.status, new.status) == ("filled", "rejected")
    assert new.failed_at is not None
    assert told == [("pending_new", new.id), ("fill", old.id), ("rejected", new.id)]


def test_a_partial_fill_leaves_the_waiting_replacement_less():
    table = market()
    broker = exchange(table, pending_minutes=2, partial_share=1)
    old = send(broker, single(P595, "buy", limit="4.10", qty=9))
    new = change(broker, old, limit_price="3")
    table.quotes[P595.symbol] = quote("4.00", "4.05")
    broker.advance(broker.now + MINUTE)
    done = old.filled_qty
    assert (old.status, 0 < done < 9, new.qty) == ("pending_replace", True, 9 - done)
    table.quotes[P595.symbol] = quote("4.10", "4.15")
    broker.advance(broker.now + MINUTE)
    assert (old.status, new.status, new.qty, new.replaces) == ("replaced", "new", 9 - done, old.id)
    assert no_of(broker.replace, new.id, {"qty": 9 - done}).message.endswith("not changed")


def test_a_canceled_replacement_lets_the_old_order_go_on():
    table = market()
    broker = exchange(table, pending_minutes=3)
    old = send(broker, single(P595, "buy", limit="4.10"))
    new = change(broker, old, limit_price="4")
    broker.cancel(new.id)
    assert (old.status, new.status) == ("pending_replace", "canceled")
    broker.advance(broker.now + 3 * MINUTE)
    assert old.status == "new"
    newer = change(broker, old, limit_price="4.05")
    broker.cancel(newer.id)
    table.quotes[P595.symbol] = quote("4.00", "4.05")
    broker.advance(broker.now + 3 * MINUTE)
    assert (old.status, newer.status) == ("filled", "canceled")


def test_the_old_order_goes_on_where_more_is_filled_than_the_new_one_asked_for():
    table = market()
    broker = exchange(table, cash="900000", pending_minutes=1, partial_share=1)
    old = send(broker, single(P595, "buy", limit="4.10", qty=900))
    new = change(broker, old, qty=1)
    table.quotes[P595.symbol] = quote("4.00", "4.05")
    matching.meet(broker, old)
    assert (old.status, new.status) == ("pending_replace", "rejected")
    broker.advance(broker.now + MINUTE)
    assert old.status == "partially_filled"
    assert change(broker, old, limit_price="1").replaces == old.id


def partly_filled(broker, qty=5):
    order = broker.place(single(P595, "buy", limit="4.20", qty=qty))
    broker.route()
    assert 0 < order.filled_qty < qty
    return order


def test_replacing_what_is_partly_filled_works_for_the_rest():
    broker = exchange(partial_share=1)
    old = partly_filled(broker)
    assert "filled_qty" in no_of(broker.replace, old.id, {"qty": old.filled_qty}).message
    assert change(broker, old, limit_price="3").qty == 5 - old.filled_qty


def test_the_fills_of_a_replaced_order_can_be_forgotten_as_has_been_reported():
    broker = exchange(partial_share=1, replace_forgets_fills="true")
    old = partly_filled(broker)
    assert change(broker, old, limit_price="3").qty == 5


@pytest.mark.parametrize(
    ("how", "message"),
    [("works", None), ("unreliable", "insufficient qty"), ("disabled", "disabled")],
)
def test_replacing_a_closing_spread_works_fails_or_is_disabled(how, message):
    broker = exchange(multileg_replace=how)
    send(broker, multileg(*CONDOR[:2]))
    closing = ((P595, "buy_to_close"), (P590, "sell_to_close"))
    old = send(broker, multileg(*closing, limit="0.5"))
    if message is None:
        new = change(broker, old, limit_price="2")
        assert (new.status, new.order_class, len(new.legs)) == ("filled", "mleg", 2)
    else:
        assert message in no_of(broker.replace, old.id, {"limit_price": "2"}).message


# Canceling


def test_a_cancel_takes_its_time_and_a_fill_can_win():
    table = market()
    broker = exchange(table, pending_minutes=2)
    lost, won = (send(broker, single(c, "buy", limit="1", qty=1)) for c in (P595, P590))
    broker.cancel(lost.id)
    broker.cancel(won.id)
    assert {lost.status, won.status} == {"pending_cancel"}
    assert "pending_cancel" in no_of(broker.cancel, lost.id).message
    table.quotes[P595.symbol] = quote("0.90", "0.95")
    broker.advance(broker.now + 2 * MINUTE)
    assert (lost.status, won.status) == ("filled", "canceled")


# Fills in parts


def test_parts_add_up_to_the_order_and_each_is_told_with_what_is_left():
    broker = exchange(partial_share=1)
    told = []
    broker.listeners.append(
        lambda u: told.append((u.event, [(e.qty, e.position_qty) for e in u.executions]))
    )
    order = send(broker, single(P595, "buy", limit="4.20", qty=6))
    assert order.status == "partially_filled"
    assert broker.figures().ordered == 420 * order.leaves
    broker.advance(broker.now + 6 * MINUTE)
    assert (order.status, order.filled_avg_price) == ("filled", Decimal("4.15"))
    fills = broker.book.activities
    assert sum(done.qty for done in fills) == 6
    assert [(done.cum_qty + done.leaves_qty) for done in fills] == [6] * len(fills)
    assert [done.leaves_qty for done in fills][-1] == 0
    events = [(event, parts) for event, parts in told if parts]
    assert [event for event, _ in events] == ["partial_fill"] * (len(fills) - 1) + ["fill"]
    assert events[-1][1][0][1] == 6


def test_several_legs_fill_in_whole_units():
    broker = exchange(partial_share=1)
    legs = ((P595, "sell_to_open", 1), (P590, "buy_to_open", 2))
    order = send(broker, multileg(*legs, limit="9", qty=4))
    while order.is_open:
        assert [leg.filled_qty for leg in order.legs] == [order.filled_qty, 2 * order.filled_qty]
        assert {leg.status for leg in order.legs} == {order.status} == {"partially_filled"}
        broker.advance(broker.now + MINUTE)
    assert order.filled_avg_price == Decimal("2.00")  # 2 * 3.05 - 4.10


def test_a_partly_filled_order_can_be_canceled_and_keeps_what_it_has():
    broker = exchange(partial_share=1)
    order = partly_filled(broker)
    filled = order.filled_qty
    broker.cancel(order.id)
    broker.advance(CLOSE)
    assert (order.status, order.filled_qty, broker.book.qty(P595.symbol)) == (
        "canceled",
        filled,
        filled,
    )


def test_about_the_chosen_share_of_orders_fills_in_parts():
    broker = exchange(cash="9000000", partial_share=0.1)
    orders = [send(broker, single(P595, "buy", limit="4.20", qty=5)) for _ in range(300)]
    assert 15 <= sum(order.status == "partially_filled" for order in orders) <= 50


# Queue-like fills


def test_a_marketable_order_is_improved_at_most_to_the_middle():
    table = market()
    table.quotes[P595.symbol] = quote("4.00", "4.40")
    broker = exchange(table, fills="queue")
    prices = {send(broker, single(P595, "buy", limit="4.40")).filled_avg_price for _ in range(30)}
    assert min(prices) >= Decimal("4.20")
    assert max(prices) <= Decimal("4.40")
    assert len(prices) > 5


def minutes_until_filled(limit, seed):
    table = market()
    table.quotes[P595.symbol] = quote("4.00", "4.40")
    broker = exchange(table, fills="queue", seed=seed)
    order = send(broker, single(P595, "buy", limit=limit))
    assert order.status == "new"
    minutes = 0
    while order.is_open and minutes < 60:
        broker.advance(broker.now + MINUTE)
        minutes += 1
    assert order.filled_avg_price in {None, Decimal(limit)}
    return minutes


def test_an_order_inside_the_spread_fills_sooner_the_nearer_it_is():
    near, far = (
        sum(minutes_until_filled(limit, seed) for seed in range(12)) for limit in ("4.36", "4.08")
    )
    assert near < far
    assert minutes_until_filled("4.00", 1) == 60


def test_several_legs_inside_the_spread_fill_at_their_net():
    broker = exchange(fills="queue", seed=3)
    order = send(broker, multileg(*CONDOR, limit="-2.25", qty=2))
    broker.advance(broker.now + 60 * MINUTE)
    assert (order.status, order.filled_avg_price) == ("filled", Decimal("-2.25"))


def test_a_queue_never_gives_more_at_once_than_is_quoted():
    broker = exchange(fills="queue")
    order = send(broker, single(P595, "buy", limit="4.15", qty=25))
    assert order.filled_qty == 10
    broker.advance(broker.now + 2 * MINUTE)
    assert order.status == "filled"


def test_legs_with_odd_ratios_never_cost_more_than_the_limit():
    offers = [
        Offer(far=Decimal("4.40"), near=Decimal("4.00"), size=9, sign=1, ratio=2),
        Offer(far=Decimal("2.00"), near=Decimal("2.30"), size=9, sign=-1, ratio=3),
    ]
    for cents in range(125, 280):
        limit = Decimal(cents) / 100
        far, near = Decimal("2.80"), Decimal("1.10")
        prices = at_most(offers, between(offers, (far - limit) / (far - near)), limit)
        assert limit - Decimal("0.02") < net(offers, prices) <= limit


# Types and times


def test_a_stop_for_a_contract_wakes_when_the_middle_gets_there():
    table = market()
    broker = exchange(table)
    send(broker, single(P595, "buy"))
    stop = send(broker, single(P595, "sell", limit=None) | {"type": "stop", "stop_price": "3.5"})
    assert stop.status == "new"
    table.quotes[P595.symbol] = quote("3.60", "3.80")
    broker.advance(broker.now + MINUTE)
    assert stop.status == "new"
    table.quotes[P595.symbol] = quote("3.40", "3.60")
    broker.advance(broker.now + MINUTE)
    assert (stop.status, stop.filled_avg_price) == ("filled", Decimal("3.40"))


def test_a_stop_limit_that_is_awake_still_keeps_its_limit():
    table = market()
    broker = exchange(table)
    terms = {"type": "stop_limit", "stop_price": "4.5", "limit_price": "4.6"}
    order = send(broker, single(P595, "buy", limit=None) | terms)
    table.quotes[P595.symbol] = quote("4.70", "4.80")
    broker.advance(broker.now + MINUTE)
    assert (order.status, order.is_triggered) == ("new", True)
    table.quotes[P595.symbol] = quote("4.30", "4.40")
    broker.advance(broker.now + MINUTE)
    assert order.filled_avg_price == Decimal("4.40")


def test_stops_and_good_till_canceled_for_contracts_can_be_switched_off():
    broker = exchange(option_stops="false", option_gtc="false")
    stop = single(P595, "buy", limit=None) | {"type": "stop", "stop_price": "5"}
    assert refusal(broker, stop).code == 42210000
    assert refusal(broker, single(P595, "buy") | {"time_in_force": "gtc"}).code == 42210000
    assert refusal(exchange(), multileg(*CONDOR) | {"type": "stop"}).code == 42210000


def test_a_good_till_canceled_order_outlives_the_day_but_not_its_contract():
    broker = exchange()
    day, long = (
        send(broker, single(P595, "buy", limit="1") | {"time_in_force": tif})
        for tif in ("day", "gtc")
    )
    broker.advance(new_york_moment(date(2026, 11, 23), 10, 0))
    assert (day.status, long.status) == ("expired", "new")
    broker.advance(new_york_moment(P595.last_day, 15, 59))
    assert long.status == "new"
    broker.advance(new_york_moment(P595.last_day, 16, 0))
    assert long.status == "expired"


def shares(side, kind="market", tif="day", qty=10, **prices):
    body = {"symbol": "SPY", "side": side, "qty": qty, "type": kind, "time_in_force": tif}
    return body | prices


def test_a_trailing_stop_follows_the_best_price():
    table = market()
    broker = exchange(table)
    send(broker, shares("buy"))
    stop = send(broker, shares("sell", "trailing_stop", trail_price="5"))
    for price, wanted in (("610", "605.00"), ("606", "605.00"), ("604.99", None)):
        table.stock = Decimal(price)
        broker.advance(broker.now + MINUTE)
        assert stop.stop_price == Decimal(wanted or "605.00")
        assert stop.is_open == (wanted is not None)
    assert stop.filled_avg_price == Decimal("604.98")
    assert stop.hwm == 610


def test_immediate_orders_for_shares_fill_at_once_or_end():
    broker = exchange(partial_share=1)
    rest = send(broker, shares("buy", tif="ioc"))
    assert rest.status == "canceled"
    assert 0 < rest.filled_qty < 10
    assert send(broker, shares("buy", tif="fok")).filled_qty == 0
    kept = exchange()
    assert send(kept, shares("buy", tif="fok")).status == "filled"
    assert send(kept, shares("buy", "limit", "ioc", limit_price="1")).status == "canceled"


def test_auction_orders_fill_at_the_opening_and_at_the_closing_only():
    broker = exchange(at=new_york_moment(DAY, 9, 0))
    opening = send(broker, shares("buy", tif="opg"))
    closing = send(broker, shares("buy", tif="cls"))
    missed = send(broker, shares("buy", "limit", "opg", limit_price="1"))
    broker.advance(OPEN)
    assert (opening.status, closing.status, missed.status) == ("filled", "new", "canceled")
    assert refusal(broker, shares("buy", tif="opg")).code == 42210000
    broker.advance(CLOSE - MINUTE)
    assert closing.status == "new"
    assert refusal(broker, shares("buy", tif="cls")).code == 42210000
    broker.advance(CLOSE)
    assert closing.status == "filled"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (shares("buy", "limit", limit_price="600.001"), 422, 42210000),
        (shares("buy", "limit", limit_price="0.00001"), 422, 42210000),
        (shares("buy", "limit"), 422, 40010001),
        (shares("buy", "stop"), 422, 40010001),
        (shares("buy", "stop_limit", stop_price="1"), 422, 40010001),
        (shares("buy", "trailing_stop"), 422, 40010001),
        (shares("buy", "trailing_stop", trail_price="1", trail_percent="1"), 422, 40010001),
        (shares("buy", "stop", "ioc", stop_price="1"), 422, 42210000),
        (shares("buy", notional="100"), 422, 40010001),
        (shares("buy", extended_hours=True), 422, 42210000),
        (shares("buy", order_class="bracket"), 422, 40010001),
        (shares("buy", take_profit={"limit_price": "700"}), 422, 42210000),
        (shares("buy", qty=1_000_001), 422, 42210000),
        (shares("buy", qty=1_000), 403, 40310000),
        (shares("sell", qty=1_000), 403, 40310000),
    ],
)
def test_a_bad_order_for_shares_is_refused_with_its_code(body, status, code):
    no = refusal(exchange(), body)
    assert (no.status, no.code) == (status, code), no.message


def test_a_share_below_a_dollar_has_four_decimals():
    body = shares("buy", "limit", limit_price="0.1234")
    assert send(exchange(), body).limit_price == Decimal("0.1234")


# Increments


def off_table(contract, penny):
    table = market()
    listed = type(contract)(
        **{
            name: getattr(contract, name)
            for name in contract.__dataclass_fields__
            if name not in {"penny", "underlying", "root", "symbol"}
        },
        penny=penny,
        underlying="XYZ",
        root="XYZ",
        symbol=contract.symbol.replace("SPY", "XYZ"),
    )
    table.listed[listed.symbol] = listed
    table.quotes[listed.symbol] = quote("3.00", "3.10")
    return table, listed


@pytest.mark.parametrize(
    ("price", "penny", "fits"),
    [
        ("2.99", True, True),
        ("3.01", True, False),
        ("3.05", True, True),
        ("2.96", False, False),
        ("2.95", False, True),
        ("3.05", False, False),
        ("3.10", False, True),
    ],
)
def test_a_price_off_its_increment_is_rejected_by_the_venue_after_it_was_accepted(
    price, penny, fits
):
    table, listed = off_table(NICKEL, penny)
    broker = exchange(table)
    told = heard(broker)
    order = broker.place(single(listed, "buy", limit=price))
    assert order.status == "pending_new"
    broker.route()
    assert (order.status == "rejected") != fits
    assert (told[-1][0] == "rejected") != fits
    assert broker.figures().ordered == 0 or fits


def test_a_price_off_its_increment_can_be_refused_at_once_or_taken():
    table, listed = off_table(DIME, False)
    body = single(listed, "buy", limit="2.96")
    assert refusal(exchange(table, off_increment="refused"), body).code == 42210000
    assert send(exchange(table, off_increment="taken"), body).status == "new"


def test_net_prices_follow_the_switch():
    assert send(exchange(), multileg(*CONDOR, limit="-3.01")).status == "new"
    strict = exchange(net_increment="0.05", zero_net="false")
    assert refusal(strict, multileg(*CONDOR, limit="-3.01")).code == 42210000
    assert refusal(strict, multileg(*CONDOR, limit="0")).code == 40010001


# What an account may do

LONG, SHORT_PUT = single(P595, "buy"), single(P595, "sell", limit="4")


@pytest.mark.parametrize(
    ("level", "allowed"), [(0, ""), (1, "short"), (2, "short long"), (3, "short long spread")]
)
@pytest.mark.parametrize("is_approved", [True, False])
def test_a_level_allows_what_is_documented(level, allowed, is_approved):
    bodies = {"short": SHORT_PUT, "long": LONG, "spread": multileg(*CONDOR)}
    for name, body in bodies.items():
        broker = exchange(options_level=level) if is_approved else exchange()
        if not is_approved:
            routes_orders.configure(broker, {}, "", {"max_options_trading_level": level})
        if name in allowed.split():
            assert send(broker, body).status == "filled"
        else:
            no = refusal(broker, body)
            assert (no.status, no.code) == (403, 40310000)


def test_what_is_held_can_be_closed_at_any_level():
    broker = exchange()
    send(broker, LONG)
    routes_orders.configure(broker, {}, "", {"max_options_trading_level": 0})
    assert send(broker, single(P595, "sell", limit="4")).status == "filled"


def test_a_suspended_account_places_nothing_and_can_still_cancel():
    broker = exchange()
    order = send(broker, single(P595, "buy", limit="1"))
    routes_orders.configure(broker, {}, "", {"suspend_trade": True})
    assert refusal(broker, single(P595, "buy", limit="1")).code == 40310000
    broker.cancel(order.id)


def test_shares_are_sold_short_only_where_the_account_allows_it():
    broker = exchange()
    assert send(broker, shares("sell")).status == "filled"
    routes_orders.configure(broker, {}, "", {"no_shorting": True})
    send(broker, shares("buy"))
    assert refusal(broker, shares("sell")).code == 40310000


@pytest.mark.parametrize(
    "body",
    [
        {"max_options_trading_level": 4},
        {"max_options_trading_level": True},
        {"max_options_trading_level": "3"},
        {"suspend_trade": "yes"},
        {"max_margin_multiplier": 2},
        {"trade_confirm_email": []},
    ],
)
def test_a_configuration_that_cannot_be_changes_nothing(body):
    broker = exchange()
    before = broker.book.configuration
    no = no_of(routes_orders.configure, broker, {}, "", body | {"no_shorting": True})
    assert (no.status, no.code) == (422, 40010001)
    assert broker.book.configuration == before


@pytest.mark.parametrize(
    ("first", "second", "crosses"),
    [
        (single(P595, "buy", limit="4.00"), single(P595, "sell", limit="4.00"), True),
        (single(P595, "buy", limit="4.00"), single(P595, "sell", limit="4.01"), False),
        (single(P595, "buy", limit="4.00"), single(P595, "sell", limit=None), True),
        (single(P595, "sell", limit="4.30"), single(P595, "buy", limit="4.20"), False),
        (single(P595, "sell", limit="4.30"), single(P595, "buy", limit="4.40"), True),
        (single(P595, "buy", limit="4.00"), single(P590, "sell", limit="3"), False),
    ],
)
def test_orders_of_one_account_never_meet(first, second, crosses):
    broker = exchange()
    order = send(broker, first)
    assert order.status == "new"
    if not crosses:
        send(broker, second)
        return
    no = refusal(broker, second)
    assert (no.code, no.extra["existing_order_id"]) == (40310000, order.id)
    assert "wash trade" in no.message
    loose = exchange(option_wash_check="false")
    send(loose, first)
    assert send(loose, second).status in {"filled", "new"}


def test_a_roll_that_can_be_read_two_ways_is_refused():
    table = market()
    broker = exchange(table)
    send(broker, multileg(*CONDOR[2:]))
    plain = ((C610, "buy_to_close"), (C610_LATER, "sell_to_open"))
    vague = (*plain, (option("call", 620), "sell_to_open"), (C615, "buy_to_open"))
    table.listed[vague[2][0].symbol] = vague[2][0]
    vague = vague[:3]
    assert refusal(broker, multileg(*vague)).message == "rolling contracts ambiguous"
    no = refusal(broker, multileg(*plain, limit="5"))
    assert "ambiguous" not in no.message


# Closing


def test_a_position_is_closed_whole_in_part_or_by_its_share():
    broker = exchange()
    send(broker, single(P595, "buy", qty=8))
    for query, left in (({"qty": "1"}, 7), ({"percentage": "50"}, 4), ({}, 0)):
        status, shown = routes_orders.close_position(broker, query, P595.symbol, None)
        assert (status, shown["status"], shown["position_intent"]) == (
            200,
            "pending_new",
            "sell_to_close",
        )
        assert broker.book.qty(P595.symbol) == left
    no = no_of(routes_orders.close_position, broker, {}, P595.symbol, None)
    assert (no.status, no.code) == (404, 40410000)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"qty": "9"}, 40310000),
        ({"qty": "x"}, 40010001),
        ({"qty": "0"}, 40010001),
        ({"qty": "0.5"}, 42210000),
        ({"percentage": "101"}, 40010001),
        ({"percentage": "1"}, 40010001),
        ({"qty": "1", "percentage": "1"}, 40010001),
    ],
)
def test_a_position_is_not_closed_by_what_makes_no_sense(query, code):
    broker = exchange()
    send(broker, single(P595, "buy", qty=8))
    assert no_of(routes_orders.close_position, broker, query, P595.symbol, None).code == code


def test_closing_everything_meets_the_cover_check_and_a_second_time_finishes():
    broker = exchange()
    send(broker, multileg(*CONDOR))
    status, answers = routes_orders.close_positions(broker, {}, "", None)
    found = {answer["symbol"]: answer["status"] for answer in answers}
    assert status == 207
    assert [found[c.symbol] for c, _ in CONDOR] == [200, 403, 200, 403]
    assert all(a["body"]["code"] == 40310000 for a in answers if a["status"] == 403)
    routes_orders.close_positions(broker, {}, "", None)
    assert not broker.book.positions


def test_closing_everything_can_cancel_what_holds_it_first():
    broker = exchange()
    send(broker, single(P595, "buy", qty=2))
    held = send(broker, single(P595, "sell", limit="9", qty=2))
    _, answers = routes_orders.close_positions(broker, {}, "", None)
    assert [answer["status"] for answer in answers] == [403]
    routes_orders.close_positions(broker, {"cancel_orders": "True"}, "", None)
    assert held.status == "canceled"
    assert not broker.book.positions


def test_canceling_everything_says_which_could_not_be():
    broker = exchange(pending_minutes=5)
    one, other = (send(broker, single(c, "buy", limit="1")) for c in (P595, P590))
    broker.cancel(one.id)
    status, answers = routes_orders.cancel_all(broker, {}, "", None)
    assert status == 207
    assert {a["id"]: a["status"] for a in answers} == {one.id: 422, other.id: 200}


# Switches


@pytest.mark.parametrize(
    "words",
    [
        {"options_level": 4},
        {"net_increment": 0},
        {"pending_minutes": -1},
        {"off_increment": "x"},
        {"zero_net": "maybe"},
        {"nothing": 1},
    ],
)
def test_a_switch_that_cannot_be_is_named(words):
    with pytest.raises(BadSwitch, match=next(iter(words))):
        with_words(Switches(), words)
