"""European options one contract at a time, Black-Scholes-Merton: the kernels behind `columns`.

Prices are built on Mills' ratio, so that a price of 1e-200 keeps its digits; implied volatility is
Halley's method on the logarithm of the price (or of what it lacks to its bound), which is nearly a
parabola in volatility on either side of the point of inflection.
Sources: Haug, The Complete Guide to Option Pricing Formulas, 2nd edition, chapters 1 and 2;
Jäckel, Let's Be Rational (2015) for the normalised price and its two branches.
"""

import math

from domain.pricing.compiled import exact_kernel
from domain.pricing.normal import exp, mills_exact
from domain.pricing.terms import DAYS_PER_YEAR, VOL_MAX, VOL_MIN, Floats

_INVERSE_ROOT_TWO_PI = 0.3989422804014327
_ROOT_TWO_PI = 2.5066282746310002
_STEPS_MAX = 40
_SPLITTER = 134217729.0  # 2**27 + 1


@exact_kernel
def _tail(a: float) -> float:
    """Q(a), the chance of a standard normal above a."""
    beyond = exp(-0.5 * a * a) * _INVERSE_ROOT_TWO_PI * mills_exact(abs(a))
    return beyond if a > 0 else 1 - beyond


@exact_kernel
def european_price(terms: tuple[float, ...], vol: float) -> float:
    """USD per share; terms are (spot, strike, years, rate, carry, sign)."""
    spot, strike, years, rate, carry, sign = terms
    deviation = vol * math.sqrt(years)
    d1 = (math.log(spot / strike) + (rate - carry) * years) / deviation + deviation / 2
    share = spot * math.exp(-carry * years) * _tail(-sign * d1)
    owed = strike * math.exp(-rate * years) * _tail(-sign * (d1 - deviation))
    return sign * (share - owed)


@exact_kernel
def european_greeks(
    terms: tuple[float, ...], vol: float
) -> tuple[float, float, float, float, float]:
    """delta, gamma, theta a day, vega a point, rho a point; terms as in `european_price`."""
    spot, strike, years, rate, carry, sign = terms
    root = math.sqrt(years)
    deviation = vol * root
    d1 = (math.log(spot / strike) + (rate - carry) * years) / deviation + deviation / 2
    share = math.exp(-carry * years)  # shares today that become one at expiry
    owed = strike * math.exp(-rate * years) * _tail(-sign * (d1 - deviation))
    delta = sign * share * _tail(-sign * d1)
    bell = exp(-0.5 * d1 * d1) * _INVERSE_ROOT_TWO_PI * share
    theta = -spot * bell * vol / (2 * root) - sign * rate * owed + carry * spot * delta
    return (
        delta,
        bell / (spot * deviation),
        theta / DAYS_PER_YEAR,
        spot * bell * root / 100,
        sign * owed * years / 100,
    )


@exact_kernel
def _exp_rest(x: float) -> float:
    """What exp(x) lost to rounding, for |x| below 1: log tells how far off it is."""
    near = math.exp(x)
    return near * (x - math.log(near)) if abs(x) < 1 else 0.0


@exact_kernel
def _product_rest(a: float, b: float) -> float:
    """a b - fl(a b), exactly. Source: Dekker, A floating-point technique (1971)."""
    t = _SPLITTER * a
    a_high = t - (t - a)
    t = _SPLITTER * b
    b_high = t - (t - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - a * b) + a_high * b_low + a_low * b_high) + a_low * b_low


@exact_kernel
def _sum_rest(a: float, b: float) -> float:
    """a + b - fl(a + b), exactly. Source: Knuth, The Art of Computer Programming, 4.2.2."""
    total = a + b
    back = total - a
    return (a - (total - back)) + (b - back)


