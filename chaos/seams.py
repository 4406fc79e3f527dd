"""The seams at which the harness stands between the core and the world: the transport of its HTTP
clients, the dialect of its engine, its steps, its wait. Installed once a worker process; all of
them ask `stage.day` what is going on."""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import requests
from alpaca.common.rest import RESTClient
from prefect import Task
from requests.adapters import BaseAdapter
from sqlalchemy import Engine, event

import broker.client
import db.migrate
import db.snapshots
import tasks.config
import tasks.report
from broker.transport import READ_TIMEOUT_S
from chaos.gateway import Gateway
from chaos.memo import remember
from chaos.operations import Kind, Operation, Operations, Phase
from chaos.process import current
from db.session import engine
from domain.cycle import Cycle
from simulator.times import SECOND
from tasks.waiting import pass_time_by

#: The modules, not the flows of the same name.
trading_flow = importlib.import_module("flows.trading_cycle")
end_of_day_flow = importlib.import_module("flows.end_of_day")
FLOWS = (trading_flow, end_of_day_flow)
TASKS = {
    name: importlib.import_module(f"tasks.{name}") for name in ("greeks", "report", "snapshot")
}
WROTE = ("INSERT", "UPDATE", "DELETE")


class Running(Protocol):
    """What the seams ask of the day that runs."""

    operations: Operations
    wire: Gateway

    def depart(self, request: requests.PreparedRequest) -> None: ...
    def answered(self, request: requests.PreparedRequest, response: requests.Response) -> None: ...
    def unanswered(self, request: requests.PreparedRequest, error: Exception) -> None: ...
    def pass_time(self, seconds: float) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def opened(self, cycle: Cycle) -> None: ...
    def committed(self, wrote: list[str]) -> None: ...


class Nowhere:
    """No day runs: everything passes."""

    operations = Operations()

    def committed(self, wrote: list[str]) -> None:
        """Nothing is judged."""


class Seams:
    """`day` is whoever runs now."""

    def __init__(self, database_url: str) -> None:
        self.day: Any = Nowhere()
        self._mount_wires()
        self._listen(engine(database_url))
        self._replace_tasks()
        pass_time_by(lambda seconds: self.day.wait(seconds))
        _spare()

    # HTTP

    def _mount_wires(self) -> None:
        real = broker.client.calm  # type: ignore[attr-defined]  # as imported there

        def calm(client: RESTClient, url: str | None) -> None:
            real(client, url)
            client._session.trust_env = False  # no proxy stands before what is in process
            for scheme in ("http://", "https://"):
                client._session.mount(scheme, _Wire(self))

        broker.client.calm = calm  # type: ignore[attr-defined]  # the name that Broker looks up

    # Postgres

    def _listen(self, of: Engine) -> None:
        real = of.dialect.do_commit

        def do_commit(connection: Any) -> None:
            process = current()
            operations = self.day.operations
            operations.reach(_at(Kind.COMMIT, Phase.BEFORE, _words(process.wrote), connection))
            real(connection)
            wrote, process.wrote = process.wrote, []
            process.open_transactions = 0
            self.day.committed(wrote)
            operations.reach(_at(Kind.COMMIT, Phase.AFTER, _words(wrote), connection))

        of.dialect.do_commit = do_commit  # type: ignore[method-assign,assignment]  # bound
        event.listen(of, "begin", lambda _: _began())
        event.listen(of, "rollback", lambda _: _rolled_back())
        for name in ("do_execute", "do_executemany"):
            event.listen(of, name, self._execute)
        event.listen(of, "after_cursor_execute", _note_write)
        event.listen(of, "checkout", self._check_out)

    def _check_out(self, connection: Any, record: Any, proxy: Any) -> None:
        self.day.operations.reach(_at(Kind.CONNECT, Phase.BEFORE, ""))

    def _execute(self, cursor: Any, statement: str, parameters: Any, context: Any) -> None:
        self.day.operations.reach(
            _at(Kind.STATEMENT, Phase.BEFORE, " ".join(statement.split()[:3]), cursor)
        )

    # Steps

    def _replace_tasks(self) -> None:
        for module in FLOWS:
            for name, value in vars(module).copy().items():
                if isinstance(value, Task):
                    setattr(module, name, self._step(name, value))
                elif name == "open_cycle":
                    setattr(module, name, self._opening(value))

    def _step(self, name: str, of: Task[..., Any]) -> Callable[..., Any]:
        """The task's own function, tried again as the orchestrator would."""

        def step(*arguments: Any) -> Any:
            self.day.operations.reach(_at(Kind.STEP, Phase.BEFORE, name))
            answer = self._tried(name, of, arguments)
            self.day.stepped(name, lambda: of.fn(*arguments))
            self.day.operations.reach(_at(Kind.STEP, Phase.AFTER, name))
            return answer

        return step

    def _tried(self, name: str, of: Task[..., Any], arguments: tuple[Any, ...]) -> Any:
        delays = of.retry_delay_seconds
        waits = list(delays) if isinstance(delays, list | tuple) else [delays] * of.retries
        for seconds in waits[: of.retries]:
            try:
                return of.fn(*arguments)
            except Exception as error:  # as Prefect retries: whatever the task's condition takes
                asked = of.retry_condition_fn
                if asked is not None and not asked(of, None, _Ended(error)):  # type: ignore[arg-type]  # stands for a State
                    raise
                self.day.operations.tell("retry", f"{name} after {type(error).__name__}")
                self.day.pass_time(float(seconds or 0))
        return of.fn(*arguments)

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(*arguments: Any) -> Any:
            opened = real(*arguments)
            if isinstance(opened, Cycle):
                self.day.opened(opened)
            return opened

        return opening


