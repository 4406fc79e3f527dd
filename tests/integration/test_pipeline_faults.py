"""A cycle that is stopped anywhere and run again, and orders whose answer never came: whatever
happens, a decision is at most one order, and the books end as the broker's.

The simulator's own books are the oracle. A crash is an exception of its own kind, so that nothing
under test can take it for one it knows.
"""

import contextlib
import importlib
import itertools
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import psycopg
import pytest

from broker import transport
from broker.client import Broker
from broker.errors import Refused, Unknown
from simulator.book import Book
from simulator.refusal import Refusal, not_found
from tasks import context

trading_flow = importlib.import_module("flows.trading_cycle")

TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
HALF_PAST = TEN + timedelta(minutes=30)
ELEVEN = TEN + timedelta(hours=1)
STEPS = ("reconcile", "snapshot", "greeks", "scan", "validate", "submit", "report")
CALLS = 8  # reconcile runs twice


class Crash(BaseException):
    """The process ends here."""


def a_fault():
    """A 500. Any other exception would be one too, but the server then drops the connection a
    moment after its answer, and the next request may or may not run into that."""
    return Refusal(500, 50010000, "internal server error occurred")


def one(pipeline, query):
    (row,) = pipeline.rows(query)
    return row


def intent(pipeline):
    return one(pipeline, "SELECT * FROM intents")


def orders_of(exchange):
    """What was ordered and what came of it, whoever's account it is."""
    return [
        (
            (order.qty, order.limit_price, order.status, order.filled_avg_price),
            [(leg.symbol, leg.side, leg.intent, leg.qty) for leg in order.legs],
        )
        for order in exchange.book.orders.values()
    ]


def assert_books_equal(pipeline):
    book = pipeline.simulator.exchange.book
    known = {str(row["id"]): row["status"] for row in pipeline.rows("SELECT * FROM orders")}
    assert known == {
        each.id: each.status for order in book.orders.values() for each in (order, *order.legs)
    }
    fills = {row["id"] for row in pipeline.rows("SELECT id FROM fills")}
    assert fills == {a.id for a in book.activities if a.order_id}
    held = {p["symbol"]: p["quantity"] for p in pipeline.rows("SELECT * FROM positions")}
    assert held == {p.symbol: p.qty for p in book.positions.values()}
    cash = one(pipeline, "SELECT cash FROM account_marks ORDER BY marked_at DESC LIMIT 1")["cash"]
    assert cash == book.cash


@pytest.fixture(scope="session")
def remembered():
    return {}


@pytest.fixture
def undisturbed(remembered, pipeline, simulator):
    """Asked once the clock stands at the slot: the orders of a run that nothing disturbs."""

    def ask():
        if not remembered:
            mine = simulator.exchange.book
            simulator.exchange.book = Book(
                account="SIM000002",
                cash_start=Decimal(100_000),
                cash=Decimal(100_000),
                equity_last=Decimal(100_000),
            )
            assert pipeline.run_cycle(TEN) is None
            remembered["orders"] = orders_of(simulator.exchange)
            assert len(remembered["orders"]) == 1
            simulator.exchange.book = mine
        return remembered["orders"]

    return ask


@contextlib.contextmanager
def crash_at_call(monkeypatch, number, steps=STEPS):
    """The process ends right before the step that is called as number `number`."""
    calls = []

    def wrapped(real):
        def step(*arguments):
            if len(calls) == number:
                raise Crash
            calls.append(real)
            real(*arguments)
            if number == CALLS and len(calls) == CALLS:
                raise Crash

        return step

    with monkeypatch.context() as patched:
        for name in steps:
            patched.setattr(trading_flow, name, wrapped(getattr(trading_flow, name)))
        yield


@contextlib.contextmanager
def crash_at_end_of_step(monkeypatch, number):
    """The process ends when step `number` has done its work and not said so yet."""
    real, calls = context.cycles.end_step, []

    def end_step(*arguments):
        if len(calls) == number:
            raise Crash
        calls.append(1)
        real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(context.cycles, "end_step", end_step)
        yield


@contextlib.contextmanager
def killed(monkeypatch):
    """Nobody is left to mark the cycle as failed."""
    with monkeypatch.context() as patched:
        patched.setattr(trading_flow, "closing", contextlib.nullcontext)
        yield


