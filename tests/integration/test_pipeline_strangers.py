"""What others do to the account between our cycles, and what we did that we know nothing of: it is
told, what has ended stays ended, and what we hold can still be closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest

from broker.client import Broker
from broker.errors import Unknown
from cli import operate
from db import audits, halts
from db.session import engine, transaction
from simulator.faults import Fault, FaultKind
from tests.conftest import forget_settings

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_PAST, ELEVEN = TEN + timedelta(minutes=30), TEN + timedelta(hours=1)
TEN_DAYS_LATER = TEN + timedelta(days=10)  # Monday 30 November
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
NOTHING_NEW = {"delta_usd_max": "0.01"}


def ask(simulator, method, path, body):
    answer = httpx.request(method, f"{simulator.url}{path}", json=body, headers=KEYS)
    assert answer.status_code < 300, answer.text
    return answer.json()


def by_hand(simulator, name, symbol, quantity, **more):
    """A person's order; quantity is signed."""
    body = {
        "symbol": symbol, "qty": str(abs(quantity)), "type": "market", "time_in_force": "day",
        "side": "buy" if quantity > 0 else "sell", "client_order_id": name,
    }  # fmt: skip
    return ask(simulator, "POST", "/sim/orders", body | more)


def close_by_hand(simulator, **more):
    """Every position, the shorts first."""
    held = sorted(simulator.exchange.book.positions.values(), key=lambda p: p.qty)
    for number, position in enumerate(held):
        by_hand(simulator, f"by-hand-{number}", position.symbol, -int(position.qty), **more)


def alarms(pipeline):
    query = "SELECT subject FROM discrepancies WHERE explained_at IS NULL ORDER BY subject"
    return [row["subject"] for row in pipeline.rows(query)]


def halted(pipeline):
    return bool(pipeline.rows("SELECT 1 FROM halts WHERE cleared_at IS NULL"))


def resume(pipeline):
    """As `./strikeflow resume` does it."""
    with transaction(pipeline.database_url) as connection:
        for account_id, _ in halts.all_accounts(connection):
            operate._resume(connection, account_id)


def structures(pipeline):
    return [(row["state"], row["quantity"]) for row in pipeline.rows(
        "SELECT state, quantity FROM structures ORDER BY id")]  # fmt: skip


def positions(simulator):
    return {symbol: int(held.qty) for symbol, held in simulator.exchange.book.positions.items()}


# What has ended


def test_legs_opened_again_after_a_person_closed_them_can_be_closed(pipeline, simulator):
    pipeline.edit("limits.toml", same_legs_minutes_min="1")
    pipeline.run_cycle(TEN)
    close_by_hand(simulator)
    pipeline.run_cycle(TEN + timedelta(minutes=5))  # closed by hand, and opened again
    _, quantity = structures(pipeline)[1]
    assert structures(pipeline) == [("closed", quantity), ("open", quantity)]
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(TEN + timedelta(minutes=35))
    assert [state for state, _ in structures(pipeline)] == ["closed", "closed"]
    assert positions(simulator) == {}
    assert alarms(pipeline) == []


def test_a_contract_bought_by_hand_brings_no_closed_structure_back(pipeline, simulator):
    pipeline.run_cycle(TEN)
    long = max(simulator.exchange.book.positions.values(), key=lambda p: p.qty).symbol
    close_by_hand(simulator)
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(HALF_PAST)
    by_hand(simulator, "mine", long, 1)
    pipeline.run_cycle(ELEVEN)
    assert [state for state, _ in structures(pipeline)] == ["closed"]
    assert positions(simulator) == {long: 1}
    assert alarms(pipeline) == []


def test_of_two_equal_structures_one_is_closed_when_a_person_closes_half(pipeline, simulator):
    pipeline.edit("strategies.toml", structures_per_underlying_max="2")
    pipeline.edit("limits.toml", same_legs_minutes_min="1")
    pipeline.run_cycle(TEN)
    pipeline.run_cycle(TEN + timedelta(minutes=5))
    (first, one), (second, other) = structures(pipeline)
    assert (first, second) == ("open", "open")
    held = sorted(simulator.exchange.book.positions.values(), key=lambda p: p.qty)
    for number, position in enumerate(held):
        by_hand(simulator, f"h-{number}", position.symbol, -one if position.qty > 0 else one)
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(HALF_PAST)
    assert structures(pipeline) == [("closed", one), ("open", other)]
    assert alarms(pipeline) == []


