"""`./strikeflow chaos`: seeds on worker processes, and what came of them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos import planted
from chaos.day import Day, Played
from chaos.faults import FAULTS, NUMBERS
from chaos.shapes import day_of
from chaos.stage import Stage, copy_database, server
from chaos.workers import Verdict, days_bar, verdicts, workers

STORED = Path(__file__).parents[1] / "tests" / "faults" / "seeds.txt"
#: So many days must have met every fault of the catalogue.
DAYS_OF_EVERY_FAULT = 300
#: Every so many seeds one is played twice, and must have the same history.
REPEATED = 50
EXIT_OK, EXIT_VIOLATIONS = 0, 1
#: Where no bar is drawn, a line every so many days says that it goes on.
TOLD_EVERY = 500


@dataclass(kw_only=True)
class Tally:
    """What all days together came to."""

    days: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    failing: dict[int, str] = field(default_factory=dict)  # seed -> its first violation
    digests: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, verdict: Verdict) -> None:
        self.days += 1
        self.fired += verdict.fired
        self.kinds += verdict.kinds
        self.counts += verdict.counts
        for number in {violation.invariant for violation in verdict.violations}:
            self._break(number, verdict)
        if verdict.problem:
            self.failing[verdict.seed] = f"the harness failed: {verdict.problem.strip()}"
            self.broken["harness"] += 1
        before = self.digests.setdefault(verdict.seed, verdict.digest)
        if before != verdict.digest:
            self.broken["I11"] += 1
            self.failing[verdict.seed] = f"I11 its history was {before}, then {verdict.digest}"

    def _break(self, number: str, verdict: Verdict) -> None:
        self.broken[number] += 1
        first = verdict.violations[0]
        self.failing.setdefault(verdict.seed, f"{first.invariant} {first.text}")

    @property
    def unmet(self) -> list[str]:
        """Faults that never fired, once enough days have been played to expect every one."""
        if self.days < DAYS_OF_EVERY_FAULT:
            return []
        return [number for number in NUMBERS if self.fired[number] == 0] + sorted(
            kind for kind in FAULTS if self.kinds[kind] == 0 and self.days >= 10 * len(FAULTS)
        )

    @property
    def is_good(self) -> bool:
        return not self.failing and not self.broken and not self.unmet


def stored_seeds() -> list[int]:
    """Seeds that found something once: a line each, and words after a #."""
    if not STORED.exists():
        return []
    lines = (line.partition("#")[0].strip() for line in STORED.read_text().splitlines())
    return [int(line) for line in lines if line]


def run(tally: Tally, seeds: range, jobs: int, plant: str | None, console: Console) -> None:
    """Play the stored seeds and then these, and tally each as it comes."""
    began_s = time.monotonic()
    order = list(chain(stored_seeds(), _repeating(seeds)))
    prepare = planted.planting(plant) if plant is not None else None
    with server() as url, workers(url, jobs, prepare) as team, days_bar(console) as bar:
        task = bar.add_task("days", total=len(order))
        for verdict in verdicts(team, iter(order)):
            known = len(tally.failing)
            tally.add(verdict)
            tally.seconds = time.monotonic() - began_s
            if len(tally.failing) > known:
                text = f"{verdict.seed} {tally.failing[verdict.seed]}"
                bar.console.print(text, style="red", highlight=False, markup=False)
            bar.update(task, advance=1, description=f"days, {len(tally.failing)} failing")
            if tally.days % TOLD_EVERY == 0 and not console.is_terminal:
                console.print(f"{tally.days:,} days, {len(tally.failing)} failing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Catch:
    """How a planted bug was found out; `seed` is None when it was not."""

    name: str
    seed: int | None
    violation: str


def catch(name: str, seeds: range, jobs: int, url: str) -> Catch:
    """The first of these seeds that a planted bug breaks something on."""
    with workers(url, jobs, planted.planting(name)) as team:
        for verdict in verdicts(team, iter(seeds)):
            if verdict.problem:
                raise RuntimeError(f"{name}, seed {verdict.seed}: {verdict.problem}")
            if verdict.violations:
                first = verdict.violations[0]
                said = f"{first.invariant} {first.text}"
                return Catch(name=name, seed=verdict.seed, violation=said)
    return Catch(name=name, seed=None, violation="")


def catch_all(names: list[str], seeds: range, jobs: int, console: Console) -> list[Catch]:
    """Every planted bug by the first seed that catches it, as a table."""
    found = []
    with server() as url:
        for name in names:
            found.append(catch(name, seeds, jobs, url))
            console.print(f"{name}: {_seed_words(found[-1], len(seeds))}", highlight=False)
    table = Table("bug", "", "first seed", "what it broke", title="planted bugs")
    for one in found:
        what = planted.BUGS[one.name].what
        table.add_row(one.name, what, _seed_words(one, len(seeds)), one.violation[:60])
    console.print(table)
    return found


def _seed_words(one: Catch, count: int) -> str:
    return f"none of {count}" if one.seed is None else str(one.seed)


def _repeating(seeds: range) -> Iterator[int]:
    for number, seed in enumerate(seeds):
        yield seed
        if number % REPEATED == 0:
            yield seed


def replay(seed: int, plant: str | None) -> Played:
    """One day in this process."""
    with server() as url:
        stage = Stage(copy_database(url, "chaos_replay"))
        if plant is not None:
            planted.planting(plant)()
        try:
            return Day(day_of(seed), stage).play()
        finally:
            stage.close()


def show(tally: Tally, console: Console, plant: str | None) -> None:
    """The tables, and the command that replays each failing seed."""
    faults = Table("fault", "fired", "ways", title=f"{tally.days} days")
    for number in NUMBERS:
        ways = [kind for kind, of in FAULTS.items() if of.number == number]
        met = sum(tally.kinds[kind] > 0 for kind in ways)
        faults.add_row(number, f"{tally.fired[number]:,}", f"{met} of {len(ways)}")
    console.print(faults)
    console.print(", ".join(f"{name} {count:,}" for name, count in sorted(tally.counts.items())))
    if tally.unmet:
        console.print(f"[red]never fired: {', '.join(tally.unmet)}[/red]")
    words = ", ".join(f"{number} {days}" for number, days in sorted(tally.broken.items()))
    console.print(f"days that broke an invariant: {words or 'none'}")
    for seed in sorted(tally.failing):
        told = f" --plant {plant}" if plant else ""
        console.print(f"    ./strikeflow chaos --seed {seed}{told}", highlight=False)
    per_day = tally.seconds / max(tally.days, 1)
    console.print(f"{tally.seconds:.0f} s, {per_day:.2f} s a day")


def as_json(tally: Tally) -> str:
    """The tally as one line."""
    return json.dumps(
        {
            "days": tally.days,
            "seconds": round(tally.seconds, 1),
            "fired": {number: tally.fired[number] for number in NUMBERS},
            "ways": dict(sorted(tally.kinds.items())),
            "never_fired": tally.unmet,
            "violations": dict(sorted(tally.broken.items())),
            "failing_seeds": sorted(tally.failing),
        }
    )
