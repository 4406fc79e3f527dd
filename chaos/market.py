"""Small fast markets for seeded days. A market is made once and shared by the days that play on it;
nobody can change it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from simulator.corporate import Split
from simulator.exchange import Exchange
from simulator.profile import Profile
from simulator.sessions import Sessions
from simulator.switches import Switches
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

ACCOUNT = "SIM000001"
CASH = Decimal(100_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Which market is played: equal scenes share one.

    near   contracts of every dollar that end within days, instead of wider ones that end in weeks
    split  the second underlying is split 3 for 2 on the second day: its contracts are adjusted
    """

    day: date
    next_day: date
    seed: int
    is_near: bool
    is_split: bool

    @property
    def underlyings(self) -> tuple[str, ...]:
        return ("CHAA",) if self.is_near else ("CHAA", "CHAB")


def _profiles(scene: Scene) -> dict[str, Profile]:
    if scene.is_near:
        near = Profile(
            symbol="CHAA",
            price_usd=100.0,
            vol=0.45,
            strike_step_usd=Decimal(1),
            strike_step_far_usd=Decimal(5),
            strike_range=0.07,
            weekdays=True,
            nickels=False,
        )
        return {near.symbol: near}
    split = Split(ex_day=scene.next_day, new=3, old=2)
    first = Profile(
        symbol="CHAA", price_usd=100.0, vol=0.28, strike_range=0.13, nickels=False, vol_of_vol=0.1
    )
    second = Profile(
        symbol="CHAB",
        price_usd=150.0,
        vol=0.30,
        strike_range=0.12,
        strike_step_usd=Decimal("2.5"),
        nickels=False,
        splits=(split,) if scene.is_split else (),
    )
    return {profile.symbol: profile for profile in (first, second)}


@lru_cache(maxsize=4)
def sessions_around(year: int) -> Sessions:
    """When New York trades, for every scene of a year."""
    return Sessions(date(year, 1, 2), date(year, 12, 31))


@lru_cache(maxsize=128)
def market_of(scene: Scene) -> Synthetic:
    """The market of a scene."""
    sessions = sessions_around(scene.day.year)
    profiles = _profiles(scene)
    return Synthetic(scene.day, list(profiles), scene.seed, sessions, profiles=profiles)


def exchange_of(scene: Scene, switches: Switches) -> Exchange:
    """A fresh account on the scene's market, at 09:00 New York of its day."""
    return Exchange(
        market_of(scene),
        sessions_around(scene.day.year),
        account=ACCOUNT,
        cash=CASH,
        start=new_york_moment(scene.day, 9, 0),
        switches=switches,
    )
