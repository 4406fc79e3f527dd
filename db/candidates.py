"""Candidates and verdicts."""

import math
from collections.abc import Collection, Iterable
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from db.schema import candidate_legs, candidates, intents, verdicts
from domain.candidates import Candidate
from domain.cycle import Cycle
from domain.orders import Leg, Purpose, Side
from domain.risk import Verdict

OWN_COLUMNS = [name for name in Candidate.__slots__ if name != "legs"]


def has_intents(connection: Connection, cycle: Cycle) -> bool:
    """Whether this cycle has decided: then its candidates stand and are not made again."""
    return (
        connection.execute(
            select(intents.c.client_order_id).where(intents.c.cycle_id == cycle.id).limit(1)
        ).first()
        is not None
    )


def replace_candidates(connection: Connection, cycle: Cycle, found: list[Candidate]) -> None:
    """Store the cycle's candidates in place of any from an earlier try of the same slot."""
    mine = select(candidates.c.id).where(candidates.c.cycle_id == cycle.id)
    connection.execute(delete(verdicts).where(verdicts.c.candidate_id.in_(mine)))
    connection.execute(delete(candidate_legs).where(candidate_legs.c.candidate_id.in_(mine)))
    connection.execute(delete(candidates).where(candidates.c.cycle_id == cycle.id))
    for candidate in found:
        row = {name: getattr(candidate, name) for name in OWN_COLUMNS}
        candidate_id = connection.execute(
            insert(candidates).values(cycle_id=cycle.id, **row).returning(candidates.c.id)
        ).scalar_one()
        if candidate.legs:
            connection.execute(
                insert(candidate_legs), leg_rows("candidate_id", candidate_id, candidate.legs)
            )


def leg_rows(key: str, value: object, legs: tuple[Leg, ...]) -> list[dict[str, object]]:
    """Rows of a legs table, numbered from 1 in their order."""
    return [
        {key: value, "leg_number": n, "symbol": leg.symbol, "side": leg.side, "ratio": leg.ratio}
        for n, leg in enumerate(legs, start=1)
    ]


def read_accepted(connection: Connection, cycle: Cycle) -> list[tuple[int, Candidate]]:
    """Id and candidate of those to be validated: closing ones first, they give risk back."""
    rows = connection.execute(
        select(candidates)
        .where(candidates.c.cycle_id == cycle.id, candidates.c.is_accepted)
        .order_by(candidates.c.purpose == Purpose.OPEN, candidates.c.id)
    ).mappings()
    found = []
    for row in rows:
        columns = {name: row[name] for name in OWN_COLUMNS} | {"purpose": Purpose(row["purpose"])}
        found.append((row["id"], columns))
    legs = read_legs(connection, [candidate_id for candidate_id, _ in found])
    return [(key, Candidate(**columns, legs=legs.get(key, ()))) for key, columns in found]


def read_legs(connection: Connection, candidate_ids: Collection[int]) -> dict[int, tuple[Leg, ...]]:
    """Each candidate's legs in the order they are sent; one without any is missing."""
    if not candidate_ids:
        return {}
    rows = connection.execute(
        select(candidate_legs)
        .where(candidate_legs.c.candidate_id.in_(candidate_ids))
        .order_by(candidate_legs.c.candidate_id, candidate_legs.c.leg_number)
    )
    return {key: as_legs(of_one) for key, of_one in groupby(rows, lambda row: row.candidate_id)}


def as_legs(rows: Iterable[Row[Any]]) -> tuple[Leg, ...]:
    return tuple(Leg(symbol=r.symbol, side=Side(r.side), ratio=r.ratio) for r in rows)


def save_verdicts(connection: Connection, candidate_id: int, found: tuple[Verdict, ...]) -> None:
    """Store every check's answer in place of any from an earlier try."""
    connection.execute(delete(verdicts).where(verdicts.c.candidate_id == candidate_id))
    if not found:
        return
    connection.execute(
        insert(verdicts),
        [
            {
                "candidate_id": candidate_id,
                "check_name": verdict.check,
                "value": verdict.value if math.isfinite(verdict.value) else None,
                "threshold": verdict.threshold,
                "passed": verdict.passed,
            }
            for verdict in found
        ],
    )
