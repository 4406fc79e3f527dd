"""Structures that ended without an order of ours, and what a round trip earned."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from domain.candidates import Candidate, loss_usd_one
from domain.holding import Holdings, Part, legs_left, unmatched
from domain.orders import IntentState, Leg, Purpose, Side
from domain.reconcile import settled_structure, structure_update
from domain.records import Activity
from domain.structures import ALIVE, Structure, StructureState, realized_usd

SHORT, LONG = "SPY261218P00570000", "SPY261218P00560000"
STRUCTURE = Structure(
    id=1,
    strategy="iron_condor",
    underlying="SPY",
    state=StructureState.OPEN,
    quantity=5,
    entry_price=Decimal("-3.00"),
    realized_usd=Decimal(0),
    legs=(
        Leg(symbol=LONG, side=Side.BUY, ratio=1),
        Leg(symbol=SHORT, side=Side.SELL, ratio=1),
    ),
)


def part(purpose, state, filled=0, price=None):
    return Part(
        purpose=purpose,
        state=IntentState(state),
        filled_quantity=filled,
        price=None if price is None else Decimal(price),
    )


def entry(state, filled=0, price=None):
    return part(Purpose.OPEN, state, filled, price)


def leave(state, filled=0, price=None):
    return part(Purpose.CLOSE, state, filled, price)


def activity(kind, symbol):
    return Activity(
        activity_type=kind,
        id="1",
        day=date(2026, 12, 18),
        symbol=symbol,
        quantity=Decimal(5),
        price=None,
        net_amount=Decimal(0),
        status="executed",
        description=None,
    )


HELD = structure_update(STRUCTURE, [entry("filled", 5, "-3.00")])
EXPIRED = [activity("OPEXP", SHORT), activity("OPEXP", LONG)]


def settled(held=(), activities=(), elsewhere=(), by_orders=HELD):
    return settled_structure(by_orders, {LONG, SHORT}, True, set(held), activities, set(elsewhere))


def test_a_structure_that_expired_worthless_keeps_its_credit():
    assert settled(activities=EXPIRED) == replace(
        HELD, state=StructureState.EXPIRED, exit_price=Decimal(0), realized_usd=Decimal(1500)
    )


def test_what_was_closed_before_the_rest_expired_has_earned_too():
    parts = [entry("filled", 5, "-3.00"), leave("canceled", 2, "1.20")]
    found = settled(activities=EXPIRED, by_orders=structure_update(STRUCTURE, parts))
    assert found.realized_usd == 360 + 900


def test_what_expired_has_earned_its_credit_to_the_cent():
    thirds = [entry("canceled", 1, "-3.00"), entry("filled", 2, "-3.01")]
    found = settled(activities=EXPIRED, by_orders=structure_update(STRUCTURE, thirds))
    assert found.realized_usd == 902


@pytest.mark.parametrize("kind", ["OPASN", "OPEXC"])
def test_one_assigned_leg_makes_the_structure_assigned_and_its_profit_unsaid(kind):
    found = settled(activities=[activity("OPEXP", LONG), activity(kind, SHORT)])
    assert found == replace(HELD, state=StructureState.ASSIGNED)
    assert found.realized_usd is None


@pytest.mark.parametrize(
    ("elsewhere", "activities"),
    [((LONG, SHORT), ()), ((SHORT,), [activity("OPEXP", LONG)])],
)
def test_legs_that_others_traded_away_close_the_structure(elsewhere, activities):
    found = settled(elsewhere=elsewhere, activities=activities)
    assert found == replace(HELD, state=StructureState.CLOSED)
    assert settled((LONG,), activities, elsewhere) == HELD  # one leg is left


@pytest.mark.parametrize(
    ("held", "activities", "elsewhere"),
    [
        ((LONG,), EXPIRED, ()),  # a leg is still held
        ((LONG, SHORT), EXPIRED, ()),
        ((), [], ()),  # gone, but nobody says why
        ((), [], (LONG,)),  # only one leg has been explained
        ((), [activity("OPEXP", LONG)], ()),
        ((), [activity("OPEXP", "SPY261218C00630000")], ()),  # another's
        ((), [activity("FEE", None)], ()),
    ],
)
def test_a_structure_is_not_settled_while_that_is_not_certain(held, activities, elsewhere):
    assert settled(held, activities, elsewhere) == HELD


@pytest.mark.parametrize("state", [s for s in StructureState if s is not StructureState.OPEN])
def test_only_what_is_open_by_its_orders_is_settled(state):
    by_orders = replace(HELD, state=state)
    assert settled(activities=EXPIRED, elsewhere=(LONG, SHORT), by_orders=by_orders) == by_orders


def test_shares_of_the_underlying_do_not_keep_an_assigned_structure_open():
    found = settled(["SPY"], [activity("OPASN", SHORT)])
    assert found.state is StructureState.ASSIGNED


@pytest.mark.parametrize(
    ("entry", "leave", "quantity", "earned"),
    [
        ("-3.00", "1.20", 5, "900"),  # sold at 3.00, bought back at 1.20
        ("-3.00", "6.50", 2, "-700"),
        ("-3.00", "0", 4, "1200"),  # expired worthless: the credit is kept
        ("2.50", "-4.00", 1, "150"),  # bought at 2.50, sold at 4.00
        ("2.50", "0", 3, "-750"),
        ("2.50", "-2.50", 7, "0"),
    ],
)
def test_a_round_trip_earned_what_was_received_less_what_was_paid(entry, leave, quantity, earned):
    found = realized_usd(Decimal(entry), Decimal(leave), Decimal(quantity))
    assert found == Decimal(earned)


def test_a_credit_is_what_was_received():
    assert STRUCTURE.credit == Decimal("3.00")
    assert replace(STRUCTURE, entry_price=Decimal("2.50")).credit == Decimal("-2.50")


def test_what_takes_a_place_is_what_may_still_be_held():
    ended = {
        StructureState.CLOSED,
        StructureState.EXPIRED,
        StructureState.ASSIGNED,
        StructureState.FAILED,
    }
    assert set(StructureState) - set(ALIVE) == ended


def candidate(width):
    return Candidate(
        strategy="iron_condor", underlying="SPY", purpose=Purpose.OPEN, structure_id=None,
        expiration=None, legs=(), width=width, price_natural=None, price_mid=None,
        is_accepted=True, rule=None, value=None, threshold=None,
    )  # fmt: skip


def test_one_unit_can_lose_its_width_less_the_credit():
    assert loss_usd_one(candidate(Decimal(10)), Decimal("-3.00")) == 700
    assert loss_usd_one(candidate(Decimal(10)), Decimal("1.00")) == 1100  # a debit is lost too
    assert loss_usd_one(candidate(Decimal(2)), Decimal("-3.00")) == 0
    with pytest.raises(ValueError, match="iron_condor SPY has no width"):
        loss_usd_one(candidate(None), Decimal("-3.00"))


# Legs that make no whole units


def leg_fills(purpose, state, filled, price, **legs):
    return replace(
        part(purpose, state, filled, price), legs={LONG: legs["long"], SHORT: legs["short"]}
    )


def apart(parts):
    return {each.subject: (each.expected, each.found) for each in unmatched(STRUCTURE, parts)}


def test_a_leg_whose_trade_was_taken_back_leaves_the_other_held_and_the_structure_open():
    parts = [leg_fills(Purpose.OPEN, "filled", 0, None, long=0, short=5)]
    found = structure_update(STRUCTURE, parts)
    assert (found.state, found.quantity) == (StructureState.OPEN, 5)
    assert legs_left(STRUCTURE, parts) == {SHORT: -5}
    assert apart(parts) == {f"{SHORT} of structure 1": (0, -5)}
    # The broker may leave the order as it was.
    kept = [leg_fills(Purpose.OPEN, "filled", 5, "-3.00", long=0, short=5)]
    assert structure_update(STRUCTURE, kept).state is StructureState.OPEN
    assert apart(kept) == {f"{LONG} of structure 1": (5, 0)}


def test_a_trade_of_an_exit_that_was_taken_back_leaves_its_leg_held():
    entered = leg_fills(Purpose.OPEN, "filled", 5, "-3.00", long=5, short=5)
    parts = [entered, leg_fills(Purpose.CLOSE, "filled", 3, "1.20", long=5, short=3)]
    found = structure_update(STRUCTURE, parts)
    assert (found.state, found.quantity, found.realized_usd) == (StructureState.OPEN, 2, None)
    assert legs_left(STRUCTURE, parts) == {SHORT: -2}
    assert apart(parts) == {f"{LONG} of structure 1": (2, 0)}


def test_more_closed_than_was_opened_is_open_and_told():
    """An exit that was given up fills beside the one that followed it."""
    parts = [entry("filled", 5, "-3.00"), leave("filled", 5, "1.20"), leave("canceled", 2, "1.20")]
    found = structure_update(STRUCTURE, parts)
    assert (found.state, found.quantity, found.realized_usd) == (StructureState.OPEN, 5, None)
    assert legs_left(STRUCTURE, parts) == {LONG: -2, SHORT: 2}
    assert apart(parts) == {
        f"{LONG} of structure 1": (0, -2),
        f"{SHORT} of structure 1": (0, 2),
    }


def test_a_long_leg_that_an_exit_left_to_expire_is_no_matter():
    entered = leg_fills(Purpose.OPEN, "filled", 5, "-3.00", long=5, short=5)
    parts = [entered, replace(leave("filled", 5, "1.20"), legs={SHORT: 5})]
    assert structure_update(STRUCTURE, parts).state is StructureState.CLOSED
    assert apart(parts) == {}


def test_what_is_left_of_a_broken_structure_ends_with_the_legs_that_are_held():
    broken = structure_update(
        STRUCTURE, [leg_fills(Purpose.OPEN, "filled", 0, None, long=0, short=5)]
    )
    kept = settled_structure(broken, {SHORT}, False, {SHORT}, [], set())
    assert kept == broken
    by_hand = settled_structure(broken, {SHORT}, False, set(), [], {SHORT})
    assert by_hand.state is StructureState.CLOSED
    lapsed = settled_structure(broken, {SHORT}, False, set(), [activity("OPEXP", SHORT)], set())
    assert (lapsed.state, lapsed.realized_usd) == (StructureState.EXPIRED, None)
    nothing = settled_structure(broken, set(), False, set(), EXPIRED, set())
    assert nothing.state is StructureState.CLOSED


# What an exit may close

EXIT = tuple(leg.reversed() for leg in STRUCTURE.legs)


def may_close(account, structures=None, legs=EXIT):
    holdings = Holdings(
        account={name: Decimal(quantity) for name, quantity in account.items()},
        structures={1: {LONG: 5, SHORT: -5}, **(structures or {})},
    )
    return holdings.closable(STRUCTURE, legs)


@pytest.mark.parametrize(
    ("account", "units"),
    [
        ({LONG: 5, SHORT: -5}, 5),
        ({LONG: 9, SHORT: -7}, 5),  # more is held: not this structure's
        ({LONG: 5, SHORT: -3}, 3),  # two were assigned, or bought back by hand
        ({LONG: 5}, 0),
        ({LONG: 5, SHORT: 5}, 0),
        ({}, 0),  # an exit that was given up has filled, and no list shows it yet
    ],
)
def test_an_exit_is_for_no_more_than_the_account_holds(account, units):
    assert may_close(account) == units


def test_an_exit_is_for_no_more_than_is_left_besides_other_structures():
    twin = {2: {LONG: 5, SHORT: -5}}
    assert may_close({LONG: 10, SHORT: -10}, twin) == 5
    assert may_close({LONG: 5, SHORT: -5}, twin) == 0
    assert may_close({LONG: 10, SHORT: 0}, {2: {SHORT: 5, LONG: 5}}) == 5  # they meet in one leg


def test_an_exit_is_for_no_more_than_its_own_orders_have_left():
    assert may_close({LONG: 9, SHORT: -9}, {1: {SHORT: -5}}) == 0
    assert may_close({LONG: 9, SHORT: -9}, {1: {SHORT: 5, LONG: -5}}) == 0  # closed too much
    assert may_close({SHORT: -9}, {1: {SHORT: -5}}, EXIT[1:]) == 5  # the other leg is left out
