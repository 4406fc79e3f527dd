"""What a fault of the catalogue is to the harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from chaos.operations import Trap
from simulator.faults import DEFAULTS, Fault, FaultKind
from simulator.happenings import BY_ITSELF

if TYPE_CHECKING:
    from chaos.day import Day


@dataclass(frozen=True, kw_only=True, slots=True)
class Armed:
    """`fired` says how often it really happened."""

    fired: Callable[[], int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One way a fault of the catalogue happens. `arm` is called right before a slot, with the seed
    of its details; `is_postgres` when errors of the database are to be expected after it.

    is_apart   drawn by chaos/shapes.py, with the day that it needs, and never among the others
    may_alarm  what it does is worth an alarm
    """

    number: str
    arm: Callable[[Day, int], Armed]
    is_postgres: bool = False
    is_apart: bool = False
    may_alarm: bool = False


Kinds = dict[str, Kind]


def at_broker(day: Day, fault: Fault) -> Armed:
    """A fault of the simulator's own, armed now."""
    times, failed = fault.times, len(day.exchange.faults.failed)
    day.arm_at_broker(fault)

    def fired() -> int:
        if fault.kind in BY_ITSELF and len(day.exchange.faults.failed) > failed:
            return 0
        return int(fault.is_met) if fault.until is not None else times - fault.times

    return Armed(fired=fired)


def trapped(day: Day, trap: Trap) -> Armed:
    """Something at a counted operation."""
    day.operations.traps.append(trap)
    return Armed(fired=lambda: trap.fired)


def once_possible(day: Day, attempt: Callable[[], Armed | None]) -> Armed:
    """Tried before this slot and each that follows until it can be done."""
    done: list[Armed] = []

    def again() -> bool:
        armed = attempt()
        if armed is not None:
            done.append(armed)
        return armed is not None

    if not again():
        day.waiting.append(again)
    return Armed(fired=lambda: sum(armed.fired() for armed in done))


def choice(chance: Random, kind: FaultKind, **values: list[float]) -> dict[str, float]:
    """A value for each named setting of a kind."""
    known = DEFAULTS.get(kind, {})
    unknown = values.keys() - known.keys()
    if unknown:
        raise LookupError(f"{kind} has no setting {min(unknown)}")
    return {name: chance.choice(found) for name, found in values.items()}
