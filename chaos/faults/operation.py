"""F43: a person sets the halt, at any boundary, and perhaps lifts it later."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from chaos.faults.kinds import Armed, Kind, Kinds, trapped
from chaos.market import ACCOUNT
from chaos.operations import Operation, Trap, boundary
from db import cycles, halts

if TYPE_CHECKING:
    from chaos.day import Day

SKIP_MAX = 200


def _halt(day: Day, seed: int) -> Armed:
    chance = Random(seed)

    def strike(_: Operation) -> None:
        with Session(day.stage.own_engine) as session, session.begin():
            account_id = cycles.find_account(session, ACCOUNT)
            if account_id is None or not halts.set_halt(session, account_id, "chaos"):
                trap.fired = 0
                return
        day.oracle.halt_committed()
        if chance.random() < 0.5:
            day.waiting.append(lambda: _lift(day))

    trap = Trap(
        name="halt set",
        meets=boundary,
        strike=strike,
        skip=chance.randrange(SKIP_MAX),
        is_outside=True,
    )
    return trapped(day, trap)


def _lift(day: Day) -> bool:
    with Session(day.stage.own_engine) as session, session.begin():
        account_id = cycles.find_account(session, ACCOUNT)
        if account_id is not None and halts.clear_halt(session, account_id):
            day.history.add("lifted", "the halt")
            day.oracle.halt_lifted()
    return True


KINDS: Kinds = {"halt_set": Kind(number="F43", arm=_halt)}
