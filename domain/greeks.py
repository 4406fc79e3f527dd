"""From a chain of quotes to a chain with Greeks: the step between snapshot and scan."""

from datetime import datetime

import numpy as np
import pandas as pd

from domain import calendar, pricing
from domain.calendar import CALENDAR_TIME, Clock
from domain.carry import KEY, Market, chain_to_forwards, whole_carry
from domain.chain import BROKER, FORWARD, GREEKS, Model, QuoteFlag, quote_doubts, quote_flags
from domain.pricing import Dividends, Floats, Terms
from domain.rates import Curve

#: A mid this share of spot above its bound is at it: nothing is left for volatility to explain.
BOUND_SHARE = 1e-9
SOLVED = ("iv", "delta", "gamma", "theta", "vega", "rho")


def chain_to_greeks(
    chain: pd.DataFrame,
    spot: float,
    now: datetime,
    curve: Curve,
    dividends: Dividends | None = None,
    clock: Clock = CALENDAR_TIME,
) -> pd.DataFrame:
    """`chain` with the GREEKS columns added; a row that cannot be solved has NaN and a flag.

    spot       USD per share at the snapshot; NaN when unknown: then every row is flagged
    dividends  the known ones of the share, years from `now` to each ex-date
    clock      by which volatility is stated; prices run in calendar time

    A wide or stale quote keeps its numbers and has a flag all the same: only rows without a flag
    may be traded on.
    """
    market = Market(spot=spot, curve=curve, dividends=dividends or Dividends())
    roots = chain["symbol"].str[:-15]
    years = calendar.years_to_expiry(now, chain["expiration"], roots)
    flags = quote_flags(chain)
    doubts = quote_doubts(chain, spot, now)
    quoted = chain.assign(
        root=roots,
        mid=(chain["bid"] + chain["ask"]) / 2,
        years=years,
        clock_years=calendar.years_to_expiry(now, chain["expiration"], roots, clock),
        flag=flags,
        is_sound=flags.isna() & doubts.isna(),
    )
    quoted.loc[quoted["years"] <= 0, "flag"] = QuoteFlag.EXPIRED
    if not spot > 0:
        quoted["flag"] = QuoteFlag.NO_UNDERLYING
    forwards = chain_to_forwards(quoted, market)
    known = forwards.drop(columns=["root", "years", "clock_years"])
    priced = _solved(quoted.join(known, on=KEY), market)
    priced["flag"] = priced["flag"].where(priced["flag"].notna(), doubts)
    return priced[[*chain.columns, *GREEKS]]


def _solved(priced: pd.DataFrame, market: Market) -> pd.DataFrame:
    """`priced` with model, volatilities, Greeks and the flags of what has none."""
    columns = dict.fromkeys(("bid_iv", *SOLVED, "ask_iv"), np.nan)
    priced = priced.assign(**columns, model=_models(priced, market.dividends))
    is_american = (priced["style"] == "american").to_numpy()
    for rows in (is_american, ~is_american):
        if rows.any():
            part = _solved_alike(priced[rows].copy(), market)
            priced.loc[rows, [*columns, "flag"]] = part[[*columns, "flag"]]
    gaps = {
        name.replace("broker_", "") + "_gap": priced[name.removeprefix("broker_")] - priced[name]
        for name in BROKER
    }
    # The broker's year is the calendar's; from here on ours is the clock's.
    years, clock_years = priced["years"].to_numpy(), priced["clock_years"].to_numpy()
    scale = calendar.volatility_scale(years, clock_years)
    stated = {name: priced[name] * scale for name in ("bid_iv", "iv", "ask_iv")}
    return priced.assign(**gaps, **stated, vega=priced["vega"] / scale)


def _solved_alike(part: pd.DataFrame, market: Market) -> pd.DataFrame:
    """The same for contracts of one style."""
    terms = _terms(part, market)
    low, high = pricing.price_bounds(terms)
    mid = part["mid"].to_numpy()
    sound = part["flag"].isna()
    part.loc[sound & (mid <= low + BOUND_SHARE * market.spot), "flag"] = QuoteFlag.BELOW_INTRINSIC
    part.loc[sound & (mid >= high), "flag"] = QuoteFlag.ABOVE_BOUND
    vol, found = pricing.solve(terms, np.where(part["flag"].isna(), mid, np.nan))
    part = part.assign(
        bid_iv=pricing.implied_volatility(terms, part["bid"].to_numpy()),
        iv=vol,
        ask_iv=pricing.implied_volatility(terms, part["ask"].to_numpy()),
        **{name: getattr(found, name) for name in SOLVED[1:]},
    )
    is_whole = part[list(SOLVED)].notna().all(axis=1)
    part.loc[~is_whole, list(SOLVED)] = np.nan
    part.loc[part["flag"].isna() & ~is_whole, "flag"] = QuoteFlag.BEYOND_BOUNDS
    return part


def _models(priced: pd.DataFrame, dividends: Dividends) -> Floats:
    """The Model of each row: cash dividends count where one lies before the expiry."""
    is_american = (priced["style"] == "american").to_numpy()
    first = min((at for at in dividends.years if at > 0), default=np.inf)
    names = np.where(priced["years"] > first, Model.AMERICAN_DIVIDENDS, Model.AMERICAN)
    return np.where(is_american, names, Model.EUROPEAN)


def _terms(part: pd.DataFrame, market: Market) -> Terms:
    """American contracts keep the dividends apart; for European ones the forward holds all."""
    years, rate = part["years"].to_numpy(), part["rate"].to_numpy()
    american = (part["style"] == "american").to_numpy()
    is_american = bool(american.all())
    whole = whole_carry(part["forward"].to_numpy(), years, rate, market.spot)
    return Terms(
        spot=np.full(len(part), market.spot),
        strike=part["strike"].to_numpy(),
        years=years,
        rate=rate,
        carry=part["carry"].to_numpy() if is_american else whole,
        sign=np.where(part["right"] == "C", 1.0, -1.0),
        american=american,
        dividends=market.dividends if is_american else Dividends(),
    )


def forward_columns(priced: pd.DataFrame) -> pd.DataFrame:
    """The expirations of a priced chain, one row each: expiration and the FORWARD columns."""
    return priced[["expiration", *FORWARD]].drop_duplicates(KEY, ignore_index=True)
