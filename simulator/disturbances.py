"""What the armed faults of the market make of a chain of quotes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.faults import Fault, FaultKind
from simulator.gap import moved_chain
from simulator.market import Chain
from simulator.symbols import is_option_symbol

Rows = NDArray[np.intp]
COLUMNS = ("at", "bid", "ask", "bid_size", "ask_size")
WILD = 1e308  # twice of it is infinite


def disturb(chain: Chain, gap: float, faults: Sequence[Fault]) -> Chain:
    """The chain moved by a factor, then changed by each fault in turn."""
    if gap != 1:
        chain = moved_chain(chain, gap)
    for fault in faults:
        chain = CHANGES[fault.kind](chain, _rows(chain, fault))
    return chain


def with_older(chain: Chain, older: Chain | None, symbol: str) -> Chain:
    """One contract quoted as in an older chain; not at all when it was not."""
    row = chain.rows.get(symbol)
    if row is None:
        return chain
    was = None if older is None else older.rows.get(symbol)
    if older is None or was is None:
        return _missing(chain, np.array([row], dtype=np.intp))
    columns = {name: getattr(chain, name).copy() for name in COLUMNS}
    for name, column in columns.items():
        column[row] = getattr(older, name)[was]
    if chain.vol is not None and older.vol is not None:
        columns["vol"] = chain.vol.copy()
        columns["vol"][row] = older.vol[was]
    greeks = {name: column.copy() for name, column in chain.greeks.items()}
    for name, column in greeks.items():
        column[row] = older.greeks[name][was]
    return replace(chain, **columns, greeks=greeks)


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
    return chain.only(keep)


CHANGES: Mapping[FaultKind, Callable[[Chain, Rows], Chain]] = {
    FaultKind.CROSSED: _crossed,
    FaultKind.LOCKED: _locked,
    FaultKind.ZERO_BID: _zero_bid,
    FaultKind.ONE_SIDED: _one_sided,
    FaultKind.NO_GREEKS: _no_greeks,
    FaultKind.WILD_GREEKS: _wild_greeks,
    FaultKind.MISSING: _missing,
}
