"""The end-of-day assignment report: which shorts may become shares tonight."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from domain import calendar
from domain.contracts import Contract, Right, is_option, parse_symbol
from domain.orders import SHARES_PER_CONTRACT
from domain.records import Position

#: Exercise is automatic from this much in the money at the close, USD per share.
AUTOMATIC_EXERCISE_USD = Decimal("0.01")
#: A holder who exercises early throws the extrinsic value away; below this it is next to nothing.
EXTRINSIC_USD_SMALL = Decimal("0.05")
#: Closer to the strike than this at the close, after-hours news decides.
PIN_SHARE = Decimal("0.0025")


class Likelihood(StrEnum):
    """How likely a short contract is assigned tonight, the likeliest first."""

    CERTAIN = "certain"  # expired in the money: exercise is automatic
    PIN = "pin"  # expires at the strike: the holder decides after the close
    LIKELY = "likely"  # in the money with next to no extrinsic value left
    UNKNOWN = "unknown"  # in the money or unpriced, and the extrinsic value is not known
    POSSIBLE = "possible"  # in the money, but exercise would throw value away
    UNLIKELY = "unlikely"  # out of the money


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignmentRisk:
    """One short contract. `shares` and `cash_usd` are what assignment of all of it would bring:
    a put's shares come and cash goes, a call's the other way round."""

    symbol: str
    quantity: int
    expiration: date
    days_to_expiry: int
    strike: Decimal
    spot: Decimal | None  # None: no price of the underlying
    moneyness: Decimal | None  # how far in the money, share of spot; negative is out
    extrinsic: Decimal | None  # USD per share at the mid; None: no two-sided quote
    likelihood: Likelihood
    shares: int
    cash_usd: Decimal


def assignment_risks(
    positions: list[Position],
    spots: Mapping[str, Decimal],
    mids: Mapping[str, Decimal],
    now: datetime,
) -> list[AssignmentRisk]:
    """The short contracts, the likeliest to be assigned tonight first.

    spots  root symbol of the option -> price of the share; a missing one is unknown
    mids   option symbol -> mid of a two-sided quote, USD per share
    """
    rows = [
        _risk(position, spots.get(_stock(position.symbol)), mids.get(position.symbol), now)
        for position in positions
        if is_option(position.symbol) and position.quantity < 0
    ]
    order = list(Likelihood)
    return sorted(rows, key=lambda row: (order.index(row.likelihood), row.expiration, row.symbol))


def _stock(symbol: str) -> str:
    return parse_symbol(symbol).root.rstrip("0123456789")


def _risk(
    position: Position, spot: Decimal | None, mid: Decimal | None, now: datetime
) -> AssignmentRisk:
    contract = parse_symbol(position.symbol)
    days = calendar.days_to_expiry(calendar.trading_day(now), contract.expiration, contract.root)
    quantity = int(position.quantity)
    sign = 1 if contract.right is Right.PUT else -1
    shares = -quantity * sign * SHARES_PER_CONTRACT
    moneyness = extrinsic = None
    if spot is not None:
        gain = (contract.strike - spot) * sign
        moneyness = (gain / spot).quantize(Decimal("0.0001"))
        extrinsic = None if mid is None else mid - contract.intrinsic(spot)
    return AssignmentRisk(
        symbol=position.symbol,
        quantity=quantity,
        expiration=contract.expiration,
        days_to_expiry=days,
        strike=contract.strike,
        spot=spot,
        moneyness=moneyness,
        extrinsic=extrinsic,
        likelihood=_likelihood(contract, spot, extrinsic, days),
        shares=shares,
        cash_usd=-shares * contract.strike,
    )


def _likelihood(
    contract: Contract, spot: Decimal | None, extrinsic: Decimal | None, days: int
) -> Likelihood:
    if spot is None:
        return Likelihood.UNKNOWN
    if days <= 0:
        if abs(contract.strike - spot) <= PIN_SHARE * spot:
            return Likelihood.PIN
        in_the_money = contract.intrinsic(spot) >= AUTOMATIC_EXERCISE_USD
        return Likelihood.CERTAIN if in_the_money else Likelihood.UNLIKELY
    if contract.intrinsic(spot) == 0:
        return Likelihood.UNLIKELY
    if extrinsic is None:
        return Likelihood.UNKNOWN
    return Likelihood.LIKELY if extrinsic <= EXTRINSIC_USD_SMALL else Likelihood.POSSIBLE
