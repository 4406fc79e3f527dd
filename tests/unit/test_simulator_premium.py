"""A session's prices, read from a table, are those the tree would give for each minute."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from simulator import tree
from simulator.premium import ahead, inputs_at
from simulator.profile import Profile
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 12, 17)
SESSIONS = Sessions(DAY, DAY)


def by_tree(inputs, times, amounts):
    rate = np.full(len(inputs.strike), inputs.rate)
    terms = np.stack([inputs.spot, inputs.strike, inputs.vol, inputs.sign, rate], axis=1)
    return tree.american_rows(terms, inputs.years, times, amounts)


def errors(name, day, minute, seed=7):
    """Of value in parts of spot, and of delta."""
    market = Synthetic(day, [name], seed, Sessions(day, day))
    stock = market._stocks[name]
    session = market._sessions.on(day)
    at, spot, vol = stock.path.at(session.open + minute * MINUTE)
    table = stock.table(day, session, at)
    inputs, found = table.greeks(at, spot, vol)
    coming = ahead(table.terms, at)
    times, amounts = (np.array([pair[k] for pair in coming]) for k in (0, 1))
    exact = by_tree(inputs, times, amounts)
    # The tree's own error, which the formula does not have where there is no early exercise.
    worst = abs(found["value"] - np.maximum(exact[:, 0], 0)).max() / spot
    return worst, abs(found["delta"] - exact[:, 1]).max()


@pytest.mark.parametrize("minute", [0, 37, 200, 371])
@pytest.mark.parametrize("name", ["SPY", "NVDA"])
def test_a_sessions_table_gives_the_trees_prices_at_any_minute(name, minute):
    value, _delta = errors(name, DAY, minute)
    assert value < 4e-5  # 2.4 cents at 600 USD, a small part of the spread


def test_greeks_are_the_slopes_of_prices():
    market = Synthetic(DAY, ["SPY"], 7, SESSIONS)
    stock = market._stocks["SPY"]
    session = SESSIONS.on(DAY)
    at, spot, vol = stock.path.at(session.open + 100 * MINUTE)
    table = stock.table(DAY, session, at)
    _, here = table.greeks(at, spot, vol)
    far = table.terms.close > session.close + 20 * 1440 * MINUTE
    step = 0.02
    # Along a move the surface moves too, so volatility is held where it is by hand.
    inputs = inputs_at(table.terms, at, spot, vol)
    coming = ahead(table.terms, at)
    times, amounts = (np.array([pair[k] for pair in coming]) for k in (0, 1))
    rate = np.full(len(inputs.strike), inputs.rate)
    sides = []
    for moved in (spot - step, spot + step):
        columns = (np.full(len(rate), moved), inputs.strike, inputs.vol, inputs.sign, rate)
        terms = np.stack(columns, axis=1)
        sides.append(tree.american_rows(terms, inputs.years, times, amounts)[:, 0])
    slope = (sides[1] - sides[0]) / (2 * step)
    assert (
        abs(slope - here["delta"])[far].max() < 0.05
    )  # at the boundary of early exercise it bends


@pytest.mark.parametrize("day", [date(2026, 11, 20), date(2026, 11, 25), DAY])
@pytest.mark.parametrize("name", ["SPY", "AAPL", "NVDA"])
def test_greeks_of_a_put_worth_exercising_now_do_not_move_with_anything_but_spot(name, day):
    market = Synthetic(day, [name], 7, Sessions(day, day))
    stock, session = market._stocks[name], market._sessions.on(day)
    for minute in (1, 100, 389):
        at, spot, vol = stock.path.at(session.open + minute * MINUTE)
        inputs, found = stock.table(day, session, at).greeks(at, spot, vol)
        bare = inputs.sign * (spot - inputs.strike)
        is_put = inputs.sign < 0
        due = is_put & (found["delta"] <= -0.99995) & (inputs.paid == 0)
        assert (abs(found["value"] - bare)[due] < 0.002).all()
        for greek in ("gamma", "theta", "vega", "rho"):
            assert not found[greek][due].any()
        assert (found["rho"] * inputs.sign >= 0).all()
        # only who waits for a dividend gains by waiting
        assert (found["theta"][is_put & (inputs.paid == 0)] <= 0).all()


def test_an_underlying_of_any_kind_is_priced():
    wild = Profile(symbol="WILD", price_usd=12.0, vol=1.4, strike_step_usd=Decimal(1))
    market = Synthetic(DAY, ["WILD"], 3, SESSIONS, profiles={"WILD": wild})
    chain = market.chain("WILD", new_york_moment(DAY, 11, 0))
    assert len(chain.contracts) > 50
    assert np.nanmin(chain.bid) > 0
