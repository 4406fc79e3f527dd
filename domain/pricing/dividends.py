"""American and European options on a share that pays cash dividends, by columns of contracts.

Two models of the share; Haug, Haug and Lewis, "Back to basics: a new approach to the discrete
dividend problem", Wilmott magazine, 2003, compare them:

SPOT      lognormal between ex-dates; on one it drops by the amount, never below 0
ESCROWED  the share less the present value of its dividends until expiry is lognormal; where that
          is not above 0 every answer is NaN

A dividend counts when 0 < its time < years of the contract. One that falls on expiry itself, like
one after it, is not this contract's: its holder exercises while the share still carries it. A
contract for which none counts is priced on `carry` alone, so this module also answers for American
options without dividends, at any sign of rate and carry.

How is said in domain.pricing.dividend_grid; columns and units are those of domain.pricing.terms.
A row outside its bounds, or with vol * sqrt(years) above 6, comes back NaN; nothing is raised.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from domain.pricing import dividend_grid as grid
from domain.pricing.dividend_rows import DEVIATION_MAX, columns, coming, count_of, rows_of, solve
from domain.pricing.dividend_sweep import ANSWERS, CURVE, EXERCISED, SLOPE, VALUE
from domain.pricing.european import fill_rows
from domain.pricing.root import increasing_root
from domain.pricing.terms import (
    DAYS_PER_YEAR,
    VOL_MAX,
    VOL_MIN,
    Flags,
    Floats,
    Greeks,
    Terms,
)

VOL_BUMP = 0.01  # of the volatility
RATE_BUMP = 0.0024  # of vol * sqrt(years): the grid's noise rises with it, rho's bends fall
DELTA_MAX = 1 - 1e-9  # nearer to 1 a call gains nothing by a higher price


class DividendModel(StrEnum):
    SPOT = "spot"  # the share price is lognormal between ex-dates and drops by the amount
    ESCROWED = "escrowed"  # the share price less the dividends to come is lognormal


@dataclass(frozen=True, kw_only=True, slots=True)
class ExerciseChoice:
    """What the holder of a call has in the last moment before an ex-date, USD per share."""

    exercise_value: Floats
    held_value: Floats
    is_optimal: Flags  # to exercise
    critical_spot: Floats  # with the dividend; exercise is right above it, inf when nowhere


def price(terms: Terms, vol: Floats, model: DividendModel = DividendModel.SPOT) -> Floats:
    """USD per share, within 2e-6 of strike; never below `price_bounds`.

    Haug's example of Roll, Geske and Whaley's formula gives 4.3860:
    >>> from domain.pricing.terms import Dividends
    >>> one = np.ones(1)
    >>> haug = Terms(spot=80*one, strike=82*one, years=one/3, rate=0.06*one, carry=0*one, sign=one,
    ...              american=one > 0, dividends=Dividends(years=(0.25,), amounts=(4.0,)))
    >>> price(haug, 0.30 * one, DividendModel.ESCROWED).round(4)
    array([4.386])
    """
    return _value_and_delta(terms, vol, model)[0]


def price_bounds(terms: Terms) -> tuple[Floats, Floats]:
    """What no volatility goes below or above, USD per share, in either model. Below: what a share
    that does not move would bring, for an American option at the best of the moments now, before
    and on each ex-date and at expiry. Above: for a call the share, for a put the strike, each at
    its best time."""
    with np.errstate(all="ignore"):
        now = _still_value(terms)
        share = np.exp(-terms.carry * terms.years)
        best = np.where(terms.american, np.maximum(1.0, share), share) * terms.spot
        paid = np.where(terms.american, np.maximum(1.0, terms.discount), terms.discount)
        most = np.where(terms.sign > 0, best, terms.strike * paid)
        inside = (terms.spot > 0) & (terms.strike > 0) & (terms.years > 0)
        return np.where(inside, np.maximum(now, 0.0), np.nan), np.where(inside, most, np.nan)


def _still_value(terms: Terms) -> Floats:
    """The lower bound of `price_bounds`: the lesser one of the two models."""
    times, amounts = coming(terms.dividends)
    moments = [*((t, is_paid) for t in times for is_paid in (False, True)), (np.inf, True)]
    worth = [0 * terms.spot + _still_at(terms, 0 * terms.spot, False, (times, amounts))]
    for moment, is_paid in moments:
        is_last = moment >= terms.years
        at = np.minimum(moment, terms.years)
        value = _still_at(terms, at, is_paid, (times, amounts))
        worth.append(np.where(is_last & ~np.isinf(moment), np.nan, value))
    last = worth[-1]
    return np.where(terms.american, np.fmax.reduce(worth), last)


def _still_at(terms: Terms, at: Floats, is_paid: bool, schedule: tuple[Floats, Floats]) -> Floats:
    """What exercise at the time `at` brings today, before or after what is paid just then."""
    value = terms.spot * np.exp((terms.rate - terms.carry) * at)
    lesser = value.copy()
    for time, amount in zip(*schedule, strict=True):
        counts = time < terms.years
        is_gone = (time < at) | ((time == at) & is_paid)
        value -= np.where(
            counts & is_gone, amount * np.exp((terms.rate - terms.carry) * (at - time)), 0
        )
        owed = amount * np.exp(-terms.rate * time)
        grown = owed * np.exp((terms.rate - terms.carry) * at)
        back = np.where(is_gone, 0.0, amount * np.exp(-terms.rate * (time - at)))
        lesser -= np.where(counts, grown - back, 0.0)
    today = np.exp(-terms.rate * at)
    gains = [terms.sign * (np.maximum(share, 0.0) - terms.strike) for share in (value, lesser)]
    return np.minimum(*gains) * today


def implied_volatility(
    terms: Terms, target: Floats, model: DividendModel = DividendModel.SPOT
) -> Floats:
    """The volatility per year at which `price` gives `target`, USD per share.

    NaN where none does: the target is not strictly between immediate exercise, or the price at
    the least volatility, and the price at the greatest: 0.0001 and 20, or 6 / sqrt(years).
    """
    least, most = price_bounds(terms)
    low = np.full_like(target, VOL_MIN)
    with np.errstate(all="ignore"):
        high = np.minimum(VOL_MAX, DEVIATION_MAX / np.sqrt(terms.years))
        # The escrowed European option is the first guess in either model.
        share = columns(terms, low, True)[grid.START]
        shadow = replace(terms, spot=np.where(share > 0, share, terms.spot))
        guess = _european(shadow, target, is_price=True)[0]
        start = np.clip(np.where(guess > 0, guess, 0.3), 2 * low, high / 2)
        slope = _european(shadow, start)[5] * 100 / terms.strike

    def miss(rows: npt.NDArray[np.intp], vol: Floats) -> Floats:
        return (price(rows_of(terms, rows), vol, model) - target[rows]) / terms.strike[rows]

    start[~((least < target) & (target < most))] = np.nan
    found = increasing_root(miss, start, low, high, slope)
    return np.where((found > low * 1.001) & (found < high * 0.999), found, np.nan)


def greeks(terms: Terms, vol: Floats, model: DividendModel = DividendModel.SPOT) -> Greeks:
    """The five Greeks at `vol`. Theta is what a day does while ex-dates stay on the calendar.

    Where immediate exercise is right delta is +1 or -1 and the others are 0.
    """
    is_escrowed = model is DividendModel.ESCROWED
    is_plain = _is_plain(terms)
    base = columns(terms, vol, is_escrowed)
    base[grid.START, is_plain] = np.nan  # not to be solved
    bumped = [columns(terms, vol * (1 + up), is_escrowed) for up in (VOL_BUMP, -VOL_BUMP)]
    with np.errstate(all="ignore"):
        shift = RATE_BUMP * vol * np.sqrt(terms.years)
    for up in (shift, -shift, 2 * shift, -2 * shift):
        bumped.append(columns(replace(terms, rate=terms.rate + up), vol, is_escrowed))
    for other in bumped:  # one grid for all, so that its error cancels in differences
        shared = [grid.STEP, grid.ORIGIN, grid.SIZE, grid.FINER, grid.FENCED]
        other[shared] = base[shared]
        other[grid.START, is_plain] = np.nan
    row = np.hstack([base, *bumped])
    again = np.tile(np.arange(len(vol)), 7)
    found = solve(rows_of(terms, again), row).reshape(ANSWERS, 7, len(vol))
    mid, value = found[:, 0], found[VALUE]
    with np.errstate(all="ignore"):
        start = base[grid.START]
        owed = terms.spot - start if is_escrowed else 0.0
        delta = mid[SLOPE] / start
        decay = terms.rate * (mid[VALUE] - owed * delta)
        decay -= base[grid.DRIFT] * mid[SLOPE] + base[grid.HALF] * mid[CURVE]
        held = {
            "delta": delta,
            "gamma": (mid[CURVE] - mid[SLOPE]) / start**2,
            "theta": decay / DAYS_PER_YEAR,
            "vega": (value[1] - value[2]) / (2 * VOL_BUMP * vol) / 100,
            "rho": (8 * (value[3] - value[4]) - (value[5] - value[6])) / (12 * shift) / 100,
        }
    is_stopped = mid[EXERCISED] > 0
    answer = {}
    for (name, column), plain in zip(held.items(), _european(terms, vol)[2:], strict=True):
        stopped = terms.sign if name == "delta" else 0.0
        known = np.where(is_stopped, stopped, column)
        answer[name] = np.where(is_plain, plain, known)
    return Greeks(**answer)


def exercise_before_ex_date(
    terms: Terms, amount: Floats, vol: Floats, model: DividendModel = DividendModel.SPOT
) -> ExerciseChoice:
    """Whether a call should be exercised now, in the last moment before it loses a dividend.

    terms   spot is the price with the dividend; terms.dividends are those after this one
    amount  USD per share, >= 0

    The critical price solves exercise == held by Newton's steps, to a billionth of strike; inf
    too where it is a thousand times the strike. A put comes back NaN: nothing is lost by waiting.
    """
    is_call = terms.sign > 0
    after = replace(terms, spot=np.where(is_call, terms.spot - amount, np.nan))
    held = np.where(is_call & (after.spot <= 0), 0.0, price(after, vol, model))
    exercised = np.where(is_call, terms.spot - terms.strike, np.nan)
    critical = np.where(np.isfinite(held), np.maximum(terms.strike, 1.001 * amount), np.nan)
    rows = np.flatnonzero(np.isfinite(critical))
    for _ in range(100):
        some = rows_of(terms, rows)
        some = replace(some, spot=critical[rows] - amount[rows])
        value, delta = _value_and_delta(some, vol[rows], model)
        short = value - (critical[rows] - some.strike)  # concave: no step goes too far
        step = np.where(delta < DELTA_MAX, short / (1 - np.minimum(delta, DELTA_MAX)), np.inf)
        is_right = short <= 1e-9 * some.strike
        following = np.where(is_right, critical[rows], critical[rows] + step)
        following[following > 1000 * some.strike] = np.inf
        critical[rows] = following
        rows = rows[~is_right & np.isfinite(following)]
        if rows.size == 0:
            break
    return ExerciseChoice(
        exercise_value=exercised,
        held_value=held,
        is_optimal=(exercised > 0) & (exercised >= held),
        critical_spot=critical,
    )


def _value_and_delta(terms: Terms, vol: Floats, model: DividendModel) -> tuple[Floats, Floats]:
    is_plain = _is_plain(terms)
    row = columns(terms, vol, model is DividendModel.ESCROWED)
    start = row[grid.START].copy()
    row[grid.START, is_plain] = np.nan  # not to be solved
    found = solve(terms, row)
    delta = np.where(found[EXERCISED] > 0, terms.sign, found[SLOPE] / start)
    _, value, slope, *_ = _european(terms, vol)
    # The grid's error must not take a price below its own bound.
    least, _ = price_bounds(terms)
    held = np.maximum(found[VALUE], least)
    return np.where(is_plain, value, held), np.where(is_plain, slope, delta)


def _european(terms: Terms, given: Floats, is_price: bool = False) -> Floats:
    """Volatility, price, delta, gamma, theta, vega and rho, (7, n), without dividends, from
    volatilities or else from prices."""
    names = (terms.spot, terms.strike, terms.years, terms.rate, terms.carry, terms.sign)
    found = np.empty((len(given), 7))
    fill_rows(np.stack(names, axis=1), given, is_price, found)
    inside = (terms.spot > 0) & (terms.strike > 0) & (terms.years > 0)
    return np.where(inside, found.T, np.nan)


def _is_plain(terms: Terms) -> Flags:
    """Whether Black, Scholes and Merton's formula is exact: no dividend, and never a reason to
    exercise early."""
    # What exercise gains a year, carry * spot - rate * strike for a call, is no gain at the strike
    # nor as far in the money as it gets, so nowhere between.
    at_strike = terms.sign * (terms.carry - terms.rate)
    beyond = np.where(terms.sign > 0, terms.carry, terms.rate)
    is_never_early = (at_strike <= 0) & (beyond <= 0)
    plain: Flags = (count_of(terms) == 0) & (is_never_early | ~terms.american)
    return plain
