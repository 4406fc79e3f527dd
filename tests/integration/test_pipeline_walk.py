"""Orders that are worked: from the mid to the natural price, each attempt an order of its own.

The simulator's books are the oracle, and what it was asked for is read off its own list.
"""

import importlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from broker.client import Broker
from broker.errors import Unknown
from simulator.faults import Fault, FaultKind

trading_flow = importlib.import_module("flows.trading_cycle")
submitting = importlib.import_module("tasks.submit")

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_PAST = TEN + timedelta(minutes=30)
ATTEMPT_S = 15


def one(pipeline, query, **values):
    (row,) = pipeline.rows(query, **values)
    return row


def intents_of(pipeline):
    return pipeline.rows("SELECT * FROM intents ORDER BY attempt")


@pytest.fixture
def walking(pipeline):
    pipeline.edit("execution.toml", attempts="4", attempt_s=str(ATTEMPT_S))
    return pipeline


@pytest.fixture
def asked(simulator):
    """Each order as it was asked for: the moment, the body, what was still working then."""
    seen, place = [], simulator.exchange.place

    def note(body):
        working = [order.client_order_id for order in simulator.exchange.book.working.values()]
        seen.append((simulator.now, body, working))
        return place(body)

    simulator.exchange.place = note
    return seen


def never_fill(simulator):
    """No order meets an offer; the quotes that are read stay as they are."""
    simulator.exchange.quote = lambda symbol: None


def fill_at_the_mid(simulator):
    """Whoever asks for the mid or worse is filled at it."""
    real = simulator.exchange.quote

    def at_mid(symbol):
        quote = real(symbol)
        mid = (quote.bid + quote.ask) / 2
        return replace(quote, bid=mid, ask=mid)

    simulator.exchange.quote = at_mid


def prices_of(exchange, legs):
    """Mid and natural price of one unit by the exchange's own quotes."""
    mid = natural = Decimal(0)
    for leg in legs:
        quote = exchange.market.chain("AAPL", exchange.now)
        row = quote.rows[leg["symbol"]]
        bid, ask = (Decimal(str(round(float(side[row]), 2))) for side in (quote.bid, quote.ask))
        sign = 1 if leg["side"] == "buy" else -1
        mid += sign * (bid + ask) / 2
        natural += ask if sign > 0 else -bid
    return mid, natural


def assert_books_equal(pipeline):
    book = pipeline.simulator.exchange.book
    known = {str(row["id"]): row["status"] for row in pipeline.rows("SELECT * FROM orders")}
    assert known == {
        each.id: each.status for order in book.orders.values() for each in (order, *order.legs)
    }
    ours = {(f["id"], f["price"], f["status"]) for f in pipeline.rows("SELECT * FROM fills")}
    assert ours == {(a.id, a.price, a.status) for a in book.activities if a.order_id}
    held = {p["symbol"]: p["quantity"] for p in pipeline.rows("SELECT * FROM positions")}
    assert held == {p.symbol: p.qty for p in book.positions.values()}
    cash = one(pipeline, "SELECT cash FROM account_marks ORDER BY marked_at DESC LIMIT 1")["cash"]
    assert cash == book.cash


def assert_no_alarm(pipeline):
    assert pipeline.rows("SELECT * FROM discrepancies") == []
    assert pipeline.rows("SELECT * FROM halts") == []


# The walk


def test_a_walk_begins_at_the_mid_and_ends_at_the_natural_price_an_order_an_attempt(
    walking, simulator, asked
):
    never_fill(simulator)
    exchange, prices = simulator.exchange, []
    place = exchange.place

    def at_the_prices_of_now(body):
        prices.append(prices_of(exchange, body["legs"]))
        return place(body)

    exchange.place = at_the_prices_of_now
    walking.run_cycle(TEN)
    limits = [Decimal(str(body["limit_price"])) for _, body, _ in asked]
    (mid, _), (_, natural) = prices[0], prices[-1]
    worst = one(walking, "SELECT DISTINCT limit_price FROM intents")["limit_price"]
    assert len(limits) == 4
    assert 0 <= limits[0] - mid < Decimal("0.01")
    assert limits == sorted(limits)
    assert limits[-1] == min(natural, worst)
    ids = [body["client_order_id"] for _, body, _ in asked]
    assert len(set(ids)) == 4
    assert ids == [row["client_order_id"] for row in intents_of(walking)]
    assert [row["sent_price"] for row in intents_of(walking)] == limits
    assert [row["state"] for row in intents_of(walking)] == ["canceled"] * 4
    assert_books_equal(walking)


