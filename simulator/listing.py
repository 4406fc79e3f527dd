"""Which contracts the made-up market lists on a day. A listed contract stays until it expires."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from zlib import crc32

from simulator.corporate import Split, adjust_all
from simulator.market import Adjustment
from simulator.profile import Profile
from simulator.sessions import Sessions
from simulator.symbols import Contract, Right, asset_id, osi

WEEKLY_DAYS = 43
MONTHLY_DAYS = 98
WEEKDAY_DAYS = 13
FRIDAY = 4


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


class Listing:
    """What one underlying has listed on each day from the first on; `closes(first, before)` are
    its closing prices in [first, before) and the one ahead of them, in today's shares."""

    def __init__(
        self,
        profile: Profile,
        first: date,
        sessions: Sessions,
        closes: Callable[[date, date], list[float]],
    ) -> None:
        self._profile = profile
        self._first = first
        self._sessions = sessions
        self._closes = closes
        self._adjusted: dict[date, list[Adjustment]] = {}

    def on(self, day: date) -> list[Contract]:
        """Ordered by symbol; splits count from their ex-day on."""
        return self._on(day, expirations(self._profile, day, self._first, self._sessions))

    def ending(self, day: date) -> list[Contract]:
        """Those of `on` that end on the day itself."""
        ends = expirations(self._profile, day, self._first, self._sessions)
        return [c for c in self._on(day, [end for end in ends if end == day]) if c.last_day == day]

    def _on(self, day: date, ends: list[date]) -> list[Contract]:
        """New ones of some expirations only."""
        since = self._first
        found: dict[str, Contract] = {}
        for split in self._splits(day):
            found = {adjustment.new.symbol: adjustment.new for adjustment in self.adjusted(split)}
            since = split.ex_day
        fresh = self._fresh(since, day, ends)
        return sorted((fresh | found).values(), key=lambda contract: contract.symbol)

    def adjusted(self, split: Split) -> list[Adjustment]:
        """What a split does to everything that was listed the session before and lives on."""
        if split.ex_day not in self._adjusted:
            listed = self.on(self._sessions.before(split.ex_day).day)
            self._adjusted[split.ex_day] = adjust_all(listed, split)
        return self._adjusted[split.ex_day]

    def splits_on(self, day: date) -> list[Split]:
        return [split for split in self._splits(day) if split.ex_day == day]

    def _splits(self, day: date) -> list[Split]:
        splits = (s for s in self._profile.splits if self._first < s.ex_day <= day)
        return sorted(splits, key=lambda split: split.ex_day)

    def _fresh(self, since: date, day: date, ends: list[date]) -> dict[str, Contract]:
        """Strikes around the closes since the last split."""
        listed = self._sessions.before(day).day
        made = contracts(self._profile, ends, listed, since, self._closes(since, day))
        return {contract.symbol: contract for contract in made}


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
    distance = abs(float(strike) / profile.price_usd - 1)
    # Some come and some go overnight: each day stands at its own 85 to 115 % of the usual.
    swing = 0.85 + crc32(f"{symbol} {listed}".encode()) % 300 / 1000
    interest = int(20_000 * 0.5 ** (distance * 25) * (0.2 + mark % 1000 / 1000) * swing)
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
