"""The crash matrix: a cycle that opens and one that closes, killed at every boundary there is, once
and again at the same one; then started again, and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from chaos.child import run_in_child
from chaos.day import Day
from chaos.oracle import Violation
from chaos.plan import Plan, plan_of
from chaos.stage import Stage, copy_database, forget_processes, server
from simulator.switches import Switches
from simulator.times import MINUTE

#: A plain day: wide contracts, no split, and time for three slots.
SEED = 14
#: Everything is opened that can be, once, and closed at the next slot.
WANTED = {
    "days_to_expiry_exit": "60",
    "short_delta_target": "0.30",
    "slippage_share_max": "0.6",
    "credit_share_min": "0.10",
    "structures_per_underlying_max": "1",
    "single_trade_loss_share_max": "0.02",
    "option_allocation_share_max": "0.30",
    "concentration_share_max": "0.10",
    "underlyings": '["CHAA"]',
    "attempts": "2",
    "attempt_s": "4",
}
#: Beyond the lease of a process that was killed; two of them still lie within a slot's lateness.
DEAD_FOR_S = 185.0


class Cycle(StrEnum):
    """Which cycle is killed."""

    OPENING = "opening"
    CLOSING = "closing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One kill; `lasts` when the next start is killed at the same boundary too."""

    cycle: Cycle
    at: int
    lasts: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A case that was played."""

    case: Case
    was_killed: bool
    orders: int
    violations: tuple[Violation, ...]


def plan_of_matrix() -> Plan:
    """A day without faults: it opens at the first slot, and the second closes what is held."""
    plan = plan_of(SEED, with_faults=False)
    scene = replace(plan.scene, is_split=False, is_near=False)
    settings = tuple((file, name, WANTED.get(name, value)) for file, name, value in plan.settings)
    plain = Switches(seed=1, partial_share=0.0, zero_net=True)
    first = plan.slots[0]
    return replace(
        plan,
        settings=settings,
        scene=scene,
        switches=plain,
        slots=(first, first + 10 * MINUTE, first + 30 * MINUTE),
        faults=(),
    )


def boundaries(stage: Stage, cycle: Cycle) -> int:
    """How many a cycle has that nothing disturbs."""
    day, slot = _prepared(stage, cycle)
    process = day.new_process(f"{cycle} undisturbed")
    count = run_in_child(day, process, day.cycle_work(slot), None)
    if process.result != "done" or not day.counts["orders"]:
        raise RuntimeError(f"the {cycle} cycle ended {process.result}: {dict(day.counts)}")
    return count


def play(stage: Stage, case: Case) -> Judged:
    """Kill it, start it again, let a later cycle follow, and judge."""
    day, slot = _prepared(stage, case.cycle)
    process = day.new_process(f"{case.cycle} killed at {case.at}")
    run_in_child(day, process, day.cycle_work(slot), case.at)
    was_killed = process.result == "killed"
    if case.lasts and was_killed:
        day.pass_time(DEAD_FOR_S)
        again = day.new_process(f"{case.cycle} killed again at {case.at}")
        run_in_child(day, again, day.cycle_work(slot), case.at)
    day.pass_time(DEAD_FOR_S)
    _run(day, slot)
    day.advance(day.plan.slots[2])
    day.be_last()
    _run(day, day.plan.slots[2])
    day.oracle.judge()
    return Judged(
        case=case,
        was_killed=was_killed,
        orders=len(day.exchange.book.orders),
        violations=tuple(day.oracle.violations),
    )


def _prepared(stage: Stage, cycle: Cycle) -> tuple[Day, int]:
    """A day right before the cycle to kill, and its slot."""
    day = Day(plan_of_matrix(), stage)
    stage.seams.day = day
    opening, closing, _ = day.plan.slots
    day.advance(opening)
    if cycle is Cycle.OPENING:
        return day, opening
    _run(day, opening)
    day.advance(closing)
    return day, closing


def _run(day: Day, slot: int) -> None:
    forget_processes()
    day.run_cycle(slot)


def cases(cycle: Cycle, count: int, every: int = 1) -> Iterator[Case]:
    """Every boundary of a cycle, or every so many, each once and lasting."""
    for lasts in (False, True):
        for at in range(0, count, every):
            yield Case(cycle=cycle, at=at, lasts=lasts)


def run(console: Console, every: int = 1) -> bool:
    """The whole matrix as a table, or every so many boundaries of it; whether nothing broke."""
    table = Table("cycle", "boundaries", "killed once", "killed twice", "violations")
    broken = []
    with server() as url:
        stage = Stage(copy_database(url, "chaos_matrix"))
        for cycle in Cycle:
            count = boundaries(stage, cycle)
            played = [play(stage, case) for case in cases(cycle, count, every)]
            bad = [one for one in played if one.violations]
            broken += bad
            once = sum(one.was_killed for one in played if not one.case.lasts)
            twice = sum(one.was_killed for one in played if one.case.lasts)
            table.add_row(cycle, *map(str, (count, once, twice, len(bad))))
        stage.close()
    console.print(table)
    for one in broken:
        first = one.violations[0]
        console.print(f"{one.case}: {first.invariant} {first.text}", highlight=False)
    return not broken
