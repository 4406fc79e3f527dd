"""Every table, and the promises that must always hold as constraints.

USD a share is NUMERIC(12, 4), USD amounts NUMERIC(16, 2), instants are UTC. A column is NOT NULL
unless its comment says what null means.
"""

from db.schema.broker import (
    account_marks,
    activities,
    assignment_risks,
    beginnings,
    discrepancies,
    fills,
    orders,
    positions,
)
from db.schema.columns import metadata
from db.schema.decisions import (
    candidate_legs,
    candidates,
    intent_events,
    intent_quotes,
    intents,
    structure_legs,
    structures,
    verdicts,
)
from db.schema.market import forwards, greeks, quotes, snapshots
from db.schema.runs import accounts, cycles, days, halts, steps

__all__ = [
    "account_marks",
    "accounts",
    "activities",
    "assignment_risks",
    "beginnings",
    "candidate_legs",
    "candidates",
    "cycles",
    "days",
    "discrepancies",
    "fills",
    "forwards",
    "greeks",
    "halts",
    "intent_events",
    "intent_quotes",
    "intents",
    "metadata",
    "orders",
    "positions",
    "quotes",
    "snapshots",
    "steps",
    "structure_legs",
    "structures",
    "verdicts",
]
