"""Prices and Greeks that QuantLib finds, with how sure it is of them. Imports none of our rooms.

The price is that of its high precision scheme. Greeks are central differences of a scheme with many
fixed points: six places of spot (order six), four of volatility, rate and time. Time moves by its
law of scale, since the engine knows whole days only: a price depends on rate x years, yield x years
and volatility squared x years alone. The doubt of a Greek is what the next lower order differs by.
"""

from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any

import numpy as np

from bench.pricing.quantlib import PRECISE, SMOOTH, Floats, Market, Row, rows_of

NAMES = ("price", "delta", "gamma", "theta", "vega", "rho")
#: price, Greeks (theta per year, vega and rho per 1.00), doubts of the Greeks, whether exercise is
#: right at some of the places of spot, and at all of them.
COLUMNS = (*NAMES, *(f"doubt_{name}" for name in NAMES[1:]), "is_straddled", "is_exercised")
_EXERCISED = 1e-9  # of strike above what exercise pays: the smooth scheme ends no nearer
#: (first slope, second slope) of six places at -3 .. 3 without 0, and of the inner four.
_SIX = np.array([-1, 9, -45, 45, -9, 1]) / 60
_FOUR = np.array([0, 1, -8, 8, -1, 0]) / 12
_SIX_BEND = np.array([2, -27, 270, 270, -27, 2]) / 180
_FOUR_BEND = np.array([0, -1, 16, 16, -1, 0]) / 12
_RATE_STEP = 2e-4


@dataclass(frozen=True, slots=True)
class _Bench:
    market: Market
    precise: Any
    smooth: Any


def judged(columns: Floats) -> Floats:
    """(n, len(COLUMNS)) from (n, 7): spot, strike, years, rate, carry, sign, vol."""
    market = Market()
    bench = _Bench(market, market.engine(PRECISE), market.engine(SMOOTH))
    found = [
        _row(bench, row, vol)
        for row, vol in zip(rows_of(columns[:, :6]), columns[:, 6].tolist(), strict=True)
    ]
    return np.array(found)


def _row(bench: _Bench, row: Row, vol: float) -> list[float]:
    price = _price(bench, bench.market.option(row, bench.precise), row, vol)
    option = bench.market.option(row, bench.smooth)
    step = row.spot * min(0.02 * vol * sqrt(row.years), 0.02)
    spots = [row.spot + k * step for k in (-3, -2, -1, 0, 1, 2, 3)]
    values = np.array([_price(bench, option, replace(row, spot=spot), vol) for spot in spots])
    paid = row.sign * (np.array(spots) - row.strike)
    stops = (paid > 0) & (values - paid <= _EXERCISED * row.strike)
    around = np.delete(values, 3)
    first, rough_first = (float(rule @ around) / step for rule in (_SIX, _FOUR))
    second, rough_second = (
        float(rule @ around - rule.sum() * values[3]) / step**2 for rule in (_SIX_BEND, _FOUR_BEND)
    )
    theta, theta_doubt = _slope(
        [_price(bench, option, *_longer(row, vol, 0.01 * k)) for k in (-2, -1, 1, 2)],
        0.01 * row.years,
    )
    vega, vega_doubt = _slope(
        [_price(bench, option, row, vol * (1 + 0.01 * k)) for k in (-2, -1, 1, 2)], 0.01 * vol
    )
    rho, rho_doubt = _slope(
        [
            _price(bench, option, replace(row, rate=row.rate + k * _RATE_STEP), vol)
            for k in (-2, -1, 1, 2)
        ],
        _RATE_STEP,
    )
    doubts = [abs(first - rough_first), abs(second - rough_second)]
    doubts += [theta_doubt, vega_doubt, rho_doubt]
    return [
        price,
        *(first, second, -theta, vega, rho),
        *doubts,
        float(stops.any() and not stops.all()),
        float(stops.all()),
    ]


def _price(bench: _Bench, option: Any, row: Row, vol: float) -> float:
    bench.market.place(row)
    bench.market.vol.setValue(vol)
    try:
        return float(option.NPV())
    except RuntimeError:  # the engine gives up
        return inf


def _longer(row: Row, vol: float, share: float) -> tuple[Row, float]:
    """The contract with years longer by `share`, at the years it has."""
    longer = 1 + share
    return replace(row, rate=row.rate * longer, carry=row.carry * longer), vol * sqrt(longer)


def _slope(values: list[float], step: float) -> tuple[float, float]:
    """Of order four from places at -2, -1, 1, 2 steps, and what order two differs by."""
    simple = (values[2] - values[1]) / (2 * step)
    fine = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * step)
    return fine, abs(fine - simple)
