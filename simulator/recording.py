"""Recorded quotes: finding the Parquet file of a day, and reading it or saying why not."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from simulator.market import Floats, Integers
from simulator.sessions import Sessions
from simulator.startup import StartupError
from simulator.symbols import Contract, asset_id, root_of
from simulator.times import MINUTE

#: Searched in this order: the finer recording of a day wins.
FOLDERS = ("options-minute", ".", "options-hour", "options-eod")
_NAME = re.compile(r"^([A-Z.]+[0-9]?)-(\d{4}-\d{2}-\d{2})\.parquet$")
_ROW_KEY = 2**32  # more than any minute since 1970


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _is_utc(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz in {"UTC", "+00:00", "Etc/UTC"})


#: Column -> what it must be, and how to say so.
COLUMNS: dict[str, tuple[Callable[[pa.DataType], bool], str]] = {
    "ts": (_is_utc, "a timestamp in UTC"),
    "symbol": (_is_text, "text"),
    "underlying": (_is_text, "text"),
    "expiration": (lambda kind: bool(pa.types.is_date(kind)), "a date"),
    "strike": (_is_number, "a number"),
    "type": (_is_text, "text"),
    "bid": (_is_number, "a number"),
    "ask": (_is_number, "a number"),
    "bid_size": (_is_number, "a number"),
    "ask_size": (_is_number, "a number"),
    "open_interest": (_is_number, "a number"),
    "underlying_price": (_is_number, "a number"),
    "bid_age": (_is_number, "a number"),
    "ask_age": (_is_number, "a number"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One underlying on one day; rows ordered by contract, then by time.

    `key` is contract number * 2**32 + the row's minute. Prices NaN where nobody quotes.
    """

    day: date
    contracts: tuple[Contract, ...]
    expires_at: Integers  # the close of each contract's last trading day
    key: Integers
    quoted_at: Integers
    bid: Floats
    ask: Floats
    bid_size: Integers
    ask_size: Integers
    spot_at: Integers
    spot: Floats

    def latest_rows(self, now: int) -> tuple[Integers, Integers]:
        """Contract numbers that have printed by `now`, and the last row of each."""
        numbers = np.arange(len(self.contracts), dtype=np.int64)
        rows = np.searchsorted(self.key, numbers * _ROW_KEY + now // MINUTE, side="right") - 1
        printed = (rows >= 0) & (self.key[rows] // _ROW_KEY == numbers)
        return numbers[printed], rows[printed].astype(np.int64)


def find_files(folder: Path) -> dict[tuple[str, date], Path]:
    """The file of every recorded underlying and day."""
    if not folder.is_dir():
        raise StartupError(f"replay folder {folder} does not exist; give one with recorded quotes")
    found: dict[tuple[str, date], Path] = {}
    for name in FOLDERS:
        for path in sorted((folder / name).glob("*.parquet")):
            match = _NAME.match(path.name)
            if match:
                found.setdefault((match.group(1), date.fromisoformat(match.group(2))), path)
    if not found:
        raise StartupError(
            f"replay folder {folder} has no recorded quotes; expected files such as "
            "options-minute/GOOG-2015-12-24.parquet"
        )
    return found


def load(path: Path, day: date, sessions: Sessions) -> Recording:
    """StartupError when the file is not a recording of quotes."""
    table = _read(path)
    encoded = table["symbol"].combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    number = rank[encoded.indices.to_numpy(zero_copy_only=False)]
    ts = table["ts"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    key = number * _ROW_KEY + ts // MINUTE
    rows = np.argsort(key, kind="stable")
    age = np.fmin(_column(table, "bid_age"), _column(table, "ask_age"))
    contracts = _contracts(table, number, day, sessions)
    spot_at, spot = _spot(ts, _column(table, "underlying_price"))
    return Recording(
        day=day,
        contracts=contracts,
        expires_at=np.array([_end(contract, sessions) for contract in contracts], dtype=np.int64),
        key=key[rows],
        quoted_at=(ts - np.nan_to_num(age, nan=0.0).astype(np.int64) * MINUTE)[rows],
        bid=_price(table, "bid")[rows],
        ask=_price(table, "ask")[rows],
        bid_size=np.nan_to_num(_column(table, "bid_size"))[rows].astype(np.int64),
        ask_size=np.nan_to_num(_column(table, "ask_size"))[rows].astype(np.int64),
        spot_at=spot_at,
        spot=spot,
    )


def _read(path: Path) -> pa.Table:
    try:
        _check_columns(path, pq.read_schema(path))
        table = pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowInvalid):
        raise StartupError(f"{path} cannot be read as Parquet; record the day again") from None
    if table.num_rows == 0:
        raise StartupError(f"{path} has no rows; record the day again or take another day")
    for name in ("ts", "symbol", "underlying", "expiration", "strike", "type"):
        if table[name].null_count:
            raise StartupError(f"{path}: column {name} has empty values, but must have none")
    return table


def _check_columns(path: Path, schema: pa.Schema) -> None:
    for name, (is_right, wanted) in COLUMNS.items():
        if name not in schema.names:
            raise StartupError(f"{path} has no column {name}; see the tidy layout of recordings")
        kind = schema.field(name).type
        if not is_right(kind):
            raise StartupError(f"{path}: column {name} is {kind}, but must be {wanted}")


def _column(table: pa.Table, name: str) -> Floats:
    """As floats, NaN for null."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)


def _price(table: pa.Table, name: str) -> Floats:
    """NaN for what is no price."""
    values = _column(table, name)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _contracts(
    table: pa.Table, number: Integers, day: date, sessions: Sessions
) -> tuple[Contract, ...]:
    """From the first row of each contract, ordered by symbol."""
    firsts = np.unique(number, return_index=True)[1]
    names = ("symbol", "underlying", "expiration", "strike", "type", "open_interest")
    columns = {name: pc.take(table[name], pa.array(firsts)).to_pylist() for name in names}
    before = sessions.before(day).day
    return tuple(
        Contract(
            symbol=symbol,
            root=root_of(symbol),
            underlying=underlying,
            expiration=expiration,
            last_day=sessions.last_trading_day(expiration),
            right="call" if right == "C" else "put",
            strike=Decimal(str(strike)),
            penny=False,
            open_interest=None if interest is None else int(interest),
            open_interest_day=None if interest is None else before,
            id=asset_id(symbol),
        )
        for symbol, underlying, expiration, strike, right, interest in zip(
            *columns.values(), strict=True
        )
    )


def _end(contract: Contract, sessions: Sessions) -> int:
    session = sessions.on(contract.last_day)
    return session.close if session is not None else 2**62  # past the calendar


def _spot(ts: Integers, price: Floats) -> tuple[Integers, Floats]:
    """One price a moment, moments without one left out."""
    known = np.isfinite(price) & (price > 0)
    moments, first = np.unique(ts[known], return_index=True)
    return moments, price[known][first]
