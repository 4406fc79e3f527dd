"""Laws of ids and ratios."""

import math
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.orders import Leg, Side, client_order_id, lowest_terms

FIRST = datetime(2014, 1, 1, tzinfo=UTC)
symbols = st.builds(
    lambda day, right, strike: f"SPY{day:%y%m%d}{right}{strike * 1000:08d}",
    st.dates(date(2026, 1, 1), date(2028, 1, 1)),
    st.sampled_from("CP"),
    st.integers(1, 2000),
)
legs = st.builds(Leg, symbol=symbols, side=st.sampled_from(Side), ratio=st.integers(1, 60))
packages = st.lists(legs, min_size=1, max_size=4, unique_by=lambda leg: leg.symbol)
decisions = st.fixed_dictionaries(
    {
        "account": st.from_regex(r"[A-Z0-9]{6,12}", fullmatch=True),
        "strategy": st.from_regex(r"[a-z_]{1,30}", fullmatch=True),
        "slot": st.integers(0, 20 * 365 * 24 * 60).map(lambda m: FIRST + timedelta(minutes=m)),
        "closes": st.none() | st.sampled_from(["first", "second", "2", "a|2"]),
        "legs": packages,
        "attempt": st.integers(1, 20),
    }
)


@given(decisions, st.randoms(use_true_random=False))
def test_the_same_decision_has_the_same_id_in_any_order_of_its_legs(decision, random):
    first = client_order_id(**decision)
    shuffled = list(decision["legs"])
    random.shuffle(shuffled)
    assert client_order_id(**decision | {"legs": shuffled}) == first
    assert client_order_id(**decision | {"legs": tuple(shuffled)}) == first
    assert 1 <= len(first) <= 48
    assert all(c.isascii() and (c.isalnum() or c in "_-") for c in first)


def test_an_id_is_the_same_for_ever():
    """Written down on the day it was made: an order sent before an upgrade must be found after."""
    leg = Leg(symbol="SPY261218P00570000", side=Side.SELL, ratio=1)
    slot = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    found = client_order_id("PA123", "iron_condor", slot, None, [leg])
    assert found == "iron_condor-261120T1500-open-b0a4a94352798219"
    leaving = client_order_id("PA123", "iron_condor", slot, found, [leg.reversed()])
    assert leaving == "iron_condor-261120T1500-close-216e2eff5178ae60"


@given(decisions, decisions)
def test_another_decision_has_another_id(one, other):
    alike = [sorted(map(repr, d["legs"])) for d in (one, other)]
    if alike[0] == alike[1] and all(one[k] == other[k] for k in one if k != "legs"):
        assert client_order_id(**one) == client_order_id(**other)
    else:
        assert client_order_id(**one) != client_order_id(**other)
    for name, value in other.items():  # one argument at a time
        mixed = one | {name: value}
        same = alike[0] == alike[1] if name == "legs" else one[name] == value
        assert (client_order_id(**mixed) == client_order_id(**one)) == same


@given(decisions)
def test_a_side_or_ratio_of_one_leg_is_part_of_the_decision(decision):
    first, *rest = decision["legs"]
    wider = Leg(symbol=first.symbol, side=first.side, ratio=first.ratio + 1)
    ids = {client_order_id(**decision | {"legs": [leg, *rest]}) for leg in (
        first, first.reversed(), wider,
    )}  # fmt: skip
    assert len(ids) == 3


@given(packages, st.integers(1, 100))
def test_lowest_terms_are_the_same_contracts_in_coprime_ratios(package, quantity):
    reduced, units = lowest_terms(package, quantity)
    assert math.gcd(*(leg.ratio for leg in reduced)) == 1
    for before, after in zip(package, reduced, strict=True):
        assert (before.symbol, before.side) == (after.symbol, after.side)
        assert before.ratio * quantity == after.ratio * units
