"""Whole cycles on real parts: a real Postgres, the simulator over HTTP, the flow's own sentence.

What the simulator holds is the oracle: its books are read as they are, not through our client.
"""

import asyncio
import importlib
import re
import time
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import psycopg
import pytest
from sqlalchemy import text

from broker.errors import Unknown
from db import halts, reports
from db.session import engine, transaction
from domain.risk import Check
from simulator.faults import Fault, FaultKind
from tasks import open_cycle as opening
from tasks import version
from tasks.waiting import pass_time_by

trading_flow = importlib.import_module("flows.trading_cycle")
end_of_day_flow = importlib.import_module("flows.end_of_day")

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_PAST = TEN + timedelta(minutes=30)
CLOSE = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
STEPS = ("reconcile", "snapshot", "greeks", "scan", "validate", "submit", "report")


class Bent:
    """A market whose option prices and closes a test may bend; the rest is as it was."""

    def __init__(self, market):
        self.market = market
        self.factor = 1.0
        self.closes = {}

    def __getattr__(self, name):
        return getattr(self.market, name)

    def chain(self, underlying, now):
        chain = self.market.chain(underlying, now)
        if chain is None or self.factor == 1.0:
            return chain
        return replace(
            chain,
            bid=np.round(chain.bid * self.factor, 2),
            ask=np.round(chain.ask * self.factor, 2),
        )

    def official_close(self, underlying, day):
        return self.closes.get(day) or self.market.official_close(underlying, day)


@pytest.fixture
def bent(simulator):
    simulator.exchange.market = Bent(simulator.exchange.market)
    return simulator.exchange.market


def one(pipeline, query, **values):
    (row,) = pipeline.rows(query, **values)
    return row


def intent_states(pipeline):
    rows = pipeline.rows("SELECT purpose, state FROM intents ORDER BY planned_at, purpose")
    return [(row["purpose"], row["state"]) for row in rows]


def structure(pipeline):
    return one(pipeline, "SELECT * FROM structures")


def halt(pipeline, reason="enough"):
    with transaction(pipeline.database_url) as session:
        assert halts.set_halt(session, 1, reason)


def assert_books_equal(pipeline):
    """Every order, leg, execution, activity, position and the cash, exactly as they have them."""
    book = pipeline.simulator.exchange.book
    ours = pipeline.rows("SELECT * FROM orders")
    theirs = {each.id: each for order in book.orders.values() for each in (order, *order.legs)}
    assert {str(row["id"]) for row in ours} == theirs.keys()
    for row in ours:
        order = theirs[str(row["id"])]
        assert row["client_order_id"] == order.client_order_id
        assert (row["status"], row["quantity"]) == (order.status, order.qty)
        assert row["filled_quantity"] == order.filled_qty
        assert row["filled_average_price"] == order.filled_avg_price
        assert row["limit_price"] == order.limit_price
        assert (row["symbol"] or "") == order.symbol
    fills = pipeline.rows("SELECT * FROM fills")
    assert sorted((f["id"], f["symbol"], f["side"], f["quantity"], f["price"]) for f in fills) == (
        sorted((a.id, a.symbol, a.side, a.qty, a.price) for a in book.activities if a.order_id)
    )
    others = pipeline.rows("SELECT * FROM activities")
    assert sorted((a["activity_type"], a["id"], a["symbol"], a["net_amount"]) for a in others) == (
        sorted((a.kind, a.id, a.symbol, a.net_usd) for a in book.activities if not a.order_id)
    )
    held = pipeline.rows("SELECT * FROM positions")
    assert {p["symbol"]: p["quantity"] for p in held} == {
        p.symbol: p.qty for p in book.positions.values()
    }
    for position in held:
        entry = book.positions[position["symbol"]].entry
        assert abs(position["average_entry_price"] - entry) <= Decimal("0.0001")
    cash = pipeline.rows("SELECT cash FROM account_marks ORDER BY cycle_id DESC LIMIT 1")
    assert cash == [{"cash": book.cash}]


# A cycle


def test_a_cycle_opens_a_condor_and_its_books_are_the_brokers(pipeline, simulator):
    assert pipeline.run_cycle(TEN) is None
    (order,) = simulator.exchange.book.orders.values()
    intent = one(pipeline, "SELECT * FROM intents")
    assert (intent["client_order_id"], intent["state"]) == (order.client_order_id, "filled")
    assert (intent["quantity"], intent["limit_price"]) == (order.qty, order.limit_price)
    legs = pipeline.rows("SELECT symbol, side FROM structure_legs ORDER BY leg_number")
    assert [(leg["symbol"], leg["side"]) for leg in legs] == [
        (x.symbol, x.side) for x in order.legs
    ]
    held = structure(pipeline)
    assert (held["state"], held["quantity"]) == ("open", order.qty)
    assert held["entry_price"] == order.filled_avg_price
    assert_books_equal(pipeline)


def test_a_cycle_on_recorded_quotes_opens_a_condor_and_its_books_are_the_brokers(
    pipeline_on, recorded
):
    pipeline = pipeline_on(recorded)
    assert pipeline.run_cycle(datetime(2014, 6, 6, 15, 0, tzinfo=UTC)) is None
    assert intent_states(pipeline) == [("open", "filled")]
    assert len(recorded.exchange.book.orders) == 1
    assert_books_equal(pipeline)


