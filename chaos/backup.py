"""A copy of a database's rows, and the database as it was when they were copied."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

KEPT = "kept"
#: Columns that can be written, by table.
COLUMNS = (
    "SELECT table_name::text, array_agg(column_name::text ORDER BY ordinal_position)"
    " FROM information_schema.columns WHERE table_schema = 'public' AND is_generated = 'NEVER'"
    " GROUP BY table_name ORDER BY table_name"
)
SEQUENCES = (
    "SELECT format('%I', sequencename), last_value FROM pg_sequences"
    " WHERE schemaname = 'public' ORDER BY sequencename"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """What a database held; one at a time, in a schema of its own beside it."""

    own: psycopg.Connection
    columns: tuple[tuple[str, list[str]], ...]
    sequences: tuple[tuple[str, int | None], ...]

    def restore(self) -> None:
        """Every row and every counter as they were; the copy is gone."""
        with self.own.transaction():
            self.own.execute("SET LOCAL session_replication_role = replica")  # no trigger, no key
            for table, names in self.columns:
                listed = sql.SQL(", ").join(map(sql.Identifier, names))
                words = sql.SQL(
                    "DELETE FROM {table}; INSERT INTO {table} ({listed}) OVERRIDING SYSTEM VALUE"
                    " SELECT {listed} FROM {kept}"
                )
                kept, into = sql.Identifier(KEPT, table), sql.Identifier("public", table)
                self.own.execute(words.format(table=into, listed=listed, kept=kept))
            for name, last in self.sequences:
                self.own.execute(
                    "SELECT setval(%s::regclass, %s, %s)", [name, last or 1, last is not None]
                )
            self.own.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(KEPT)))


def back_up(own: psycopg.Connection) -> Backup:
    """A copy of everything that is committed now."""
    columns = tuple((str(row[0]), list(row[1])) for row in own.execute(COLUMNS).fetchall())
    with own.transaction():
        own.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(KEPT)))
        own.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(KEPT)))
        for table, _ in columns:
            kept, of = sql.Identifier(KEPT, table), sql.Identifier("public", table)
            own.execute(sql.SQL("CREATE TABLE {} AS TABLE {}").format(kept, of))
    sequences = tuple((row[0], row[1]) for row in own.execute(SEQUENCES).fetchall())
    return Backup(own=own, columns=columns, sequences=sequences)
