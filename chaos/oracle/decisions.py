"""I8 and I9: states only move forward, and nothing was decided on a quote that says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from chaos.oracle.settings import read_limits

if TYPE_CHECKING:
    from chaos.oracle import Oracle

Found = Iterator[tuple[str, str]]
LOOKS, LOOKED_FOR_S = 5, 60
#: How far on its way an intent is; never less than before.
RANKS = {
    "planned": 0,
    "sending": 1,
    "unknown": 2,
    "not_received": 3,
    "refused": 3,  # it may come up all the same: not every refusal is the broker's
    "accepted": 4,
    "working": 5,
    "filled": 6,
    "canceled": 6,
    "expired": 6,
    "rejected": 6,
    "not_sent": 6,
}


def judge(oracle: Oracle) -> Found:
    """Every decision that should not have been, and every step back."""
    yield from _quotes(oracle)
    yield from _reasons(oracle)
    yield from _given_up(oracle)
    if oracle.has_table("intent_events"):
        yield from _moves(oracle)


def _quotes(oracle: Oracle) -> Found:
    """Of each entry's legs the stored quote: there, two-sided, in order, fresh, and solved."""
    age = read_limits(oracle.day.config).quote_age_s_max
    rows = oracle.rows(
        "SELECT i.client_order_id, l.symbol, q.bid, q.ask, g.flag, g.delta,"
        " EXTRACT(EPOCH FROM t.taken_at - q.quoted_at) FROM intents i"
        " JOIN candidate_legs l ON l.candidate_id = i.candidate_id"
        " JOIN candidates c ON c.id = i.candidate_id"
        " LEFT JOIN snapshots t ON t.cycle_id = c.cycle_id AND t.underlying = c.underlying"
        " LEFT JOIN quotes q ON q.snapshot_id = t.id AND q.symbol = l.symbol"
        " LEFT JOIN greeks g ON g.snapshot_id = t.id AND g.symbol = l.symbol"
        " WHERE i.purpose = 'open'"
    )
    skew = oracle.day.skew_s_max
    for client_order_id, symbol, bid, ask, flag, delta, seconds in rows:
        if bid is None or ask is None or bid <= 0 or bid > ask:
            yield "I9", f"{client_order_id}: {symbol} was {bid} to {ask}"
        if seconds is None or float(seconds) > float(age) + skew:
            yield "I9", f"{client_order_id}: the quote of {symbol} was {seconds} s old"
        if flag is not None or delta is None or not abs(delta) <= 1:
            yield "I9", f"{client_order_id}: {symbol} was flagged {flag}, delta {delta}"


def _reasons(oracle: Oracle) -> Found:
    """What was turned down says why; what was accepted has an intent or a verdict against it."""
    rows = oracle.rows(
        "SELECT c.id FROM candidates c JOIN cycles y ON y.id = c.cycle_id"
        " WHERE NOT c.is_accepted AND c.rule IS NULL"
        " OR c.is_accepted AND y.state = 'done'"
        " AND NOT EXISTS (SELECT 1 FROM intents i WHERE i.candidate_id = c.id)"
        " AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.candidate_id = c.id AND NOT v.passed)"
    )
    for (candidate_id,) in rows:
        yield "I9", f"candidate {candidate_id} was not sent and nothing says why"


def _given_up(oracle: Oracle) -> Found:
    """What is called never received was looked for five times, over a minute, and not found, or
    says that it never left, and never arrived. What is called refused is no order."""
    rows = oracle.rows(
        "SELECT i.client_order_id, EXTRACT(EPOCH FROM e.moved_at - i.sent_at), e.detail"
        " FROM intents i JOIN intent_events e ON e.client_order_id = i.client_order_id"
        " WHERE e.state = 'not_received'"
    )
    for client_order_id, seconds, why in rows:
        if str(why).startswith("never sent"):
            if client_order_id in oracle.arrival.posted:
                yield "I7", f"{client_order_id} arrived and is called never sent"
            continue
        looks = oracle.arrival.not_found[client_order_id]
        if looks < LOOKS or float(seconds) + oracle.day.skew_s_max < LOOKED_FOR_S:
            words = f"after {looks} looks and {seconds:.0f} s"
            yield "I7", f"{client_order_id} was given up {words}"
    refused = oracle.rows("SELECT client_order_id FROM intent_events WHERE state = 'refused'")
    for (client_order_id,) in refused:
        if client_order_id in oracle.day.exchange.book.by_client_id:
            yield "I7", f"{client_order_id} was called refused, and the broker has its order"


def _moves(oracle: Oracle) -> Found:
    rows = oracle.rows(
        "SELECT client_order_id, state, filled_quantity FROM intent_events"
        " ORDER BY client_order_id, id"
    )
    before: tuple[str, str, int] | None = None
    for client_order_id, state, filled in rows:
        units = int(filled or 0)
        if before is not None and before[0] == client_order_id:
            if RANKS[state] < RANKS[before[1]] or (RANKS[before[1]] == 6 and state != before[1]):
                yield "I8", f"{client_order_id} went from {before[1]} to {state}"
            if units < before[2]:
                yield "I8", f"{client_order_id}: {before[2]} were filled, then {units}"
        before = (client_order_id, state, units)
