"""The judge of a day: the invariants I1 to I13, by plain SQL against the simulator's own books. It
shares no code with what it judges. I0 is an error that nothing explains; I11, equal histories of
equal seeds, is judged by who runs the days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, LiteralString

import requests

from chaos.oracle import books, decisions
from chaos.oracle.alarms import Alarms
from chaos.oracle.arrival import Arrival
from chaos.oracle.custody import Custody
from chaos.oracle.restored import Restored
from chaos.oracle.withdrawals import Withdrawals
from chaos.process import Process, current
from simulator.book import Order

if TYPE_CHECKING:
    from chaos.day import Day

#: A second reconcile may say that it ran. What the market said is written once and never touched.
LEDGER = ("cycles", "steps", "snapshots", "quotes", "greeks", "forwards", "alembic_version")


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """An invariant that did not hold, and where."""

    invariant: str
    text: str


class Oracle:
    """Told of everything while the day runs; asked at its end."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.violations: list[Violation] = []
        self.arrival = Arrival(self)
        self.alarms = Alarms(self)
        self.custody = Custody(self)
        self.restored = Restored(self)
        self.withdrawals = Withdrawals(self)
        #: Intents that had been claimed when the standing halt was committed; None without one.
        self.claimed_at_halt: frozenset[str] | None = None
        self._cancels: set[str] = set()
        self._cycles: list[Process] = []  # that have opened one
        self._opened_halted: dict[str, frozenset[str]] = {}

    def violated(self, invariant: str, text: str) -> None:
        self.violations.append(Violation(invariant=invariant, text=text))
        self.day.history.add("VIOLATED", f"{invariant} {text}")

    def rows(self, query: LiteralString, *values: object) -> list[Any]:
        """What a query answers on the harness's own connection."""
        return self.day.stage.own.execute(query, values).fetchall()

    def has_table(self, name: str) -> bool:
        found = self.rows("SELECT to_regclass(%s) IS NOT NULL", f"public.{name}")
        return bool(found[0][0])

    def others_orders(self) -> list[Order]:
        """Orders that no client of ours has sent."""
        orders, ours = self.day.exchange.book.orders.values(), self.arrival.posted
        return [o for o in orders if o.ratio is None and o.client_order_id not in ours]

    # While the day runs

    def order_arrives(self, body: Mapping[str, object]) -> None:
        self.day.counts["orders"] += 1
        self.arrival.judge(body)

    def cancel_arrives(self, order_id: str) -> None:
        self._cancels.add(order_id)

    def answered(self, method: str, path: str, response: requests.Response) -> None:
        self.arrival.told(method, path, response)
        self.withdrawals.answered(path, response.status_code)

    def unanswered(self, path: str) -> None:
        self.withdrawals.answered(path, None)

    def reconciled(self, process: Process) -> None:
        """A reconcile of a process is done, its first or its last."""
        self.withdrawals.reconciled(process)
        self.restored.reconciled(process)

    def opened(self, process: Process) -> None:
        """A process has opened a cycle: those before it may write no more."""
        self._cycles.append(process)
        self.alarms.opened(process)
        self.custody.opened(process)
        if self.claimed_at_halt is not None:
            self._opened_halted[process.name] = frozenset(self._working_openings())

    def leases_forgotten(self) -> None:
        """An older database counts its leases anew."""
        self._cycles.clear()

    def is_stale(self, process: Process) -> bool:
        """Whether another process has opened a cycle after this one did."""
        # By their numbers: a process may be held up between its commit and our notice of it.
        newest = max((each.lease_number for each in self._cycles), default=0)
        return process in self._cycles and process.lease_number < newest

    def committed(self, wrote: list[str]) -> None:
        process = current()
        if wrote and self.is_stale(process):
            tables = ", ".join(dict.fromkeys(wrote))
            self.violated("I12", f"{process.name} writes {tables} after another cycle has begun")
        if "halts" in wrote:
            self.halt_committed()

    def halt_committed(self) -> None:
        claimed = self.rows("SELECT client_order_id FROM intents WHERE state <> 'planned'")
        self.claimed_at_halt = frozenset(row[0] for row in claimed)
        self.day.counts["halts"] += 1

    def halt_lifted(self) -> None:
        self.claimed_at_halt = None
        self._opened_halted.clear()

    def ended(self, process: Process) -> None:
        """A cycle that began under a halt and got through has asked to cancel what would open."""
        judges = (self.alarms, self.custody, self.restored, self.withdrawals)
        for number, text in chain.from_iterable(judge.ended(process) for judge in judges):
            self.violated(number, text)
        under_halt = self._opened_halted.pop(process.name, frozenset())
        if process.result != "done" or "end of day" in process.name:
            return
        for order_id in sorted(under_halt & self._working_openings() - self._cancels):
            self.violated("I6", f"order {order_id} works on: {process.name} did not cancel it")

    def _working_openings(self) -> frozenset[str]:
        ours = {cid for cid, sent in self.arrival.posted.items() if sent.opens}
        working = self.day.exchange.book.working.values()
        return frozenset(
            order.id
            for order in working
            if order.client_order_id in ours and order.status != "pending_cancel"
        )

    # At its end

    def contents(self) -> dict[str, str]:
        """A name for what each table holds, but for the ledger and the market's quotes."""
        names = self.rows(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
        )
        found = {}
        for (name,) in sorted(names):
            if name not in LEDGER:
                query = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"{name}\" t"
                found[name] = str(self.day.stage.own.execute(query.encode()).fetchall()[0][0])
        return found

    def reconciled_again(self, before: dict[str, str]) -> None:
        """A reconcile has run over an unchanged broker: it must have written nothing."""
        after = self.contents()
        changed = [name for name, what in before.items() if after[name] != what]
        if changed:
            self.violated("I10", f"a further reconcile changed {', '.join(changed)}")

    def judge(self) -> None:
        """Everything has come to rest."""
        judges = (self.alarms, self.custody)
        found = (books.judge(self), decisions.judge(self), *(judge.judge() for judge in judges))
        for number, text in chain.from_iterable(found):
            self.violated(number, text)
        for (slot,) in self.rows("SELECT slot FROM cycles WHERE state = 'running'"):
            self.violated("I12", f"the cycle of {slot} is left running")
