"""Worker processes: each plays seeds on a database of its own and says how each went."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait

from chaos.day import Day, Played
from chaos.faults import FAULTS
from chaos.oracle import Violation
from chaos.plan import plan_of
from chaos.stage import Stage, copy_database


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one seed went. `digest` names its history."""

    seed: int
    violations: tuple[Violation, ...] = ()
    fired: Counter[str] = field(default_factory=Counter)  # by number of the catalogue
    kinds: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    digest: str = ""
    problem: str = ""  # the harness itself failed, with these words


def verdict_of(played: Played) -> Verdict:
    """What is worth telling of a day."""
    by_number: Counter[str] = Counter()
    for kind, times in played.fired.items():
        by_number[FAULTS[kind].number] += times
    return Verdict(
        seed=played.seed,
        violations=played.violations,
        fired=by_number,
        kinds=played.fired,
        counts=played.counts,
        digest=played.history.digest,
    )


def play(stage: Stage, seed: int) -> Verdict:
    """One seed, judged; an error of the harness is told, not raised."""
    try:
        return verdict_of(Day(plan_of(seed), stage).play())
    except Exception:  # the harness's own mistake: a failing seed with its traceback
        return Verdict(seed=seed, problem=traceback.format_exc())


def _work(url: str, number: int, asked: Connection, prepare: Callable[[], None] | None) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)
    stage = Stage(copy_database(url, f"chaos_{number}"))
    if prepare is not None:
        prepare()
    try:
        while (seed := asked.recv()) is not None:
            asked.send(play(stage, seed))
    except EOFError:
        pass  # whoever asked is gone
    finally:
        stage.close()


@dataclass(eq=False)
class _Worker:
    process: multiprocessing.Process
    pipe: Connection


@contextmanager
def workers(
    url: str, count: int, prepare: Callable[[], None] | None = None
) -> Iterator[Sequence[_Worker]]:
    """`count` processes on copies of the database at `url`; gone at the end.

    prepare  what each does before its first day, such as planting a bug
    """
    forking = multiprocessing.get_context("fork")
    started = []
    for number in range(count):
        mine, theirs = forking.Pipe()
        process = forking.Process(target=_work, args=(url, number, theirs, prepare), daemon=True)
        process.start()
        theirs.close()
        started.append(_Worker(process, mine))  # type: ignore[arg-type]  # a forked Process
    try:
        yield started
    finally:
        for worker in started:
            worker.pipe.close()
            worker.process.terminate()
        for worker in started:
            worker.process.join()


def verdicts(team: Sequence[_Worker], seeds: Iterator[int]) -> Iterator[Verdict]:
    """Every seed's verdict as it comes, from whichever worker is free."""
    busy: dict[Connection, int] = {}
    for worker in team:
        if (seed := next(seeds, None)) is not None:
            worker.pipe.send(seed)
            busy[worker.pipe] = seed
    while busy:
        for pipe in wait(list(busy)):
            assert isinstance(pipe, Connection)
            seed = busy.pop(pipe)
            try:
                verdict = pipe.recv()
            except EOFError:
                yield Verdict(seed=seed, problem="its worker process died")
                continue
            following = next(seeds, None)
            if following is not None:
                pipe.send(following)
                busy[pipe] = following
            yield verdict
