"""Waiting: the one way a task lets the broker's time pass.

Time passes by itself where the broker's clock is real. Whoever holds the hands of a clock that
stands still (the demo, a test) says how it is moved.
"""

import time
from collections.abc import Callable

Wait = Callable[[float], None]

_wait: Wait = time.sleep


def wait(seconds: float) -> None:
    """Let so much of the broker's time pass; less when it has news of an order meanwhile."""
    _wait(seconds)


def passes_by_itself() -> bool:
    """Whether nobody has said how time passes."""
    return _wait is time.sleep


def pass_time_by(moving: Wait) -> Wait:
    """Let time pass by `moving(seconds)` from now on, in this process; how it passed before."""
    global _wait
    before, _wait = _wait, moving
    return before
