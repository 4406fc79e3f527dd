"""What the made-up market quotes about a model price: bid, ask and their sizes."""

from dataclasses import dataclass

import numpy as np

from simulator.market import Floats, Integers

WORTHLESS_USD = 0.015  # models below this have no bid
ADJUSTED_WIDER = 2.5  # few trade what a split has left behind


@dataclass(frozen=True, kw_only=True, slots=True)
class Odd:
    """Shares of quotes that are crossed, or have one side only, at any minute."""

    crossed: float
    one_sided: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """What chance says about each row of a chain at one minute, whatever it is worth."""

    stretch: Floats  # of the spread
    odd: Floats  # 0 to 1: whether a quote is crossed or one-sided
    side: Floats  # 0 to 1: which one is missing then
    size: Integers  # shape (2, n)

    def only(self, row: int) -> "Draws":
        one = slice(row, row + 1)
        return Draws(
            stretch=self.stretch[one],
            odd=self.odd[one],
            side=self.side[one],
            size=self.size[:, one],
        )


def draws(count: int, rng: np.random.Generator) -> Draws:
    return Draws(
        stretch=rng.uniform(0.8, 1.2, count),
        odd=rng.random(count),
        side=rng.random(count),
        size=rng.integers(1, 120, (2, count)),
    )


def sides(
    value: Floats, delta: Floats, nickel_usd: Floats, width: Floats, drawn: Draws, shares: Odd
) -> tuple[Floats, Floats]:
    """Bid and ask on ticks about the model; wider for dear and for deep contracts.

    `delta` is unsigned; `nickel_usd` the tick from 3 USD on; `width` makes a row's spread wider.
    """
    tick = np.where(value < 3, 0.01, nickel_usd)
    deep = np.maximum(delta - 0.5, 0.0)
    half = width * (0.015 + 0.007 * value**0.75 + 0.008 * value * deep) * drawn.stretch
    bid = np.round(np.floor((value - half) / tick + 1e-9) * tick, 2)
    ask = np.round(np.ceil((value + half) / tick - 1e-9) * tick, 2)
    ask = np.maximum(ask, 0.01)
    bid = np.where((value < WORTHLESS_USD) | (bid <= 0), np.nan, bid)
    odd = drawn.odd
    crossed = (odd < shares.crossed) & (bid > 0.05)
    bid, ask = np.where(crossed, ask, bid), np.where(crossed, bid, ask)
    one_sided = (odd >= shares.crossed) & (odd < shares.crossed + shares.one_sided)
    no_ask = one_sided & (drawn.side < 0.5)
    return np.where(one_sided & ~no_ask, np.nan, bid), np.where(no_ask, np.nan, ask)


def sizes(delta: Floats, drawn: Draws) -> Integers:
    """Of bids and asks, shape (2, n): large for cheap far contracts, small for deep ones."""
    scale = np.clip(4 * (1 - delta) ** 2, 0.2, 4.0)
    return np.maximum(drawn.size * scale, 1).astype(np.int64)
