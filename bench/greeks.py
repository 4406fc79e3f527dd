"""`./strikeflow bench greeks`: how fast and how right volatility and Greeks are.

Tables first; the last line of stdout is all figures as JSON.
"""

import argparse
import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from os import cpu_count

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

EXIT_CANNOT_RUN = 2
_PEERS = ("QuantLib", "pyvolr")
_WIDTH = 128  # of the error table, where stdout is no terminal


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="strikeflow bench greeks", description=__doc__)
    add = parser.add_argument
    add("--contracts", type=_count, default=100_000, help="American ones to time (100,000)")
    add("--errors", type=_count, default=2_000, help="contracts to judge (2,000: a minute or two)")
    add("--seed", type=int, default=1, help="of the contracts (1)")
    return parser.parse_args()


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is no number of contracts")
    return int(word)


def figures(asked: argparse.Namespace, out: Console, progress: Progress) -> dict[str, object]:
    """Measure, show each table when it is there, and return all of it."""
    # They need the peers, whose absence is told in one line before.
    from bench.pricing import fresh, speed, tables
    from bench.pricing.contracts import chains
    from bench.pricing.errors import as_dict, errors

    count, seed = asked.contracts, asked.seed
    counts = (max(count // 10, 1), count, count * 10)

    bar = progress.add_task("American", total=5 * speed.ROUNDS)
    american = speed.american(count, seed, lambda: progress.advance(bar))
    out.print(tables.speed_table("American: ours with five Greeks on every core", american))

    bar = progress.add_task("European", total=2 * speed.ROUNDS)
    european = speed.european(10 * count, seed, lambda: progress.advance(bar))
    out.print(tables.speed_table("European: both with five Greeks on every core", european))

    bar = progress.add_task("growth", total=len(counts) * speed.ROUNDS)
    sizes = speed.growth(counts, seed, lambda: progress.advance(bar))
    out.print(tables.growth_table(sizes))

    bar = progress.add_task("fresh processes", total=2)
    first_s = fresh.first_seconds()
    progress.advance(bar)
    most = chains(counts[-1], seed, is_american=True)
    columns = [getattr(most.terms, name) for name in fresh.COLUMNS[:-1]] + [most.price]
    bytes_each = fresh.peak_bytes_each(np.stack(columns))
    progress.advance(bar)
    out.print(f"first call {first_s:.2f} s after start, kernels compiled before")
    out.print(f"peak memory {bytes_each:.0f} bytes a contract above {counts[-1]:,} of input")

    bar = progress.add_task("errors", total=asked.errors)
    found = errors(asked.errors, seed, lambda done: progress.advance(bar, done))
    out.print(tables.errors_table(found))
    return {
        "cores": cpu_count(),
        "american": asdict(american),
        "european": asdict(european),
        "growth": [asdict(size) for size in sizes],
        "growth_ratio": sizes[-1].nanoseconds_each / sizes[0].nanoseconds_each,
        "first_call_seconds": first_s,
        "peak_bytes_each": bytes_each,
        "errors": as_dict(found),
    }


def main() -> int:
    asked = _arguments()
    missing = [name for name in _PEERS if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"strikeflow: {' and '.join(missing)} not installed: `bench greeks` needs the test "
            "dependencies of pyproject.toml\n"
        )
        return EXIT_CANNOT_RUN
    out, shown = Console(), Console(stderr=True)
    if not out.is_terminal:
        out = Console(width=_WIDTH)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=shown, transient=True, disable=not shown.is_terminal
    ) as progress:
        told = figures(asked, out, progress)
    sys.stdout.write(json.dumps(told, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
