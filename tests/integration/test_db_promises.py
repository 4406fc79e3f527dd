"""What the database promises by itself: each promise is broken on purpose, and it refuses."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.session import engine
from domain.chain import DOUBTS

#: A small record that is sound.
SOUND = (Path(__file__).parents[1] / "answers" / "sound_record.sql").read_text()
#: Another intent like one of those, in another state.
AGAIN = (
    "INSERT INTO intents (client_order_id, account_id, cycle_id, candidate_id, structure_id,"
    " purpose, quantity, limit_price, loss_usd_worst, state, planned_at, attempt, filled_quantity,"
    " looks, moved_at) SELECT 'again', account_id, cycle_id, candidate_id, structure_id, purpose,"
    " quantity, limit_price, loss_usd_worst, 'planned', now(), 2, 0, 0, now() FROM intents"
    " WHERE client_order_id = "
)

#: What must never be -> the constraint that says no, and the statement that tries.
BROKEN = {
    "an environment nobody knows": (
        "accounts_environment_is_known",
        "UPDATE accounts SET environment = 'demo'",
    ),
    "one account number twice": (
        "accounts_one_number",
        "INSERT INTO accounts (number, environment, first_seen_at) VALUES ('A1', 'live', now())",
    ),
    "two running cycles of one account": (
        "one_running_cycle",
        "INSERT INTO cycles (account_id, kind, slot, state, opened_at, lease_until, code_version)"
        " VALUES (1, 'end_of_day', now(), 'running', now(), now(), '1')",
    ),
    "one slot twice": (
        "cycles_one_account_id_kind_slot",
        "UPDATE cycles SET slot = '2026-11-20 15:00Z'",
    ),
    "a cycle that ended and runs": (
        "cycles_closed_when_not_running",
        "UPDATE cycles SET closed_at = now() WHERE id = 2",
    ),
    "a cycle that neither ended nor runs": (
        "cycles_closed_when_not_running",
        "UPDATE cycles SET closed_at = NULL WHERE id = 1",
    ),
    "a kind of cycle nobody knows": (
        "cycles_kind_is_known",
        "UPDATE cycles SET kind = 'x' WHERE id = 1",
    ),
    "a state of cycle nobody knows": (
        "cycles_state_is_known",
        "UPDATE cycles SET state = 'x' WHERE id = 1",
    ),
    "a step nobody knows": ("steps_step_is_known", "UPDATE steps SET step = 'x'"),
    "one underlying's chain twice in a cycle": (
        "snapshots_one_cycle_id_underlying",
        "INSERT INTO snapshots (cycle_id, underlying, taken_at) VALUES (1, 'AAPL', now())",
    ),
    "a contract that is neither call nor put": (
        "quotes_right_is_known",
        "UPDATE quotes SET \"right\" = 'X'",
    ),
    "Greeks that are solved and flagged": (
        "greeks_solved_or_flagged",
        "UPDATE greeks SET flag = 'crossed'",
    ),
    "Greeks that are neither solved nor flagged": (
        "greeks_solved_or_flagged",
        "INSERT INTO greeks (snapshot_id, symbol, model)"
        " VALUES (1, 'AAPL261218C00245000', 'american')",
    ),
    "a doubt about Greeks that are none": (
        "greeks_solved_or_flagged",
        "INSERT INTO greeks (snapshot_id, symbol, model, flag)"
        " VALUES (1, 'AAPL261218C00245000', 'american', 'wide')",
    ),
    "a model nobody knows": ("greeks_model_is_known", "UPDATE greeks SET model = 'asian'"),
    "a forward that came from nowhere": (
        "forwards_forward_has_a_source",
        "UPDATE forwards SET forward_source = NULL",
    ),
    "a source of no forward": (
        "forwards_forward_has_a_source",
        "UPDATE forwards SET forward = NULL, carry = NULL",
    ),
    "a forward without its carry": (
        "forwards_forward_has_a_carry",
        "UPDATE forwards SET carry = NULL",
    ),
    "a source of forwards nobody knows": (
        "forwards_forward_source_is_known",
        "UPDATE forwards SET forward_source = 'a friend'",
    ),
    "Greeks of which one is missing": ("greeks_whole", "UPDATE greeks SET rho = NULL"),
    "a flag nobody knows": (
        "greeks_flag_is_known",
        "INSERT INTO greeks (snapshot_id, symbol, model, flag)"
        " VALUES (1, 'AAPL261218C00245000', 'american', 'odd')",
    ),
    "a structure of nothing": (
        "structures_quantity_is_positive",
        "UPDATE structures SET quantity = 0",
    ),
    "a state of structure nobody knows": (
        "structures_state_is_known",
        "UPDATE structures SET state = 'x'",
    ),
    "one contract as two legs": (
        "structure_legs_one_structure_id_symbol",
        "INSERT INTO structure_legs VALUES (1, 2, 'AAPL261218C00240000', 'buy', 1)",
    ),
    "a leg of nothing": ("structure_legs_ratio_is_positive", "UPDATE structure_legs SET ratio = 0"),
    "a held leg with no side": (
        "structure_legs_side_is_known",
        "UPDATE structure_legs SET side = ''",
    ),
    "a wanted leg with no side": (
        "candidate_legs_side_is_known",
        "UPDATE candidate_legs SET side = ''",
    ),
    "one candidate twice in a cycle": (
        "candidates_once_a_cycle",
        "INSERT INTO candidates (cycle_id, strategy, underlying, purpose, expiration, is_accepted)"
        " VALUES (1, 'iron_condor', 'AAPL', 'open', '2026-12-18', true)",
    ),
    "one candidate without an expiration twice in a cycle": (
        "candidates_once_a_cycle",
        "INSERT INTO candidates (cycle_id, strategy, underlying, purpose, is_accepted, rule)"
        " VALUES (1, 'iron_condor', 'XYZ', 'open', false, 'no_chain')",
    ),
    "a candidate turned down without a rule": (
        "candidates_turned_down_has_a_rule",
        "UPDATE candidates SET is_accepted = false WHERE id = 1",
    ),
    "a purpose of candidate nobody knows": (
        "candidates_purpose_is_known",
        "UPDATE candidates SET purpose = 'x' WHERE id = 1",
    ),
    "an unknown value that passes": (
        "verdicts_unknown_does_not_pass",
        "UPDATE verdicts SET passed = true WHERE value IS NULL",
    ),
    "a check nobody knows": (
        "verdicts_check_name_is_known",
        "INSERT INTO verdicts VALUES (1, 'mood', 1, 1, true)",
    ),
    "one attempt of one candidate twice": (
        "intents_one_candidate_id_attempt",
        "UPDATE intents SET candidate_id = 1 WHERE client_order_id = 'closing'",
    ),
    "two opening intents of one structure on their way": (
        "one_live_opening_intent",
        "UPDATE intents SET purpose = 'open' WHERE client_order_id = 'closing';"
        + AGAIN
        + "'opening'",
    ),
    "two closing intents of one structure on their way": (
        "one_live_closing_intent",
        AGAIN + "'closing'",
    ),
    "an intent that begins anywhere but planned": (
        "intents_begin_planned",
        AGAIN.replace("'planned'", "'not_sent'") + "'opening'",
    ),
    "an intent that ended and works": (
        "intents_move_is_allowed",
        "UPDATE intents SET state = 'working' WHERE client_order_id = 'opening'",
    ),
    "an intent with less filled than there was": (
        "intents_filled_never_falls",
        "UPDATE intents SET filled_quantity = 1 WHERE client_order_id = 'opening'",
    ),
    "an intent filled beyond its quantity": (
        "intents_not_overfilled",
        "UPDATE intents SET filled_quantity = 3 WHERE client_order_id = 'opening'",
    ),
    "an intent sent at a price worse than was decided": (
        "intents_never_worse_than_decided",
        "UPDATE intents SET sent_price = -0.99 WHERE client_order_id = 'opening'",
    ),
    "an id longer than the broker takes": (
        "intents_id_fits",
        "UPDATE intents SET client_order_id = repeat('x', 49) WHERE client_order_id = 'opening'",
    ),
    "an intent to lose less than nothing": (
        "intents_loss_is_not_negative",
        "UPDATE intents SET loss_usd_worst = -0.01 WHERE client_order_id = 'opening'",
    ),
    "an intent of nothing": ("intents_quantity_is_positive", "UPDATE intents SET quantity = 0"),
    "a purpose of intent nobody knows": (
        "intents_purpose_is_known",
        "UPDATE intents SET purpose = 'x' WHERE client_order_id = 'opening'",
    ),
    "a state of intent nobody knows": (
        "intents_state_is_known",
        # No trigger may stand before it: of what it does not know it has no move either.
        "ALTER TABLE intents DISABLE TRIGGER keep_moves;"
        "UPDATE intents SET state = 'x' WHERE client_order_id = 'opening'",
    ),
    "an intent sent while planned": (
        "intents_sent_when_it_left",
        "UPDATE intents SET sent_at = now() WHERE client_order_id = 'closing'",
    ),
    "an intent filled and never sent": (
        "intents_sent_when_it_left",
        "UPDATE intents SET sent_at = NULL WHERE client_order_id = 'opening'",
    ),
    "an intent given up after it left": (
        "intents_sent_when_it_left",
        "UPDATE intents SET state = 'not_sent', sent_at = now() WHERE client_order_id = 'closing'",
    ),
    "an intent that leaves without a time": (
        "intents_sent_when_it_left",
        "UPDATE intents SET state = 'sending' WHERE client_order_id = 'closing'",
    ),
    "an order filled beyond its quantity": (
        "orders_not_overfilled",
        "UPDATE orders SET filled_quantity = 2.0001",
    ),
    "two orders of one id": (
        "orders_one_account_id_client_order_id",
        "INSERT INTO orders SELECT '00000000-0000-0000-0000-000000000002', account_id,"
        " client_order_id, parent_id, order_class, symbol, side, position_intent, quantity,"
        " filled_quantity, filled_average_price, limit_price, status, submitted_at, updated_at,"
        " filled_at FROM orders",
    ),
    "a fill of nothing": ("fills_quantity_is_positive", "UPDATE fills SET quantity = 0"),
    "a fill with no side": ("fills_side_is_known", "UPDATE fills SET side = 'sell_short'"),
    "one execution twice": (
        "fills_key",
        "INSERT INTO fills (account_id, id, order_id, symbol, side, quantity, price, filled_at,"
        " status, seen_at) SELECT account_id, id, order_id, symbol, side, quantity, price,"
        " filled_at, status, seen_at FROM fills",
    ),
    "a position of nothing": ("positions_is_held", "UPDATE positions SET quantity = 0"),
    "a likelihood nobody knows": (
        "assignment_risks_likelihood_is_known",
        "UPDATE assignment_risks SET likelihood = 'maybe'",
    ),
    "two halts at once": (
        "one_halt",
        "INSERT INTO halts (account_id, reason, set_at) VALUES (1, 'another', now())",
    ),
    "one discrepancy twice while it stands": (
        "one_standing_discrepancy",
        "INSERT INTO discrepancies (account_id, cycle_id, subject, expected, found, seen_at)"
        " VALUES (1, 2, 'cash', 1, 3, now())",
    ),
    "a quote of no snapshot": (
        "quotes_snapshot_id",
        "UPDATE quotes SET snapshot_id = 9 WHERE strike = 245",
    ),
    "Greeks of no quote": (
        "greeks_snapshot_id_symbol",
        "UPDATE greeks SET symbol = 'AAPL261218P00240000'",
    ),
    "an intent of no candidate": (
        "intents_candidate_id",
        "UPDATE intents SET candidate_id = 99 WHERE client_order_id = 'opening'",
    ),
}


@pytest.fixture
def record(database_url):
    """A connection with the sound record, which is rolled back."""
    with engine(database_url).connect() as connection:
        for statement in SOUND.split(";\n"):
            if statement.strip():
                connection.execute(text(statement))
        yield connection


@pytest.mark.parametrize("what", BROKEN)
def test_the_database_never_holds(what, record):
    constraint, statement = BROKEN[what]
    with pytest.raises(IntegrityError) as refused:
        record.execute(text(statement))
    assert refused.value.orig.diag.constraint_name == constraint


def test_every_promise_of_the_schema_has_been_tried(record):
    promises = record.execute(
        text(
            "SELECT conname FROM pg_constraint"
            " WHERE contype IN ('c', 'u') AND connamespace = 'public'::regnamespace"
            " UNION SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " WHERE indisunique AND indpred IS NOT NULL"
            " AND relnamespace = 'public'::regnamespace"
        )
    )
    assert set(promises.scalars()) - {constraint for constraint, _ in BROKEN.values()} == set()


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubted_quote_keeps_its_greeks(doubt, record):
    record.execute(text("UPDATE greeks SET flag = :doubt"), {"doubt": doubt})


def test_a_structure_may_be_closed_again_once_the_first_closing_intent_ended(record):
    record.execute(text("UPDATE intents SET state = 'not_sent' WHERE client_order_id = 'closing'"))
    record.execute(text(AGAIN + "'closing'"))


def test_what_an_opening_attempt_left_may_be_asked_for_again_once_it_ended(record):
    record.execute(text(AGAIN + "'opening'"))


def test_a_discrepancy_may_be_found_again_once_the_first_was_explained(record):
    record.execute(text("UPDATE discrepancies SET explained_at = now()"))
    record.execute(
        text(
            "INSERT INTO discrepancies (account_id, cycle_id, subject, expected, found, seen_at)"
            " VALUES (1, 2, 'cash', 1, 3, now())"
        )
    )


def test_a_halt_may_be_set_again_once_the_first_was_cleared(record):
    record.execute(text("UPDATE halts SET cleared_at = now()"))
    record.execute(
        text("INSERT INTO halts (account_id, reason, set_at) VALUES (1, 'another', now())")
    )


def test_an_exercise_and_its_shares_may_share_one_id(record):
    for kind in ("OPEXC", "OPTRD"):
        record.execute(
            text(
                "INSERT INTO activities (account_id, activity_type, id, day, symbol, quantity,"
                " price, net_amount, status, seen_at)"
                " VALUES (1, :kind, 'one', now(), 'X', 1, 1, 1, 'x', now())"
            ),
            {"kind": kind},
        )
