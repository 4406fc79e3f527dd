"""The crash matrix: a cycle that opens and one that closes, killed at every boundary there is, once
and again at the same one; then started again, and judged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from rich.console import Console
from rich.table import Table

from chaos.child import run_in_child
from chaos.day import Day
from chaos.oracle import Violation
from chaos.plan import Plan, plan_of
from chaos.stage import Stage, forget_processes, server
from chaos.workers import answers, days_bar, workers
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


def boundaries(stage: Stage, cycle: Cycle) -> list[bool]:
    """Of each boundary of a cycle that nothing disturbs, in order: whether a kill there leaves
    another world than one right before it. Where nothing was committed or sent and no time passed
    since, and as much stands uncommitted, Postgres and the broker cannot tell the two apart."""
    day, slot = _prepared(stage, cycle)
    process = day.new_process(f"{cycle} undisturbed")
    worlds = run_in_child(day, process, day.cycle_work(slot), None)
    if process.result != "done" or not day.counts["orders"]:
        raise RuntimeError(f"the {cycle} cycle ended {process.result}: {dict(day.counts)}")
    return [world != before for before, world in zip([None, *worlds], worlds, strict=False)]


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


def cases(cycle: Cycle, differs: list[bool], *, is_whole: bool) -> list[Case]:
    """Every world that a kill can leave, or every boundary, each once and lasting."""
    return [
        Case(cycle=cycle, at=at, lasts=lasts)
        for lasts in (False, True)
        for at, is_new in enumerate(differs)
        if is_new or is_whole
    ]


def run(console: Console, jobs: int, *, is_whole: bool) -> bool:
    """The matrix as a table; whether nothing broke."""
    with server() as url:
        with workers(url, 1, how=boundaries) as team:  # the seams stand in worker processes only
            found = dict(answers(team, iter(Cycle)))
        wanted = [case for c in Cycle for case in cases(c, found[c], is_whole=is_whole)]
        bar = days_bar(console)
        with workers(url, jobs, how=play) as team, bar:
            task = bar.add_task("kills", total=len(wanted))
            played = []
            for case, judged in answers(team, iter(wanted)):
                if judged is None:
                    raise RuntimeError(f"the worker process of {case} died")
                played.append(judged)
                bar.update(task, advance=1)
    _show(console, found, played)
    return not any(one.violations for one in played)


def _show(console: Console, found: dict[Cycle, list[bool]], played: list[Judged]) -> None:
    table = Table("cycle", "boundaries", "worlds", "killed once", "killed twice", "violations")
    for cycle, differs in found.items():
        here = [one for one in played if one.case.cycle is cycle]
        once = sum(one.was_killed for one in here if not one.case.lasts)
        twice = sum(one.was_killed for one in here if one.case.lasts)
        bad = sum(bool(one.violations) for one in here)
        table.add_row(cycle, *map(str, (len(differs), sum(differs), once, twice, bad)))
    console.print(table)
    for one in played:
        for violation in one.violations[:1]:
            words = f"{one.case}: {violation.invariant} {violation.text}"
            console.print(words, highlight=False)
