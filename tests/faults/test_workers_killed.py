"""A real Prefect server and real workers: a worker and the flow run it has started are killed in
the middle of a cycle, a new worker is started, and the next slot runs."""

import os
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from chaos.market import exchange_of
from chaos.matrix import DEAD_FOR_S, plan_of_matrix
from chaos.real.broker import Broker, Snare, on_loopback
from chaos.real.judge import Judge
from chaos.stage import write_config
from cli.services import (
    LOOPBACK,
    free_port,
    prefect_environment,
    prefect_server,
    prepare_databases,
    running,
    wait_until_ready,
)
from cli.up import WORK_POOL, deploy
from db.session import engine
from simulator.times import MINUTE, SECOND, utc

RUN_TIMEOUT_S, LOOK_EVERY_S = 180, 0.2
#: The broker's clock runs, so that waits of real seconds come to their end.
SPEED = 5.0
SAME_LEGS_AGAIN_AFTER = 25 * MINUTE  # as config/limits.toml has it, and more
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Desk:
    """Everything `up` starts but the worker, and a broker that we hold in our hands."""

    api: str
    environment: dict[str, str]
    home: Path
    broker: Broker
    judge: Judge
    stack: ExitStack
    workers: list = field(default_factory=list)

    def ask(self, method, path, body=None):
        answer = httpx.request(method, self.api + path, json=body, trust_env=False, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def start_worker(self):
        """A worker process; its flow runs are processes of their own."""
        words = ["prefect", "worker", "start", "--pool", WORK_POOL, "--type", "process"]
        name = f"worker-{len(self.workers) + 1}"
        keys = {"APCA_API_KEY_ID": name, "APCA_API_SECRET_KEY": "secret"}
        service = running(name, words, self.environment | keys, self.home)
        self.workers.append(self.stack.enter_context(service))

    def kill(self, run):
        """Kill -9 for the worker, and for the flow run that it has started."""
        host_and_pid = self.ask("GET", f"/flow_runs/{run}")["infrastructure_pid"]
        worker = self.workers[-1].process
        worker.kill()
        os.kill(int(host_and_pid.rpartition(":")[2]), signal.SIGKILL)
        worker.wait()
        # As an operator says of a run that is dead: the deployment takes one at a time.
        state = {"type": "CRASHED", "name": "Crashed"}
        self.ask("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def schedule(self, slot):
        """A run of the deployment, due now; its id."""
        deployment = self.ask("GET", "/deployments/name/trading-cycle/intraday")
        body = {"state": {"type": "SCHEDULED"}, "parameters": {"slot": utc(slot).isoformat()}}
        path = f"/deployments/{deployment['id']}/create_flow_run"
        return self.ask("POST", path, body)["id"]

    def rows(self, query):
        return self.judge.rows(query)

    def ended(self, run):
        """The name of the state that a run has ended in."""
        deadline_s = time.monotonic() + RUN_TIMEOUT_S
        while (state := self.ask("GET", f"/flow_runs/{run}")["state"])["type"] not in ENDED:
            assert time.monotonic() < deadline_s, f"the run is {state}"
            time.sleep(LOOK_EVERY_S)
        return f"{state['name']}: {state['message']}"

    def next_slot(self):
        """The next minute at which whoever was silent until now is known to be dead."""
        later = self.broker.exchange.now + int(DEAD_FOR_S * SECOND)
        slot = (later // MINUTE + 1) * MINUTE
        self.broker.advance(slot)
        return slot


@pytest.fixture(scope="module")
def desk(postgres_url, tmp_path_factory):
    home, port, plan = tmp_path_factory.mktemp("killed"), free_port(), plan_of_matrix()
    url = postgres_url.replace("/strikeflow?", "/killed?")
    once = (("execution.toml", "attempts", "1"),)  # at the natural price: it is filled at once
    write_config(home / "config", (*plan.settings, *once))
    with ExitStack() as stack:
        broker = stack.enter_context(on_loopback())
        prepare_databases(url, "prefect_killed")
        environment = prefect_environment(home, url, "prefect_killed", port) | {
            "DATABASE_URL": url,
            "STRIKEFLOW_BROKER_URL": broker.url,
            "STRIKEFLOW_CONFIG": str(home / "config"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
        server = stack.enter_context(prefect_server(port, environment, home))
        wait_until_ready(server, f"http://{LOOPBACK}:{port}/api/health")
        deploy(environment, Console(quiet=True).status(""))
        broker.play(exchange_of(plan.scene, replace(plan.switches, partial_share=0.0)), SPEED)
        broker.advance(plan.slots[0])
        judge = Judge(broker=broker, database_url=url, config=home / "config", plan=plan)
        api = f"http://{LOOPBACK}:{port}/api"
        made = Desk(
            api=api, environment=environment, home=home, broker=broker, judge=judge, stack=stack
        )
        made.start_worker()
        yield made
        made.workers[-1].process.kill()  # it has nothing to say any more
        engine(url).dispose()


@pytest.mark.parametrize("is_after", [True, False], ids=["answer lost", "order not read"])
def test_a_worker_and_its_flow_run_killed_with_an_order_on_its_way_leave_books_that_agree(
    desk, is_after
):
    desk.broker.advance(desk.broker.exchange.now + SAME_LEGS_AGAIN_AFTER)
    sent, before = len(desk.judge.arrivals), len(desk.broker.exchange.book.orders)
    snare = desk.broker.snare = Snare(meets=lambda asked: asked.is_order, is_after=is_after)
    dead = desk.schedule(desk.next_slot())
    assert snare.sprung.wait(RUN_TIMEOUT_S), desk.ask("GET", f"/flow_runs/{dead}")
    desk.kill(dead)
    assert snare.over.wait(RUN_TIMEOUT_S), "the flow run lives on"
    assert len(desk.judge.arrivals) == sent + 1
    assert len(desk.broker.exchange.book.orders) == before + is_after
    assert desk.rows("SELECT state FROM cycles WHERE state = 'running'") == [("running",)]
    desk.start_worker()
    following = desk.schedule(desk.next_slot())
    assert desk.ended(following).startswith("Completed"), desk.ask("GET", f"/flow_runs/{following}")
    assert desk.rows("SELECT count(*) FROM cycles WHERE state = 'running'") == [(0,)]
    assert desk.judge.judge() == []
