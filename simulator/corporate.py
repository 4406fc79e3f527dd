"""Dividends, splits and halts of a made-up underlying, and what a split does to its contracts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from simulator.market import Action, Adjustment
from simulator.sessions import Sessions
from simulator.symbols import Contract, asset_id, osi

DECLARED_DAYS = 30  # before the ex-day, where a profile does not say
PAY_DAYS = 21  # after it
CENT = Decimal("0.01")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dividend:
    """Cash, USD a share. Who holds the share before the opening of the ex-day is paid."""

    ex_day: date
    usd: Decimal
    declared_day: date | None = None
    record_day: date | None = None
    payable_day: date | None = None

    def action(self, symbol: str) -> Action:
        """With the days a profile leaves out: a month ahead, the ex-day, three weeks after."""
        return Action(
            symbol=symbol,
            kind="cash dividend",
            ex_day=self.ex_day,
            rate=self.usd,
            declared_day=self.declared_day or self.ex_day - timedelta(days=DECLARED_DAYS),
            record_day=self.record_day or self.ex_day,
            payable_day=self.payable_day or self.ex_day + timedelta(days=PAY_DAYS),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarterly:
    """A dividend on one weekday (Monday is 0) of a week of some months, year after year."""

    usd: Decimal
    months: tuple[int, ...]
    week: int
    weekday: int

    def days(self, sessions: Sessions) -> list[Dividend]:
        """Of every month the calendar holds; a day without trading moves to the session before."""
        first, last = sessions.all[1].day, sessions.all[-1].day
        found = []
        for year in range(first.year, last.year + 1):
            for month in self.months:
                start = date(year, month, 1)
                ahead = (self.weekday - start.weekday()) % 7 + 7 * (self.week - 1)
                day = start + timedelta(days=ahead)
                if first <= day <= last:
                    found.append(Dividend(ex_day=sessions.last_trading_day(day), usd=self.usd))
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """`new` shares for `old`, from the opening of the ex-day on; a reverse split has old > new."""

    ex_day: date
    new: int
    old: int = 1

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.new, self.old)

    def action(self, symbol: str) -> Action:
        rate = Decimal(self.new) / Decimal(self.old)
        declared = self.ex_day - timedelta(days=DECLARED_DAYS)
        return Action(
            symbol=symbol, kind="split", ex_day=self.ex_day, rate=rate, declared_day=declared
        )


def adjusted(contract: Contract, ratio: Fraction, taken: set[str]) -> Adjustment:
    """By the clearing house's rule.

    A whole split of a plain contract divides the strike and multiplies the contracts. Any other
    keeps strike and count and changes what is delivered, under a root that ends in a digit.
    """
    if ratio.denominator == 1 and contract.size == 100:
        strike = (contract.strike / ratio.numerator).quantize(CENT, rounding=ROUND_HALF_UP)
        symbol = osi(contract.root, contract.expiration, contract.right, strike)
        interest = contract.open_interest
        new = replace(
            contract,
            symbol=symbol,
            id=asset_id(symbol),
            strike=strike,
            open_interest=None if interest is None else interest * ratio.numerator,
        )
        return Adjustment(old=contract, new=new, count=ratio.numerator)
    root = _next_root(contract.root)
    symbol = osi(root, contract.expiration, contract.right, contract.strike)
    while symbol in taken:
        root = _next_root(root)
        symbol = osi(root, contract.expiration, contract.right, contract.strike)
    size = int(contract.size * ratio)
    new = replace(contract, symbol=symbol, id=asset_id(symbol), root=root, size=size)
    return Adjustment(old=contract, new=new, count=1)


def _next_root(root: str) -> str:
    """
    >>> _next_root("XYZ"), _next_root("XYZ1")
    ('XYZ1', 'XYZ2')
    """
    return f"{root[:-1]}{int(root[-1]) + 1}" if root[-1].isdigit() else f"{root}1"


def adjust_all(contracts: Sequence[Contract], split: Split) -> list[Adjustment]:
    """In the order of the contracts; those that ended before the ex-day are left out."""
    taken = {contract.symbol for contract in contracts}
    alive = [contract for contract in contracts if contract.last_day >= split.ex_day]
    return [adjusted(contract, split.ratio, taken) for contract in alive]
