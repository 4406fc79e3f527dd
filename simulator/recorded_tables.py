"""Official closes and corporate actions of a recording, from their CSV files."""

import csv
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from simulator.market import Action
from simulator.startup import StartupError

#: How long before its day an action is taken to be announced; the recordings do not say.
ANNOUNCED_DAYS = {"cash dividend": 14, "split": 30, "spin-off": 30}


def read_closes(path: Path) -> dict[tuple[str, date], Decimal]:
    """Empty without the file."""
    rows = _read_csv(path, ("underlying", "date", "official_close"))
    try:
        return {
            (row["underlying"], date.fromisoformat(row["date"])): Decimal(row["official_close"])
            for row in rows
            if row["official_close"]
        }
    except (ValueError, InvalidOperation):
        raise StartupError(f"{path} has a date or price that cannot be read; correct it") from None


def read_actions(path: Path) -> list[Action]:
    """Empty without the file; rows that are no action are passed over."""
    rows = _read_csv(path, ("underlying", "ex_date", "kind", "amount", "ratio"))
    try:
        return [
            Action(
                symbol=row["underlying"],
                kind=row["kind"],
                ex_day=date.fromisoformat(row["ex_date"]),
                rate=Decimal(row["amount"] or row["ratio"]),
            )
            for row in rows
            if row["kind"] in ANNOUNCED_DAYS
        ]
    except (ValueError, InvalidOperation):
        raise StartupError(f"{path} has a date or rate that cannot be read; correct it") from None


def _read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in (reader.fieldnames or [])]
        if missing:
            raise StartupError(f"{path} has no column {missing[0]}; correct or remove it")
        return list(reader)
