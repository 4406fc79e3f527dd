"""G8: what structures say against what their orders have done at the broker and what the account
holds. A dead one has left nothing, a living one is there, and what it lacks is told and halts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from chaos.process import Process
from simulator.book import Order

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
Net = defaultdict[str, Decimal]
ALIVE = frozenset({"opening", "open", "closing"})
DEAD = frozenset({"closed", "failed", "expired"})
#: Faults after which a reading is not what it was: judged at rest only. A trade that is taken back
#: leaves its order as it is: not judged.
LAGGING = ("F9", "F10", "F11", "F12", "F20")
TAKEN_BACK = "F21"


@dataclass(kw_only=True)
class _Structure:
    """`net` is what its orders have moved, signed, by symbol; `left` its long legs when an exit has
    sold the short ones without them."""

    state: str
    sides: dict[str, int] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    net: Net = field(default_factory=lambda: defaultdict(Decimal))


class Custody:
    """Compares structures, orders and the account; what was missing already when a cycle began must
    have been told when it is done."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._missing_at: dict[str, set[str]] = {}

    def opened(self, process: Process) -> None:
        self._missing_at[process.name] = set(self._missing())

    def ended(self, process: Process) -> Found:
        before = self._missing_at.pop(process.name, set())
        day = self._oracle.day
        if process.result != "done" or "end of day" in process.name:
            return
        if self._is_odd() or any(day.has_fault(number) for number in LAGGING):
            return
        missing = self._missing()
        for symbol in sorted(before & missing.keys()):
            if not self._is_told(symbol):
                yield "G8", f"{missing[symbol]} and {process.name} told nobody"

    def judge(self) -> Found:
        """Everything has come to rest."""
        if self._is_odd():
            return
        yield from self._orphans()
        yield from self._followed()
        for symbol, words in sorted(self._missing().items()):
            if not self._is_told(symbol):
                yield "G8", f"{words} and nobody was told"
        for structure_id, one in sorted(self._structures().items()):
            is_there = any(self._held(one, symbol) for symbol in one.sides)
            if one.state != "open" or is_there or any(map(self._is_told, one.sides)):
                continue
            yield "G8", f"structure {structure_id} is open, and nothing of it is held"

    def _is_odd(self) -> bool:
        day = self._oracle.day
        return day.plan.scene.is_split or day.has_fault(TAKEN_BACK)

    # What there is

    def _structures(self) -> dict[int, _Structure]:
        """Every structure with what its own orders have moved at the broker."""
        found: dict[int, _Structure] = {}
        for key, state, exit_price, symbol, side in self._oracle.rows(
            "SELECT s.id, s.state, s.exit_price, l.symbol, l.side FROM structures s"
            " JOIN structure_legs l ON l.structure_id = s.id"
        ):
            one = found.setdefault(key, _Structure(state=state))
            one.sides[symbol] = 1 if side == "buy" else -1
            if exit_price is not None and side == "buy":
                one.left.add(symbol)
        orders = self._oracle.day.exchange.book.by_client_id
        for key, client_order_id in self._oracle.rows(
            "SELECT structure_id, client_order_id FROM intents"
        ):
            if client_order_id in orders:
                _add(found[key].net, orders[client_order_id])
        return found

    def _by_others(self) -> dict[int, Net]:
        """What orders that no structure has and rows without an order have moved, up (1) and down
        (-1): a person who closes a leg may buy it again for herself."""
        ours = {row[0] for row in self._oracle.rows("SELECT client_order_id FROM intents")}
        book = self._oracle.day.exchange.book
        found: dict[int, Net] = {1: defaultdict(Decimal), -1: defaultdict(Decimal)}
        for order in book.orders.values():
            if order.ratio is None and order.client_order_id not in ours:
                moved: Net = defaultdict(Decimal)
                _add(moved, order)
                for symbol, quantity in moved.items():
                    found[1 if quantity > 0 else -1][symbol] += quantity
        for row in book.activities:
            if row.order_id is None and row.counts:
                found[1 if row.qty > 0 else -1][row.symbol] += row.qty
        return found

    def _held(self, one: _Structure, symbol: str) -> bool:
        return self._oracle.day.exchange.book.qty(symbol) * one.sides[symbol] > 0

    # What is wrong

    def _orphans(self) -> Found:
        """Contracts in the account that orders of a dead structure put there, and nobody's else."""
        book, others = self._oracle.day.exchange.book, self._by_others()
        structures = self._structures()
        living: Net = defaultdict(Decimal)
        for one in structures.values():
            for symbol, net in one.net.items():
                living[symbol] += net if one.state in ALIVE else 0
        for key, one in sorted(structures.items()):
            for symbol, net in sorted(one.net.items()):
                if one.state not in DEAD or net == 0 or symbol in one.left:
                    continue
                rest = book.qty(symbol) - living[symbol] - others[1 if net > 0 else -1][symbol]
                if rest * net > 0 and not self._is_told(symbol):
                    yield "G8", f"structure {key} is {one.state}, and {rest} of {symbol} is its"

    def _followed(self) -> Found:
        """What a person put in the place of an order that opens, and what it filled."""
        orders = self._oracle.day.exchange.book.orders
        for state, client_order_id in self._oracle.rows(
            "SELECT s.state, i.client_order_id FROM intents i JOIN structures s"
            " ON s.id = i.structure_id WHERE i.purpose = 'open' ORDER BY 2"
        ):
            ours = self._oracle.day.exchange.book.by_client_id.get(client_order_id)
            after = orders.get(ours.replaced_by or "") if ours is not None else None
            if after is None or not after.filled_qty or state not in DEAD:
                continue
            if not self._oracle.rows("SELECT 1 FROM halts"):
                words = f"{client_order_id} was replaced by hand and {after.filled_qty} filled"
                yield "G8", f"{words}: its structure is {state} and nobody was told"

    def _missing(self) -> dict[str, str]:
        """Contracts of living structures that the account does not hold, in words, by symbol."""
        wanted: Net = defaultdict(Decimal)
        for one in self._structures().values():
            for symbol, net in one.net.items():
                wanted[symbol] += net if one.state in ALIVE else 0
        found = {}
        for symbol, net in wanted.items():
            held = self._oracle.day.exchange.book.qty(symbol)
            if net and held * (1 if net > 0 else -1) < abs(net):
                found[symbol] = f"living structures have {net} of {symbol}, the account {held}"
        return found

    def _is_told(self, symbol: str) -> bool:
        """A discrepancy that names the contract, and a halt, whoever lifted it since."""
        told = self._oracle.rows("SELECT 1 FROM discrepancies WHERE subject LIKE %s", f"{symbol}%")
        return bool(told and self._oracle.rows("SELECT 1 FROM halts"))


def _add(net: Net, order: Order) -> None:
    for each in order.executed():
        net[each.symbol] += each.filled_qty if each.side == "buy" else -each.filled_qty
