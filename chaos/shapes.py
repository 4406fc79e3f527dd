"""Days of a shape: what a fault needs that a day made by dice alone seldom has. A shape is drawn
with dice of its own: a day without one is what it was before there were shapes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from random import Random

from chaos.faults import FAULTS
from chaos.market import sessions_around
from chaos.plan import Plan, PlannedFault, plan_of
from simulator.times import MINUTE

Shape = Callable[[Random, Plan], Plan]
Wanted = dict[tuple[str, str], str]

#: DICE makes all ways about as frequent in 300 seeds, and leaves the stored seeds as they were.
SHARE, SILENT_SHARE, DICE = 0.65, 0.1, 3413
#: A day and the next one on which anything is run: 5 to 10 days later.
GAPS = (
    (date(2026, 11, 20), date(2026, 11, 30)),
    (date(2026, 9, 11), date(2026, 9, 18)),
    (date(2026, 10, 14), date(2026, 10, 20)),
    (date(2026, 10, 30), date(2026, 11, 4)),
)
#: Of these the dice give so few that 300 days might lack one: every SELDOM_EVERY-th seed has
#: SELDOM_MORE of them, in their turn.
SELDOM_EVERY, SELDOM_MORE = 7, 3
SELDOM = (
    *(f"F{number}" for number in (10, 11, 12, 21, 24, 25, 26, 27, 28, 32, 33, 34, 39, 40, 43)),
    *("lost_and_not_found", "read_timeout_after", "read_slow"),  # ways of numbers with many
)
STRATEGIES, LIMITS, UNIVERSE, EXECUTION = (
    f"{name}.toml" for name in ("strategies", "limits", "universe", "execution")
)
#: What trades in nearly every slot, from mid to natural, and is held until it is told otherwise;
#: with a broker whose cancels are done at once.
EAGER: Wanted = {
    (STRATEGIES, "slippage_share_max"): "0.6",
    (STRATEGIES, "credit_share_min"): "0.10",
    (STRATEGIES, "profit_share_exit"): "0.99",
    (STRATEGIES, "loss_credit_multiple_exit"): "50",
    (STRATEGIES, "days_to_expiry_exit"): "0",
    (LIMITS, "same_legs_minutes_min"): "5",
    (LIMITS, "single_trade_loss_share_max"): "0.02",
    (LIMITS, "option_allocation_share_max"): "0.30",
    (LIMITS, "concentration_share_max"): "0.10",
    (EXECUTION, "attempts"): "4",
    (EXECUTION, "attempt_s"): "15",
    (EXECUTION, "deadline_s"): "90",
}


FAR: Wanted = {
    (STRATEGIES, "days_to_expiry_min"): "25",
    (STRATEGIES, "days_to_expiry_max"): "50",
    (STRATEGIES, "days_to_expiry_target"): "40",
    (UNIVERSE, "days_to_expiry_min"): "32",
    (UNIVERSE, "days_to_expiry_max"): "42",
    (UNIVERSE, "strike_share_min"): "0.88",
    (UNIVERSE, "strike_share_max"): "1.12",
}


def day_of(seed: int) -> Plan:
    """The day that `seed` means, with its shape if it has one."""
    plan, chance = plan_of(seed), Random(f"{DICE} {seed}")
    if chance.random() < SILENT_SHARE:
        return _silent(chance, plan)
    shaped = chance.choice(SHAPES)(chance, plan) if chance.random() < SHARE else plan
    turn, rest = divmod(seed, SELDOM_EVERY)
    return shaped if rest else _seldom(chance, shaped, turn)


def _seldom(chance: Random, plan: Plan, turn: int) -> Plan:
    """The day with more faults, of the numbers and ways whose turn it is."""
    added = []
    for place in range(turn * SELDOM_MORE, (turn + 1) * SELDOM_MORE):
        wanted = SELDOM[place % len(SELDOM)]
        kinds = sorted(n for n, fault in FAULTS.items() if wanted in (n, fault.number))
        slot, own = chance.randrange(len(plan.slots)), chance.randrange(2**32)
        added.append(PlannedFault(kind=chance.choice(kinds), slot=slot, seed=own))
    faults = sorted([*plan.faults, *added], key=lambda fault: fault.slot)
    return replace(plan, faults=tuple(faults))


def _with(
    chance: Random,
    plan: Plan,
    kinds: Mapping[str, int],
    wanted: Wanted | None = None,
    slots: int = 0,
) -> Plan:
    """The day with settings of its own, with `slots` slots if more than 0, and with these kinds,
    each armed before its slot; half of such days have no other faults."""
    others = plan.faults if chance.random() < 0.5 else ()
    numbers = _slots(plan, slots) if slots else plan.slots
    last = len(numbers) - 1
    added = [
        PlannedFault(kind=kind, slot=min(slot, last), seed=chance.randrange(2**32))
        for kind, slot in kinds.items()
    ]
    chosen = wanted or {}
    settings = tuple((file, n, chosen.get((file, n), v)) for file, n, v in plan.settings)
    missing = chosen.keys() - {(file, n) for file, n, _ in settings}
    settings += tuple((file, n, chosen[file, n]) for file, n in sorted(missing))
    faults = tuple(sorted([*others, *added], key=lambda fault: fault.slot))
    switches = replace(plan.switches, pending_minutes=0) if wanted else plan.switches
    return replace(plan, settings=settings, slots=numbers, faults=faults, switches=switches)


def _slots(plan: Plan, count: int) -> tuple[int, ...]:
    """So many, ten minutes apart, from a quarter of an hour after the open."""
    session = sessions_around(plan.scene.day.year).on(plan.scene.day)
    assert session is not None
    return tuple(session.open + (15 + 10 * number) * MINUTE for number in range(count))


def _silent(chance: Random, plan: Plan) -> Plan:
    """Days without a cycle: what was sent last may work on until the close, and what was placed by
    hand fills, expires and is assigned while nobody looks."""
    day, next_day = chance.choice(GAPS)
    silent = replace(
        plan,
        scene=replace(plan.scene, day=day, next_day=next_day, is_split=False),
        is_special_day=False,
        is_silent=True,
    )
    kinds = {"silent_days": 0}
    last = 1 if plan.scene.is_near else 2
    for kind in ("outliving_order", "left_working", "leg_assigned", "order_page_after"):
        if chance.random() < 0.5:
            kinds[kind] = last
    wanted = HARD_TO_FILL if "left_working" in kinds else EAGER
    return _with(chance, silent, kinds, {} if plan.scene.is_near else wanted, slots=last + 1)


def _answers(chance: Random, plan: Plan) -> Plan:
    kind = chance.choice(
        [
            "order_another_after",
            "order_another_before",
            "order_page_after",
            "order_page_before",
            *["read_another", "read_page"] * 2,
        ]
    )
    return _with(chance, _far(plan), {kind: chance.choice([0, 0, 1])}, EAGER, slots=3)


def _parts(chance: Random, plan: Plan) -> Plan:
    kinds = chance.sample(["fraction_order", "notional_order"], chance.choice([1, 1, 2]))
    return _with(chance, plan, {kind: chance.randrange(len(plan.slots)) for kind in kinds})


def _person(chance: Random, plan: Plan) -> Plan:
    """Something is open when the person comes, and more slots follow."""
    kind = chance.choice(["structure_closed", "structure_closed", "shared_bought"])
    kinds = {kind: chance.choice([1, 2])}
    if chance.random() < 0.3:
        kinds |= {"structure_closed": 1, "shared_bought": 3}
    wanted = EAGER | {(STRATEGIES, "structures_per_underlying_max"): chance.choice(["1", "2", "3"])}
    return _with(chance, _far(plan), kinds, wanted, slots=4)


def _replaced(chance: Random, plan: Plan) -> Plan:
    wanted = EAGER | {(EXECUTION, "attempt_s"): chance.choice(["15", "60"])}
    return _with(chance, _far(plan), {"order_replaced": chance.choice([0, 1])}, wanted, slots=3)


def _equal(chance: Random, plan: Plan) -> Plan:
    wanted = EAGER | {(STRATEGIES, "structures_per_underlying_max"): chance.choice(["2", "3"])}
    return _with(chance, _far(plan), {"equal_exits": 2}, wanted, slots=4)


def _copied(chance: Random, plan: Plan) -> Plan:
    kind = chance.choice(["restored", "slot_again"])
    return _with(chance, _far(plan), {kind: chance.choice([0, 1])}, EAGER, slots=3)


def _dark(chance: Random, plan: Plan) -> Plan:
    """What a slot sent works on, and in the next one market data is down."""
    return _with(chance, _far(plan), {"left_working": 0, "data_down": 1}, HARD_TO_FILL, slots=3)


def _assigned(chance: Random, plan: Plan) -> Plan:
    return _with(chance, _far(plan), {"leg_assigned": 1}, EAGER, slots=2)


def _bell(chance: Random, plan: Plan) -> Plan:
    return _with(chance, _far(plan), {"closing_bell": 0}, EAGER, slots=1)


def _far(plan: Plan) -> Plan:
    """The day with contracts that live for weeks, which keeps what it opens."""
    scene = replace(plan.scene, is_split=False, is_near=False)
    settings = tuple((file, n, FAR.get((file, n), v)) for file, n, v in plan.settings)
    return replace(plan, scene=scene, settings=settings) if plan.scene.is_near else plan


#: The mid is all that there is time to ask for.
HARD_TO_FILL = EAGER | {(EXECUTION, "attempt_s"): "15", (EXECUTION, "deadline_s"): "5"}
SHAPES: tuple[Shape, ...] = (
    _answers,
    _answers,
    _answers,
    _answers,
    _answers,
    _parts,
    _parts,
    _person,
    _person,
    _replaced,
    _equal,
    _equal,
    _copied,
    _copied,
    _dark,
    _assigned,
    _bell,
)
