"""What passes breaks no limit, and no spot loses more than the worst that was said."""

import math
from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.orders import Leg, OrderIntent, Purpose, Side
from domain.records import Position
from domain.risk import Book, Check, Exposure, Limits, package, verdicts, worst_losses

EXPIRATION = date(2026, 12, 18)
strikes = st.integers(1, 40).map(lambda n: n * 5)
cents = st.integers(0, 5_000).map(lambda n: Decimal(n) / 100)
options = st.tuples(st.sampled_from("CP"), strikes, st.integers(-5, 5), cents)
shares = st.tuples(st.just("S"), st.just(0), st.integers(-500, 500), cents)


def position(kind, strike, quantity, price):
    return position_at(EXPIRATION, kind, strike, quantity, price)


def position_at(expiration, kind, strike, quantity, price):
    symbol = "XYZ" if kind == "S" else f"XYZ{expiration:%y%m%d}{kind}{strike * 1000:08d}"
    return Position(
        symbol=symbol,
        quantity=Decimal(quantity),
        average_entry_price=price,
        current_price=None,
        market_value=None,
    )


def profit(held, spot):
    """What everything is worth at `spot`, less what it cost, from the payoffs' definitions."""
    total = Fraction(0)
    for kind, strike, quantity, price in held:
        if kind == "S":
            total += quantity * (spot - Fraction(price))
            continue
        payoff = max(spot - strike, 0) if kind == "C" else max(strike - spot, 0)
        total += 100 * quantity * (payoff - Fraction(price))
    return total


@given(st.lists(options | shares, min_size=1, max_size=6, unique_by=lambda row: row[:2]))
def test_no_spot_loses_more_than_the_worst_loss_and_one_loses_just_that(held):
    said = worst_losses([position(*one) for one in held], dict.fromkeys(
        [position(*one).symbol for one in held], "XYZ"
    ))["XYZ"]  # fmt: skip
    near = [Fraction(n, 2) for n in range(420)]  # strikes end at 200
    far, farther = profit(held, 10**6), profit(held, 2 * 10**6)
    if said == Decimal("Infinity"):
        assert farther < far  # it goes down for ever
        return
    assert farther >= far
    losses = [-profit(held, spot) for spot in near] + [-far]
    assert max(losses) <= Fraction(said)
    assert max(*losses, 0) == Fraction(said)


def test_a_long_that_expires_first_covers_nothing_after_that():
    near, far = date(2026, 12, 18), date(2027, 1, 15)
    calls = [
        position_at(near, "C", 100, 1, Decimal("1.00")),
        position_at(far, "C", 100, -1, Decimal("3.00")),
    ]
    symbols = dict.fromkeys([one.symbol for one in calls], "XYZ")
    assert worst_losses(calls, symbols) == {"XYZ": Decimal("Infinity")}
    puts = [
        position_at(near, "P", 100, 1, Decimal("1.00")),
        position_at(far, "P", 100, -1, Decimal("3.00")),
    ]
    symbols = dict.fromkeys([one.symbol for one in puts], "XYZ")
    assert worst_losses(puts, symbols) == {"XYZ": Decimal(9_800)}  # 100 a share, less 2 received


