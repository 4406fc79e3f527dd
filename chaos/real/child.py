"""A trading cycle in a process of its own: the real flow, the client's own HTTP, a real Postgres.
It may stop or kill itself at a counted operation; what it does is told through a pipe."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import Any

import httpx
import requests
from alpaca.common.rest import RESTClient
from psycopg.pq import TransactionStatus
from requests.adapters import BaseAdapter

import broker.client
from chaos.operations import Kind, Operation, Operations, Phase, Trap, boundary
from chaos.process import Process, current, run_as
from chaos.seams import Seams, trading_flow
from chaos.stage import forget_processes
from domain.cycle import Cycle
from simulator.times import utc

CLOCK_TIMEOUT_S = 60


class Where(StrEnum):
    """Which operations of a cycle are counted for a signal."""

    ANYWHERE = "anywhere"
    BETWEEN = "between"  # boundaries where no transaction is open
    INSIDE = "inside"  # statements and commits of a transaction the server has begun


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """Sent by the process to itself at the operation after `skip` others that it would meet."""

    sign: signal.Signals
    where: Where
    skip: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Errand:
    """A cycle to run. `name` is also the key with which the broker is asked."""

    name: str
    slot: int
    database_url: str
    broker_url: str
    config: str
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a child has told. Of one that was killed the first part is known."""

    lease_number: int | None = None  # once it has opened a cycle
    result: str = "killed"
    counts: dict[Where, int] = field(default_factory=dict)  # operations it has passed


class _Seams(Seams):
    """The client's own transport stays: its requests are counted on their way."""

    def _mount_wires(self) -> None:
        real = broker.client.calm  # type: ignore[attr-defined]  # as imported there

        def calm(client: RESTClient, url: str | None) -> None:
            real(client, url)
            for scheme in ("http://", "https://"):
                own = client._session.get_adapter(scheme)
                client._session.mount(scheme, _Counted(self, own))

        broker.client.calm = calm  # type: ignore[attr-defined]  # the name that Broker looks up


class _Counted(BaseAdapter):
    """An adapter that tells of each request before and after it."""

    def __init__(self, seams: Seams, own: BaseAdapter) -> None:
        super().__init__()
        self._seams, self._own = seams, own

    def send(
        self, request: requests.PreparedRequest, *more: Any, **options: Any
    ) -> requests.Response:
        operations = self._seams.day.operations
        what = f"{request.method} {request.path_url.partition('?')[0]}"
        operations.reach(_request(Phase.BEFORE, what))
        response = self._own.send(request, *more, **options)
        operations.reach(_request(Phase.AFTER, what))
        return response

    def close(self) -> None:
        self._own.close()


def _request(phase: Phase, what: str) -> Operation:
    return Operation(kind=Kind.REQUEST, phase=phase, what=what)


class _Outside:
    """What the seams of a child report to: the clock is moved at the broker, the rest is told."""

    def __init__(self, errand: Errand, pipe: Connection) -> None:
        self._errand, self._pipe = errand, pipe
        self.counters = {where: _Counter(where) for where in Where}
        traps = [_trap(one) for one in errand.signals]
        self.operations = Operations(traps=[*traps, *(c.trap for c in self.counters.values())])

    def pass_time(self, seconds: float) -> None:
        httpx.post(
            f"{self._errand.broker_url}/sim/clock",
            json={"seconds": seconds},
            headers={"APCA-API-KEY-ID": self._errand.name, "APCA-API-SECRET-KEY": "chaos"},
            timeout=CLOCK_TIMEOUT_S,
            trust_env=False,
        ).raise_for_status()

    wait = pass_time

    def opened(self, cycle: Cycle) -> None:
        self._pipe.send(cycle.lease_number)

    def committed(self, wrote: list[str]) -> None:
        """Judged from outside."""

    def stepped(self, name: str, again: Callable[[], object]) -> None:
        """Nothing is done twice here."""


class _Counter:
    """Counts the operations that a signal of its kind could come at; never springs."""

    def __init__(self, where: Where) -> None:
        self.count = 0
        meets = MEETS[where]

        def counted(operation: Operation) -> bool:
            self.count += meets(operation)
            return False

        self.trap = Trap(name="count", meets=counted, strike=lambda _: None)


def _inside(operation: Operation) -> bool:
    """Whether the server has begun a transaction that this operation goes on with."""
    if operation.kind is not Kind.STATEMENT and (operation.kind, operation.phase) != BEFORE_COMMIT:
        return False
    subject: Any = operation.subject
    connection = getattr(subject, "connection", subject)  # of a cursor, or itself
    connection = getattr(connection, "driver_connection", connection)
    return bool(connection.info.transaction_status == TransactionStatus.INTRANS)


BEFORE_COMMIT = (Kind.COMMIT, Phase.BEFORE)
MEETS: dict[Where, Callable[[Operation], bool]] = {
    Where.ANYWHERE: lambda operation: True,
    Where.BETWEEN: lambda operation: boundary(operation) and not current().open_transactions,
    Where.INSIDE: _inside,
}


def _trap(one: Signal) -> Trap:
    return Trap(
        name=one.sign.name,
        meets=MEETS[one.where],
        strike=lambda _: os.kill(os.getpid(), one.sign),
        skip=one.skip,
    )


def live(errand: Errand, pipe: Connection) -> None:
    """All that a child does. It stops itself when it is ready, and begins when it is resumed."""
    os.environ.update(
        {
            "DATABASE_URL": errand.database_url,
            "STRIKEFLOW_BROKER_URL": errand.broker_url,
            "STRIKEFLOW_CONFIG": errand.config,
            "STRIKEFLOW_LIVE": "0",
            "APCA_API_KEY_ID": errand.name,
            "APCA_API_SECRET_KEY": "chaos",
        }
    )
    forget_processes()
    seams, outside = _Seams(errand.database_url), _Outside(errand, pipe)
    process = Process(name=errand.name)
    os.kill(os.getpid(), signal.SIGSTOP)
    seams.day = outside
    try:
        run_as(process, lambda: _driven(errand.slot))
    except Exception as error:  # told to whoever judges it
        process.result = f"failed {type(error).__name__}: {error}"
    counts = {where: counter.count for where, counter in outside.counters.items()}
    pipe.send((process.result, counts))


def _driven(slot: int) -> str:
    """The flow's coroutine, which never awaits, to its end."""
    try:
        trading_flow.trading_cycle.fn(utc(slot), None).send(None)
    except StopIteration as end:
        return "done" if end.value is None else f"skipped: {end.value.message}"
    raise RuntimeError("the flow awaits something: it can no longer be driven by hand")