CRASHES = {
    **{f"before step {n}": (crash_at_call, n) for n in range(CALLS)},
    "after the last step": (crash_at_call, CALLS),
    **{f"at the end of step {n}": (crash_at_end_of_step, n) for n in range(CALLS)},
}


@pytest.mark.parametrize("where", CRASHES)
def test_a_slot_that_stopped_and_is_run_again_orders_what_an_undisturbed_one_does(
    where, pipeline, simulator, monkeypatch, undisturbed
):
    crash, number = CRASHES[where]
    with crash(monkeypatch, number), pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    stopped = one(pipeline, "SELECT state, reason FROM cycles")
    assert (stopped["state"], stopped["reason"][:5]) == ("failed", "Crash")
    assert pipeline.run_cycle(TEN) is None
    assert one(pipeline, "SELECT state FROM cycles") == {"state": "done"}
    assert intent(pipeline)["state"] == "filled"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    assert_books_equal(pipeline)
    assert orders_of(simulator.exchange) == undisturbed()


@pytest.mark.parametrize("number", [0, 4, 6, 7])
def test_a_slot_that_was_killed_is_taken_over_when_its_lease_ran_out_and_orders_once(
    number, pipeline, simulator, monkeypatch
):
    with killed(monkeypatch), crash_at_end_of_step(monkeypatch, number), pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    waiting = pipeline.run_cycle(TEN)
    assert waiting.message == "the trading cycle of 2026-11-20 15:00Z is running"
    simulator.advance(TEN + timedelta(minutes=4))
    assert pipeline.run_cycle(TEN) is None
    assert one(pipeline, "SELECT state FROM cycles") == {"state": "done"}
    assert len(simulator.exchange.book.orders) == 1
    assert intent(pipeline)["state"] == "filled"
    assert_books_equal(pipeline)


# The order's own request


@pytest.fixture
def submit_as(monkeypatch):
    """Puts `first(real, broker, intent)` in the place of the first Broker.submit; the ids sent."""

    def install(first):
        real = Broker.submit
        sent = []

        def submit(broker, wanted, limit):
            sent.append(wanted.client_order_id)
            if len(sent) > 1:
                return real(broker, wanted, limit)
            return first(lambda *known: real(*known, limit), broker, wanted)

        monkeypatch.setattr(Broker, "submit", submit)
        return sent

    return install


def test_a_crash_before_the_request_left_is_never_made_good_by_a_second_try(
    pipeline, simulator, submit_as
):
    def die(real, broker, wanted):
        raise Crash

    submit_as(die)
    with pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "sending"
    assert pipeline.run_cycle(TEN) is None
    assert_ends_never_received(pipeline, simulator)


def assert_ends_never_received(pipeline, simulator):
    """The same cycle gives the intent up by its words, and nothing under its id is ever sent."""
    first = intent(pipeline)
    assert (first["state"], first["looks"]) == ("not_received", 5)
    assert first["detail"] == "never received: the broker has no order under this id"
    assert simulator.exchange.book.orders == {}
    pipeline.run_cycle(HALF_PAST)
    again = one(pipeline, f"SELECT * FROM intents WHERE planned_at = '{TEN}'")
    assert again == first
    failed = one(pipeline, f"SELECT state FROM structures WHERE id = {first['structure_id']}")
    assert failed == {"state": "failed"}
    assert first["client_order_id"] not in simulator.exchange.book.by_client_id


def test_a_crash_after_the_request_left_is_adopted_and_not_sent_again(
    pipeline, simulator, submit_as
):
    def die(real, broker, wanted):
        real(broker, wanted)
        raise Crash

    sent = submit_as(die)
    with pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "sending"
    assert pipeline.run_cycle(TEN) is None
    assert len(sent) == 1
    assert intent(pipeline)["state"] == "filled"
    assert len(simulator.exchange.book.orders) == 1
    assert_books_equal(pipeline)


