"""Laws that any price of an option keeps when its share pays cash, in either model."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.pricing import Dividends, Terms, dividends

few = settings(max_examples=25, deadline=None)
models = st.sampled_from(list(dividends.DividendModel))
vols = st.floats(0.08, 1.2)
NOISE = 4e-6  # twice what a price may be off, of strike


@st.composite
def chains(draw, american=None):
    """Eight contracts around a share at 100 that pays up to four times in two years."""
    years = draw(st.floats(0.02, 2))
    gaps = draw(st.lists(st.floats(0.05, 0.6), max_size=4))
    amounts = draw(st.lists(st.floats(0.1, 4), min_size=len(gaps), max_size=len(gaps)))
    deviation = 0.3 * np.sqrt(years)
    strikes = 100 * np.exp(deviation * np.array([-1.5, -0.4, 0.1, 1.2]))
    rate = draw(st.floats(-0.02, 0.1))
    carry = draw(st.sampled_from([0.0, 0.03]))
    is_american = draw(st.booleans()) if american is None else american
    return Terms(
        spot=np.full(8, 100.0),
        strike=np.tile(strikes, 2),
        years=np.full(8, years),
        rate=np.full(8, rate),
        carry=np.full(8, carry),
        sign=np.repeat([1.0, -1.0], 4),
        american=np.full(8, is_american),
        dividends=Dividends(years=tuple(np.cumsum(gaps)), amounts=tuple(amounts)),
    )


def priced(terms, vol, model):
    return dividends.price(terms, np.full(8, vol), model)


@few
@given(chains(american=True), vols, models)
def test_the_right_to_exercise_early_never_costs(terms, vol, model):
    american = priced(terms, vol, model)
    european = priced(replace(terms, american=np.zeros(8, dtype=bool)), vol, model)
    assert (american >= european - NOISE * terms.strike).all()
    assert (american >= terms.sign * (terms.spot - terms.strike)).all()
    least, most = dividends.price_bounds(terms)
    assert ((least <= american) & (american <= most)).all()


@few
@given(chains(), vols, st.floats(0.01, 0.5), models)
def test_more_volatility_never_costs_less(terms, vol, more, model):
    gain = priced(terms, vol + more, model) - priced(terms, vol, model)
    assert (gain >= -NOISE * terms.strike).all()


@few
@given(chains(), vols, st.floats(0.1, 5), st.floats(0.01, 0.95), models)
def test_a_dividend_lowers_a_call_and_raises_a_put(terms, vol, amount, part, model):
    none = replace(terms, dividends=Dividends())
    one = replace(terms, dividends=Dividends(years=(part * terms.years[0],), amounts=(amount,)))
    rise = priced(one, vol, model) - priced(none, vol, model)
    # A put exercised before the ex-date gets strike less the share with what lies in escrow, and
    # only the rest of the share moves: a put on less, at a strike of less, may be worth less.
    is_no_law = (model is dividends.DividendModel.ESCROWED) & terms.american & (terms.sign < 0)
    assert (is_no_law | (terms.sign * rise <= NOISE * terms.strike)).all()


@few
@given(chains(), vols, models)
def test_delta_and_gamma_are_differences_of_prices(terms, vol, model):
    found = dividends.greeks(terms, np.full(8, vol), model)
    step = 8 * vol * np.sqrt(terms.years[0])  # USD: 8 % of a deviation of a share at 100
    up, down = (priced(replace(terms, spot=terms.spot + by), vol, model) for by in (step, -step))
    here = priced(terms, vol, model)
    now = terms.sign * (terms.spot - terms.strike)
    # Where exercise is near, gamma jumps and no difference finds it.
    smooth = np.minimum.reduce([up - now - terms.sign * step, here - now]) > 0.02 * terms.strike
    smooth &= down - now + terms.sign * step > 0.02 * terms.strike
    smooth |= ~terms.american
    assert (abs(found.delta - (up - down) / (2 * step))[smooth] < 5e-3).all()
    width = 100 * vol * np.sqrt(terms.years[0])
    assert (abs(found.gamma - (up - 2 * here + down) / step**2)[smooth] * width < 2e-2).all()


@few
@given(chains(), vols, models)
def test_a_volatility_gives_its_price_back(terms, vol, model):
    price = priced(terms, vol, model)
    found = dividends.implied_volatility(terms, price, model)
    vega = dividends.greeks(terms, np.full(8, vol), model).vega * 100
    known = vega > 1e-2
    assert np.isfinite(found[known]).all()
    again = dividends.price(terms, np.where(np.isfinite(found), found, vol), model)
    assert (abs(again - price)[known] < 1e-6 * terms.strike[known]).all()


@few
@given(chains(american=False), vols, models)
def test_a_european_call_less_a_put_is_known_when_the_share_cannot_fall_to_nothing(
    terms, vol, model
):
    vol = min(vol, 0.4)
    price = priced(terms, vol, model)
    times = np.array([t for t in terms.dividends.years if t < terms.years[0]])
    amounts = np.array(terms.dividends.amounts[: len(times)])
    years, rate, carry = terms.years[0], terms.rate[0], terms.carry[0]
    if model is dividends.DividendModel.ESCROWED:
        share = (100 - (amounts * np.exp(-rate * times)).sum()) * np.exp(-carry * years)
    else:  # a share bought now is worth less by each dividend, and by what that would have earned
        lost = amounts * np.exp(-rate * times - carry * (years - times))
        share = 100 * np.exp(-carry * years) - lost.sum()
    owed = terms.strike[:4] * np.exp(-rate * years)
    assert (abs(price[:4] - price[4:] - (share - owed)) < 2e-5 * terms.strike[:4]).all()
