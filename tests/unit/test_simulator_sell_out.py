"""What the broker closes before expiry, what the night exercises, and that both agree."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.covering import is_bared
from simulator.what_if import moved
from tests.unit.test_simulator_expiry import (
    AC220,
    AP240,
    C590,
    C595,
    C610,
    FRIDAY,
    LC590,
    LC610,
    LP610,
    P600,
    P605,
    P610,
    Table,
    at,
    broker_of,
    night,
    option,
    send,
    shares,
)

C600, C605 = option("call", 600), option("call", 605)
P590, P595 = option("put", 590), option("put", 595)

SPREADS = [
    # held, cash -> what the broker closes, in order
    ([(C590, 3), (C605, -3)], 2_300, [C605, C590]),
    ([(P610, 3), (P595, -3)], 2_300, [P595, P610]),
    ([(C590, 1), (C605, -1)], 60_000, []),
    ([(C590, 2), (C595, 1), (C605, -1), (C610, -2)], 2_000, [C605, C610, C590, C595]),
    ([(C595, 1), (C605, -1), (C610, 1)], 100, [C595]),
    ([(C590, 1), (C605, -1), ("SPY", 100)], 100, [C590]),
    ([(C590, 1), (P605, 1)], 3_480, [C590, P605]),
    ([(C590, 1), (P605, 1), ("SPY", 100)], 100, []),
    ([(C590, 1), (P605, 1)], 59_000, []),
    ([(AC220, 1), (C590, 1), (P605, 1)], 59_000, []),
    ([(C590, 1), (C595, 1)], 60_000, [C595]),
    ([(C590, 1), (LC590, -1), (LC610, 1)], 100, [C590]),
]


@pytest.mark.parametrize(("held", "cash", "sold"), SPREADS)
def test_a_short_contract_goes_before_the_long_one_that_stood_for_it(held, cash, sold):
    broker = broker_of(*held, cash=cash)
    before = moved(broker.book, [], Decimal(0))
    broker.advance(at(15, 45))
    orders = list(broker.book.orders.values())
    assert [order.symbol for order in orders] == [contract.symbol for contract in sold]
    assert {order.status for order in orders} <= {"filled"}
    assert not is_bared(before, broker.book, at_worst=False)


def test_at_night_what_brings_cash_or_shares_is_exercised_first():
    broker = broker_of((C590, 1), (P605, 1), ("SPY", 100), cash=38_525)
    rows = night(broker)
    assert [row for row in rows if row[1] != "SPY"] == [
        ("OPEXC", P605.symbol, -1),
        ("OPEXC", C590.symbol, -1),
    ]
    assert (shares(broker), broker.book.cash) == ({"SPY": 100}, 40_025)


@dataclass
class NoOffer(Table):
    """Nobody sells contracts that are out of the money."""

    def price(self, contract, now):
        quote = super().price(contract, now)
        if quote is None or contract.intrinsic(self.spots[contract.underlying]) > 0:
            return quote
        return type(quote)(at=now, bid=quote.bid, ask=None, bid_size=9, ask_size=0)


@pytest.mark.parametrize(("long", "short"), [(C590, C605), (P610, P595)])
def test_where_the_short_contract_cannot_be_bought_the_long_one_stays_until_it_can(long, short):
    market = NoOffer()
    broker = broker_of((long, 3), (short, -3), cash=2_300, market=market)
    broker.advance(at(15, 50))
    assert shares(broker) == {long.symbol: 3, short.symbol: -3}
    assert {order.status for order in broker.book.orders.values()} == {"new"}
    market.price = lambda contract, now: Table.price(market, contract, now)
    broker.advance(at(15, 52))
    assert shares(broker) == {}


def test_what_the_sell_out_could_not_close_is_not_ordered_twice():
    broker = broker_of((AC220, 1), (C590, 1), cash=100, market=Table(bid=False))
    broker.advance(at(15, 50))
    assert [order.symbol for order in broker.book.orders.values()] == [AC220.symbol, C590.symbol]


def test_orders_that_a_sell_out_leaves_without_cover_are_canceled():
    broker = broker_of((C590, 1), (C605, -1), (C610, 1), cash=100)
    order = send(broker, C610.symbol, "sell", type="limit", limit_price="40")
    broker.advance(at(15, 45))
    assert C590.symbol not in shares(broker)
    assert not broker.book.qty(C605.symbol) or order.status == "canceled"


CONTRACTS = [C590, C595, C600, C605, C610, P590, P595, P600, P605, P610, AC220, AP240]
CONTRACTS += [LC590, LP610, LC610]
books = st.lists(
    st.tuples(st.sampled_from(CONTRACTS), st.integers(-3, 3).filter(bool)),
    max_size=7,
    unique_by=lambda held: held[0].symbol,
)
CASH = st.sampled_from([0, 5_000, 24_000, 60_000, 100_000, 1_000_000])
STOCK = st.sampled_from([0, 100, -100, 250])
SPOT = st.integers(58_800, 61_200)


def held_by(held, cash, stock, spot):
    market = Table(spots={"SPY": Decimal(spot) / 100, "AAPL": Decimal(230)})
    owned = [("SPY", stock)] if stock else []
    return broker_of(*held, *owned, cash=cash, market=market)


@settings(max_examples=100, deadline=None)
@given(books, CASH, STOCK, SPOT)
def test_what_a_sell_out_keeps_is_exercised_at_the_same_prices(held, cash, stock, spot):
    broker = held_by(held, cash, stock, spot)
    broker.advance(at(15, 46))
    held_on = [p for p in broker.book.positions.values() if p.contract]
    # A long that a short one stands on cannot be sold alone: it may lapse for want of cash.
    stood_on = {(p.contract.underlying, p.contract.right) for p in held_on if p.qty < 0}
    kept = {
        p.symbol
        for p in held_on
        if p.qty > 0 and p.contract.last_day == FRIDAY
        and (p.contract.underlying, p.contract.right) not in stood_on
        and p.contract.intrinsic(broker.market.spot(p.contract.underlying, broker.now)[1]) > 0
    }  # fmt: skip
    rows = night(broker)
    lapsed = {symbol for kind, symbol, qty in rows if kind == "OPEXP"}
    assert not kept & lapsed, ([(c.symbol, n) for c, n in held], kept, rows)


@settings(max_examples=100, deadline=None)
@given(books, CASH, STOCK, SPOT)
def test_a_sell_out_bares_nothing_and_leaves_no_margin_open(held, cash, stock, spot):
    broker = held_by(held, cash, stock, spot)
    broker.advance(at(15, 29))
    before, left = moved(broker.book, [], Decimal(0)), broker.figures().left
    broker.advance(at(15, 46))
    assert not is_bared(before, broker.book, at_worst=False)
    paid = sum(
        (100 * row.price * row.qty for row in broker.book.activities if row.side == "buy"), 0
    )
    spread = 4 * sum(abs(qty) for _, qty in held)
    assert broker.figures().left >= min(left, 0) - paid - spread
