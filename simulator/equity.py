"""What the account was worth: one sample a minute at most, as often as the clock was moved."""

from bisect import bisect_right
from dataclasses import dataclass, field
from decimal import Decimal

from simulator.times import MINUTE


@dataclass(slots=True)
class History:
    """Equity in USD by moment, oldest first."""

    at: list[int] = field(default_factory=list)
    equity: list[Decimal] = field(default_factory=list)

    def is_due(self, now: int) -> bool:
        """A new minute has begun since the last sample."""
        return not self.at or now // MINUTE > self.at[-1] // MINUTE

    def note(self, at: int, equity: Decimal) -> None:
        """The later sample of one moment stays."""
        if self.at and self.at[-1] == at:
            self.equity[-1] = equity
            return
        self.at.append(at)
        self.equity.append(equity)

    def at_moment(self, moment: int) -> Decimal | None:
        """The last sample that is not later; None before the first."""
        place = bisect_right(self.at, moment)
        return self.equity[place - 1] if place else None
