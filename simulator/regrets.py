"""Trades that the exchange takes back or corrects a moment after they were told (F21)."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Final

from simulator.corrections import NoSuchFill
from simulator.exchange import Exchange
from simulator.faults import FaultKind
from simulator.updates import Update

FILLS: Final = ("fill", "partial_fill")


class Regrets:
    """Listens for fills, and does to them what is armed when the next request comes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._busted: list[str] = []
        self._corrected: list[tuple[str, Decimal]] = []
        exchange.listeners.append(self._told)

    def _told(self, update: Update) -> None:
        if update.event not in FILLS:
            return
        rows = {row.execution_id: row for row in self._exchange.book.activities[-8:]}
        row = rows.get(update.executions[0].id) if update.executions else None
        if row is None or row.price is None:
            return
        faults = self._exchange.faults
        if faults.take(FaultKind.TRADE_BUSTED) is not None:
            self._busted.append(row.id)
        elif (fault := faults.take(FaultKind.TRADE_CORRECTED)) is not None:
            cents = Decimal(str(fault.setting("cents"))) / 100
            self._corrected.append((row.id, max(row.price + cents, Decimal(0))))

    def do(self) -> None:
        """Take back and correct what is noted."""
        while self._busted:
            self._try(
                FaultKind.TRADE_BUSTED, partial(self._exchange.bust_fill, self._busted.pop(0))
            )
        while self._corrected:
            again = partial(self._exchange.correct_fill, *self._corrected.pop(0))
            self._try(FaultKind.TRADE_CORRECTED, again)

    def _try(self, kind: FaultKind, regret: Callable[[], object]) -> None:
        """What has ended meanwhile cannot be taken back: it is noted, as other faults that fail."""
        try:
            regret()
        except NoSuchFill as problem:
            self._exchange.faults.fired[kind] -= 1
            self._exchange.faults.failed.append(f"{kind}: {problem}")
