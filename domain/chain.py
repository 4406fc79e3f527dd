"""The columns of a chain, listed once, and what is wrong with a quote.

A chain is a frame with one row a contract, unique by symbol. NaN (NaT for a time) means unknown
and passes no filter.
"""

from datetime import datetime
from enum import StrEnum

import numpy as np
import pandas as pd

#: What the broker sends of its own model, where it sends any: the units of GREEKS.
BROKER: dict[str, str] = {
    "broker_iv": "float64",
    "broker_delta": "float64",
    "broker_gamma": "float64",
    "broker_theta": "float64",
    "broker_vega": "float64",
    "broker_rho": "float64",
}

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
} | BROKER

#: What compute-Greeks finds for an expiration of a root: the same in each of its rows.
FORWARD: dict[str, str] = {
    "root": "object",  # of the symbols: SPX and SPXW expire on one day at two times
    "years": "float64",  # to the end of trading in the contract, ACT/365 by the minute
    "clock_years": "float64",  # the same by the clock that volatility is stated in
    "rate": "float64",  # per year, continuous
    "curve_day": "object",  # datetime.date of the Treasury yields behind the rate
    "carry": "float64",  # per year, continuous: what the share pays besides the known dividends
    "dividends_pv": "float64",  # USD per share: present value of those known before expiry
    "pairs": "float64",  # calls and puts of one strike that the forward was read from
    "forward": "float64",  # USD per share
    "forward_source": "object",  # ForwardSource, or None without a forward
}

#: What compute-Greeks finds for a contract.
CONTRACT: dict[str, str] = {
    "model": "object",  # Model
    "mid": "float64",  # USD per share
    "bid_iv": "float64",  # per year: the volatility of the bid alone
    "iv": "float64",  # per year of the clock: 0.20 is 20 %; of the mid
    "ask_iv": "float64",  # per year: the volatility of the ask alone
    "delta": "float64",  # USD per USD of spot
    "gamma": "float64",  # delta per USD of spot
    "theta": "float64",  # USD per calendar day
    "vega": "float64",  # USD per volatility point (0.01)
    "rho": "float64",  # USD per 1 % of rate
    "iv_gap": "float64",  # ours in calendar years less the broker's, and so the next five
    "delta_gap": "float64",
    "gamma_gap": "float64",
    "theta_gap": "float64",
    "vega_gap": "float64",
    "rho_gap": "float64",
    "flag": "object",  # QuoteFlag, or None where the numbers may be traded on
}

#: Everything that compute-Greeks adds to a chain.
GREEKS: dict[str, str] = FORWARD | CONTRACT

#: A quote is wide when its ask is above this multiple of its bid and this far from it.
WIDE_BID_MULTIPLE, WIDE_USD_MIN = 2.0, 0.25
#: Or when its sides lie this share of the underlying's price apart, however dear it is.
WIDE_SPOT_SHARE = 0.05
#: Quotes that nobody has renewed for an hour speak of another price of the underlying.
STALE_AGE_S_MAX = 3_600.0


class Model(StrEnum):
    """How a contract is priced."""

    EUROPEAN = "european"  # Black-Scholes on the forward, which holds every dividend
    AMERICAN = "american"  # exercise at any time, on a continuous carry
    AMERICAN_DIVIDENDS = "american_dividends"  # the same, with cash dividends on their days


class ForwardSource(StrEnum):
    """Where an expiration's forward comes from."""

    PARITY = "parity"  # its own calls and puts near the money
    BOUNDED = "bounded"  # its own pairs, held at the most that a share can carry
    NEIGHBOUR = "neighbour"  # too few pairs: the carry of the expirations beside it
    SPOT = "spot"  # no expiration has enough pairs: spot grown at the rate, less dividends


class QuoteFlag(StrEnum):
    """Why a contract has no Greeks, or has some that nothing may be traded on."""

    NO_UNDERLYING = "no_underlying"  # no price of the underlying at the snapshot
    EXPIRED = "expired"  # its last trading session has closed
    NO_QUOTE = "no_quote"  # neither side
    NO_BID = "no_bid"  # one-sided: nobody buys
    NO_ASK = "no_ask"  # one-sided: nobody sells
    CROSSED = "crossed"  # bid above ask
    BELOW_INTRINSIC = "below_intrinsic"  # the mid is worth no more than exercise, now or at expiry
    ABOVE_BOUND = "above_bound"  # the mid is worth more than the share or the strike
    BEYOND_BOUNDS = "beyond_bounds"  # no volatility that the model knows gives the mid
    WIDE = "wide"  # solved, but bid and ask lie too far apart for the mid to mean much
    STALE = "stale"  # solved, but the quote is over an hour old, or of unknown age


#: Flags of a row that has its numbers all the same. They tell what is held, and open nothing.
DOUBTS = (QuoteFlag.WIDE, QuoteFlag.STALE)


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


def quote_doubts(chain: pd.DataFrame, spot: float, now: datetime) -> pd.Series:
    """WIDE or STALE where a two-sided quote must not be traded on; None where it may.

    spot  USD per share
    """
    bid, spread = chain["bid"], chain["ask"] - chain["bid"]
    is_wide = (chain["ask"] > WIDE_BID_MULTIPLE * bid) & (spread > WIDE_USD_MIN)
    is_wide |= spread > WIDE_SPOT_SHARE * spot
    is_fresh = quote_age_s(chain, now) <= STALE_AGE_S_MAX  # NaN is not
    doubts = np.select([is_wide, ~is_fresh], [QuoteFlag.WIDE, QuoteFlag.STALE], default="")
    return pd.Series(doubts, index=chain.index, dtype=object).replace("", None)


def quote_age_s(chain: pd.DataFrame, now: datetime) -> pd.Series:
    """Seconds since each quote was made; NaN where the time is unknown."""
    age: pd.Series = (pd.Timestamp(now) - chain["quoted_at"]).dt.total_seconds()
    return age