def test_no_order_can_lose_more_than_the_limits_say(pipeline, simulator):
    """The loss is computed here from the strikes that the broker holds."""
    pipeline.run_cycle(TEN)
    held = {p.contract: p.qty for p in simulator.exchange.book.positions.values()}
    puts = sorted(c.strike for c in held if c.right == "put")
    calls = sorted(c.strike for c in held if c.right == "call")
    quantity = max(held.values())
    width = max(puts[1] - puts[0], calls[1] - calls[0])
    credit = simulator.exchange.book.cash - 100_000
    lost = width * 100 * quantity - credit
    assert lost <= Decimal("0.02") * 100_000
    assert quantity <= 10
    assert one(pipeline, "SELECT loss_usd_worst FROM intents") == {"loss_usd_worst": lost}


def test_every_expiration_is_a_candidate_with_the_rule_that_decided(pipeline, simulator):
    pipeline.run_cycle(TEN)
    exchange = simulator.exchange
    listed = {c.expiration for c in exchange.market.contracts("AAPL", exchange.now)}
    found = pipeline.rows("SELECT * FROM candidates")
    assert {row["expiration"] for row in found} == listed
    assert len(found) == len(listed)
    accepted = [row for row in found if row["is_accepted"]]
    assert len(accepted) == 1
    assert all(row["rule"] for row in found if not row["is_accepted"])
    verdicts = pipeline.rows("SELECT candidate_id, passed FROM verdicts")
    assert {row["candidate_id"] for row in verdicts} == {accepted[0]["id"]}
    assert len(verdicts) == len(Check)
    assert all(row["passed"] for row in verdicts)


def test_every_quote_is_stored_and_priced_or_flagged(pipeline, simulator):
    pipeline.run_cycle(TEN)
    exchange = simulator.exchange
    theirs = {c.symbol for c in exchange.market.contracts("AAPL", exchange.now)}
    stored = pipeline.rows("SELECT * FROM quotes")
    assert {row["symbol"] for row in stored} == theirs
    for row in stored:
        quote = exchange.quote(row["symbol"])
        assert (row["bid"], row["ask"]) == ((quote.bid, quote.ask) if quote else (None, None))
    greeks = pipeline.rows("SELECT symbol, iv, flag FROM greeks")
    assert {row["symbol"] for row in greeks} == theirs


def test_an_intent_is_committed_before_its_request_arrives(pipeline, simulator):
    seen = []
    place = simulator.exchange.place

    def looking(body):
        with psycopg.connect(pipeline.database_url) as connection:  # a connection of its own
            query = "SELECT state, sent_at IS NOT NULL FROM intents WHERE client_order_id = %s"
            seen.append(connection.execute(query, [body["client_order_id"]]).fetchall())
        return place(body)

    simulator.exchange.place = looking
    pipeline.run_cycle(TEN)
    assert seen == [[("sending", True)]]


def test_the_same_slot_again_changes_nothing_at_all(pipeline, simulator):
    pipeline.run_cycle(TEN)
    before = pipeline.contents()
    simulator.advance(TEN + timedelta(minutes=5))
    skipped = pipeline.run_cycle(TEN)
    assert (skipped.name, skipped.message) == (
        "Skipped",
        "the trading cycle of 2026-11-20 15:00Z has been run already",
    )
    assert pipeline.contents() == before
    assert len(simulator.exchange.book.orders) == 1


@pytest.fixture
def cycle_of(pipeline, monkeypatch):
    """Runs a slot and answers with the cycle that it opened."""

    def run(slot):
        opened = []

        def remember(*arguments):
            opened.append(opening.open_cycle(*arguments))
            return opened[-1]

        monkeypatch.setattr(trading_flow, "open_cycle", remember)
        pipeline.run_cycle(slot)
        monkeypatch.setattr(trading_flow, "open_cycle", opening.open_cycle)
        return opened[0]

    return run


def but_for_steps(contents):
    """Everything but what says when something ran last."""
    return {name: rows for name, rows in contents.items() if name not in ("steps", "cycles")}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_run_twice_doubles_nothing(name, pipeline, simulator, cycle_of, monkeypatch):
    real = getattr(trading_flow, name)

    def twice(*arguments):
        real(*arguments)
        once = but_for_steps(pipeline.contents())
        real(*arguments)
        assert but_for_steps(pipeline.contents()).keys() == once.keys()
        for table, rows in but_for_steps(pipeline.contents()).items():
            assert len(rows) == len(once[table]), table

    monkeypatch.setattr(trading_flow, name, twice)
    cycle_of(TEN)
    assert len(simulator.exchange.book.orders) == 1
    assert_books_equal(pipeline)
    assert one(pipeline, "SELECT state FROM cycles") == {"state": "done"}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_is_run_again_after_the_cycle_changes_nothing(
    name, pipeline, simulator, cycle_of
):
    cycle = cycle_of(TEN)
    before = but_for_steps(pipeline.contents())
    arguments = (cycle, ["AAPL"]) if name == "snapshot" else (cycle,)
    getattr(trading_flow, name)(*arguments)
    after = but_for_steps(pipeline.contents())
    assert after == before
    assert len(simulator.exchange.book.orders) == 1


