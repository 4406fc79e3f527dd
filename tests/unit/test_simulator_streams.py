"""What the streams promise whoever reads them in process, and what the armed faults do to them."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from simulator import routes_options, wire_stream
from simulator.exchange import Exchange
from simulator.faults import Fault, FaultKind
from simulator.inbox import End, Inbox
from simulator.market import Halt, prices_of
from simulator.sessions import Sessions
from simulator.streams import PATHS, StreamRefused, Streams
from simulator.switches import BadSwitch, Switches
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, SECOND, new_york_moment
from simulator.wire_stream import ulid
from tests.conftest import MADE_UP_DAY

OPEN = new_york_moment(MADE_UP_DAY, 9, 30)
CLOSE = new_york_moment(MADE_UP_DAY, 16, 0)
TEN = new_york_moment(MADE_UP_DAY, 10, 0)
PUT, LOWER_PUT = "AAPL270115P00220000", "AAPL270115P00210000"


def an_exchange(market, start=TEN, **switches):
    return Exchange(
        *market,
        account="SIM000001",
        cash=Decimal(100_000),
        start=start,
        switches=Switches(**switches),
    )


@pytest.fixture
def exchange(market):
    return an_exchange(market)


@pytest.fixture
def streams(exchange):
    return Streams(exchange)


def buy(exchange, limit=None, symbol=PUT):
    """An order at the market, or one that stays working."""
    body = {"symbol": symbol, "qty": "1", "side": "buy", "time_in_force": "day"}
    body |= {"type": "limit", "limit_price": limit} if limit else {"type": "market"}
    order = exchange.place(body)
    exchange.route()
    return order


def sell_spread(exchange, qty="2"):
    legs = [
        {"symbol": PUT, "ratio_qty": "1", "side": "sell", "position_intent": "sell_to_open"},
        {"symbol": LOWER_PUT, "ratio_qty": "2", "side": "buy", "position_intent": "buy_to_open"},
    ]
    order = exchange.place(
        {"order_class": "mleg", "qty": qty, "type": "market", "time_in_force": "day", "legs": legs}
    )
    exchange.route()
    return order


def data(inbox):
    return [envelope["data"] for envelope in inbox.read()]


def events(inbox):
    return [one["event"] for one in data(inbox)]


def arm(streams, kind, **more):
    streams.exchange.faults.arm(Fault(kind=kind, **more))


# Trade updates


def test_an_order_is_told_as_new_and_as_filled_with_the_order_as_it_then_was(exchange, streams):
    inbox = streams.subscribe("/stream")
    order = buy(exchange)
    new, fill = data(inbox)
    assert [new["event"], fill["event"]] == ["new", "fill"]
    assert [new["order"]["status"], fill["order"]["status"]] == ["new", "filled"]
    assert fill["execution_id"] == exchange.book.activities[-1].execution_id
    assert (fill["qty"], fill["position_qty"]) == ("1", "1")
    assert Decimal(fill["price"]) == order.filled_avg_price
    assert inbox.read() == []


def test_the_same_orders_are_told_in_the_same_words(market):
    told = []
    for _ in range(2):
        exchange = an_exchange(market)
        inbox = Streams(exchange).subscribe("/stream")
        sell_spread(exchange)
        buy(exchange, symbol=LOWER_PUT)
        told.append(inbox.read())
    assert told[0] == told[1]


def test_no_two_events_share_an_event_id(exchange, streams):
    inbox = streams.subscribe("/stream")
    for _ in range(20):
        buy(exchange)
    told = data(inbox)
    assert len({one["event_id"] for one in told}) == len({one["execution_id"] for one in told})
    assert len({one["event_id"] for one in told}) == len(told) == 40


def test_event_ids_sort_by_time():
    ids = [ulid(TEN + k * 1_000_000, str(k)) for k in range(50)]
    assert ids == sorted(ids)
    assert len({len(name) for name in ids}) == 1


def test_a_spread_has_its_net_price_and_every_leg_in_one_event(exchange, streams):
    inbox = streams.subscribe("/stream")
    order = sell_spread(exchange)
    _, fill = data(inbox)
    assert (fill["qty"], Decimal(fill["price"])) == ("2", order.filled_avg_price)
    assert fill["position_qtys"] == {PUT: "-2", LOWER_PUT: "4"}
    assert [leg["qty"] for leg in fill["legs"]] == ["2", "4"]
    assert "execution_id" not in fill
    assert fill["order"]["asset_id"] == "00000000-0000-0000-0000-000000000000"
    assert len({leg["execution_id"] for leg in fill["legs"]}) == 2


def test_with_the_switch_each_leg_has_its_own_event_with_the_same_execution_id(market):
    exchange = an_exchange(market, trade_updates_of_legs=True)
    inbox = Streams(exchange).subscribe("/stream")
    sell_spread(exchange)
    told = data(inbox)
    assert [one["event"] for one in told] == ["new"] * 3 + ["fill"] * 3
    assert [one["execution_id"] for one in told[4:]] == [
        leg["execution_id"] for leg in told[3]["legs"]
    ]
    assert [one["order"]["symbol"] for one in told[4:]] == [PUT, LOWER_PUT]


def test_with_the_switch_pending_new_comes_before_new(market):
    exchange = an_exchange(market, trade_updates_pending_new=True)
    inbox = Streams(exchange).subscribe("/stream")
    buy(exchange)
    assert events(inbox) == ["pending_new", "new", "fill"]


def test_an_order_of_the_night_is_accepted_then_new_at_the_open_and_expires(market):
    exchange = an_exchange(market, start=OPEN - 30 * MINUTE)
    inbox = Streams(exchange).subscribe("/stream")
    buy(exchange, limit="0.01")
    assert events(inbox) == ["accepted"]
    exchange.advance(OPEN)
    assert events(inbox) == ["new"]
    exchange.advance(CLOSE)
    assert events(inbox) == ["expired"]


def test_a_replacement_is_told_as_replaced_and_then_as_new(exchange, streams):
    inbox = streams.subscribe("/stream")
    first = buy(exchange, limit="0.01")
    second = exchange.replace(first.id, {"limit_price": "0.02"})
    exchange.route()
    told = [(one["event"], one["order"]["id"]) for one in data(inbox)]
    assert told == [("new", first.id), ("replaced", first.id), ("new", second.id)]


def test_every_part_of_a_fill_is_told_with_what_is_held_after_it(market):
    exchange = an_exchange(market, partial_share=1.0)
    inbox = Streams(exchange).subscribe("/stream")
    body = {"symbol": PUT, "qty": "6", "side": "buy", "type": "market", "time_in_force": "day"}
    order = exchange.place(body)
    exchange.route()
    exchange.advance(TEN + 20 * MINUTE)
    new, *parts = data(inbox)
    assert (new["event"], order.status) == ("new", "filled")
    assert [one["event"] for one in parts] == ["partial_fill"] * (len(parts) - 1) + ["fill"]
    assert len(parts) > 1
    held = 0
    for one in parts:
        held += int(one["qty"])
        assert (one["position_qty"], one["order"]["filled_qty"]) == (str(held), str(held))
    assert held == 6


def test_a_halt_that_is_armed_is_told_and_nothing_fills_in_it(exchange, streams):
    inbox = streams.subscribe("/v2/iex", statuses={"AAPL"})
    end = TEN + 3 * MINUTE
    arm(streams, FaultKind.HALT, symbol="AAPL", at=TEN + MINUTE, until=end)
    exchange.advance(TEN + MINUTE)
    order = buy(exchange)
    exchange.advance(end - 1)
    assert order.status == "new"
    exchange.advance(end + MINUTE)
    assert order.status == "filled"
    assert [one["sc"] for frame in inbox.read() for one in frame] == ["H", "T"]


def test_expiry_and_assignment_tell_nothing(market):
    exchange = an_exchange(market)
    name = "AAPL261127P00230000"
    inbox = Streams(exchange).subscribe("/stream")
    buy(exchange, symbol=name)
    assert events(inbox) == ["new", "fill"]
    exchange.advance(new_york_moment(date(2026, 11, 27), 16, 0))
    assert exchange.book.qty(name) == 0
    assert inbox.read() == []


def test_whoever_closes_hears_no_more(exchange, streams):
    inbox, other = streams.subscribe("/stream"), streams.subscribe("/stream")
    streams.close(inbox)
    buy(exchange)
    assert inbox.read() == []
    assert events(other) == ["new", "fill"]


# Market data


def test_a_quote_is_told_when_it_changed_and_is_the_one_of_now(exchange, streams):
    inbox = streams.subscribe("/v1beta1/opra", quotes={PUT, LOWER_PUT})
    exchange.advance(TEN + 30 * SECOND)
    assert inbox.read() == []
    exchange.advance(TEN + MINUTE)
    (frame,) = inbox.read()
    assert {message["S"] for message in frame} == {PUT, LOWER_PUT}
    for message in frame:
        quote = exchange.quote(message["S"])
        assert (message["t"], message["bp"]) == (quote.at, float(quote.bid or 0))


def test_no_message_is_later_than_the_clock(exchange, streams):
    inboxes = [
        streams.subscribe("/v2/sip", **{name: {"*"} for name in ("quotes", "trades", "bars")}),
        streams.subscribe("/v2/iex", **{name: {"AAPL"} for name in ("dailyBars", "lulds")}),
        streams.subscribe("/v1beta1/opra", trades={"*"}),
        streams.subscribe("/v1beta1/indicative", trades={"*"}),
    ]
    kinds = set()
    for minute in range(1, 25):
        exchange.advance(TEN + minute * MINUTE - 1)
        exchange.advance(TEN + minute * MINUTE)
        for inbox in inboxes:
            for frame in inbox.read():
                for message in frame:
                    over = MINUTE if message["T"] == "b" else 0
                    late = 15 * MINUTE if inbox.path == "/v1beta1/indicative" else 0
                    assert message["t"] + over + late <= exchange.now
                    kinds.add((inbox.path, message["T"]))
    told = {
        ("/v2/sip", "q"),
        ("/v2/sip", "t"),
        ("/v2/sip", "b"),
        ("/v2/iex", "d"),
        ("/v2/iex", "l"),
    }
    assert kinds == told | {("/v1beta1/opra", "t"), ("/v1beta1/indicative", "t")}


@pytest.mark.parametrize("step", [MINUTE, 7 * MINUTE, 60 * MINUTE, 6 * 60 * MINUTE])
def test_every_minute_bar_of_a_day_is_told_once_however_the_clock_steps(step, market):
    exchange = an_exchange(market, start=OPEN)
    inbox = Streams(exchange).subscribe("/v2/iex", bars={"AAPL"})
    told = []
    while exchange.now < CLOSE:
        exchange.advance(min(exchange.now + step, CLOSE))
        told += [message["t"] for frame in inbox.read() for message in frame]
    assert told == list(range(OPEN, CLOSE, MINUTE))


def test_a_working_order_does_not_change_what_is_told_at_the_end_of_a_step(market):
    quotes = []
    for works in (False, True):
        exchange = an_exchange(market)
        inbox = Streams(exchange).subscribe("/v1beta1/opra", quotes={PUT})
        if works:
            buy(exchange, limit="0.01", symbol=LOWER_PUT)
        exchange.advance(TEN + 10 * MINUTE)
        quotes.append([message for frame in inbox.read() for message in frame])
    assert quotes[0][-1] == quotes[1][-1]
    assert (len(quotes[0]), len(quotes[1])) == (1, 10)


@pytest.mark.parametrize("late", [False, True], ids=["prompt", "late"])
def test_the_trades_of_contracts_are_those_that_the_rest_api_knows(late, market):
    exchange = an_exchange(market)
    path = "/v1beta1/indicative" if late else "/v1beta1/opra"
    inbox = Streams(exchange).subscribe(path, trades={"*"})
    contracts = exchange.market.contracts("AAPL", TEN)
    end = TEN + 70 * MINUTE
    for moment in range(TEN, end + 1, 7 * MINUTE):
        exchange.advance(moment)
    told = {(one["S"], one["t"], one["p"], one["s"]) for frame in inbox.read() for one in frame}
    delay = 15 * MINUTE if late else 0
    known = {
        (contract.symbol, one.at, one.price, one.size)
        for contract in contracts
        for one in exchange.tape.prints(contract, TEN - delay + 1, end - delay)
    }
    assert {one for one in told if one[0].startswith("AAPL")} == known
    assert known


def test_an_unknown_symbol_is_silent(exchange, streams):
    inbox = streams.subscribe("/v1beta1/opra", quotes={"AAPL270115P00220001"})
    stocks = streams.subscribe("/v2/iex", quotes={"NOPE"}, bars={"NOPE"}, lulds={"NOPE"})
    exchange.advance(TEN + 5 * MINUTE)
    assert inbox.read() == stocks.read() == []


def test_a_halt_is_told_in_the_words_of_the_stocks_tape():
    told = [wire_stream.status("S", TEN, code, "B") for code in ("LUDP", "")]
    assert [(one["z"], one["sc"], one["rc"]) for one in told] == [("B", "2", "M"), ("B", "3", "")]


def test_a_halt_and_its_end_are_told_as_statuses(market):
    class Halting(Synthetic):
        def halt(self, underlying, now):
            halt = Halt(start=TEN + MINUTE, end=TEN + 3 * MINUTE)
            return halt if halt.start <= now < halt.end else None

    sessions = Sessions(MADE_UP_DAY, MADE_UP_DAY)
    halting = Halting(MADE_UP_DAY, ["AAPL"], 7, sessions)
    exchange = an_exchange((halting, sessions))
    inbox = Streams(exchange).subscribe("/v2/iex", statuses={"*"})
    for minute in range(5):
        exchange.advance(TEN + minute * MINUTE)
    told = [tuple(map(message.get, ("sc", "rc", "t"))) for f in inbox.read() for message in f]
    assert told == [("H", "LUDP", TEN + MINUTE), ("T", "T3", TEN + 3 * MINUTE)]


def test_a_halt_on_order_and_its_end_are_told_as_statuses(exchange):
    streams = Streams(exchange)
    inbox = streams.subscribe("/v2/iex", statuses={"*"})
    arm(streams, FaultKind.HALT, symbol="AAPL", at=TEN)
    exchange.advance(TEN + MINUTE)
    exchange.advance(TEN + 2 * MINUTE)
    exchange.faults.disarm()
    exchange.advance(TEN + 3 * MINUTE)
    exchange.advance(TEN + 4 * MINUTE)
    told = [tuple(map(message.get, ("S", "sc", "t"))) for f in inbox.read() for message in f]
    assert told == [("AAPL", "H", TEN + MINUTE), ("AAPL", "T", TEN + 3 * MINUTE)]


@pytest.mark.parametrize("seconds", [20, 60, 240, 3600, 86400])
def test_a_stream_of_stock_trades_misses_none_however_far_the_clock_steps(exchange, seconds):
    streams = Streams(exchange)
    inbox = streams.subscribe("/v2/iex", trades={"AAPL"})
    while exchange.now < CLOSE - 5 * 3600 * SECOND:
        exchange.advance(exchange.now + seconds * SECOND)
    arm(streams, FaultKind.GAP, symbol="AAPL", at=exchange.now)
    exchange.advance(exchange.now + seconds * SECOND)
    told = [(message["t"], message["p"]) for frame in inbox.read() for message in frame]
    spots = prices_of(exchange.market, "AAPL", TEN + 1, exchange.now)
    jump = (exchange.faults.armed[0].at, float(exchange.market.spot("AAPL", exchange.now)[1]))
    assert jump[0] in {at for at, _ in told}
    stood = [(at, float(price)) for at, price in spots]
    assert [one for one in told if one in stood] == stood


@pytest.mark.parametrize("off", [0, 5])
def test_quotes_of_the_free_stream_lie_as_far_off_as_those_of_rest(market, off):
    exchange = an_exchange(market, indicative_off_cents=off)
    streams = Streams(exchange)
    free = streams.subscribe("/v1beta1/indicative", quotes={PUT, LOWER_PUT})
    paid = streams.subscribe("/v1beta1/opra", quotes={PUT, LOWER_PUT})
    for minute in range(1, 10):
        exchange.advance(TEN + minute * MINUTE)
        for inbox, feed in ((free, "indicative"), (paid, "opra")):
            query = {"symbols": f"{PUT},{LOWER_PUT}", "feed": feed}
            quotes = routes_options.latest_quotes(exchange, query, "")["quotes"]
            told = {m["S"]: (m["bp"], m["ap"]) for frame in inbox.read() for m in frame}
            assert told == {name: (one["bp"], one["ap"]) for name, one in quotes.items()}


# Bounds


def test_a_listener_that_does_not_read_is_dropped_with_a_last_word(market):
    exchange = an_exchange(market, stream_waiting_max=3)
    streams = Streams(exchange)
    lazy, quick = (streams.subscribe("/v2/iex", quotes={"AAPL"}) for _ in range(2))
    for minute in range(1, 6):
        exchange.advance(TEN + minute * MINUTE)
        assert len(quick.read()) == 1
    assert lazy.ended is End.SLOW
    assert lazy.read() == [[{"T": "error", "code": 407, "msg": "slow client"}]]
    assert quick.ended is None


def test_nothing_is_added_after_the_end():
    inbox = Inbox("/stream", 2, "goodbye")
    inbox.put(1)
    inbox.end()
    inbox.put(2)
    inbox.end(End.DOWN)
    assert (inbox.read(), inbox.ended) == ([1], End.CLOSED)


def test_the_queue_of_a_stream_cannot_be_empty_for_ever():
    with pytest.raises(BadSwitch, match="stream_waiting_max"):
        Switches(stream_waiting_max=0)


# Faults


def test_a_duplicate_comes_twice_and_is_the_same(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_DUPLICATE, method="fill")
    buy(exchange)
    new, fill, again = data(inbox)
    assert fill == again
    assert (new["event"], fill["event"]) == ("new", "fill")
    assert streams.exchange.faults.fired[FaultKind.STREAM_DUPLICATE] == 1


def test_a_replay_tells_the_whole_order_again_after_it_closed(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_REPLAY)
    order = buy(exchange)
    buy(exchange)
    told = [one for one in data(inbox) if one["order"]["id"] == order.id]
    assert [one["event"] for one in told] == ["new", "fill", "new", "fill"]
    assert told[:2] == told[2:]


def test_a_replay_waits_for_the_close(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_REPLAY, method="canceled")
    working = buy(exchange, limit="0.01")
    buy(exchange)
    assert events(inbox) == ["new", "new", "fill"]
    exchange.cancel(working.id)
    assert events(inbox) == ["canceled", "new", "canceled"]


def test_a_reordered_fill_comes_before_its_new(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_REORDER)
    buy(exchange)
    buy(exchange)
    assert events(inbox) == ["fill", "new", "new", "fill"]


@pytest.mark.parametrize("method", ["", "new", "fill"])
def test_a_fill_can_be_told_before_the_answer_to_its_order(exchange, streams, method):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_REORDER, method=method, settings={"before_answer": 1})
    buy(exchange)
    assert streams.hurries()
    assert events(inbox) == ["new", "fill"]
    assert exchange.faults.fired[FaultKind.STREAM_REORDER] == 1
    buy(exchange)
    assert not streams.hurries()


@pytest.mark.parametrize("settings", [{"seconds": 3600}, {"events": 5}])
@pytest.mark.parametrize("kind", [None, FaultKind.STREAM_MUTE])
def test_a_silence_that_is_taken_back_is_over(exchange, streams, settings, kind):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_MUTE, settings=settings)
    buy(exchange)
    exchange.faults.disarm(kind)
    buy(exchange)
    assert events(inbox) == ["new", "fill"]


def test_a_stream_that_is_down_is_back_when_that_is_taken_back(exchange, streams):
    streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_DOWN, settings={"seconds": 3600})
    buy(exchange)
    with pytest.raises(StreamRefused):
        streams.subscribe("/stream")
    exchange.faults.disarm()
    assert streams.subscribe("/stream").ended is None


def test_a_reordered_event_waits_for_one_of_its_own_order(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_REORDER)
    working = buy(exchange, limit="0.01")
    buy(exchange)
    exchange.cancel(working.id)
    assert events(inbox) == ["new", "fill", "canceled", "new"]


def test_a_dropped_fill_is_never_told_and_nothing_else_is_missing(exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_DROP)
    order = buy(exchange)
    assert events(inbox) == ["new"]
    assert order.status == "filled"
    buy(exchange)
    assert events(inbox) == ["new", "fill"]


@pytest.mark.parametrize("path", ["/stream", ""])
def test_a_mute_stream_is_silent_for_so_many_events(path, exchange, streams):
    inbox = streams.subscribe("/stream")
    arm(streams, FaultKind.STREAM_MUTE, path=path, settings={"events": 3})
    for _ in range(2):
        buy(exchange)
    assert events(inbox) == ["fill"]
    assert inbox.ended is None


def test_a_mute_stream_is_silent_for_so_many_seconds_of_the_clock(exchange, streams):
    inbox = streams.subscribe("/v2/iex", quotes={"AAPL"})
    arm(streams, FaultKind.STREAM_MUTE, path="/v2/iex", settings={"seconds": 120})
    heard = []
    for minute in range(1, 5):
        exchange.advance(TEN + minute * MINUTE)
        heard.append(len(inbox.read()))
    assert heard == [0, 0, 1, 1]


def test_a_stream_that_goes_down_ends_every_connection_and_refuses_for_a_while(exchange, streams):
    inboxes = [streams.subscribe("/stream") for _ in range(2)]
    data_stream = streams.subscribe("/v2/iex", quotes={"AAPL"})
    arm(streams, FaultKind.STREAM_DOWN, path="/stream", settings={"seconds": 90})
    buy(exchange)
    assert {inbox.ended for inbox in inboxes} == {End.DOWN}
    assert all(inbox.read() == [] for inbox in inboxes)
    exchange.advance(TEN + MINUTE)
    with pytest.raises(StreamRefused, match="503"):
        streams.subscribe("/stream")
    assert len(data_stream.read()) == 1
    exchange.advance(TEN + 2 * MINUTE)
    again = streams.subscribe("/stream")
    buy(exchange)
    assert events(again) == ["new", "fill"]


@pytest.mark.parametrize("path", PATHS)
def test_a_connection_is_refused_as_often_as_the_fault_says(path, streams):
    arm(streams, FaultKind.STREAM_REFUSE, path=path, times=2, settings={"status": 403})
    for _ in range(2):
        with pytest.raises(StreamRefused, match="403"):
            streams.subscribe(path)
    assert streams.subscribe(path).ended is None
    assert streams.exchange.faults.fired[FaultKind.STREAM_REFUSE] == 2


def test_no_fault_fires_while_nobody_listens(exchange, streams):
    for kind in FaultKind:
        if kind.startswith("stream_"):
            arm(streams, kind)
    buy(exchange)
    exchange.advance(TEN + MINUTE)
    assert not streams.exchange.faults.fired


def test_what_is_skipped_is_counted_in_chances(market):
    exchange = an_exchange(market)
    streams = Streams(exchange)
    inbox = streams.subscribe("/stream")
    exchange.faults.arm(Fault(kind=FaultKind.STREAM_DROP, skip=1))
    for _ in range(3):
        buy(exchange)
    assert events(inbox) == ["new", "fill", "new", "new", "fill"]


def test_a_full_trading_stream_refuses_the_next_until_one_has_gone(exchange):
    exchange.switches = replace(exchange.switches, stream_trading_connections_max=1)
    streams = Streams(exchange)
    first = streams.subscribe("/stream")
    with pytest.raises(StreamRefused, match="429"):
        streams.subscribe("/stream")
    streams.close(first)
    assert streams.subscribe("/stream").ended is None
