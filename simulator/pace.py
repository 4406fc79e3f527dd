"""The real-time mode: virtual time that runs by itself. The only place that reads a clock."""

import time
from datetime import UTC, datetime

from simulator.times import nanoseconds


def wall_clock() -> int:
    """The present moment, for `--start now` alone."""
    return nanoseconds(datetime.now(UTC))  # noqa: TID251 - the one real-time starting point


class Pace:
    """Virtual time at `speed` times real time from a starting moment; 0 stands still."""

    def __init__(self, speed: float, start: int) -> None:
        self.speed = speed
        self._start = start
        self._since = time.monotonic_ns()

    def now(self, standing_at: int) -> int:
        """Never before `standing_at`, the moment the exchange has reached."""
        if self.speed <= 0:
            return standing_at
        passed = int((time.monotonic_ns() - self._since) * self.speed)
        return max(standing_at, self._start + passed)

    def restart(self, at: int) -> None:
        """Run on from here, after the clock was moved by hand."""
        self._start = at
        self._since = time.monotonic_ns()