money = st.integers(-2_000_000, 40_000_000).map(lambda n: Decimal(n) / 100)
positive = st.integers(1, 4_000_000).map(lambda n: Decimal(n) / 100)
share = st.integers(1, 1_000).map(lambda n: Decimal(n) / 1000)
# Mostly amounts that compare, now and then what must never pass.
usd = st.floats(-60_000, 60_000) | st.sampled_from([math.nan, math.inf, -math.inf])
exposures = st.builds(Exposure, delta_usd=usd, gamma_usd=usd, theta_usd=usd.map(lambda x: x / 40))
limits = st.builds(
    Limits,
    position_contracts_max=st.integers(1, 20),
    single_trade_loss_share_max=share,
    option_allocation_share_max=share,
    concentration_share_max=share,
    delta_usd_max=positive,
    gamma_usd_max=positive,
    theta_usd_max=positive,
    daily_loss_usd_max=positive,
    orders_per_minute_max=st.integers(1, 5),
    same_legs_minutes_min=st.integers(1, 60),
    price_collar_share_max=share,
)
SYMBOLS = ["SPY261218P00570000", "SPY261218P00560000", "SPY261218C00630000"]
symbols = st.sampled_from(SYMBOLS)
packages = st.lists(
    st.builds(Leg, symbol=symbols, side=st.sampled_from(Side), ratio=st.integers(1, 3)),
    min_size=1,
    max_size=3,
    unique_by=lambda leg: leg.symbol,
).map(tuple)
books = st.builds(
    Book,
    is_halted=st.sampled_from([False, False, False, True]),
    equity=money,
    options_buying_power=money,
    day_profit_usd=st.integers(-300_000, 300_000).map(lambda n: Decimal(n) / 100),
    loss_usd_worst=st.dictionaries(
        st.sampled_from(["SPY", "QQQ", "IWM"]), positive | st.just(Decimal("Infinity")), max_size=3
    ),
    exposure=exposures,
    unsettled_orders=st.dictionaries(st.sampled_from(["SPY", "QQQ"]), st.integers(0, 2)),
    orders_last_minute=st.integers(0, 5),
    recent_packages=st.frozensets(packages.map(package), max_size=3),
)
mids_known = st.dictionaries(symbols, cents, max_size=3)
intents = st.builds(
    OrderIntent,
    client_order_id=st.just("one"),
    strategy=st.just("iron_condor"),
    underlying=st.sampled_from(["SPY", "QQQ"]),
    purpose=st.just(Purpose.OPEN),
    legs=packages,
    quantity=st.integers(1, 12),
    limit_price=st.integers(-2_000, 2_000).map(lambda n: Decimal(n) / 100),
    loss_usd_worst=st.integers(0, 500_000).map(lambda n: Decimal(n) / 100),
)


def is_near_the_mid(intent, mids, most):
    """By the definition: beyond the mid by no more than a share of what all legs trade for."""
    if not all(leg.symbol in mids for leg in intent.legs):
        return False
    worth = [(leg, Fraction(mids[leg.symbol]) * leg.ratio) for leg in intent.legs]
    gross = sum(value for _, value in worth)
    mid = sum(value if leg.side == "buy" else -value for leg, value in worth)
    beyond = Fraction(intent.limit_price) - mid
    # Numbers of a verdict are binary: what lies within their noise of the limit may go either way.
    if gross and abs(beyond / gross - Fraction(most)) < Fraction(1, 10**12):
        return None
    return bool(gross) and beyond <= Fraction(most) * gross


def kept(intent, book, rules, added, mids):
    """check -> whether the limit holds, in exact arithmetic; an unknown number holds nothing."""
    equity = Fraction(book.equity)

    def within(value, most):
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return Fraction(value) <= most

    held = dict(book.loss_usd_worst)
    finite = all(loss.is_finite() for loss in held.values())
    mine = held.get(intent.underlying, Decimal(0))
    loss = Fraction(intent.loss_usd_worst)
    total = sum((Fraction(one) for one in held.values()), Fraction(0)) if finite else None
    before, more = book.exposure, added
    return {
        Check.HALT: not book.is_halted,
        Check.DAILY_LOSS: -Fraction(book.day_profit_usd) <= Fraction(rules.daily_loss_usd_max),
        Check.POSITION_SIZE: all(
            leg.ratio * intent.quantity <= rules.position_contracts_max for leg in intent.legs
        ),
        Check.SINGLE_TRADE_LOSS: loss <= Fraction(rules.single_trade_loss_share_max) * equity,
        Check.OPTION_ALLOCATION: finite
        and total + loss <= Fraction(rules.option_allocation_share_max) * equity,
        Check.CONCENTRATION: mine.is_finite()
        and Fraction(mine) + loss <= Fraction(rules.concentration_share_max) * equity,
        Check.PORTFOLIO_DELTA: within(
            abs(before.delta_usd + more.delta_usd), Fraction(rules.delta_usd_max)
        ),
        Check.PORTFOLIO_GAMMA: within(
            abs(before.gamma_usd + more.gamma_usd), Fraction(rules.gamma_usd_max)
        ),
        Check.PORTFOLIO_THETA: within(
            abs(before.theta_usd + more.theta_usd), Fraction(rules.theta_usd_max)
        ),
        Check.BUYING_POWER: loss <= Fraction(book.options_buying_power),
        Check.UNSETTLED_ORDER: not book.unsettled_orders.get(intent.underlying),
        Check.SAME_LEGS: {(leg.symbol, leg.side, leg.ratio) for leg in intent.legs}
        not in [set(recent) for recent in book.recent_packages],
        Check.ORDER_RATE: book.orders_last_minute + 1 <= rules.orders_per_minute_max,
        Check.PRICE_COLLAR: is_near_the_mid(intent, mids, rules.price_collar_share_max),
    }


