"""Which program this is: its release, and a short name for its source."""

import hashlib
import tomllib
from functools import lru_cache
from pathlib import Path

from tasks.settings import ROOT

#: The rooms whose source decides what is traded.
ROOMS = ("broker", "db", "domain", "flows", "tasks")
HASH_DIGITS = 12


@lru_cache(maxsize=1)
def code_version() -> str:
    """`0.1.0+1a2b3c4d5e6f`: the release of pyproject.toml and the source as this process found it
    when it first asked."""
    release: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return f"{release}+{source_hash(ROOT)}"


def source_hash(root: Path) -> str:
    """A name for the source of our rooms under `root`: equal wherever the same files lie."""
    digest = hashlib.sha256()
    found = [path for room in ROOMS for path in (root / room).rglob("*.py")]
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in found):
        source = path.read_bytes()
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:HASH_DIGITS]
