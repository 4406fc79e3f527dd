"""Laws that any price of an American option keeps, whatever method made it."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import pricing
from domain.pricing import Terms

many = settings(max_examples=300, deadline=None)
NOISE = 2e-7  # of strike: what a law may be missed by
LIVES = (1 / 365, 3.0)
VOLS = (0.02, 3.0)
NAMES = ("delta", "gamma", "theta", "vega", "rho")


def log_uniform(low, high):
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


rates = st.one_of(st.just(0.0), st.floats(-0.02, 0.12), st.floats(-0.02, 0.12))
carries = st.one_of(st.just(0.0), st.floats(0, 0.15), st.floats(0, 0.15))
vols = log_uniform(*VOLS)


@st.composite
def expirations(draw):
    """Seven calls and seven puts of one expiration on a share at 100, and their volatility: strikes
    within four deviations, and from 40 % to 250 % of spot."""
    years, vol = draw(log_uniform(*LIVES)), draw(vols)
    deviation = vol * np.sqrt(years)
    away = np.array([draw(st.floats(-1, 1)) for _ in range(7)])
    wide = np.array([4, 4, 4, 1, 1, 1, 1]) * deviation
    strikes = 100 * np.exp(np.clip(np.sort(away * wide), np.log(0.4), np.log(2.5)))
    return contracts(strikes, years, draw(rates), draw(carries)), np.full(14, vol)


def contracts(strikes, years, rate, carry):
    """Calls, then puts, of these strikes."""
    n = 2 * len(strikes)
    return Terms(
        spot=np.full(n, 100.0),
        strike=np.tile(strikes, 2),
        years=np.full(n, float(years)),
        rate=np.full(n, float(rate)),
        carry=np.full(n, float(carry)),
        sign=np.repeat([1.0, -1.0], len(strikes)),
        american=np.ones(n, dtype=bool),
    )


def rows_of(terms, rows):
    names = [field.name for field in fields(terms) if field.name != "dividends"]
    return replace(terms, **{name: getattr(terms, name)[rows] for name in names})


def whole(terms, vol):
    """Price and Greeks, a column each."""
    found = pricing.greeks(terms, vol)
    return np.stack([pricing.price(terms, vol), *(getattr(found, name) for name in NAMES)], axis=1)


def exercise_value(terms):
    return terms.sign * (terms.spot - terms.strike)


@many
@given(expirations())
def test_call_less_put_stays_within_the_bounds_of_parity(given_expiration):
    terms, vol = given_expiration
    found = pricing.price(terms, vol)
    gap, strike = found[:7] - found[7:], terms.strike[:7]
    owed = np.exp(-terms.rate * terms.years)[:7]
    share = (terms.spot * np.exp(-terms.carry * terms.years))[:7]
    # Whoever must pay the strike at a time of another's choice holds it, and what it may lose.
    assert (gap >= share - strike * np.maximum(1, owed) - NOISE * strike).all()
    assert (gap <= 100 - strike * np.minimum(1, owed) + NOISE * strike).all()


@many
@given(expirations())
def test_the_right_to_exercise_early_never_costs(given_expiration):
    terms, vol = given_expiration
    found = pricing.price(terms, vol)
    european = pricing.price(replace(terms, american=np.zeros(14, dtype=bool)), vol)
    assert (found >= european - NOISE * terms.strike).all()
    assert (found >= np.maximum(exercise_value(terms), 0) - 1e-13 * terms.strike).all()
    low, high = pricing.price_bounds(terms)
    assert (found >= low - 1e-13 * (100 + terms.strike)).all()
    assert (found <= high + NOISE * terms.strike).all()


@many
@given(expirations(), st.floats(1e-4, 0.5))
def test_more_volatility_never_costs_less(given_expiration, more):
    terms, vol = given_expiration
    lower, higher = pricing.price(terms, vol), pricing.price(terms, vol * (1 + more))
    assert (higher >= lower - NOISE * terms.strike).all()
    vega = pricing.greeks(terms, vol).vega
    assert (vega >= -1e-8 * terms.strike).all()
    assert (higher > lower)[vega * vol * more > 1e-4 * terms.strike].all()


@many
@given(expirations())
def test_a_price_runs_with_strike_no_faster_than_it_and_bends_one_way(given_expiration):
    terms, vol = given_expiration
    found, strikes = pricing.price(terms, vol), terms.strike[:7]
    for prices, sign in ((found[:7], 1), (found[7:], -1)):
        fall = -sign * np.diff(prices)
        assert (fall >= -NOISE * strikes[1:]).all()
        # Owed at expiry, the strike is worth more than itself today where the rate is negative.
        fastest = np.diff(strikes) * max(1.0, float(np.exp(-terms.rate[0] * terms.years[0])))
        assert (fall <= fastest + NOISE * strikes[1:]).all()
        below, here, above = strikes[:-2], strikes[1:-1], strikes[2:]
        span = np.where(above > below, above - below, 1.0)
        chord = ((above - here) * prices[:-2] + (here - below) * prices[2:]) / span
        chord = np.where(above > below, chord, prices[1:-1])
        assert (prices[1:-1] <= chord + NOISE * here).all()


@many
@given(expirations(), st.floats(1e-3, 1e3))
def test_twice_the_share_and_the_strike_is_twice_the_price(given_expiration, size):
    terms, vol = given_expiration
    scaled = replace(terms, spot=terms.spot * size, strike=terms.strike * size)
    here, there = whole(terms, vol), whole(scaled, vol)
    powers = np.array([1.0, 0, -1, 1, 1, 1])
    unit = (100 + terms.strike)[:, None] * 1e-11 * np.array([1, 1 / 100, 1, 1, 1, 1])
    error = abs(there / size**powers - here)
    # What exercise now is worth is decided to the last bits of the moneyness.
    settled = (abs(here[:, 1]) != 1) & (abs(there[:, 1]) != 1)
    assert (error <= unit + 1e-8 * abs(here))[settled].all()
    assert (error[:, 0] <= unit[:, 0]).all()


@many
@given(expirations())
def test_a_call_is_the_put_with_share_and_strike_rate_and_yield_exchanged(given_expiration):
    terms, vol = given_expiration
    mirror = replace(
        terms, spot=terms.strike, strike=terms.spot, rate=terms.carry, carry=terms.rate,
        sign=-terms.sign,
    )  # fmt: skip
    found, mirrored = pricing.price(terms, vol), pricing.price(mirror, vol)
    assert (abs(found - mirrored) <= 1e-12 * (100 + terms.strike)).all()


@many
@given(expirations())
def test_delta_gamma_vega_and_theta_are_slopes_of_our_own_price(given_expiration):
    terms, vol = given_expiration
    found = pricing.greeks(terms, vol)
    step = 0.01 * 100 * np.minimum(vol * np.sqrt(terms.years), 2)
    at = {k: replace(terms, spot=terms.spot + k * step) for k in (-2, -1, 0, 1, 2)}
    price = {k: pricing.price(moved, vol) for k, moved in at.items()}
    delta = {k: pricing.greeks(moved, vol).delta for k, moved in at.items()}
    exercised = np.stack([abs(column) == 1 for column in delta.values()])
    smooth = exercised.all(axis=0) | ~exercised.any(axis=0)
    slope = (8 * (price[1] - price[-1]) - (price[2] - price[-2])) / (12 * step)
    bend = (8 * (delta[1] - delta[-1]) - (delta[2] - delta[-2])) / (12 * step)
    assert (abs(found.delta - slope)[smooth] < 5e-5).all()  # measured 1.1e-5, at 2 % volatility
    assert (abs(found.gamma - bend)[smooth] * step[smooth] * 100 < 1e-3).all()
    up, down = pricing.price(terms, vol * 1.001), pricing.price(terms, vol * 0.999)
    assert (abs(found.vega * 100 - (up - down) / (0.002 * vol))[smooth] < 1e-4 * 100).all()
    older = replace(terms, years=terms.years * 0.999)
    younger = replace(terms, years=terms.years * 1.001)
    aged = (pricing.price(older, vol) - pricing.price(younger, vol)) / (0.002 * terms.years * 365)
    assert (abs(found.theta - aged)[smooth] < 1e-5 * terms.strike[smooth]).all()


@many
@given(expirations())
def test_the_solved_volatility_gives_its_price_back(given_expiration):
    terms, vol = given_expiration
    target = pricing.price(terms, vol)
    found, greeks = pricing.solve(terms, target)
    vega = pricing.greeks(terms, vol).vega * 100
    known = vega > 1e-4 * terms.strike
    assert np.isfinite(found[known]).all()
    assert (abs(found - vol)[known] * vega[known] < 1e-7 * terms.strike[known]).all()
    solved = np.isfinite(found)
    again = pricing.price(terms, np.where(solved, found, 0.2))
    assert (abs(again - target)[solved] < 1e-7 * terms.strike[solved]).all()
    same = whole(terms, np.where(solved, found, 0.2))[:, 1:]
    ours = np.stack([getattr(greeks, name) for name in NAMES], axis=1)
    size = np.array([1.0, 1, 100, 100, 100])
    assert (abs(ours - same)[known] <= 1e-4 * size).all()
    assert np.array_equal(found, pricing.implied_volatility(terms, target), equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(st.lists(expirations(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_answer_of_a_row_does_not_depend_on_its_neighbours(listed, random):
    tables, their_vols = zip(*listed, strict=True)
    names = [field.name for field in fields(Terms) if field.name != "dividends"]
    table = Terms(**{name: np.concatenate([getattr(t, name) for t in tables]) for name in names})
    vol = np.concatenate(their_vols)
    order = np.array(random.choices(range(len(vol)), k=2 * len(vol)))
    target = pricing.price(table, vol)
    mixed = rows_of(table, order)
    for alone, among in (
        (whole(table, vol), whole(mixed, vol[order])),
        (solved(table, target), solved(mixed, target[order])),
    ):
        assert np.allclose(alone[order], among, rtol=1e-12, atol=1e-12, equal_nan=True)
    one = random.randrange(len(vol))
    single = whole(rows_of(table, np.array([one])), vol[[one]])
    assert np.allclose(whole(table, vol)[[one]], single, rtol=1e-12, atol=1e-12, equal_nan=True)


def solved(terms, target):
    vol, found = pricing.solve(terms, target)
    return np.stack([vol, *(getattr(found, name) for name in NAMES)], axis=1)


@pytest.mark.parametrize("others", [(), (0.2,), (0.7,), (0.05,), (0.05, 0.2, 0.7, 2.9)], ids=str)
def test_rho_of_a_call_at_no_rate_is_no_other_beside_other_volatilities(others):
    one = rows_of(contracts(np.array([100.0]), np.exp(0.875), 0.0, 0.078125), [0])
    table_vols = np.array([*others, np.exp(-2.0)])
    found = pricing.greeks(line(one, len(table_vols)), table_vols).rho
    # Per 0.01 of rate, as QuantLib has it to a fiftieth of the bar.
    assert found[-1] == pytest.approx(0.29030027, abs=2e-6)


@pytest.mark.parametrize(
    "terms",
    [
        (100.04284, 2.1050234, -0.006643346, 0.14053891, 0.042542989),
        (99.996013, 1.794851, 0.0, 0.14184083, 0.04398306),
        (100.14558, 2.0980432, 0.0, 0.11757808, 0.033851154),
        (100.38669, 2.8226141, 0.021690467, 0.1457257, 0.036569891),
        (53.32239108595124, 2.483477699, 0.10202809595, 0.04970195745568746, 0.03048020835883482),
        (51.98483076815469, 2.030890438614689, 0.1024168735, 0.04880355314880, 0.033938955512458),
    ],
    ids=str,
)
def test_a_price_at_a_low_volatility_of_a_share_near_its_boundary_has_it_back(terms):
    strike, years, rate, carry, vol = terms
    one = rows_of(contracts(np.array([strike]), years, rate, carry), [0])
    target = pricing.price(one, np.array([vol]))
    assert pricing.implied_volatility(one, target)[0] == pytest.approx(vol, abs=1e-5)


OUTSIDE = [
    *((name, value) for name in ("spot", "strike", "years") for value in (0.0, -1.0, np.nan)),
    *((name, np.inf) for name in ("spot", "strike", "years")),
    *((name, value) for name in ("rate", "carry") for value in (np.nan, np.inf, -np.inf)),
    ("sign", 0.0),
    ("sign", np.nan),
]  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(expirations(), st.sampled_from(OUTSIDE), st.integers(0, 13))
def test_a_row_out_of_bounds_is_nan_and_leaves_its_neighbours_alone(given_expiration, outside, at):
    terms, vol = given_expiration
    name, value = outside
    column = getattr(terms, name).copy()
    column[at] = value
    spoilt = replace(terms, **{name: column})
    target = pricing.price(terms, vol)
    others = np.arange(14) != at
    for before, after in (
        (whole(terms, vol), whole(spoilt, vol)),
        (solved(terms, target), solved(spoilt, target)),
        (
            np.stack(pricing.price_bounds(terms), axis=1),
            np.stack(pricing.price_bounds(spoilt), axis=1),
        ),
    ):
        assert np.isnan(after[at]).all()
        assert np.array_equal(before[others], after[others], equal_nan=True)


@pytest.mark.parametrize(("name", "value"), OUTSIDE)
def test_a_row_out_of_bounds_is_nan_without_a_warning_where_rate_and_yield_are_0(name, value):
    terms = contracts(np.array([90.0, 110.0]), 0.5, 0.0, 0.0)
    column = getattr(terms, name).copy()
    column[0] = value
    found = whole(replace(terms, **{name: column}), np.full(4, 0.2))
    assert np.isnan(found[0]).all()
    assert np.array_equal(found[1:], whole(terms, np.full(4, 0.2))[1:])


@pytest.mark.parametrize("value", [0.0, -0.2, np.nan, np.inf, 0.005, 50.0])
def test_a_volatility_that_is_not_looked_for_is_nan_and_its_neighbour_is_priced(value):
    terms = contracts(np.array([90.0, 110.0]), 0.5, 0.05, 0.05)
    found = whole(terms, np.array([value, 0.2, 0.2, value]))
    assert np.isnan(found[[0, 3]]).all()
    assert np.isfinite(found[[1, 2]]).all()


#: Terms whose lines are scanned: years, rate, carry, vol.
LINES = [
    (1 / 365, 0.05, 0.0, 0.3), (0.02, 0.05, 0.06, 0.15), (0.25, 0.03, 0.03, 0.2),
    (0.5, 0.1, 0.02, 0.6), (1.0, 0.04, 0.05, 1.0), (1.0, 0.0, 0.04, 0.25), (2.0, -0.01, 0.08, 0.4),
    (3.0, 0.12, 0.15, 0.05), (3.0, 0.02, 0.0, 2.5),
]  # fmt: skip


def line(terms, count):
    """`count` copies of a single contract."""
    return rows_of(terms, np.zeros(count, dtype=int))


def worst_corner(values, x):
    """How far each value is from the parabola through four around it, at the worst place."""
    four = [np.roll(values, k)[2:-2] for k in (2, 1, -1, -2)]
    places = [np.roll(x, k)[2:-2] for k in (2, 1, -1, -2)]
    here, guess = x[2:-2], 0.0
    for i, value in enumerate(four):
        others = [places[j] for j in range(4) if j != i]
        weight = np.prod([(here - o) / (places[i] - o) for o in others], axis=0)
        guess = guess + weight * value
    return float(abs(values[2:-2] - guess).max())


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["call", "put"])
@pytest.mark.parametrize("given_line", LINES, ids=str)
def test_along_a_fine_line_of_spots_price_delta_and_gamma_have_no_step(given_line, sign):
    years, rate, carry, vol = given_line
    deviation = vol * years**0.5
    one = rows_of(contracts(np.array([100.0]), years, rate, carry), [int(sign < 0)])
    spots = 100 * np.exp(np.linspace(-1, 1, 3001) * min(3 * deviation, 1.5))
    found = whole(replace(line(one, 3001), spot=spots), np.full(3001, vol))
    held = abs(found[:, 1]) != 1
    # One stretch, with the exercise region on one side of it, if anywhere.
    assert (np.diff(held.astype(int)) != 0).sum() <= 1
    price, delta, gamma = found[held, 0], found[held, 1], found[held, 2]
    x = np.log(spots[held])
    assert worst_corner(price, x) < 1e-7 * 100
    assert worst_corner(delta, x) < 1e-6
    # Beside the boundary gamma bends: its own scale is the greatest on the line.
    assert worst_corner(gamma, x) < 1e-3 * gamma.max()
    # Across the boundary price and delta have no step either: only gamma has.
    steps = np.diff(spots) * found[:, 2].max()
    assert (abs(np.diff(found[:, 1])) <= steps + 1e-6).all()


#: Lines and rights with a boundary: somebody gains by exercising early.
BOUNDED = [
    (given_line, sign)
    for given_line in LINES
    for sign in (1.0, -1.0)
    if given_line[2 if sign > 0 else 1] > 0
]


@pytest.mark.parametrize(("given_line", "sign"), BOUNDED, ids=str)
def test_ever_nearer_to_the_boundary_gamma_has_no_step(given_line, sign):
    """The integral changes its points eleven times on the way, each four times nearer."""
    years, rate, carry, vol = given_line
    one = rows_of(contracts(np.array([100.0]), years, rate, carry), [int(sign < 0)])
    wide = vol * years**0.5
    held, exercised = -sign * wide, sign * max(8 * wide, 2.0)  # logs of spot over strike
    assert abs(delta_at(one, held, vol)) < 1 == abs(delta_at(one, exercised, vol))
    for _ in range(60):
        middle = (held + exercised) / 2
        is_exercised = abs(delta_at(one, middle, vol)) == 1
        held, exercised = (held, middle) if is_exercised else (middle, exercised)
    distance = np.geomspace(1e-6, 1, 4001)
    spots = 100 * np.exp(held - sign * distance * wide)
    found = whole(replace(line(one, 4001), spot=spots), np.full(4001, vol))
    x = np.log(distance)
    assert worst_corner(found[:, 1], x) < 1e-6
    # Measured 1.5e-3, at 2e-6 of a deviation from the boundary; 3e-4 from a thousandth of one on.
    assert worst_corner(found[:, 2], x) < 2e-3 * found[:, 2].max()
    assert worst_corner(found[2001:, 2], x[2001:]) < 1e-3 * found[:, 2].max()


def delta_at(one, log_spot, vol):
    moved = replace(one, spot=np.array([100 * np.exp(log_spot)]))
    return pricing.greeks(moved, np.array([vol])).delta[0]


@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["call", "put"])
@pytest.mark.parametrize("given_line", LINES, ids=str)
def test_along_a_fine_line_of_volatilities_no_number_has_a_step(given_line, sign):
    """The boundaries are interpolated between volatilities a factor of four apart."""
    years, rate, carry, _ = given_line
    strike = 100 * np.exp(-sign * 0.05)
    one = rows_of(contracts(np.array([strike]), years, rate, carry), [int(sign < 0)])
    line_vols = np.geomspace(0.02, 3.0, 6001)
    found = whole(line(one, 6001), line_vols)
    assert np.isfinite(found).all()
    held = abs(found[:, 1]) != 1
    # More volatility never ends in exercise.
    assert (np.diff(held.astype(int)) >= 0).all()
    x = np.log(line_vols[held])
    scale = {"price": 1e-7 * 100, "delta": 1e-6, "gamma": 1e-3 * np.nanmax(found[:, 2])}
    scale |= {"theta": 1e-7 * 100, "vega": 1e-8 * 100, "rho": 1e-8 * 100}
    for (name, bar), column in zip(scale.items(), found[held].T, strict=True):
        assert worst_corner(column, x) < bar, name


@pytest.mark.parametrize("given_line", LINES, ids=str)
@pytest.mark.parametrize("segment", range(1, 5))
def test_where_a_segment_of_volatilities_ends_nothing_steps(given_line, segment):
    years, rate, carry, _ = given_line
    end = 0.01 * 4.0**segment
    deviation = end * years**0.5
    strikes = 100 * np.exp(np.clip(np.array([-2, -1, -0.3, 0, 0.3, 1, 2]) * deviation, -0.9, 0.9))
    terms = contracts(strikes, years, rate, carry)
    both = rows_of(terms, np.tile(np.arange(14), 2))
    beside = np.repeat([1 - 1e-9, 1 + 1e-9], 14)
    below, above = np.split(whole(both, end * beside), 2)
    unit = np.array([100.0, 1, 1 / deviation / 100, 100, 100, 100])
    settled = (abs(below[:, 1]) != 1) & (abs(above[:, 1]) != 1)
    error = (abs(above - below) / unit)[settled]
    assert (error < np.array([1e-8, 1e-7, 1e-6, 1e-8, 1e-8, 1e-6])).all(), error.max(axis=0)


@pytest.mark.parametrize("years", [1 / 365, 0.25, 3.0])
@pytest.mark.parametrize("other", [0.0, 0.03])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["call", "put"])
def test_where_exercise_stops_being_worth_anything_the_formula_takes_over_without_a_step(
    years, other, sign
):
    """Below 1e-10 of strike the European formula stands in: rate times years for a put, yield times
    years for a call."""
    strikes = np.array([60.0, 90, 100, 110, 160])
    table = contracts(strikes, years, 0.0, 0.0)
    terms = rows_of(table, np.flatnonzero(table.sign == sign))
    gain, still = ("carry", "rate") if sign > 0 else ("rate", "carry")
    for vol in (0.05, 0.3, 1.5):
        sides = [
            whole(
                replace(terms, **{gain: np.full(5, 1e-10 * by / years), still: np.full(5, other)}),
                np.full(5, vol),
            )
            for by in (0.999, 1.001)
        ]
        settled = (abs(sides[0][:, 1]) != 1) & (abs(sides[1][:, 1]) != 1)
        error = abs(sides[1] - sides[0])[settled][:, :2] / np.array([100, 1])
        assert (error < np.array([1e-9, 1e-8])).all(), (vol, error.max(axis=0))
