"""Counted operations: every commit, request, statement and step of the core, before and after it.

What is to go wrong at one of them is a trap. Traps are the harness's own; the core knows nothing.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from chaos.process import current


class Kind(StrEnum):
    COMMIT = "commit"
    REQUEST = "request"
    STATEMENT = "statement"
    STEP = "step"
    CONNECT = "connect"


class Phase(StrEnum):
    BEFORE = "before"
    AFTER = "after"


#: Where a process may be killed.
BOUNDARIES = (Kind.COMMIT, Kind.REQUEST, Kind.STEP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """`what` are its words; `subject` is what a trap may act upon: a connection, a request."""

    kind: Kind
    phase: Phase
    what: str
    subject: object = None


@dataclass(kw_only=True, eq=False)
class Trap:
    """Springs at the operation after `skip` others that it would meet; once."""

    name: str
    meets: Callable[[Operation], bool]
    strike: Callable[[Operation], None]
    skip: int = 0
    is_outside: bool = False  # only where no transaction is open
    process: str = ""  # of which process; empty: of any
    fired: int = 0

    def waits_for(self, operation: Operation) -> bool:
        process = current()
        if self.process and process.name != self.process:
            return False
        if self.is_outside and process.open_transactions:
            return False
        return self.meets(operation)


@dataclass(kw_only=True)
class Operations:
    """The counter, and the traps that stand; `met` is told of each operation before they are."""

    counts: Counter[tuple[Kind, Phase]] = field(default_factory=Counter)
    traps: list[Trap] = field(default_factory=list)
    tell: Callable[[str, str], None] = lambda word, text: None
    met: Callable[[Operation], None] = lambda operation: None

    def reach(self, operation: Operation) -> None:
        """Count an operation, and let at most one trap spring."""
        current().check_alive()
        self.counts[operation.kind, operation.phase] += 1
        self.met(operation)
        for trap in self.traps:
            if not trap.waits_for(operation):
                continue
            if trap.skip > 0:
                trap.skip -= 1
                continue
            self.traps.remove(trap)
            trap.fired += 1
            words = f"{trap.name} {operation.phase} {operation.kind} {operation.what}"
            self.tell("fault", words)
            trap.strike(operation)
            return


def boundary(operation: Operation) -> bool:
    """Whether a process may end here: before and after each commit, request and step."""
    return operation.kind in BOUNDARIES


def of(kind: Kind, phase: Phase | None = None) -> Callable[[Operation], bool]:
    """Meets operations of a kind, and of a phase when one is given."""
    return lambda operation: operation.kind is kind and phase in (None, operation.phase)
