"""What is asked of the record afterwards: sums over cycles, reasons, the last report."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, literal, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from db.schema import (
    account_marks,
    accounts,
    activities,
    assignment_risks,
    candidates,
    cycles,
    fills,
    greeks,
    intents,
    orders,
    positions,
    quotes,
    snapshots,
    steps,
    structures,
    verdicts,
)
from db.structures import read_structure_legs
from domain import calendar
from domain.cycle import Cycle, Step
from domain.orders import Purpose
from domain.summary import Event, HeldStructure, ShortRisk, StepTotal, Summary


def cycles_between(
    connection: Connection, account_id: int, start: datetime, end: datetime
) -> list[int]:
    """Ids of the account's cycles whose slot lies in [start, end)."""
    rows = connection.execute(
        select(cycles.c.id)
        .where(cycles.c.account_id == account_id, cycles.c.slot >= start, cycles.c.slot < end)
        .order_by(cycles.c.slot)
    )
    return list(rows.scalars())


def summarize(
    connection: Connection, account_id: int, cycle_ids: Sequence[int], day: date | None
) -> Summary:
    """The numbers of these cycles, and the account's books as last read."""
    mine = cycles.c.id.in_(cycle_ids)
    of_cycles = candidates.c.cycle_id.in_(cycle_ids)
    entries = of_cycles & (candidates.c.purpose == Purpose.OPEN)
    contracts = select(func.count()).select_from(quotes).join(snapshots)
    flags = (
        select(func.coalesce(greeks.c.flag, "solved"), func.count())
        .join(snapshots, snapshots.c.id == greeks.c.snapshot_id)
        .where(snapshots.c.cycle_id.in_(cycle_ids))
        .group_by(greeks.c.flag)
    )
    flagged = _counts(connection, flags)
    skips = select(cycles.c.reason).where(mine, cycles.c.reason.is_not(None)).distinct()
    denied = (
        select(verdicts.c.check_name, func.count())
        .join(candidates, candidates.c.id == verdicts.c.candidate_id)
        .where(of_cycles, ~verdicts.c.passed)
        .group_by(verdicts.c.check_name)
    )
    ruled = select(candidates.c.rule, func.count()).where(entries, ~candidates.c.is_accepted)
    marks = _marks(connection, cycle_ids, day)
    money = marks[-1] if marks else None
    return Summary(
        account=connection.execute(
            select(accounts.c.number).where(accounts.c.id == account_id)
        ).scalar_one(),
        day=day,
        cycles=_counts(
            connection, select(cycles.c.state, func.count()).where(mine).group_by(cycles.c.state)
        ),
        skips=tuple(sorted(connection.execute(skips).scalars())),
        contracts=_count(connection, contracts.where(snapshots.c.cycle_id.in_(cycle_ids))),
        priced=flagged.pop("solved", 0),
        flags=flagged,
        candidates=_count(
            connection, select(func.count()).select_from(candidates).where(of_cycles)
        ),
        accepted=_count(
            connection,
            select(func.count()).select_from(candidates).where(of_cycles, candidates.c.is_accepted),
        ),
        turned_down=_counts(connection, ruled.group_by(candidates.c.rule)),
        denials=_counts(connection, denied),
        intents=_counts(
            connection,
            select(intents.c.state, func.count())
            .where(intents.c.cycle_id.in_(cycle_ids))
            .group_by(intents.c.state),
        ),
        positions=_positions(connection, account_id),
        structures=_structures(connection, account_id),
        cash_usd=money.cash if money else None,
        equity_usd=money.equity if money else None,
        profit_usd=money.equity - marks[0].last_equity if money else None,
        buying_power_usd=money.options_buying_power if money else None,
        assignment=_assignment(connection, cycle_ids),
        events=_events(connection, account_id, day),
        steps=_steps(connection, cycle_ids),
        **_traded(connection, account_id, cycle_ids),
    )


def _marks(
    connection: Connection, cycle_ids: Sequence[int], day: date | None
) -> Sequence[Row[Any]]:
    """The account's money as the cycles read it; not what a late one read in a later session."""
    found = select(account_marks).where(account_marks.c.cycle_id.in_(cycle_ids))
    if day is not None:
        found = found.where(account_marks.c.marked_at < calendar.next_session(day).open)
    by_time = found.order_by(account_marks.c.marked_at, account_marks.c.cycle_id)
    return connection.execute(by_time).all()


def _counts(connection: Connection, query: Select[Any]) -> dict[str, int]:
    """Name -> count of a grouped query, the largest first."""
    rows = [(str(name), int(count)) for name, count in connection.execute(query)]
    return dict(sorted(rows, key=lambda row: (-row[1], row[0])))


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar_one())