def test_a_cycle_in_which_every_entry_is_denied_may_be_validated_twice(
    pipeline, simulator, monkeypatch
):
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    real = trading_flow.validate

    def twice(cycle):
        real(cycle)
        real(cycle)

    monkeypatch.setattr(trading_flow, "validate", twice)
    pipeline.run_cycle(TEN)
    assert simulator.exchange.book.orders == {}
    denied = pipeline.rows("SELECT check_name FROM verdicts WHERE NOT passed")
    assert denied == [{"check_name": "portfolio_delta"}]


def test_a_second_reconcile_over_an_unchanged_broker_writes_no_row(pipeline, cycle_of):
    cycle = cycle_of(TEN)
    trading_flow.reconcile(cycle)
    assert one(pipeline, "SELECT row_count FROM steps WHERE step = 'reconcile'") == {"row_count": 0}


def test_an_underlying_nobody_lists_is_turned_down_by_name_and_the_others_go_on(
    pipeline, simulator
):
    pipeline.run_cycle(TEN, ["XYZ", "AAPL"])
    unknown = one(pipeline, "SELECT * FROM candidates WHERE underlying = 'XYZ'")
    assert (unknown["is_accepted"], unknown["rule"]) == (False, "no_underlying")
    assert intent_states(pipeline) == [("open", "filled")]
    assert_books_equal(pipeline)


def test_an_underlying_without_options_is_turned_down_with_no_chain(pipeline, simulator, bent):
    bent.contracts = lambda underlying, now: ()
    bent.chain = lambda underlying, now: None
    pipeline.run_cycle(TEN)
    (found,) = pipeline.rows("SELECT is_accepted, rule FROM candidates")
    assert found == {"is_accepted": False, "rule": "no_chain"}
    assert simulator.exchange.book.orders == {}
    assert one(pipeline, "SELECT state FROM cycles") == {"state": "done"}


def test_what_a_cycle_did_is_published(pipeline):
    pipeline.run_cycle(TEN)
    published = dict(pipeline.published)
    assert published.keys() == {"cycle-summary", "candidates", "volatility-surface"}
    assert "2026-11-20 10:00 New York" in published["cycle-summary"]
    assert "**4** fills" in published["cycle-summary"]
    assert len(published["candidates"]) == len(pipeline.rows("SELECT id FROM candidates"))


def test_the_volatility_surface_is_published_with_where_its_forwards_come_from(pipeline):
    pipeline.run_cycle(TEN)
    surface = dict(pipeline.published)["volatility-surface"]
    (address,) = re.findall(r"data:image/svg\+xml;base64,([^)]+)", surface)
    picture = b64decode(address).decode()
    assert "AAPL, 2026-11-20 10:00 New York" in picture
    assert picture.count("<polyline") > 10
    forwards = pipeline.rows("SELECT * FROM forwards")
    assert surface.count("| parity |") == len(forwards) > 5
    assert "2024-12-31" in surface  # the day of the yields that were used
    assert re.search(r"against the broker's volatility: [\d,]{3,} contracts", surface, re.I)


# Slots that are not run


def reason_of(pipeline, slot, kind="trading"):
    row = one(
        pipeline, "SELECT state, reason FROM cycles WHERE slot = :slot AND kind = :kind",
        slot=slot, kind=kind,
    )  # fmt: skip
    assert row["state"] == "skipped"
    return row["reason"]


#: Slot, broker's clock -> the reason that is stored.
NOT_RUN = {
    "before the open": (TEN - timedelta(minutes=45), None, "the market is closed; it opens next"),
    "after the close": (CLOSE + timedelta(minutes=1), None, "the market is closed; it opens next"),
    "a Saturday": (TEN + timedelta(days=1), None, "2026-11-21 is not a trading day"),
    "Thanksgiving": (TEN + timedelta(days=6), None, "2026-11-26 is not a trading day"),
    "late": (TEN, TEN + timedelta(minutes=11), "the slot is late: it was due 2026-11-20 15:00Z"),
    "ahead": (HALF_PAST, TEN, "lies ahead of the broker's clock"),
    "a half day's afternoon": (
        datetime(2026, 11, 27, 18, 30, tzinfo=UTC),
        None,
        "the market is closed",
    ),
}


@pytest.mark.parametrize("what", NOT_RUN)
def test_a_slot_that_cannot_be_traded_is_skipped_and_the_reason_stored(what, pipeline, simulator):
    slot, clock, reason = NOT_RUN[what]
    simulator.advance(clock or slot)
    if what == "ahead":
        state = asyncio.run(trading_flow.trading_cycle.fn(slot))
    else:
        state = pipeline.run_cycle(slot)
    assert state.name == "Skipped"
    assert reason in state.message
    assert reason_of(pipeline, slot) == state.message
    assert simulator.exchange.book.orders == {}
    assert pipeline.rows("SELECT * FROM steps") == []


