"""Rounds of real processes: STRIKEFLOW_SEED asks for those of a run that failed."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from chaos.real.broker import on_loopback
from chaos.real.nursery import nursery
from chaos.real.round import Round, Rounds

SEED = int(os.environ.get("STRIKEFLOW_SEED") or random.SystemRandom().randrange(10**9))


@pytest.fixture(scope="module")
def rounds(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rounds]:
    """Fresh accounts and databases on the Postgres that a module names as `server_url`, one broker,
    and one process to fork from."""
    with ExitStack() as stack:
        yield Rounds(
            seed=SEED,
            url=server_url,
            nursery=stack.enter_context(nursery()),
            broker=stack.enter_context(on_loopback()),
            folder=tmp_path_factory.mktemp("rounds"),
        )


@pytest.fixture
def played(rounds: Rounds, number: int) -> Round:
    print(f"STRIKEFLOW_SEED={SEED} is what failed, and its round {number}")  # noqa: T201 - for who reads why
    return rounds.new(number)
