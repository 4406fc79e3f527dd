"""An intent goes where MOVES allows and nowhere else, and every move leaves its row: in the
database itself, whoever writes."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db import intents
from db.session import engine
from domain.orders import MOVES, IntentState

SOUND = (Path(__file__).parents[1] / "answers" / "sound_record.sql").read_text()

#: Every move that is allowed, written down a second time.
FOUND = ("accepted", "working", "filled", "canceled", "expired", "rejected")
ALLOWED = {
    ("planned", "sending"),
    ("planned", "not_sent"),
    *[("sending", after) for after in (*FOUND, "unknown", "not_received", "refused")],
    *[("unknown", after) for after in (*FOUND, "not_received")],
    *[(before, after) for before in ("not_received", "refused") for after in FOUND],
    *[("accepted", after) for after in FOUND[1:]],
    *[("working", after) for after in FOUND[2:]],
}
#: How a planned intent gets to each state by allowed moves.
WAYS = {
    state: ("sending", state)
    for state in IntentState
    if state not in ("planned", "sending", "not_sent")
} | {"planned": (), "sending": ("sending",), "not_sent": ("not_sent",)}


@pytest.fixture
def record(database_url):
    """The sound record, rolled back at the end; its intent `closing` is planned."""
    with engine(database_url).connect() as connection:
        for statement in SOUND.split(";\n"):
            if statement.strip():
                connection.execute(text(statement))
        yield connection


def go(record, state, more=""):
    left = "CASE WHEN :state IN ('planned', 'not_sent') THEN NULL ELSE now() END"
    record.execute(
        text(
            f"UPDATE intents SET state = :state, sent_at = {left} {more}"
            " WHERE client_order_id = 'closing'"
        ),
        {"state": state},
    )


def bring(record, state):
    for step in WAYS[state]:
        go(record, step)


def stored(record, columns="state, filled_quantity"):
    query = f"SELECT {columns} FROM intents WHERE client_order_id = 'closing'"
    return tuple(record.execute(text(query)).one())


def refused(record, state, more=""):
    """The constraint that refuses a move; None when none does."""
    try:
        with record.begin_nested():
            go(record, state, more)
    except IntegrityError as error:
        return error.orig.diag.constraint_name
    return None


def test_the_code_and_this_test_know_the_same_moves():
    assert {(before, after) for before, afters in MOVES.items() for after in afters} == ALLOWED


@pytest.mark.parametrize("before", IntentState)
def test_the_database_allows_exactly_the_moves_of_the_table(before, record):
    bring(record, before)
    allowed = set()
    for after in IntentState:
        undo = record.begin_nested()
        if refused(record, after) is None:
            allowed.add((before, after))
            assert stored(record)[0] == after
        undo.rollback()
    assert allowed - {(before, before)} == {move for move in ALLOWED if move[0] == before}


@pytest.mark.parametrize("before", IntentState)
def test_a_move_that_is_asked_for_is_made_exactly_when_it_is_allowed(before, record):
    """move_intent answers False where the trigger would raise."""
    bring(record, before)
    now = record.execute(text("SELECT now()")).scalar_one()
    for after in IntentState:
        if (before, after) in {("planned", "sending"), ("planned", "not_sent")}:
            continue  # the first is the claim's; the second is asked for below
        undo = record.begin_nested()
        moved = intents.move_intent(record, "closing", (after, 0), now, "why")
        assert moved == ((before, after) in ALLOWED)
        assert stored(record)[0] == (after if moved else before)
        undo.rollback()
    if before == "planned":
        assert intents.move_intent(record, "closing", (IntentState.NOT_SENT, 0), now)


@pytest.mark.parametrize("state", IntentState)
def test_what_is_filled_never_falls_in_any_state(state, record):
    bring(record, state)
    go(record, state, ", filled_quantity = 2")
    assert refused(record, state, ", filled_quantity = 1") == "intents_filled_never_falls"
    for after in MOVES.get(state, ()):
        found = refused(record, after, ", filled_quantity = 1")
        assert found == "intents_filled_never_falls"
    assert stored(record) == (state, 2)


def test_an_older_reading_leaves_what_is_filled_and_a_newer_one_adds_to_it(record):
    bring(record, "working")
    now = record.execute(text("SELECT now()")).scalar_one()
    assert intents.move_intent(record, "closing", (IntentState.WORKING, 1), now)
    assert not intents.move_intent(record, "closing", (IntentState.WORKING, 1), now)
    assert not intents.move_intent(record, "closing", (IntentState.WORKING, 0), now)
    assert intents.move_intent(record, "closing", (IntentState.CANCELED, 0), now)
    assert stored(record) == ("canceled", 1)
    assert intents.move_intent(record, "closing", (IntentState.CANCELED, 2), now)
    assert stored(record) == ("canceled", 2)


@pytest.mark.parametrize("state", [state for state in IntentState if state != "planned"])
def test_an_intent_begins_planned_and_in_no_other_state(state, record):
    copied = (
        "INSERT INTO intents (client_order_id, account_id, cycle_id, candidate_id, structure_id,"
        " purpose, quantity, limit_price, loss_usd_worst, state, planned_at, sent_at, attempt,"
        " filled_quantity, looks, moved_at) SELECT 'again', account_id, cycle_id, candidate_id,"
        " structure_id, purpose, quantity, limit_price, loss_usd_worst, :state, now(),"
        " CASE WHEN :state != 'not_sent' THEN now() END, 2, 0, 0, now() FROM intents"
        " WHERE client_order_id = 'opening'"
    )
    with pytest.raises(IntegrityError) as error:
        record.execute(text(copied), {"state": state})
    assert error.value.orig.diag.constraint_name == "intents_begin_planned"


def test_every_move_leaves_its_row_and_what_is_no_move_leaves_none(record):
    bring(record, "unknown")
    record.execute(text("UPDATE intents SET looks = 1 WHERE client_order_id = 'closing'"))
    go(record, "working", ", detail = 'found'")
    go(record, "working", ", filled_quantity = 1")
    assert refused(record, "unknown") == "intents_move_is_allowed"
    go(record, "filled", ", filled_quantity = 2")
    rows = record.execute(
        text(
            "SELECT state, filled_quantity, detail FROM intent_events"
            " WHERE client_order_id = 'closing' ORDER BY id"
        )
    )
    assert [tuple(row) for row in rows] == [
        ("planned", 0, None),
        ("sending", 0, None),
        ("unknown", 0, None),
        ("working", 0, "found"),
        ("working", 1, "found"),
        ("filled", 2, "found"),
    ]


@pytest.mark.parametrize("before", [state for state in IntentState if state != "planned"])
def test_nothing_comes_back_to_be_sent_again(before, record):
    bring(record, before)
    assert refused(record, "planned") == "intents_move_is_allowed"


PLANNED_AGAIN = (
    "INSERT INTO intents (client_order_id, account_id, cycle_id, candidate_id, structure_id,"
    " purpose, quantity, limit_price, loss_usd_worst, state, planned_at, attempt,"
    " filled_quantity, looks, moved_at) SELECT 'again', account_id, cycle_id, candidate_id,"
    " structure_id, purpose, quantity, limit_price, loss_usd_worst, 'planned', now(), 2, 0, 0,"
    " now() FROM intents WHERE client_order_id = 'closing'"
)
LIVE = ("planned", "sending", "unknown", "accepted", "working")


@pytest.mark.parametrize("first", IntentState)
def test_a_second_order_is_asked_for_only_when_the_first_cannot_fill_any_more(first, record):
    """Of one structure and purpose: what was never received is the one that may still turn up."""
    bring(record, first)
    if first in LIVE:
        with pytest.raises(IntegrityError, match="one_live_closing_intent"):
            record.execute(text(PLANNED_AGAIN))
    else:
        record.execute(text(PLANNED_AGAIN))


@pytest.mark.parametrize("given_up", ["not_received", "refused"])
def test_an_order_that_turns_up_after_it_was_given_up_is_adopted_beside_the_one_that_followed(
    given_up, record
):
    """Two may then fill: it is no wish of ours, and the books must say so."""
    bring(record, given_up)
    record.execute(text(PLANNED_AGAIN))
    go(record, "working")
    assert stored(record)[0] == "working"


def test_an_intent_says_when_it_was_given_up_and_keeps_saying_it(record):
    bring(record, "unknown")
    assert stored(record, "given_up_at") == (None,)
    go(record, "not_received", ", moved_at = '2026-11-20 15:01Z'")
    (given_up_at,) = stored(record, "given_up_at")
    assert given_up_at == stored(record, "moved_at")[0]
    go(record, "working", ", moved_at = '2026-11-20 15:30Z'")
    assert stored(record, "given_up_at") == (given_up_at,)
