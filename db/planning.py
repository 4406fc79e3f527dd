"""Planning: a decision becomes an intent, stored before anything leaves."""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from db.candidates import leg_rows
from db.schema import intents, structure_legs, structures
from domain.cycle import Cycle
from domain.orders import IntentState, OrderIntent
from domain.structures import StructureState


class IdInUse(RuntimeError):
    """Two decisions have one client_order_id: only one of them could ever be sent."""


def plan_intent(
    connection: Connection,
    cycle: Cycle,
    intent: OrderIntent,
    origin: tuple[int, int | None],
    now: datetime,
) -> bool:
    """Store an intent as planned, with its structure; False when the same decision is stored
    already. IdInUse when its id is another decision's.

    origin  the candidate's id, and the structure's when it closes one
    """
    candidate_id, structure_id = origin
    known = select(intents.c.candidate_id, intents.c.structure_id).where(
        intents.c.client_order_id == intent.client_order_id
    )
    row = connection.execute(known).first()
    if row is not None:
        if origin not in ((row.candidate_id, row.structure_id), (row.candidate_id, None)):
            raise IdInUse(
                f"{intent.client_order_id} is of candidate {row.candidate_id} and structure"
                f" {row.structure_id}, not of {candidate_id} and {structure_id}"
            )
        return False
    if structure_id is None:
        structure_id = _new_structure(connection, cycle, intent, now)
    connection.execute(
        insert(intents).values(
            client_order_id=intent.client_order_id,
            account_id=cycle.account_id,
            cycle_id=cycle.id,
            candidate_id=candidate_id,
            structure_id=structure_id,
            purpose=intent.purpose,
            quantity=intent.quantity,
            limit_price=intent.limit_price,
            loss_usd_worst=intent.loss_usd_worst,
            state=IntentState.PLANNED,
            planned_at=now,
            attempt=intent.attempt,
            filled_quantity=0,
            looks=0,
            moved_at=now,
        )
    )
    return True


def _new_structure(connection: Connection, cycle: Cycle, intent: OrderIntent, now: datetime) -> int:
    structure_id: int = connection.execute(
        insert(structures)
        .values(
            account_id=cycle.account_id,
            strategy=intent.strategy,
            underlying=intent.underlying,
            state=StructureState.OPENING,
            quantity=intent.quantity,
            opened_at=now,
        )
        .returning(structures.c.id)
    ).scalar_one()
    connection.execute(insert(structure_legs), leg_rows("structure_id", structure_id, intent.legs))
    return structure_id
