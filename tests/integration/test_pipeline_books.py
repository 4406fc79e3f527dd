"""What the broker holds and nobody of ours ordered: explained, or an alarm; lists that lag and
trades that are taken back, which are neither."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment
from tasks import validate
from tests.conftest import MADE_UP_DAY, serve

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_PAST = TEN + timedelta(minutes=30)
ELEVEN = TEN + timedelta(hours=1)
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


def one(pipeline, query, **values):
    (row,) = pipeline.rows(query, **values)
    return row


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


def by_hand(simulator, path, body):
    answer = httpx.post(f"{simulator.url}{path}", json=body, headers=KEYS)
    assert answer.status_code == 200, answer.text
    return answer.json()


def other_contract(pipeline):
    """A contract that the cycle did not trade, with both sides quoted."""
    query = (
        "SELECT symbol FROM quotes WHERE bid > 1 AND ask IS NOT NULL"
        " AND symbol NOT IN (SELECT symbol FROM positions) ORDER BY open_interest DESC LIMIT 1"
    )
    return one(pipeline, query)["symbol"]


def standing(pipeline):
    return pipeline.rows(
        "SELECT subject, expected, found FROM discrepancies WHERE explained_at IS NULL"
        " ORDER BY subject"
    )


# By hand


def test_an_order_placed_by_hand_is_stored_and_never_touched(pipeline, simulator):
    pipeline.run_cycle(TEN)
    far = {
        "symbol": other_contract(pipeline), "qty": "1", "side": "buy", "type": "limit",
        "limit_price": "0.05", "time_in_force": "day", "client_order_id": "by-hand",
    }  # fmt: skip
    placed = by_hand(simulator, "/sim/orders", far)
    for slot in (HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
        stored = one(pipeline, "SELECT * FROM orders WHERE client_order_id = 'by-hand'")
        assert (str(stored["id"]), stored["status"]) == (placed["id"], "new")
    assert simulator.exchange.book.by_client_id["by-hand"].status == "new"
    assert pipeline.rows("SELECT 1 FROM intents WHERE client_order_id = 'by-hand'") == []
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


def test_what_was_bought_by_hand_is_explained_by_its_order_and_stays_held(pipeline, simulator):
    pipeline.run_cycle(TEN)
    symbol = other_contract(pipeline)
    bought = {"symbol": symbol, "qty": "2", "side": "buy", "type": "market",
              "time_in_force": "day", "client_order_id": "by-hand"}  # fmt: skip
    by_hand(simulator, "/sim/orders", bought)
    for slot in (HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
        assert simulator.exchange.book.positions[symbol].qty == 2
    fill = one(pipeline, "SELECT mid_price, slippage FROM fills WHERE symbol = :s", s=symbol)
    assert fill == {"mid_price": None, "slippage": None}  # not ours to judge
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


def shares_by_hand(simulator, **how_much):
    bought = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day",
              "client_order_id": "by-hand"}  # fmt: skip
    by_hand(simulator, "/sim/orders", bought | how_much)


def test_shares_bought_by_hand_for_an_amount_of_money_are_known_and_stop_nothing(
    pipeline, simulator
):
    pipeline.run_cycle(TEN)
    shares_by_hand(simulator, notional="100")
    for slot in (HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
    stored = one(pipeline, "SELECT * FROM orders WHERE client_order_id = 'by-hand'")
    assert (stored["quantity"], stored["status"]) == (None, "filled")
    assert 0 < stored["filled_quantity"] < 1
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


@pytest.mark.parametrize("is_before_the_first_cycle", [True, False])
def test_a_billionth_of_a_share_by_hand_is_counted_and_stops_nothing(
    is_before_the_first_cycle, pipeline, simulator
):
    if not is_before_the_first_cycle:
        pipeline.run_cycle(TEN)
    simulator.advance(TEN + timedelta(minutes=1))
    shares_by_hand(simulator, qty="0.123456789")
    for slot in (TEN + timedelta(minutes=5), HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
    held = one(pipeline, "SELECT quantity FROM positions WHERE symbol = 'AAPL'")
    assert held["quantity"] == Decimal("0.123456789")
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)
    after_close = datetime(2026, 11, 20, 21, 30, tzinfo=UTC)
    simulator.advance(after_close)
    assert pipeline.run_end_of_day(after_close) is None


@pytest.fixture
def with_a_share_of_nvda(pipeline_on):
    """A watched AAPL, and one share of NVDA that nobody watches, bought by hand."""
    sessions = Sessions(MADE_UP_DAY, MADE_UP_DAY)
    market = Synthetic(MADE_UP_DAY, ["AAPL", "NVDA"], 7, sessions)
    start, cash = new_york_moment(MADE_UP_DAY, 9, 0), Decimal(100_000)
    exchange = Exchange(market, sessions, account="SIM000001", cash=cash, start=start)
    for simulator in serve(exchange):
        pipeline = pipeline_on(simulator)
        simulator.advance(TEN)
        bought = {"symbol": "NVDA", "qty": "1", "side": "buy", "type": "market",
                  "time_in_force": "day", "client_order_id": "by-hand"}  # fmt: skip
        by_hand(simulator, "/sim/orders", bought)
        yield pipeline


def delta_verdict(pipeline):
    query = "SELECT value, passed FROM verdicts WHERE check_name = 'portfolio_delta'"
    return one(pipeline, query)


def test_a_share_that_is_not_watched_counts_at_the_brokers_mark(with_a_share_of_nvda):
    with_a_share_of_nvda.run_cycle(TEN)
    assert delta_verdict(with_a_share_of_nvda)["passed"]
    assert one(with_a_share_of_nvda, "SELECT state FROM intents") == {"state": "filled"}


def test_a_share_that_is_not_watched_and_has_no_mark_leaves_the_exposure_unknown(
    with_a_share_of_nvda, monkeypatch
):
    real = validate.books.read_positions

    def unmarked(*arguments):
        return [replace(held, current_price=None) for held in real(*arguments)]

    monkeypatch.setattr(validate.books, "read_positions", unmarked)
    with_a_share_of_nvda.run_cycle(TEN)
    assert not delta_verdict(with_a_share_of_nvda)["passed"]
    assert with_a_share_of_nvda.rows("SELECT * FROM intents") == []


def test_a_condor_that_was_closed_by_hand_ends_as_closed(pipeline, simulator):
    pipeline.run_cycle(TEN)
    legs = list(simulator.exchange.book.positions.values())
    for number, held in enumerate(sorted(legs, key=lambda p: p.qty)):  # shorts first
        away = {"symbol": held.symbol, "qty": str(abs(held.qty)), "type": "market",
                "side": "sell" if held.qty > 0 else "buy", "time_in_force": "day",
                "client_order_id": f"by-hand-{number}"}  # fmt: skip
        by_hand(simulator, "/sim/orders", away)
    assert simulator.exchange.book.positions == {}
    pipeline.edit("limits.toml", delta_usd_max="0.01")  # nothing else is opened
    pipeline.run_cycle(HALF_PAST)
    assert one(pipeline, "SELECT state FROM structures") == {"state": "closed"}
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


def test_a_position_booked_by_hand_is_explained_by_its_journal_and_halts_nothing(
    pipeline, simulator
):
    pipeline.run_cycle(TEN)
    symbol = other_contract(pipeline)
    by_hand(simulator, "/sim/positions", {"symbol": symbol, "qty": 3})
    pipeline.run_cycle(HALF_PAST)
    journal = one(pipeline, "SELECT symbol, quantity FROM activities WHERE activity_type = 'JNLS'")
    assert journal == {"symbol": symbol, "quantity": 3}
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


# What nothing explains


def tamper_cash(book):
    book.cash += Decimal("0.01")
    return "cash"


def tamper_more(book):
    held = next(iter(book.positions.values()))
    held.qty += 1
    return held.symbol


def tamper_gone(book):
    return book.positions.popitem()[0]


@pytest.mark.parametrize("tamper", [tamper_cash, tamper_more, tamper_gone])
def test_what_no_order_and_no_activity_explains_halts_within_one_cycle(tamper, pipeline, simulator):
    pipeline.run_cycle(TEN)
    subject = tamper(simulator.exchange.book)
    pipeline.run_cycle(HALF_PAST)
    found = standing(pipeline)
    assert [row["subject"] for row in found] == [subject]
    assert found[0]["expected"] != found[0]["found"]
    halt = one(pipeline, "SELECT reason FROM halts WHERE cleared_at IS NULL")
    assert halt["reason"].startswith(f"the books disagree: {subject} ")
    pipeline.run_cycle(ELEVEN)
    assert standing(pipeline) == found  # told once while it stands
    assert len(pipeline.rows("SELECT 1 FROM discrepancies")) == 1


def test_after_an_alarm_nothing_is_opened_in_the_same_cycle(pipeline, simulator):
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(TEN)
    assert simulator.exchange.book.orders == {}
    pipeline.edit("limits.toml", delta_usd_max="50_000")
    simulator.exchange.book.cash += 1
    pipeline.run_cycle(HALF_PAST)
    assert simulator.exchange.book.orders == {}
    denied = pipeline.rows("SELECT DISTINCT check_name FROM verdicts WHERE NOT passed"
                           " AND check_name = 'halt'")  # fmt: skip
    assert denied == [{"check_name": "halt"}]


def test_what_is_explained_later_is_closed_and_the_halt_stays_for_a_person(pipeline, simulator):
    pipeline.run_cycle(TEN)
    book = simulator.exchange.book
    book.cash += 5
    pipeline.run_cycle(HALF_PAST)
    assert [row["subject"] for row in standing(pipeline)] == ["cash"]
    book.cash -= 5
    pipeline.run_cycle(ELEVEN)
    assert standing(pipeline) == []
    assert len(pipeline.rows("SELECT 1 FROM discrepancies WHERE explained_at IS NOT NULL")) == 1
    assert len(pipeline.rows("SELECT 1 FROM halts WHERE cleared_at IS NULL")) == 1


def test_what_was_held_before_the_first_cycle_is_the_beginning_and_no_alarm(pipeline, simulator):
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    simulator.advance(TEN)
    market = simulator.exchange.market
    symbol = market.contracts("AAPL", simulator.exchange.now)[0].symbol
    by_hand(simulator, "/sim/positions", {"symbol": symbol, "qty": 1, "price": 1})
    for slot in (TEN, HALF_PAST):
        pipeline.run_cycle(slot)
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


# Lists that lag, trades that are changed


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.FILLS_LAG,
        FaultKind.ACTIVITIES_LAG,
        FaultKind.POSITIONS_LAG,
        FaultKind.ORDERS_LAG,
        FaultKind.ACCOUNT_LAG,
        FaultKind.LEGS_APART,
    ],
)
def test_a_list_that_lags_half_a_minute_raises_no_alarm(kind, pipeline, simulator):
    lag = Fault(kind=kind, times=0, settings={"seconds": 30})
    simulator.exchange.faults.arm(lag)
    pipeline.run_cycle(TEN)
    assert simulator.exchange.faults.fired[kind] > 0
    assert_no_alarm(pipeline)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    pipeline.run_cycle(HALF_PAST)
    assert_no_alarm(pipeline)
    simulator.exchange.faults.disarm()
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(ELEVEN)
    assert one(pipeline, "SELECT state FROM structures WHERE id = 1") == {"state": "closed"}
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


def test_cash_that_lags_behind_a_trade_is_not_taken_for_what_the_account_began_with(
    pipeline, simulator
):
    lag = Fault(kind=FaultKind.ACCOUNT_LAG, times=0, settings={"seconds": 60})
    simulator.exchange.faults.arm(lag)
    simulator.advance(TEN - timedelta(minutes=2))
    simulator.advance(TEN - timedelta(seconds=20))
    shares_by_hand(simulator, qty="3")
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(TEN)
    simulator.exchange.faults.disarm()
    pipeline.run_cycle(HALF_PAST)
    pipeline.run_cycle(ELEVEN)
    assert_no_alarm(pipeline)
    began = one(pipeline, "SELECT amount FROM beginnings WHERE symbol = 'cash'")
    assert began["amount"] == simulator.exchange.book.cash


def lists_that_lag(simulator):
    """Three shares are bought a second before the first slot, and no list has the trade yet."""
    lag = Fault(kind=FaultKind.FILLS_LAG, times=0, settings={"seconds": 60})
    simulator.exchange.faults.arm(lag)
    simulator.advance(TEN - timedelta(minutes=2))
    simulator.advance(TEN - timedelta(seconds=1))
    shares_by_hand(simulator, qty="3")


def test_a_trade_that_is_listed_after_the_account_s_beginning_is_not_counted_twice(
    pipeline, simulator
):
    lists_that_lag(simulator)
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(TEN)
    assert one(pipeline, "SELECT amount FROM beginnings WHERE symbol = 'AAPL'")["amount"] == 3
    simulator.exchange.faults.disarm()
    pipeline.run_cycle(HALF_PAST)
    pipeline.run_cycle(ELEVEN)
    assert_no_alarm(pipeline)
    assert one(pipeline, "SELECT in_beginning FROM fills")["in_beginning"]


def test_a_late_trade_explains_nothing_that_is_off_besides(pipeline, simulator):
    lists_that_lag(simulator)
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(TEN)
    simulator.exchange.faults.disarm()
    simulator.exchange.book.cash += 1
    pipeline.run_cycle(HALF_PAST)
    told = pipeline.rows("SELECT subject FROM discrepancies ORDER BY subject")
    assert [row["subject"] for row in told] == ["AAPL", "cash"]
    assert not one(pipeline, "SELECT in_beginning FROM fills")["in_beginning"]


def assert_changed_trade_is_booked(pipeline, simulator, kind):
    assert simulator.exchange.faults.fired[kind] == 1
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(HALF_PAST)
    assert_books_equal(pipeline)
    assert_no_alarm(pipeline)


def test_a_trade_that_is_corrected_ends_with_equal_books_and_no_alarm(pipeline, simulator):
    simulator.exchange.faults.arm(Fault(kind=FaultKind.TRADE_CORRECTED, settings={"cents": 2}))
    pipeline.run_cycle(TEN)
    assert_changed_trade_is_booked(pipeline, simulator, FaultKind.TRADE_CORRECTED)
    statuses = {row["status"] for row in pipeline.rows("SELECT status FROM fills")}
    assert statuses == {"executed", "correct"}


def open_with_a_leg_taken_back(pipeline, simulator):
    """A condor one of whose legs is taken back; the symbol."""
    simulator.exchange.faults.arm(Fault(kind=FaultKind.TRADE_BUSTED))
    pipeline.run_cycle(TEN)
    assert simulator.exchange.faults.fired[FaultKind.TRADE_BUSTED] == 1
    return one(pipeline, "SELECT symbol FROM fills WHERE status = 'canceled'")["symbol"]


def test_a_leg_that_is_taken_back_leaves_an_open_structure_and_an_alarm(pipeline, simulator):
    gone = open_with_a_leg_taken_back(pipeline, simulator)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")  # it would be closed
    for slot in (HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
        assert_books_equal(pipeline)
        assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    book = simulator.exchange.book
    assert len(book.orders) == 1  # nothing is mended, and nothing opened beside it
    assert gone not in book.positions
    assert standing(pipeline) == [
        {"subject": f"{name} of structure 1", "expected": 0, "found": book.positions[name].qty}
        for name in sorted(book.positions)
    ]
    halt = one(pipeline, "SELECT reason FROM halts WHERE cleared_at IS NULL")["reason"]
    assert halt.startswith("the books disagree: ")
    exits = pipeline.rows("SELECT rule, value FROM candidates WHERE purpose = 'close'")
    assert exits == [{"rule": "not_held", "value": 0}] * 2


def test_legs_that_were_left_alone_and_are_closed_by_hand_are_an_alarm_no_more(pipeline, simulator):
    open_with_a_leg_taken_back(pipeline, simulator)
    pipeline.run_cycle(HALF_PAST)
    book = simulator.exchange.book
    for number, held in enumerate(sorted(book.positions.values(), key=lambda p: p.qty)):
        away = {"symbol": held.symbol, "qty": str(abs(held.qty)), "type": "market",
                "side": "sell" if held.qty > 0 else "buy", "time_in_force": "day",
                "client_order_id": f"by-hand-{number}"}  # fmt: skip
        by_hand(simulator, "/sim/orders", away)
    pipeline.run_cycle(ELEVEN)
    assert one(pipeline, "SELECT state FROM structures") == {"state": "closed"}
    assert standing(pipeline) == []
    assert len(pipeline.rows("SELECT 1 FROM halts WHERE cleared_at IS NULL")) == 1


def test_a_leg_closed_in_part_by_hand_is_told_and_the_rest_closed_for_what_is_left(
    pipeline, simulator
):
    pipeline.run_cycle(TEN)
    whole = one(pipeline, "SELECT quantity FROM structures")["quantity"]
    short = min(simulator.exchange.book.positions.values(), key=lambda p: p.qty)
    back = {"symbol": short.symbol, "qty": "2", "side": "buy", "type": "market",
            "time_in_force": "day", "client_order_id": "by-hand"}  # fmt: skip
    by_hand(simulator, "/sim/orders", back)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    for slot in (HALF_PAST, ELEVEN):
        pipeline.run_cycle(slot)
    exit_ = one(pipeline, "SELECT quantity, state FROM intents WHERE purpose = 'close'")
    assert exit_ == {"quantity": whole - 2, "state": "filled"}
    assert one(pipeline, "SELECT state, quantity FROM structures WHERE id = 1") == {
        "state": "open",
        "quantity": 2,
    }
    assert_books_equal(pipeline)
    (alarm,) = standing(pipeline)
    assert (alarm["subject"], alarm["expected"], alarm["found"]) == (
        f"{short.symbol} of the structures", -whole, 2 - whole,
    )  # fmt: skip
