"""A round: a fresh account, a fresh database, and the processes that trade on them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from chaos.market import exchange_of
from chaos.matrix import DEAD_FOR_S, plan_of_matrix
from chaos.plan import Plan
from chaos.real.broker import Broker
from chaos.real.child import Errand, Signal
from chaos.real.judge import Judge
from chaos.real.nursery import Child, Nursery
from chaos.stage import write_config
from simulator.switches import FillMode, Switches
from simulator.times import MINUTE, SECOND


def plan_of_round(chance: Random) -> Plan:
    """A day that opens at its first slot and closes at the next; how orders fill is chance."""
    switches = Switches(
        seed=chance.randrange(1_000),
        fills=chance.choice([FillMode.PAPER, FillMode.QUEUE]),
        partial_share=chance.choice([0.0, 0.5]),
        zero_net=True,
    )
    return replace(plan_of_matrix(), switches=switches)


@dataclass(kw_only=True)
class Round:
    """What is played once; `slot` is its first, and the clock stands there."""

    seed: int
    nursery: Nursery
    broker: Broker
    database_url: str
    config: Path
    chance: Random = field(init=False)
    judge: Judge = field(init=False)
    slot: int = field(init=False)
    children: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        plan = plan_of_round(self.chance)
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
