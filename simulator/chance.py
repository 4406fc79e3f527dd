"""Chance that is the same in every run: it depends on what is asked about and on nothing else."""

from hashlib import blake2b


def share(seed: int, *about: object) -> float:
    """From 0 up to but not including 1.

    >>> share(7, "order", 1) == share(7, "order", 1), 0 <= share(8, "order", 1) < 1
    (True, True)
    """
    text = "\x1f".join(map(str, (seed, *about)))
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest()) / 2**48


def whole(least: int, most: int, seed: int, *about: object) -> int:
    """From `least` to `most`, both included."""
    return least + int(share(seed, *about) * (most - least + 1))
