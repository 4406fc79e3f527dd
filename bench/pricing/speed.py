"""Contracts a second beside the peers', and how time grows. Ours takes both cores.

A machine is never quiet: every side is run several times in turns, and its best counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pyvolr

from bench.pricing.contracts import Contracts, chains
from bench.pricing.quantlib import DEFAULT, FAST, Market, rows_of, volatilities
from domain import pricing
from domain.pricing import Floats, Terms

ROUNDS = 3
_OURS_A_ROUND = 3  # ours is over in a moment, and a moment may be a bad one
_VEGA_MIN = 0.02  # of strike for 1.00: where volatilities are compared
#: Contracts a round of each way to ask QuantLib, for some two seconds each.
_SAMPLES = {
    (FAST, "secant"): 30_000,
    (FAST, "Brent"): 8_000,
    (DEFAULT, "secant"): 4_000,
    (DEFAULT, "Brent"): 1_000,
}
_USUAL = 100_000

Step = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    name: str
    per_second: float
    ratio: float  # ours / the peer's
    sample: int  # contracts a round
    vol_error: float  # the worst, where a price says which volatility


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    count: int
    per_second: float
    unsolved: int
    vol_error: float  # the worst, back from our own price
    peers: list[Peer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    count: int
    seconds: float
    nanoseconds_each: float


def american(count: int, seed: int, step: Step) -> Speed:
    """Volatility and five Greeks of ours; QuantLib's volatility alone, on one core.

    `step` is called after each of ROUNDS x (1 + peers) pieces of work.
    """
    contracts = chains(count, seed, is_american=True)
    random, market = np.random.default_rng(seed), Market()
    peers = {}
    for (scheme, finder), usual in _SAMPLES.items():
        size = min(max(usual * count // _USUAL, 20), count)
        chosen = np.sort(random.choice(count, size, replace=False))
        solve = volatilities(market, scheme, finder, list(rows_of(_columns(contracts, chosen))))
        peers[f"QuantLib {scheme} scheme, {finder}"] = (chosen, solve)
    best, rates, answers = np.inf, dict.fromkeys(peers, 0.0), {}
    for _ in range(ROUNDS):
        best = min(best, *(_seconds_of(contracts)[0] for _ in range(_OURS_A_ROUND)))
        step()
        for name, (chosen, solve) in peers.items():
            prices = contracts.price[chosen].tolist()
            start = perf_counter()
            answers[name] = np.array(solve(prices))
            rates[name] = max(rates[name], len(chosen) / (perf_counter() - start))
            step()
    told = [
        Peer(
            name=name,
            per_second=rates[name],
            ratio=count / best / rates[name],
            sample=len(chosen),
            vol_error=_worst(contracts, chosen, answers[name]),
        )
        for name, (chosen, _) in peers.items()
    ]
    return _speed(contracts, best, told)


def european(count: int, seed: int, step: Step) -> Speed:
    """Volatility and five Greeks on both sides, both on every core; pyvolr takes two calls."""
    contracts = chains(count, seed, is_american=False)
    terms = contracts.terms
    flag = terms.sign.astype(np.int64)
    best = best_peer = np.inf
    for _ in range(ROUNDS):
        best = min(best, _seconds_of(contracts)[0])
        step()
        start = perf_counter()
        vol = pyvolr.bs.implied_vol(
            contracts.price,
            flag,
            *(terms.spot, terms.strike, terms.years, terms.rate, terms.carry),
            on_error="ignore",
        )
        pyvolr.bs.greeks(flag, terms.spot, terms.strike, terms.years, terms.rate, vol, terms.carry)
        best_peer = min(best_peer, perf_counter() - start)
        step()
    everyone = np.arange(count)
    peer = Peer(
        name="pyvolr implied_vol + greeks",
        per_second=count / best_peer,
        ratio=best_peer / best,
        sample=count,
        vol_error=_worst(contracts, everyone, np.asarray(vol)),
    )
    return _speed(contracts, best, [peer])


def growth(counts: tuple[int, ...], seed: int, step: Step) -> list[Size]:
    """Seconds of American contracts by their number, the best of ROUNDS, in turns."""
    sizes = [chains(count, seed, is_american=True) for count in counts]
    best = [np.inf] * len(sizes)
    for _ in range(ROUNDS):
        for place, contracts in enumerate(sizes):
            repeats = max(1, counts[-1] // (4 * counts[place]))
            fresh = min(_seconds_of(contracts)[0] for _ in range(min(repeats, _OURS_A_ROUND)))
            best[place] = min(best[place], fresh)
            step()
    return [
        Size(count=count, seconds=seconds, nanoseconds_each=seconds / count * 1e9)
        for count, seconds in zip(counts, best, strict=True)
    ]


def _seconds_of(contracts: Contracts) -> tuple[float, Floats]:
    start = perf_counter()
    vol, _ = pricing.solve(contracts.terms, contracts.price)
    return perf_counter() - start, vol


def _speed(contracts: Contracts, seconds: float, peers: list[Peer]) -> Speed:
    _, vol = _seconds_of(contracts)
    count = len(vol)
    return Speed(
        count=count,
        per_second=count / seconds,
        unsolved=int(np.isnan(vol).sum()),
        vol_error=_worst(contracts, np.arange(count), vol),
        peers=peers,
    )


def _columns(contracts: Contracts, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    terms: Terms = contracts.terms
    columns = (terms.spot, terms.strike, terms.years, terms.rate, terms.carry, terms.sign)
    return np.stack([column[rows] for column in columns], axis=1)


def _worst(
    contracts: Contracts, rows: np.ndarray[tuple[int], np.dtype[np.int64]], found: Floats
) -> float:
    vega = pricing.greeks(contracts.terms, contracts.vol).vega[rows] * 100
    is_told = vega > _VEGA_MIN * contracts.terms.strike[rows]
    return float(np.max(abs(found - contracts.vol[rows]), where=is_told, initial=0.0))