@given(intents, books, limits, exposures, mids_known)
def test_each_verdict_is_what_exact_arithmetic_says(intent, book, rules, added, mids):
    wanted = kept(intent, book, rules, added, mids)
    judged = verdicts(intent, book, rules, added, mids)
    found = {verdict.check: verdict.passed for verdict in judged}
    if wanted[Check.PRICE_COLLAR] is None:
        wanted[Check.PRICE_COLLAR] = found[Check.PRICE_COLLAR]
    assert found == wanted


#: Wide enough that some of what is asked passes: a run of refusals says nothing of the sum.
roomy = st.builds(
    Limits,
    position_contracts_max=st.integers(15, 60),
    single_trade_loss_share_max=st.integers(20, 1_000).map(lambda n: Decimal(n) / 1000),
    option_allocation_share_max=st.integers(50, 1_000).map(lambda n: Decimal(n) / 1000),
    concentration_share_max=st.integers(50, 1_000).map(lambda n: Decimal(n) / 1000),
    delta_usd_max=st.integers(90_000, 400_000).map(lambda n: Decimal(n) / 100),
    gamma_usd_max=st.integers(90_000, 400_000).map(lambda n: Decimal(n) / 100),
    theta_usd_max=st.integers(90_000, 400_000).map(lambda n: Decimal(n) / 100),
    daily_loss_usd_max=positive,
    orders_per_minute_max=st.integers(1, 5),
    same_legs_minutes_min=st.integers(1, 60),
    # Prices are another check's: let them all be near enough.
    price_collar_share_max=st.just(Decimal(1)),
)
calm = st.floats(-900, 900)
calm_exposures = st.builds(Exposure, delta_usd=calm, gamma_usd=calm, theta_usd=calm)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(intents, calm_exposures), min_size=1, max_size=5),
    roomy,
    st.integers(10_000_000, 40_000_000).map(lambda n: Decimal(n) / 100),
)
def test_orders_allowed_one_after_the_other_never_break_a_limit_together(asked, rules, equity):
    book = Book(
        is_halted=False,
        equity=equity,
        options_buying_power=equity / 4,
        day_profit_usd=Decimal(0),
        loss_usd_worst={},
        exposure=Exposure(),
        unsettled_orders={},
        orders_last_minute=0,
        recent_packages=frozenset(),
    )
    mids = dict.fromkeys(SYMBOLS, Decimal(100))
    allowed = []
    for intent, added in asked:
        if all(verdict.passed for verdict in verdicts(intent, book, rules, added, mids)):
            allowed.append((intent, added))
            book = book.with_intent(intent, added)
    assume(allowed)
    assert len(allowed) <= rules.orders_per_minute_max
    assert len({package(intent.legs) for intent, _ in allowed}) == len(allowed)
    total = sum(Fraction(intent.loss_usd_worst) for intent, _ in allowed)
    assert total <= Fraction(rules.option_allocation_share_max) * Fraction(equity)
    assert total <= Fraction(equity) / 4
    for name in ("SPY", "QQQ"):
        mine = sum(Fraction(i.loss_usd_worst) for i, _ in allowed if i.underlying == name)
        assert mine <= Fraction(rules.concentration_share_max) * Fraction(equity)
    for name in ("delta_usd", "gamma_usd", "theta_usd"):
        whole = math.fsum(getattr(added, name) for _, added in allowed)
        assert abs(whole) <= float(getattr(rules, f"{name}_max")) + 1e-9
