"""From a chain of quotes to a chain with Greeks: the step between snapshot and scan."""

from datetime import datetime

import numpy as np
import pandas as pd

from domain import calendar, pricing
from domain.chain import GREEKS, QuoteFlag, quote_flags
from domain.rates import Curve

#: Pairs this near the money say what the forward is; farther ones say what their spread is.
PARITY_MONEYNESS_MAX = 0.05
PARITY_PAIRS_MIN = 3


def chain_to_forwards(chain: pd.DataFrame, spot: float) -> pd.Series:
    """The forward, USD per share, that put-call parity implies for each expiration.

    chain  with mid, years, rate, flag (None where the quote is sound)
    Median over the pairs near the money; an expiration with too few pairs is missing, and its
    forward is then spot grown at the rate.
    """
    sound = chain[
        chain["flag"].isna() & ((chain["strike"] / spot - 1).abs() <= PARITY_MONEYNESS_MAX)
    ]
    keys = ["expiration", "strike"]
    calls = sound[sound["right"] == "C"].set_index(keys)
    puts = sound[sound["right"] == "P"].set_index(keys)
    pairs = calls.join(puts[["mid"]], how="inner", rsuffix="_put").reset_index()
    pairs = pairs.drop_duplicates(keys, keep=False)
    grown = (pairs["mid"] - pairs["mid_put"]) * np.exp(pairs["rate"] * pairs["years"])
    forwards = (pairs["strike"] + grown).groupby(pairs["expiration"])
    return forwards.median()[forwards.size() >= PARITY_PAIRS_MIN]


def chain_to_greeks(chain: pd.DataFrame, spot: float, now: datetime, curve: Curve) -> pd.DataFrame:
    """`chain` with the GREEKS columns added; a row that cannot be solved has NaN and a flag.

    spot  USD per share at the snapshot; NaN when unknown: then every row is flagged
    """
    years = calendar.years_to_expiry(now, chain["expiration"])
    priced = chain.assign(
        mid=(chain["bid"] + chain["ask"]) / 2,
        years=years,
        rate=curve.rate(years),
        flag=quote_flags(chain),
    )
    priced.loc[priced["years"] <= 0, "flag"] = QuoteFlag.EXPIRED
    if not spot > 0:
        priced["flag"] = QuoteFlag.NO_UNDERLYING
    implied = priced["expiration"].map(chain_to_forwards(priced, spot))
    grown = spot * np.exp(priced["rate"] * priced["years"])
    priced["forward"] = np.where(implied.isna(), grown, implied)
    return _solved(priced, spot)


def _solved(priced: pd.DataFrame, spot: float) -> pd.DataFrame:
    terms = _terms(priced, spot)
    low, high = pricing.price_bounds(terms)
    sound = priced["flag"].isna()
    mid = priced["mid"].to_numpy()
    priced.loc[sound & (mid <= low), "flag"] = QuoteFlag.BELOW_INTRINSIC
    priced.loc[sound & (mid >= high), "flag"] = QuoteFlag.ABOVE_BOUND
    vol = pricing.implied_volatility(terms, np.where(priced["flag"].isna(), mid, np.nan))
    found = pricing.greeks(terms, vol)
    priced = priced.assign(
        iv=vol,
        delta=found.delta,
        gamma=found.gamma,
        theta=found.theta,
        vega=found.vega,
        rho=found.rho,
    )
    # Within the bounds but below the lowest volatility: as good as intrinsic.
    priced.loc[priced["flag"].isna() & priced["iv"].isna(), "flag"] = QuoteFlag.BELOW_INTRINSIC
    return priced[[*chain_columns(priced), *GREEKS]]


def chain_columns(priced: pd.DataFrame) -> list[str]:
    """The columns of `priced` that are not Greeks, in their order."""
    return [name for name in priced.columns if name not in GREEKS]


def _terms(priced: pd.DataFrame, spot: float) -> pricing.Terms:
    years, rate = priced["years"].to_numpy(), priced["rate"].to_numpy()
    forward = priced["forward"].to_numpy()
    with np.errstate(all="ignore"):
        carry = rate - np.log(forward / spot) / years
    return pricing.Terms(
        spot=np.full(len(priced), spot),
        strike=priced["strike"].to_numpy(),
        years=years,
        rate=rate,
        carry=carry,
        sign=np.where(priced["right"] == "C", 1.0, -1.0),
        american=(priced["style"] == "american").to_numpy(),
    )
