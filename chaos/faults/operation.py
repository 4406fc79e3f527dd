"""F43: a person sets the halt, at any boundary, and perhaps lifts it later."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, trapped
from chaos.market import ACCOUNT
from chaos.operations import Kind as At
from chaos.operations import Operation, Trap, boundary
from db import cycles, halts

if TYPE_CHECKING:
    from chaos.day import Day

SKIP_MAX, SUBMIT_SKIP_MAX = 120, 16


def _anywhere(day: Day, seed: int) -> Armed:
    chance = Random(seed)
    return _halt(day, chance, boundary, chance.randrange(SKIP_MAX))


def _while_submitting(day: Day, seed: int) -> Armed:
    """Between what was judged and what is sent."""
    chance = Random(seed)
    begun: list[Operation] = []

    def meets(operation: Operation) -> bool:
        if operation.kind is At.STEP and operation.what == "submit":
            begun.append(operation)
        return bool(begun) and boundary(operation)

    return _halt(day, chance, meets, chance.randrange(SUBMIT_SKIP_MAX))


def _halt(day: Day, chance: Random, meets: Callable[[Operation], bool], skip: int) -> Armed:

    def strike(_: Operation) -> None:
        with day.stage.own_engine.begin() as connection:
            account_id = cycles.find_account(connection, ACCOUNT)
            if account_id is None or not halts.set_halt(connection, account_id, "chaos"):
                trap.fired = 0
                return
        day.oracle.halt_committed()
        if chance.random() < 0.5:
            day.waiting.append(lambda: _lift(day))

    trap = Trap(
        name="halt set",
        meets=meets,
        strike=strike,
        skip=skip,
        is_outside=True,
    )
    return trapped(day, trap)


def _lift(day: Day) -> bool:
    with day.stage.own_engine.begin() as connection:
        account_id = cycles.find_account(connection, ACCOUNT)
        if account_id is not None and halts.clear_halt(connection, account_id):
            day.history.add("lifted", "the halt")
            day.oracle.halt_lifted()
    return True


KINDS: Kinds = {
    "halt_set": Kind(number="F43", arm=_anywhere),
    "halt_set_while_submitting": Kind(number="F43", arm=_while_submitting),
}
