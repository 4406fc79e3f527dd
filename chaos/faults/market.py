"""F35 to F40: the broker's clock, the choice of the day, and what is wrong with quotes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, choice
from simulator.faults import Fault, FaultKind
from simulator.times import MINUTE

if TYPE_CHECKING:
    from chaos.day import Day

EVERY: list[float] = [1, 2, 3, 7]
QUOTES: dict[FaultKind, tuple[str, dict[str, list[float]]]] = {
    FaultKind.STALE: ("F37", {"seconds": [120, 1_900, 3_600, 7_200]}),
    FaultKind.CROSSED: ("F37", {"every": EVERY}),
    FaultKind.LOCKED: ("F37", {"every": EVERY}),
    FaultKind.ZERO_BID: ("F37", {"every": EVERY}),
    FaultKind.ONE_SIDED: ("F37", {"every": EVERY}),
    FaultKind.MISSING: ("F37", {"every": EVERY}),
    FaultKind.DUPLICATED: ("F37", {"every": EVERY}),
    FaultKind.NO_GREEKS: ("F38", {"every": EVERY}),
    FaultKind.WILD_GREEKS: ("F38", {"every": EVERY}),
    FaultKind.HALT: ("F39", {}),
    FaultKind.GAP: ("F40", {"percent": [-20, -8, 8, 20]}),
}


def _quotes(kind: FaultKind) -> Kind:
    number, values = QUOTES[kind]

    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        settings = choice(chance, kind, **values)
        symbol = chance.choice(["", *day.plan.scene.underlyings])
        begins = day.exchange.now + chance.choice([0, 0, 3, 12]) * MINUTE
        until = begins + chance.choice([3, 15, 40, 120]) * MINUTE
        fault = Fault(kind=kind, symbol=symbol, at=begins, until=until, settings=settings)
        return at_broker(day, fault)

    return Kind(number=number, arm=arm)


def _clock_skew(day: Day, seed: int) -> Armed:
    chance = Random(seed)
    settings = choice(chance, FaultKind.CLOCK_SKEW, seconds=[-300, -5, 5, 300])
    day.skew_s_max = max(day.skew_s_max, abs(settings["seconds"]))
    fault = Fault(
        kind=FaultKind.CLOCK_SKEW,
        skip=chance.randrange(10),
        times=chance.choice([1, 3, 30]),
        settings=settings,
    )
    return at_broker(day, fault)


def _special_day(day: Day, seed: int) -> Armed:
    return Armed(fired=lambda: int(day.plan.is_special_day))


def _split(day: Day, seed: int) -> Armed:
    return Armed(fired=lambda: int(day.plan.scene.is_split))


def _kinds() -> Kinds:
    found = {str(kind): _quotes(kind) for kind in QUOTES}
    found["clock_skew"] = Kind(number="F35", arm=_clock_skew)
    found["special_day"] = Kind(number="F36", arm=_special_day)
    found["split"] = Kind(number="F40", arm=_split)
    return found


KINDS = _kinds()