class _Wire(BaseAdapter):
    """What a client is built on: the present day's simulator, with the harness listening."""

    def __init__(self, seams: Seams) -> None:
        super().__init__()
        self._seams = seams

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        day = self._seams.day
        what = f"{request.method} {request.path_url.partition('?')[0]}"
        day.operations.reach(_at(Kind.REQUEST, Phase.BEFORE, what, request))
        day.depart(request)
        try:
            response = in_time(day, request)
        except requests.RequestException as error:
            day.unanswered(request, error)
            day.operations.reach(_at(Kind.REQUEST, Phase.AFTER, what, request))
            raise
        day.answered(request, response)
        day.operations.reach(_at(Kind.REQUEST, Phase.AFTER, what, request))
        return response

    def close(self) -> None:
        """Nothing is open."""


def in_time(day: Any, request: requests.PreparedRequest) -> requests.Response:
    """An answer that takes longer than the client waits never reaches it."""
    left_at = day.exchange.now
    response: requests.Response = day.wire.send(request)
    if day.exchange.now - left_at > READ_TIMEOUT_S * SECOND:
        raise requests.ReadTimeout("the answer came too late", request=request)
    return response


class _Ended:
    """A failed run's state, as a task's condition for another try asks it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


def _at(kind: Kind, phase: Phase, what: str, subject: object = None) -> Operation:
    return Operation(kind=kind, phase=phase, what=what, subject=subject)


def _words(wrote: list[str]) -> str:
    return ",".join(dict.fromkeys(wrote)) or "nothing"


def _began() -> None:
    current().open_transactions = 1


def _rolled_back() -> None:
    current().open_transactions, current().wrote = 0, []


def _note_write(
    connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    """A statement that changed a row, by the name of its table."""
    words = statement.split(None, 3)
    if words[0] not in WROTE or cursor.rowcount == 0:
        return
    table = words[1] if words[0] == "UPDATE" else words[2]
    current().wrote.append(table)


def _spare() -> None:
    """What costs time and is judged elsewhere: the scripts of migrations are read once (the
    database's revision is still asked each time), more than four config folders are kept, Greeks of
    an equal chain are computed once, and artifacts are made without the picture and thrown away."""
    remember(TASKS["greeks"], "chain_to_greeks")
    remember(TASKS["snapshot"], "chain_frame")
    remember(db.snapshots, "_typed")
    db.migrate.wanted_revision = lru_cache(db.migrate.wanted_revision)
    tasks.config.load_config = lru_cache(maxsize=64)(tasks.config.load_config.__wrapped__)
    for name in ("create_markdown_artifact", "create_table_artifact", "surface_markdown"):
        if not hasattr(tasks.report, name):
            raise LookupError(f"tasks.report publishes nothing by {name} any more")
        setattr(tasks.report, name, lambda *_, **__: None)
    setattr(tasks.report, "snapshots", _NoChains)  # noqa: B010 - not the module it was


class _NoChains:
    """In place of db.snapshots where only the picture is made of them."""

    @staticmethod
    def read_snapshots(*_: object) -> list[None]:
        return []
