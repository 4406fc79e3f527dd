"""Which contracts the made-up market lists on a day. A listed contract stays until it expires."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zlib import crc32

from simulator.sessions import Sessions
from simulator.surface import Shape
from simulator.symbols import Contract, Right, asset_id, osi

WEEKLY_DAYS = 43
MONTHLY_DAYS = 98
WEEKDAY_DAYS = 13
FRIDAY = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One made-up underlying."""

    symbol: str
    name: str
    exchange: str
    anchor_usd: float  # the close before the first day
    vol: float  # long-run implied, per year
    strike_step_usd: Decimal
    strike_step_far_usd: Decimal  # from 45 days on
    strike_range: float  # listed strikes lie this part either side of the spot
    weekdays: bool  # also expires on Mondays and Wednesdays, and on the first day itself
    shape: Shape


PROFILES = {
    "SPY": Profile(
        symbol="SPY",
        name="SPDR S&P 500 ETF Trust",
        exchange="ARCA",
        anchor_usd=600.0,
        vol=0.155,
        strike_step_usd=Decimal(5),
        strike_step_far_usd=Decimal(5),
        strike_range=0.17,
        weekdays=True,
        shape=Shape(skew=0.10, smile=0.015, dividend_yield=0.012),
    ),
    "AAPL": Profile(
        symbol="AAPL",
        name="Apple Inc. Common Stock",
        exchange="NASDAQ",
        anchor_usd=230.0,
        vol=0.27,
        strike_step_usd=Decimal("2.5"),
        strike_step_far_usd=Decimal(5),
        strike_range=0.20,
        weekdays=False,
        shape=Shape(skew=0.05, smile=0.02, dividend_yield=0.004),
    ),
    "NVDA": Profile(
        symbol="NVDA",
        name="NVIDIA Corporation Common Stock",
        exchange="NASDAQ",
        anchor_usd=180.0,
        vol=0.45,
        strike_step_usd=Decimal("2.5"),
        strike_step_far_usd=Decimal(5),
        strike_range=0.26,
        weekdays=False,
        shape=Shape(skew=0.04, smile=0.02, dividend_yield=0.0002),
    ),
}


def expirations(profile: Profile, day: date, first: date, sessions: Sessions) -> list[date]:
    """Trading days on which contracts listed on `day` end, the day itself included."""
    found = set()
    for ahead in range(MONTHLY_DAYS + 1):
        candidate = day + timedelta(days=ahead)
        if _expires(profile, candidate, ahead):
            found.add(sessions.last_trading_day(candidate))
    if not profile.weekdays:
        found.discard(first)
    return sorted(end for end in found if end >= day)


def _expires(profile: Profile, candidate: date, ahead: int) -> bool:
    if candidate.weekday() == FRIDAY:
        return ahead <= WEEKLY_DAYS or 15 <= candidate.day <= 21
    return profile.weekdays and ahead <= WEEKDAY_DAYS and candidate.weekday() in {0, 2}


def contracts(
    profile: Profile, ends: list[date], listed: date, first: date, closes: list[float]
) -> list[Contract]:
    """Every strike around every close so far, for every expiration, ordered by symbol."""
    low = min(closes) * (1 - profile.strike_range)
    high = max(closes) * (1 + profile.strike_range)
    made = []
    for end in ends:
        far = (end - first).days >= 45
        step = profile.strike_step_far_usd if far else profile.strike_step_usd
        for count in range(int(Decimal(low) / step) + 1, int(Decimal(high) / step) + 1):
            made.append(_contract(profile, end, "call", step * count, listed))
            made.append(_contract(profile, end, "put", step * count, listed))
    return sorted(made, key=lambda contract: contract.symbol)


def _contract(profile: Profile, end: date, right: Right, strike: Decimal, listed: date) -> Contract:
    symbol = osi(profile.symbol, end, right, strike)
    mark = crc32(symbol.encode())
    distance = abs(float(strike) / profile.anchor_usd - 1)
    interest = int(20_000 * 0.5 ** (distance * 25) * (0.2 + mark % 1000 / 1000))
    return Contract(
        symbol=symbol,
        root=profile.symbol,
        underlying=profile.symbol,
        expiration=end,
        last_day=end,
        right=right,
        strike=strike,
        penny=True,
        open_interest=interest,
        open_interest_day=listed,
        id=asset_id(symbol),
    )
