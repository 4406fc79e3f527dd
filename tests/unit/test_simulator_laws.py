"""Laws that hold for every order a client may send to the simulated broker."""

from datetime import date
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.app import state
from simulator.exchange import Exchange
from simulator.margin import Lot, maintenance, uncovered, without_covered_calls
from simulator.refusal import Refusal
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
START = new_york_moment(DAY, 10, 0)
SYMBOLS = ("SPY261120P00600000", "SPY261120C00595000", "SPY261123P00590000", "SPY261123C00605000")
SHARES = ("SPY",)


@cache
def market(seed):
    """One for all examples: it keeps nothing of an account."""
    return Synthetic(DAY, ["SPY"], seed, SESSIONS)


def exchange(seed=7):
    return Exchange(market(seed), SESSIONS, account="LAW", cash=Decimal(50_000), start=START)


singles = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(SYMBOLS + SHARES),
        "side": st.sampled_from(["buy", "sell"]),
        "qty": st.integers(1, 5),
        "limit_price": st.sampled_from(["0.01", "1", "8", "40", "600", "900"]),
        "type": st.just("limit"),
        "time_in_force": st.just("day"),
    }
)
legs = st.lists(
    st.tuples(
        st.sampled_from(SYMBOLS),
        st.sampled_from(["buy_to_open", "sell_to_open", "buy_to_close", "sell_to_close"]),
        st.integers(1, 2),
    ),
    min_size=2,
    max_size=4,
    unique_by=lambda leg: leg[0],
)
multilegs = st.builds(
    lambda legs, qty, limit: {
        "order_class": "mleg",
        "qty": qty,
        "type": "limit",
        "limit_price": limit,
        "time_in_force": "day",
        "legs": [
            {"symbol": s, "position_intent": i, "side": i.split("_")[0], "ratio_qty": r}
            for s, i, r in legs
        ],
    },
    legs,
    st.integers(1, 3),
    st.sampled_from(["-5", "-1", "0", "1", "20"]),
)
verticals = st.builds(
    lambda bought, sold, end, right, limit: {
        "order_class": "mleg",
        "qty": 1,
        "type": "limit",
        "limit_price": limit,
        "time_in_force": "day",
        "legs": [
            {"symbol": f"SPY{end}{right}00{strike}000", "position_intent": i, "ratio_qty": 1}
            for strike, i in ((bought, "buy_to_open"), (sold, "sell_to_open"))
        ],
    },
    st.sampled_from([585, 590, 595]),
    st.sampled_from([600, 605, 610]),
    st.sampled_from(["261120", "261123"]),
    st.sampled_from("CP"),
    st.sampled_from(["-1", "0", "20"]),
)
CLOSE = "close"  # everything that is held, one order a contract
steps = st.lists(
    st.one_of(verticals, singles, multilegs, st.integers(1, 90), st.just(CLOSE)), max_size=16
)