def _traded(connection: Connection, account_id: int, cycle_ids: Sequence[int]) -> dict[str, int]:
    """Orders that came of these cycles' intents, and their executions."""
    ours = select(intents.c.client_order_id).where(intents.c.cycle_id.in_(cycle_ids))
    parents = select(orders.c.id).where(
        orders.c.account_id == account_id, orders.c.client_order_id.in_(ours)
    )
    legs = select(orders.c.id).where(orders.c.parent_id.in_(parents))
    executions = select(func.count()).select_from(fills)
    mine = fills.c.order_id.in_(parents) | fills.c.order_id.in_(legs)
    return {
        "orders": _count(connection, select(func.count()).select_from(parents.subquery())),
        "fills": _count(connection, executions.where(fills.c.account_id == account_id, mine)),
    }


def _positions(connection: Connection, account_id: int) -> tuple[Any, ...]:
    rows = connection.execute(
        select(positions.c.symbol, positions.c.quantity, positions.c.average_entry_price)
        .where(positions.c.account_id == account_id)
        .order_by(positions.c.symbol)
    )
    return tuple((row.symbol, row.quantity, row.average_entry_price) for row in rows)


def _structures(connection: Connection, account_id: int) -> tuple[HeldStructure, ...]:
    own = [name for name in HeldStructure.__slots__ if name != "legs"]
    rows = (
        connection.execute(
            select(structures)
            .where(structures.c.account_id == account_id)
            .order_by(structures.c.id)
        )
        .mappings()
        .all()
    )
    legs = read_structure_legs(connection, [row["id"] for row in rows])
    return tuple(
        HeldStructure(**{name: row[name] for name in own}, legs=legs[row["id"]]) for row in rows
    )


def _events(connection: Connection, account_id: int, day: date | None) -> tuple[Event, ...]:
    rows = connection.execute(
        select(activities)
        .where(activities.c.account_id == account_id, activities.c.day == day)
        .order_by(activities.c.activity_type, activities.c.symbol)
    ).mappings()
    return tuple(Event(**{name: row[name] for name in Event.__slots__}) for row in rows)


def _assignment(connection: Connection, cycle_ids: Sequence[int]) -> tuple[ShortRisk, ...]:
    rows = connection.execute(
        select(assignment_risks)
        .where(assignment_risks.c.cycle_id.in_(cycle_ids))
        .order_by(assignment_risks.c.symbol)
    ).mappings()
    return tuple(ShortRisk(**{name: row[name] for name in ShortRisk.__slots__}) for row in rows)


def _steps(connection: Connection, cycle_ids: Sequence[int]) -> tuple[StepTotal, ...]:
    """The steps that have ended, in the order of the pipeline."""
    rows = connection.execute(
        select(
            steps.c.step,
            func.count().label("runs"),
            func.sum(steps.c.row_count).label("row_count"),
            func.sum(steps.c.duration_ms).label("duration_ms"),
        )
        .where(steps.c.cycle_id.in_(cycle_ids), steps.c.duration_ms.is_not(None))
        .group_by(steps.c.step)
    )
    totals = {row.step: StepTotal(**row._mapping) for row in rows}
    return tuple(totals[step] for step in Step if step in totals)


def current_step(connection: Connection, account_id: int) -> str | None:
    """The step that runs now; None between cycles."""
    return connection.execute(
        select(steps.c.step)
        .join(cycles, cycles.c.id == steps.c.cycle_id)
        .where(cycles.c.account_id == account_id, cycles.c.state == "running")
        .where(steps.c.duration_ms.is_(None))
        .limit(1)
    ).scalar_one_or_none()


def candidate_table(connection: Connection, cycle: Cycle) -> list[dict[str, str]]:
    """Every candidate of a cycle with what decided it, for people."""
    failed = (
        select(func.string_agg(verdicts.c.check_name, ", "))
        .where(verdicts.c.candidate_id == candidates.c.id, ~verdicts.c.passed)
        .scalar_subquery()
    )
    states = (
        select(
            func.string_agg(intents.c.state, aggregate_order_by(literal(", "), intents.c.attempt))
        )
        .where(intents.c.candidate_id == candidates.c.id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(candidates, failed.label("denied"), states.label("intent"))
        .where(candidates.c.cycle_id == cycle.id)
        .order_by(candidates.c.underlying, candidates.c.purpose, candidates.c.expiration)
    )
    return [
        {
            "underlying": row.underlying,
            "strategy": row.strategy,
            "does": row.purpose,
            "expiration": str(row.expiration or ""),
            "natural": _short(row.price_natural),
            "mid": _short(row.price_mid),
            "rule": row.rule or "passed",
            "value": _short(row.value),
            "threshold": _short(row.threshold),
            "risk": row.denied or "",
            "intent": row.intent or "",
        }
        for row in rows
    ]


def _short(value: object) -> str:
    return "" if value is None else f"{float(str(value)):.4g}"
