"""F13 to F17: the order stream repeats itself, tells in another order, or says nothing."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, choice
from simulator.faults import Fault, FaultKind
from simulator.streams import TRADING

if TYPE_CHECKING:
    from chaos.day import Day

STREAM: dict[FaultKind, tuple[str, dict[str, list[float]]]] = {
    FaultKind.STREAM_DUPLICATE: ("F13", {}),
    FaultKind.STREAM_REPLAY: ("F14", {}),
    FaultKind.STREAM_REORDER: ("F15", {}),
    FaultKind.STREAM_DROP: ("F16", {}),
    FaultKind.STREAM_MUTE: ("F16", {"events": [1, 5], "seconds": [0, 600]}),
    FaultKind.STREAM_DOWN: ("F17", {"seconds": [1, 60, 600]}),
    FaultKind.STREAM_REFUSE: ("F17", {"status": [429, 503]}),
}


def _of(kind: FaultKind) -> Kind:
    number, values = STREAM[kind]

    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        settings = choice(chance, kind, **values)
        times = chance.choice([1, 2, 5])
        fault = Fault(kind=kind, path=TRADING, times=times, settings=settings)
        return at_broker(day, fault)

    return Kind(number=number, arm=arm)


KINDS: Kinds = {str(kind): _of(kind) for kind in STREAM}
