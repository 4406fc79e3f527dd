"""Recorded trades of contracts: one row for a minute with a trade."""

from collections.abc import Iterable
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
    """Of the given underlyings and days; one without a file has no known trades."""

    def __init__(self, folder: Path, wanted: Iterable[tuple[str, date]]) -> None:
        self._bars: dict[str, list[Bar]] = {}
        for underlying, day in sorted(wanted, key=lambda pair: pair[1]):
            path = folder / FOLDER / f"{underlying}-{day}.parquet"
            if path.is_file():
                for symbol, bars in _read(path).items():
                    self._bars.setdefault(symbol, []).extend(bars)

    def minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        """Those that begin in [start, end), oldest first.

        How many trades a minute had is not known, and is given as 0.
        """
        return [bar for bar in self._bars.get(symbol, ()) if start <= bar.at < end]


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
