"""F31 to F34: the orchestrator starts too much: a slot twice, overlapping slots, two workers, a
dozen late runs."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds
from chaos.turns import finish, held_cycle, pause_at
from simulator.times import MINUTE

if TYPE_CHECKING:
    from chaos.day import Day

BOUNDARIES, LATE_RUNS = 90, 12


def _twice(day: Day, seed: int) -> Armed:
    """The same slot again while the first run of it stands still."""
    return _beside(day, seed, later=0)


def _overlapping(day: Day, seed: int) -> Armed:
    """A later slot while a run stands still, within its lease."""
    return _beside(day, seed, later=2)


def _beside(day: Day, seed: int, later: int) -> Armed:
    fired: list[int] = []

    def way(slot: int) -> None:
        first = held_cycle(day, slot)
        pause_at(day, first, "held", Random(seed).randrange(BOUNDARIES))
        if not first.is_over:
            fired.append(1)
            day.advance(slot + later * MINUTE)
            day.run_cycle(slot + later * MINUTE)
        finish(day, first)

    day.way = way
    return Armed(fired=lambda: len(fired))


def _two_workers(day: Day, seed: int) -> Armed:
    """Two runs, of one slot or of two, taking turns every few operations."""
    fired: list[int] = []

    def way(slot: int) -> None:
        chance = Random(seed)
        other = slot + chance.choice([0, 1]) * MINUTE
        day.advance(other)
        workers = [held_cycle(day, slot), held_cycle(day, other)]
        while not all(worker.is_over for worker in workers):
            for worker in workers:
                pause_at(day, worker, "turn", chance.randrange(12))
            fired.append(1) if not any(w.is_over for w in workers) else None
        for worker in workers:
            finish(day, worker)

    day.way = way
    return Armed(fired=lambda: min(len(fired), 1))


def _late_runs(day: Day, seed: int) -> Armed:
    """A worker comes back and starts everything it has missed, the newest slot somewhere among."""
    fired: list[int] = []

    def way(slot: int) -> None:
        chance = Random(seed)
        slots = [slot - n * 5 * MINUTE for n in range(LATE_RUNS)]
        chance.shuffle(slots)
        held = held_cycle(day, slots[0])
        pause_at(day, held, "held", chance.randrange(BOUNDARIES))
        for late in slots[1:]:
            day.run_cycle(late)
        finish(day, held)
        fired.append(1)

    day.way = way
    return Armed(fired=lambda: len(fired))


KINDS: Kinds = {
    "slot_twice": Kind(number="F31", arm=_twice),
    "overlapping": Kind(number="F32", arm=_overlapping),
    "two_workers": Kind(number="F33", arm=_two_workers),
    "late_runs": Kind(number="F34", arm=_late_runs),
}
