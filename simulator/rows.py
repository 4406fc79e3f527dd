"""Activity rows of everything that is no fill: what they say, and from when they can be read."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from simulator.book import Activity, Book
from simulator.switches import RowsAt, Switches
from simulator.symbols import Contract
from simulator.times import MINUTE, new_york_moment

DESCRIPTIONS = {
    "OPEXC": "Option Exercise",
    "OPASN": "Option Assignment",
    "OPTRD": "Option Trade",
    "OPEXP": "Option Expiry",
}
ZERO = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clerk:
    """Writes the rows of one day. The book's cash and positions are not its business."""

    book: Book
    switches: Switches
    day: date
    now: int

    def write(self, kind: str, symbol: str, **more: object) -> Activity:
        """One row, already in the book."""
        made = self._row(kind, symbol)
        # `more` are fields of the row by name, each of another type: replace refuses a wrong name.
        self.book.activities.append(replace(made, **more))  # type: ignore[arg-type]
        return self.book.activities[-1]

    def write_delivery(
        self, contract: Contract, qty: Decimal, shares: Decimal, net_usd: Decimal
    ) -> None:
        """The pair of an exercise (qty > 0) or an assignment, and of what it delivers."""
        group = self.book.new_id()
        option = self.write(
            "OPEXC" if qty > 0 else "OPASN", contract.symbol, qty=-qty, group_id=group
        )
        same = {"id": option.id} if self.switches.pairs_share_id else {}
        self.write(
            "OPTRD",
            contract.underlying,
            qty=shares,
            price=contract.strike,
            net_usd=net_usd,
            group_id=group,
            **same,
        )

    def write_lapse(self, symbol: str, qty: Decimal) -> None:
        """A held contract that ends worthless, or is left to."""
        odd = qty < 0 and self.switches.expired_shorts_negative
        self.write("OPEXP", symbol, qty=-qty, shown_qty=qty if odd else None)

    def _row(self, kind: str, symbol: str) -> Activity:
        at = self.now
        if self.switches.activity_rows is RowsAt.MORNING:
            at = max(at, new_york_moment(self.day + timedelta(days=1), 1, 10))
        return Activity(
            id=f"{self.day:%Y%m%d}000000000::{self.book.new_id()}",
            kind=kind,
            at=at,
            readable_at=at + self.switches.activity_hours_late * 60 * MINUTE,
            day=self.day,
            symbol=symbol,
            qty=ZERO,
            net_usd=ZERO,
            description=DESCRIPTIONS.get(kind, ""),
        )


def readable(rows: Iterable[Activity], now: int) -> list[Activity]:
    """In the order they were made; what shares a moment keeps its order."""
    return sorted((row for row in rows if row.readable_at <= now), key=lambda row: row.at)