def live(broker, plan):
    """Send the orders and let the minutes pass; refusals are answers too."""
    answers = []
    for step in plan:
        if isinstance(step, int):
            broker.advance(broker.now + step * MINUTE)
            continue
        for order in closing(broker) if step == CLOSE else [step]:
            try:
                answers.append(broker.place(order).id)
            except Refusal as no:
                answers.append((no.status // 100, no.message))
            broker.route()
    return answers


def closing(broker):
    return [
        {
            "symbol": held.symbol,
            "side": "buy" if held.qty < 0 else "sell",
            "qty": abs(held.qty),
            "type": "market",
            "time_in_force": "day",
        }
        for held in list(broker.book.positions.values())
    ]


@settings(max_examples=60, deadline=None)
@given(steps)
def test_cash_and_positions_are_the_sum_of_fills_and_settlements(plan):
    broker = exchange()
    refused = [answer[0] for answer in live(broker, plan) if isinstance(answer, tuple)]
    assert set(refused) <= {4}
    broker.advance(new_york_moment(date(2026, 11, 24), 10, 0))
    cash, held = broker.book.cash_start, {}
    for done in broker.book.activities:
        change = done.qty
        if done.kind == "FILL":
            change = done.qty if done.side == "buy" else -done.qty
            cash -= done.price * change * (1 if done.symbol == "SPY" else 100)
        else:
            cash += done.net_usd
        held[done.symbol] = held.get(done.symbol, 0) + change
    assert broker.book.cash == cash
    assert {s: q for s, q in held.items() if q} == {
        p.symbol: p.qty for p in broker.book.positions.values()
    }
    assert cash == round(cash, 2)


@settings(max_examples=20, deadline=None)
@given(steps)
def test_the_same_requests_have_the_same_answers_and_ids(plan):
    one, other = exchange(), exchange()
    assert live(one, plan) == live(other, plan)
    assert state(one) == state(other)


def test_the_same_seed_is_the_same_market_in_whatever_order_it_is_asked():
    late = new_york_moment(date(2026, 12, 4), 15, 0)
    asked, fresh = (Synthetic(DAY, ["SPY", "AAPL"], 3, SESSIONS) for _ in range(2))
    asked.chain("AAPL", START)
    asked.chain("SPY", START)
    one, other = asked.chain("SPY", late), fresh.chain("SPY", late)
    assert [c.symbol for c in one.contracts] == [c.symbol for c in other.contracts]
    assert one.bid.tobytes() == other.bid.tobytes()
    assert asked.spot("SPY", late) == fresh.spot("SPY", late)


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_natural_condor_takes_in_a_fifth_to_a_third_of_its_width(seed):
    chain = Synthetic(DAY, ["SPY"], seed, SESSIONS).chain("SPY", START + 90 * MINUTE)
    end, width = date(2026, 12, 24), 10
    rows = {
        (c.right, int(c.strike)): k for k, c in enumerate(chain.contracts) if c.expiration == end
    }
    delta = chain.greeks["delta"]

    def nearest(right, wanted):
        right_rows = {strike: k for (r, strike), k in rows.items() if r == right}
        return min(right_rows, key=lambda strike: abs(delta[right_rows[strike]] - wanted))

    put, call = nearest("put", -0.2), nearest("call", 0.2)
    taken = chain.bid[rows["put", put]] + chain.bid[rows["call", call]]
    paid = chain.ask[rows["put", put - width]] + chain.ask[rows["call", call + width]]
    assert 0.18 < (taken - paid) / width < 0.34


lots = st.lists(
    st.builds(
        Lot,
        right=st.sampled_from(["call", "put"]),
        strike=st.integers(1, 20).map(lambda k: Decimal(k * 5)),
        expiration=st.sampled_from([DAY, date(2026, 12, 18)]),
        qty=st.integers(-3, 3).filter(bool),
        size=st.sampled_from([100, 100, 150, 33, 10]),
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(lots)
def test_no_stock_price_costs_a_covered_set_more_than_its_requirement(held):
    if uncovered(held, "call") > 0:
        return  # its loss has no bound
    needed = maintenance(held)
    for price in [*range(0, 200, 3), *range(200, 1200, 25)]:
        for end in {lot.expiration for lot in held}:
            value = sum(
                lot.qty * max(lot.size * price - 100 * lot.strike, 0)
                if lot.right == "call"
                else lot.qty * max(100 * lot.strike - lot.size * price, 0)
                for lot in held
                if lot.expiration >= end
            )
            assert value >= -needed - Decimal("0.01")


@pytest.mark.parametrize(
    ("held", "loss"),
    [
        ([("put", 100, -1, 150)], 10_000),  # the strike counts 100 times whatever is delivered
        ([("call", 100, -1, 150), ("call", 105, 1, 150)], 500),
        ([("put", 100, -1, 50), ("put", 100, 1, 100)], 5_000),  # at 100: 50 shares for 100 strikes
        ([("call", 90, -1, 50), ("call", 90, 1, 100)], 0),  # bends at 180 and at 90
    ],
)
def test_an_adjusted_contract_loses_by_what_it_delivers(held, loss):
    assert maintenance([lot(*each) for each in held]) == loss


def test_an_adjusted_contract_covers_share_for_share():
    adjusted, fresh = lot("call", 100, -1, 150), lot("call", 100, 1, 100)
    assert uncovered([adjusted, fresh], "call") == 50
    assert uncovered([lot("call", 100, -1, 100), lot("call", 100, 1, 150)], "call") <= 0
    assert without_covered_calls([adjusted, fresh], 150) == [fresh]
    assert without_covered_calls([adjusted], 149) == [adjusted]
    assert without_covered_calls([adjusted], 150) == []


def lot(right, strike, qty, size):
    return Lot(right=right, strike=Decimal(strike), expiration=DAY, qty=qty, size=size)
