"""A cycle: one run of the pipeline, named by account, kind and slot."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CycleKind(StrEnum):
    TRADING = "trading"
    END_OF_DAY = "end_of_day"


class CycleState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"  # nothing was to be done; the reason says why
    FAILED = "failed"  # stopped by an error; the same slot may be run again


class Step(StrEnum):
    """The steps of a cycle, in their order."""

    RECONCILE_BEFORE = "reconcile_before"
    SNAPSHOT = "snapshot"
    GREEKS = "greeks"
    SCAN = "scan"
    VALIDATE = "validate"
    SUBMIT = "submit"
    RECONCILE = "reconcile"
    REPORT = "report"
    ASSIGNMENT_REPORT = "assignment_report"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cycle:
    """`slot` is the scheduled moment, UTC, whenever it really ran. Everything the cycle writes it
    writes under its lease number; another cycle of the account takes a higher one."""

    id: int
    account_id: int
    account: str
    kind: CycleKind
    slot: datetime
    lease_number: int
    #: What version ran the account's cycle before; None when it was this one, or there was none.
    version_before: str | None = None


class LeaseLost(RuntimeError):
    """Another cycle of the account has begun since: this one may write nothing more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skip:
    """Why a slot was not run, in words for people."""

    reason: str
    #: Another cycle of the account is at work: asked again later the slot may be run.
    is_busy: bool = False
