"""Planted bugs."""

from collections.abc import Callable


def planting(name: str) -> Callable[[], None]:
    """What plants the bug of this name in a process."""
    raise LookupError(f"there is no planted bug {name}")