def test_an_attempt_leaves_only_after_the_one_before_has_had_its_time_and_ended(
    walking, simulator, asked
):
    never_fill(simulator)
    walking.run_cycle(TEN)
    moments = [moment for moment, _, _ in asked]
    assert all(working == [] for _, _, working in asked)
    gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
    assert all(ATTEMPT_S <= gap <= ATTEMPT_S + 10 for gap in gaps)


def test_an_order_that_fills_at_once_is_the_only_one(walking, simulator, asked):
    walking.run_cycle(TEN)
    states = [row["state"] for row in intents_of(walking)]
    assert states == ["canceled"] * (len(asked) - 1) + ["filled"]
    assert one(walking, "SELECT state FROM structures") == {"state": "open"}
    assert_books_equal(walking)


def test_what_an_attempt_filled_is_not_asked_for_again(walking, simulator, asked):
    """Two orders are filled in part only while their time runs."""
    parts = Fault(kind=FaultKind.PARTIAL_FILLS, times=2, settings={"parts": 5})
    simulator.exchange.faults.arm(parts)
    fill_at_the_mid(simulator)
    walking.run_cycle(TEN)
    rows = intents_of(walking)
    whole = rows[0]["quantity"]
    assert [int(float(body["qty"])) for _, body, _ in asked] == [row["quantity"] for row in rows]
    left = whole
    for row in rows:
        assert row["quantity"] == left
        left -= row["filled_quantity"]
    first, second, third = (row["filled_quantity"] for row in rows)
    assert 0 < first < whole
    assert 0 < second < whole - first
    assert third == whole - first - second
    assert [row["state"] for row in rows] == ["canceled", "canceled", "filled"]
    assert left == 0
    held = one(walking, "SELECT state, quantity FROM structures")
    assert held == {"state": "open", "quantity": whole - left}
    units = {abs(p.qty) for p in simulator.exchange.book.positions.values()}
    assert units == {whole - left}
    assert_books_equal(walking)
    assert_no_alarm(walking)


def test_an_order_that_others_end_is_not_followed_by_another(walking, simulator, asked):
    """Whoever cancels it at the broker means it."""
    cut = Fault(kind=FaultKind.PARTIAL_CANCEL, settings={"units": 1})
    simulator.exchange.faults.arm(cut)
    fill_at_the_mid(simulator)
    walking.run_cycle(TEN)
    assert len(asked) == 1
    assert one(walking, "SELECT state, quantity FROM structures") == {
        "state": "open",
        "quantity": 1,
    }
    assert_books_equal(walking)


def states_of(pipeline, attempt):
    told = pipeline.rows(
        "SELECT e.state FROM intent_events e JOIN intents USING (client_order_id)"
        " WHERE attempt = :attempt ORDER BY e.id",
        attempt=attempt,
    )
    return [row["state"] for row in told]


def test_an_order_that_was_found_after_its_answer_was_lost_is_worked_like_any_other(
    walking, simulator, asked
):
    never_fill(simulator)
    lost = Fault(kind=FaultKind.ERROR_AFTER, method="POST", path="/v2/orders", skip=1)
    simulator.exchange.faults.arm(lost)
    walking.run_cycle(TEN)
    assert states_of(walking, 2) == ["planned", "sending", "unknown", "working", "canceled"]
    assert [row["state"] for row in intents_of(walking)] == ["canceled"] * 4
    assert all(working == [] for _, _, working in asked)
    assert len({body["client_order_id"] for _, body, _ in asked}) == len(asked) == 4
    assert_books_equal(walking)


def test_an_order_that_was_found_after_the_deadline_is_withdrawn_in_its_own_slot(
    walking, simulator, asked
):
    never_fill(simulator)
    walking.edit("execution.toml", deadline_s="1")
    lost = Fault(kind=FaultKind.ERROR_AFTER, method="POST", path="/v2/orders")
    simulator.exchange.faults.arm(lost)
    walking.run_cycle(TEN)
    assert len(asked) == 1
    assert states_of(walking, 1)[-2:] == ["working", "canceled"]
    assert simulator.exchange.book.working == {}


def test_a_walk_stops_at_an_order_that_was_never_received(walking, simulator, asked):
    never_fill(simulator)
    lost = Fault(kind=FaultKind.ERROR_BEFORE, method="POST", path="/v2/orders", skip=1)
    simulator.exchange.faults.arm(lost)
    walking.run_cycle(TEN)
    assert [row["state"] for row in intents_of(walking)] == ["canceled", "not_received"]
    assert len(asked) == 1