# What a person or a night has torn


def test_a_leg_that_was_assigned_early_is_told_and_halts(pipeline, simulator):
    pipeline.run_cycle(TEN)
    short = min(simulator.exchange.book.positions.values(), key=lambda p: p.qty)
    ask(simulator, "POST", "/sim/assign", {"symbol": short.symbol, "qty": int(-short.qty)})
    pipeline.edit("limits.toml", **NOTHING_NEW)
    monday = TEN + timedelta(days=3)
    pipeline.run_cycle(monday)
    assert alarms(pipeline) == [f"{short.symbol} of the structures"]
    assert halted(pipeline)


def test_what_a_person_has_accepted_halts_no_more_until_it_changes(pipeline, simulator):
    pipeline.run_cycle(TEN)
    pipeline.edit("limits.toml", **NOTHING_NEW)
    simulator.exchange.book.cash += 1
    pipeline.run_cycle(HALF_PAST)
    assert alarms(pipeline) == ["cash"]
    assert halted(pipeline)
    resume(pipeline)
    pipeline.run_cycle(ELEVEN)
    assert alarms(pipeline) == ["cash"]  # it stands, and everybody can see it
    assert not halted(pipeline)
    simulator.exchange.book.cash += 1
    pipeline.run_cycle(ELEVEN + timedelta(minutes=30))
    assert halted(pipeline)
    with transaction(pipeline.database_url) as connection:
        (account_id, _), = halts.all_accounts(connection)  # fmt: skip
        assert audits.read_unaccepted(connection, account_id) == {"cash"}


# What happened while nobody looked


def test_a_gap_of_ten_days_loses_nothing(pipeline, simulator):
    pipeline.run_cycle(TEN)
    pipeline.edit("limits.toml", **NOTHING_NEW)
    simulator.advance(TEN + timedelta(hours=2))
    by_hand(simulator, "by-hand", "AAPL", 3)
    pipeline.run_cycle(TEN_DAYS_LATER)
    (order,) = pipeline.rows("SELECT status, filled_quantity FROM orders"
                             " WHERE client_order_id = 'by-hand'")  # fmt: skip
    assert order == {"status": "filled", "filled_quantity": 3}
    assert alarms(pipeline) == []


def test_an_order_left_working_before_a_gap_is_settled_after_it(pipeline, simulator):
    simulator.exchange.quote = lambda symbol: None  # nothing fills
    lost = Fault(kind=FaultKind.ERROR_BEFORE, method="DELETE", path="/v2/orders*", times=1)
    simulator.exchange.faults.arm(lost)
    pipeline.run_cycle(TEN)
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(TEN_DAYS_LATER)
    live = pipeline.rows("SELECT 1 FROM intents WHERE state IN ('working', 'accepted', 'unknown')")
    assert live == []
    assert [state for state, _ in structures(pipeline)] == ["failed"]


def test_a_good_till_canceled_order_of_a_person_is_followed_to_its_end(pipeline, simulator):
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(TEN)
    real = simulator.exchange.quote
    simulator.exchange.quote = lambda symbol: None
    by_hand(simulator, "by-hand", "AAPL", 1, type="limit", limit_price="400", time_in_force="gtc")
    for days in (3, 4, 5, 7):  # a cycle each session: the list has long let the order go
        pipeline.run_cycle(TEN + timedelta(days=days))
    simulator.exchange.quote = real
    for days in (10, 11):
        pipeline.run_cycle(TEN + timedelta(days=days))
    (order,) = pipeline.rows("SELECT status, filled_quantity FROM orders"
                             " WHERE client_order_id = 'by-hand'")  # fmt: skip
    assert order == {"status": "filled", "filled_quantity": 1}
    assert alarms(pipeline) == []