def test_a_time_out_after_the_broker_took_the_order_never_makes_a_second_one(
    pipeline, simulator, submit_as, monkeypatch
):
    route = simulator.exchange.route

    def never_answer():
        route()
        time.sleep(1.0)  # the server's only thread: nobody answers until then

    simulator.exchange.route = never_answer

    def impatient(real, broker, wanted):
        with monkeypatch.context() as patched:
            patched.setattr(transport, "READ_TIMEOUT_S", 0.3)
            return real(broker, wanted)

    sent = submit_as(impatient)
    assert_adopted(pipeline, simulator, sent)


def test_an_error_after_the_broker_took_the_order_never_makes_a_second_one(
    pipeline, simulator, submit_as
):
    route = simulator.exchange.route

    def take_and_fail():
        route()
        raise a_fault()

    simulator.exchange.route = take_and_fail
    sent = submit_as(lambda real, broker, wanted: real(broker, wanted))
    assert_adopted(pipeline, simulator, sent)


def assert_adopted(pipeline, simulator, sent):
    assert pipeline.run_cycle(TEN) is None
    assert len(sent) == 1
    (order,) = simulator.exchange.book.orders.values()
    assert intent(pipeline)["client_order_id"] == order.client_order_id
    assert intent(pipeline)["state"] == "filled"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    assert_books_equal(pipeline)
    before = orders_of(simulator.exchange)
    pipeline.run_cycle(HALF_PAST)
    assert orders_of(simulator.exchange) == before


def test_an_order_that_was_lost_on_its_way_ends_as_never_received(pipeline, simulator):
    place = simulator.exchange.place
    asked = []

    def lose_the_first(body):
        asked.append(body["client_order_id"])
        if len(asked) == 1:
            raise a_fault()
        return place(body)

    simulator.exchange.place = lose_the_first
    assert pipeline.run_cycle(TEN) is None
    lost = intent(pipeline)["client_order_id"]
    told = pipeline.rows(
        f"SELECT state, detail FROM intent_events WHERE client_order_id = '{lost}' ORDER BY id"
    )
    assert [row["state"] for row in told] == ["planned", "sending", "unknown", "not_received"]
    assert "500" in told[2]["detail"]
    assert_ends_never_received(pipeline, simulator)
    assert asked.count(lost) == 1


def test_an_order_without_an_answer_is_looked_up_at_2_5_15_30_and_60_seconds_and_no_more(
    pipeline, simulator, submit_as
):
    exchange = simulator.exchange
    find, looks = exchange.find_by_client_id, []

    def note(client_order_id):
        looks.append(simulator.now)
        return find(client_order_id)

    def lose(real, broker, wanted):
        raise Unknown("nobody answered")

    exchange.find_by_client_id = note
    submit_as(lose)
    pipeline.run_cycle(TEN)
    assert [(look - TEN).total_seconds() for look in looks] == [2, 5, 15, 30, 60]
    assert_ends_never_received(pipeline, simulator)


@pytest.mark.parametrize("look", range(1, 6))
def test_an_order_is_adopted_at_whichever_look_the_broker_lists_it(
    look, pipeline, simulator, submit_as
):
    exchange = simulator.exchange
    find, looks = exchange.find_by_client_id, []

    def find_at_last(client_order_id):
        looks.append(client_order_id)
        if len(looks) < look:
            raise not_found(f"order not found for {client_order_id}")
        return find(client_order_id)

    def take_and_say_nothing(real, broker, wanted):
        real(broker, wanted)
        raise Unknown("nobody answered")

    exchange.find_by_client_id = find_at_last
    sent = submit_as(take_and_say_nothing)
    pipeline.run_cycle(TEN)
    assert (intent(pipeline)["state"], intent(pipeline)["looks"]) == ("filled", look - 1)
    assert len(sent) == len(exchange.book.orders) == 1
    assert_books_equal(pipeline)