def test_an_order_of_a_run_that_died_is_worked_on_by_the_next_run_of_its_slot(
    walking, simulator, asked, monkeypatch
):
    """It is found by the look-ups before anything is decided, and then it is like any other."""
    never_fill(simulator)

    class Death(BaseException):
        pass

    real, sent = Broker.submit, []

    def submit(broker, intent, limit):
        sent.append(intent.client_order_id)
        order = real(broker, intent, limit)
        if len(sent) == 1:
            raise Death
        return order

    monkeypatch.setattr(Broker, "submit", submit)
    with pytest.raises(Death):
        walking.run_cycle(TEN)
    assert walking.run_cycle(TEN) is None
    assert [row["state"] for row in intents_of(walking)] == ["canceled"] * 4
    assert len(set(sent)) == len(sent) == 4
    assert simulator.exchange.book.working == {}
    assert_books_equal(walking)


def test_a_read_that_nobody_answers_once_does_not_stop_the_walk(walking, simulator, asked):
    never_fill(simulator)
    for path in ("/v2/orders:by_client_order_id", "/v1beta1/options/snapshots", "/v2/clock"):
        for skip in (1, 5):
            fault = Fault(kind=FaultKind.ERROR_BEFORE, method="GET", path=path, skip=skip)
            simulator.exchange.faults.arm(fault)
    assert walking.run_cycle(TEN) is None
    assert len(asked) == 4
    assert [row["state"] for row in intents_of(walking)] == ["canceled"] * 4


def clock_fails_after_the_order(simulator, times):
    place = simulator.exchange.place

    def then_no_clock(body):
        simulator.exchange.place = place
        fault = Fault(kind=FaultKind.ERROR_BEFORE, method="GET", path="/v2/clock", times=times)
        simulator.exchange.faults.arm(fault)
        return place(body)

    simulator.exchange.place = then_no_clock


def test_when_sending_fails_what_is_in_the_market_is_withdrawn(walking, simulator, asked):
    never_fill(simulator)
    clock_fails_after_the_order(simulator, times=4)
    with pytest.raises(Unknown, match="the clock: 500"):
        walking.run_cycle(TEN)
    (order,) = simulator.exchange.book.orders.values()
    assert order.status == "canceled"
    assert [row["state"] for row in intents_of(walking)] == ["working"]
    assert walking.run_cycle(HALF_PAST) is None
    assert intents_of(walking)[0]["state"] == "canceled"


def test_the_error_that_stopped_the_sending_is_told_though_nothing_can_be_withdrawn(
    walking, simulator, asked, monkeypatch
):
    never_fill(simulator)
    clock_fails_after_the_order(simulator, times=0)

    def refused(*_):
        raise Unknown("nothing can be withdrawn")

    monkeypatch.setattr(submitting, "withdraw_own", refused)
    with pytest.raises(Unknown, match="the clock: 500"):
        walking.run_cycle(TEN)


def test_no_attempt_begins_after_the_deadline(walking, simulator, asked):
    never_fill(simulator)
    walking.edit("execution.toml", deadline_s="20")
    walking.run_cycle(TEN)
    begun = [(moment - asked[0][0]).total_seconds() for moment, _, _ in asked]
    assert len(begun) == 2
    assert all(since <= 20 for since in begun)


def test_each_fill_of_ours_keeps_what_it_cost_against_the_mid_when_its_order_left(
    walking, simulator
):
    walking.run_cycle(TEN)
    query = (
        "SELECT f.symbol, f.side, f.price, f.mid_price, f.slippage, (q.bid + q.ask) / 2 AS mid"
        " FROM fills f JOIN intent_quotes q USING (symbol)"
        " JOIN intents i USING (client_order_id) WHERE i.state = 'filled'"
    )
    rows = walking.rows(query)
    assert len(rows) == len(walking.rows("SELECT * FROM fills")) == 4
    for row in rows:
        sign = 1 if row["side"] == "buy" else -1
        assert row["mid_price"] == row["mid"]
        assert row["slippage"] == sign * (row["price"] - row["mid"])
    intent = one(walking, "SELECT mid_price FROM intents WHERE state = 'filled'")
    sides = {"buy": 1, "sell": -1}
    assert intent["mid_price"] == sum(sides[row["side"]] * row["mid"] for row in rows)


# The quote gate


#: What goes wrong with the quotes between the decision and the order -> the words that are kept.
GATED = {
    "nobody offers": (FaultKind.ONE_SIDED, {"every": 1}, "no_quote"),
    "nobody bids": (FaultKind.ZERO_BID, {"every": 1}, "zero_bid"),
    "they are crossed": (FaultKind.CROSSED, {"every": 1}, "crossed"),
    "they are of an hour ago": (FaultKind.STALE, {"seconds": 3600}, "stale"),
    "they are gone": (FaultKind.MISSING, {"every": 1}, "no_quote"),
}


