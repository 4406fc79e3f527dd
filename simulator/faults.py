"""Faults on order: what a network or a broker can do wrong, armed in advance and counted.

A fault stands armed until it has fired `times` times, after letting `skip` chances pass. Whoever
has a chance to go wrong asks `take`; without an armed fault of its kind nothing happens.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong. The number is the fault's in the reliability catalogue."""

    # Streams (F13 to F17). `method` may name the event they wait for, `path` the stream.
    STREAM_DUPLICATE = "stream_duplicate"  # an event comes twice
    STREAM_REPLAY = "stream_replay"  # all events of an order come again after it closed
    STREAM_REORDER = "stream_reorder"  # fill before new, partial after fill, fill before the answer
    STREAM_DROP = "stream_drop"  # a single fill is never told
    STREAM_MUTE = "stream_mute"  # connected and silent, for `events` or `seconds` of the clock
    STREAM_DOWN = "stream_down"  # closed, and refused for `seconds` of the clock
    STREAM_REFUSE = "stream_refuse"  # a connection is refused with the HTTP `status`


@dataclass(kw_only=True, slots=True)
class Fault:
    """`method` and `path` say which requests it may meet; empty is any. A path ends with * to mean
    everything below. `settings` are the kind's own numbers."""

    kind: FaultKind
    method: str = ""
    path: str = ""
    skip: int = 0
    times: int = 1
    settings: dict[str, float] = field(default_factory=dict)

    def meets(self, method: str, path: str) -> bool:
        if self.method and self.method != method:
            return False
        if self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return not self.path or self.path == path


class Faults:
    """Those that are armed, oldest first, and how often each kind has fired."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        self.fired: Counter[FaultKind] = Counter()

    def arm(self, fault: Fault) -> None:
        self.armed.append(fault)

    def take(self, kind: FaultKind, method: str = "", path: str = "") -> Fault | None:
        """The armed fault of this kind that now fires; None when nothing goes wrong."""
        for fault in self.armed:
            if fault.kind != kind or not fault.meets(method, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.armed.remove(fault)
            self.fired[kind] += 1
            return fault
        return None
