"""What the database promises by itself: each promise is broken on purpose, and it refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from db.session import engine
from domain.chain import DOUBTS

#: A small record that is sound: account 1 with two cycles, a chain, a structure and two intents.
SOUND = """
INSERT INTO accounts (number, environment, first_seen_at) VALUES ('A1', 'paper', now());
INSERT INTO cycles (account_id, kind, slot, state, opened_at, closed_at, lease_until, code_version)
  VALUES (1, 'trading', '2026-11-20 15:00Z', 'done', now(), now(), now(), '1'),
         (1, 'trading', '2026-11-20 15:30Z', 'running', now(), NULL, now(), '1');
INSERT INTO steps (cycle_id, step, started_at) VALUES (1, 'snapshot', now());
INSERT INTO snapshots (cycle_id, underlying, taken_at, spot) VALUES (1, 'AAPL', now(), 230);
INSERT INTO quotes (snapshot_id, symbol, expiration, strike, "right", style, multiplier)
  VALUES (1, 'AAPL261218C00240000', '2026-12-18', 240, 'C', 'american', 100),
         (1, 'AAPL261218C00245000', '2026-12-18', 245, 'C', 'american', 100);
INSERT INTO forwards VALUES
  (1, 'AAPL', '2026-12-18', 0.1, 0.1, 0.04, '2026-11-19', 0.01, 0, 9, 230.7, 'parity');
INSERT INTO greeks (snapshot_id, symbol, model, iv, delta, gamma, theta, vega, rho)
  VALUES (1, 'AAPL261218C00240000', 'american', 0.2, 0.3, 0.01, -0.1, 0.2, 0.1);
INSERT INTO structures (account_id, strategy, underlying, state, quantity, opened_at)
  VALUES (1, 'iron_condor', 'AAPL', 'open', 2, now());
INSERT INTO structure_legs VALUES (1, 1, 'AAPL261218C00240000', 'sell', 1);
INSERT INTO candidates (cycle_id, strategy, underlying, purpose, expiration, is_accepted)
  VALUES (1, 'iron_condor', 'AAPL', 'open', '2026-12-18', true),
         (2, 'iron_condor', 'AAPL', 'open', '2026-12-18', true),
         (2, 'iron_condor', 'AAPL', 'close', '2026-12-18', true);
INSERT INTO candidates (cycle_id, strategy, underlying, purpose, is_accepted, rule)
  VALUES (1, 'iron_condor', 'XYZ', 'open', false, 'no_chain');
INSERT INTO candidate_legs VALUES (1, 1, 'AAPL261218C00240000', 'sell', 1);
INSERT INTO verdicts VALUES (1, 'halt', 0, 0, true), (1, 'buying_power', NULL, 5, false);
INSERT INTO intents VALUES
  ('opening', 1, 1, 1, 1, 'open', 2, -1, 300, 'filled', NULL, now(), now()),
  ('closing', 1, 2, 3, 1, 'close', 2, 1, 0, 'planned', NULL, now(), NULL);
INSERT INTO orders (id, account_id, client_order_id, order_class, quantity, filled_quantity,
                    status, submitted_at, updated_at)
  VALUES ('00000000-0000-0000-0000-000000000001', 1, 'opening', 'mleg', 2, 2,
          'filled', now(), now());
INSERT INTO fills VALUES
  (1, 'f1', '00000000-0000-0000-0000-000000000001', 'AAPL261218C00240000', 'sell', 2, 1, now());
INSERT INTO positions VALUES (1, 'AAPL261218C00240000', 1, -2, 1, NULL, NULL);
INSERT INTO assignment_risks VALUES
  (1, 'AAPL261218C00240000', -2, '2026-12-18', 28, 240, NULL, NULL, NULL, 'unknown', -200, 48000);
INSERT INTO halts (account_id, reason, set_at) VALUES (1, 'a person', now());
"""

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
    "two intents of one candidate": (
        "intents_one_candidate_id",
        "UPDATE intents SET candidate_id = 1 WHERE client_order_id = 'closing'",
    ),
    "two opening intents of one structure": (
        "one_opening_intent",
        "INSERT INTO intents VALUES"
        " ('again', 1, 2, 2, 1, 'open', 2, -1, 300, 'not_sent', NULL, now(), NULL)",
    ),
    "two closing intents of one structure on their way": (
        "one_live_closing_intent",
        "INSERT INTO intents VALUES"
        " ('again', 1, 2, 2, 1, 'close', 2, 1, 0, 'unknown', NULL, now(), now())",
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
        "UPDATE intents SET state = 'not_sent' WHERE client_order_id = 'opening'",
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
        "INSERT INTO fills SELECT * FROM fills",
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
    record.execute(
        text(
            "INSERT INTO intents VALUES"
            " ('again', 1, 2, 2, 1, 'close', 2, 1, 0, 'planned', NULL, now(), NULL)"
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
            text("INSERT INTO activities VALUES (1, :kind, 'one', now(), 'X', 1, 1, 1, 'x', NULL)"),
            {"kind": kind},
        )
