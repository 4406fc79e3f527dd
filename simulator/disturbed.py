"""A market with something wrong: what the armed faults of the market make of another's answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from simulator import disturbances
from simulator.faults import ON_ROWS, REMEMBERED, Fault, FaultKind, Faults
from simulator.gap import factor, money, moved_bar
from simulator.market import Action, Adjustment, Bar, Chain, Halt, Market, prices_of, quote_of
from simulator.sessions import Sessions
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE, SECOND

ON_MARKET: Final = (*ON_ROWS, FaultKind.DUPLICATED, FaultKind.STALE, FaultKind.HALT, FaultKind.GAP)
#: Kinds that keep orders from a contract; its quotes go on.
BARRING: Final = (FaultKind.INACTIVE, FaultKind.UNTRADABLE)


class Disturbed:
    """See `market.Market` for what each question means. Without a fault in force the answers are
    the market's own."""

    def __init__(self, market: Market, faults: Faults, sessions: Sessions) -> None:
        self._market = market
        self._faults = faults
        self._sessions = sessions
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
        halt = self._in_force(FaultKind.HALT, underlying, now)
        seen = now if halt is None else _last_moment(halt, now)
        stale = self._in_force(FaultKind.STALE, underlying, now)
        is_alone = stale is not None and is_option_symbol(stale.symbol)
        older = seen if stale is None else min(seen, _last_moment(stale, now))
        if not is_alone:
            seen = older
        chain = self._market.chain(underlying, seen)
        if chain is None:
            return None
        if stale is not None and is_alone:
            before = self._market.chain(underlying, older)
            chain = disturbances.with_older(chain, before, stale.symbol)
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
        if last is None:
            return None
        changes = [at for at in self._changes(underlying, last[0]) if at <= seen]
        return max([last[0], *changes]), money(last[1], self._gap(underlying, seen))

    def quoted_at(self, underlying: str, now: int) -> int:
        fault = self._in_force(FaultKind.STALE, underlying, now)
        is_its = fault is not None and fault.symbol == underlying
        return _last_moment(fault, now) if fault is not None and is_its else now

    def moments(self, underlying: str, start: int, end: int) -> list[int]:
        found = self._market.moments(underlying, start, end)
        if not self._is_disturbed():
            return found
        halts = self._of(FaultKind.HALT, underlying)
        faults = [*halts, *self._of(FaultKind.GAP, underlying)]
        edges = {at for fault in faults for at in (fault.at, fault.until) if at is not None}
        spots = (self.spot(underlying, at) for at in edges if start <= at <= end)
        both = {*found, *(spot[0] for spot in spots if spot is not None and spot[0] in edges)}
        return sorted(at for at in both if not any(f.at < at and f.lasts(at) for f in halts))

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        price = self._market.official_close(underlying, day)
        session = self._sessions.on(day)
        if price is None or session is None:
            return price
        return money(price, self._gap(underlying, session.close - 1))

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        closed = self._market.last_close(symbol, now)
        session = None if closed is None else self._sessions.on(closed[0])
        if closed is None or session is None or not self._is_disturbed():
            return closed
        contract = self._market.contract(symbol, now) if is_option_symbol(symbol) else None
        if contract is None:
            return closed[0], money(closed[1], self._gap(symbol, session.close - 1))
        at = session.close - MINUTE
        if self._gap(contract.underlying, at) == 1:
            return closed
        quote = quote_of(self, symbol, at)
        mark = quote.mark() if quote is not None else None
        return None if mark is None else (closed[0], mark)

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        bars = self._market.minutes(underlying, start, end)
        if not self._is_disturbed():
            return bars
        halts = self._of(FaultKind.HALT, underlying)
        return [
            moved_bar(
                bar, self._gap(underlying, bar.at), self._gap(underlying, bar.at + MINUTE - 1)
            )
            for bar in bars
            if not any(_overlaps(halt, bar.at, bar.at + MINUTE) for halt in halts)
        ]

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        """Recorded trades are what they were."""
        return self._market.option_minutes(symbol, start, end)

    def daily(self, underlying: str, now: int) -> list[Bar]:
        if not self._is_disturbed():
            return self._market.daily(underlying, now)
        halt = self._in_force(FaultKind.HALT, underlying, now)
        seen = now if halt is None else _last_moment(halt, now)
        return [self._day(underlying, bar, seen) for bar in self._market.daily(underlying, seen)]

    def _day(self, underlying: str, bar: Bar, seen: int) -> Bar:
        """One that a jump or a halt has touched is made of the prices that were seen."""
        session = self._sessions.started(bar.at)
        faults = [f for kind in REMEMBERED for f in self._of(kind, underlying)]
        if not any(_overlaps(f, session.open, min(session.close, seen + 1)) for f in faults):
            return bar
        spots = prices_of(self, underlying, session.open, min(session.close - 1, seen))
        close = self.official_close(underlying, session.day) if seen >= session.close else None
        prices = [float(price) for price in (*(price for _, price in spots), close) if price]
        if not prices:
            return bar
        halts = self._of(FaultKind.HALT, underlying)
        end = min(session.close, seen)
        hidden = [
            one
            for one in self._market.minutes(underlying, session.open, end)
            if any(halt.at <= one.at and _overlaps(halt, one.at, one.at + 1) for halt in halts)
        ]
        return replace(
            bar,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=max(bar.volume - sum(one.volume for one in hidden), 0),
            trades=max(bar.trades - sum(one.trades for one in hidden), 0),
        )

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
        faults = self._faults
        return bool(faults.ended) or any(fault.kind in ON_MARKET for fault in faults.armed)

    def _of(self, kind: FaultKind, underlying: str) -> list[Fault]:
        """All that there are and were of a stock or its contracts, the oldest first."""
        return [
            fault
            for fault in (*self._faults.ended, *self._faults.armed)
            if fault.kind == kind and _is_of(fault.symbol, underlying)
        ]

    def _in_force(self, kind: FaultKind, underlying: str, now: int) -> Fault | None:
        for fault in self._of(kind, underlying):
            if fault.lasts(now):
                self._faults.meet(fault)
                return fault
        return None

    def _gap(self, underlying: str, now: int) -> float:
        """What the stock's price is multiplied by."""
        found = 1.0
        for fault in self._of(FaultKind.GAP, underlying):
            if fault.lasts(now):
                self._faults.meet(fault)
                found *= factor(fault.setting("percent"))
        return found

    def _changes(self, underlying: str, since: int) -> list[int]:
        """When a price of the market's that stands since a moment was seen to change, for a jump or
        for its end, or was first seen, at the end of a halt."""
        gaps = self._of(FaultKind.GAP, underlying)
        halts = [f for f in self._of(FaultKind.HALT, underlying) if f.at < since]
        edges = [fault.at for fault in gaps] + [fault.until for fault in (*gaps, *halts)]
        return [edge for edge in edges if edge is not None and edge >= since]


def _is_of(symbol: str, underlying: str) -> bool:
    """Whether a fault of this symbol meets a stock: of all, of the stock, or of its contracts."""
    if is_option_symbol(symbol):
        return symbol[:-15].rstrip("0123456789") == underlying
    return symbol in {"", underlying}


def _overlaps(fault: Fault, start: int, end: int) -> bool:
    """Whether it lasts at any moment of [start, end)."""
    return fault.at < end and (fault.until is None or fault.until > start)


def _last_moment(fault: Fault, now: int) -> int:
    """Until when the quotes are seen."""
    if fault.kind == FaultKind.HALT:
        return min(fault.at, now)
    return now - int(fault.setting("seconds") * SECOND)
