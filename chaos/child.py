"""A real process that runs one flow and can be killed at a boundary, while the simulator and the
oracle live on in its parent. What the seams report there goes through a pipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import requests

from chaos.operations import Operation, Operations, Trap, boundary
from chaos.process import Process, current, run_as
from chaos.seams import in_time
from db.session import engine
from domain.cycle import Cycle

if TYPE_CHECKING:
    from chaos.day import Day

ENDED = "ended"


def kill_self(_: Operation) -> None:
    """Kill -9, from within."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(kw_only=True)
class Told:
    """What a child's seams report to: everything but the counting is done in the parent."""

    pipe: Connection
    kill_at: int | None
    operations: Operations = field(init=False)
    exchange: Any = field(
        default_factory=lambda: SimpleNamespace(now=0)
    )  # the parent has the clock
    wire: Any = field(init=False)

    #: Of each boundary: how often the world had changed before it, and whether something written
    #: stood uncommitted. A kill at one leaves what a kill at any other of the same leaves.
    worlds: list[tuple[int, bool]] = field(default_factory=list)
    _changes: int = 0

    def __post_init__(self) -> None:
        traps = []
        if self.kill_at is not None:
            traps = [Trap(name="kill", meets=boundary, strike=kill_self, skip=self.kill_at)]
        self.operations = Operations(traps=traps, met=self._note)
        self.wire = SimpleNamespace(send=lambda request: self._ask("send", request))

    def _note(self, operation: Operation) -> None:
        if boundary(operation):
            self.worlds.append((self._changes, bool(current().wrote)))

    def _ask(self, word: str, *values: object) -> Any:
        self.pipe.send((word, *values))
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def depart(self, request: requests.PreparedRequest) -> None:
        """Told with the request itself. A read changes nothing at the broker."""
        self._changes += request.method != "GET"

    def answered(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        """Known to the parent, who answered."""

    def unanswered(self, request: requests.PreparedRequest, error: Exception) -> None:
        """Likewise."""

    def pass_time(self, seconds: float) -> None:
        self._changes += 1
        self._ask("pass_time", seconds)

    def wait(self, seconds: float) -> None:
        self._changes += 1
        self._ask("wait", seconds)

    def opened(self, cycle: Cycle) -> None:
        self._ask("opened", cycle)

    def committed(self, wrote: list[str]) -> None:
        self._changes += bool(wrote)
        self._ask("committed", wrote)

    def stepped(self, name: str, again: Callable[[], object]) -> None:
        """Nothing is done twice here."""


def run_in_child(
    day: Day, process: Process, work: Callable[[], str], kill_at: int | None
) -> list[tuple[int, bool]]:
    """Run `work` in a forked process, killed at its boundary number `kill_at`; the worlds at the
    boundaries it passed when it came to its end. `process.result` says how it ended."""
    mine, theirs = Pipe()
    engine(day.stage.database_url).dispose()
    day.history.add("run", f"{process.name} in a process of its own")
    child = os.fork()
    if child == 0:
        mine.close()
        _live(day, theirs, work, kill_at)
    theirs.close()
    worlds: list[tuple[int, bool]] = []
    run_as(process, lambda: _serve(day, mine, worlds))
    mine.close()
    os.waitpid(child, 0)
    _until_gone(day)
    day.ended(process)
    return worlds


def _live(day: Day, pipe: Connection, work: Callable[[], str], kill_at: int | None) -> None:
    """All that the child does; it never comes back."""
    try:
        told = Told(pipe=pipe, kill_at=kill_at)
        day.stage.seams.day = told
        process = Process(name="child")
        try:
            run_as(process, work)
        except Exception as error:  # told to the parent, which judges it
            process.result = f"failed {type(error).__name__}: {error}"
        pipe.send((ENDED, process.result, told.worlds))
    finally:
        os._exit(0)


def _serve(day: Day, pipe: Connection, worlds: list[tuple[int, bool]]) -> str:
    """Be the world of a child until it ends or is dead."""
    while True:
        try:
            word, *values = pipe.recv()
        except EOFError:
            return "killed"
        if word == ENDED:
            worlds += values[1]
            return str(values[0])
        try:
            answer = _answers(day)[word](*values)
        except requests.RequestException as error:
            answer = type(error)(str(error))
        pipe.send(answer)


def _answers(day: Day) -> dict[str, Callable[..., object]]:
    return {
        "send": lambda request: _sent(day, request),
        "pass_time": day.pass_time,
        "wait": day.wait,
        "opened": day.opened,
        "committed": day.committed,
    }


def _sent(day: Day, request: requests.PreparedRequest) -> requests.Response:
    day.depart(request)
    try:
        response = in_time(day, request)
    except requests.RequestException as error:
        day.unanswered(request, error)
        raise
    day.answered(request, response)
    return response


def _until_gone(day: Day) -> None:
    """Postgres has seen that the child's connections are dead."""
    ours = [day.stage.own.info.backend_pid]
    for _ in range(5_000):
        others = day.stage.own.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND state <> 'idle' AND NOT pid = ANY(%s)",
            [ours],
        ).fetchone()
        if others == (0,):
            return
    raise TimeoutError(f"connections of {current().name} live on")
