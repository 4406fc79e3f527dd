"""A seeded day: its slots run by the real flows, its faults armed, its requests and commits
listened to, its end judged."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from sqlalchemy.exc import DBAPIError

from broker.errors import BrokerError
from chaos.driving import body_of, driven, words_of
from chaos.faults import FAULTS, Armed
from chaos.gateway import Gateway
from chaos.history import History
from chaos.listening import Listening
from chaos.market import exchange_of, sessions_around
from chaos.operations import Operations
from chaos.oracle import Oracle, Violation
from chaos.plan import Plan
from chaos.process import Process, current, run_as
from chaos.seams import end_of_day_flow, trading_flow
from chaos.stage import BROKER_URL, Stage, forget_processes
from db.session import DatabaseUnavailable
from domain.cycle import Cycle
from simulator.app import create_app
from simulator.in_process import InProcess
from simulator.times import MINUTE, SECOND, rfc3339, rfc3339_short, utc

KEYS = {"APCA-API-KEY-ID": "chaos", "APCA-API-SECRET-KEY": "chaos"}
END_OF_DAY_AFTER = 15 * MINUTE


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """A day that was played and judged."""

    seed: int
    violations: tuple[Violation, ...]
    fired: Counter[str]
    counts: Counter[str]
    history: History


class Day:
    """One day while it runs; what the seams report to."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self.plan = plan
        self.stage = stage
        self.settings = plan.settings
        self.config = stage.clear(plan.settings)
        self.history = History()
        self.operations = Operations(tell=self.history.add)
        self.exchange = exchange_of(plan.scene, plan.switches)
        self.listening = Listening(self.exchange, self.advance)
        broker = InProcess(create_app(self.exchange, streams=self.listening.streams))
        self.wire = Gateway(broker=broker, tell=self.history.add)
        self.oracle = Oracle(self)
        self.armed: list[tuple[str, Armed]] = []
        #: How the present slot is run, when a fault of the orchestrator has a say in it.
        self.way: Callable[[int], None] | None = None
        #: What cannot be done yet, tried before each slot.
        self.waiting: list[Callable[[], bool]] = []
        #: What is done when the last slot is over.
        self.at_rest: list[Callable[[], None]] = []
        self.skew_s_max = 0.0
        self.counts: Counter[str] = Counter()
        self._runs = 0
        self._is_last = False
        self._stands_still = False  # the broker, while a further reconcile must change nothing

    @property
    def is_plain(self) -> bool:
        """Whether orders alone have moved what is held."""
        moved = any(row.order_id is None for row in self.exchange.book.activities)
        odd = any(self.has_fault(number) for number in ("F21", "F23", "F46", "F47"))
        odd = odd or self.plan.scene.is_split
        return not moved and not odd and not self.oracle.others_orders()

    def has_fault(self, number: str) -> bool:
        """Whether a fault of this number of the catalogue is in the plan."""
        return any(FAULTS[fault.kind].number == number for fault in self.plan.faults)

    @property
    def has_postgres_fault(self) -> bool:
        """Whether one that stands or stood makes errors of the database."""
        return any(FAULTS[name].is_postgres for name, _ in self.armed)

    # The day

    def play(self) -> Played:
        """Run everything, then let it come to rest, and judge."""
        self.stage.seams.day = self
        try:
            for number, slot in enumerate(self.plan.slots):
                self.advance(slot)
                self.waiting = [again for again in self.waiting if not again()]
                self.arm(number)
                self.run_slot(slot)
            self.rest()
        finally:
            current().open_transactions = 0
        fired = Counter({name: 0 for name, _ in self.armed})
        for name, armed in self.armed:
            fired[name] += armed.fired()
        if self.plan.is_special_day:
            fired["special_day"] += 1
        return Played(
            seed=self.plan.seed,
            violations=tuple(self.oracle.violations),
            fired=fired,
            counts=self.counts,
            history=self.history,
        )

    def arm(self, number: int) -> None:
        for fault in self.plan.faults:
            if fault.slot == number:
                self.history.add("arm", fault.kind)
                self.armed.append((fault.kind, FAULTS[fault.kind].arm(self, fault.seed)))

    def run_slot(self, slot: int) -> None:
        """As the orchestrator does today: once, or in the way of a fault."""
        way, self.way = self.way, None
        if way is not None:
            way(slot)
        elif self.run_cycle(slot) in ("killed", "terminated"):
            self.restart(slot)

    def restart(self, slot: int) -> None:
        """A worker that died comes back: at once or later, with the same slot or the next."""
        pause = (slot // MINUTE + self.plan.seed) % 4
        forget_processes()
        if pause:
            self.pass_time(float(pause * 75))
            self.run_cycle(slot)

    def rest(self) -> None:
        """Faults stop, the clock goes on, and two reconcile passes run; then everything must be
        right."""
        plan = self.plan
        sessions = sessions_around(plan.scene.day.year)
        self.exchange.faults.disarm()
        self.operations.traps.clear()
        self.wire.spoils.clear()
        self.history.add("rest", "faults have stopped")
        for last in self.at_rest:
            last()
        first, second = sessions.on(plan.scene.day), sessions.on(plan.scene.next_day)
        assert first is not None
        assert second is not None
        self.advance(first.close + END_OF_DAY_AFTER)
        if not plan.is_silent:
            self.run_end_of_day()
        self.advance(second.open + 20 * MINUTE)
        self.be_last()
        ended = self.run_cycle(self.exchange.now)
        if ended != "done":
            self.oracle.violated("I0", f"no fault stands, and the cycle is {ended}")
        self.oracle.judge()

    def be_last(self) -> None:
        """From now on everything has come to rest: a reconcile is done twice."""
        self._is_last = True

    def change_settings(self, wanted: Mapping[tuple[str, str], str]) -> None:
        """Some settings of the day, by file and name, are others from now on."""
        self.settings = tuple((f, n, wanted.get((f, n), v)) for f, n, v in self.settings)
        self.config = self.stage.use(self.settings)
        self.oracle.arrival.read_limits()
        self.history.add("settings", ", ".join(f"{n} {v}" for (_, n), v in wanted.items()))

    # Runs

    def run_cycle(self, slot: int) -> str:
        """The trading cycle of a slot in this thread; how it ended."""
        process = self.new_process(f"cycle {rfc3339_short(slot)}")
        return self.run(process, self.cycle_work(slot))

    def cycle_work(self, slot: int) -> Callable[[], str]:
        return lambda: driven(trading_flow.trading_cycle.fn(utc(slot), None))

    def run_end_of_day(self) -> str:
        moment = utc(self.exchange.now)
        return self.run(
            self.new_process("end of day"), lambda: driven(end_of_day_flow.end_of_day.fn(moment))
        )

    def new_process(self, name: str) -> Process:
        self._runs += 1
        return Process(name=f"{name} #{self._runs}")

    def run(self, process: Process, work: Callable[[], str]) -> str:
        self.history.add("run", process.name)
        run_as(process, lambda: self.judged(work))
        self.ended(process)
        return process.result

    def judged(self, work: Callable[[], str]) -> str:
        """How `work` ends; an error that nothing explains is a violation."""
        try:
            return work()
        except Exception as error:  # a violation itself, unless a fault explains it
            text = " ".join(self.stage.without_place(str(error)).split())[:200]
            if not self._is_explained(error):
                self.oracle.violated("I0", f"{type(error).__name__}: {text}")
            return f"failed {type(error).__name__}: {text}"

    def _is_explained(self, error: Exception) -> bool:
        if isinstance(error, BrokerError) or type(error).__name__ == "LeaseLost":
            return True
        is_of_postgres = isinstance(error, DBAPIError | DatabaseUnavailable)
        return is_of_postgres and self.has_postgres_fault

    def ended(self, process: Process) -> None:
        self.history.add("ended", f"{process.name}: {process.result}")
        self.counts[f"cycles {process.result.split(' ', 1)[0].rstrip(':')}"] += 1
        self.oracle.ended(process)

    # The broker's time

    def advance(self, to: int) -> None:
        """Move the clock on to a moment; one that has passed is left alone."""
        if to > self.exchange.now:
            self._sim("clock", {"now": rfc3339(to)})

    def wait(self, seconds: float) -> None:
        """As a task waits: less than so long when the broker tells of an order."""
        if self._stands_still:
            return
        began = self.exchange.now
        how = self.listening.wait(seconds)
        passed = (self.exchange.now - began) / SECOND
        self.history.add("wait", f"{passed:g} of {seconds:g} s, {how}")

    def pass_time(self, seconds: float) -> None:
        self.history.add("wait", f"{seconds:g} s")
        self.advance(self.exchange.now + int(seconds * SECOND))

    def arm_at_broker(self, fault: Any) -> None:
        """A fault of the simulator's own, in force from now on."""
        self.exchange.faults.arm(fault)
        self._sim("clock", {"now": rfc3339(self.exchange.now)})  # what is due happens

    def _sim(self, name: str, body: dict[str, str]) -> None:
        request = requests.Request("POST", f"{BROKER_URL}/sim/{name}", headers=KEYS, json=body)
        answer = self.wire.send(request.prepare())
        if answer.status_code != 200:
            raise RuntimeError(f"/sim/{name} {body}: {answer.text}")

    # What the seams report

    def depart(self, request: requests.PreparedRequest) -> None:
        self.history.add("request", words_of(request))
        if request.method == "POST":
            self.oracle.order_arrives(json.loads(body_of(request)))
        elif request.method == "DELETE":
            self.oracle.cancel_arrives(request.path_url.rpartition("/")[2])

    def answered(self, request: requests.PreparedRequest, response: requests.Response) -> None:
        self.history.add("answer", f"{response.status_code} {len(response.content)}")
        self.oracle.answered(str(request.method), request.path_url, response)

    def unanswered(self, request: requests.PreparedRequest, error: Exception) -> None:
        self.history.add("answer", f"none: {type(error).__name__}")
        self.oracle.unanswered(request.path_url)

    def stepped(self, name: str, again: Callable[[], object]) -> None:
        """A step is done. The last reconcile is done once more, over an unchanged broker."""
        if name == "reconcile":
            self.oracle.reconciled(current())
        if self._is_last and name == "reconcile" and self._reconciled():
            before = self.oracle.contents()
            self._stands_still = True
            again()
            self._stands_still = False
            self.oracle.reconciled_again(before)

    def _reconciled(self) -> bool:
        self.counts["last reconciles"] += 1
        return self.counts["last reconciles"] == 2

    def opened(self, cycle: Cycle) -> None:
        current().cycle_id, current().lease_number = cycle.id, cycle.lease_number
        self.oracle.opened(current())

    def committed(self, wrote: list[str]) -> None:
        if wrote:
            self.history.add("commit", ",".join(f"{n} {c}" for n, c in Counter(wrote).items()))
        self.oracle.committed(wrote)