def test_a_slot_a_little_late_and_a_slot_on_a_half_day_are_run(pipeline, simulator):
    simulator.advance(TEN + timedelta(minutes=9))
    assert pipeline.run_cycle(TEN) is None
    assert pipeline.run_cycle(datetime(2026, 11, 27, 17, 45, tzinfo=UTC)) is None


#: Moments that the schedules of prefect.yaml fire at and that are no slots of their days.
NO_SLOTS = {
    "a quarter to one on a full day": (TEN + timedelta(hours=2, minutes=45), "12:45"),
    "one o'clock on a half day": (datetime(2026, 11, 27, 18, 0, tzinfo=UTC), "13:00"),
}


@pytest.mark.parametrize("what", NO_SLOTS)
def test_a_scheduled_moment_that_is_no_slot_is_skipped_with_the_reason(
    what, pipeline, simulator, monkeypatch
):
    moment, clock = NO_SLOTS[what]
    monkeypatch.setattr(trading_flow, "scheduled_slot", lambda: moment)
    simulator.advance(moment)
    state = asyncio.run(trading_flow.trading_cycle.fn(None))
    assert state.name == "Skipped"
    assert state.message.startswith(f"{clock} New York is no slot of 2026-11-2")
    assert reason_of(pipeline, moment) == state.message


def test_a_scheduled_slot_is_run_and_any_moment_by_hand(pipeline, simulator, monkeypatch):
    monkeypatch.setattr(trading_flow, "scheduled_slot", lambda: TEN)
    simulator.advance(TEN)
    assert asyncio.run(trading_flow.trading_cycle.fn(None)) is None
    assert pipeline.run_cycle(TEN + timedelta(hours=2, minutes=45)) is None


@pytest.mark.parametrize("flow", [trading_flow.trading_cycle, end_of_day_flow.end_of_day])
def test_a_slot_without_a_time_zone_is_refused_in_one_line_with_the_remedy(
    flow, pipeline, simulator
):
    simulator.advance(CLOSE)
    with pytest.raises(ValueError, match="time zone") as said:
        asyncio.run(flow.fn(datetime(2026, 11, 20, 10, 0)))  # noqa: DTZ001 - what is refused
    assert str(said.value) == (
        "2026-11-20 10:00:00 has no time zone: in New York's it is written 2026-11-20T10:00-05:00"
    )
    assert pipeline.rows("SELECT * FROM cycles") == []


def test_a_change_of_program_is_said_in_the_first_step_of_the_first_cycle(
    pipeline, simulator, monkeypatch
):
    pipeline.run_cycle(TEN)
    was = version.code_version()
    assert one(pipeline, "SELECT code_version FROM cycles") == {"code_version": was}
    monkeypatch.setattr(opening, "code_version", lambda: "0.1.0+000000000000")
    pipeline.run_cycle(HALF_PAST)
    pipeline.run_cycle(TEN + timedelta(hours=1))
    said = pipeline.rows("SELECT step, note FROM steps WHERE note LIKE '%version%'")
    assert said == [{"step": "reconcile_before", "note": f"version {was} ran here before"}]


def test_a_slot_by_hand_is_this_minute(pipeline, simulator):
    simulator.advance(TEN + timedelta(seconds=42))
    assert asyncio.run(trading_flow.trading_cycle.fn(None)) is None
    assert one(pipeline, "SELECT slot FROM cycles") == {"slot": TEN}


def test_a_blocked_account_is_not_traded(pipeline, simulator, monkeypatch):
    from simulator import wire

    real = wire.account
    monkeypatch.setattr(wire, "account", lambda *known: {**real(*known), "trading_blocked": True})
    assert pipeline.run_cycle(TEN).message == "the account is blocked"
    assert reason_of(pipeline, TEN) == "the account is blocked"


# Exits


def test_a_condor_that_has_earned_most_of_its_credit_is_closed(pipeline, simulator, bent):
    assert_closed_by("profit", pipeline, simulator, bent, 0.3)


def test_a_condor_that_costs_a_multiple_of_its_credit_is_closed(pipeline, simulator, bent):
    assert_closed_by("loss", pipeline, simulator, bent, 3.0)


def assert_closed_by(rule, pipeline, simulator, bent, factor):
    pipeline.run_cycle(TEN)
    bent.factor = factor
    pipeline.run_cycle(HALF_PAST)
    assert_round_trip_booked(rule, pipeline, simulator)


def assert_round_trip_booked(rule, pipeline, simulator):
    book = simulator.exchange.book
    assert book.positions == {}
    closed = structure(pipeline)
    assert closed["state"] == "closed"
    assert closed["realized_usd"] == book.cash - 100_000
    assert closed["closed_at"] == simulator.now
    found = one(pipeline, "SELECT rule, is_accepted FROM candidates WHERE purpose = 'close'"
                " AND is_accepted")  # fmt: skip
    assert found["rule"] == rule
    assert intent_states(pipeline) == [("open", "filled"), ("close", "filled")]
    assert_books_equal(pipeline)


