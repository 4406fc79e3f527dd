"""G9: after the database was restored, an order of ours that it does not know is told and halts,
and nothing is opened any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.process import Process

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
LAGGING = ("F9", "F10", "F11", "F12")
STANDING = "SELECT 1 FROM halts WHERE cleared_at IS NULL"


class Restored:
    """`forgotten` are ids of orders that were sent and that the database had forgotten then."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self.forgotten: frozenset[str] = frozenset()
        self._looked: set[str] = set()  # processes that have read the books since

    def note(self) -> int:
        """The database has just been restored; how many orders at the broker it has forgotten."""
        at_broker = self._oracle.day.exchange.book.by_client_id.keys()
        known = self._known()
        self.forgotten |= self._oracle.arrival.posted.keys() - known
        self._looked.clear()
        self._oracle.leases_forgotten()
        lost = (self._oracle.arrival.posted.keys() & at_broker) - known
        self._oracle.day.history.add("restored", f"the database; {len(lost)} orders forgotten")
        if not self._oracle.rows(STANDING):
            self._oracle.halt_lifted()
        return len(lost)

    def reconciled(self, process: Process) -> None:
        if self.forgotten:
            self._looked.add(process.name)

    def opening(self, process: Process) -> Found:
        """An order that opens has left, of a cycle that has read lists that do not lag."""
        day = self._oracle.day
        if any(day.has_fault(number) for number in LAGGING):
            return
        if process.name in self._looked and (lost := self._lost()):
            yield "G9", f"something is opened beside {lost[0]}, which the database has forgotten"

    def ended(self, process: Process) -> Found:
        if process.name not in self._looked or "end of day" in process.name:
            return
        if process.result != "done" or self._oracle.rows("SELECT 1 FROM halts"):
            return
        for client_order_id in self._lost():
            yield "G9", f"{client_order_id} is not known here, and {process.name} told nobody"

    def _lost(self) -> list[str]:
        """Forgotten ones that are orders at the broker and have no intent now."""
        at_broker = self._oracle.day.exchange.book.by_client_id.keys()
        return sorted((self.forgotten & at_broker) - self._known())

    def _known(self) -> set[str]:
        return {row[0] for row in self._oracle.rows("SELECT client_order_id FROM intents")}
