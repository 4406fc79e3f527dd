"""Who is assigned before expiry: holders give up time value rarely, and a dividend to catch it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zlib import crc32

import numpy as np

#: Time value in USD a share that halves the wish to exercise.
HALVING_USD = 0.05
#: Nearly every holder takes a dividend that is worth more than the time value.
DIVIDEND_CHANCE = 0.9


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One short contract on one night; USD a share at the close."""

    worth_usd: Decimal
    mark_usd: Decimal
    dividend_usd: Decimal  # 0 for puts, and unless tomorrow is the ex-day


def chance(case: Case, base: float) -> float:
    """Of one contract, from 0 to 1; `base` is that without any time value.

    >>> [chance(Case(worth_usd=Decimal(5), mark_usd=Decimal(mark), dividend_usd=Decimal(0)), 0.1)
    ...  for mark in ("5", "5.05", "5.1")]
    [0.1, 0.05, 0.025]
    """
    if case.worth_usd <= 0 or base <= 0:
        return 0.0
    left = max(case.mark_usd - case.worth_usd, Decimal(0))
    if case.dividend_usd > left:
        return DIVIDEND_CHANCE
    return base * float(np.exp2(-float(left) / HALVING_USD))


def drawn(qty: int, share: float, symbol: str, day: date, seed: int) -> int:
    """How many of qty contracts; the same for the same seed, whatever else was drawn."""
    if share <= 0:
        return 0
    draws = np.random.default_rng([seed, day.toordinal(), crc32(symbol.encode())])
    return int(draws.binomial(qty, share))
