"""Tables in Parquet or CSV, read and written in batches: a file larger than memory is no matter.

What cannot be read or written is CannotRun, in one line that names the file and the remedy.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cli.errors import CannotRun

PARQUET, CSV = ".parquet", ".csv"
ROWS_PER_BATCH = 65_536
CSV_BLOCK_BYTES = 8 << 20
_CSV_READ = pa_csv.ReadOptions(block_size=CSV_BLOCK_BYTES)


def suffix_of(path: Path) -> str:
    """PARQUET or CSV, whichever the name of the file ends in."""
    suffix = path.suffix.lower()
    if suffix not in (PARQUET, CSV):
        raise CannotRun(f"{path} is neither {PARQUET} nor {CSV}: the name must end in one of them")
    return suffix


class Reading:
    """A file being read: its schema, its number of rows where it says, and its batches."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row_count: int | None = None
        self.schema: Any = None
        with self._told():
            if suffix_of(path) == PARQUET:
                self._file = pq.ParquetFile(path)
                self.schema = self._file.schema_arrow
                self.row_count = self._file.metadata.num_rows
            else:
                self.schema = self._csv_schema()
        names = self.schema.names
        for name in names:
            if names.count(name) > 1:
                raise CannotRun(f"{path} has the column {name} twice: rename one")

    def batches(self) -> Iterator[Any]:
        """The rows as record batches, in their order; none of them is empty."""
        with self._told():
            found = (
                self._file.iter_batches(batch_size=ROWS_PER_BATCH)
                if suffix_of(self.path) == PARQUET
                else _cut(self._csv())
            )
            for batch in found:
                if batch.num_rows:
                    yield batch

    def _csv_schema(self) -> Any:
        # As text: a first block of whole numbers must not decide what the next may hold.
        with pa_csv.open_csv(self.path, read_options=_CSV_READ) as first:
            return pa.schema([(name, pa.string()) for name in first.schema.names])

    def _csv(self) -> Any:
        as_text = pa_csv.ConvertOptions(
            column_types=self.schema, null_values=[""], strings_can_be_null=True
        )
        return pa_csv.open_csv(self.path, read_options=_CSV_READ, convert_options=as_text)

    @contextmanager
    def _told(self) -> Iterator[None]:
        kind = suffix_of(self.path)[1:]
        try:
            yield
        except FileNotFoundError:
            raise CannotRun(f"{self.path} does not exist: name a file that does") from None
        except PermissionError:
            raise CannotRun(f"{self.path} may not be read: change its permissions") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            raise CannotRun(
                f"{self.path} cannot be read as {kind} ({_first_line(error)}): "
                "write it anew, or name it by what it is"
            ) from None


def _cut(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS_PER_BATCH):
            yield batch.slice(start, ROWS_PER_BATCH)


class Writing:
    """A file being written beside its place; `path` itself changes only when all is well."""

    def __init__(self, path: Path, part: Path) -> None:
        self.path, self.part = path, part
        self._writer: Any = None

    def write(self, table: Any) -> None:
        """Append a table; the first says what columns there are."""
        with _told_of_writing(self.path):
            if self._writer is None:
                is_parquet = suffix_of(self.path) == PARQUET
                writer = pq.ParquetWriter if is_parquet else pa_csv.CSVWriter
                self._writer = writer(self.part, table.schema)
            self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def writing(path: Path) -> Iterator[Writing]:
    """Write `path` as a whole or not at all: on any error, or a signal, it is left as it was."""
    place = path.resolve()  # a link is followed, not replaced
    if os.path.isdir(place):
        raise CannotRun(f"{path} is a folder: name a file in it")
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    with _told_of_writing(path):
        if os.path.exists(place):
            place.open("ab").close()  # a file that may not be written is not replaced either
        part.open("wb").close()
    try:
        opened = Writing(path, part)
        try:
            yield opened
        finally:
            with _told_of_writing(path):
                opened.close()
        with _told_of_writing(path):
            part.replace(place)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _told_of_writing(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CannotRun(f"{path} cannot be written: make the folder {path.parent} first") from None
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        remedy = "choose another place"
        if not isinstance(error, OSError) and suffix_of(path) == CSV:
            remedy = f"a CSV holds no lists; name a file ending in {PARQUET}"
        raise CannotRun(f"{path} cannot be written ({reason}): {remedy}") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "broken").splitlines()[0][:200]