# What the account began with


def test_a_fill_in_the_midst_of_the_very_first_reading_is_counted_once(
    pipeline, simulator, monkeypatch
):
    pipeline.edit("limits.toml", **NOTHING_NEW)
    real, asked = Broker.positions, []

    def positions(self):
        if not asked:
            asked.append(True)
            by_hand(simulator, "by-hand", "AAPL", 1)
        return real(self)

    monkeypatch.setattr(Broker, "positions", positions)
    pipeline.run_cycle(TEN)
    pipeline.run_cycle(HALF_PAST)
    assert pipeline.rows("SELECT symbol, amount FROM beginnings WHERE symbol <> 'cash'") == [
        {"symbol": "AAPL", "amount": 1}
    ]
    assert alarms(pipeline) == []


# What another copy of us has done


@contextmanager
def restored_to_now(pipeline, database_url, monkeypatch) -> Iterator[object]:
    """A copy of the database as it is; calling what is yielded makes the pipeline go on with it."""
    engine(database_url).dispose()
    home = database_url.replace("/shared?", "/postgres?")
    backup = database_url.replace("/shared?", "/backup?")
    with psycopg.connect(home, autocommit=True) as server:
        server.execute("CREATE DATABASE backup TEMPLATE shared")

    def restore():
        monkeypatch.setenv("DATABASE_URL", backup)
        forget_settings()
        object.__setattr__(pipeline, "database_url", backup)

    try:
        yield restore
    finally:
        engine(backup).dispose()
        with psycopg.connect(home, autocommit=True) as server:
            server.execute("DROP DATABASE backup WITH (FORCE)")


def test_after_an_older_database_came_back_its_lost_orders_are_told_and_nothing_new_opens(
    pipeline, simulator, database_url, monkeypatch
):
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(TEN)
    pipeline.edit("limits.toml", delta_usd_max="50_000")
    with restored_to_now(pipeline, database_url, monkeypatch) as restore:
        pipeline.run_cycle(HALF_PAST)
        (sent,) = [order.client_order_id for order in simulator.exchange.book.orders.values()]
        restore()
        pipeline.run_cycle(HALF_PAST + timedelta(minutes=5))
        assert f"order {sent} of ours, with no intent here" in alarms(pipeline)
        assert halted(pipeline)
        assert len(simulator.exchange.book.orders) == 1


def test_the_same_slot_at_another_size_under_an_older_database_adopts_nothing_and_goes_on(
    pipeline, simulator, database_url, monkeypatch
):
    with restored_to_now(pipeline, database_url, monkeypatch) as restore:
        pipeline.run_cycle(TEN)
        restore()
        pipeline.edit("limits.toml", position_contracts_max="5")
        for slot in (TEN, HALF_PAST):
            pipeline.run_cycle(slot)
        assert len(simulator.exchange.book.orders) == 1
        assert halted(pipeline)
        states = {row["state"] for row in pipeline.rows("SELECT state FROM intents")}
        assert not states & {"filled", "working", "accepted", "unknown"}


def test_an_order_of_ours_that_a_person_replaced_is_told_and_halts(pipeline, simulator):
    simulator.exchange.quote = lambda symbol: None
    lost = Fault(
        kind=FaultKind.ERROR_BEFORE, method="GET", path="/v2/orders:by_client_order_id", times=0
    )
    simulator.exchange.faults.arm(lost)
    with pytest.raises(Unknown):
        pipeline.run_cycle(TEN)
    simulator.exchange.faults.disarm()
    (order,) = [o for o in simulator.exchange.book.orders.values() if o.status == "new"]
    simulator.advance(TEN + timedelta(minutes=5))
    ask(simulator, "PATCH", f"/v2/orders/{order.id}", {"limit_price": "-0.50"})
    simulator.advance(TEN + timedelta(minutes=6))
    pipeline.edit("limits.toml", **NOTHING_NEW)
    pipeline.run_cycle(HALF_PAST)
    assert f"order {order.client_order_id} was replaced by hand" in alarms(pipeline)
    assert halted(pipeline)
