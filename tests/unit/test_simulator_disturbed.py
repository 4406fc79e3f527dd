"""Faults of the market: what a disturbed chain looks like, and that a jump opens no arbitrage."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import happenings
from simulator.disturbed import Disturbed
from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind, Faults
from simulator.market import quote_of
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
MARKET = Synthetic(DAY, ["AAPL"], 7, SESSIONS)
NOW = new_york_moment(DAY, 11, 0)
PLAIN = MARKET.chain("AAPL", NOW)


def disturbed(kind, **more):
    faults = Faults()
    faults.now = NOW
    faults.arm(Fault(kind=kind, **more))
    return Disturbed(MARKET, faults, SESSIONS), faults


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (FaultKind.CROSSED, lambda chain: chain.bid > chain.ask),
        (FaultKind.LOCKED, lambda chain: chain.bid == chain.ask),
        (FaultKind.ZERO_BID, lambda chain: np.isnan(chain.bid)),
        (FaultKind.ONE_SIDED, lambda chain: np.isnan(chain.ask)),
        (FaultKind.NO_GREEKS, lambda chain: np.isnan(chain.vol)),
        (FaultKind.WILD_GREEKS, lambda chain: np.isinf(chain.greeks["delta"] * 10)),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_disturbed_chain_is_wrong_where_it_should_be_and_counted_once(kind, wrong):
    market, faults = disturbed(kind, settings={"every": 4})
    chain = market.chain("AAPL", NOW)
    market.chain("AAPL", NOW)
    rows = np.arange(0, len(chain.contracts), 4)
    had = (~np.isnan(PLAIN.bid) & ~np.isnan(PLAIN.ask))[rows]
    assert wrong(chain)[rows][had].all()
    others = np.setdiff1d(np.arange(len(chain.contracts)), rows)
    assert np.array_equal(chain.bid[others], PLAIN.bid[others], equal_nan=True)
    assert faults.fired[kind] == 1


def test_one_contract_alone_can_be_disturbed_or_missing():
    symbol = PLAIN.contracts[10].symbol
    market, _ = disturbed(FaultKind.MISSING, symbol=symbol)
    chain = market.chain("AAPL", NOW)
    assert len(chain.contracts) == len(PLAIN.contracts) - 1
    assert chain.quote(symbol) is None
    after = PLAIN.contracts[11].symbol
    assert chain.quote(after) == PLAIN.quote(after)


def test_a_contract_is_listed_twice():
    market, _ = disturbed(FaultKind.DUPLICATED, symbol=PLAIN.contracts[10].symbol)
    listed = [contract.symbol for contract in market.contracts("AAPL", NOW)]
    assert len(listed) == len(set(listed)) + 1


def test_a_stock_that_stands_still_keeps_its_quotes_and_trades_again_afterwards():
    until = NOW + 10 * MINUTE
    market, faults = disturbed(FaultKind.HALT, symbol="AAPL", at=NOW, until=until)
    assert market.spot("AAPL", until - 1) == MARKET.spot("AAPL", NOW)
    assert (market.chain("AAPL", until - 1).at <= NOW).all()
    assert market.spot("AAPL", until) == MARKET.spot("AAPL", until)
    bars = market.minutes("AAPL", NOW - 2 * MINUTE, until + 2 * MINUTE)
    assert [bar.at for bar in bars if NOW <= bar.at < until] == []
    assert faults.fired[FaultKind.HALT] == 1


def test_nothing_fills_while_a_stock_stands_still():
    exchange = Exchange(MARKET, SESSIONS, account="H", cash=Decimal(100_000), start=NOW)
    until = NOW + 10 * MINUTE
    exchange.faults.arm(Fault(kind=FaultKind.HALT, symbol="AAPL", at=NOW, until=until))
    body = {"symbol": "AAPL", "side": "buy", "qty": 1, "type": "market", "time_in_force": "day"}
    order = exchange.place(body)
    exchange.route()
    happenings.advance(exchange, until - 1)
    assert order.status == "new"
    happenings.advance(exchange, until + MINUTE)
    assert order.status == "filled"


def test_stale_quotes_are_of_an_hour_ago_while_the_stock_moves_on():
    market, _ = disturbed(FaultKind.STALE, settings={"seconds": 1800})
    assert market.chain("AAPL", NOW) is MARKET.chain("AAPL", NOW - 30 * MINUTE)
    assert market.spot("AAPL", NOW) == MARKET.spot("AAPL", NOW)


@settings(max_examples=25, deadline=None)
@given(st.floats(-40, 40))
def test_after_a_jump_no_contract_is_worth_less_than_exercise_or_out_of_line(percent):
    market, _ = disturbed(FaultKind.GAP, at=NOW, settings={"percent": percent})
    chain = market.chain("AAPL", NOW)
    before, after = MARKET.spot("AAPL", NOW)[1], market.spot("AAPL", NOW)[1]
    assert float(after) == pytest.approx(float(before) * (1 + percent / 100), abs=0.01)
    strike = np.array([float(contract.strike) for contract in chain.contracts])
    is_call = np.array([contract.right == "call" for contract in chain.contracts])
    worth = np.where(is_call, float(after) - strike, strike - float(after))
    quoted = ~np.isnan(chain.ask)
    assert (chain.ask[quoted] >= worth[quoted] * 0.98 - 0.05).all()
    assert not (chain.bid > chain.ask + 1e-9)[chain.bid > 0].mean() > 0.01
    kinds = {(c.last_day, c.right) for c in chain.contracts}
    for end, right in kinds:
        rows = [
            row
            for row, c in enumerate(chain.contracts)
            if (c.last_day, c.right) == (end, right) and quoted[row]
        ]
        steps = np.diff(chain.ask[rows])
        wide = 0.35 + chain.ask[rows][1:] * 0.05
        assert (steps * (1 if right == "put" else -1) >= -wide).all()


def test_a_jump_moves_the_stocks_bars_and_closes_too():
    at = NOW
    market, _ = disturbed(FaultKind.GAP, symbol="AAPL", at=at, settings={"percent": -20})
    close = MARKET.official_close("AAPL", DAY)
    assert market.official_close("AAPL", DAY) == round(close * Decimal("0.8"), 2)
    before, after = market.minutes("AAPL", at - MINUTE, at + MINUTE)
    assert after.open < before.close * 0.85
    later = new_york_moment(DAY, 15, 0)
    today = market.daily("AAPL", later)[-1]
    assert today.low < today.high * 0.85
    assert market.spot("AAPL", at - 1) == MARKET.spot("AAPL", at - 1)


@pytest.mark.parametrize("day", [date(2026, 11, 20), date(2026, 11, 27)])
def test_a_jump_from_the_close_on_moves_no_close_of_that_day(day):
    sessions = Sessions(day, day)
    plain = Synthetic(day, ["AAPL"], 7, sessions)
    close = sessions.on(day).close
    night = sessions.all[sessions.all.index(sessions.on(day)) + 1].open - MINUTE
    for at in (close, close + 30 * MINUTE):
        faults = Faults()
        faults.arm(Fault(kind=FaultKind.GAP, symbol="AAPL", at=at))
        market = Disturbed(plain, faults, sessions)
        assert market.official_close("AAPL", day) == plain.official_close("AAPL", day)
        put = plain.chain("AAPL", close - 1).contracts[-1].symbol
        for symbol in ("AAPL", put):
            assert market.last_close(symbol, night) == plain.last_close(symbol, night)
        assert market.spot("AAPL", night)[1] < plain.spot("AAPL", night)[1]


def test_a_jump_after_an_early_close_does_not_change_what_is_exercised():
    day = date(2026, 11, 27)
    sessions = Sessions(day, day)
    market = Synthetic(day, ["SPY"], 7, sessions)
    close = sessions.on(day).close
    held = []
    for faults in ([], [Fault(kind=FaultKind.GAP, symbol="SPY", at=close + 30 * MINUTE)]):
        exchange = Exchange(market, sessions, account="H", cash=Decimal(100_000), start=close - 1)
        spot = market.spot("SPY", close - 1)[1]
        calls = [
            c
            for c in market.contracts("SPY", close - 1)
            if c.right == "call" and c.last_day == day and c.strike < spot - 5
        ]
        happenings.book_by_hand(exchange, calls[-1].symbol, 1, Decimal(5))
        for fault in faults:
            exchange.faults.arm(fault)
        happenings.advance(exchange, close + 24 * 60 * MINUTE)
        held.append(exchange.book.qty("SPY"))
    assert held == [100, 100]


@pytest.mark.parametrize("percent", [-20, 15])
def test_after_a_jump_every_side_that_is_quoted_has_a_size_and_no_other_has(percent):
    market, _ = disturbed(FaultKind.GAP, at=NOW, settings={"percent": percent})
    chain = market.chain("AAPL", NOW)
    assert ((chain.ask_size > 0) == ~np.isnan(chain.ask)).all()
    assert ((chain.bid_size > 0) == ~np.isnan(chain.bid)).all()


def test_one_contract_alone_is_stale_and_a_stock_that_is_named_is_stale_itself():
    before = NOW - 30 * MINUTE
    symbol = PLAIN.contracts[10].symbol
    market, _ = disturbed(FaultKind.STALE, symbol=symbol, settings={"seconds": 1800})
    chain = market.chain("AAPL", NOW)
    assert quote_of(market, symbol, NOW) == quote_of(MARKET, symbol, before)
    assert chain.quote(PLAIN.contracts[11].symbol) == PLAIN.quote(PLAIN.contracts[11].symbol)
    assert (chain.at != PLAIN.at).sum() == 1
    assert quote_of(market, "AAPL", NOW) == quote_of(MARKET, "AAPL", NOW)
    market, _ = disturbed(FaultKind.STALE, symbol="AAPL", settings={"seconds": 1800})
    assert market.chain("AAPL", NOW) is MARKET.chain("AAPL", before)
    assert quote_of(market, "AAPL", NOW) == quote_of(MARKET, "AAPL", before)
    assert market.spot("AAPL", NOW) == MARKET.spot("AAPL", NOW)
