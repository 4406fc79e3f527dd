"""Laws that any price of a European option keeps, whatever formula made it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain import pricing

spots = st.floats(1, 5_000)
moneyness = st.floats(-1.5, 1.5)  # log of strike over spot
years = st.floats(1 / 365 / 24, 3)
rates = st.floats(-0.02, 0.12)
vols = st.floats(0.02, 4)
signs = st.sampled_from([1.0, -1.0])


@st.composite
def any_terms(draw):
    spot = draw(spots)
    values = {
        "spot": spot,
        "strike": spot * np.exp(draw(moneyness)),
        "years": draw(years),
        "rate": draw(rates),
        "carry": draw(rates),
        "sign": draw(signs),
    }
    return pricing.Terms(
        **{name: np.array([value]) for name, value in values.items()}, american=np.array([False])
    )


def changed(terms, **columns):
    names = ("spot", "strike", "years", "rate", "carry", "sign", "american")
    return pricing.Terms(**{name: getattr(terms, name) for name in names} | columns)


@given(any_terms(), vols)
def test_a_call_less_a_put_is_the_forward_less_the_strike_today(terms, vol):
    call = pricing.price(changed(terms, sign=np.array([1.0])), np.array([vol]))
    put = pricing.price(changed(terms, sign=np.array([-1.0])), np.array([vol]))
    today = terms.spot * np.exp(-terms.carry * terms.years)
    owed = terms.strike * np.exp(-terms.rate * terms.years)
    assert call - put == pytest.approx(today - owed, abs=1e-13 * float(today[0] + owed[0]))


@given(any_terms(), vols)
def test_a_price_lies_between_its_bounds(terms, vol):
    low, high = pricing.price_bounds(terms)
    found = pricing.price(terms, np.array([vol]))
    noise = 1e-14 * float(terms.spot[0] + terms.strike[0])
    assert low - noise <= found <= high + noise


@given(any_terms(), vols, st.floats(1e-3, 1))
def test_more_volatility_never_costs_less(terms, vol, more):
    lower, higher = (pricing.price(terms, np.array([v])) for v in (vol, vol + more))
    assert higher >= lower - 1e-14 * float(terms.spot[0] + terms.strike[0])
    vega = pricing.greeks(terms, np.array([vol])).vega[0]
    if vega > 1e-6 * terms.spot[0]:
        assert higher > lower


@given(any_terms(), vols)
def test_the_volatility_of_a_price_is_the_one_it_was_made_with(terms, vol):
    vega = pricing.greeks(terms, np.array([vol])).vega[0]
    assume(vega > 1e-6 * terms.spot[0])
    target = pricing.price(terms, np.array([vol]))
    assert pricing.implied_volatility(terms, target)[0] == pytest.approx(vol, abs=1e-9)


@given(any_terms(), st.floats(-10, 6_000))
def test_a_volatility_gives_its_price_back_or_there_is_none(terms, target):
    found = pricing.implied_volatility(terms, np.array([target]))
    low, high = pricing.price_bounds(terms)
    if target <= low[0] or target >= high[0]:
        assert np.isnan(found[0])
    if not np.isnan(found[0]):
        assert pricing.VOL_MIN <= found[0] <= pricing.VOL_MAX
        again = pricing.price(terms, found)[0]
        noise = 1e-13 * float(terms.spot[0] + terms.strike[0])
        assert again == pytest.approx(target, abs=noise)


@given(any_terms(), vols)
def test_a_call_and_a_put_share_gamma_and_vega_and_their_deltas_differ_by_a_share(terms, vol):
    call = pricing.greeks(changed(terms, sign=np.array([1.0])), np.array([vol]))
    put = pricing.greeks(changed(terms, sign=np.array([-1.0])), np.array([vol]))
    assert (call.gamma, call.vega) == (put.gamma, put.vega)
    share = np.exp(-terms.carry * terms.years)
    assert call.delta - put.delta == pytest.approx(share, abs=1e-14)
    assert call.gamma >= 0
    assert 0 <= call.delta <= share * (1 + 1e-15)
    assert -share * (1 + 1e-15) <= put.delta <= 0


def grid():
    """Every corner of what is traded: 2 x 9 x 5 x 4 x 2 x 2 rows, and their volatilities."""
    axes = np.meshgrid(
        [1.0, -1.0],
        [60, 80, 90, 98, 100, 102, 110, 125, 160],
        [2 / 365, 10 / 365, 0.15, 0.75, 2],
        [0.08, 0.2, 0.6, 1.5],
        [-0.01, 0.05],
        [0.0, 0.04],
        indexing="ij",
    )
    sign, strike, time, vol, rate, carry = (axis.ravel().astype(float) for axis in axes)
    spot = np.full(len(sign), 100.0)
    names = {"strike": strike, "years": time, "rate": rate, "carry": carry, "sign": sign}
    return pricing.Terms(spot=spot, **names, american=spot < 0), vol


def test_greeks_are_the_slopes_of_the_price_at_the_worst_point_of_a_grid():
    terms, vol = grid()
    found = pricing.greeks(terms, vol)

    def slope(name, step):
        """Central difference of fourth order; the argument and its column share the name."""
        here = vol if name == "vol" else getattr(terms, name)

        def at(k):
            moved = here + k * step
            if name == "vol":
                return pricing.price(terms, moved)
            return pricing.price(changed(terms, **{name: moved}), vol)

        return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)

    def worst(value, wanted):
        return float(np.max(np.abs(value - wanted)))

    width = 100 * vol * np.sqrt(terms.years)  # where the price bends, USD
    assert worst(found.delta, slope("spot", width * 3e-3)) < 1e-9
    # Over the size of the largest gamma, which is that at the money, 0.4 / width.
    step = width * 1e-2
    up, down = (
        pricing.greeks(changed(terms, spot=terms.spot + k * step), vol).delta for k in (1, -1)
    )
    up2, down2 = (
        pricing.greeks(changed(terms, spot=terms.spot + k * step), vol).delta for k in (2, -2)
    )
    bend = (8 * (up - down) - (up2 - down2)) / (12 * step)
    assert worst(found.gamma * width, bend * width) < 1e-7
    assert worst(found.vega, slope("vol", vol * 3e-3) / 100) < 1e-8
    assert worst(found.rho, slope("rate", np.full(len(vol), 1e-4)) / 100) < 1e-7
    # Time passes: the years left become fewer.
    assert worst(found.theta, -slope("years", terms.years * 3e-3) / 365) < 1e-8