@exact_kernel
def _time_value(terms: tuple[float, ...], target: float) -> float:
    """target less its value at no volatility, as if computed without rounding."""
    spot, strike, years, rate, carry, sign = terms
    growth, discount = math.exp(-carry * years), math.exp(-rate * years)
    share, owed = spot * growth, strike * discount
    if sign * (share - owed) <= 0:
        return target
    if sign * (share - owed) >= target:
        return 0.0
    lost_share = _product_rest(spot, growth) + spot * _exp_rest(-carry * years)
    lost_owed = _product_rest(strike, discount) + strike * _exp_rest(-rate * years)
    first = target - sign * share
    rest = _sum_rest(target, -sign * share) + _sum_rest(first, sign * owed)
    return (first + sign * owed) + (rest - sign * (lost_share - lost_owed))


@exact_kernel
def _branches(x: float, s: float) -> tuple[float, float, float]:
    """Normalised vega, price and lack to the upper bound at x = -|log(forward / strike)| <= 0 and
    deviation s > 0; of the last two the smaller one is exact, the other may be rough."""
    h, t = x / s, s / 2
    vega = exp(-0.5 * (h * h + t * t)) * _INVERSE_ROOT_TWO_PI
    far = mills_exact(t - h)
    if h + t < 0:
        price = vega * (mills_exact(-(h + t)) - far)
        return vega, price, math.exp(x / 2) - price
    lack = vega * (mills_exact(h + t) + far)
    return vega, math.exp(x / 2) - lack, lack


@exact_kernel
def normalised_deviation(x: float, value: float, precision: float) -> float:
    """The deviation vol sqrt(years) whose out-of-the-money price is value sqrt(forward strike)
    discounted, 0 < value < exp(x / 2); the last step was below `precision` of it.
    """
    bound = math.exp(x / 2)
    inflection = max(math.sqrt(-2 * x), 1e-8)
    vega, price, lack = _branches(x, inflection)
    is_low = value < price
    goal = math.log(value) if is_low else math.log(bound - value)
    if is_low:
        s = -x / math.sqrt(-x / 2 + 2 * math.log(price / value))
    else:
        s = inflection + (value - price) / vega
    for _ in range(_STEPS_MAX):
        vega, price, lack = _branches(x, s)
        if is_low:
            slope = vega / price
            newton = (goal - math.log(price)) / slope
            bend = x * x / (s * s * s) - s / 4 - slope
        else:
            slope = vega / lack
            newton = (math.log(lack) - goal) / slope
            bend = x * x / (s * s * s) - s / 4 + slope
        step = newton / max(1 + newton * bend / 2, 0.5)
        step = min(max(step, -0.5 * s), s)
        s += step
        if abs(step) <= precision * s:
            break
    return s


@exact_kernel
def european_volatility(terms: tuple[float, ...], target: float) -> float:
    """The volatility per year that prices `target`; NaN where none in VOL_MIN to VOL_MAX does."""
    spot, strike, years, rate, carry, sign = terms
    drift = (rate - carry) * years
    moneyness = math.log(spot / strike) + drift
    value = _time_value(terms, target)
    value /= math.sqrt(spot * strike) * math.exp(-0.5 * (rate + carry) * years)
    x = -abs(moneyness)
    most = spot * math.exp(-carry * years) if sign > 0 else strike * math.exp(-rate * years)
    if not (target < most and 0 < value < math.exp(x / 2)):
        return math.nan
    vol = normalised_deviation(x, value, 1e-5) / math.sqrt(years)
    return vol if VOL_MIN <= vol <= VOL_MAX else math.nan


@exact_kernel
def fill(terms: tuple[float, ...], vol: float, out: Floats) -> None:
    """out (7,): volatility, price, delta, gamma, theta, vega, rho at `vol`; NaN unless vol > 0."""
    out[:] = math.nan
    if 0 < vol < math.inf:
        out[0], out[1] = vol, european_price(terms, vol)
        out[2], out[3], out[4], out[5], out[6] = european_greeks(terms, vol)


@exact_kernel
def fill_rows(rows: Floats, given: Floats, is_price: bool, out: Floats) -> None:
    """`fill` for every row of (n, 6) terms; `given` (n,) holds prices, or else volatilities."""
    for i in range(len(rows)):
        row = rows[i]
        terms = (row[0], row[1], row[2], row[3], row[4], row[5])
        fill(terms, european_volatility(terms, given[i]) if is_price else given[i], out[i])
