"""A real Postgres that goes down inside a transaction of a real cycle, as in a crash, and comes up
again. STRIKEFLOW_ROUNDS asks for more rounds, STRIKEFLOW_SEED for those of a run that failed."""

import os
import random
import signal
from contextlib import ExitStack

import psycopg
import pytest

from chaos.real.broker import on_loopback
from chaos.real.child import Signal, Where
from chaos.real.nursery import State, nursery
from chaos.real.postgres import crashing_postgres
from chaos.real.round import Round
from chaos.stage import copy_database

ROUNDS = int(os.environ.get("STRIKEFLOW_ROUNDS", "10"))
SEED = int(os.environ.get("STRIKEFLOW_SEED") or random.SystemRandom().randrange(10**9))


@pytest.fixture(scope="module")
def stage(data_folder):
    """A server of these tests' own, a process to fork from, a broker: shared by the rounds."""
    with ExitStack() as stack:
        rest = map(stack.enter_context, (nursery(), on_loopback()))
        yield stack.enter_context(crashing_postgres(data_folder)), *rest


@pytest.fixture(scope="module")
def round_of(stage, tmp_path_factory):
    """A fresh account and a fresh database; the seed says everything that is left to chance."""
    postgres, children, broker = stage
    config = tmp_path_factory.mktemp("restarts") / "config"

    def new(number, name="restarts"):
        print(f"STRIKEFLOW_SEED={SEED} is what failed, and its round {number}")  # noqa: T201 - read when it fails
        return Round(
            seed=SEED + number,
            nursery=children,
            broker=broker,
            database_url=copy_database(postgres.url, f"{name}_{number}"),
            config=config,
        )

    return new


@pytest.fixture(scope="module")
def statements(round_of):
    """How many statements and commits an undisturbed cycle has inside its transactions."""
    quiet = round_of(0, "alone")
    alone = quiet.child("alone", quiet.slot)
    quiet.run(alone)
    assert alone.result == "done"
    assert quiet.judge.sent_by("alone")
    return alone.report.counts[Where.INSIDE]


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
    assert child.result.startswith("failed OperationalError"), played.story()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_restart_of_postgres_inside_a_transaction_loses_no_order_and_doubles_none(
    stage, round_of, statements, number
):
    postgres, played = stage[0], round_of(number)
    chance = played.chance
    stop = Signal(sign=signal.SIGSTOP, where=Where.INSIDE, skip=chance.randrange(statements))
    struck = played.child("struck", played.slot, stop)
    played.run(struck)
    assert struck.state is State.STOPPED, played.story()
    crash_under(postgres, played, struck)
    again = Signal(sign=signal.SIGSTOP, where=Where.INSIDE, skip=chance.randrange(statements))
    retried = played.child("retried", played.slot, *([again] if number % 3 == 0 else []))
    played.run(retried)  # the same slot, at once: run again, or skipped until the lease has ended
    if retried.state is State.STOPPED:
        crash_under(postgres, played, retried)
    follower = played.further()
    assert follower.result == "done", played.story()
    assert played.wrong() == [], played.story()
