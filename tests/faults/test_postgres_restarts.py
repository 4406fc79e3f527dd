"""A real Postgres that goes down inside a transaction of a real cycle, as in a crash, and comes up
again. STRIKEFLOW_ROUNDS asks for more rounds, STRIKEFLOW_SEED for those of a run that failed."""

import os
import signal

import psycopg
import pytest

from chaos.real.child import Where
from chaos.real.nursery import State
from chaos.real.postgres import crashing_postgres

ROUNDS = int(os.environ.get("STRIKEFLOW_ROUNDS", "10"))
#: How a cycle ends whose connection is gone; the second when it had only asked for the schema.
LOST = ("failed OperationalError", "failed DatabaseUnavailable")


@pytest.fixture(scope="module")
def postgres(data_folder):
    """A server of these tests' own."""
    with crashing_postgres(data_folder) as running:
        yield running


@pytest.fixture(scope="module")
def server_url(postgres):
    return postgres.url


def crash_under(postgres, played, child):
    """Postgres goes down while the child stands inside a transaction; it goes on when nothing
    answers any more, or when the server is up again and knows nothing of it."""
    with psycopg.connect(played.database_url) as own:
        state = own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle in transaction'"
        ).fetchone()
    assert state == (1,)
    is_down = played.chance.random() < 0.5
    postgres.crash()
    played.run(child) if is_down else None
    postgres.start()
    played.run(child)
    assert child.result.startswith(LOST), played.story()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_restart_of_postgres_inside_a_transaction_loses_no_order_and_doubles_none(
    postgres, played, number
):
    struck = played.child("struck", played.slot, played.signal(signal.SIGSTOP, Where.INSIDE))
    played.run(struck)
    assert struck.state is State.STOPPED, played.story()
    crash_under(postgres, played, struck)
    again = [played.signal(signal.SIGSTOP, Where.INSIDE)] if number % 3 == 0 else []
    retried = played.child("retried", played.slot, *again)
    played.run(retried)  # the same slot, at once: run again, or skipped until the lease has ended
    if retried.state is State.STOPPED:
        crash_under(postgres, played, retried)
    follower = played.further()
    assert follower.result == "done", played.story()
    assert played.wrong() == [], played.story()