def test_while_an_order_is_unknown_nothing_is_decided(pipeline, simulator):
    """It cannot even be looked up: no cycle goes on before the broker answers."""
    exchange = simulator.exchange
    place, find = exchange.place, exchange.find_by_client_id

    def lose(*_):
        raise a_fault()

    exchange.place = exchange.find_by_client_id = lose
    with pytest.raises(Unknown, match="500"):
        pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "unknown"
    exchange.place = place
    decided = pipeline.rows("SELECT * FROM candidates")
    with pytest.raises(Unknown, match="500"):
        pipeline.run_cycle(TEN + timedelta(minutes=5))
    assert (intent(pipeline)["state"], intent(pipeline)["looks"]) == ("unknown", 0)
    assert pipeline.rows("SELECT * FROM candidates") == decided
    assert exchange.book.orders == {}
    exchange.find_by_client_id = find
    pipeline.run_cycle(TEN + timedelta(minutes=10))
    first = one(pipeline, "SELECT state FROM intents ORDER BY planned_at LIMIT 1")
    assert first == {"state": "not_received"}


def test_an_order_that_the_broker_lists_late_is_adopted(pipeline, simulator, submit_as):
    exchange = simulator.exchange
    hidden = {"route": True}
    route, find = exchange.route, exchange.find_by_client_id

    def take_and_fail():
        route()
        raise a_fault()

    def find_late(client_order_id):
        if hidden:
            raise not_found(f"order not found for {client_order_id}")
        return find(client_order_id)

    exchange.route, exchange.find_by_client_id = take_and_fail, find_late
    known, exchange.book.orders = exchange.book.orders, HiddenOrders(hidden)
    assert known == {}
    sent = submit_as(lambda real, broker, wanted: real(broker, wanted))
    assert pipeline.run_cycle(TEN) is None
    assert intent(pipeline)["state"] == "not_received"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "failed"}
    hidden.clear()
    exchange.route = route
    pipeline.run_cycle(TEN + timedelta(minutes=2))
    assert intent(pipeline)["state"] == "filled"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    assert len(sent) == 1
    assert_books_equal(pipeline)


def test_an_order_that_comes_up_late_and_still_works_is_adopted_and_withdrawn(pipeline, simulator):
    exchange = simulator.exchange
    hidden = {"place": True}
    place, find = exchange.place, exchange.find_by_client_id

    def take_and_fail(body):
        exchange.quote = lambda symbol: None  # no order meets an offer
        place(body)
        raise a_fault()

    def find_late(client_order_id):
        if hidden:
            raise not_found(f"order not found for {client_order_id}")
        return find(client_order_id)

    exchange.place, exchange.find_by_client_id = take_and_fail, find_late
    exchange.book.orders = HiddenOrders(hidden)
    pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "not_received"
    hidden.clear()
    exchange.place = place
    pipeline.edit("limits.toml", delta_usd_max="0.01")  # nothing else is opened
    pipeline.run_cycle(TEN + timedelta(minutes=2))
    states = [row["state"] for row in pipeline.rows("SELECT state FROM intent_events ORDER BY id")]
    assert states[-3:] == ["not_received", "accepted", "canceled"]
    (order,) = exchange.book.orders.values()
    assert order.status == "canceled"
    assert_books_equal(pipeline)


def test_an_order_that_no_list_shows_yet_is_found_by_its_id(pipeline, simulator):
    exchange = simulator.exchange
    route = exchange.route

    def take_and_fail():
        route()
        raise a_fault()

    exchange.route = take_and_fail
    exchange.book.orders = HiddenOrders({"always": True})
    pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "filled"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}


class HiddenOrders(dict):
    """The broker's orders, of which lists show none while `hidden` holds something."""

    def __init__(self, hidden):
        super().__init__()
        self.hidden = hidden

    def values(self):
        return [] if self.hidden else super().values()


@pytest.mark.parametrize("times", [1, 2])
def test_a_closing_order_whose_answer_was_lost_is_adopted_and_closes_once(
    times, pipeline, simulator
):
    exchange = simulator.exchange
    pipeline.run_cycle(TEN)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    route = exchange.route

    def take_and_fail():
        route()
        raise a_fault()

    exchange.route = take_and_fail
    pipeline.run_cycle(HALF_PAST)
    exchange.route = route
    if times == 2:
        pipeline.run_cycle(TEN + timedelta(hours=1))
    closings = [o for o in exchange.book.orders.values() if o.legs[0].intent.endswith("close")]
    assert len(closings) == 1
    closed = one(pipeline, "SELECT * FROM structures WHERE id = 1")
    assert closed["state"] == "closed"
    first = list(exchange.book.orders.values())[:2]
    earned = -sum(o.filled_avg_price * o.qty * 100 for o in first)
    assert closed["realized_usd"] == earned
    assert_books_equal(pipeline)


