"""What a seed decides: the market, the broker's habits, the settings, the slots, the faults."""

from dataclasses import dataclass
from datetime import date
from random import Random

from chaos.faults import FAULTS
from chaos.market import Scene, sessions_around
from simulator.switches import FillMode, RowsAt, SellOut, Switches
from simulator.times import MINUTE

MARKET_SEEDS = 2
FAULTS_MAX = 6
#: Faults that need an order on its way, a fill, or an event of one.
OF_ORDERS = frozenset({*(f"F{n}" for n in range(1, 9)), *(f"F{n}" for n in range(14, 22))})
#: How much likelier than another fault: what is armed often and fires seldom, and bad quotes.
WEIGHTS = dict.fromkeys(OF_ORDERS, 2) | {"F13": 6, "F18": 3, "F37": 2, "F38": 2, "F40": 2}

BOOKED = frozenset({"night", "hand_position", "unexplained"})

#: A day, the next one on which anything is run, and whether that is worth a count for F36.
DAYS: tuple[tuple[date, date, bool], ...] = (
    (date(2026, 11, 20), date(2026, 11, 23), False),
    (date(2026, 9, 11), date(2026, 9, 14), False),
    (date(2026, 10, 14), date(2026, 10, 15), False),
    (date(2026, 11, 27), date(2026, 11, 30), True),  # a half day
    (date(2026, 12, 24), date(2026, 12, 28), True),  # a half day before a holiday
    (date(2026, 10, 30), date(2026, 11, 2), True),  # the clocks go back between the two
    (date(2026, 3, 6), date(2026, 3, 9), True),  # they go forward
    (date(2026, 11, 25), date(2026, 11, 27), True),  # a holiday between, a half day after
    (date(2025, 1, 8), date(2025, 1, 10), True),  # an unplanned closure between
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFault:
    """A kind of fault, armed right before the slot of this number; `seed` makes its details."""

    kind: str
    slot: int
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A day. `slots` are nanoseconds since 1970, `settings` by file of the config folder."""

    seed: int
    scene: Scene
    is_special_day: bool
    switches: Switches
    settings: tuple[tuple[str, str, str], ...]
    slots: tuple[int, ...]
    faults: tuple[PlannedFault, ...]
    is_silent: bool = False  # nothing is run for days after it, no end of the day either


def plan_of(seed: int, *, with_faults: bool = True) -> Plan:
    """The day that `seed` means: the same for ever, while this file stays."""
    chance = Random(seed)
    day, next_day, is_special = chance.choice(DAYS)
    is_night = chance.random() < 0.12
    is_near = is_night or chance.random() < 0.2
    scene = Scene(
        day=day,
        next_day=next_day,
        seed=chance.randrange(MARKET_SEEDS),
        is_near=is_near,
        is_split=not is_near and chance.random() < 0.2,
    )
    is_closing = not is_near and chance.random() < 0.5
    switches = _switches(chance)
    settings = _settings(chance, is_near=is_near, is_night=is_night, is_closing=is_closing)
    slots = _slots(chance, day)
    busy = min(1, len(slots) - 1) if is_closing and chance.random() < 0.7 else 0
    faults = _faults(chance, len(slots), busy, is_night=is_night) if with_faults else ()
    return Plan(
        seed=seed,
        scene=scene,
        is_special_day=is_special,
        switches=switches,
        settings=settings,
        slots=slots,
        faults=faults,
    )


def _switches(chance: Random) -> Switches:
    return Switches(
        seed=chance.randrange(1_000),
        fills=chance.choice([FillMode.PAPER, FillMode.QUEUE]),
        partial_share=chance.choice([0.0, 0.0, 0.5]),
        pending_minutes=chance.choice([0, 0, 1, 2]),
        sell_out=chance.choice(list(SellOut)),
        settle_minutes=chance.choice([60, 120, 600]),
        activity_rows=chance.choice(list(RowsAt)),
        activity_hours_late=chance.choice([0, 0, 2]),
        pairs_share_id=chance.random() < 0.7,
        expired_shorts_negative=chance.random() < 0.5,
        early_assignment=chance.choice([0.05, 0.9]),
        fees=chance.random() < 0.3,
        dividends=chance.random() < 0.3,
        cutoffs_follow_close=chance.random() < 0.5,
        zero_net=chance.random() < 0.8,
    )


def _settings(
    chance: Random, *, is_near: bool, is_night: bool, is_closing: bool
) -> tuple[tuple[str, str, str], ...]:
    """File, name and value; what is not named stays as config/ has it. Strategies that trade often
    and limits that bind now and then. What is opened before a night is held into it; on a closing
    day everything held is closed at the next slot, which opens something else beside it."""
    strategy = {
        "short_delta_min": "0.05",
        "short_delta_target": chance.choice(["0.20", "0.30"]),
        "short_delta_max": "0.45",
        "wing_width_share_max": "0.06",
        "slippage_share_max": chance.choice(["0.1", "0.6", "0.6"]),
        "credit_share_min": chance.choice(["0.10", "0.10", "0.20"]),
        "open_interest_min": "1",
        "structures_per_underlying_max": chance.choice(["1", "2", "3"]),
        "profit_share_exit": chance.choice(["0.02", "0.10", "0.50"]),
        "loss_credit_multiple_exit": chance.choice(["1.02", "2.0"]),
        "days_to_expiry_exit": "0",
    }
    if is_near:
        nearest = {"days_to_expiry_min": "0", "days_to_expiry_max": "4"}
        strategy |= {**nearest, "days_to_expiry_target": chance.choice(["0", "1", "3"])}
        if is_night:
            held = {"profit_share_exit": "0.99", "loss_credit_multiple_exit": "50"}
            strategy |= {**held, "days_to_expiry_target": "0", "slippage_share_max": "0.6"}
    elif is_closing:
        strategy |= {"days_to_expiry_exit": "60", "structures_per_underlying_max": "3"}
    limits = {
        "position_contracts_max": chance.choice(["3", "10"]),
        "single_trade_loss_share_max": chance.choice(["0.005", "0.02"]),
        "option_allocation_share_max": chance.choice(["0.02", "0.30"]),
        "concentration_share_max": chance.choice(["0.01", "0.03", "0.10"]),
    }
    universe = {
        "underlyings": '["CHAA"]' if is_near or chance.random() < 0.8 else '["CHAA", "CHAB"]',
        "days_to_expiry_min": "0" if is_near else "32",
        "days_to_expiry_max": "3" if is_near else "42",
        "strike_share_min": "0.94" if is_near else "0.88",
        "strike_share_max": "1.06" if is_near else "1.12",
    }
    execution = {
        "attempts": chance.choice(["1", "2", "2", "4"]),
        "attempt_s": chance.choice(["4", "15"]),
        "deadline_s": chance.choice(["30", "90"]),
    }
    files = {
        "strategies.toml": strategy,
        "limits.toml": limits,
        "universe.toml": universe,
        "execution.toml": execution,
    }
    return tuple(
        (file, name, value) for file, rows in files.items() for name, value in rows.items()
    )


def _slots(chance: Random, day: date) -> tuple[int, ...]:
    """1 to 4 moments of the session, in order, on whole minutes."""
    hours = sessions_around(day.year).on(day)
    assert hours is not None
    count = chance.choice([1, 2, 2, 3, 3, 4])
    length = (hours.close - hours.open) // MINUTE
    step = chance.choice([5, 10, 20])
    first = chance.choice([5, 15, length - step * count])
    found = (hours.open + (first + step * n) * MINUTE for n in range(count))
    return tuple(slot for slot in found if slot < hours.close)


def _faults(chance: Random, slots: int, busy: int, *, is_night: bool) -> tuple[PlannedFault, ...]:
    """0 to 6 by their weights, and the night of a day that has one.

    busy  the slot that sends most: half of the faults that need an order stand right before it
    """
    ways = {name: fault for name, fault in FAULTS.items() if not fault.is_apart}
    numbers = sorted({fault.number for fault in ways.values()})
    weights = [WEIGHTS.get(number, 1) for number in numbers]
    found = []
    for number in chance.choices(numbers, weights, k=chance.randint(0, FAULTS_MAX)):
        kind = chance.choice(sorted(name for name, f in ways.items() if f.number == number))
        slot = chance.randrange(slots)
        if number in OF_ORDERS and chance.random() < 0.5:
            slot = busy
        found.append(PlannedFault(kind=kind, slot=slot, seed=chance.randrange(2**32)))
    if is_night:
        found.append(PlannedFault(kind="night", slot=0, seed=chance.randrange(2**32)))
    # The account's beginning is what its first readings say: what is booked before them is booked
    # before they may lag behind it.
    return tuple(sorted(found, key=lambda fault: (fault.slot, fault.kind not in BOOKED)))
