"""Cycles in threads of their own, which run while their starter waits, turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.operations import Trap, boundary
from chaos.process import Held
from simulator.times import rfc3339_short

if TYPE_CHECKING:
    from chaos.day import Day


def held_cycle(day: Day, slot: int) -> Held:
    """A trading cycle in a thread of its own, not begun yet."""
    process = day.new_process(f"cycle {rfc3339_short(slot)}")
    work = day.cycle_work(slot)
    return Held(process, lambda: day.judged(work))


def pause_at(day: Day, run: Held, name: str, skip: int) -> None:
    """Let a held run go on until it has passed `skip` boundaries outside a transaction, or
    ends."""
    trap = Trap(
        name=name,
        meets=boundary,
        strike=lambda _: run.pause(),
        skip=skip,
        is_outside=True,
        process=run.process.name,
    )
    day.operations.traps.append(trap)
    day.history.add("turn", run.process.name)
    run.go_on()
    if trap in day.operations.traps:
        day.operations.traps.remove(trap)


def finish(day: Day, run: Held) -> None:
    """Let a held run go on to its end."""
    while not run.is_over:
        run.go_on()
    day.ended(run.process)
