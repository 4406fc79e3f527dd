"""Trades and bars that are made up follow from the quotes, whoever asks, when and how often."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import Timeframe, adjusted, grouped, parse_adjustment, parse_timeframe
from simulator.filters import BadQuery
from simulator.market import Action, Bar
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.tape import Tape
from simulator.times import MINUTE, new_york_day, new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
MARKET = Synthetic(DAY, ["AAPL"], 7, SESSIONS)
TAPE = Tape(MARKET, SESSIONS)
NOON = new_york_moment(DAY, 12, 0)
CONTRACTS = list(MARKET.contracts("AAPL", NOON))
OPEN = new_york_moment(DAY, 9, 30)

contracts = st.sampled_from(CONTRACTS)
moments = st.integers(0, 390).map(lambda minute: OPEN + minute * MINUTE)


@settings(max_examples=60, deadline=None)
@given(contracts, moments)
def test_a_trade_lies_between_the_quotes_of_its_moment_and_is_never_later_than_now(contract, now):
    for one in TAPE.prints(contract, OPEN, now):
        assert OPEN <= one.at <= now
        quote = MARKET.chain("AAPL", one.at).quote(contract.symbol)
        sides = sorted(side for side in (quote.bid, quote.ask) if side is not None)
        assert sides[0] <= Decimal(str(one.price)) <= sides[-1]
        assert one.size >= 1


@settings(max_examples=60, deadline=None)
@given(contracts, moments)
def test_the_last_trade_is_the_last_of_the_trades(contract, now):
    listed = list(TAPE.prints(contract, OPEN, now))
    assert TAPE.latest([contract], now) == [listed[-1] if listed else None]


@settings(max_examples=30, deadline=None)
@given(contracts, moments, moments)
def test_what_was_once_seen_stays_whoever_asks_later_or_anew(contract, now, later):
    now, later = sorted((now, later))
    fresh = Tape(Synthetic(DAY, ["AAPL"], 7, SESSIONS), SESSIONS)
    seen = list(TAPE.prints(contract, OPEN, now))
    assert list(fresh.prints(contract, OPEN, later))[: len(seen)] == seen


def test_some_contracts_trade_often_some_rarely_and_some_never():
    counts = {len(list(TAPE.prints(contract, OPEN, NOON))) for contract in CONTRACTS}
    assert counts >= {0, 3, 16}


def test_days_before_the_first_are_thin_but_there():
    contract = max(CONTRACTS, key=lambda listed: listed.open_interest)
    before = TAPE.prints(contract, OPEN - 10**9 * 86400 * 20, OPEN - 1)
    days = [new_york_day(one.at) for one in before]
    assert len(set(days)) >= 10
    assert all(days.count(day) == 3 for day in days)


minutes = st.lists(st.integers(0, 389), min_size=1, max_size=60, unique=True).map(sorted)
TIMEFRAMES = ["1Min", "7Min", "59T", "1Hour", "23H", "1Day", "1Week", "1W", "1Month", "12M"]


@settings(max_examples=80, deadline=None)
@given(minutes, st.sampled_from(TIMEFRAMES), st.data())
def test_longer_bars_hold_what_their_minutes_hold(chosen, text, data):
    prices = st.integers(1, 500).map(float)
    made = []
    for minute in chosen:
        low, open_, close, high = sorted(data.draw(st.tuples(prices, prices, prices, prices)))
        made.append(
            Bar(
                at=OPEN + minute * MINUTE,
                open=open_,
                high=high,
                low=low,
                close=close,
                volume=minute,
                trades=1,
            )
        )
    timeframe = parse_timeframe(text)
    longer = list(grouped(made, timeframe))
    assert list(grouped(made[::-1], timeframe)) == longer[::-1]
    assert sum(bar.volume for bar in longer) == sum(chosen)
    assert (longer[0].open, longer[-1].close) == (made[0].open, made[-1].close)
    assert max(bar.high for bar in longer) == max(bar.high for bar in made)
    assert min(bar.low for bar in longer) == min(bar.low for bar in made)
    for bar in longer:
        assert timeframe.begin(bar.at) == bar.at < timeframe.end(bar.at)
        assert timeframe.begin(timeframe.end(bar.at)) == timeframe.end(bar.at)


@pytest.mark.parametrize("text", ["", "1", "Min", "0Min", "60Min", "24Hour", "2Day", "2Week", "5M"])
def test_a_length_that_is_not_offered_is_refused(text):
    with pytest.raises(BadQuery):
        parse_timeframe(text)


def test_bars_begin_where_the_broker_lets_them_begin():
    friday_noon = NOON + 5 * MINUTE
    begins = {
        text: parse_timeframe(text).begin(friday_noon)
        for text in ("15Min", "1Hour", "1Day", "1Week", "1Month", "3Month")
    }
    assert begins == {
        "15Min": NOON,
        "1Hour": NOON,
        "1Day": new_york_moment(DAY, 0, 0),
        "1Week": new_york_moment(DAY - timedelta(days=4), 0, 0),
        "1Month": new_york_moment(date(2026, 11, 1), 0, 0),
        "3Month": new_york_moment(date(2026, 10, 1), 0, 0),
    }
    assert Timeframe(kind="hour", count=4).begin(friday_noon) == NOON


def bar(day, price):
    at = new_york_moment(day, 0, 0)
    return Bar(at=at, open=price, high=price, low=price, close=price, volume=100, trades=1)


def test_a_dividend_changes_a_bar_by_the_same_part_whatever_stretch_is_asked_for():
    days = [
        bar(DAY - timedelta(days=2), 100.0),
        bar(DAY - timedelta(days=1), 200.0),
        bar(DAY, 50.0),
    ]
    paid = Action(symbol="AAPL", kind="cash dividend", ex_day=DAY, rate=Decimal(2))
    whole = adjusted(days, [paid], parse_adjustment("all"), days)
    assert [one.close for one in whole] == [99.0, 198.0, 50.0]
    assert adjusted(days[:1], [paid], parse_adjustment("all"), days) == whole[:1]
    split = Action(symbol="AAPL", kind="split", ex_day=DAY, rate=Decimal(4))
    for actions in ([split, paid], [paid, split]):
        both = adjusted(days[:1], actions, parse_adjustment("all"), days)
        assert [(one.close, one.volume) for one in both] == [(24.75, 400)]


def test_a_split_and_a_dividend_change_the_bars_before_them_only_when_asked_to():
    before, after = date(2026, 11, 19), DAY
    made = [bar(before, 200.0), bar(after, 50.0)]
    split = Action(symbol="AAPL", kind="split", ex_day=after, rate=Decimal(4))
    assert adjusted(made, [split], parse_adjustment("raw"), made) == made
    assert adjusted(made, [split], parse_adjustment("dividend"), made) == made
    changed = adjusted(made, [split], parse_adjustment("split"), made)
    assert [(one.close, one.volume) for one in changed] == [(50.0, 400), (50.0, 100)]
    paid = Action(symbol="AAPL", kind="cash dividend", ex_day=after, rate=Decimal(2))
    changed = adjusted(made, [paid], parse_adjustment("split,dividend"), made)
    assert [one.close for one in changed] == [198.0, 50.0]
    with pytest.raises(BadQuery):
        parse_adjustment("split,magic")
