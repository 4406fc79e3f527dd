"""A stock that jumps by a factor, and what its contracts are worth then.

With the same volatility by moneyness a price is homogeneous in stock and strike: after a jump by
`g` the contract at strike K is worth g times what the one at K/g was. That needs no model, so a
recorded chain can jump too, and what was free of arbitrage stays so.
"""

from dataclasses import replace
from decimal import Decimal

import numpy as np

from simulator.market import Bar, Chain, Floats

FACTOR_MIN = 0.01
#: By what power of the factor a Greek grows; the others do not.
POWERS = {"gamma": -1.0, "vega": 1.0, "theta": 1.0, "rho": 1.0}


def factor(percent: float) -> float:
    """Never to nothing."""
    return max(1 + percent / 100, FACTOR_MIN)


def money(price: Decimal, by: float) -> Decimal:
    """A price moved, in whole cents."""
    return price if by == 1 else round(price * Decimal(str(by)), 2)


def moved_bar(bar: Bar, first: float, last: float) -> Bar:
    """A bar in which the stock's factor goes from `first` to `last`, at most once."""
    if first == last == 1:
        return bar
    opened, closed = _moved(bar.open, first), _moved(bar.close, last)
    seen = [opened, _moved(bar.open, last), closed]
    if first == last:
        seen += [_moved(bar.high, first), _moved(bar.low, first)]
    return replace(bar, open=opened, high=max(seen), low=min(seen), close=closed)


def _moved(price: float, by: float) -> float:
    return float(money(Decimal(str(price)), by))


def moved_chain(chain: Chain, by: float) -> Chain:
    """The same contracts after the jump; prices to the cent, outwards."""
    bid, ask = np.full(len(chain.bid), np.nan), np.full(len(chain.ask), np.nan)
    vol = None if chain.vol is None else chain.vol.copy()
    greeks = {name: column.copy() for name, column in chain.greeks.items()}
    for rows, strikes, sign in _groups(chain):
        at = strikes / by
        bid[rows] = np.floor(_worth(strikes, chain.bid[rows], at, sign) * by * 100 + 1e-6) / 100
        ask[rows] = np.ceil(_worth(strikes, chain.ask[rows], at, sign) * by * 100 - 1e-6) / 100
        if vol is not None and chain.vol is not None:
            vol[rows] = np.interp(at, strikes, chain.vol[rows])
        for name, column in greeks.items():
            grown = by ** POWERS.get(name, 0.0)
            column[rows] = np.interp(at, strikes, chain.greeks[name][rows]) * grown
    bid = np.where(bid > 0, bid, np.nan)
    ask = np.where(ask > 0, ask, np.where(np.isnan(ask), np.nan, 0.01))
    return replace(
        chain,
        bid=bid,
        ask=ask,
        bid_size=np.where(np.isnan(bid), 0, np.maximum(chain.bid_size, 1)),
        ask_size=np.where(np.isnan(ask), 0, np.maximum(chain.ask_size, 1)),
        vol=vol,
        greeks=greeks,
    )


def _groups(chain: Chain) -> list[tuple[np.typing.NDArray[np.intp], Floats, float]]:
    """Rows of one expiration and right by strike, with +1 for calls and -1 for puts."""
    found: dict[tuple[object, ...], list[int]] = {}
    for row, contract in enumerate(chain.contracts):
        found.setdefault((contract.root, contract.last_day, contract.right), []).append(row)
    groups = []
    for key, members in found.items():
        strikes = np.array([float(chain.contracts[row].strike) for row in members])
        order = np.argsort(strikes, kind="stable")
        rows = np.array(members, dtype=np.intp)[order]
        groups.append((rows, strikes[order], 1.0 if key[-1] == "call" else -1.0))
    return groups


def _worth(strikes: Floats, prices: Floats, at: Floats, sign: float) -> Floats:
    """Between listed strikes by straight lines, beyond them by what exercise adds."""
    known = ~np.isnan(prices)
    if not known.any():
        return np.full(len(at), np.nan)
    low, high = strikes[known][0], strikes[known][-1]
    found: Floats = np.interp(at, strikes[known], prices[known])
    inward = np.maximum(low - at, 0.0) if sign > 0 else np.maximum(at - high, 0.0)
    found += inward
    return found
