"""A market with something wrong: what the armed faults of the market make of another's answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from simulator import disturbances
from simulator.faults import ON_ROWS, Fault, FaultKind, Faults
from simulator.gap import factor, moved_bars
from simulator.market import Action, Adjustment, Bar, Chain, Halt, Market, quote_of
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE, SECOND, new_york_moment

ON_MARKET: Final = (*ON_ROWS, FaultKind.DUPLICATED, FaultKind.STALE, FaultKind.HALT, FaultKind.GAP)
#: Kinds that keep orders from a contract; its quotes go on.
BARRING: Final = (FaultKind.INACTIVE, FaultKind.UNTRADABLE)


class Disturbed:
    """See `market.Market` for what each question means. Without a fault in force the answers are
    the market's own."""

    def __init__(self, market: Market, faults: Faults) -> None:
        self._market = market
        self._faults = faults
        self.days: tuple[date, ...] = market.days
        self.underlyings: tuple[str, ...] = market.underlyings
        self._made: dict[str, tuple[Chain, tuple[object, ...], Chain]] = {}

    @property
    def knows_trades(self) -> bool:
        return self._market.knows_trades

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        listed = self._market.contracts(underlying, now)
        if any(fault.kind in BARRING for fault in self._faults.armed):
            listed = [self._barred(contract, now) for contract in listed]
        fault = self._in_force(FaultKind.DUPLICATED, underlying, now)
        if fault is None:
            return listed
        every = max(int(fault.setting("every")), 1)
        twice = {fault.symbol} if is_option_symbol(fault.symbol) else set()
        found = []
        for row, contract in enumerate(listed):
            again = contract.symbol in twice if twice else row % every == 0
            found += [contract, contract] if again else [contract]
        return found

    def contract(self, symbol: str, now: int) -> Contract | None:
        found = self._market.contract(symbol, now)
        return None if found is None else self._barred(found, now)

    def chain(self, underlying: str, now: int) -> Chain | None:
        if not self._is_disturbed():
            return self._market.chain(underlying, now)
        seen = now
        for kind in (FaultKind.STALE, FaultKind.HALT):
            fault = self._in_force(kind, underlying, now)
            if fault is not None:
                seen = min(seen, _last_moment(fault, now))
        chain = self._market.chain(underlying, seen)
        if chain is None:
            return None
        gap = self._gap(underlying, seen)
        faults = [f for k in ON_ROWS if (f := self._in_force(k, underlying, now)) is not None]
        if gap == 1 and not faults:
            return chain
        key = (gap, *((id(fault), fault.symbol, fault.setting("every")) for fault in faults))
        made = self._made.get(underlying)
        if made is None or made[0] is not chain or made[1] != key:
            self._made[underlying] = made = (chain, key, disturbances.disturb(chain, gap, faults))
        return made[2]

    def chain_of(self, contract: Contract, now: int) -> Chain | None:
        if not self._is_disturbed():
            return self._market.chain_of(contract, now)
        found = self.chain(contract.underlying, now)
        return None if found is None else found.row_of(contract.symbol)

    def halt(self, underlying: str, now: int) -> Halt | None:
        fault = self._in_force(FaultKind.HALT, underlying, now)
        if fault is None:
            return self._market.halt(underlying, now)
        return Halt(start=fault.at, end=now + MINUTE if fault.until is None else fault.until)

    def adjustments(self, day: date) -> list[Adjustment]:
        return self._market.adjustments(day)

    def listed_as(self, underlying: str) -> tuple[str, str]:
        return self._market.listed_as(underlying)

    def spot(self, underlying: str, now: int) -> tuple[int, Decimal] | None:
        halt = self._in_force(FaultKind.HALT, underlying, now)
        seen = now if halt is None else _last_moment(halt, now)
        last = self._market.spot(underlying, seen)
        gap = self._gap(underlying, seen)
        if last is None or gap == 1:
            return last
        return max(last[0], self._gap_at(underlying, seen)), _money(last[1], gap)

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        price = self._market.official_close(underlying, day)
        gap = self._gap(underlying, new_york_moment(day, 16, 0))
        return price if price is None or gap == 1 else _money(price, gap)

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        closed = self._market.last_close(symbol, now)
        if closed is None or not self._is_disturbed():
            return closed
        at = new_york_moment(closed[0], 16, 0) - MINUTE
        contract = self._market.contract(symbol, now) if is_option_symbol(symbol) else None
        if contract is None:
            return closed[0], _money(closed[1], self._gap(symbol, at))
        if self._gap(contract.underlying, at) == 1:
            return closed
        quote = quote_of(self, symbol, at)
        mark = quote.mark() if quote is not None else None
        return None if mark is None else (closed[0], mark)

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        bars = self._market.minutes(underlying, start, end)
        if not self._is_disturbed():
            return bars
        halted = [f for f in self._faults.armed if f.kind == FaultKind.HALT]
        halted = [fault for fault in halted if fault.symbol in {"", underlying}]
        bars = [bar for bar in bars if not any(fault.lasts(bar.at) for fault in halted)]
        return moved_bars(bars, lambda at: self._gap(underlying, at))

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        """Recorded trades are what they were."""
        return self._market.option_minutes(symbol, start, end)

    def daily(self, underlying: str, now: int) -> list[Bar]:
        """A day on which the stock jumps is made of its minutes."""
        bars = self._market.daily(underlying, now)
        if not self._is_disturbed():
            return bars
        found = []
        for bar in bars:
            minutes = self.minutes(underlying, bar.at, min(bar.at + 390 * MINUTE, now))
            jumps = self._gap(underlying, bar.at) != self._gap(underlying, bar.at + 390 * MINUTE)
            if jumps and minutes:
                bar = replace(
                    bar,
                    high=max(one.high for one in minutes),
                    low=min(one.low for one in minutes),
                    close=minutes[-1].close,
                    open=minutes[0].open,
                )
                found.append(bar)
            else:
                found += moved_bars([bar], lambda at: self._gap(underlying, at))
        return found

    def actions(self, now: int) -> list[Action]:
        return self._market.actions(now)

    def _barred(self, contract: Contract, now: int) -> Contract:
        """As the broker has it: perhaps no longer active, or not to be traded."""
        names = (contract.symbol, contract.underlying)
        for kind in BARRING:
            if self._faults.lasting(kind, names, now) is not None:
                is_active = kind is FaultKind.UNTRADABLE
                return replace(contract, is_active=is_active, is_tradable=False)
        return contract

    def _is_disturbed(self) -> bool:
        return any(fault.kind in ON_MARKET for fault in self._faults.armed)

    def _in_force(self, kind: FaultKind, underlying: str, now: int) -> Fault | None:
        faults = self._faults
        for fault in faults.armed:
            if fault.kind != kind or not fault.lasts(now):
                continue
            if fault.symbol in {"", underlying} or _is_of(fault.symbol, underlying):
                faults.meet(fault)
                return fault
        return None

    def _gap(self, underlying: str, now: int) -> float:
        """What the stock's price is multiplied by."""
        found = 1.0
        for fault in self._gaps(underlying, now):
            self._faults.meet(fault)
            found *= factor(fault.setting("percent"))
        return found

    def _gap_at(self, underlying: str, now: int) -> int:
        return max(fault.at for fault in self._gaps(underlying, now))

    def _gaps(self, underlying: str, now: int) -> list[Fault]:
        return [
            fault
            for fault in self._faults.armed
            if fault.kind == FaultKind.GAP and fault.lasts(now)
            if fault.symbol in {"", underlying}
        ]


def _is_of(symbol: str, underlying: str) -> bool:
    """Whether a contract is one of a stock's."""
    return is_option_symbol(symbol) and symbol[:-15].rstrip("0123456789") == underlying


def _last_moment(fault: Fault, now: int) -> int:
    """Until when the quotes are seen."""
    if fault.kind == FaultKind.HALT:
        return min(fault.at, now)
    return now - int(fault.setting("seconds") * SECOND)


def _money(price: Decimal, gap: float) -> Decimal:
    return price if gap == 1 else round(price * Decimal(str(gap)), 2)
