"""G7: what nothing explains at the broker is reported within one cycle and sets the halt, and
nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.faults import FAULTS
from chaos.process import Process
from simulator.book import Activity, Order

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
AUDIT = "the books disagree"
BOOKED = "JNLS"
OF_STRUCTURE, OF_STRUCTURES = " of structure ", " of the structures"
#: Of these the broker itself says less than it knows, for longer than an audit waits.
UNEXPLAINED = frozenset({"unexplained", "assignment"})


class Alarms:
    """Keeps what was planted at the broker until it has been reported."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        #: What was booked without a reason, by subject: how many cycles had been opened before.
        self._planted: dict[str, int] = {}
        self._opened: list[str] = []

    def opened(self, process: Process) -> None:
        self._opened.append(process.name)

    def plant(self, symbol: str) -> None:
        """Something has been booked that no order and no activity explains. What is there before
        the first audit is where the account begins."""
        if self._oracle.rows("SELECT 1 FROM beginnings LIMIT 1"):
            self._planted.setdefault(symbol, len(self._opened))

    def ended(self, process: Process) -> Found:
        """A whole cycle has been done since something was planted."""
        if process.result != "done" or "end of day" in process.name:
            return
        for symbol, before in list(self._planted.items()):
            if self._opened.index(process.name) < before:
                continue
            del self._planted[symbol]
            if not self._oracle.rows("SELECT 1 FROM discrepancies WHERE subject = %s", symbol):
                yield "G7", f"{symbol} was booked without a reason and {process.name} did not tell"
            elif not self._oracle.rows("SELECT 1 FROM halts"):
                yield "G7", f"{symbol} was booked without a reason and nothing was halted"

    def judge(self) -> Found:
        """An alarm where the broker's books always added up, or none where an order left legs."""
        plan = self._oracle.day.plan
        kinds = {fault.kind for fault in plan.faults}
        if plan.scene.is_split or UNEXPLAINED & kinds or any(FAULTS[k].may_alarm for k in kinds):
            return
        apart = [order for order in self._oracle.day.exchange.book.orders.values() if _apart(order)]
        for (reason,) in self._oracle.rows("SELECT reason FROM halts"):
            if reason.startswith(AUDIT) and not self._is_due(reason, apart):
                yield "G7", f"a false alarm: {reason}"
        for order in apart:
            yield from self._untold(order)

    def _is_due(self, reason: str, apart: list[Order]) -> bool:
        """Whether all of an alarm is about legs that an order has left, or about contracts that the
        market has assigned before their last day, or a person has booked out."""
        rows = self._oracle.day.exchange.book.activities
        gone = {row.symbol for row in rows if row.kind == "OPASN" and _is_early(row)}
        gone |= {row.symbol for row in rows if row.kind == BOOKED}
        subjects = reason.removeprefix(f"{AUDIT}: ").split("; ")
        return all(
            (apart and OF_STRUCTURE in subject) or subject.split(OF_STRUCTURES)[0] in gone
            for subject in subjects
        )

    def _untold(self, order: Order) -> Found:
        """Legs that an entry has left alone are held still, and nobody was told."""
        for symbol in _apart(order):
            if order.legs[0].closes or symbol not in self._oracle.day.exchange.book.positions:
                continue
            told = self._oracle.rows(
                "SELECT 1 FROM discrepancies WHERE subject LIKE %s", f"{symbol}{OF_STRUCTURE}%"
            )
            if not told:
                yield "G7", f"{symbol} of {order.client_order_id} is held alone, and nobody told"


def _is_early(row: Activity) -> bool:
    """Whether an assignment came before its contract's last day, which its symbol names."""
    return f"{row.day:%y%m%d}" < row.symbol[-15:-9]


def _apart(order: Order) -> list[str]:
    """Legs of an order at its end that have more filled than another leg of it."""
    units = {leg.symbol: leg.filled_qty / (leg.ratio or 1) for leg in order.legs}
    return [] if order.is_open else [s for s, n in units.items() if n > min(units.values())]