def test_a_closing_order_that_was_lost_leaves_the_structure_open_to_be_closed_again(
    pipeline, simulator
):
    exchange = simulator.exchange
    pipeline.run_cycle(TEN)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    place = exchange.place

    def lose(body):
        raise a_fault()

    exchange.place = lose
    pipeline.run_cycle(HALF_PAST)
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    exchange.place = place
    pipeline.run_cycle(TEN + timedelta(hours=1))
    states = pipeline.rows("SELECT state FROM intents WHERE purpose = 'close' ORDER BY planned_at")
    assert [row["state"] for row in states] == ["not_received", "filled"]
    assert one(pipeline, "SELECT state FROM structures WHERE id = 1") == {"state": "closed"}
    assert_books_equal(pipeline)


@pytest.fixture
def lost_exit(pipeline, simulator):
    """A condor whose exit was lost and given up: what was asked for, to be placed later."""
    exchange = simulator.exchange
    pipeline.run_cycle(TEN)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    place, bodies = exchange.place, []

    def lose(body):
        bodies.append(body)
        raise a_fault()

    exchange.place = lose
    pipeline.run_cycle(HALF_PAST)
    exchange.place = place
    return bodies[0]


def fill_at_any_price(simulator, body):
    simulator.exchange.place(body | {"limit_price": Decimal(50)})
    simulator.exchange.route()


def closings(pipeline):
    query = "SELECT state FROM intents WHERE purpose = 'close' ORDER BY planned_at"
    return [row["state"] for row in pipeline.rows(query)]


def test_an_exit_that_fills_unseen_is_not_followed_by_another(pipeline, simulator, lost_exit):
    exchange, hidden = simulator.exchange, {"late": True}
    shown, exchange.book.orders = exchange.book.orders, HiddenOrders(hidden)
    exchange.book.orders.update(shown)
    fill_at_any_price(simulator, lost_exit)
    assert exchange.book.positions == {}
    pipeline.run_cycle(ELEVEN)
    assert closings(pipeline) == ["not_received"]
    turned_down = one(
        pipeline,
        "SELECT rule, value FROM candidates WHERE purpose = 'close' ORDER BY id DESC LIMIT 1",
    )
    assert turned_down == {"rule": "not_held", "value": 0}
    hidden.clear()
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(ELEVEN + timedelta(minutes=30))
    assert closings(pipeline) == ["filled"]
    assert one(pipeline, "SELECT state FROM structures WHERE id = 1") == {"state": "closed"}
    assert_books_equal(pipeline)


def test_an_exit_that_was_planned_is_not_sent_beside_one_that_comes_up(
    pipeline, simulator, lost_exit, monkeypatch
):
    exchange = simulator.exchange
    with crash_at_call(monkeypatch, 5), pytest.raises(Crash):
        pipeline.run_cycle(ELEVEN)
    assert closings(pipeline) == ["not_received", "planned"]
    exchange.quote = lambda symbol: None  # no order meets an offer
    exchange.place(lost_exit)
    late = exchange.book.by_client_id[lost_exit["client_order_id"]]
    placed, real = [], exchange.place

    def place(body):
        placed.append(late.status)
        return real(body)

    monkeypatch.setattr(exchange, "place", place)
    pipeline.run_cycle(ELEVEN)
    assert set(placed) <= {"canceled"}  # it was withdrawn first
    assert closings(pipeline)[0] == "canceled"
    assert exchange.book.working == {}


