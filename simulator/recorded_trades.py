"""Recorded trades of contracts: one row for a minute with a trade."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from simulator.market import Bar
from simulator.startup import StartupError
from simulator.times import MINUTE

FOLDER = "option-trades-minute"
COLUMNS = ("ts", "symbol", "open", "high", "low", "close", "volume")


class RecordedTrades:
    """Files are read when first asked for; a day without a file has no known trades."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._days: dict[tuple[str, date], dict[str, list[Bar]]] = {}

    def minutes(self, underlying: str, day: date, symbol: str) -> list[Bar]:
        """Oldest first. How many trades a minute had is not known, and is given as 0."""
        key = (underlying, day)
        if key not in self._days:
            path = self._folder / f"{underlying}-{day}.parquet"
            self._days[key] = _read(path) if path.is_file() else {}
        return self._days[key].get(symbol, [])


def _read(path: Path) -> dict[str, list[Bar]]:
    try:
        table = pq.read_table(path, columns=list(COLUMNS))
        ends = table["ts"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()
        numbers = [
            table[name].cast(pa.float64()).to_pylist()
            for name in COLUMNS
            if name not in COLUMNS[:2]
        ]
    except (OSError, pa.ArrowInvalid, KeyError):
        raise StartupError(f"{path} cannot be read as trades; record the day again") from None
    found: dict[str, list[Bar]] = {}
    rows = zip(ends, table["symbol"].to_pylist(), *numbers, strict=True)
    for end, symbol, opened, high, low, close, volume in sorted(rows):
        bar = Bar(
            at=end - MINUTE,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=int(volume),
            trades=0,
        )
        found.setdefault(symbol, []).append(bar)
    return found
