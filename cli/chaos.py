"""`chaos`: seeded days with faults, judged. Everything heavy is imported when it is asked for."""

import sys
from dataclasses import dataclass

from rich.console import Console


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which seeds, and how they are shown."""

    seeds: int
    first: int
    jobs: int
    plant: str | None
    json: bool


def chaos(asked: Asked, console: Console) -> int:
    """Play seeds; 0 when nothing broke and every fault fired, else 1."""
    from chaos import run

    tally = run.Tally()
    seeds = range(asked.first, asked.first + asked.seeds)
    try:
        run.run(tally, seeds, asked.jobs, asked.plant, console)
    finally:  # what was played is worth its table, also when somebody stops it
        run.show(tally, console, asked.plant)
        if asked.json:
            sys.stdout.write(run.as_json(tally) + "\n")
    return run.EXIT_OK if tally.is_good else run.EXIT_VIOLATIONS


def catch(seeds: int, first: int, jobs: int, console: Console) -> int:
    """Plant every bug; 0 when each was caught, else 1."""
    from chaos import planted, run

    found = run.catch_all(list(planted.BUGS), range(first, first + seeds), jobs, console)
    return run.EXIT_VIOLATIONS if any(one.seed is None for one in found) else run.EXIT_OK


def kill_everywhere(jobs: int, console: Console, *, is_whole: bool) -> int:
    """The crash matrix; 0 when nothing broke, else 1."""
    from chaos import matrix, run

    is_good = matrix.run(console, jobs, is_whole=is_whole)
    return run.EXIT_OK if is_good else run.EXIT_VIOLATIONS


def replay(seed: int, plant: str | None) -> int:
    """Print the history of one seed: the same bytes each time."""
    from chaos import run

    played = run.replay(seed, plant)
    sys.stdout.write("\n".join(played.history.lines) + "\n")
    sys.stdout.write(f"history   {played.history.digest}, {len(played.violations)} violations\n")
    return run.EXIT_VIOLATIONS if played.violations else run.EXIT_OK
