"""The columns of a chain, listed once, and what is wrong with a quote.

A chain is a frame with one row a contract, unique by symbol. NaN (NaT for a time) means unknown
and passes no filter.
"""

from datetime import datetime
from enum import StrEnum

import numpy as np
import pandas as pd

#: Column -> dtype. Prices USD per share; sizes and open interest in contracts.
CHAIN: dict[str, str] = {
    "symbol": "object",
    "underlying": "object",
    "expiration": "object",  # datetime.date, as inside the symbol
    "strike": "float64",
    "right": "object",  # C or P
    "style": "object",  # american or european
    "multiplier": "float64",  # shares a contract's premium is for
    "open_interest": "float64",
    "bid": "float64",
    "ask": "float64",
    "bid_size": "float64",
    "ask_size": "float64",
    "quoted_at": "datetime64[ns, UTC]",
    "broker_iv": "float64",  # per year, as the broker sends it
}

#: What compute-Greeks adds.
GREEKS: dict[str, str] = {
    "mid": "float64",  # USD per share
    "years": "float64",  # to the close of the last trading day, ACT/365
    "rate": "float64",  # per year, continuous
    "forward": "float64",  # USD per share
    "iv": "float64",  # per year: 0.20 is 20 %
    "delta": "float64",  # USD per USD of spot
    "gamma": "float64",  # delta per USD of spot
    "theta": "float64",  # USD per calendar day
    "vega": "float64",  # USD per volatility point (0.01)
    "rho": "float64",  # USD per 1 % of rate
    "flag": "object",  # QuoteFlag, or None when solved
}


class QuoteFlag(StrEnum):
    """Why a contract has no Greeks."""

    NO_UNDERLYING = "no_underlying"  # no price of the underlying at the snapshot
    EXPIRED = "expired"  # its last trading session has closed
    NO_QUOTE = "no_quote"  # neither side
    NO_BID = "no_bid"  # one-sided: nobody buys
    NO_ASK = "no_ask"  # one-sided: nobody sells
    CROSSED = "crossed"  # bid above ask
    BELOW_INTRINSIC = "below_intrinsic"  # the mid is worth less than the discounted exercise
    ABOVE_BOUND = "above_bound"  # the mid is worth more than the share or the strike


class BadChain(ValueError):
    """A frame that is not a chain; the message names the column."""


def as_chain(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` with exactly the chain's columns and dtypes, sorted by expiration, strike, right."""
    missing = [name for name in CHAIN if name not in rows.columns]
    if missing:
        raise BadChain(f"a chain lacks the columns {', '.join(missing)}")
    chain = rows[list(CHAIN)].astype(CHAIN)
    twice = chain["symbol"].duplicated()
    if twice.any():
        raise BadChain(f"a chain has {chain['symbol'][twice].iloc[0]} twice")
    return chain.sort_values(["expiration", "strike", "right"], ignore_index=True)


def quote_flags(chain: pd.DataFrame) -> pd.Series:
    """The QuoteFlag of each row's quote; None where both sides stand and do not cross."""
    no_bid = ~(chain["bid"] > 0)
    no_ask = ~(chain["ask"] > 0)
    flags = np.select(
        [no_bid & no_ask, no_bid, no_ask, chain["bid"] > chain["ask"]],
        [QuoteFlag.NO_QUOTE, QuoteFlag.NO_BID, QuoteFlag.NO_ASK, QuoteFlag.CROSSED],
        default="",
    )
    return pd.Series(flags, index=chain.index, dtype=object).replace("", None)


def quote_age_s(chain: pd.DataFrame, now: datetime) -> pd.Series:
    """Seconds since each quote was made; NaN where the time is unknown."""
    age: pd.Series = (pd.Timestamp(now) - chain["quoted_at"]).dt.total_seconds()
    return age
