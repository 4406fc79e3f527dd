"""F10 to F12 and F18 to F23: lists that lag, and what happens at the broker without the client."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, choice, once_possible
from simulator.faults import Fault, FaultKind

if TYPE_CHECKING:
    from chaos.day import Day

LAGS: dict[str, FaultKind] = {
    "orders_lag": FaultKind.ORDERS_LAG,
    "fills_lag": FaultKind.FILLS_LAG,
    "activities_lag": FaultKind.ACTIVITIES_LAG,
    "positions_lag": FaultKind.POSITIONS_LAG,
    "account_lag": FaultKind.ACCOUNT_LAG,
    "legs_apart": FaultKind.LEGS_APART,
}
FILLS: dict[str, tuple[FaultKind, str, dict[str, list[float]]]] = {
    "partial_fills": (FaultKind.PARTIAL_FILLS, "F18", {"parts": [2, 3, 5]}),
    "partial_cancel": (FaultKind.PARTIAL_CANCEL, "F19", {"units": [1, 2]}),
    "fill_races_cancel": (FaultKind.FILL_RACES_CANCEL, "F19", {}),
    "trade_busted": (FaultKind.TRADE_BUSTED, "F21", {}),
    "trade_corrected": (FaultKind.TRADE_CORRECTED, "F21", {"cents": [-3, 1, 5]}),
}


def _lag(kind: FaultKind, number: str) -> Kind:
    def arm(day: Day, seed: int) -> Armed:
        chance = Random(seed)
        fault = Fault(
            kind=kind,
            skip=chance.randrange(4),
            times=chance.choice([1, 2, 4]),
            settings=choice(chance, kind, seconds=[1, 10, 30, 60]),
        )
        return at_broker(day, fault)

    return Kind(number=number, arm=arm)


def _fill(kind: FaultKind, number: str, values: dict[str, list[float]]) -> Kind:
    def arm(day: Day, seed: int) -> Armed:
        settings = choice(Random(seed), kind, **values)
        return at_broker(day, Fault(kind=kind, settings=settings))

    return Kind(number=number, arm=arm)


def _pages_shift(day: Day, seed: int) -> Armed:
    chance = Random(seed)
    path = chance.choice(["", "/v2/orders", "/v2/account/activities"])
    fault = Fault(kind=FaultKind.PAGES_SHIFT, method="GET", path=path, skip=chance.randrange(3))
    return at_broker(day, fault)


def _assignment(day: Day, seed: int) -> Armed:
    def attempt() -> Armed | None:
        held = sorted(day.exchange.book.positions.values(), key=lambda p: p.symbol)
        shorts = [p.symbol for p in held if p.contract is not None and p.qty < 0]
        if not shorts:
            return None
        symbol = Random(seed).choice(shorts)
        return at_broker(day, Fault(kind=FaultKind.ASSIGNMENT, symbol=symbol, settings={"qty": 1}))

    return once_possible(day, attempt)


def _night(day: Day, seed: int) -> Armed:
    """Contracts that end today are booked in, most of them in the money, some of them short; what
    they do by themselves, and what ours do that end beside them."""
    chance = Random(seed)
    for symbol in _ending(day, chance):
        qty = chance.choice([-1.0, -1.0, 1.0, 2.0])
        settings = {"qty": qty, "price": chance.choice([0.0, 1.25])}
        fault = Fault(kind=FaultKind.HAND_POSITION, symbol=symbol, settings=settings)
        at_broker(day, fault)
    kinds = {"OPASN", "OPEXC", "OPEXP"}
    return Armed(fired=lambda: sum(row.kind in kinds for row in day.exchange.book.activities))


def _ending(day: Day, chance: Random) -> list[str]:
    """One or two contracts of the first underlying that end today."""
    underlying = day.plan.scene.underlyings[0]
    chain = day.exchange.market.chain(underlying, day.exchange.now)
    if chain is None:
        return []
    today = [c.symbol for c in chain.contracts if c.expiration == day.plan.scene.day]
    quoted = sorted(name for name in today if chain.quote(name) is not None)
    return chance.sample(quoted, min(len(quoted), chance.choice([1, 2])))


def _symbol(day: Day, chance: Random) -> str:
    """A contract near the money, or the share itself."""
    underlying = chance.choice(day.plan.scene.underlyings)
    if chance.random() < 0.3:
        return underlying
    chain = day.exchange.market.chain(underlying, day.exchange.now)
    names = sorted(chain.rows) if chain is not None else []
    middle = [name for name in names if chain is not None and chain.quote(name) is not None]
    return chance.choice(middle) if middle else underlying


def _hand_order(day: Day, seed: int) -> Armed:
    chance = Random(seed)
    symbol = _symbol(day, chance)
    body: dict[str, object] = {
        "symbol": symbol,
        "qty": "1",
        "side": "buy",
        "type": chance.choice(["market", "limit"]),
        "time_in_force": "day",
    }
    if body["type"] == "limit":
        body["limit_price"] = "0.05"
    return at_broker(day, Fault(kind=FaultKind.HAND_ORDER, body=body))


def _hand_position(day: Day, seed: int) -> Armed:
    chance = Random(seed)
    symbol = _symbol(day, chance)
    settings = {"qty": chance.choice([1.0, -1.0, 3.0]), "price": chance.choice([0.0, 1.25])}
    return at_broker(day, Fault(kind=FaultKind.HAND_POSITION, symbol=symbol, settings=settings))


def _unexplained(day: Day, seed: int) -> Armed:
    """A position appears, and no row will ever say why."""
    activities = day.exchange.book.activities
    known, held = len(activities), set(day.exchange.book.positions)
    armed = _hand_position(day, seed)
    del activities[known:]
    for symbol in set(day.exchange.book.positions) - held:
        day.oracle.alarms.plant(symbol)
    return armed


def _kinds() -> Kinds:
    numbers = {"orders_lag": "F10", "legs_apart": "F20"}
    found = {word: _lag(kind, numbers.get(word, "F12")) for word, kind in LAGS.items()}
    found |= {word: _fill(kind, number, values) for word, (kind, number, values) in FILLS.items()}
    found["pages_shift"] = Kind(number="F11", arm=_pages_shift)
    found["assignment"] = Kind(number="F22", arm=_assignment)
    found["night"] = Kind(number="F22", arm=_night)
    found["hand_order"] = Kind(number="F23", arm=_hand_order)
    found["unexplained"] = Kind(number="F23", arm=_unexplained)
    found["hand_position"] = Kind(number="F23", arm=_hand_position)
    return found


KINDS = _kinds()
