"""What the market says a share earns its holder until each expiration: dividends that nobody
listed, borrow, financing. Read from calls and puts of one strike, so that it shows as carry and
not as a difference in volatility between the two.

For European options parity gives the forward: F = K + (C - P) e^(rT). An American option is worth
more than its European twin, so each quote is solved for its volatility under a guess of the carry
and priced again as European at that volatility; parity on those values gives the next guess. Where
call and put agree the guess stands still. Columns and units: domain.chain.FORWARD.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from domain import pricing
from domain.chain import FORWARD, ForwardSource
from domain.pricing import Dividends, Flags, Floats
from domain.rates import Curve

#: Pairs this near the money say what the forward is; farther ones say what their spread is. In
#: log strike over spot, and more by the second number times the root of the years.
PARITY_MONEYNESS_MAX, PARITY_MONEYNESS_PER_ROOT_YEAR = 0.05, 0.10
PARITY_PAIRS_MIN, PARITY_PAIRS_MAX = 3, 16
#: No share costs more to borrow, or pays more, for long: beyond it quotes and spot are out of step,
#: as on the last day of an expiration, when a cent of it is a carry of many per cent a year.
CARRY_MAX = 2.0
#: Each round leaves about a tenth of the error: what moved by this share of spot is right to less.
ROUNDS_MAX, SETTLED_SHARE = 6, 1e-5
KEY = ["root", "expiration"]

Whole = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True)
class Market:
    """What a chain is priced against.

    spot       USD per share; NaN or not above 0 when unknown
    dividends  the known ones of the share, years from the snapshot to each ex-date
    """

    spot: float
    curve: Curve
    dividends: Dividends


def chain_to_forwards(quoted: pd.DataFrame, market: Market) -> pd.DataFrame:
    """The FORWARD columns of each expiration, indexed by root and expiration.

    quoted  a chain with root, years, clock_years, mid, and `is_sound`: both sides stand and may be
            traded on

    Expirations with fewer than PARITY_PAIRS_MIN pairs take the carry of their neighbours: between
    two of them carry times years runs straight in years, before the first and after the last the
    nearest carry holds. Without any neighbour the carry is 0. An expired contract, and a chain
    without a spot, has no forward.
    """
    ends = quoted.groupby(KEY, sort=True)[["years", "clock_years"]].first().reset_index()
    years = ends["years"].to_numpy(dtype=np.float64)
    rate = market.curve.rate(years)
    is_priceable = (years > 0) & (market.spot > 0)
    implied, pairs = _parity(quoted[quoted["is_sound"]], ends.assign(rate=rate), market)
    found = residual_carry(implied, years, rate, market)
    carry, source = _filled(found, years)
    forward = model_forward(np.where(is_priceable, carry, np.nan), years, rate, market)
    columns: dict[str, object] = {
        "root": ends["root"],
        "years": years,
        "clock_years": ends["clock_years"],
        "rate": rate,
        "curve_day": market.curve.day,
        "carry": np.where(is_priceable, carry, np.nan),
        "dividends_pv": _paid(market.dividends, years, -np.outer(rate, market.dividends.years)),
        "pairs": np.where(np.isfinite(found), pairs, 0.0),
        "forward": forward,
        "forward_source": [
            ForwardSource(w) if f == f else None for w, f in zip(source, forward, strict=True)
        ],
    }
    named = pd.DataFrame(columns).astype(FORWARD)
    return named.set_index(pd.MultiIndex.from_frame(ends[KEY]))


def residual_carry(forward: Floats, years: Floats, rate: Floats, market: Market) -> Floats:
    """The carry q per year at which spot and the known dividends make `forward`:

    S e^((r - q) T) - sum of D e^((r - q) (T - t)) = F

    All of shape (n,), F in USD per share. NaN where years or F is not above 0, or nothing fits.
    """
    spot, dividends = market.spot, market.dividends
    with np.errstate(all="ignore"):
        growth = np.log((forward + sum(dividends.amounts)) / spot) / years
        for _ in range(20):  # the first guess is good to the dividends' own growth
            value = model_forward(rate - growth, years, rate, market)
            growth = growth - (value - forward) / (spot * np.exp(growth * years) * years)
        value = model_forward(rate - growth, years, rate, market)
        fits = (years > 0) & (forward > 0) & (np.abs(value - forward) <= 1e-9 * spot)
    return np.where(fits, rate - growth, np.nan)


def model_forward(carry: Floats, years: Floats, rate: Floats, market: Market) -> Floats:
    """USD per share at expiry that `carry` and the known dividends make of spot, shape (n,)."""
    growth = rate - carry
    times = np.array(market.dividends.years)
    left = np.outer(growth * years, np.ones_like(times)) - np.outer(growth, times)
    with np.errstate(all="ignore"):
        forward: Floats = market.spot * np.exp(growth * years)
        return forward - _paid(market.dividends, years, left)


def _paid(dividends: Dividends, years: Floats, exponents: Floats) -> Floats:
    """The sum of each row's dividends between now and its expiry, each times e^exponent."""
    times, amounts = np.array(dividends.years), np.array(dividends.amounts)
    counts = (times > 0) & (times < years[:, None])
    with np.errstate(all="ignore"):
        paid: Floats = np.where(counts, amounts * np.exp(exponents), 0.0).sum(axis=1)
    return paid


