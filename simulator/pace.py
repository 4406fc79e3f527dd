"""The real-time mode: virtual time that runs by itself. The only place that reads a clock."""

import math
import time
from datetime import UTC, datetime

from simulator.times import nanoseconds


def wall_clock() -> int:
    """The present moment, for `--start now` alone."""
    return nanoseconds(datetime.now(UTC))  # noqa: TID251 - the one real-time starting point


#: As fast as possible: whoever reads the clock finds it at the next event.
MAX = math.inf


class Pace:
    """Virtual time at `speed` times real time from a starting moment; 0 stands still, and so does
    MAX between events."""

    def __init__(self, speed: float, start: int) -> None:
        self.speed = speed
        self._start = start
        self._since = time.monotonic_ns()

    def now(self, standing_at: int) -> int:
        """Never before `standing_at`, the moment the exchange has reached."""
        if self.speed <= 0 or self.is_max:
            return standing_at
        passed = int((time.monotonic_ns() - self._since) * self.speed)
        return max(standing_at, self._start + passed)

    @property
    def is_max(self) -> bool:
        return self.speed == MAX

    @property
    def runs(self) -> bool:
        """By itself, with real time."""
        return 0 < self.speed < MAX

    def restart(self, at: int) -> None:
        """Run on from here, after the clock was moved by hand."""
        self._start = at
        self._since = time.monotonic_ns()
