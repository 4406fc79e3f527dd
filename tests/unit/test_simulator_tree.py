"""The made-up market's American prices, judged by QuantLib's finite differences."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import QuantLib as ql

from simulator import tree

RATE = 0.04
TODAY = ql.Date(2, 1, 2026)


def judged(spot, strike, days, vol, sign, dividends):
    """Value, delta and gamma by a grid of 400 by 800; dividends drop the stock on their days."""
    ql.Settings.instance().evaluationDate = TODAY
    count = ql.Actual365Fixed()
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, 0.0, count)),
        ql.YieldTermStructureHandle(ql.FlatForward(TODAY, RATE, count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(TODAY, ql.NullCalendar(), vol, count)),
    )
    right = ql.Option.Call if sign > 0 else ql.Option.Put
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(right, strike), ql.AmericanExercise(TODAY, TODAY + days)
    )
    paid = [ql.FixedDividend(amount, TODAY + day) for day, amount in dividends]
    option.setPricingEngine(ql.FdBlackScholesVanillaEngine(process, paid, 400, 800, 0))
    return np.array([option.NPV(), option.delta(), option.gamma()])


def by_tree(spot, strike, days, vol, sign, dividends):
    times = np.array([day / 365 for day, _ in dividends])
    amounts = np.array([float(amount) for _, amount in dividends])
    return tree.american(np.array([spot, strike, vol, sign, RATE]), days / 365, times, amounts)


def worst(days, dividends, widths, spot=600.0):
    """Errors of value in parts of spot, of delta, and of gamma per percent of spot."""
    found = np.zeros(3)
    for vol in (0.12, 0.25, 0.5):
        for width in widths:
            for sign in (1.0, -1.0):
                strike = spot * math.exp(width * vol * math.sqrt(days / 365))
                row = (spot, strike, days, vol, sign, dividends)
                found = np.maximum(found, abs(by_tree(*row) - judged(*row)))
    return found * np.array([1 / spot, 1.0, spot / 100])


@pytest.mark.parametrize(("days", "most"), [(2, 2e-5), (7, 2e-5), (28, 2e-5), (98, 5e-5)])
@pytest.mark.parametrize("dividends", [(), ((1, 1.8),), ((20, 1.8), (80, 1.8))])
def test_a_price_within_four_months_is_the_judges_to_a_few_cents_at_most(days, most, dividends):
    inside = tuple(pair for pair in dividends if pair[0] < days)
    value, delta, _gamma = worst(days, inside, (-1.5, -0.3, 0, 0.5, 1.2))
    assert value < most
    assert delta < 0.003


def test_a_price_a_year_out_is_the_judges_to_a_ten_thousandth_of_spot():
    value, delta, _gamma = worst(365, ((20, 1.8), (110, 1.8), (300, 1.8)), (-1, 0, 0.7))
    assert value < 1e-4
    assert delta < 0.005


def test_a_call_without_dividends_is_worth_its_european_price():
    priced = tree.american(np.array([100.0, 95.0, 0.3, 1.0, RATE]), 0.4, np.empty(0), np.empty(0))
    assert priced[0] == pytest.approx(tree.european(100.0, 95.0, 0.4, 0.3, 1.0, RATE), abs=2e-4)


def test_a_put_deep_in_the_money_is_worth_what_exercise_brings():
    deep = np.array([100.0, 180.0, 0.2, -1.0, RATE])
    assert tree.american(deep, 0.2, np.empty(0), np.empty(0)).tolist() == [80.0, -1.0, 0.0]


def test_a_call_deep_in_the_money_is_worth_exercising_the_day_before_a_large_dividend():
    deep = np.array([100.0, 60.0, 0.2, 1.0, RATE])
    tomorrow, amount = np.array([1 / 365]), np.array([3.0])
    assert tree.american(deep, 0.1, tomorrow, amount)[0] == pytest.approx(40.0, abs=0.01)


ASK = """
from datetime import date
from simulator import tree
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

day = date(2026, 11, 20)
market = Synthetic(day, ["SPY", "AAPL"], 7, Sessions(day, day))
for symbol in market.underlyings:
    assert market.chain(symbol, new_york_moment(day, 11, 0)) is not None
kernels = [found for found in vars(tree).values() if hasattr(found, "py_func")]
assert len(kernels) > 5 and any(kernel.stats.cache_hits for kernel in kernels)
late = {kernel.__name__ for kernel in kernels if sum(kernel.stats.cache_misses.values())}
assert not late, late
"""


def test_compiled_ahead_in_a_fresh_folder_no_kernel_compiles_again(tmp_path):
    code = Path(tree.__file__).parent
    shutil.copytree(code, tmp_path / "simulator", ignore=shutil.ignore_patterns("__pycache__"))
    for asked in (["-m", "simulator.tree"], ["-c", ASK]):
        done = subprocess.run(
            [sys.executable, "-P", "-W", "error", *asked],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
