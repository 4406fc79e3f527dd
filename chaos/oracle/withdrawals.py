"""I14: once a cycle has read the books, no order of an earlier slot works when it ends, however it
ends, unless the broker did not answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.process import Process, current

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
#: Answers that are none: the broker has not done what was asked, or does not say so.
GOOD = frozenset({200, 201, 204, 207, 422})
#: What the broker must answer for an order to be withdrawn; market data it need not have.
TRADING = ("/v2/orders", "/v2/account", "/v2/positions", "/v2/clock")
#: Faults after which the core is told another state of its orders than they have.
LAGGING = ("F10", "F11", "F12", "F35")
#: How a cycle may fail that is judged: by the broker's market data, or by a mistake of its own.
NOT_JUDGED = ("killed", "terminated", "skipped", "failed LeaseLost", "failed Operational")


class Withdrawals:
    """Knows of each process whether it has read the books, and what the broker did not answer."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._looked: set[str] = set()
        self._unanswered: set[str] = set()  # processes of whose requests about orders one failed

    def reconciled(self, process: Process) -> None:
        self._looked.add(process.name)

    def answered(self, path: str, status: int | None) -> None:
        """What came of a request of the present process; None: nothing."""
        if path.startswith(TRADING) and status not in GOOD:
            self._unanswered.add(current().name)

    def ended(self, process: Process) -> Found:
        day = self._oracle.day
        if process.name not in self._looked or process.name in self._unanswered:
            return
        if process.result.startswith(NOT_JUDGED) or "end of day" in process.name:
            return
        if any(day.has_fault(number) for number in LAGGING) or day.has_postgres_fault:
            return
        for client_order_id in self._earlier(process):
            order = day.exchange.book.by_client_id.get(client_order_id)
            if order is None or order.id not in day.exchange.book.working:
                continue
            if order.status not in ("pending_cancel", "pending_replace"):
                words = f"{client_order_id} of an earlier slot works on: {order.status}"
                yield "I14", f"{words} after {process.name}, {process.result}"

    def _earlier(self, process: Process) -> list[str]:
        """Ids of orders of slots before the process's own."""
        rows = self._oracle.rows(
            "SELECT i.client_order_id FROM intents i JOIN cycles y ON y.id = i.cycle_id"
            " WHERE y.slot < (SELECT slot FROM cycles WHERE id = %s) ORDER BY 1",
            process.cycle_id,
        )
        return [row[0] for row in rows]
