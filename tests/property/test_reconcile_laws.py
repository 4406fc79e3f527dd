"""However often, late or out of order the broker's answers come, they end in the same books."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.holding import Part, closable, legs_left, unmatched
from domain.orders import ENDED, GIVEN_UP, MOVES, UNSETTLED, IntentState, Leg, Purpose, Side
from domain.reconcile import intent_move, structure_update
from domain.records import Order
from domain.structures import ALIVE, Structure, StructureState

NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
QUANTITY = 6


def reading(status, filled):
    return Order(
        id=UUID(int=1),
        client_order_id="one",
        parent_id=None,
        order_class="mleg",
        symbol=None,
        side=None,
        position_intent=None,
        quantity=Decimal(QUANTITY),
        filled_quantity=Decimal(filled),
        filled_average_price=Decimal("-1.00") if filled else None,
        limit_price=Decimal("-1.00"),
        status=status,
        submitted_at=NOW,
        updated_at=NOW,
        filled_at=None,
        legs=(),
    )


@st.composite
def histories(draw):
    """What an order goes through at the broker, from its arrival to its end."""
    parts = draw(st.lists(st.integers(1, QUANTITY - 1), unique=True, max_size=4).map(sorted))
    life = [("pending_new", 0), ("new", 0), *[("partially_filled", n) for n in parts]]
    filled = parts[-1] if parts else 0
    ends = [("filled", QUANTITY), ("canceled", filled), ("expired", filled)]
    if not parts:
        ends.append(("rejected", 0))
    return [reading(*one) for one in [*life, draw(st.sampled_from(ends))]]


def end_of(readings, state):
    """Where an intent stands after these readings, one after the other, and all it was."""
    filled, steps = 0, [(state, 0)]
    for order in readings:
        move = intent_move(state, filled, order)
        if move is not None:
            state, filled = move.state, move.filled_quantity
        assert intent_move(state, filled, order) is None  # a second look changes nothing
        steps.append((state, filled))
    return steps


unsettled = st.sampled_from([*UNSETTLED, *GIVEN_UP])


@given(histories(), unsettled, st.data())
def test_readings_in_any_order_any_number_of_times_end_in_the_same_state(history, state, data):
    among = st.lists(st.sampled_from(history), max_size=12)
    seen = data.draw(st.permutations([*data.draw(among), history[-1]]))
    steps = end_of(seen, state)
    assert steps[-1] == end_of(history, state)[-1] == end_of(history[-1:], state)[-1]
    assert steps[-1][0] in ENDED


@given(histories(), unsettled, st.data())
def test_an_intent_only_goes_forward_and_what_is_filled_never_falls(history, state, data):
    steps = end_of(data.draw(st.lists(st.sampled_from(history), max_size=12)), state)
    for (before, had), (after, has) in pairwise(steps):
        assert after == before or after in MOVES[before]
        assert has >= had


STRUCTURE = Structure(
    id=1,
    strategy="iron_condor",
    underlying="SPY",
    state=StructureState.OPENING,
    quantity=QUANTITY,
    entry_price=Decimal(0),
    realized_usd=Decimal(0),
    legs=(),
)
prices = st.integers(-500, 500).map(lambda cents: Decimal(cents) / 100)


@st.composite
def parts_of(draw, purpose, most):
    """Attempts that together fill at most `most` units."""
    found = []
    for state in draw(st.lists(st.sampled_from(IntentState), max_size=4)):
        may_fill = state in MOVES[IntentState.NOT_RECEIVED]
        filled = draw(st.integers(0, most)) if may_fill else 0
        most -= filled
        price = draw(prices) if filled else None
        part = Part(purpose=purpose, state=state, filled_quantity=filled, price=price)
        found.append(part)
    return found


@st.composite
def lives(draw):
    entries = draw(parts_of(Purpose.OPEN, QUANTITY))
    opened = sum(part.filled_quantity for part in entries)
    return entries, draw(parts_of(Purpose.CLOSE, opened))


@given(lives(), st.randoms(use_true_random=False))
def test_a_structure_is_the_same_whatever_order_its_parts_are_read_in(life, random):
    entries, exits = life
    parts = [*entries, *exits]
    first = structure_update(STRUCTURE, parts)
    random.shuffle(parts)
    assert structure_update(STRUCTURE, parts) == first


@given(lives())
def test_a_structure_holds_what_was_opened_less_what_was_closed_and_has_earned_the_difference(life):
    entries, exits = life
    opened = sum(part.filled_quantity for part in entries)
    closed = sum(part.filled_quantity for part in exits)
    found = structure_update(STRUCTURE, [*entries, *exits])
    if opened == 0:
        assert found.state in (StructureState.OPENING, StructureState.FAILED)
        assert found.entry_price is None
        return
    assert (found.state in ALIVE) == (opened > closed)
    if opened > closed:
        assert found.quantity == opened - closed
        return
    paid = sum(part.filled_quantity * part.price for part in [*entries, *exits] if part.price)
    assert found.realized_usd == -paid * 100


@given(lives())
def test_a_structure_that_was_brought_up_to_date_stays_as_it_is(life):
    """A second pass over the same parts, from wherever the first one left the structure."""
    parts = [*life[0], *life[1]]
    first = structure_update(STRUCTURE, parts)
    if first.entry_price is None:
        return
    now = replace(STRUCTURE, state=first.state, quantity=first.quantity)
    assert structure_update(now, parts) == first


PAIR = replace(
    STRUCTURE,
    legs=(
        Leg(symbol="LONG", side=Side.BUY, ratio=1),
        Leg(symbol="SHORT", side=Side.SELL, ratio=1),
    ),
)
ended_parts = st.builds(
    Part,
    purpose=st.sampled_from(Purpose),
    state=st.sampled_from(ENDED),
    filled_quantity=st.integers(0, QUANTITY),
    price=prices,
    legs=st.fixed_dictionaries(
        {}, optional={name: st.integers(0, QUANTITY) for name in ("LONG", "SHORT")}
    ),
)


@given(st.lists(ended_parts, max_size=5))
def test_a_structure_is_over_only_when_nothing_is_left_that_its_units_do_not_explain(parts):
    found = structure_update(PAIR, parts)
    assert found.state in (StructureState.OPEN, StructureState.CLOSED, StructureState.FAILED)
    if unmatched(PAIR, parts):
        assert found.state is StructureState.OPEN
        assert found.realized_usd is None
    elif found.state is not StructureState.OPEN:
        assert "SHORT" not in legs_left(PAIR, parts) or any(
            "SHORT" not in part.legs for part in parts if part.legs
        )


@given(st.lists(ended_parts, max_size=5), st.integers(1, QUANTITY))
def test_an_exit_never_turns_what_is_left_of_a_leg_round(parts, units):
    left = legs_left(PAIR, parts)
    legs = [leg.reversed() for leg in PAIR.legs]
    closed = closable(legs, units, [left])
    assert 0 <= closed <= units
    if closed:
        assert left["LONG"] >= closed
        assert left["SHORT"] <= -closed
