"""The client against the simulator: whole chains, every page, orders as they are sent and kept."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from broker import client
from broker.client import Broker, Keys, Window, chain_frame
from broker.errors import IdTaken, NotAuthorized, Refused, Unknown
from domain.orders import Leg, OrderIntent, Purpose, Side
from simulator.book import Activity

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EVERYTHING = Window(
    expiration_min=date(2014, 6, 6),
    expiration_max=date(2027, 12, 31),
    strike_min=Decimal(0),
    strike_max=Decimal(100_000),
)


def broker_at(simulator):
    keys = Keys(key_id="KEY-ID", secret_key="SECRET")
    return Broker(keys, url=simulator.url, is_live=False)


@pytest.fixture
def broker(simulator):
    simulator.advance(TEN)
    return broker_at(simulator)


def a_condor(simulator, name="condor", quantity=2, limit=Decimal("-0.01")):
    """Sold 10 % and bought 14 % away from 230 USD, in the last listed month."""
    wanted = ("P00200000", Side.BUY), ("P00210000", Side.SELL)
    wanted += ("C00250000", Side.SELL), ("C00260000", Side.BUY)
    return OrderIntent(
        client_order_id=name,
        strategy="iron_condor",
        underlying="AAPL",
        purpose=Purpose.OPEN,
        legs=tuple(Leg(symbol=f"AAPL270115{end}", side=side, ratio=1) for end, side in wanted),
        quantity=quantity,
        limit_price=limit,
        loss_usd_worst=Decimal(2000),
    )


def a_single(name, limit=Decimal("0.01")):
    """A purchase far from the market: it stays working."""
    leg = Leg(symbol="AAPL270115C00230000", side=Side.BUY, ratio=1)
    one = a_condor(None, name, 1, limit)
    return replace(one, legs=(leg,))


def send(broker, intent):
    return broker.submit(intent, intent.limit_price)


# Chains


def test_a_chain_of_more_than_a_thousand_contracts_is_whole(recorded):
    recorded.advance(datetime(2014, 6, 6, 15, 0, tzinfo=UTC))
    exchange = recorded.exchange
    broker = broker_at(recorded)
    contracts = broker.contracts("AAPL", EVERYTHING)
    quotes = broker.chain_snapshots("AAPL", EVERYTHING)
    listed = {c.symbol for c in exchange.market.contracts("AAPL", exchange.now)}
    quoted = exchange.market.chain("AAPL", exchange.now)
    assert len(quoted.contracts) > 1000
    assert {body["symbol"] for body in contracts} == listed
    assert set(quotes) == {contract.symbol for contract in quoted.contracts}
    chain = chain_frame(contracts, quotes)
    for row in chain.sample(50, random_state=1).itertuples():
        quote = exchange.quote(row.symbol)
        bid, ask = (None, None) if quote is None else (quote.bid, quote.ask)
        assert (row.bid == row.bid) == (bid is not None)
        assert (row.ask == row.ask) == (ask is not None)
        assert bid is None or row.bid == float(bid)
        assert ask is None or row.ask == float(ask)


@pytest.mark.parametrize("size", [1, 7, 519, 520, 521])
def test_contracts_are_whole_whatever_the_size_of_a_page(size, broker, simulator, monkeypatch):
    monkeypatch.setattr(client, "CONTRACTS_PAGE", size)
    window = EVERYTHING
    if size == 1:
        monkeypatch.setattr(client, "PAGES_MAX", 30)
        window = replace(EVERYTHING, strike_min=Decimal(229), strike_max=Decimal(231))
    found = [body["symbol"] for body in broker.contracts("AAPL", window)]
    exchange = simulator.exchange
    listed = [
        c.symbol
        for c in exchange.market.contracts("AAPL", exchange.now)
        if window.strike_min <= c.strike <= window.strike_max
    ]
    assert found == listed
    assert len(found) > 10


def test_a_list_that_never_ends_is_unknown(broker, monkeypatch):
    monkeypatch.setattr(client, "CONTRACTS_PAGE", 1)
    monkeypatch.setattr(client, "PAGES_MAX", 3)
    with pytest.raises(Unknown, match="did not end after 3 pages"):
        broker.contracts("AAPL", EVERYTHING)


def test_a_window_keeps_both_its_ends_and_nothing_beyond(broker):
    window = Window(
        expiration_min=date(2026, 12, 18),
        expiration_max=date(2026, 12, 24),
        strike_min=Decimal("227.5"),
        strike_max=Decimal("232.5"),
    )
    chain = chain_frame(broker.contracts("AAPL", window), broker.chain_snapshots("AAPL", window))
    assert set(chain["strike"]) == {227.5, 230.0, 232.5}
    assert set(chain["expiration"]) == {date(2026, 12, 18), date(2026, 12, 24)}
    assert len(chain) == 12


def test_an_underlying_nobody_lists_has_no_contracts_and_no_price(broker):
    assert broker.contracts("XYZ", EVERYTHING) == []
    assert broker.chain_snapshots("XYZ", EVERYTHING) == {}
    assert broker.spots(["AAPL", "XYZ"])["XYZ"] is None
    assert broker.spots([]) == {}
    assert broker.contract("AAPL990115C00230000") is None


def test_snapshots_of_more_contracts_than_one_request_takes_are_all_there(broker, simulator):
    exchange = simulator.exchange
    symbols = [c.symbol for c in exchange.market.chain("AAPL", exchange.now).contracts]
    assert len(symbols) > 3 * client.SYMBOLS_MAX
    assert set(broker.snapshots([*symbols, "AAPL990115C00230000"])) == set(symbols)


# Orders


def test_a_condor_is_sent_as_one_package_and_fills_leg_by_leg(broker, simulator):
    intent = a_condor(simulator)
    order = send(broker, intent)
    assert (order.client_order_id, order.order_class, order.quantity) == ("condor", "mleg", 2)
    assert order.limit_price == Decimal("-0.01")
    assert [(leg.symbol, leg.side) for leg in order.legs] == [
        (leg.symbol, leg.side) for leg in intent.legs
    ]
    assert {leg.position_intent for leg in order.legs} == {"buy_to_open", "sell_to_open"}
    found = broker.order_by_client_id("condor")
    theirs = simulator.exchange.find_by_client_id("condor")
    assert (found.id, found.status) == (order.id, "filled")
    assert str(found.id) == theirs.id
    assert found.filled_average_price == theirs.filled_avg_price
    assert {(p.symbol, p.quantity) for p in broker.positions()} == {
        (p.symbol, p.qty) for p in simulator.exchange.book.positions.values()
    }
    fills, others = broker.fills_and_activities(TEN - timedelta(days=1))
    assert others == []
    assert (
        sum(
            fill.price * fill.quantity * (100 if fill.side is Side.SELL else -100) for fill in fills
        )
        == simulator.exchange.book.cash - 100_000
    )
    assert {fill.order_id for fill in fills} == {leg.id for leg in found.legs}


def test_a_single_leg_is_sent_as_a_simple_order(broker, simulator):
    order = send(broker, a_single("one"))
    assert (order.order_class, order.side, order.position_intent) == (
        "simple",
        "buy",
        "buy_to_open",
    )
    assert order.legs == ()
    assert broker.order_by_client_id("one").status == "new"


def test_an_id_is_taken_for_good_even_after_a_cancel(broker, simulator):
    order = send(broker, a_single("one"))
    with pytest.raises(IdTaken):
        send(broker, a_single("one"))
    broker.cancel(order.id)
    assert broker.order_by_client_id("one").status == "canceled"
    with pytest.raises(IdTaken):
        send(broker, a_single("one"))
    assert len(simulator.exchange.book.orders) == 1


def test_what_has_ended_cannot_be_canceled(broker, simulator):
    order = send(broker, a_condor(simulator))
    with pytest.raises(Refused, match="filled"):
        broker.cancel(order.id)


def test_a_refusal_keeps_the_brokers_words_and_code(broker, simulator):
    simulator.exchange.book.cash = Decimal(0)
    with pytest.raises(Refused, match="insufficient options buying power") as said:
        send(broker, a_condor(simulator))
    assert (said.value.status, said.value.code) == (403, 40310000)
    assert not isinstance(said.value, NotAuthorized)
    assert broker.order_by_client_id("condor") is None


def test_keys_of_nobody_are_not_authorized(monkeypatch, request):
    monkeypatch.setenv("SIMULATOR_SECRET_KEY", "ANOTHER")  # before the simulator is built
    broker = broker_at(request.getfixturevalue("simulator"))
    with pytest.raises(NotAuthorized, match="APCA_API_SECRET_KEY") as said:
        broker.clock()
    assert (said.value.status, said.value.code) == (401, 40110000)


# Pages


@pytest.mark.parametrize("size", [2, 3, 25, 26, 500])
def test_orders_are_whole_whatever_the_size_of_a_page(size, broker, simulator, monkeypatch):
    """The clock stands still, so that all of them lie within a thousandth of a second."""
    monkeypatch.setattr(client, "ORDERS_PAGE", size)
    sent = [send(broker, a_single(f"order-{n}")).id for n in range(25)]
    found = broker.orders(TEN - timedelta(days=1))
    assert [order.id for order in found] == sent


def test_orders_of_one_moment_are_whole_or_said_to_be_unknown(broker, simulator, monkeypatch):
    """Time is all there is to page by: more orders of one moment than fit cannot be read."""
    ids = [send(broker, a_single(f"order-{n}")).id for n in range(6)]
    one_moment = next(iter(simulator.exchange.book.orders.values())).submitted_at
    for order in simulator.exchange.book.orders.values():
        order.submitted_at = one_moment
    monkeypatch.setattr(client, "ORDERS_PAGE", 7)
    assert {order.id for order in broker.orders(TEN - timedelta(days=1))} == set(ids)
    for size in (1, 5, 6):
        monkeypatch.setattr(client, "ORDERS_PAGE", size)
        with pytest.raises(Unknown, match="one moment"):
            broker.orders(TEN - timedelta(days=1))


def test_several_orders_of_one_moment_across_a_page_are_all_read(broker, simulator, monkeypatch):
    ids = [send(broker, a_single(f"order-{n}")).id for n in range(9)]
    book = simulator.exchange.book
    for number, order in enumerate(book.orders.values()):
        order.submitted_at = simulator.exchange.now + number // 3 * 1_000_000_000
    monkeypatch.setattr(client, "ORDERS_PAGE", 4)
    assert [order.id for order in broker.orders(TEN - timedelta(days=1))] == ids


def test_orders_before_the_window_are_left_out(broker, simulator):
    send(broker, a_single("old"))
    simulator.advance(TEN + timedelta(minutes=1))
    send(broker, a_single("new"))
    assert [o.client_order_id for o in broker.orders(TEN + timedelta(seconds=30))] == ["new"]


@pytest.mark.parametrize("size", [1, 4, 5, 7, 100])
def test_activities_are_whole_whatever_the_size_of_a_page(size, broker, simulator, monkeypatch):
    monkeypatch.setattr(client, "ACTIVITIES_PAGE", size)
    send(broker, a_condor(simulator))
    exchange = simulator.exchange
    for kind in ("OPEXP", "OPASN", "OPTRD"):
        exchange.book.activities.append(
            Activity(
                id=f"20261120000000000::{kind}",
                kind=kind,
                at=exchange.now + 1,
                day=TEN.date(),
                symbol="AAPL",
                qty=Decimal(1),
                net_usd=Decimal("-0.05"),
            )
        )
    fills, others = broker.fills_and_activities(TEN - timedelta(days=1))
    theirs = exchange.book.activities
    assert [fill.id for fill in fills] == [a.id for a in theirs if a.kind == "FILL"]
    assert [a.id for a in others] == [a.id for a in theirs if a.kind != "FILL"]
    assert [a.net_amount for a in others] == [Decimal("-0.05")] * 3
