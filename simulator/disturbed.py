"""A market with something wrong: what the armed faults of the market make of another's answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulator.faults import Fault, FaultKind, Faults
from simulator.gap import factor, moved_bars, moved_chain
from simulator.market import Action, Bar, Chain, Market, quote_of
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE, SECOND, new_york_moment

Rows = NDArray[np.intp]
WILD = 1e308  # twice of it is infinite

#: Kinds that are the quotes' own, in the order they are applied.
ON_ROWS: Final = (
    FaultKind.CROSSED,
    FaultKind.LOCKED,
    FaultKind.ZERO_BID,
    FaultKind.ONE_SIDED,
    FaultKind.NO_GREEKS,
    FaultKind.WILD_GREEKS,
    FaultKind.MISSING,
)
ON_MARKET: Final = (*ON_ROWS, FaultKind.DUPLICATED, FaultKind.STALE, FaultKind.HALT, FaultKind.GAP)


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

    def __getattr__(self, name: str) -> Any:
        """What this market can be asked beyond the protocol."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._market, name)

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        listed = self._market.contracts(underlying, now)
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
        return self._market.contract(symbol, now)

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
            self._made[underlying] = made = (chain, key, _disturb(chain, gap, faults))
        return made[2]

    def is_halted(self, underlying: str, now: int) -> bool:
        """Nothing trades."""
        if self._in_force(FaultKind.HALT, underlying, now) is not None:
            return True
        halted = getattr(self._market, "is_halted", None)
        return halted is not None and bool(halted(underlying, now))

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


def _disturb(chain: Chain, gap: float, faults: Sequence[Fault]) -> Chain:
    if gap != 1:
        chain = moved_chain(chain, gap)
    for fault in faults:
        chain = CHANGES[fault.kind](chain, _rows(chain, fault))
    return chain


def _rows(chain: Chain, fault: Fault) -> Rows:
    if is_option_symbol(fault.symbol):
        row = chain.rows.get(fault.symbol)
        return np.array([] if row is None else [row], dtype=np.intp)
    return np.arange(0, len(chain.contracts), max(int(fault.setting("every")), 1), dtype=np.intp)


def _crossed(chain: Chain, rows: Rows) -> Chain:
    bid, ask = chain.bid.copy(), chain.ask.copy()
    bid[rows], ask[rows] = np.fmax(chain.bid[rows], chain.ask[rows]) + 0.01, chain.bid[rows]
    return replace(chain, bid=bid, ask=ask)


def _locked(chain: Chain, rows: Rows) -> Chain:
    ask = chain.ask.copy()
    ask[rows] = chain.bid[rows]
    return replace(chain, ask=ask)


def _zero_bid(chain: Chain, rows: Rows) -> Chain:
    bid, size = chain.bid.copy(), chain.bid_size.copy()
    bid[rows], size[rows] = np.nan, 0
    return replace(chain, bid=bid, bid_size=size)


def _one_sided(chain: Chain, rows: Rows) -> Chain:
    ask, size = chain.ask.copy(), chain.ask_size.copy()
    ask[rows], size[rows] = np.nan, 0
    return replace(chain, ask=ask, ask_size=size)


def _no_greeks(chain: Chain, rows: Rows) -> Chain:
    if chain.vol is None:
        return chain
    vol = chain.vol.copy()
    vol[rows] = np.nan
    return replace(chain, vol=vol)


def _wild_greeks(chain: Chain, rows: Rows) -> Chain:
    if chain.vol is None:
        return chain
    greeks = {name: column.copy() for name, column in chain.greeks.items()}
    for place, column in enumerate(greeks.values()):
        column[rows] = WILD if place % 2 else -WILD
    return replace(chain, greeks=greeks)


def _missing(chain: Chain, rows: Rows) -> Chain:
    keep = np.ones(len(chain.contracts), dtype=bool)
    keep[rows] = False
    kept = np.flatnonzero(keep)
    contracts = [chain.contracts[row] for row in kept.tolist()]
    return replace(
        chain,
        contracts=contracts,
        at=chain.at[kept],
        bid=chain.bid[kept],
        ask=chain.ask[kept],
        bid_size=chain.bid_size[kept],
        ask_size=chain.ask_size[kept],
        vol=None if chain.vol is None else chain.vol[kept],
        greeks={name: column[kept] for name, column in chain.greeks.items()},
        rows={contract.symbol: row for row, contract in enumerate(contracts)},
    )


CHANGES: Mapping[FaultKind, Callable[[Chain, Rows], Chain]] = {
    FaultKind.CROSSED: _crossed,
    FaultKind.LOCKED: _locked,
    FaultKind.ZERO_BID: _zero_bid,
    FaultKind.ONE_SIDED: _one_sided,
    FaultKind.NO_GREEKS: _no_greeks,
    FaultKind.WILD_GREEKS: _wild_greeks,
    FaultKind.MISSING: _missing,
}