def test_what_two_exits_closed_too_much_is_open_and_raises_the_alarm(
    pipeline, simulator, lost_exit
):
    """A broker that takes both: the late one opens what nobody decided on."""
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(ELEVEN)
    assert closings(pipeline) == ["not_received", "filled"]
    assert one(pipeline, "SELECT state FROM structures") == {"state": "closed"}
    legs = [leg | {"position_intent": f"{leg['side']}_to_open"} for leg in lost_exit["legs"]]
    fill_at_any_price(simulator, lost_exit | {"legs": legs})
    excess = {p.symbol: p.qty for p in simulator.exchange.book.positions.values()}
    assert len(excess) == 4
    pipeline.run_cycle(ELEVEN + timedelta(minutes=30))
    assert closings(pipeline) == ["filled", "filled"]
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    told = pipeline.rows("SELECT subject, expected, found FROM discrepancies")
    assert {row["subject"]: (row["expected"], row["found"]) for row in told} == {
        f"{symbol} of structure 1": (0, quantity) for symbol, quantity in excess.items()
    }
    assert len(pipeline.rows("SELECT 1 FROM halts WHERE cleared_at IS NULL")) == 1
    assert_books_equal(pipeline)


def test_whenever_a_request_arrives_its_intent_is_committed(pipeline, simulator, monkeypatch):
    """Through a crash, a second try, an exit: judged on a connection of its own."""
    place = simulator.exchange.place
    seen = []

    def look(body):
        with psycopg.connect(pipeline.database_url) as connection:
            found = connection.execute(
                "SELECT state FROM intents WHERE client_order_id = %s", [body["client_order_id"]]
            )
            seen.append(found.fetchone())
        return place(body)

    simulator.exchange.place = look
    with crash_at_call(monkeypatch, 5), pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    pipeline.run_cycle(TEN)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    pipeline.run_cycle(HALF_PAST)
    assert seen[:2] == [("sending",), ("sending",)]
    assert set(seen) == {("sending",)}


def test_a_planned_intent_of_a_slot_that_passed_is_given_up_and_never_sent(
    pipeline, simulator, monkeypatch
):
    with crash_at_call(monkeypatch, 5), pytest.raises(Crash):
        pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "planned"
    old = intent(pipeline)["client_order_id"]
    pipeline.run_cycle(HALF_PAST)
    ended = one(pipeline, f"SELECT state, detail FROM intents WHERE client_order_id = '{old}'")
    assert ended == {"state": "not_sent", "detail": "its slot passed before it was sent"}
    assert old not in simulator.exchange.book.by_client_id


def test_a_broker_that_is_away_fails_the_cycle_and_the_slot_can_be_run_again(
    pipeline, simulator, monkeypatch
):
    def away(*_):
        raise a_fault()

    with monkeypatch.context() as patched:
        patched.setattr(simulator.exchange, "market", Away(simulator.exchange.market, away))
        with pytest.raises(Unknown, match="500"):
            pipeline.run_cycle(TEN)
    failed = one(pipeline, "SELECT state, reason FROM cycles")
    assert failed["state"] == "failed"
    assert "500" in failed["reason"]
    assert "\n" not in failed["reason"]
    assert pipeline.run_cycle(TEN) is None
    assert intent(pipeline)["state"] == "filled"
    assert_books_equal(pipeline)


class Away:
    """A market whose chains cannot be read."""

    def __init__(self, market, chain):
        self.market, self.chain = market, chain

    def __getattr__(self, name):
        return getattr(self.market, name)


def refuse_what_was_taken(monkeypatch):
    """The broker says no to an order that it has taken all the same."""
    real = Broker.submit

    def take_and_refuse(broker, wanted, limit):
        real(broker, wanted, limit)
        raise Refused("the order: 422 qty is odd", status=422, code=42210000)

    monkeypatch.setattr(Broker, "submit", take_and_refuse)


def test_an_order_that_was_called_refused_and_comes_up_filled_is_adopted(
    pipeline, simulator, monkeypatch
):
    with monkeypatch.context() as patched:
        refuse_what_was_taken(patched)
        hidden = {"late": True}
        simulator.exchange.book.orders = HiddenOrders(hidden)
        with crash_at_call(patched, 6), pytest.raises(Crash):  # before it reconciles again
            pipeline.run_cycle(TEN)
    assert intent(pipeline)["state"] == "refused"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "failed"}
    hidden.clear()
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(HALF_PAST)
    assert intent(pipeline)["state"] == "filled"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "open"}
    assert pipeline.rows("SELECT 1 FROM halts") == []
    assert_books_equal(pipeline)


