"""Iron condor: sell a put spread and a call spread of one expiration, keep the credit.

`chain_to_condors` looks at every listed expiration and gives one row for each, traded or not: a
row that is turned down says which rule did it, with the number and the threshold. Quantities of
legs are one each; credits and widths are USD per share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import StrEnum

import numpy as np
import pandas as pd

from domain import calendar
from domain.chain import QuoteFlag, quote_age_s
from domain.orders import Leg, Side
from domain.structures import Structure

NAME = "iron_condor"


class Rule(StrEnum):
    """The entry rules in the order they are asked; the first that fails names the row."""

    DAYS_TO_EXPIRY = "days_to_expiry"  # expiration too near or too far
    SHORT_DELTA = "short_delta"  # no contract within the wanted deltas on a side
    WING = "wing"  # no listed wing near the wanted width
    SHORTS_CROSS = "shorts_cross"  # the short put lies above the short call: both sides can lose
    QUOTE_AGE = "quote_age"  # a leg's quote is older than the limit
    SLIPPAGE = "slippage"  # mid to natural costs too much of the width
    CREDIT_SHARE = "credit_share"  # the credit at natural prices is too small for the risk
    OPEN_INTEREST = "open_interest"  # a leg few people hold
    NOT_BEST = "not_best"  # sound, but another expiration lies nearer the target
    ALREADY_OPEN = "already_open"  # this underlying has its structures
    NO_CHAIN = "no_chain"  # the broker listed no contract, or quoted none


class Exit(StrEnum):
    """Why an open condor is closed, or kept; the first that holds names the row."""

    UNPRICED = "unpriced"  # kept: a leg has no two-sided fresh quote, so no price can be named
    DAYS_TO_EXPIRY = "days_to_expiry"  # closed: gamma near expiry is not what we sell
    LOSS = "loss"  # closed: buying it back costs a multiple of the credit
    PROFIT = "profit"  # closed: most of the credit is earned
    HOLD = "hold"  # kept: none of the above
    NOT_HELD = "not_held"  # kept though it should be closed: not a whole unit is there to close


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Settings of the strategy; config/strategies.toml explains each."""

    days_to_expiry_min: int
    days_to_expiry_target: int
    days_to_expiry_max: int
    short_delta_min: float
    short_delta_target: float
    short_delta_max: float
    wing_width_share: float
    wing_width_share_min: float
    wing_width_share_max: float
    quote_age_s_max: float
    open_interest_min: float
    slippage_share_max: float
    credit_share_min: float
    structures_per_underlying_max: int
    profit_share_exit: float
    loss_credit_multiple_exit: float
    days_to_expiry_exit: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ValueError(f"{NAME}.{field.name} is {value}: it must be a number, 0 or more")
        for name in ("days_to_expiry", "short_delta", "wing_width_share"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            target = getattr(self, f"{name}_target", getattr(self, name, low))
            if not low <= target <= high:
                raise ValueError(f"{NAME}.{name}: {low} <= {target} <= {high} does not hold")
        if not self.short_delta_max < 0.5:
            raise ValueError(
                f"{NAME}.short_delta_max is {self.short_delta_max}: below 0.5, unsigned"
            )


#: Leg names, in the order they are sent: the protection beside what it protects.
LEGS = ("long_put", "short_put", "short_call", "long_call")


Row = dict[str, object]
Failure = tuple[Rule, float, float]

COLUMNS = [
    "expiration",
    "days_to_expiry",
    *LEGS,
    "width",
    "credit_natural",
    "credit_mid",
    "rule",
    "value",
    "threshold",
]


def chain_to_condors(
    chain: pd.DataFrame, spot: float, now: datetime, rules: Rules, open_count: int
) -> pd.DataFrame:
    """One row an expiration: its condor as far as it could be built, and what turned it down.

    chain       with GREEKS, one underlying
    spot        USD per share; NaN or not above 0 turns every row down
    open_count  structures of this strategy already open or on their way in this underlying

    Columns: expiration, days_to_expiry, the LEGS' symbols (missing where none was found), width,
    credit_natural (sell at bids, buy at asks), credit_mid, rule (None when it may be traded),
    value, threshold.
    """
    today = calendar.trading_day(now)
    spot = spot if spot > 0 else float("nan")
    aged = chain.assign(quote_age_s=quote_age_s(chain, now))
    rows = [
        _condor(expiry_chain, expiration, spot, today, rules)
        for expiration, expiry_chain in aged.groupby("expiration", sort=True)
    ]
    condors = pd.DataFrame(rows, columns=COLUMNS, dtype=object)
    prices = ["width", "credit_natural", "credit_mid", "value", "threshold"]
    return _best_only(condors.astype(dict.fromkeys(prices, "float64")), rules, open_count)


def _condor(chain: pd.DataFrame, expiration: object, spot: float, today: date, rules: Rules) -> Row:
    assert isinstance(expiration, date)
    days = calendar.days_to_expiry(today, expiration)
    row: Row = {"expiration": expiration, "days_to_expiry": days, "rule": None}
    if (failure := _days_failure(days, rules)) is None:
        legs, failure = _legs(chain, spot, rules)
        if failure is None:
            prices = _prices(legs)
            row |= {name: legs[name]["symbol"] for name in LEGS} | prices
            failure = next(_package_failures(prices, legs, spot, rules), None)
    if failure is not None:
        row |= dict(zip(("rule", "value", "threshold"), failure, strict=True))
    return row


def _days_failure(days: int, rules: Rules) -> Failure | None:
    if days < rules.days_to_expiry_min:
        return Rule.DAYS_TO_EXPIRY, days, rules.days_to_expiry_min
    if days > rules.days_to_expiry_max:
        return Rule.DAYS_TO_EXPIRY, days, rules.days_to_expiry_max
    return None


def _legs(
    chain: pd.DataFrame, spot: float, rules: Rules
) -> tuple[dict[str, pd.Series], Failure | None]:
    """The four contracts by leg name, or what is missing."""
    legs: dict[str, pd.Series] = {}
    for side, away in (("put", -1), ("call", 1)):
        is_solved = chain["flag"].isna() & chain["delta"].notna()  # argmin would pick a NaN
        quoted = chain[(chain["right"] == side[0].upper()) & is_solved]
        size = quoted["delta"].abs()  # a put's delta is negative, a call's positive
        off = (size - rules.short_delta_target).abs()
        if off.empty or not rules.short_delta_min <= size[off.idxmin()] <= rules.short_delta_max:
            found = float("nan") if off.empty else float(size[off.idxmin()])
            return legs, (Rule.SHORT_DELTA, found, rules.short_delta_target)
        short = _row(quoted, off)
        beyond = quoted[(quoted["strike"] - short["strike"]) * away > 0]
        if beyond.empty:
            return legs, (Rule.WING, float("nan"), rules.wing_width_share)
        wanted = short["strike"] + away * rules.wing_width_share * spot
        legs[f"short_{side}"] = short
        legs[f"long_{side}"] = _row(beyond, (beyond["strike"] - wanted).abs())
    return legs, None


def _row(contracts: pd.DataFrame, off: pd.Series) -> pd.Series:
    """The contract that is least `off` what was wanted; of two the first."""
    return contracts.iloc[int(off.to_numpy().argmin())]


def _widths(legs: dict[str, pd.Series]) -> tuple[float, float]:
    """USD per share between short and long strike of the put side and of the call side."""
    put_width = legs["short_put"]["strike"] - legs["long_put"]["strike"]
    call_width = legs["long_call"]["strike"] - legs["short_call"]["strike"]
    return float(put_width), float(call_width)


def _prices(legs: dict[str, pd.Series]) -> dict[str, float]:
    shorts, longs = (legs["short_put"], legs["short_call"]), (legs["long_put"], legs["long_call"])
    return {
        "width": max(_widths(legs)),  # only one side can lose
        "credit_natural": sum(s["bid"] for s in shorts) - sum(x["ask"] for x in longs),
        "credit_mid": sum(s["mid"] for s in shorts) - sum(x["mid"] for x in longs),
    }


def _package_failures(
    prices: dict[str, float], legs: dict[str, pd.Series], spot: float, rules: Rules
) -> Iterator[Failure]:
    """What the package fails: its shape first, then its quotes, then its price."""
    for share in (width / spot for width in _widths(legs)):
        if not share >= rules.wing_width_share_min:
            yield Rule.WING, share, rules.wing_width_share_min
        if not share <= rules.wing_width_share_max:
            yield Rule.WING, share, rules.wing_width_share_max
    put_strike, call_strike = legs["short_put"]["strike"], legs["short_call"]["strike"]
    if not put_strike <= call_strike:
        yield Rule.SHORTS_CROSS, float(put_strike), float(call_strike)
    yield from _quote_failures(prices, legs, rules)


def _quote_failures(
    prices: dict[str, float], legs: dict[str, pd.Series], rules: Rules
) -> Iterator[Failure]:
    width, natural, mid = prices["width"], prices["credit_natural"], prices["credit_mid"]
    # np.max and np.min keep a NaN, and NaN passes no comparison: the unknown turns down.
    age_s = float(np.max([leg["quote_age_s"] for leg in legs.values()]))
    if not age_s <= rules.quote_age_s_max:
        yield Rule.QUOTE_AGE, age_s, rules.quote_age_s_max
    if not (mid - natural) / width <= rules.slippage_share_max:
        yield Rule.SLIPPAGE, (mid - natural) / width, rules.slippage_share_max
    if not natural / width >= rules.credit_share_min:
        yield Rule.CREDIT_SHARE, natural / width, rules.credit_share_min
    held = float(np.min([leg["open_interest"] for leg in legs.values()]))
    if not held >= rules.open_interest_min:
        yield Rule.OPEN_INTEREST, held, rules.open_interest_min


def _best_only(condors: pd.DataFrame, rules: Rules, open_count: int) -> pd.DataFrame:
    """`condors` where at most one row keeps rule None: the expiration nearest the target."""
    sound = condors[condors["rule"].isna()]
    if sound.empty:
        return condors
    days = sound["days_to_expiry"].astype(float)
    best = (days - rules.days_to_expiry_target).abs().idxmin()
    rest = sound.index.difference([best])
    judged = condors.copy()
    judged.loc[rest, "rule"] = Rule.NOT_BEST
    judged.loc[rest, "value"] = days[rest]
    judged.loc[rest, "threshold"] = days[best]
    if open_count >= rules.structures_per_underlying_max:
        judged.loc[best, "rule"] = Rule.ALREADY_OPEN
        judged.loc[best, "value"] = float(open_count)
        judged.loc[best, "threshold"] = float(rules.structures_per_underlying_max)
    return judged


@dataclass(frozen=True, kw_only=True, slots=True)
class ExitView:
    """What closing one unit costs now, USD per share, and whether to do it.

    legs  what to trade: a long leg that nobody bids for is left to expire, and counts as nothing
    """

    is_exit: bool
    rule: Exit
    value: float
    threshold: float
    debit_natural: float  # buy back at asks, sell at bids; NaN when unpriced
    debit_mid: float
    legs: tuple[Leg, ...]


def exit_view(structure: Structure, chain: pd.DataFrame, now: datetime, rules: Rules) -> ExitView:
    """Whether to close `structure`, asked in the order of Exit.

    chain  with GREEKS, one underlying; a leg that is missing from it, or that nobody offers,
           makes the exit unpriced
    """
    quotes = chain.set_index("symbol").reindex([leg.symbol for leg in structure.legs])
    held = np.array([leg.ratio if leg.side is Side.BUY else -leg.ratio for leg in structure.legs])
    ask = quotes["ask"].to_numpy()
    is_unbid = quotes["bid"].isna().to_numpy() & (ask > 0)  # quoted, but nobody buys
    bid = np.where(is_unbid, 0.0, quotes["bid"].to_numpy())
    natural = float(np.sum(-held * np.where(held > 0, bid, ask)))
    mid = float(np.sum(-held * (bid + ask) / 2))
    age_s = float(np.max(quote_age_s(quotes, now).to_numpy()))  # a series' maximum drops a NaN
    today = calendar.trading_day(now)
    days = min(calendar.days_to_expiry(today, leg.expiration) for leg in structure.legs)
    credit = float(structure.credit) if structure.credit > 0 else float("nan")
    is_vague = ((quotes["flag"] == QuoteFlag.WIDE).to_numpy() & (held < 0)).any()
    multiple = float("nan") if is_vague else mid / credit  # no mid of what we owe, no loss
    earned = 1 - natural / credit
    unsound = float(np.sum(~(bid <= ask)))
    asked: list[tuple[Exit, bool, float, float]] = [
        (Exit.UNPRICED, not age_s <= rules.quote_age_s_max, age_s, rules.quote_age_s_max),
        (Exit.UNPRICED, unsound > 0, unsound, 0),
        (Exit.DAYS_TO_EXPIRY, days <= rules.days_to_expiry_exit, days, rules.days_to_expiry_exit),
        (
            Exit.LOSS,
            multiple >= rules.loss_credit_multiple_exit,
            multiple,
            rules.loss_credit_multiple_exit,
        ),
        (Exit.PROFIT, earned >= rules.profit_share_exit, earned, rules.profit_share_exit),
        (Exit.HOLD, True, earned, rules.profit_share_exit),
    ]
    rule, _, value, threshold = next(answer for answer in asked if answer[1])
    is_traded = ~(is_unbid & (held > 0))
    return ExitView(
        is_exit=rule not in (Exit.UNPRICED, Exit.HOLD),
        rule=rule,
        value=value,
        threshold=threshold,
        debit_natural=natural,
        debit_mid=mid,
        legs=tuple(
            leg.reversed() for leg, traded in zip(structure.legs, is_traded, strict=True) if traded
        ),
    )