def _filled(found: Floats, years: Floats) -> tuple[Floats, Flags]:
    """Every expiration's carry, and its ForwardSource, from those that parity gave."""
    held = np.clip(found, -CARRY_MAX, CARRY_MAX)
    has_pairs = np.isfinite(found)
    is_known = has_pairs & (held == found)
    source = np.where(has_pairs & ~is_known, ForwardSource.BOUNDED, ForwardSource.PARITY)
    if not is_known.any():
        carry = np.where(has_pairs, held, 0.0)
        return carry, np.where(has_pairs, source, ForwardSource.SPOT)
    order = np.argsort(years[is_known])
    at, total = years[is_known][order], (held * years)[is_known][order]
    near = np.clip(years, at[0], at[-1])
    carry = np.where(has_pairs, held, np.interp(near, at, total) / near)
    return carry, np.where(has_pairs, source, ForwardSource.NEIGHBOUR)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pairs:
    """A call and a put of one strike a row, those nearest the money first."""

    end: Whole  # row of the expirations
    strike: Floats
    years: Floats
    rate: Floats
    call: Floats  # mid, USD per share
    put: Floats
    width: Floats  # of the two quotes together, USD per share
    american: Flags

    def where(self, kept: Flags) -> "_Pairs":
        return _Pairs(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})


def _parity(sound: pd.DataFrame, ends: pd.DataFrame, market: Market) -> tuple[Floats, Floats]:
    """The forward of each row of `ends` and the pairs behind it; NaN where they are too few."""
    pairs = _pairs(sound, ends, market.spot)
    years, rate = ends["years"].to_numpy(), ends["rate"].to_numpy()
    forward, counts = _medians(pairs, pairs.call - pairs.put, len(ends))
    is_moving = np.isfinite(forward) & np.isin(np.arange(len(ends)), pairs.end[pairs.american])
    for _ in range(ROUNDS_MAX):
        if not is_moving.any():
            break
        carry = np.clip(residual_carry(forward, years, rate, market), -CARRY_MAX, CARRY_MAX)
        pairs = pairs.where(is_moving[pairs.end])
        after, seen = _medians(pairs, _european_gaps(pairs, carry, market), len(ends))
        moved = np.abs(after - forward)
        forward, counts = np.where(is_moving, after, forward), np.where(is_moving, seen, counts)
        is_moving = moved > SETTLED_SHARE * market.spot  # NaN has nowhere to go
    return forward, counts