def test_a_condor_near_its_expiry_is_closed(pipeline, simulator):
    pipeline.edit(
        "strategies.toml",
        profit_share_exit="0.99",
        loss_credit_multiple_exit="99.0",
        days_to_expiry_exit="27",
    )
    pipeline.run_cycle(TEN)
    expiration = one(pipeline, "SELECT expiration FROM candidates WHERE is_accepted")["expiration"]
    day = datetime(expiration.year, expiration.month, expiration.day, 15, 0, tzinfo=UTC)
    pipeline.run_cycle(day - timedelta(days=31))
    assert structure(pipeline)["state"] == "open"
    pipeline.run_cycle(day - timedelta(days=27))
    assert_round_trip_booked("days_to_expiry", pipeline, simulator)


def test_a_condor_is_held_with_the_reason_while_no_exit_rule_fires(pipeline, simulator):
    pipeline.edit("strategies.toml", slippage_share_max="0.5", credit_share_min="0.05")
    pipeline.run_cycle(TEN)
    pipeline.run_cycle(HALF_PAST)
    held = one(pipeline, "SELECT * FROM candidates WHERE purpose = 'close'")
    assert (held["is_accepted"], held["rule"]) == (False, "hold")
    best = one(pipeline, "SELECT * FROM candidates WHERE rule = 'already_open'")
    assert (best["value"], best["threshold"]) == (1, 1)
    assert len(simulator.exchange.book.orders) == 1


def test_an_exit_without_two_sided_quotes_waits(pipeline, simulator, bent):
    pipeline.run_cycle(TEN)
    bent.factor = 0.0  # nobody bids, nobody offers
    pipeline.run_cycle(HALF_PAST)
    held = one(pipeline, "SELECT * FROM candidates WHERE purpose = 'close'")
    assert (held["is_accepted"], held["rule"]) == (False, "unpriced")
    assert len(simulator.exchange.book.orders) == 1


# Halts


def test_while_a_halt_stands_nothing_is_opened_and_what_is_open_is_closed(
    pipeline, simulator, bent
):
    pipeline.edit("strategies.toml", slippage_share_max="0.5", credit_share_min="0.05")
    pipeline.run_cycle(TEN)
    halt(pipeline)
    bent.factor = 0.3
    pipeline.run_cycle(HALF_PAST)
    assert structure(pipeline)["state"] == "closed"
    bent.factor = 1.0
    pipeline.run_cycle(TEN + timedelta(hours=1))
    assert intent_states(pipeline) == [("open", "filled"), ("close", "filled")]
    denied = pipeline.rows("SELECT check_name FROM verdicts WHERE NOT passed")
    assert denied == [{"check_name": "halt"}]
    assert len(simulator.exchange.book.orders) == 2


def test_a_halt_set_just_before_the_order_is_sent_still_stops_it(pipeline, simulator, monkeypatch):
    real = trading_flow.submit

    def halted_first(cycle):
        halt(pipeline)
        real(cycle)

    monkeypatch.setattr(trading_flow, "submit", halted_first)
    pipeline.run_cycle(TEN)
    assert simulator.exchange.book.orders == {}
    intent = one(pipeline, "SELECT state, detail, sent_at FROM intents")
    assert intent == {
        "state": "not_sent", "detail": "a halt stands", "sent_at": None,
    }  # fmt: skip
    assert structure(pipeline)["state"] == "failed"


# Orders that do not fill


def leave_working(simulator):
    simulator.exchange.quote = lambda symbol: None  # no order meets an offer
    # Nor does a cancel arrive: else an order lives no longer than its attempt.
    lost = Fault(kind=FaultKind.ERROR_BEFORE, method="DELETE", path="/v2/orders*", times=CANCELS)
    simulator.exchange.faults.arm(lost)


#: What a cycle sends that wants to be rid of one order.
CANCELS = 1


def test_an_order_lives_no_longer_than_its_attempt(pipeline, simulator):
    simulator.exchange.quote = lambda symbol: None
    pipeline.run_cycle(TEN)
    assert intent_states(pipeline) == [("open", "canceled")]
    assert structure(pipeline)["state"] == "failed"
    (order,) = simulator.exchange.book.orders.values()
    assert order.status == "canceled"
    assert_books_equal(pipeline)