def before_sending(pipeline, simulator, monkeypatch, do):
    """Something happens after the orders are planned and before the first is sent."""
    real = trading_flow.submit

    def late(cycle):
        do()
        real(cycle)

    monkeypatch.setattr(trading_flow, "submit", late)


@pytest.mark.parametrize("what", GATED)
def test_an_entry_is_not_sent_and_says_why_when(what, walking, simulator, monkeypatch, asked):
    kind, settings, word = GATED[what]
    simulator.advance(TEN + timedelta(hours=1))  # so that quotes of an hour ago are of today
    fault = Fault(kind=kind, settings=settings, times=0)
    arm = simulator.exchange.faults.arm
    before_sending(walking, simulator, monkeypatch, lambda: arm(fault))
    walking.run_cycle(TEN + timedelta(hours=1))
    intent = one(walking, "SELECT state, detail, sent_at FROM intents")
    assert intent == {"state": "not_sent", "detail": f"its quotes: {word}", "sent_at": None}
    assert one(walking, "SELECT state FROM structures") == {"state": "failed"}
    assert asked == []


def test_a_halt_of_the_underlying_is_known_by_the_age_of_its_quotes(walking, simulator, asked):
    """The broker says it nowhere else that can be read."""
    simulator.advance(TEN)
    halt = Fault(kind=FaultKind.HALT, symbol="AAPL", at=simulator.exchange.now)
    simulator.exchange.faults.arm(halt)
    walking.run_cycle(TEN + timedelta(minutes=35))
    assert asked == []
    rules = walking.rows("SELECT DISTINCT rule FROM candidates WHERE rule = 'quote_age'")
    assert rules == [{"rule": "quote_age"}]


def test_an_entry_whose_quotes_have_become_too_wide_is_not_sent(
    walking, simulator, monkeypatch, asked
):
    def narrow():
        walking.edit("execution.toml", width_share_max="0.0001")

    before_sending(walking, simulator, monkeypatch, narrow)
    walking.run_cycle(TEN)
    assert one(walking, "SELECT detail FROM intents") == {"detail": "its quotes: wide"}
    assert asked == []


def test_an_exit_is_sent_however_wide_its_quotes_are(walking, simulator, asked):
    walking.run_cycle(TEN)
    entries = len(asked)
    walking.edit("strategies.toml", days_to_expiry_exit="50")
    walking.edit("execution.toml", width_share_max="0.0001")
    walking.run_cycle(HALF_PAST)
    assert len(asked) > entries
    assert one(walking, "SELECT state FROM structures WHERE id = 1") == {"state": "closed"}


# Two structures with equal legs


@pytest.fixture
def twins(pipeline):
    """Two open condors with the same legs, both to be closed."""
    pipeline.edit("strategies.toml", structures_per_underlying_max="2")
    pipeline.edit("limits.toml", same_legs_minutes_min="1")
    pipeline.run_cycle(TEN)
    pipeline.run_cycle(TEN + timedelta(minutes=5))
    found = pipeline.rows("SELECT structure_id, array_agg(symbol) FROM structure_legs GROUP BY 1")
    assert len(found) == 2
    assert len({frozenset(row["array_agg"]) for row in found}) == 1
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    return pipeline


def exits_of(pipeline):
    return pipeline.rows("SELECT * FROM intents WHERE purpose = 'close' ORDER BY attempt")


def test_two_structures_with_the_same_legs_are_both_closed_in_one_slot(twins, simulator):
    twins.run_cycle(HALF_PAST)
    exits = exits_of(twins)
    assert {row["structure_id"]: row["state"] for row in exits} == {1: "filled", 2: "filled"}
    note = one(
        twins, "SELECT note FROM steps WHERE step = 'validate' ORDER BY started_at DESC LIMIT 1"
    )
    assert note == {"note": "2 planned"}
    states = twins.rows("SELECT state FROM structures")
    assert [row["state"] for row in states] == ["closed", "closed"]
    assert simulator.exchange.book.positions == {}
    assert_books_equal(twins)
    assert_no_alarm(twins)


def test_the_exits_of_two_structures_with_the_same_legs_walk_side_by_side(twins, simulator):
    twins.edit("execution.toml", attempts="3", attempt_s=str(ATTEMPT_S))
    never_fill(simulator)
    twins.run_cycle(HALF_PAST)
    exits = exits_of(twins)
    tried = {(row["structure_id"], row["attempt"]) for row in exits}
    assert tried == {(structure, attempt) for structure in (1, 2) for attempt in (1, 2, 3)}
    assert len({row["client_order_id"] for row in exits}) == len(exits) == 6
    assert_books_equal(twins)