def _pairs(sound: pd.DataFrame, ends: pd.DataFrame, spot: float) -> _Pairs:
    with np.errstate(all="ignore"):
        away = np.abs(np.log(sound["strike"] / spot))
        reach = PARITY_MONEYNESS_MAX + PARITY_MONEYNESS_PER_ROOT_YEAR * np.sqrt(sound["years"])
    near = sound[(away <= reach) & (sound["years"] > 0)]
    quoted = near[[*KEY, "strike", "style", "years", "mid"]].assign(
        away=away[near.index], width=near["ask"] - near["bid"]
    )
    both = [*KEY, "strike"]
    calls, puts = quoted[near["right"] == "C"], quoted[near["right"] == "P"]
    pairs = calls.merge(puts[[*both, "mid", "width"]], on=both, suffixes=("", "_put"))
    pairs = pairs.drop_duplicates(both, keep=False).sort_values("away")
    pairs = pairs.groupby(KEY, sort=False).head(PARITY_PAIRS_MAX)
    numbered = ends[[*KEY, "rate"]].assign(end=np.arange(len(ends)))
    pairs = pairs.merge(numbered, on=KEY)
    return _Pairs(
        end=pairs["end"].to_numpy(dtype=np.intp),
        strike=pairs["strike"].to_numpy(),
        years=pairs["years"].to_numpy(),
        rate=pairs["rate"].to_numpy(),
        call=pairs["mid"].to_numpy(),
        put=pairs["mid_put"].to_numpy(),
        width=(pairs["width"] + pairs["width_put"]).to_numpy(),
        american=(pairs["style"] == "american").to_numpy(dtype=bool),
    )


def _european_gaps(pairs: _Pairs, carry: Floats, market: Market) -> Floats:
    """What each pair's call would cost more than its put if both were European, USD per share; NaN
    where no volatility gives a price under this carry, as for one at its exercise value."""
    count = len(pairs.end)
    own = carry[pairs.end]
    american = np.tile(pairs.american, 2)
    mids = np.concatenate([pairs.call, pairs.put])
    terms = pricing.Terms(
        spot=np.full(2 * count, market.spot),
        strike=np.tile(pairs.strike, 2),
        years=np.tile(pairs.years, 2),
        rate=np.tile(pairs.rate, 2),
        carry=np.tile(own, 2),
        sign=np.repeat([1.0, -1.0], count),
        american=american,
        dividends=market.dividends,
    )
    vol = pricing.implied_volatility(terms, mids)
    forward = model_forward(own, pairs.years, pairs.rate, market)
    whole = np.tile(whole_carry(forward, pairs.years, pairs.rate, market.spot), 2)
    is_never = np.zeros_like(american)
    twin = replace(terms, carry=whole, american=is_never, dividends=Dividends())
    value = np.where(american, pricing.price(twin, vol), mids)
    return value[:count] - value[count:]


def whole_carry(forward: Floats, years: Floats, rate: Floats, spot: float) -> Floats:
    """The carry per year that holds the dividends too: spot e^((r - q) T) = forward."""
    with np.errstate(all="ignore"):
        return rate - np.log(forward / spot) / years


def _medians(pairs: _Pairs, gaps: Floats, count: int) -> tuple[Floats, Floats]:
    """The median forward of each of `count` expirations, a pair weighing by the tightness of its
    quotes, and how many pairs it has. gaps: European call less put, USD per share."""
    forwards = pairs.strike + gaps * np.exp(pairs.rate * pairs.years)
    medians, counts = np.full(count, np.nan), np.zeros(count)
    order = np.argsort(forwards)
    order = order[forwards[order] > 0]  # NaN is not
    for end in np.unique(pairs.end[order]):
        rows = order[pairs.end[order] == end]
        counts[end] = len(rows)
        if len(rows) >= PARITY_PAIRS_MIN:
            # The tighter half weighs alike, so that no quote, locked and wild, outweighs the rest.
            width, middle = pairs.width[rows], np.median(pairs.width[rows])
            weight = np.divide(middle, width, out=np.ones(len(rows)), where=width > middle)
            medians[end] = _weighted_median(forwards[rows], weight)
    return medians, counts


def _weighted_median(values: Floats, weights: Floats) -> float:
    """Of ascending values the one that half of the weight lies on either side of; between two,
    their middle."""
    share = np.cumsum(weights) / weights.sum()
    least, most = np.searchsorted(share, [0.5 - 1e-12, 0.5 + 1e-12])
    return float(values[least] + values[most]) / 2
