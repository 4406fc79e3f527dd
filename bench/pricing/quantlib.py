"""QuantLib's QdFpAmericanEngine as peer and as judge. Imports none of our rooms.

One Market is one process's: QuantLib does not run in threads.
Source of the engine: Andersen, Lake and Offengenden, High-performance American option pricing
(2016).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import QuantLib as ql

Floats = npt.NDArray[np.float64]

FAST, DEFAULT, PRECISE, SMOOTH = "fast", "default", "precise", "smooth"
_DAYS_PER_YEAR = 365
_VOL_PRECISION = 1e-5  # of the root finders, coarse in their favour
_VOL_LOW, _VOL_HIGH = 0.01, 4.0
_STEPS_MAX = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One contract: USD, years of whole days, per year."""

    spot: float
    strike: float
    years: float
    rate: float
    carry: float
    sign: float


def _scheme(name: str) -> Any:
    engine = ql.QdFpAmericanEngine
    if name == FAST:
        return engine.fastScheme()
    if name == DEFAULT:
        return engine.accurateScheme()
    if name == PRECISE:
        return engine.highPrecisionScheme()
    # Fixed points of Gauss and Legendre, many: adaptive ones jump, and differences would show it.
    return ql.QdFpLegendreScheme(64, 16, 20, 400)


class Market:
    """Spot, rate, yield and volatility as quotes, and engines that look at them."""

    def __init__(self) -> None:
        self.today = ql.Date(2, 1, 2026)
        ql.Settings.instance().evaluationDate = self.today
        self.spot, self.rate, self.carry, self.vol = (ql.SimpleQuote(1.0) for _ in range(4))
        days = ql.Actual365Fixed()
        rate, carry = (
            ql.YieldTermStructureHandle(ql.FlatForward(self.today, ql.QuoteHandle(quote), days))
            for quote in (self.rate, self.carry)
        )
        vol = ql.BlackConstantVol(self.today, ql.NullCalendar(), ql.QuoteHandle(self.vol), days)
        self._process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(self.spot), carry, rate, ql.BlackVolTermStructureHandle(vol)
        )

    def engine(self, scheme: str) -> Any:
        return ql.QdFpAmericanEngine(self._process, _scheme(scheme))

    def option(self, row: Row, engine: Any) -> Any:
        right = ql.Option.Call if row.sign > 0 else ql.Option.Put
        expiry = self.today + round(row.years * _DAYS_PER_YEAR)
        payoff = ql.PlainVanillaPayoff(right, row.strike)
        made = ql.VanillaOption(payoff, ql.AmericanExercise(self.today, expiry))
        made.setPricingEngine(engine)
        return made

    def place(self, row: Row) -> None:
        self.spot.setValue(row.spot)
        self.rate.setValue(row.rate)
        self.carry.setValue(row.carry)


def brent(market: Market, option: Any, row: Row, target: float) -> float:
    """QuantLib's own root finder over the volatility quote."""

    def excess(vol: float) -> float:
        market.vol.setValue(vol)
        return float(option.NPV()) - target

    return float(ql.Brent().solve(excess, _VOL_PRECISION, 0.3, _VOL_LOW, _VOL_HIGH))


def secant(market: Market, option: Any, row: Row, target: float) -> float:
    """From the European volatility and vega, then secants: about 2.2 prices a contract, the fewest
    we found."""
    discount, root = exp(-row.rate * row.years), sqrt(row.years)
    forward = row.spot * exp((row.rate - row.carry) * row.years)
    right = ql.Option.Call if row.sign > 0 else ql.Option.Put
    try:
        deviation = ql.blackFormulaImpliedStdDev(
            right, row.strike, forward, target, discount, 0.0, 0.2 * root, 1e-4
        )
        vol = float(deviation) / root
    except RuntimeError:  # worth more than any European one
        vol = 0.3
    # Method look-ups cost; the peer shall not pay them at each step.
    set_vol, price = market.vol.setValue, option.NPV
    deviation = vol * root
    high = log(forward / row.strike) / deviation + deviation / 2
    slope = forward * discount * exp(-high * high / 2) * 0.3989422804 * root
    before = value = 0.0
    for step_number in range(_STEPS_MAX):
        set_vol(vol)
        last, value = value, price() - target
        if step_number:
            slope = (value - last) / (vol - before)
        if slope <= 0:  # as good as exercised there
            before, vol = vol, vol * 1.5
            continue
        step = value / slope
        before, vol = vol, min(max(vol - step, 0.5 * vol), 2 * vol)
        if abs(step) < _VOL_PRECISION:
            break
    return vol


Finder = Callable[[Market, Any, Row, float], float]
FINDERS: dict[str, Finder] = {"secant": secant, "Brent": brent}


def volatilities(
    market: Market, scheme: str, finder: str, rows: list[Row]
) -> Callable[[list[float]], list[float]]:
    """A function from prices to volatilities."""
    engine, find = market.engine(scheme), FINDERS[finder]

    def solve(prices: list[float]) -> list[float]:
        found, last = [], None
        for row, target in zip(rows, prices, strict=True):
            place = (row.spot, row.rate, row.carry)
            if place != last:  # a chain shares them
                market.place(row)
                last = place
            # One at a time: each that lives is told of every change of a quote.
            found.append(find(market, market.option(row, engine), row, target))
        return found

    return solve


def rows_of(columns: Floats) -> Iterator[Row]:
    """Of (n, 6): spot, strike, years, rate, carry, sign."""
    for row in columns.tolist():
        yield Row(*row)
