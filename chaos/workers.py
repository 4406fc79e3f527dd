"""Worker processes: each plays what it is asked to, seeds as a rule, on a database of its own, and
says how each went."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from chaos.day import Day, Played
from chaos.faults import FAULTS
from chaos.oracle import Violation
from chaos.shapes import day_of
from chaos.stage import Stage, copy_database

Play = Callable[[Stage, Any], Any]


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
        return verdict_of(Day(day_of(seed), stage).play())
    except Exception:  # the harness's own mistake: a failing seed with its traceback
        return Verdict(seed=seed, problem=traceback.format_exc())


def _work(
    url: str, number: int, asked: Connection, prepare: Callable[[], None] | None, how: Play
) -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_DFL)
    stage = Stage(copy_database(url, f"chaos_{number}"))
    if prepare is not None:
        prepare()
    try:
        while (item := asked.recv()) is not None:
            asked.send(how(stage, item))
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
    url: str, count: int, prepare: Callable[[], None] | None = None, how: Play = play
) -> Iterator[Sequence[_Worker]]:
    """`count` processes on copies of the database at `url`; gone at the end.

    prepare  what each does before its first day, such as planting a bug
    how      plays an item; what it answers must not be an exception
    """
    forking = multiprocessing.get_context("fork")
    started = []
    for number in range(count):
        mine, theirs = forking.Pipe()
        args = (url, number, theirs, prepare, how)
        process = forking.Process(target=_work, args=args, daemon=True)
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
    for seed, verdict in answers(team, seeds):
        yield verdict or Verdict(seed=seed, problem="its worker process died")


def answers(team: Sequence[_Worker], items: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Every item with what came of it, as it comes; None where its worker process died."""
    busy: dict[Connection, Any] = {}
    for worker in team:
        if (item := next(items, None)) is not None:
            worker.pipe.send(item)
            busy[worker.pipe] = item
    while busy:
        for pipe in wait(list(busy)):
            assert isinstance(pipe, Connection)
            item = busy.pop(pipe)
            try:
                answer = pipe.recv()
            except EOFError:
                yield item, None
                continue
            following = next(items, None)
            if following is not None:
                pipe.send(following)
                busy[pipe] = following
            yield item, answer


def days_bar(console: Console) -> Progress:
    """How many are played, of how many, and since when."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console,
    )  # fmt: skip
