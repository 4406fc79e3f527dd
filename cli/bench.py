"""`bench`: become one of the measurements that stand in bench/, each a module of its own."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from cli.errors import CannotRun

_FOLDER = Path(__file__).parents[1] / "bench"


def bench(name: str, arguments: list[str]) -> NoReturn:
    """CannotRun, with the names there are, when none is called `name`."""
    names = sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem != "__init__")
    if name not in names:
        raise CannotRun(f"there is no bench {name}: choose one of {', '.join(names)}")
    # Nothing of ours may import bench; the process becomes it.
    os.execv(sys.executable, [sys.executable, "-P", "-m", f"bench.{name}", *arguments])
