"""The curve that stood on a day, and never one that came later."""

import math
from datetime import date

import numpy as np
import pandas as pd
import pytest

from domain.rates import NoRates, curve


def table(*rows):
    names = ["date", "m1", "m3", "m6", "y1", "y2"]
    return pd.DataFrame(rows, columns=names)


MAY = (date(2026, 5, 1), 4.0, 4.1, 4.2, 4.4, 4.8)
JUNE = (date(2026, 6, 1), 3.0, 3.1, 3.2, 3.4, 3.8)


def test_a_par_yield_compounds_twice_a_year():
    found = curve(table(MAY), date(2026, 5, 1)).rate(np.array([1 / 12, 2.0]))
    for value, percent in zip(found, (4.0, 4.8), strict=True):
        assert math.exp(value) == pytest.approx((1 + percent / 200) ** 2, rel=1e-14)


def test_rates_are_flat_beyond_the_first_and_last_tenor_and_between_them_inside():
    found = curve(table(MAY), date(2026, 5, 2))
    ends = found.rate(np.array([1 / 12, 2.0]))
    assert found.rate(np.array([-1.0, 0.0, 1 / 365])).tolist() == [ends[0]] * 3
    assert found.rate(np.array([2.5, 30.0])).tolist() == [ends[1]] * 2
    low, middle, high = found.rate(np.array([0.5, 0.75, 1.0]))
    assert middle == pytest.approx((low + high) / 2)
    assert np.isnan(found.rate(np.array([np.nan]))).all()


def test_a_day_knows_no_yield_of_a_later_day():
    both = table(MAY, JUNE)
    assert curve(both, date(2026, 5, 31)) == curve(table(MAY), date(2026, 5, 31))
    assert curve(both, date(2026, 6, 1)).day == date(2026, 6, 1)
    assert curve(both, date(2026, 6, 30)).rates == curve(table(JUNE), date(2026, 6, 1)).rates


def test_before_the_first_row_there_are_no_rates():
    with pytest.raises(NoRates, match="2026-04-30"):
        curve(table(MAY), date(2026, 4, 30))


def test_rates_are_old_after_45_days():
    found = curve(table(MAY), date(2026, 5, 1))
    assert not found.is_old(date(2026, 6, 15))
    assert found.is_old(date(2026, 6, 16))
