"""What the simulated broker promises about sell-outs, nights, exercise and the rows of both."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import allotment, fees, wire
from simulator.app import state
from simulator.corrections import NoSuchFill
from simulator.exchange import Exchange
from simulator.filters import BadQuery
from simulator.market import Action, Quote
from simulator.portfolio import portfolio_history
from simulator.refusal import Refusal
from simulator.routes_trading import activities
from simulator.sessions import Sessions
from simulator.switches import BadSwitch, Switches, with_words
from simulator.symbols import Contract, asset_id, osi
from simulator.times import MINUTE, new_york_moment, rfc3339

FRIDAY = date(2026, 12, 18)
MONDAY = date(2026, 12, 21)
LATER = date(2027, 1, 15)
HALF_DAY = date(2026, 11, 27)
SESSIONS = Sessions(HALF_DAY, FRIDAY)
QUIET = Switches(early_assignment=0)
SPOTS = {"SPY": Decimal(600), "AAPL": Decimal(230)}


def at(hour, minute=0, day=FRIDAY):
    return new_york_moment(day, hour, minute)


@dataclass
class Listed:
    quotes: dict

    def quote(self, symbol):
        return self.quotes.get(symbol)


@dataclass
class Table:
    """A market whose contracts cost what they are worth now and `time_value`, a cent either side,
    for as long as they live."""

    days: tuple = (FRIDAY,)
    underlyings: tuple = ("SPY", "AAPL")
    spots: dict = field(default_factory=lambda: dict(SPOTS))
    closes: dict = field(default_factory=dict)  # where the close is not the spot
    time_value: Decimal = Decimal("0.50")
    bid: bool = True
    paid: tuple = ()
    listed: dict = field(default_factory=dict)

    def contracts(self, underlying, now):
        return list(self.listed.values())

    def contract(self, symbol, now):
        return self.listed.get(symbol)

    def chain(self, underlying, now):
        return Listed({c.symbol: q for c in self.listed.values() if (q := self.price(c, now))})

    def price(self, contract, now):
        if now >= SESSIONS.on(contract.last_day).close:
            return None
        above = self.spots[contract.underlying] - contract.strike
        worth = max(above if contract.right == "call" else -above, Decimal(0)) + self.time_value
        cent = Decimal("0.01")
        bid = max(worth - cent, cent) if self.bid else None
        return Quote(at=now, bid=bid, ask=worth + cent, bid_size=9, ask_size=9)

    def spot(self, underlying, now):
        return (now, self.spots[underlying]) if underlying in self.spots else None

    def official_close(self, underlying, day):
        return self.closes.get(underlying, self.spots[underlying])

    def last_close(self, symbol, now):
        return None

    def actions(self, now):
        return list(self.paid)

    def halt(self, underlying, now):
        return None

    def adjustments(self, day):
        return []


def option(right, strike, end=FRIDAY, underlying="SPY"):
    symbol = osi(underlying, end, right, Decimal(strike))
    return Contract(
        symbol=symbol,
        root=underlying,
        underlying=underlying,
        expiration=end,
        last_day=end,
        right=right,
        strike=Decimal(strike),
        penny=True,
        id=asset_id(symbol),
    )


def broker_of(*held, cash=100_000, market=None, switches=QUIET, moment=None):
    """Holding (contract or stock, qty) since a fill at 1 USD."""
    market = market or Table()
    broker = Exchange(
        market,
        SESSIONS,
        account="NIGHT",
        cash=Decimal(cash),
        start=at(11) if moment is None else moment,
        switches=switches,
    )
    for what, qty in held:
        contract = None if isinstance(what, str) else what
        symbol = what if contract is None else contract.symbol
        if contract is not None:
            market.listed[symbol] = contract
        broker.book_by_hand(symbol, contract, qty, Decimal(0))
    broker.book.activities.clear()
    return broker


def night(broker, day=FRIDAY):
    close = SESSIONS.on(day).close
    broker.advance(close + 120 * MINUTE)
    return [(a.kind, a.symbol, int(a.qty)) for a in broker.book.activities]


def shares(broker):
    return {p.symbol: p.qty for p in broker.book.positions.values()}


def rows(broker, kind="", **query):
    return activities(broker, {key: str(value) for key, value in query.items()}, kind)


def send(broker, symbol, side, qty=1, **more):
    body = {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day"}
    order = broker.place(body | more)
    broker.route()
    return order


def refusal(call, *arguments):
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    return caught.value.status, caught.value.code


C590, C595, C610 = option("call", 590), option("call", 595), option("call", 610)
P605, P610, P600 = option("put", 605), option("put", 610), option("put", 600)
AC220, AP240 = option("call", 220, FRIDAY, "AAPL"), option("put", 240, FRIDAY, "AAPL")
LC590, LP610, LC610 = (
    option("call", 590, LATER),
    option("put", 610, LATER),
    option("call", 610, LATER),
)

# Sell-outs

SOLD_OUT = [
    # held, cash -> what the broker closes, in order, and at what time in New York
    ([(C590, 1)], 100_000, []),
    ([(C590, 1)], 58_000, [C590]),
    ([(C610, 1)], 100, []),
    ([(C590, -1)], 100_000, [C590]),
    ([(C590, -1), ("SPY", 100)], 0, []),
    ([(P610, 1)], 100_000, [P610]),
    ([(P610, 1), ("SPY", 100)], 0, []),
    ([(P610, -1)], 60_000, [P610]),
    ([(P610, -1)], 61_000, []),
    ([(C590, 1), (C595, -1)], 1_000, []),
    ([(P605, 1), (P610, -1)], 1_000, []),
    ([(P605, -1), (P600, 1)], 1_000, [P605]),
    ([(P605, 1), (P610, -2)], 1_000, [P610, P605]),
    ([(LC590, -1)], 1_000, []),
]


@pytest.mark.parametrize(("held", "cash", "sold"), SOLD_OUT)
def test_the_broker_closes_what_the_account_could_not_exercise_or_be_assigned_on(held, cash, sold):
    broker = broker_of(*held, cash=cash)
    heard = []
    broker.listeners.append(lambda update: heard.append((update.event, update.order.symbol)))
    broker.advance(at(15, 44))
    assert not broker.book.orders
    broker.advance(at(15, 45))
    orders = list(broker.book.orders.values())
    assert [order.symbol for order in orders] == [contract.symbol for contract in sold]
    for order in orders:
        assert (order.type, order.status, order.order_class) == ("market", "filled", "simple")
        assert order.intent.endswith("to_close")
        assert [event for event, symbol in heard if symbol == order.symbol] == [
            "pending_new", "new", "fill",
        ]  # fmt: skip
    assert not {contract.symbol for contract in sold} & shares(broker).keys()


def test_the_sell_out_is_at_half_past_three_and_a_quarter_hour_later_for_broad_funds():
    broker = broker_of((C590, 1), (AC220, 1), cash=100)
    broker.advance(at(15, 30))
    assert shares(broker) == {C590.symbol: 1}
    broker.advance(at(15, 45))
    assert shares(broker) == {}


@pytest.mark.parametrize(("follow", "sold_at"), [(True, (12, 45)), (False, None)])
def test_on_an_early_close_the_sell_out_keeps_its_distance_or_never_comes(follow, sold_at):
    contract = option("call", 590, HALF_DAY)
    broker = broker_of(
        (contract, 1),
        cash=100,
        moment=at(11, day=HALF_DAY),
        switches=replace(QUIET, cutoffs_follow_close=follow),
    )
    broker.advance(at(12, 44, HALF_DAY))
    assert shares(broker)
    broker.advance(at(12, 59, HALF_DAY))
    assert bool(shares(broker)) == (sold_at is None)


def test_opening_stops_at_its_distance_from_an_early_close_unless_a_switch_says_else():
    contract = option("call", 590, HALF_DAY)
    for follow in (True, False):
        market = Table(listed={contract.symbol: contract})
        switches = replace(QUIET, cutoffs_follow_close=follow)
        broker = broker_of(market=market, switches=switches, moment=at(12, 30, HALF_DAY))
        if follow:
            assert refusal(send, broker, contract.symbol, "buy") == (422, 42210000)
        else:
            assert send(broker, contract.symbol, "buy").status == "filled"


@pytest.mark.parametrize(("mode", "left"), [("everything", set()), ("nothing", {C590, C610})])
def test_a_switch_closes_everything_that_expires_or_nothing(mode, left):
    switches = with_words(QUIET, {"sell_out": mode})
    broker = broker_of((C590, 1), (C610, 1), cash=100, switches=switches)
    broker.advance(at(15, 50))
    assert shares(broker).keys() == {contract.symbol for contract in left}


def test_a_sell_out_cancels_the_clients_own_orders_for_the_contract_first():
    broker = broker_of((C590, 1), cash=100)
    order = send(broker, C590.symbol, "sell", type="limit", limit_price="90")
    broker.advance(at(15, 45))
    assert order.status == "canceled"
    assert shares(broker) == {}


def test_what_nobody_bids_for_is_not_sold_out_and_lapses_where_the_cash_is_missing():
    broker = broker_of((C590, 2), cash=59_000, market=Table(bid=False))
    assert night(broker) == [
        ("OPEXC", C590.symbol, -1),
        ("OPTRD", "SPY", 100),
        ("OPEXP", C590.symbol, -1),
    ]
    assert shares(broker) == {"SPY": 100}
    assert [o.status for o in broker.book.orders.values()] == ["expired"]


# The night

ENDS = [
    # held -> rows at a close of 600
    ([(C590, 1)], [("OPEXC", C590, -1), ("OPTRD", "SPY", 100)]),
    ([(P610, -1)], [("OPASN", P610, 1), ("OPTRD", "SPY", 100)]),
    ([(C610, 3), (P600, -2)], [("OPEXP", P600, 2), ("OPEXP", C610, -3)]),
    (
        [(C590, 1), (C595, -1)],
        [("OPASN", C595, 1), ("OPTRD", "SPY", -100), ("OPEXC", C590, -1), ("OPTRD", "SPY", 100)],
    ),
    (
        [(P605, -1), (P600, 1)],
        [("OPASN", P605, 1), ("OPTRD", "SPY", 100), ("OPEXP", P600, -1)],
    ),
    (
        [(AP240, -1), (C610, -1), (AC220, 1)],
        [("OPASN", AP240, 1), ("OPTRD", "AAPL", 100), ("OPEXP", C610, 1),
         ("OPEXC", AC220, -1), ("OPTRD", "AAPL", 100)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("held", "expected"), ENDS)
def test_every_contract_that_ends_is_exercised_assigned_or_lapses(held, expected):
    broker = broker_of(*held)
    assert night(broker) == [
        (kind, what if isinstance(what, str) else what.symbol, qty) for kind, what, qty in expected
    ]
    assert not any(p.contract for p in broker.book.positions.values())


@pytest.mark.parametrize(
    ("right", "close", "kind"),
    [
        ("call", "600.01", "OPEXC"), ("call", "600.00", "OPEXP"), ("call", "599.99", "OPEXP"),
        ("put", "599.99", "OPEXC"), ("put", "600.00", "OPEXP"), ("put", "600.01", "OPEXP"),
    ],
)  # fmt: skip
def test_a_cent_in_the_money_at_the_official_close_is_exercised_and_the_strike_is_not(
    right, close, kind
):
    contract = option(right, 600)
    broker = broker_of((contract, 1), ("SPY", 100), market=Table(closes={"SPY": Decimal(close)}))
    assert night(broker)[0] == (kind, contract.symbol, -1)


def test_nothing_moves_at_the_close_and_everything_in_the_night():
    broker = broker_of((C590, 1))
    broker.advance(at(17, 59))
    assert (shares(broker), broker.book.cash) == ({C590.symbol: 1}, 100_000)
    broker.advance(at(18, 0))
    assert (shares(broker), broker.book.cash) == ({"SPY": 100}, 41_000)


@pytest.mark.parametrize("minutes", [0, 30, 560, 900])
def test_the_minute_of_the_night_is_a_switch(minutes):
    broker = broker_of((C590, 1), switches=replace(QUIET, settle_minutes=minutes))
    broker.advance(at(16) + minutes * MINUTE - 1)
    assert shares(broker) == {C590.symbol: 1}
    broker.advance(at(16) + minutes * MINUTE)
    assert shares(broker) == {"SPY": 100}


def test_rows_are_read_the_next_morning_of_a_friday_that_is_saturday():
    broker = broker_of((P610, -1))
    night(broker)
    assert rows(broker) == []
    assert shares(broker) == {"SPY": 100}
    broker.advance(at(1, 10, FRIDAY + timedelta(days=1)) - 1)
    assert rows(broker) == []
    broker.advance(broker.now + 1)
    trade, assigned = rows(broker)
    assert assigned["created_at"] == "2026-12-19T06:10:00.000000000Z"
    assert (assigned["date"], assigned["qty"], assigned["net_amount"]) == ("2026-12-18", "1", "0")
    assert (trade["qty"], trade["price"], trade["net_amount"]) == ("100", "610", "-61000")
    assert (assigned["description"], trade["description"]) == ("Option Assignment", "Option Trade")
    assert assigned["id"] == trade["id"]
    assert assigned["group_id"] == trade["group_id"]


def test_rows_have_ids_of_their_own_when_a_switch_says_so():
    broker = broker_of((P610, -1), switches=replace(QUIET, pairs_share_id=False))
    night(broker)
    assert len({row.id for row in broker.book.activities}) == 2


def test_rows_can_be_read_at_once_or_hours_late():
    broker = broker_of((P610, -1), switches=with_words(QUIET, {"activity_rows": "at_once"}))
    night(broker)
    assert [row["created_at"] for row in rows(broker)] == [rfc3339(broker.now)] * 2
    broker = broker_of((P610, -1), switches=replace(QUIET, activity_hours_late=5))
    broker.advance(at(6, 9, FRIDAY + timedelta(days=1)))
    assert rows(broker) == []
    broker.advance(at(6, 10, FRIDAY + timedelta(days=1)))
    assert {row["created_at"] for row in rows(broker)} == {"2026-12-19T06:10:00.000000000Z"}


@pytest.mark.parametrize(("negative", "shown"), [(False, "2"), (True, "-2")])
def test_a_lapsed_short_contract_shows_the_sign_that_the_switch_says(negative, shown):
    broker = broker_of((C610, -2), switches=replace(QUIET, expired_shorts_negative=negative))
    broker.advance(at(9, 0, MONDAY))
    assert [row["qty"] for row in rows(broker)] == [shown]
    assert shares(broker) == {}


def test_no_event_tells_of_expiry_exercise_or_assignment():
    broker = broker_of((C590, 1), (P610, -1), (C610, -1), cash=200_000)
    heard = []
    broker.listeners.append(heard.append)
    broker.advance(at(12, 0, MONDAY))
    assert heard == []
    assert len(broker.book.activities) == 5


def test_a_holiday_and_a_weekend_have_no_night_of_their_own():
    thanksgiving = date(2026, 11, 26)
    wednesday = date(2026, 11, 25)
    broker = broker_of((option("call", 590, wednesday), 1), moment=at(11, day=wednesday))
    broker.advance(at(9, 0, thanksgiving))
    assert {row["created_at"][:16] for row in rows(broker)} == {"2026-11-26T06:10"}
    before = state(broker)["activities"]
    broker.advance(at(9, 0, HALF_DAY))
    assert state(broker)["activities"] == before


def test_a_closing_order_for_the_next_day_ends_when_the_night_takes_its_contracts():
    broker = broker_of((LC590, 1))
    broker.advance(at(16, 30))
    order = send(broker, LC590.symbol, "sell", type="limit", limit_price="1")
    other = send(broker, LC590.symbol, "buy", type="limit", limit_price="0.50")
    broker.book.positions.pop(LC590.symbol)
    broker.advance(at(19))
    assert order.status == "canceled"
    assert other.status == "accepted"


def test_an_order_for_a_contract_that_ends_today_expires_however_long_it_was_meant_to_work():
    broker = broker_of((C590, 1))
    more = {"type": "limit", "limit_price": "90", "time_in_force": "gtc"}
    order = send(broker, C590.symbol, "sell", **more)
    broker.advance(at(16))
    assert order.status == "expired"


def test_the_last_equity_counts_contracts_that_end_at_their_last_price():
    broker = broker_of((C590, 1), cash=60_000)
    broker.advance(at(16))
    assert broker.book.equity_last == 60_000 + Decimal("10.50") * 100


# Early assignment


def dividend(rate, ex_day=MONDAY, symbol="SPY"):
    return Action(symbol=symbol, kind="cash dividend", ex_day=ex_day, rate=Decimal(rate))


EAGER = Switches(early_assignment=1)


def assigned(contract, qty, market, switches=EAGER):
    broker = broker_of((contract, -qty), ("SPY", 100 * qty), market=market, switches=switches)
    night(broker)
    return sum(int(a.qty) for a in broker.book.activities if a.kind == "OPASN")


def test_a_short_contract_without_time_value_is_assigned_in_whole_when_it_is_certain():
    assert assigned(LC590, 4, Table(time_value=Decimal(0))) == 4
    assert assigned(LP610, 4, Table(time_value=Decimal(0))) == 4


def test_time_value_keeps_holders_from_exercising():
    shares_of_a_thousand = [
        assigned(LC590, 1000, Table(time_value=Decimal(value))) for value in ("0", "0.05", "0.5")
    ]
    assert shares_of_a_thousand[0] == 1000
    assert 400 < shares_of_a_thousand[1] < 600
    assert shares_of_a_thousand[2] <= 10


def test_the_night_before_the_ex_day_a_dividend_beyond_the_time_value_is_taken():
    market = Table(paid=(dividend("1.80"),))
    assert assigned(LC590, 1000, market) > 800
    assert assigned(LP610, 1000, market) <= 10
    assert assigned(LC590, 1000, Table(paid=(dividend("0.40"),))) <= 10
    assert assigned(LC590, 1000, Table(paid=(dividend("1.80", MONDAY + timedelta(days=1)),))) <= 10


def test_an_assignment_can_take_a_part_of_a_position():
    broker = broker_of((LP610, -10), market=Table(time_value=Decimal("0.05")), switches=EAGER)
    night(broker)
    taken = -10 - shares(broker).get(LP610.symbol, 0)
    assert -10 < taken < 0
    assert shares(broker)["SPY"] == -taken * 100


def test_early_assignment_can_be_turned_off():
    market = Table(time_value=Decimal(0), paid=(dividend(9),))
    assert assigned(LC590, 100, market, QUIET) == 0


def test_from_an_assignment_to_the_morning_the_last_long_contracts_of_its_underlying_stay():
    broker = broker_of((LC610, -1), (LP610, 3), (AP240, 1))
    broker.force_assignment(LC610.symbol, 1)
    night(broker)
    limit = {"type": "limit", "limit_price": "1"}
    first = send(broker, LP610.symbol, "sell", 2, **limit)
    with pytest.raises(Refusal) as caught:
        send(broker, LP610.symbol, "sell", 1, **limit)
    assert (caught.value.status, caught.value.code) == (403, 40310000)
    assert caught.value.message == "active assignment lock on SPY, cannot close all long options"
    broker.advance(new_york_moment(FRIDAY + timedelta(days=1), 1, 10))
    assert {first.status, send(broker, LP610.symbol, "sell", 1, **limit).status} == {"accepted"}


def test_an_account_may_have_a_limit_of_contracts_that_expire_today():
    market = Table(listed={c.symbol: c for c in (C610, P600, LC610)})
    broker = broker_of((C590, 2), market=market, switches=replace(QUIET, expiring_today_max=4))
    send(broker, C610.symbol, "buy", type="limit", limit_price="0.01")
    send(broker, LC610.symbol, "buy", 9)  # another day
    with pytest.raises(Refusal) as caught:
        send(broker, P600.symbol, "buy", 2)
    assert (caught.value.status, caught.value.code) == (403, 40310000)
    assert caught.value.message == (
        "exceeded account limit for contracts expiring today (requested: 2, held+open: 3, limit: 4)"
    )
    assert send(broker, P600.symbol, "buy", 1).status == "filled"
    assert send(broker, C590.symbol, "sell", 2).status == "filled"  # closing is always free
    assert send(broker, P600.symbol, "buy", 2).status == "filled"


def test_an_assignment_can_be_forced_on_what_nobody_would_exercise():
    broker = broker_of((LC610, -3), switches=QUIET)
    broker.force_assignment(LC610.symbol, 2)
    assert night(broker) == [("OPASN", LC610.symbol, 2), ("OPTRD", "SPY", -200)]
    assert night(broker) == night(broker)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(500, 700), st.sampled_from(["call", "put"])),
    st.integers(0, 100),
    st.integers(0, 300),
    st.integers(0, 50),
)
def test_a_short_contract_out_of_the_money_is_never_assigned_early(listed, cents, paid, seed):
    strike, right = listed
    contract = option(right, strike, LATER)
    market = Table(time_value=Decimal(cents) / 100, paid=(dividend(Decimal(paid) / 100),))
    count = assigned(contract, 50, market, replace(EAGER, seed=seed))
    above = 600 - strike if right == "call" else strike - 600
    assert count <= (50 if above > 0 else 0)
    assert count == assigned(contract, 50, market, replace(EAGER, seed=seed))


@given(st.decimals(0, 20, places=2), st.decimals(-5, 30, places=2), st.decimals(0, 3, places=2))
def test_the_chance_falls_with_time_value_and_never_leaves_its_bounds(worth, left, paid):
    case = allotment.Case(worth_usd=worth, mark_usd=worth + left, dividend_usd=paid)
    dearer = replace(case, mark_usd=case.mark_usd + 1)
    assert 0 <= allotment.chance(dearer, 0.5) <= max(allotment.chance(case, 0.5), 0.5) <= 1


def test_a_second_seed_assigns_others():
    market = Table(time_value=Decimal("0.05"))
    found = {assigned(LC590, 1000, market, replace(EAGER, seed=seed)) for seed in range(5)}
    assert len(found) > 1


# Exercise


def test_an_exercise_posts_shares_and_cash_at_once_and_its_rows_the_next_morning():
    broker = broker_of((LC590, 1))
    broker.office.exercise(LC590.symbol, broker.now)
    assert (shares(broker), broker.book.cash) == ({"SPY": 100}, 41_000)
    assert rows(broker) == []
    broker.advance(at(7, 0, FRIDAY + timedelta(days=1)))
    assert [row["activity_type"] for row in rows(broker)] == ["OPTRD", "OPEXC"]


def test_an_exercise_that_posts_at_night_holds_its_contracts_until_then():
    switches = with_words(QUIET, {"exercise_posts": "night"})
    broker = broker_of((LC590, 2), cash=200_000, switches=switches)
    broker.office.exercise(asset_id(LC590.symbol), broker.now)
    assert shares(broker) == {LC590.symbol: 2}
    assert refusal(send, broker, LC590.symbol, "sell") == (403, 40310000)
    assert refusal(broker.office.exercise, LC590.symbol, broker.now) == (403, 40310000)
    night(broker)
    assert shares(broker) == {"SPY": 200}
    assert not broker.book.exercising


EXERCISES_REFUSED = [
    # held, cash, name, time of day -> status and code
    ([], 1000, LC590.symbol, 11, (422, 42210000)),  # this market lists what is held only
    ([], 1000, asset_id(LC590.symbol), 11, (403, 40310000)),
    ([], 1000, "NOPE", 11, (422, 42210000)),
    ([("SPY", 100)], 1000, "SPY", 11, (422, 42210000)),
    ([(LC590, -1)], 1000, LC590.symbol, 11, (403, 40310001)),
    ([(LC590, 1)], 1000, LC590.symbol, 11, (403, 40310000)),
    ([(LP610, 1)], 100_000, LP610.symbol, 11, (403, 40310000)),
    ([(LC590, 1)], 100_000, LC590.symbol, 16, (422, 42210000)),
    ([(LC590, 1)], 100_000, LC590.symbol, 23, (422, 42210000)),
]


@pytest.mark.parametrize(("held", "cash", "name", "hour", "expected"), EXERCISES_REFUSED)
def test_an_exercise_is_refused_with_its_code_and_changes_nothing(held, cash, name, hour, expected):
    broker = broker_of(*held, cash=cash)
    broker.advance(at(hour))
    before = state(broker)
    assert refusal(broker.office.exercise, name, broker.now) == expected
    assert state(broker) == before


@pytest.mark.parametrize(("day", "hour"), [(FRIDAY, 8), (FRIDAY, 15), (FRIDAY + timedelta(1), 0)])
def test_an_exercise_is_taken_from_midnight_to_the_close(day, hour):
    broker = broker_of((LC590, 1), moment=at(7))
    broker.advance(at(hour, day=day))
    broker.office.exercise(LC590.symbol, broker.now)
    assert shares(broker) == {"SPY": 100}


def test_a_contract_that_is_not_to_be_exercised_lapses_in_the_money():
    broker = broker_of((C590, 1))
    broker.office.decline(C590.symbol, broker.now)
    assert night(broker) == [("OPEXP", C590.symbol, -1)]
    assert broker.book.cash == 100_000
    assert not broker.book.not_exercising


def test_do_not_exercise_keeps_the_broker_from_selling_out():
    broker = broker_of((C590, 1), cash=100)
    broker.office.decline(C590.symbol, broker.now)
    assert night(broker) == [("OPEXP", C590.symbol, -1)]


@pytest.mark.parametrize(("minute", "taken"), [(29, True), (30, False)])
def test_do_not_exercise_is_taken_until_half_an_hour_after_the_close_of_the_last_day(minute, taken):
    broker = broker_of((C590, 1))
    broker.advance(at(16, minute))
    if taken:
        broker.office.decline(C590.symbol, broker.now)
    else:
        assert refusal(broker.office.decline, C590.symbol, broker.now) == (422, 42210000)
    assert refusal(broker.office.exercise, C590.symbol, broker.now) == (422, 42210000)


# Money that paper accounts never see


def test_dividends_are_paid_on_their_day_to_who_held_the_shares_on_the_morning_of_the_ex_day():
    market = Table(paid=(dividend("1.75"),))
    broker = broker_of(("SPY", 100), market=market, switches=replace(QUIET, dividends=True))
    broker.advance(at(10, 0, MONDAY))
    send(broker, "SPY", "sell", 100)
    broker.advance(at(19, 0, date(2027, 1, 4)))
    assert broker.book.cash == 100_000 + Decimal("599.99") * 100 + 175
    broker.advance(at(2, 0, date(2027, 1, 5)))
    (row,) = rows(broker, "DIV")
    assert (row["net_amount"], row["qty"], row["per_share_amount"]) == ("175", "100", "1.75")


def test_who_owes_shares_pays_the_dividend_and_a_paper_account_gets_none():
    for switch, cash in ((True, 100_000 - 175), (False, 100_000)):
        broker = broker_of(
            ("SPY", -100),
            market=Table(paid=(dividend("1.75"),)),
            switches=replace(QUIET, dividends=switch),
        )
        broker.advance(at(19, 0, date(2027, 1, 4)))
        assert broker.book.cash == cash


def test_fees_are_one_row_a_kind_rounded_up_to_the_cent():
    market = Table(listed={LC590.symbol: LC590})
    broker = broker_of(market=market, switches=replace(QUIET, fees=True), cash=100_000)
    send(broker, LC590.symbol, "buy", 10)
    send(broker, LC590.symbol, "sell", 10)
    cash = broker.book.cash
    broker.advance(at(7, 0, FRIDAY + timedelta(days=1)))
    taken = {row["activity_sub_type"]: row["net_amount"] for row in rows(broker, "FEE")}
    # 20 contracts, 10 of them sold for 10.49: 0.02 x 20, 0.02685 x 20, 0.00279 x 10,
    # 0.000046 x 2000, 0.0000278 x 10490
    expected = {"OCC": "-0.4", "ORF": "-0.54", "TAF": "-0.03", "CAT": "-0.1", "REG": "-0.3"}
    assert taken == expected
    assert broker.book.cash == cash + sum(Decimal(amount) for amount in taken.values())
    assert all("symbol" not in row and "qty" not in row for row in rows(broker, "FEE"))


def test_the_clearing_fee_of_a_trade_has_a_most():
    fill = send_and_read(3000)
    assert fees.totals([fill])["OCC"] == 55


def send_and_read(qty):
    broker = broker_of(market=Table(listed={LC590.symbol: LC590}), cash=10**8)
    send(broker, LC590.symbol, "buy", qty)
    return broker.book.activities[0]


# Corrections


def test_a_corrected_fill_keeps_its_id_and_moves_cash_entry_and_the_orders_price():
    broker = broker_of(market=Table(listed={LC590.symbol: LC590}))
    order = send(broker, LC590.symbol, "buy", 2)
    cash, fill = broker.book.cash, broker.book.activities[0]
    broker.correct_fill(fill.id, Decimal("10.61"))
    assert broker.book.cash == cash - 20
    assert order.filled_avg_price == Decimal("10.61")
    assert broker.book.positions[LC590.symbol].entry == Decimal("10.61")
    (row,) = rows(broker)
    assert (row["id"], row["status"], row["price"]) == (fill.id, "correct", "10.61")


def test_a_busted_fill_never_was():
    broker = broker_of(market=Table(listed={LC590.symbol: LC590, LC610.symbol: LC610}))
    legs = [
        {"symbol": LC590.symbol, "ratio_qty": 1, "position_intent": "buy_to_open"},
        {"symbol": LC610.symbol, "ratio_qty": 1, "position_intent": "sell_to_open"},
    ]
    order = broker.place(
        {"order_class": "mleg", "qty": 2, "type": "market", "time_in_force": "day", "legs": legs}
    )
    broker.route()
    for fill in list(broker.book.activities):
        assert broker.bust_fill(fill.id).status == "canceled"
    assert (broker.book.cash, shares(broker)) == (100_000, {})
    assert order.filled_qty == 0
    assert [row["status"] for row in rows(broker)] == ["canceled", "canceled"]
    with pytest.raises(NoSuchFill):
        broker.bust_fill(broker.book.activities[0].id)


def test_a_package_that_lost_one_of_its_trades_works_on_no_more():
    market = Table(listed={LC590.symbol: LC590, LC610.symbol: LC610})
    broker = broker_of(market=market, switches=replace(QUIET, partial_share=1.0))
    legs = [
        {"symbol": LC590.symbol, "ratio_qty": 1, "position_intent": "buy_to_open"},
        {"symbol": LC610.symbol, "ratio_qty": 1, "position_intent": "sell_to_open"},
    ]
    order = broker.place(
        {"order_class": "mleg", "qty": 2, "type": "market", "time_in_force": "day", "legs": legs}
    )
    broker.route()
    assert order.filled_qty == 1
    broker.bust_fill(broker.book.activities[0].id)
    assert (order.status, order.filled_qty) == ("canceled", 0)
    assert [leg.filled_qty for leg in order.legs] == [0, 1]
    broker.advance(at(15, 20))
    assert len(broker.book.activities) == 2


def test_a_fill_of_a_contract_that_has_ended_is_corrected_but_not_busted():
    broker = broker_of(market=Table(listed={C590.symbol: C590}))
    send(broker, C590.symbol, "buy")
    night(broker)
    fill = broker.book.activities[0]
    cash = broker.book.cash
    broker.correct_fill(fill.id, fill.price - 1)
    assert broker.book.cash == cash + 100
    with pytest.raises(NoSuchFill):
        broker.bust_fill(fill.id)
    assert C590.symbol not in shares(broker)


# Adjusted contracts

ADJUSTED = replace(option("call", 590), symbol="SPY1261218C00590000", root="SPY1", size=150)


def test_an_adjusted_contract_delivers_its_size_for_a_hundred_strikes():
    # 150 shares of 393.34 are 59,001
    broker = broker_of((ADJUSTED, 1), market=Table(closes={"SPY": Decimal("393.34")}))
    assert night(broker) == [("OPEXC", ADJUSTED.symbol, -1), ("OPTRD", "SPY", 150)]
    assert broker.book.cash == 41_000
    broker = broker_of((ADJUSTED, 1), market=Table(closes={"SPY": Decimal("393.33")}))
    assert night(broker) == [("OPEXP", ADJUSTED.symbol, -1)]


def test_an_adjusted_put_needs_its_size_of_shares():
    put = replace(ADJUSTED, symbol="SPY1261218P00590000", right="put")
    switches = replace(QUIET, sell_out="nothing")
    for stock, kind in ((150, "OPEXC"), (149, "OPEXP")):
        market = Table(closes={"SPY": Decimal(390)})
        broker = broker_of((put, 1), ("SPY", stock), market=market, switches=switches)
        assert night(broker)[0][0] == kind


@pytest.mark.parametrize(("stock", "needed"), [(149, "required: 150, available: 149"), (150, "")])
def test_a_call_on_an_adjusted_contract_is_covered_by_what_it_delivers(stock, needed):
    market = Table(listed={ADJUSTED.symbol: ADJUSTED})
    broker = broker_of(("SPY", stock), market=market)
    if needed:
        with pytest.raises(Refusal, match=needed):
            send(broker, ADJUSTED.symbol, "sell")
    else:
        assert send(broker, ADJUSTED.symbol, "sell").status == "filled"
        assert broker.figures().maintenance == 150 * 600 * Decimal("0.3")


@dataclass
class Splits(Table):
    changed: tuple = ()

    def adjustments(self, day):
        return [change for change in self.changed if day == MONDAY]


def test_a_split_changes_shares_and_contracts_before_the_market_opens():
    halved = option("call", 295, LATER)
    change = SimpleNamespace(old=LC590, new=halved, count=2)
    split = Action(symbol="SPY", kind="split", ex_day=MONDAY, rate=Decimal(2))
    market = Splits(changed=(change,), paid=(split,))
    broker = broker_of((LC590, -3), ("SPY", 50), market=market)
    broker.book.positions["SPY"].entry = Decimal(600)
    market.listed[halved.symbol] = halved
    broker.advance(at(9, 29, MONDAY))
    market.spots["SPY"] = Decimal(300)
    broker.advance(at(9, 31, MONDAY))
    assert shares(broker) == {halved.symbol: -6, "SPY": 100}
    assert broker.book.positions["SPY"].entry == 300
    assert broker.book.cash == 100_000
    assert [(a.kind, a.symbol, int(a.qty)) for a in broker.book.activities] == [
        ("SPLIT", "SPY", 50),
        ("OPCA", LC590.symbol, 3),
        ("OPCA", halved.symbol, -6),
    ]


# Reading


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_hold_every_row_once_and_never_part_a_pair(direction, size):
    broker = broker_of((C590, 1), (P610, -1), (C610, -1), (AC220, 1), cash=300_000)
    broker.advance(at(9, 0, MONDAY))
    read, token = [], ""
    while page := rows(broker, direction=direction, page_size=size, page_token=token):
        read += page
        token = page[-1]["id"]
        if len(page) < size:
            break
    everything = [wire.activity(row) for row in broker.book.activities]
    assert read == (everything if direction == "asc" else everything[::-1])


def test_windows_of_time_apply_to_the_moment_a_row_was_made():
    broker = broker_of((P610, -1))
    broker.advance(at(9, 0, MONDAY))
    assert rows(broker, date="2026-12-18") == []
    assert len(rows(broker, date="2026-12-19")) == 2
    assert len(rows(broker, after="2026-12-19T06:09:59Z")) == 2
    assert rows(broker, after="2026-12-19T06:10:00Z") == []
    assert rows(broker, until="2026-12-19T06:10:00Z") == []


def test_rows_are_chosen_by_type_category_and_order():
    broker = broker_of((P610, -1), market=Table(listed={LC590.symbol: LC590}))
    order = send(broker, LC590.symbol, "buy")
    broker.advance(at(9, 0, MONDAY))
    assert {r["activity_type"] for r in rows(broker, category="non_trade_activity")} == {
        "OPASN", "OPTRD",
    }  # fmt: skip
    assert [r["order_id"] for r in rows(broker, category="trade_activity")] == [order.id]
    assert [r["order_id"] for r in rows(broker, order_id=order.id)] == [order.id]
    assert len(rows(broker, activity_types="OPASN,FILL")) == 2
    assert len(rows(broker, "OPTRD")) == 1
    for bad in ({"category": "x"}, {"category": "trade_activity", "activity_types": "FILL"}):
        with pytest.raises(BadQuery):
            rows(broker, **bad)
    with pytest.raises(BadQuery):
        rows(broker, page_size=101)


def test_with_a_date_a_page_has_no_end():
    broker = broker_of(market=Table(listed={LC590.symbol: LC590}))
    for _ in range(60):
        send(broker, LC590.symbol, "buy")
        send(broker, LC590.symbol, "sell")
    assert len(rows(broker)) == 100
    assert len(rows(broker, date="2026-12-18")) == 120


# Portfolio history


def history(broker, **query):
    return portfolio_history(broker, query, "")


def test_the_portfolio_of_a_day_is_its_equity_at_the_end_of_every_window():
    market = Table()
    broker = broker_of(("SPY", 10), cash=94_000, market=market, moment=at(9))
    for hour, spot in ((10, 601), (11, 605), (12, 602)):
        broker.advance(at(hour))
        market.spots["SPY"] = Decimal(spot)
        broker.advance(at(hour, 1))
    shown = history(broker, period="1D", timeframe="1H")
    assert shown["timestamp"] == [at(9, 30) // 10**9, at(10, 30) // 10**9, at(11, 30) // 10**9]
    assert shown["equity"] == [100_010, 100_050, 100_020]
    assert shown["profit_loss"] == [6_010, 6_050, 6_020]  # shares came in for nothing
    assert (shown["base_value"], shown["base_value_asof"]) == (94_000, "2026-12-17")
    assert shown["timeframe"] == "1H"
    assert shown["cashflow"] == {}


def test_profit_begins_anew_every_day_unless_it_shall_not():
    market = Table()
    broker = broker_of(("SPY", 10), market=market, moment=at(9))
    market.spots["SPY"] = Decimal(610)
    broker.advance(at(17))
    market.spots["SPY"] = Decimal(611)
    broker.advance(at(10, 0, MONDAY))
    asked = {"start": rfc3339(at(0, 0, MONDAY)), "timeframe": "15Min"}
    assert history(broker, **asked)["profit_loss"][-1] == 10
    asked["start"] = rfc3339(at(9))
    assert history(broker, **asked, pnl_reset="no_reset")["profit_loss"][-1] == 6110
    days = history(broker, period="1M")
    assert (days["timeframe"], days["equity"]) == ("1D", [106_100, 106_110])


def test_cash_that_came_and_went_is_shown_by_type():
    broker = broker_of((P610, -1))
    broker.advance(at(10, 0, MONDAY))
    shown = history(broker, period="1W", timeframe="1D", cashflow_types="OPTRD,FEE")
    assert shown["cashflow"] == {"OPTRD": [0, -61_000], "FEE": [0, 0]}
    everything = history(broker, period="1W", timeframe="1D", cashflow_types="ALL")
    assert everything["cashflow"] == {"OPTRD": [0, -61_000]}


@pytest.mark.parametrize(
    ("reporting", "first", "count"),
    [("market_hours", (9, 30), 78), ("extended_hours", (9, 0), 132), ("continuous", (9, 0), 168)],
)
def test_reporting_chooses_the_hours_of_a_day(reporting, first, count):
    broker = broker_of(moment=at(9))
    broker.advance(at(23))
    shown = history(broker, period="1D", timeframe="5Min", intraday_reporting=reporting)
    assert (shown["timestamp"][0], len(shown["timestamp"])) == (at(*first) // 10**9, count + (
        reporting == "continuous"))  # fmt: skip


BAD_HISTORIES = [
    {"period": "1X"}, {"period": "0D"}, {"period": "9999A"}, {"timeframe": "2Min"},
    {"start": "x"}, {"pnl_reset": "never"}, {"intraday_reporting": "night"},
    {"period": "1M", "timeframe": "1Min"}, {"period": "1A", "timeframe": "1H"},
    {"start": "2030-01-01T00:00:00Z"},
    {"start": "2026-12-18", "end": "2026-12-19", "period": "1D"},
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_HISTORIES)
def test_a_history_that_makes_no_sense_is_refused(query):
    with pytest.raises((BadQuery, Refusal)):
        history(broker_of(), **query)


# Laws

CONTRACTS = [C590, C595, C610, P600, P605, P610, AC220, AP240, LC590, LP610, LC610]
books = st.lists(
    st.tuples(st.sampled_from(CONTRACTS), st.integers(-3, 3).filter(bool)),
    max_size=6,
    unique_by=lambda held: held[0].symbol,
)
plans = st.fixed_dictionaries(
    {
        "held": books,
        "cash": st.sampled_from([0, 5_000, 60_000, 1_000_000]),
        "stock": st.sampled_from([0, 100, -100, 250]),
        "spy": st.integers(58_500, 61_500),
        "aapl": st.integers(21_000, 25_000),
        "time_value": st.sampled_from(["0", "0.05", "1"]),
        "bid": st.booleans(),
        "switches": st.fixed_dictionaries(
            {
                "seed": st.integers(0, 9),
                "early_assignment": st.sampled_from([0, 0.5, 1]),
                "sell_out": st.sampled_from(["unsupported", "everything", "nothing"]),
                "settle_minutes": st.sampled_from([0, 120, 700]),
                "pairs_share_id": st.booleans(),
                "expired_shorts_negative": st.booleans(),
                "dividends": st.booleans(),
                "fees": st.booleans(),
            }
        ),
    }
)


def planned(plan):
    market = Table(
        time_value=Decimal(plan["time_value"]), bid=plan["bid"], paid=(dividend("0.75"),)
    )
    switches = with_words(Switches(), plan["switches"])
    stock = [("SPY", plan["stock"])] if plan["stock"] else []
    broker = broker_of(*plan["held"], *stock, cash=plan["cash"], market=market, switches=switches)
    market.closes |= {"SPY": Decimal(plan["spy"]) / 100, "AAPL": Decimal(plan["aapl"]) / 100}
    return broker


def assert_sum_of_activities(broker, cash, held):
    for done in broker.book.activities:
        change = int(done.qty)
        if done.kind == "FILL":
            change = change if done.side == "buy" else -change
            cash -= done.price * change * (1 if len(done.symbol) < 6 else 100)
        else:
            cash += done.net_usd
        held[done.symbol] = held.get(done.symbol, 0) + change
    assert broker.book.cash == cash
    assert {symbol: qty for symbol, qty in held.items() if qty} == shares(broker)


@settings(max_examples=150, deadline=None)
@given(plans)
def test_cash_and_positions_are_the_sum_of_activities_after_any_expiry(plan):
    broker = planned(plan)
    cash, held = broker.book.cash, shares(broker)
    broker.advance(at(10, 0, date(2027, 1, 6)))
    assert_sum_of_activities(broker, cash, dict(held))
    assert not any(
        p.contract and p.contract.last_day <= FRIDAY for p in broker.book.positions.values()
    )
    ids = [(row.kind, row.id) for row in broker.book.activities]
    assert len(set(ids)) == len(ids)


@settings(max_examples=40, deadline=None)
@given(plans, st.integers(1, 9))
def test_a_night_happens_once_however_the_clock_goes_through_it(plan, steps):
    one, other = planned(plan), planned(plan)
    end = at(10, 0, MONDAY)
    one.advance(end)
    start = other.now
    for step in range(1, steps + 1):
        other.advance(start + (end - start) * step // steps)
        other.advance(other.now)
    assert state(one) == state(other)


@settings(max_examples=40, deadline=None)
@given(plans)
def test_no_exercise_spends_cash_or_shares_that_are_not_there(plan):
    broker = planned(plan)
    broker.advance(at(12, 0, MONDAY))
    cash, stock = Decimal(plan["cash"]), {"SPY": plan["stock"], "AAPL": 0}
    rows_of_the_night = iter(broker.book.activities)
    for done in rows_of_the_night:
        if done.kind == "FILL":
            bought = done.qty if done.side == "buy" else -done.qty
            cash -= done.price * bought * 100
        if done.kind not in {"OPEXC", "OPASN"}:
            cash += done.net_usd or 0
            continue
        trade = next(rows_of_the_night)
        owed = min(stock[trade.symbol], 0)
        cash += trade.net_usd
        stock[trade.symbol] += int(trade.qty)
        if done.kind == "OPEXC":
            assert stock[trade.symbol] >= owed
            # Below zero only where no choice of the holder's spent it: a writer cannot refuse an
            # assignment, which comes first and may overdraw; a put exercised after that brings cash
            # and may leave less than none all the same; shares owed since then are bought at any
            # price, since to stay short of them is the greater risk.
            assert cash >= 0 or owed < 0 or trade.net_usd > 0


@pytest.mark.parametrize(
    "words",
    [{"settle_minutes": 901}, {"early_assignment": 1.1}, {"activity_hours_late": -1}, {"seed": -1},
     {"sell_out": "some"}, {"activity_rows": "never"}],
)  # fmt: skip
def test_a_switch_takes_only_what_makes_sense(words):
    with pytest.raises(BadSwitch):
        with_words(Switches(), words)
