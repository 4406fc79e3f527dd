"""Chains as they were read, and their Greeks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pandas as pd
import psycopg
from sqlalchemy import Connection, Table, delete, func, insert, select

from db.schema import forwards, greeks, quotes, snapshots
from domain.chain import CHAIN, CONTRACT, FORWARD, GREEKS
from domain.cycle import Cycle
from domain.greeks import forward_columns
from domain.risk import Greek


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One underlying's chain in a cycle; `problem` says why there is nothing to trade."""

    id: int
    underlying: str
    taken_at: datetime
    spot: Decimal | None
    problem: str | None


QUOTE_COLUMNS = [name for name in CHAIN if name != "underlying"]
WHOLE = {"multiplier", "open_interest", "bid_size", "ask_size"}


def read_snapshot(connection: Connection, cycle: Cycle, underlying: str) -> Snapshot | None:
    """The cycle's snapshot of `underlying`; None when it has not been taken."""
    row = connection.execute(
        select(snapshots).where(
            snapshots.c.cycle_id == cycle.id, snapshots.c.underlying == underlying
        )
    ).first()
    return None if row is None else _snapshot(row._mapping)


def read_snapshots(connection: Connection, cycle: Cycle) -> list[Snapshot]:
    """The cycle's snapshots by underlying."""
    rows = connection.execute(
        select(snapshots).where(snapshots.c.cycle_id == cycle.id).order_by(snapshots.c.underlying)
    )
    return [_snapshot(row._mapping) for row in rows]


def _snapshot(row: object) -> Snapshot:
    return Snapshot(**{name: row[name] for name in Snapshot.__slots__})  # type: ignore[index]  # a RowMapping


def save_snapshot(
    connection: Connection, cycle: Cycle, snapshot: tuple[str, datetime, Decimal | None, str | None]
) -> int:
    """Store a snapshot's head: underlying, when taken, spot, problem. Returns its id."""
    underlying, taken_at, spot, problem = snapshot
    snapshot_id: int = connection.execute(
        insert(snapshots)
        .values(
            cycle_id=cycle.id, underlying=underlying, taken_at=taken_at, spot=spot, problem=problem
        )
        .returning(snapshots.c.id)
    ).scalar_one()
    return snapshot_id


def save_quotes(connection: Connection, snapshot_id: int, chain: pd.DataFrame) -> None:
    """Store a chain's raw quotes."""
    whole = {name: chain[name].astype("Int64") for name in WHOLE}
    _copy(connection, quotes, snapshot_id, chain.assign(**whole), QUOTE_COLUMNS)


def save_greeks(connection: Connection, snapshot_id: int, priced: pd.DataFrame) -> None:
    """Store the Greeks of a snapshot in place of any that were there."""
    for table in (forwards, greeks):
        connection.execute(delete(table).where(table.c.snapshot_id == snapshot_id))
    ends = forward_columns(priced)
    whole = ends.assign(pairs=ends["pairs"].astype("Int64"))
    _copy(connection, forwards, snapshot_id, whole, list(whole.columns))
    _copy(connection, greeks, snapshot_id, priced, ["symbol", *CONTRACT])


def _copy(
    connection: Connection,
    table: Table,
    snapshot_id: int,
    frame: pd.DataFrame,
    columns: Sequence[str],
) -> None:
    """COPY the frame's columns; NaN and NaT become NULL. Ten times an INSERT's speed."""
    names = ", ".join(f'"{name}"' for name in ("snapshot_id", *columns))
    values = frame[list(columns)].astype(object).to_numpy()
    values[pd.isna(values)] = None
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with (
        driver.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({names}) FROM STDIN".encode()) as copy,
    ):
        for row in values:
            copy.write_row((snapshot_id, *row))


def read_chain(connection: Connection, snapshot: Snapshot) -> pd.DataFrame:
    """A snapshot's chain as domain.chain.CHAIN describes it."""
    rows = connection.execute(select(quotes).where(quotes.c.snapshot_id == snapshot.id))
    frame = pd.DataFrame(map(tuple, rows), columns=list(quotes.c.keys()))
    frame["underlying"] = snapshot.underlying
    return _typed(frame, CHAIN)


def read_priced(connection: Connection, snapshot: Snapshot) -> pd.DataFrame:
    """A snapshot's chain with its Greeks; a contract without Greeks is missing."""
    root = func.left(quotes.c.symbol, -15)
    both = (
        select(quotes, *(forwards.c[n] for n in FORWARD), *(greeks.c[n] for n in CONTRACT))
        .join(
            greeks,
            (greeks.c.snapshot_id == quotes.c.snapshot_id) & (greeks.c.symbol == quotes.c.symbol),
        )
        .join(
            forwards,
            (forwards.c.snapshot_id == quotes.c.snapshot_id)
            & (forwards.c.expiration == quotes.c.expiration)
            & (forwards.c.root == root),
        )
    )
    rows = connection.execute(both.where(quotes.c.snapshot_id == snapshot.id))
    frame = pd.DataFrame(map(tuple, rows), columns=[*quotes.c.keys(), *GREEKS])
    frame["underlying"] = snapshot.underlying
    return _typed(frame, CHAIN | GREEKS)


def _typed(frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    times = pd.to_datetime(frame["quoted_at"], utc=True)
    typed = frame.assign(quoted_at=times)[list(columns)].astype(columns)
    return typed.sort_values(["expiration", "strike", "right"], ignore_index=True)


def read_greeks(connection: Connection, cycle: Cycle, symbols: Iterable[str]) -> dict[str, Greek]:
    """Greeks of the named contracts in this cycle; an unsolved or unread one is missing.

    Those of a wide or stale quote are there: nothing is opened on them, but of what is held they
    say more than nothing. A missing one makes the whole book unknown, and then nothing opens.
    """
    rows = connection.execute(
        select(greeks.c.symbol, greeks.c.delta, greeks.c.gamma, greeks.c.theta, snapshots.c.spot)
        .join(snapshots, snapshots.c.id == greeks.c.snapshot_id)
        .where(
            snapshots.c.cycle_id == cycle.id,
            greeks.c.symbol.in_(list(symbols)),
            greeks.c.delta.is_not(None),
        )
    )
    return {
        row.symbol: Greek(spot=float(row.spot), delta=row.delta, gamma=row.gamma, theta=row.theta)
        for row in rows
    }


def read_mids(connection: Connection, cycle: Cycle) -> dict[str, Decimal]:
    """Mid of every two-sided quote of the cycle, USD per share, by symbol."""
    rows = connection.execute(
        select(quotes.c.symbol, (quotes.c.bid + quotes.c.ask) / 2)
        .join(snapshots, snapshots.c.id == quotes.c.snapshot_id)
        .where(snapshots.c.cycle_id == cycle.id, quotes.c.bid <= quotes.c.ask)
    )
    return {symbol: mid for symbol, mid in rows}
