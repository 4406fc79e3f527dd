"""F24 to F26: the process is killed, told to end, or stopped for longer than its lease."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, trapped
from chaos.operations import Operation, Trap, boundary
from chaos.process import Killed, Terminated, current
from chaos.turns import finish, held_cycle, pause_at
from simulator.times import MINUTE

if TYPE_CHECKING:
    from chaos.day import Day

#: Boundaries of a cycle that is not disturbed, with some to spare.
SKIP_MAX = 120
TWO_LEASES_S = 2 * 180 + 5


def kill(_: Operation) -> None:
    """Kill -9: nothing of the process runs after this."""
    current().is_dead = True
    raise Killed


def _terminate(_: Operation) -> None:
    raise Terminated


def _killed(day: Day, seed: int) -> Armed:
    skip = Random(seed).randrange(SKIP_MAX)
    return trapped(day, Trap(name="killed", meets=boundary, strike=kill, skip=skip))


def _terminated(day: Day, seed: int) -> Armed:
    skip = Random(seed).randrange(SKIP_MAX)
    return trapped(day, Trap(name="terminated", meets=boundary, strike=_terminate, skip=skip))


def _stopped(day: Day, seed: int) -> Armed:
    """Another process runs a cycle while this one sleeps beyond its lease; then it wakes up."""
    fired: list[int] = []

    def way(slot: int) -> None:
        sleeper = held_cycle(day, slot)
        pause_at(day, sleeper, "stopped", Random(seed).randrange(SKIP_MAX // 2))
        if not sleeper.is_over:
            fired.append(1)
            day.pass_time(TWO_LEASES_S)
            day.run_cycle(day.exchange.now // MINUTE * MINUTE)
            day.history.add("resumed", sleeper.process.name)
        finish(day, sleeper)

    day.way = way
    return Armed(fired=lambda: len(fired))


KINDS: Kinds = {
    "killed": Kind(number="F24", arm=_killed),
    "terminated": Kind(number="F25", arm=_terminated),
    "stopped": Kind(number="F26", arm=_stopped),
}
