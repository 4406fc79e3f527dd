"""Processes that are none: runs of a flow that can be killed, held and resumed at an operation.

One runs at a time. A run that is to be held has a thread of its own, and hands the turn over only
where it has no transaction open, so that the others never wait for a lock of its.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

HANDOVER_S_MAX = 60.0


class Killed(BaseException):
    """The process ends here, and nothing of it runs any more."""


class Terminated(BaseException):
    """A SIGTERM: the process ends, but cleans up first."""


@dataclass(kw_only=True, eq=False)
class Process:
    """One run, and what may be known of it from outside."""

    name: str
    is_dead: bool = False
    open_transactions: int = 0
    wrote: list[str] = field(default_factory=list)  # what the open transaction has changed
    cycle_id: int | None = None  # once it has opened one
    lease_number: int = 0  # of that cycle
    result: str = ""

    def check_alive(self) -> None:
        """A killed process asks for nothing any more."""
        if self.is_dead:
            raise Killed


_here = threading.local()
_outside = Process(name="outside")


def current() -> Process:
    """The process of this thread; one of no name where none runs."""
    found: Process = getattr(_here, "process", _outside)
    return found


def run_as(process: Process, work: Callable[[], str]) -> str:
    """Do `work` as `process` in this thread; what it answers, or how it died."""
    before = current()
    _here.process = process
    try:
        process.result = work()
    except Killed:
        process.result = "killed"
    except Terminated:
        process.result = "terminated"
    finally:
        _here.process = before
    return process.result


class Held:
    """A process in a thread of its own, which runs while its starter waits, and the reverse."""

    def __init__(self, process: Process, work: Callable[[], str]) -> None:
        self.process = process
        self._work = work
        self._mine, self._theirs = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.is_over = False
        self.problem: BaseException | None = None

    def _run(self) -> None:
        self._take(self._mine)
        _here.held = self
        try:
            run_as(self.process, self._work)
        except BaseException as error:  # kept: whoever waits for this one raises it
            self.problem = error
        self.is_over = True
        self._theirs.release()

    def go_on(self) -> None:
        """Let it run until it pauses or ends."""
        if self.is_over:
            return
        if not self._thread.is_alive():
            self._thread.start()
        self._mine.release()
        self._take(self._theirs)
        if self.problem is not None:
            raise self.problem

    def pause(self) -> None:
        """From within: hand the turn back, and wait for the next one."""
        self._theirs.release()
        self._take(self._mine)

    @staticmethod
    def _take(turn: threading.Semaphore) -> None:
        if not turn.acquire(timeout=HANDOVER_S_MAX):
            raise TimeoutError("a held process did not hand the turn over")


def held() -> Held | None:
    """The held process of this thread, if it is one's."""
    found: Held | None = getattr(_here, "held", None)
    return found
