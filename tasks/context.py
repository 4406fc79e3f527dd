"""What every task needs: the broker, the broker's clock, a transaction, a step in the ledger."""

import json
import logging
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from broker.client import Broker, Keys
from broker.errors import Unknown
from broker.stream import OrderNews
from db import cycles
from db import session as database
from domain.cycle import Cycle, Step
from tasks import waiting
from tasks.settings import settings

LOGGER = "strikeflow"
#: A read is safe to repeat, and only what nobody answered is worth repeating.
READ_RETRIES, READ_RETRY_DELAYS_S = 3, [1.0, 5.0, 15.0]
#: Within a step that is never run again as a whole a read is repeated after so long.
READ_AGAIN_S = (0.5, 1.0, 2.0)

Answer = TypeVar("Answer")


def _as_words(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """`scan slot=2026-11-20T15:00Z rows=32 note="2 accepted"`: what is not known is left out."""
    name = event.pop("event")
    known = {key: value for key, value in event.items() if value is not None}
    quoted = (
        f"{key}={json.dumps(value) if ' ' in str(value) else value}" for key, value in known.items()
    )
    return " ".join([name, *quoted])


structlog.configure(
    processors=[structlog.processors.format_exc_info, _as_words],
    logger_factory=structlog.stdlib.LoggerFactory(),
)
# Prefect attaches its handler to this logger but sets no level, and INFO lines would vanish.
logging.getLogger(LOGGER).setLevel(logging.INFO)
log: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER)


@lru_cache(maxsize=1)
def broker() -> Broker:
    """The broker of this process's settings."""
    key_id, secret_key = settings().required_keys()
    return Broker(
        Keys(key_id=key_id, secret_key=secret_key),
        url=settings().broker_url,
        is_live=settings().is_live,
    )


def listen() -> None:
    """Let waits end as soon as the broker tells of an order, where its time passes by itself."""
    if waiting.passes_by_itself():
        key_id, secret_key = settings().required_keys()
        keys = Keys(key_id=key_id, secret_key=secret_key)
        news = OrderNews(keys, settings().broker_url, settings().is_live)
        waiting.pass_time_by(news.wait)


def now() -> datetime:
    """The broker's clock, the only clock of a cycle."""
    return read(broker().clock).now


def read(ask: Callable[[], Answer]) -> Answer:
    """What a read answers, asked again a few times while nobody answers. Never for what changes
    anything: an order that has no answer is looked up, not sent again."""
    for seconds in READ_AGAIN_S:
        try:
            return ask()
        except Unknown as error:
            log.info("read again", after_s=seconds, detail=str(error))
            waiting.wait(seconds)
    return ask()


@contextmanager
def transaction(cycle: Cycle | None = None) -> Iterator[Connection]:
    """One transaction on our database; of a cycle, as long as its lease holds: LeaseLost when
    another has taken over. None takes over before it ends."""
    with database.transaction(settings().required_database_url()) as connection:
        if cycle is not None:
            cycles.hold_lease(connection, cycle)
        yield connection


@dataclass(kw_only=True, slots=True)
class StepNote:
    """What a step says of itself when it ends."""

    now: datetime
    row_count: int = 0
    note: str | None = None


@contextmanager
def step(cycle: Cycle, name: Step) -> Iterator[StepNote]:
    """A step of a cycle in the ledger: begun before the work, ended only when it succeeded."""
    began_s = time.monotonic()
    this = StepNote(now=now())
    with transaction(cycle) as connection:
        cycles.begin_step(connection, cycle, name, this.now)
    yield this
    duration_ms = round((time.monotonic() - began_s) * 1000)
    with transaction(cycle) as connection:
        cycles.end_step(connection, cycle, name, duration_ms, (this.row_count, this.note))
    log.info(name, slot=f"{cycle.slot:%Y-%m-%dT%H:%MZ}", rows=this.row_count, note=this.note)


def is_unanswered(_task: object, _run: object, state: object) -> bool:
    """Whether a failed task failed for want of an answer; a refusal stays a refusal."""
    try:
        state.result()  # type: ignore[attr-defined]  # a Prefect State
    except Unknown:
        return True
    except Exception:  # the orchestrator raises it again right after asking
        return False
    return False
