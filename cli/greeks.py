"""`greeks`: volatility and Greeks of a file of option prices, into another file."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.errors import CannotRun
from cli.table_columns import with_greeks, without_lists
from cli.table_files import CSV, Reading, suffix_of, writing
from domain.greeks_table import ANSWERS, FLAG, BadTable


def greeks(source: Path, target: Path, console: Console) -> None:
    """Write the rows of `source` to `target` with ANSWERS and FLAG added, in the same order.

    CannotRun when either is not as it must be; `target` is then left as it was.
    """
    reading = _opened(source, target)
    flags: Counter[str] = Counter()
    row_count = 0
    with writing(target) as out, _progress() as shown:
        bar = shown.add_task("", total=reading.row_count)
        for batch in reading.batches():
            table = _answered(reading, pa.Table.from_batches([batch]), row_count + 1)
            out.write(without_lists(table) if suffix_of(target) == CSV else table)
            row_count += batch.num_rows
            flags.update(table[FLAG].drop_null().to_pylist())
            shown.update(bar, completed=row_count, description=f"{row_count:,} rows")
        if row_count == 0:
            raise CannotRun(f"{source} has no rows: name a file with some")
    console.print(_summary(row_count, flags), highlight=False, soft_wrap=True)


def _opened(source: Path, target: Path) -> Reading:
    for path in (source, target):
        suffix_of(path)
    if os.path.exists(target) and os.path.exists(source) and target.samefile(source):
        raise CannotRun(f"{target} is what is read: name another file to write")
    reading = Reading(source)
    taken = [name for name in (*ANSWERS, FLAG) if name in reading.schema.names]
    if taken:
        raise CannotRun(f"{source} has the column {taken[0]} already: drop or rename it")
    return reading


def _answered(reading: Reading, table: Any, first_row: int) -> Any:
    try:
        return with_greeks(table, first_row, is_text=suffix_of(reading.path) == CSV)
    except BadTable as error:
        raise CannotRun(f"{reading.path}: {error}") from None


def _progress() -> Progress:
    """On a terminal, and gone when done."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _summary(row_count: int, flags: Counter[str]) -> str:
    told = [f"{row_count:,} rows", f"{row_count - flags.total():,} solved"]
    told += [f"{flag.replace('_', ' ')} {count:,}" for flag, count in flags.most_common()]
    return ", ".join(told)
