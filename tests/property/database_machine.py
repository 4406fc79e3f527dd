"""A state machine on a real Postgres: it begins with empty tables and can look at what stands."""

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy import text

from db.schema import metadata
from db.session import engine


class DatabaseMachine(RuleBasedStateMachine):
    url = ""  # of the class: one database for every example

    def empty(self) -> None:
        with engine(self.url).begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())

    def rows(self, query: str) -> list[Any]:
        with engine(self.url).connect() as connection:
            return list(connection.execute(text(query)))

    def contents(self) -> object:
        """A hash of every row of every table, and of which transaction wrote it."""
        of_one = "SELECT '{0} ' || t.xmin || t::text AS row FROM {0} t"
        tables = " UNION ALL ".join(map(of_one.format, metadata.tables))
        return self.rows(f"SELECT md5(string_agg(row, ' ' ORDER BY row)) FROM ({tables}) t")
