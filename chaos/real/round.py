"""A round: a fresh account, a fresh database, and the processes that trade on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from signal import Signals

from chaos.market import exchange_of
from chaos.matrix import DEAD_FOR_S, plan_of_matrix
from chaos.real.broker import Broker
from chaos.real.child import Errand, Signal, Where
from chaos.real.judge import Judge
from chaos.real.nursery import Child, Nursery
from chaos.stage import copy_database, write_config
from simulator.switches import FillMode, Switches
from simulator.times import MINUTE, SECOND

#: How orders fill: all at once, or in parts while others stand before them.
HABITS = (
    Switches(seed=1, partial_share=0.0, zero_net=True),
    Switches(seed=1, partial_share=0.5, zero_net=True, fills=FillMode.QUEUE),
)


@dataclass(kw_only=True)
class Round:
    """What is played once; `slot` is its first, and the clock stands there."""

    chance: Random
    counts: dict[Where, int]  # operations of an undisturbed cycle at `slot`
    habits: Switches
    nursery: Nursery
    broker: Broker
    database_url: str
    config: Path
    judge: Judge = field(init=False)
    slot: int = field(init=False)
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = replace(plan_of_matrix(), switches=self.habits)
        if not self.config.exists():
            write_config(self.config, plan.settings)
        self.broker.play(exchange_of(plan.scene, plan.switches))
        self.judge = Judge(
            broker=self.broker, database_url=self.database_url, config=self.config, plan=plan
        )
        self.slot = plan.slots[0]
        self.broker.advance(self.slot)

    @property
    def now(self) -> int:
        return self.broker.exchange.now

    def signal(self, sign: Signals, where: Where, share_min: float = 0.0) -> Signal:
        """At any operation of a cycle, or at any after a share of them."""
        count = self.counts[where]
        skip = self.chance.randrange(int(count * share_min), count)
        return Signal(sign=sign, where=where, skip=skip)

    def child(self, name: str, slot: int, *signals: Signal) -> Child:
        """A process that is ready to run the cycle of a slot."""
        errand = Errand(
            name=name,
            slot=slot,
            database_url=self.database_url,
            broker_url=self.broker.url,
            config=str(self.config),
            signals=signals,
        )
        self.children.append(self.nursery.child(errand))
        return self.children[-1]

    def run(self, *children: Child) -> None:
        """Let them go on at once, until each has stopped or is gone."""
        self.nursery.go(*children)
        self.nursery.wait(*children)

    def minute(self) -> int:
        """The slot of the present moment."""
        return self.now // MINUTE * MINUTE

    def pass_time(self, seconds: float) -> None:
        self.broker.advance(self.now + int(seconds * SECOND))

    def further(self) -> Child:
        """One more cycle, undisturbed, when whoever died is known to be dead."""
        self.pass_time(DEAD_FOR_S)
        self.broker.advance(self.minute() + MINUTE)
        follower = self.child("further", self.minute())
        self.run(follower)
        return follower

    def wrong(self) -> list[str]:
        """Everything that did not hold, now that a whole cycle has followed."""
        self.judge.leases({one.errand.name: one.report.lease_number for one in self.children})
        found = self.judge.judge()
        for one in self.children:
            sent = self.judge.sent_by(one.errand.name)
            if one.result.startswith("skipped") and sent:
                found.append(f"{one.errand.name} is {one.result} and has sent {sent}")
        return found

    def story(self) -> str:
        """How each process ended, for who reads that something is wrong."""
        return ", ".join(f"{one.errand.name}: {one.result}" for one in self.children)


@dataclass(kw_only=True)
class Rounds:
    """Makes rounds from one seed, on copies of the database at `url`."""

    seed: int
    url: str
    nursery: Nursery
    broker: Broker
    folder: Path  # for the settings of the core
    _counts: list[dict[Where, int]] = field(default_factory=list)  # of each of HABITS

    def new(self, number: int) -> Round:
        """The round of a number: the seed says everything that is left to chance."""
        if not self._counts:
            self._counts = [self._count(habit) for habit in range(len(HABITS))]
        chance = Random(self.seed + number)
        habit = chance.randrange(len(HABITS))
        return self._round(f"round_{number}", habit, chance, self._counts[habit])

    def _count(self, habit: int) -> dict[Where, int]:
        """How many operations a cycle has that nothing disturbs."""
        quiet = self._round(f"quiet_{habit}", habit, Random(self.seed), {})
        alone = quiet.child("alone", quiet.slot)
        quiet.run(alone)
        if alone.result != "done" or not quiet.judge.arrivals or quiet.judge.judge():
            raise RuntimeError(f"undisturbed: {quiet.story()}, {quiet.judge.judge()}")
        return alone.report.counts

    def _round(self, name: str, habit: int, chance: Random, counts: dict[Where, int]) -> Round:
        return Round(
            chance=chance,
            counts=counts,
            habits=HABITS[habit],
            nursery=self.nursery,
            broker=self.broker,
            database_url=copy_database(self.url, name),
            config=self.folder / "config",
        )
