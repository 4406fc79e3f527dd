"""F1 to F9: the network and the gateway, on orders, on cancels and on reads."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, choice
from simulator.faults import Fault, FaultKind

if TYPE_CHECKING:
    from chaos.day import Day

Arm = Callable[["Day", int], Armed]
ORDERS = "/v2/orders"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
ERRORS: list[float] = [500, 502, 503, 504]
#: Kind -> the values its settings may take.
SETTINGS: dict[FaultKind, dict[str, list[float]]] = {
    FaultKind.CLOSED_BEFORE: {},
    FaultKind.TIMEOUT_BEFORE: {"seconds": [16, 30]},
    FaultKind.TIMEOUT_AFTER: {"seconds": [16, 30]},
    FaultKind.CLOSED_AFTER: {},
    FaultKind.ERROR_BEFORE: {"status": ERRORS},
    FaultKind.ERROR_AFTER: {"status": ERRORS},
    FaultKind.TOO_MANY: {"reset": [0, 5, 60], "plain": [0, 1]},
    FaultKind.CUT_BODY: {"clean": [0, 1]},
    FaultKind.WRONG_BODY: {"json": [0, 1]},
    FaultKind.SLOW: {"seconds": [16, 40]},
}
#: Refusals of an order alone.
REFUSALS: dict[FaultKind, dict[str, list[float]]] = {
    FaultKind.FORBIDDEN: {},
    FaultKind.UNPROCESSABLE: {},
    FaultKind.ID_TAKEN: {"done": [0, 1]},
}
NUMBERS: dict[FaultKind, str] = {
    FaultKind.CLOSED_BEFORE: "F1",
    FaultKind.TIMEOUT_BEFORE: "F2",
    FaultKind.TIMEOUT_AFTER: "F3",
    FaultKind.CLOSED_AFTER: "F3",
    FaultKind.ERROR_BEFORE: "F4",
    FaultKind.ERROR_AFTER: "F4",
    FaultKind.TOO_MANY: "F5",
    FaultKind.CUT_BODY: "F6",
    FaultKind.WRONG_BODY: "F6",
    FaultKind.FORBIDDEN: "F7",
    FaultKind.UNPROCESSABLE: "F7",
    FaultKind.ID_TAKEN: "F7",
    FaultKind.SLOW: "F8",
}
READS = (
    "",
    "/v2/clock",
    "/v2/account",
    "/v2/orders",
    BY_CLIENT_ID,
    "/v2/account/activities",
    "/v2/positions",
    "/v2/options/contracts",
    "/v1beta1/options/snapshots*",
    "/v2/stocks*",
)


def _on_order(kind: FaultKind) -> Arm:
    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        settings = choice(chance, kind, **(SETTINGS | REFUSALS)[kind])
        skip, times = chance.choice([0, 0, 1]), chance.choice([1, 1, 2])
        fault = Fault(
            kind=kind, method="POST", path=ORDERS, skip=skip, times=times, settings=settings
        )
        return at_broker(day, fault)

    return arm


def _on_read(kind: FaultKind) -> Arm:
    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        path = chance.choice(READS)
        skip = chance.randrange(40) if not path else chance.randrange(3)
        fault = Fault(
            kind=kind,
            method="GET",
            path=path,
            skip=skip,
            times=chance.choice([1, 1, 2, 5]),
            settings=choice(chance, kind, **SETTINGS[kind]),
        )
        return at_broker(day, fault)

    return arm


def _on_cancel(kind: FaultKind) -> Arm:
    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        settings = choice(chance, kind, **SETTINGS[kind])
        path = f"{ORDERS}/*"
        return at_broker(day, Fault(kind=kind, method="DELETE", path=path, settings=settings))

    return arm


def _lost(day: Day, seed: int) -> Armed:
    """An order whose answer is lost, and that cannot be found for a while."""
    chance = Random(seed)
    lost = Fault(kind=FaultKind.CLOSED_AFTER, method="POST", path=ORDERS)
    times = chance.choice([1, 2, 4, 7])
    hidden = Fault(kind=FaultKind.NOT_FOUND, method="GET", path=BY_CLIENT_ID, times=times)
    seconds = chance.choice([10, 60])
    unlisted = Fault(
        kind=FaultKind.ORDERS_LAG,
        method="GET",
        path=ORDERS,
        times=chance.choice([1, 3]),
        settings={"seconds": seconds},
    )
    armed = [at_broker(day, fault) for fault in (lost, hidden, unlisted)]
    return Armed(fired=lambda: min(armed[0].fired(), armed[1].fired()))


def _kinds() -> Kinds:
    found: Kinds = {"lost_and_not_found": Kind(number="F9", arm=_lost)}
    for kind in (*SETTINGS, *REFUSALS):
        found[f"order_{kind}"] = Kind(number=NUMBERS[kind], arm=_on_order(kind))
    for kind in SETTINGS:
        found[f"read_{kind}"] = Kind(number="F9", arm=_on_read(kind))
        found[f"cancel_{kind}"] = Kind(number=NUMBERS[kind], arm=_on_cancel(kind))
    return found


KINDS = _kinds()
