"""What one listener of a stream has not read yet."""

from collections import deque
from collections.abc import Callable
from enum import StrEnum

Frame = object


class End(StrEnum):
    """Why nothing more comes."""

    CLOSED = "closed"  # by the listener, or after an error it was told
    SLOW = "slow"  # it did not read, and too much was waiting
    DOWN = "down"  # the stream went down


class Inbox:
    """Frames in order, at most `waiting_max`: one more, and the listener is dropped with the frame
    `goodbye` as its last. May be filled from another thread than the one that reads."""

    def __init__(self, path: str, waiting_max: int, goodbye: Frame) -> None:
        self.path = path
        self.wanted: dict[str, set[str]] = {}  # channel -> symbols
        self.is_admitted = False  # has shown its keys
        self.is_remote = False  # a socket takes the frames out
        self.ended: End | None = None
        self.wake: Callable[[], None] = lambda: None
        self._waiting: deque[Frame] = deque()
        self._waiting_max = waiting_max
        self._goodbye = goodbye

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def put(self, frame: Frame) -> None:
        """Nothing after the end."""
        if self.ended is not None:
            return
        if len(self._waiting) >= self._waiting_max:
            self._waiting.clear()
            self._waiting.append(self._goodbye)
            self.ended = End.SLOW
        else:
            self._waiting.append(frame)
        self.wake()

    def end(self, why: End = End.CLOSED) -> None:
        """What waits can still be read, unless the stream went down."""
        if self.ended is None:
            self.ended = why
            if why is End.DOWN:
                self._waiting.clear()
        self.wake()

    def take(self) -> Frame | None:
        """The oldest; None when nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    def read(self) -> list[Frame]:
        """Everything that waits, oldest first."""
        found = []
        while (frame := self.take()) is not None:
            found.append(frame)
        return found