def test_an_order_that_was_called_refused_and_still_works_is_adopted_and_withdrawn(
    pipeline, simulator, monkeypatch
):
    simulator.exchange.quote = lambda symbol: None  # no order meets an offer
    with monkeypatch.context() as patched:
        refuse_what_was_taken(patched)
        pipeline.run_cycle(TEN)
    told = [row["state"] for row in pipeline.rows("SELECT state FROM intent_events ORDER BY id")]
    assert told[:3] == ["planned", "sending", "refused"]
    assert told[3] in ("accepted", "working")
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    pipeline.run_cycle(HALF_PAST)
    assert intent(pipeline)["state"] == "canceled"
    (order,) = simulator.exchange.book.orders.values()
    assert order.status == "canceled"
    assert_books_equal(pipeline)


def test_a_refused_exit_that_comes_up_beside_the_one_that_followed_is_written_down(
    pipeline, simulator, monkeypatch
):
    exchange = simulator.exchange
    pipeline.run_cycle(TEN)
    pipeline.edit("strategies.toml", days_to_expiry_exit="50")
    pipeline.edit("limits.toml", delta_usd_max="0.01")
    bodies = []

    def refuse(body):
        bodies.append(body)
        raise Refusal(422, 42210000, "not now")

    with monkeypatch.context() as patched:
        patched.setattr(exchange, "place", refuse)
        pipeline.run_cycle(HALF_PAST)
    assert closings(pipeline) == ["refused"]
    exchange.quote = lambda symbol: None  # no order meets an offer

    def crash(broker, client_order_id):
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Broker, "order_by_client_id", crash)
        with pytest.raises(Crash):
            pipeline.run_cycle(ELEVEN)
    assert closings(pipeline)[0] == "refused"
    assert closings(pipeline)[1] in ("accepted", "working")
    (working,) = exchange.book.working.values()
    exchange.cancel(working.id)  # two at once the broker would not take
    exchange.route()
    exchange.place(bodies[0])
    pipeline.run_cycle(ELEVEN + timedelta(minutes=30))
    assert closings(pipeline)[:2] == ["canceled", "canceled"]
    told = pipeline.rows(
        "SELECT e.state FROM intent_events e JOIN intents USING (client_order_id)"
        " WHERE given_up_at IS NOT NULL ORDER BY e.id"
    )
    states = [row["state"] for row in told]
    assert (states[2], states[-1]) == ("refused", "canceled")
    assert {*states[3:-1]} & {"accepted", "working"}
    assert_books_equal(pipeline)


@pytest.mark.parametrize(
    ("before_close", "why"), [(1.0, "closes within 30 s"), (-2.0, "has closed")]
)
def test_no_order_leaves_in_the_last_half_minute_however_long_its_quotes_take(
    before_close, why, pipeline, simulator, monkeypatch
):
    close = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    read = Broker.quotes

    def slowly(broker, symbols):
        found = read(broker, symbols)
        simulator.advance(close - timedelta(seconds=before_close))
        return found

    monkeypatch.setattr(Broker, "quotes", slowly)
    pipeline.run_cycle(close - timedelta(minutes=10))
    assert intent(pipeline)["state"] == "not_sent"
    assert why in intent(pipeline)["detail"]
    assert simulator.exchange.book.orders == {}


def test_a_process_that_was_stopped_after_its_claim_sends_nothing(
    pipeline, simulator, submit_as, monkeypatch
):
    ticks = itertools.count(0, 11)  # seconds pass whenever it looks
    clock = SimpleNamespace(monotonic=lambda: next(ticks))
    sent = submit_as(lambda real, broker, wanted: real(broker, wanted))
    with monkeypatch.context() as patched:
        patched.setattr(importlib.import_module("tasks.submit"), "time", clock)
        pipeline.run_cycle(TEN)
    assert sent == []
    assert simulator.exchange.book.orders == {}
    assert intent(pipeline)["state"] == "not_received"
    assert intent(pipeline)["detail"] == "never sent: 11 s passed after the claim"
    assert one(pipeline, "SELECT state FROM structures") == {"state": "failed"}
    assert one(pipeline, "SELECT row_count FROM steps WHERE step = 'submit'")["row_count"] == 0
    pipeline.run_cycle(HALF_PAST)
    assert len(simulator.exchange.book.orders) == len(sent) == 1
    assert_books_equal(pipeline)
