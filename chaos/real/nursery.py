"""The process that children are forked from: one thread, everything imported, nothing opened. Who
asks for children may have threads of any kind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from chaos.real.child import Errand, Report, Where, live

ROOT = Path(__file__).parents[2]
LOOK_EVERY_S = 0.002
#: A child that neither stops nor ends by then hangs.
PATIENCE_S = 120.0


class State(StrEnum):
    """What is known of a child."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


@dataclass(kw_only=True, eq=False)
class Child:
    """A process that runs one cycle."""

    errand: Errand
    pid: int
    state: State = State.RUNNING
    report: Report = field(default_factory=Report)

    @property
    def result(self) -> str:
        return self.report.result


class Nursery:
    """Where children are asked for and waited for."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._children: dict[int, Child] = {}

    def child(self, errand: Errand) -> Child:
        """A new process, ready to begin and stopped."""
        self._pipe.send(errand)
        pid = self._received()
        assert isinstance(pid, int)
        born = self._children[pid] = Child(errand=errand, pid=pid)
        self.wait(born)
        return born

    def go(self, *children: Child) -> None:
        """Let those that are stopped go on, all at once."""
        stopped = [child for child in children if child.state is State.STOPPED]
        for child in stopped:
            child.state = State.RUNNING
        for child in stopped:
            os.kill(child.pid, signal.SIGCONT)

    def wait(self, *children: Child) -> None:
        """Until each has stopped or is gone."""
        while any(child.state is State.RUNNING for child in children):
            news = self._received()
            assert isinstance(news, tuple)
            pid, state, report = news
            self._children[pid].state = state
            if report is not None:
                self._children[pid].report = report

    def _received(self) -> object:
        if not self._pipe.poll(PATIENCE_S):
            raise TimeoutError("a child neither stops nor ends")
        return self._pipe.recv()


@contextmanager
def nursery() -> Iterator[Nursery]:
    """A process to fork from; gone at the end with every child that is left."""
    mine, theirs = Pipe()
    words = [sys.executable, "-P", "-m", "chaos.real", str(theirs.fileno())]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    try:
        yield Nursery(mine)
    finally:
        mine.close()
        process.wait()


def serve(pipe: Connection) -> None:
    """Fork a child for each errand, and tell what becomes of them, until nobody listens."""
    living: dict[int, Connection] = {}
    try:
        while True:
            if pipe.poll(LOOK_EVERY_S):
                _fork(pipe.recv(), pipe, living)
            for pid in list(living):
                ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
                if not ended:
                    continue
                if os.WIFSTOPPED(status):
                    pipe.send((pid, State.STOPPED, None))
                else:
                    pipe.send((pid, State.GONE, _told(living.pop(pid))))
    except (EOFError, BrokenPipeError):
        pass  # whoever asked is gone
    finally:
        for pid in living:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _fork(errand: Errand, pipe: Connection, living: dict[int, Connection]) -> None:
    mine, theirs = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        try:
            pipe.close()
            live(errand, theirs)
        finally:
            os._exit(0)
    theirs.close()
    living[pid] = mine
    pipe.send(pid)


def _told(pipe: Connection) -> Report:
    """Everything that a child has said, when it can say no more."""
    lease_number: int | None = None
    result, counts = "killed", dict[Where, int]()
    while pipe.poll():
        try:
            word = pipe.recv()
        except EOFError:
            break
        if isinstance(word, int):
            lease_number = word
        else:
            result, counts = word
    pipe.close()
    return Report(lease_number=lease_number, result=result, counts=counts)
