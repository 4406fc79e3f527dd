"""Price, implied volatility and Greeks of columns of contracts, each row by the method that is
right for it, all rows of one expiration together, on every core:

european   a formula. Also for what is American only in name, because early exercise is never worth
           anything: calls while rate >= 0 >= yield, puts while rate <= 0 and rate <= yield
american   the integral equation of the exercise boundary
dividends  finite differences: cash dividends before expiry, and the rare terms at which exercise is
           right only between two prices (rate and yield below 0)

Columns, units, and what comes back outside the bounds: domain.pricing.terms.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numba
import numpy as np

from domain.pricing import american, dividends, european
from domain.pricing.dividend_rows import count_of, is_fenced, rows_of
from domain.pricing.terms import Flags, Floats, Greeks, Terms, Whole

#: Below this share of strike nobody exercises early: rate x years is what exercise can gain.
_GAIN_MIN = 1e-10
#: Rows handed to a thread at a time: enough to forget the cost of handing, few enough for memory.
_ROWS = 8192
_GREEKS = ("delta", "gamma", "theta", "vega", "rho")
_COLUMNS = 2 + len(_GREEKS)  # after volatility and price


def price(terms: Terms, vol: Floats) -> Floats:
    """USD per share; never below what exercise pays now (American) or discounted (European).

    Hull's worked example gives 2.40:
    >>> one = np.ones(1)
    >>> hull = Terms(spot=49*one, strike=50*one, years=0.3846*one, rate=0.05*one, carry=0*one,
    ...              sign=one, american=one < 0)
    >>> price(hull, 0.20 * one).round(2)
    array([2.4])
    """
    found = _filled(terms, vol, False)[:, 1]
    rows = _on_grid(terms)
    if rows.size:
        found[rows] = dividends.price(rows_of(terms, rows), vol[rows])
    return found


def price_bounds(terms: Terms) -> tuple[Floats, Floats]:
    """The least and the most a contract can cost at any volatility, USD per share.

    Source: Hull, Options, Futures, and Other Derivatives, chapter on properties of stock options.
    """
    with np.errstate(all="ignore"):
        share = terms.spot * np.exp(-terms.carry * terms.years)
        owed = terms.strike * terms.discount
        least = np.maximum(terms.sign * (share - owed), 0.0)
        most = np.where(terms.sign > 0, share, owed)
        now = terms.sign * (terms.spot - terms.strike)
        now_most = np.where(terms.sign > 0, terms.spot, terms.strike)
        least = np.where(terms.american, np.maximum(least, now), least)
        most = np.where(terms.american, np.maximum(most, now_most), most)
    rows = _on_grid(terms)
    if rows.size:
        least[rows], most[rows] = dividends.price_bounds(rows_of(terms, rows))
    sound = _sound(terms)
    return np.where(sound, least, np.nan), np.where(sound, most, np.nan)


def implied_volatility(terms: Terms, target: Floats) -> Floats:
    """The volatility per year at which `price` gives `target`, USD per share.

    NaN where the target is not strictly inside `price_bounds`, or the answer lies outside
    VOL_MIN (for what can be worth exercising early, american.VOL_LOW) to VOL_MAX.
    """
    found = _filled(terms, target, True)[:, 0]
    rows = _on_grid(terms)
    if rows.size:
        found[rows] = dividends.implied_volatility(rows_of(terms, rows), target[rows])
    return found


def greeks(terms: Terms, vol: Floats) -> Greeks:
    """The five Greeks at `vol`. Where exercise now is best: delta is the sign, the others are 0.

    Hull's worked example gives a delta of 0.522, theta -4.31 a year, vega 12.1 per 1.00:
    >>> one = np.ones(1)
    >>> hull = Terms(spot=49*one, strike=50*one, years=0.3846*one, rate=0.05*one, carry=0*one,
    ...              sign=one, american=one < 0)
    >>> found = greeks(hull, 0.20 * one)
    >>> found.delta.round(3), (found.theta * 365).round(2), (found.vega * 100).round(1)
    (array([0.522]), array([-4.31]), array([12.1]))
    """
    return _greeks(terms, vol, _filled(terms, vol, False))


def solve(terms: Terms, target: Floats) -> tuple[Floats, Greeks]:
    """`implied_volatility` of `target` and the Greeks there, in one pass."""
    found = _filled(terms, target, True)
    vol, rows = found[:, 0], _on_grid(terms)
    if rows.size:
        vol[rows] = dividends.implied_volatility(rows_of(terms, rows), target[rows])
    return vol, _greeks(terms, vol, found)


def _greeks(terms: Terms, vol: Floats, found: Floats) -> Greeks:
    """From the columns of `_filled`, and of the rows that are not in it."""
    rows = _on_grid(terms)
    if rows.size:
        there = dividends.greeks(rows_of(terms, rows), vol[rows])
        for column, name in enumerate(_GREEKS, start=2):
            found[rows, column] = getattr(there, name)
    return Greeks(**dict(zip(_GREEKS, found[:, 2:].T, strict=True)))


def _on_grid(terms: Terms) -> Whole:
    """The sound rows that only finite differences answer."""
    may_be_fenced = terms.american.any() and (terms.rate < 0).any()
    if not terms.dividends.years and not may_be_fenced:
        return np.zeros(0, dtype=np.int64)
    on_grid: Whole = np.flatnonzero(_sound(terms) & ((count_of(terms) > 0) | is_fenced(terms)))
    return on_grid


def _sound(terms: Terms) -> Flags:
    """Rows within the bounds of `Terms`."""
    sound: Flags = np.isfinite(terms.rate) & np.isfinite(terms.carry) & (abs(terms.sign) == 1)
    for column in (terms.spot, terms.strike, terms.years):
        sound &= (column > 0) & np.isfinite(column)
    return sound


def _filled(terms: Terms, given: Floats, is_price: bool) -> Floats:
    """Volatility, price and Greeks, (n, 7), from prices or else from volatilities; NaN on the rows
    that finite differences answer."""
    out = np.full((len(terms.spot), _COLUMNS), np.nan)
    sound = _sound(terms) & np.isfinite(given)
    sound[_on_grid(terms)] = False
    put_rate = np.where(terms.sign > 0, terms.carry, terms.rate)
    put_carry = np.where(terms.sign > 0, terms.rate, terms.carry)
    with np.errstate(all="ignore"):
        gain = np.maximum(put_rate, put_rate - put_carry) * terms.years
    early = sound & terms.american & (put_rate >= 0) & (gain > _GAIN_MIN)
    _fill_european(terms, given, is_price, np.flatnonzero(sound & ~early), out)
    _fill_american(terms, given, is_price, np.flatnonzero(early), out)
    return out


def _fill_european(terms: Terms, given: Floats, is_price: bool, rows: Whole, out: Floats) -> None:
    def work(start: int) -> None:
        part = rows[start : start + _ROWS]
        columns = [terms.spot, terms.strike, terms.years, terms.rate, terms.carry, terms.sign]
        found = np.empty((len(part), _COLUMNS))
        stacked = np.stack([column[part] for column in columns], axis=1)
        european.fill_rows(stacked, given[part], is_price, found)
        out[part] = found

    _spread(work, range(0, len(rows), _ROWS))


def _fill_american(terms: Terms, given: Floats, is_price: bool, rows: Whole, out: Floats) -> None:
    order, starts = _by_expiration(terms, rows)

    def work(group: int) -> None:
        first, last = groups[group], groups[group + 1]
        part = order[starts[first] : starts[last]]
        out[part] = american.expirations(
            _as_puts(terms, part),
            given[part],
            is_price,
            starts[first : last + 1] - starts[first],
            _places(terms, order[starts[first:last]]),
            _method(),
        )

    # Whole expirations to each thread, about _ROWS rows of them.
    wanted = np.arange(0, len(rows) + _ROWS, max(min(_ROWS, len(rows) // 8), 1))
    groups = np.unique(np.searchsorted(starts, np.minimum(wanted, len(rows))))
    _spread(work, range(len(groups) - 1))


@lru_cache(maxsize=1)
def _method() -> american.Method:
    return american.method()


def _as_puts(terms: Terms, rows: Whole) -> Floats:
    """What american.expirations wants to know of each row."""
    spot, strike, sign = terms.spot[rows], terms.strike[rows], terms.sign[rows]
    unit = np.where(sign < 0, strike, spot)
    exercise = sign * (spot - strike)
    return np.stack([sign * np.log(strike / spot), unit, spot, sign, exercise], axis=1)


def _places(terms: Terms, rows: Whole) -> Floats:
    """Years, rate and carry as of a put, and whether it stands for a call."""
    rate, carry, is_call = terms.rate[rows], terms.carry[rows], terms.sign[rows] > 0
    return np.stack(
        [
            terms.years[rows],
            np.where(is_call, carry, rate),
            np.where(is_call, rate, carry),
            is_call.astype(np.float64),
        ],
        axis=1,
    )


def _by_expiration(terms: Terms, rows: Whole) -> tuple[Whole, Whole]:
    """The rows ordered by years, rate, carry and right, and where each such group starts; rows
    that stand together in the chain, as they mostly do, are sorted as one."""
    if len(rows) == 0:
        return rows, np.zeros(1, dtype=np.int64)
    keys = [column[rows] for column in (terms.years, terms.rate, terms.carry)]
    is_new = np.ones(len(rows), dtype=np.bool_)
    is_new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    heads = np.flatnonzero(is_new)
    by_key = np.lexsort([key[heads] for key in keys])
    sorted_heads = heads[by_key]
    is_other = np.ones(len(heads), dtype=np.bool_)
    is_other[1:] = np.any([np.diff(key[sorted_heads]) != 0 for key in keys], axis=0)
    number = np.empty(len(heads), dtype=np.int64)
    number[by_key] = np.cumsum(is_other)
    label = 2 * number[np.cumsum(is_new) - 1] + (terms.sign[rows] > 0)
    order = np.argsort(label, kind="stable")
    ordered = label[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return rows[order], np.append(starts, len(rows))


def _spread(work: Callable[[int], None], parts: range) -> None:
    """Every part on some core. The kernels leave the interpreter's lock."""
    if len(parts) <= 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        list(pool.map(work, parts))
