"""The events of one stream as the armed faults let them through."""

from dataclasses import dataclass

from simulator.faults import Fault, FaultKind, Faults
from simulator.times import SECOND

Frame = object
FILLS = ("fill", "partial_fill")
#: Events that another one of the same order can overtake.
OVERTAKEN = ("new", "partial_fill")
#: After these an order has no more of its own.
CLOSING = ("fill", "canceled", "expired", "rejected", "replaced", "done_for_day")
TOO_MANY, UNAVAILABLE = 429, 503


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something to tell; `order_id` is empty for market data."""

    word: str
    at: int
    frames: tuple[Frame, ...]
    order_id: str = ""


class Line:
    """One stream. Faults are asked only while somebody listens."""

    def __init__(self, path: str, faults: Faults) -> None:
        self.path = path
        self._faults = faults
        self._held: dict[str, list[Frame]] = {}  # by order, until the next of its events
        self._told: dict[str, list[Frame]] = {}  # by order, while it is open
        self._mute_events = 0
        self._mute_until = 0
        self._down_until = 0
        self.hurries = False  # what was told last must arrive before the answer of its request
        faults.when_disarmed.append(self._take_back)

    def _take_back(self, kind: FaultKind | None) -> None:
        """The end of a silence, and of being down."""
        if kind in {None, FaultKind.STREAM_MUTE}:
            self._mute_events = self._mute_until = 0
        if kind in {None, FaultKind.STREAM_DOWN}:
            self._down_until = 0

    def refusal(self, now: int) -> int:
        """The HTTP status with which a connection is refused; 0 when it may come."""
        if now < self._down_until:
            return UNAVAILABLE
        fault = self._faults.take(FaultKind.STREAM_REFUSE, "GET", self.path)
        return 0 if fault is None else int(fault.setting("status"))

    def goes_down(self, event: Event) -> bool:
        """Whether every connection ends instead of hearing of this event."""
        fault = self._take(FaultKind.STREAM_DOWN, event)
        if fault is None:
            return False
        self._down_until = event.at + int(fault.setting("seconds") * SECOND)
        self._held.clear()
        return True

    def remember(self, event: Event) -> None:
        """Keep what is told of an open order, for a replay."""
        if event.order_id:
            self._told.setdefault(event.order_id, []).extend(event.frames)

    def forget(self, event: Event) -> None:
        if event.word in CLOSING:
            self._told.pop(event.order_id, None)

    def passes(self, event: Event) -> list[Frame]:
        """What is told now, in order."""
        if self._is_mute(event):
            return []
        frames = list(event.frames)
        if event.word in FILLS and self._take(FaultKind.STREAM_DROP, event):
            frames = []
        if self._take(FaultKind.STREAM_DUPLICATE, event):
            frames *= 2
        if event.order_id:
            frames = self._reordered(event, frames)
        if event.word in CLOSING and self._take(FaultKind.STREAM_REPLAY, event):
            frames += self._told.get(event.order_id, [])
        return frames

    def _reordered(self, event: Event, frames: list[Frame]) -> list[Frame]:
        fault = None
        if event.word in (*OVERTAKEN, *FILLS):
            # Nothing overtakes a fill, but it can arrive before the answer.
            word, kind = event.word, FaultKind.STREAM_REORDER
            fault = self._faults.take(
                kind, word, self.path, lambda f: word in OVERTAKEN or f.setting("before_answer") > 0
            )
        if fault is not None and fault.setting("before_answer"):
            self.hurries = True
        elif fault is not None:
            self._held.setdefault(event.order_id, []).extend(frames)
            return []
        return frames + self._held.pop(event.order_id, [])

    def _is_mute(self, event: Event) -> bool:
        fault = self._take(FaultKind.STREAM_MUTE, event)
        if fault is not None:
            seconds = fault.setting("seconds")
            self._mute_until = event.at + int(seconds * SECOND)
            self._mute_events = int(fault.setting("events")) or (0 if seconds else 1)
        if self._mute_events > 0:
            self._mute_events -= 1
            return True
        return event.at < self._mute_until

    def _take(self, kind: FaultKind, event: Event) -> Fault | None:
        return self._faults.take(kind, event.word, self.path)
