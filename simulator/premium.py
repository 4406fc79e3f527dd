"""American prices for a whole session: the European formula plus a table of what the tree adds.

The addition (early exercise, and the exact days of dividends) is small and smooth, so it is asked
from the tree at two moments and a few spots that span what the session will see, and read in
between: a straight line in time, a cubic spline in spot. At the nodes the price is the tree's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from simulator import surface, tree
from simulator.market import Floats
from simulator.surface import RATE, YEAR_MINUTES, Inputs, Shape
from simulator.times import MINUTE

#: A node each so much of spot; a calm session has the least number of them.
NODE_SHARE = 0.005
NODES_MIN = 5
NODES_MAX = 25
#: Below it what a value lies above exercise is the table's noise; where it is none it is above.
DUE_SHARE = 3e-6  # of spot
POINT = 0.01  # of volatility or of the rate


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Contracts as numbers. `close` is when each ends, dividends are (moment, USD), in order."""

    strike: Floats
    sign: Floats
    close: Floats
    dividends: Sequence[tuple[int, float]]
    shape: Shape

    def only(self, rows: slice) -> "Terms":
        return replace(self, strike=self.strike[rows], sign=self.sign[rows], close=self.close[rows])


def inputs_at(terms: Terms, at: float, spot: float, vol: float) -> Inputs:
    """What the formula takes, at a moment, a spot and a thirty-day volatility."""
    years = np.maximum((terms.close - at) / MINUTE, 1.0) / YEAR_MINUTES
    paid, slope = np.zeros(len(years)), np.zeros(len(years))
    for ex, amount in ahead(terms, at):
        before = np.where(ex < years, amount * np.exp(-RATE * ex), 0.0)
        paid += before
        slope += ex * before
    forward = np.maximum(spot - paid, 0.01) * np.exp(RATE * years)
    return Inputs(
        strike=terms.strike,
        years=years,
        sign=terms.sign,
        vol=surface.implied_vol(terms.strike, years, forward, vol, terms.shape),
        spot=np.full(len(years), spot),
        paid=paid,
        paid_rho=slope,
    )


def ahead(terms: Terms, at: float) -> list[tuple[float, float]]:
    """Dividends still to come, (years, USD)."""
    return [
        ((ex - at) / MINUTE / YEAR_MINUTES, amount) for ex, amount in terms.dividends if ex > at
    ]


def additions(terms: Terms, at: float, inputs: Inputs) -> Floats:
    """Value, delta and gamma of the tree less those of the formula, shape (n, 3)."""
    coming = ahead(terms, at)
    times = np.array([ex for ex, _ in coming])
    amounts = np.array([amount for _, amount in coming])
    found = np.zeros((len(inputs.strike), 3))
    # A call without dividends is never exercised early.
    rows = np.flatnonzero((inputs.sign < 0) | (inputs.paid > 0))
    rate = np.full(len(inputs.strike), inputs.rate)
    columns = np.stack([inputs.spot, inputs.strike, inputs.vol, inputs.sign, rate], axis=1)
    found[rows] = tree.american_rows(columns[rows], inputs.years[rows], times, amounts)
    greeks = surface.greeks(inputs)
    formula = np.stack([surface.price(inputs), greeks["delta"], greeks["gamma"]], axis=1)
    found[rows] -= formula[rows]
    return found


class Table:
    """For one set of contracts, between two moments and two spots."""

    def __init__(
        self,
        terms: Terms,
        moments: tuple[float, float],
        spots: tuple[float, float],
        vol_at: Callable[[float], float],
    ) -> None:
        self.terms = terms
        self._moments = moments
        low, high = np.log(spots[0]), np.log(spots[1])
        count = int(np.clip(np.ceil((high - low) / NODE_SHARE) + 3, NODES_MIN, NODES_MAX))
        self._nodes = np.linspace(low, high, count) if high > low else np.array([low])
        self._weights = CubicSpline(self._nodes, np.eye(count)) if high > low else None
        at_both = moments if moments[1] > moments[0] else moments[:1]
        self._added = np.stack([self._row(at, vol_at) for at in at_both])
        middle = float(np.exp((low + high) / 2))
        self._slopes = np.stack([self._points(at, middle, vol_at(middle)) for at in at_both])

    def _row(self, at: float, vol_at: Callable[[float], float]) -> Floats:
        spots = np.exp(self._nodes).tolist()
        made = [
            additions(self.terms, at, inputs_at(self.terms, at, spot, vol_at(spot)))
            for spot in spots
        ]
        return np.stack(made)

    def _points(self, at: float, spot: float, vol: float) -> Floats:
        """What a point of volatility and a point of the rate add to the value, shape (n, 2)."""
        inputs = inputs_at(self.terms, at, spot, vol)
        here = additions(self.terms, at, inputs)[:, 0]
        dearer = replace(inputs, vol=inputs.vol + POINT)
        steeper = replace(inputs, rate=RATE + POINT, paid=inputs.paid - POINT * inputs.paid_rho)
        columns = [additions(self.terms, at, one)[:, 0] - here for one in (dearer, steeper)]
        return np.stack(columns, axis=1)

    def greeks(self, at: float, spot: float, vol: float) -> tuple[Inputs, dict[str, Floats]]:
        """USD a share as `value`, and the Greeks: theta per day, vega and rho per point."""
        inputs = inputs_at(self.terms, at, spot, vol)
        added = self._between(at, self._added, np.log(spot))
        slopes = self._between(at, self._slopes, None)
        found = surface.greeks(inputs)
        bare = inputs.sign * (spot - inputs.strike)
        value = surface.price(inputs) + added[:, 0]
        delta = np.clip(found["delta"] + added[:, 1], -1.0, 1.0)
        gamma = np.maximum(found["gamma"] + added[:, 2], 0.0)
        value = np.maximum(value, np.maximum(bare, 0.0))
        decay = RATE * (value - spot * delta) - inputs.vol**2 * spot**2 * gamma / 2
        # A put gains by the passing of time only when it waits for a dividend.
        decay = np.where((inputs.sign < 0) & (inputs.paid == 0), np.minimum(decay, 0.0), decay)
        rho = found["rho"] + slopes[:, 1]
        # Worth what exercise brings and no more, it is exercised now: nothing but spot matters.
        is_due = (bare > 0) & (value - bare <= DUE_SHARE * spot)
        return inputs, {
            "value": value,
            "delta": np.where(is_due, inputs.sign, delta),
            "gamma": np.where(is_due, 0.0, gamma),
            "theta": np.where(is_due, 0.0, decay / 365),
            "vega": np.where(is_due, 0.0, np.maximum(found["vega"] + slopes[:, 0], 0.0)),
            "rho": np.where(is_due, 0.0, inputs.sign * np.maximum(inputs.sign * rho, 0.0)),
        }

    def _between(self, at: float, columns: Floats, log_spot: float | None) -> Floats:
        first, last = self._moments
        share = (at - first) / (last - first) if len(columns) > 1 else 0.0
        row = columns[0] if len(columns) == 1 else columns[0] * (1 - share) + columns[1] * share
        if log_spot is None:
            return np.asarray(row)
        if self._weights is None:
            return np.asarray(row[0])
        return np.asarray(np.tensordot(self._weights(log_spot), row, axes=1))
