"""What only a new process can say: its first answer, and the memory a long one takes.

`python -m bench.pricing.fresh first` and `... memory FILE`: one JSON line each. FILE holds the
columns of COLUMNS, (8, n), as numpy saves them.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

COLUMNS = ("spot", "strike", "years", "rate", "carry", "sign", "american", "price")
_WARM_ROWS = 2_000


def first_seconds() -> float:
    """To import the pricing and solve eight contracts, with kernels compiled long ago."""
    return min(_asked("first")["seconds"] for _ in range(3))  # the first may compile


def peak_bytes_each(columns: Any) -> float:
    """Above the input and what a small call leaves, of a call with `columns`; the answer counts."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "columns.npy"
        np.save(path, columns)
        return _asked("memory", str(path))["bytes_each"]


def _asked(*words: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench.pricing.fresh", *words],
        check=True,
        capture_output=True,
        text=True,
    )
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


# The imports stand inside: what they cost is what is measured.


def _first() -> dict[str, float]:
    start = perf_counter()
    import numpy as np

    from domain import pricing

    strike = np.linspace(90.0, 110.0, 8)
    one = np.ones(8)
    terms = pricing.Terms(
        spot=100 * one,
        strike=strike,
        years=0.25 * one,
        rate=0.04 * one,
        carry=0.01 * one,
        sign=np.tile([1.0, -1.0], 4),
        american=one > 0,
    )
    pricing.solve(terms, abs(100 - strike) + 3)
    return {"seconds": perf_counter() - start}


def _memory(path: str) -> dict[str, float]:
    import numpy as np

    from domain import pricing

    rows = np.load(path)
    columns = dict(zip(COLUMNS, rows, strict=True))
    american, price = columns.pop("american") > 0, columns.pop("price")
    small = {name: column[:_WARM_ROWS] for name, column in columns.items()}
    warm = pricing.Terms(**small, american=american[:_WARM_ROWS])
    pricing.solve(warm, price[:_WARM_ROWS])
    before = _peak_bytes()
    answer = pricing.solve(pricing.Terms(**columns, american=american), price)
    return {"bytes_each": (_peak_bytes() - before) / len(answer[0])}


def _peak_bytes() -> int:
    """Of memory in use. Linux hands ru_maxrss down to a child, so that it starts at its parent's
    peak; VmHWM is its own."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    told = _first() if sys.argv[1] == "first" else _memory(sys.argv[2])
    sys.stdout.write(json.dumps(told) + "\n")