def test_a_working_order_of_an_earlier_slot_is_withdrawn(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    assert intent_states(pipeline) == [("open", "working")]
    assert structure(pipeline)["state"] == "opening"
    halt(pipeline)
    pipeline.run_cycle(HALF_PAST)
    (order,) = simulator.exchange.book.orders.values()
    assert order.status == "canceled"
    assert intent_states(pipeline) == [("open", "canceled")]
    assert structure(pipeline)["state"] == "failed"
    assert_books_equal(pipeline)
    (note,) = pipeline.rows("SELECT note FROM steps WHERE note LIKE '%withdrawn%'")
    assert note == {"note": "1 withdrawn"}


def test_a_slot_decides_anew_on_what_an_earlier_one_left_working(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    pipeline.run_cycle(HALF_PAST)
    assert [order.status for order in simulator.exchange.book.orders.values()] == ["canceled"] * 2
    assert intent_states(pipeline) == [("open", "canceled")] * 2
    assert_books_equal(pipeline)


def test_what_an_earlier_slot_left_is_withdrawn_though_market_data_is_away(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    halt(pipeline)
    away = Fault(kind=FaultKind.ERROR_BEFORE, method="GET", path="/v1beta1/*", times=0)
    simulator.exchange.faults.arm(away)
    with pytest.raises(Unknown):
        pipeline.run_cycle(HALF_PAST)
    (order,) = simulator.exchange.book.orders.values()
    assert order.status == "canceled"
    assert intent_states(pipeline) == [("open", "canceled")]


def test_what_is_read_of_an_order_to_be_withdrawn_is_kept(pipeline, simulator):
    """The lists cannot be read; the order itself can, and it has filled."""
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    del simulator.exchange.quote
    next(iter(simulator.exchange.book.working.values())).limit_price = Decimal(0)
    away = Fault(kind=FaultKind.ERROR_BEFORE, method="GET", path="/v2/account/activities", times=0)
    simulator.exchange.faults.arm(away)
    with pytest.raises(Unknown):
        pipeline.run_cycle(HALF_PAST)
    assert intent_states(pipeline) == [("open", "filled")]
    assert structure(pipeline)["state"] == "open"


def test_the_end_of_day_withdraws_what_still_works(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    (order,) = simulator.exchange.book.working.values()
    order.expires_at += 7 * 24 * 3600 * 10**9  # as one that is good till canceled
    simulator.advance(CLOSE)
    assert order.id in simulator.exchange.book.working
    pipeline.run_end_of_day(TEN)
    assert order.status == "canceled"
    assert intent_states(pipeline) == [("open", "canceled")]


def test_an_order_that_fills_between_slots_is_seen_before_anything_is_decided(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    del simulator.exchange.quote
    # One that is marketable fills at the next minute; its limit is made so.
    next(iter(simulator.exchange.book.working.values())).limit_price = Decimal(0)
    pipeline.run_cycle(HALF_PAST)
    assert intent_states(pipeline) == [("open", "filled")]
    assert structure(pipeline)["state"] == "open"
    assert_books_equal(pipeline)


def test_an_exit_that_did_not_fill_leaves_the_structure_open_and_is_tried_again(
    pipeline, simulator, bent
):
    pipeline.run_cycle(TEN)
    bent.factor = 0.3
    leave_working(simulator)
    pipeline.run_cycle(HALF_PAST)
    assert structure(pipeline)["state"] == "closing"
    pipeline.run_cycle(TEN + timedelta(hours=1))
    assert structure(pipeline)["state"] == "open"
    del simulator.exchange.quote
    pipeline.run_cycle(TEN + timedelta(hours=1, minutes=30))
    assert structure(pipeline)["state"] == "closed"
    assert structure(pipeline)["realized_usd"] == simulator.exchange.book.cash - 100_000
    assert_books_equal(pipeline)


def test_an_order_that_expires_overnight_ends_as_expired(pipeline, simulator):
    leave_working(simulator)
    pipeline.run_cycle(TEN)
    simulator.advance(CLOSE)
    pipeline.run_end_of_day(TEN)
    assert intent_states(pipeline) == [("open", "expired")]
    assert structure(pipeline)["state"] == "failed"
    assert_books_equal(pipeline)


def test_an_order_the_broker_refuses_keeps_its_words(pipeline, simulator):
    place = simulator.exchange.place

    def poor(body):
        simulator.exchange.book.cash = Decimal(0)  # after our own check saw the money
        return place(body)

    simulator.exchange.place = poor
    pipeline.run_cycle(TEN)
    intent = one(pipeline, "SELECT * FROM intents")
    assert intent["state"] == "refused"
    assert "403" in intent["detail"]
    assert "insufficient options buying power" in intent["detail"]
    assert structure(pipeline)["state"] == "failed"
    assert simulator.exchange.book.orders == {}


# The end of the day


def test_the_end_of_day_lists_every_short_leg_and_marks_the_day_once(pipeline, simulator):
    pipeline.run_cycle(TEN)
    simulator.advance(CLOSE)
    assert pipeline.run_end_of_day(TEN) is None
    shorts = {p.symbol: p for p in simulator.exchange.book.positions.values() if p.qty < 0}
    assert len(shorts) == 2
    risks = {row["symbol"]: row for row in pipeline.rows("SELECT * FROM assignment_risks")}
    assert risks.keys() == shorts.keys()
    spot = simulator.exchange.market.spot("AAPL", simulator.exchange.now)[1]
    for symbol, held in shorts.items():
        found = risks[symbol]
        sign = 1 if held.contract.right == "put" else -1
        assert (found["quantity"], found["strike"]) == (held.qty, held.contract.strike)
        assert found["days_to_expiry"] == (held.contract.expiration - date(2026, 11, 20)).days
        assert found["shares"] == -held.qty * 100 * sign
        assert found["cash_usd"] == -found["shares"] * held.contract.strike
        assert abs(found["spot"] - spot) <= Decimal("0.01")
        assert found["likelihood"] == "unlikely"
    assert_day_marked(pipeline, simulator)
    assert_books_equal(pipeline)
    before = pipeline.contents()
    assert pipeline.run_end_of_day(TEN).name == "Skipped"
    assert pipeline.contents() == before
    key, markdown = pipeline.published[-1]
    assert key == "assignment-report"
    assert all(symbol in markdown for symbol in shorts)


def assert_day_marked(pipeline, simulator):
    figures = simulator.exchange.figures()
    day = one(pipeline, "SELECT * FROM days")
    assert day["day"] == date(2026, 11, 20)
    assert (day["opening_equity"], day["closing_equity"]) == (Decimal(100_000), figures.equity)
    assert day["profit_usd"] == figures.equity - 100_000


def test_a_report_that_is_late_is_about_its_own_day(pipeline, simulator):
    pipeline.run_cycle(TEN)
    monday = TEN + timedelta(days=3)
    simulator.advance(monday)
    pipeline.run_cycle(monday)
    assert pipeline.run_end_of_day(TEN) is None
    _, markdown = pipeline.published[-1]
    assert "Assignment report, 2026-11-20" in markdown
    shorts = [p.symbol for p in simulator.exchange.book.positions.values() if p.qty < 0]
    assert all(symbol in markdown for symbol in shorts)


MONDAY = TEN + timedelta(days=3)


def run_late(pipeline, simulator, moment):
    """Friday's report on a later day; what its step says."""
    simulator.advance(moment)
    assert pipeline.run_end_of_day(TEN) is None
    return one(pipeline, "SELECT note FROM steps WHERE step = 'assignment_report'")["note"]


def test_a_report_of_the_next_session_marks_the_day_with_the_close_and_not_with_todays_money(
    pipeline, simulator
):
    pipeline.run_cycle(TEN)
    simulator.advance(CLOSE)
    closing = simulator.exchange.figures().equity
    simulator.advance(MONDAY)
    simulator.exchange.book.cash += 7_777  # Monday's money
    note = run_late(pipeline, simulator, MONDAY)
    assert note == "late: the day closed with what the broker kept of its close"
    day = one(pipeline, "SELECT opening_equity, closing_equity, profit_usd FROM days")
    kept = simulator.exchange.book.equity_last
    assert abs(kept - closing) < 100  # the auction is not the minute after it
    assert day == {
        "opening_equity": 100_000, "closing_equity": kept, "profit_usd": kept - 100_000,
    }  # fmt: skip
    _, markdown = pipeline.published[-1]
    assert "what was held on 2026-11-20 is not known any more" in markdown
    assert "Of what was held at 2026-11-23 10:00 New York" in markdown
    assert "## Tonight" not in markdown
    assert f"equity **${kept:,.2f}**" in markdown


def test_a_report_of_a_later_session_marks_the_day_with_what_was_read_last(pipeline, simulator):
    pipeline.run_cycle(TEN)
    equity = one(pipeline, "SELECT equity FROM account_marks")["equity"]
    note = run_late(pipeline, simulator, MONDAY + timedelta(days=1))
    assert re.fullmatch(r"late: the day closed with the equity read last, 2026-11-20 15:0\dZ", note)
    day = one(pipeline, "SELECT opening_equity, closing_equity FROM days")
    assert day == {"opening_equity": 100_000, "closing_equity": equity}


def test_a_day_that_nobody_read_the_account_on_is_not_marked_and_says_so(pipeline, simulator):
    note = run_late(pipeline, simulator, MONDAY)
    assert note == "2026-11-20 is not marked: nobody read on that day what it opened with"
    assert pipeline.rows("SELECT * FROM days") == []


def leave_running(pipeline, until):
    """As a process does that has died in its last slot, or is at work still."""
    pipeline.run_cycle(datetime(2026, 11, 20, 20, 45, tzinfo=UTC))
    pipeline.simulator.advance(CLOSE + timedelta(minutes=15))
    with engine(pipeline.database_url).begin() as connection:
        connection.execute(
            text("UPDATE cycles SET state = 'running', closed_at = NULL, lease_until = :until"),
            {"until": until},
        )


def test_a_report_that_meets_a_dead_cycle_is_made_when_its_lease_has_run_out(pipeline):
    leave_running(pipeline, CLOSE + timedelta(minutes=17))
    assert pipeline.run_end_of_day(TEN) is None
    found = pipeline.rows("SELECT kind, state, reason FROM cycles ORDER BY id")
    assert [tuple(row.values()) for row in found] == [
        ("trading", "failed", "its lease ran out"),
        ("end_of_day", "done", None),
    ]
    assert len(pipeline.rows("SELECT * FROM days")) == 1


def test_a_report_that_meets_a_running_cycle_waits_for_its_end_and_not_for_ever(
    pipeline, simulator
):
    leave_running(pipeline, CLOSE + timedelta(hours=2))
    skipped = pipeline.run_end_of_day(TEN)
    assert skipped.message == "the trading cycle of 2026-11-20 20:45Z is running"
    assert simulator.now <= CLOSE + timedelta(minutes=31)
    passing = pass_time_by(time.sleep)

    def wait(seconds):
        passing(seconds)
        with engine(pipeline.database_url).begin() as connection:
            connection.execute(text("UPDATE cycles SET state = 'done', closed_at = lease_until"))

    pass_time_by(wait)
    assert pipeline.run_end_of_day(TEN) is None


def test_an_assignment_report_run_twice_doubles_nothing(pipeline, simulator, monkeypatch):
    real = end_of_day_flow.assignment_report

    def twice(cycle):
        real(cycle)
        real(cycle)

    monkeypatch.setattr(end_of_day_flow, "assignment_report", twice)
    pipeline.run_cycle(TEN)
    simulator.advance(CLOSE)
    pipeline.run_end_of_day(TEN)
    assert len(pipeline.rows("SELECT * FROM assignment_risks")) == 2
    assert_day_marked(pipeline, simulator)


def test_before_the_close_the_end_of_day_is_skipped_and_after_it_still_done(pipeline, simulator):
    pipeline.run_cycle(TEN)
    skipped = pipeline.run_end_of_day(TEN)
    assert skipped.name == "Skipped"
    assert pipeline.rows("SELECT * FROM days") == []
    simulator.advance(CLOSE)
    assert pipeline.run_end_of_day(TEN) is None
    assert_day_marked(pipeline, simulator)


def test_the_end_of_a_half_day_is_at_its_own_close(pipeline, simulator):
    simulator.advance(datetime(2026, 11, 27, 18, 1, tzinfo=UTC))
    assert pipeline.run_end_of_day(datetime(2026, 11, 27, 15, 0, tzinfo=UTC)) is None
    assert one(pipeline, "SELECT slot FROM cycles") == {
        "slot": datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    }


def test_a_holiday_has_no_end_of_day(pipeline, simulator):
    thanksgiving = datetime(2026, 11, 26, 22, 0, tzinfo=UTC)
    simulator.advance(thanksgiving)
    assert pipeline.run_end_of_day(thanksgiving).message == "2026-11-26 is not a trading day"
    assert reason_of(pipeline, thanksgiving, "end_of_day") == "2026-11-26 is not a trading day"


# Expiry

WEEK_LATER = date(2026, 11, 27)
WEEK_LATER_CLOSE = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
NEXT_MORNING = datetime(2026, 11, 28, 7, 0, tzinfo=UTC)


def hold_to_expiry(pipeline, simulator, bent, close):
    """Open a condor that ends in a week, let it end at `close`, run that end of day."""
    pipeline.edit(
        "strategies.toml",
        days_to_expiry_min="7",
        days_to_expiry_target="7",
        days_to_expiry_max="7",
        days_to_expiry_exit="0",
        credit_share_min="0.05",
        slippage_share_max="0.5",
        open_interest_min="0",
    )
    pipeline.run_cycle(TEN)
    contracts = sorted(
        (p.contract for p in simulator.exchange.book.positions.values()), key=lambda c: c.strike
    )
    assert {c.last_day for c in contracts} == {WEEK_LATER}
    bent.closes[WEEK_LATER] = close([c.strike for c in contracts])
    simulator.advance(NEXT_MORNING)  # the broker's books tell what a night did hours later
    assert pipeline.run_end_of_day(WEEK_LATER_CLOSE) is None
    assert_books_equal(pipeline)


def told(pipeline):
    """The structure as the report over every cycle tells it."""
    with engine(pipeline.database_url).connect() as connection:
        cycles = list(connection.execute(text("SELECT id FROM cycles ORDER BY id")).scalars())
    with transaction(pipeline.database_url) as session:
        (held,) = reports.summarize(session, 1, cycles, WEEK_LATER).structures
    return held


def test_a_condor_that_expires_worthless_is_expired_and_keeps_its_credit(pipeline, simulator, bent):
    hold_to_expiry(pipeline, simulator, bent, lambda strikes: (strikes[1] + strikes[2]) / 2)
    assert simulator.exchange.book.positions == {}
    assert told(pipeline).state == "expired"
    assert told(pipeline).realized_usd == simulator.exchange.book.cash - 100_000
    assert structure(pipeline)["closed_at"] is not None


def test_a_condor_that_ends_between_its_puts_is_assigned_and_its_shares_are_held(
    pipeline, simulator, bent
):
    hold_to_expiry(pipeline, simulator, bent, lambda strikes: (strikes[0] + strikes[1]) / 2)
    quantity = one(pipeline, "SELECT quantity FROM intents")["quantity"]
    held = simulator.exchange.book.positions
    assert {symbol: p.qty for symbol, p in held.items()} == {"AAPL": 100 * quantity}
    assert told(pipeline).state == "assigned"
    kinds = {row["activity_type"] for row in pipeline.rows("SELECT activity_type FROM activities")}
    assert kinds == {"OPASN", "OPTRD", "OPEXP"}


def test_a_condor_that_ends_beyond_its_wing_is_assigned_and_holds_nothing(
    pipeline, simulator, bent
):
    hold_to_expiry(pipeline, simulator, bent, lambda strikes: strikes[3] + 5)
    assert simulator.exchange.book.positions == {}
    assert told(pipeline).state == "assigned"
    assert structure(pipeline)["closed_at"] is not None
