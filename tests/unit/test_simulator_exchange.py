"""What the simulated broker promises about orders, money and expiry, on a market of one table."""

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

import pytest

from simulator.app import state
from simulator.exchange import ClockError, Exchange
from simulator.market import Quote
from simulator.refusal import Refusal
from simulator.sessions import Sessions
from simulator.symbols import Contract, osi
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 11, 20)
NEXT_DAY = date(2026, 11, 23)
OPEN = new_york_moment(DAY, 9, 30)
CLOSE = new_york_moment(DAY, 16, 0)
NIGHT = new_york_moment(DAY, 18, 0)
SESSIONS = Sessions(DAY, DAY)


@dataclass
class Listed:
    """A chain of what is quoted now, as the exchange asks for it."""

    quotes: dict

    def quote(self, symbol):
        return self.quotes.get(symbol)


@dataclass
class Table:
    """A market whose quotes a test writes down. Quotes are as old as the test says: now."""

    days: tuple = (DAY,)
    underlyings: tuple = ("SPY",)
    listed: dict = field(default_factory=dict)
    quotes: dict = field(default_factory=dict)
    stock: Decimal = Decimal("600.00")

    def contracts(self, underlying, now):
        return list(self.listed.values())

    def halt(self, underlying, now):
        return None

    def adjustments(self, day):
        return []

    def contract(self, symbol, now):
        return self.listed.get(symbol)

    def chain(self, underlying, now):
        return Listed({symbol: replace(q, at=now) for symbol, q in self.quotes.items()})

    def spot(self, underlying, now):
        return (now, self.stock) if underlying == "SPY" else None

    def official_close(self, underlying, day):
        return self.stock

    def last_close(self, symbol, now):
        return None

    def actions(self, now):
        return []


def option(right, strike, end=date(2026, 12, 18)):
    symbol = osi("SPY", end, right, Decimal(strike))
    return Contract(
        symbol=symbol,
        root="SPY",
        underlying="SPY",
        expiration=end,
        last_day=end,
        right=right,
        strike=Decimal(strike),
        penny=True,
        id=symbol,
    )


P590, P595 = option("put", 590), option("put", 595)
C610, C615 = option("call", 610), option("call", 615)
C610_LATER = option("call", 610, date(2027, 1, 15))
C590_TODAY, P610_TODAY = option("call", 590, DAY), option("put", 610, DAY)
P580_TODAY = option("put", 580, DAY)


def quote(bid, ask):
    def side(price):
        return None if price is None else Decimal(price)

    return Quote(at=0, bid=side(bid), ask=side(ask), bid_size=10, ask_size=10)


def market():
    table = Table()
    for contract, bid, ask in (
        (P590, "3.00", "3.05"),
        (P595, "4.10", "4.15"),
        (C610, "4.00", "4.05"),
        (C615, "2.80", "2.85"),
        (C610_LATER, "8.00", "8.10"),
        (C590_TODAY, "10.00", "10.10"),
        (P610_TODAY, "10.00", "10.10"),
        (P580_TODAY, None, "0.01"),
    ):
        table.listed[contract.symbol] = contract
        table.quotes[contract.symbol] = quote(bid, ask)
    return table


def exchange(table=None, *, cash="100000", at=None):
    start = new_york_moment(DAY, 11, 0) if at is None else at
    return Exchange(table or market(), SESSIONS, account="TEST", cash=Decimal(cash), start=start)


def single(contract, side, *, limit="5", qty=1, **more):
    symbol = contract if isinstance(contract, str) else contract.symbol
    body = {"symbol": symbol, "side": side, "qty": qty, "time_in_force": "day"}
    body |= {"type": "market"} if limit is None else {"type": "limit", "limit_price": limit}
    return body | more


def multileg(*legs, limit="-1", qty=1, **more):
    shown = [
        {"symbol": c.symbol, "ratio_qty": ratio, "side": i.split("_")[0], "position_intent": i}
        for c, i, ratio in (leg if len(leg) == 3 else (*leg, 1) for leg in legs)
    ]
    body = {"order_class": "mleg", "qty": qty, "time_in_force": "day", "legs": shown}
    body |= {"type": "market"} if limit is None else {"type": "limit", "limit_price": limit}
    return body | more


CONDOR = (
    (P595, "sell_to_open"),
    (P590, "buy_to_open"),
    (C610, "sell_to_open"),
    (C615, "buy_to_open"),
)


def send(broker, body):
    order = broker.place(body)
    broker.route()
    return order


def refusal(broker, body):
    with pytest.raises(Refusal) as caught:
        broker.place(body)
    return caught.value


def test_an_order_is_pending_in_its_answer_and_filled_at_the_far_side_after_it():
    broker = exchange()
    order = broker.place(single(P595, "buy", limit="4.20"))
    assert order.status == "pending_new"
    broker.route()
    assert (order.status, order.filled_avg_price) == ("filled", Decimal("4.15"))
    assert broker.book.cash == Decimal("99585")


@pytest.mark.parametrize("quoted", [(None, None), ("3.00", None), ("4.20", "4.15")])
def test_a_buy_waits_without_an_offer_or_on_a_crossed_quote(quoted):
    table = market()
    table.quotes[P595.symbol] = quote(*quoted)
    broker = exchange(table)
    order = send(broker, single(P595, "buy", limit="4.20"))
    assert order.status == "new"
    table.quotes[P595.symbol] = quote("4.10", "4.18")
    broker.advance(broker.now + MINUTE)
    assert order.filled_avg_price == Decimal("4.18")


def test_an_unmarketable_limit_waits_until_the_market_comes():
    table = market()
    broker = exchange(table)
    order = send(broker, single(P595, "buy", limit="4.14"))
    assert order.status == "new"
    table.quotes[P595.symbol] = quote("4.00", "4.10")
    broker.advance(broker.now + MINUTE)
    assert order.filled_avg_price == Decimal("4.10")


def test_a_condor_fills_as_a_unit_and_its_legs_sum_to_the_net_exactly():
    broker = exchange()
    order = send(broker, multileg(*CONDOR, limit="-2", qty=3))
    # natural credit: 4.10 - 3.05 + 4.00 - 2.85
    assert order.filled_avg_price == Decimal("-2.20")
    signed = [leg.filled_avg_price * (1 if leg.side == "buy" else -1) for leg in order.legs]
    assert sum(signed) == order.filled_avg_price
    assert broker.book.cash == Decimal("100000") + Decimal("2.20") * 300
    assert {leg.status for leg in order.legs} == {"filled"}
    assert [p.qty for _, p in sorted(broker.book.positions.items())] == [-3, 3, 3, -3]


def test_a_condor_asking_more_than_the_natural_credit_waits():
    order = send(exchange(), multileg(*CONDOR, limit="-2.21"))
    assert order.status == "new"


def test_a_condor_requires_its_wider_side_less_the_credit():
    broker = exchange()
    send(broker, multileg(*CONDOR, limit="-2.21", qty=2))
    assert broker.figures().ordered == 2 * (500 - 221)
    assert broker.figures().options_buying_power == Decimal("100000") - 558


def test_a_filled_condor_leaves_cash_less_its_largest_loss_to_spend():
    broker = exchange()
    send(broker, multileg(*CONDOR, qty=2))
    assert broker.figures().maintenance == 1000
    assert broker.figures().options_buying_power == broker.book.cash - 1000


def test_an_order_beyond_the_buying_power_is_refused_with_its_numbers():
    no = refusal(exchange(cash="1000"), multileg(*CONDOR, limit="-1", qty=3))
    assert (no.status, no.code) == (403, 40310000)
    assert no.extra == {"options_buying_power": "1000", "cost_basis": "1200"}


def test_working_orders_keep_their_buying_power():
    broker = exchange(cash="1000")
    send(broker, multileg(*CONDOR, limit="-3", qty=4))
    no = refusal(broker, multileg(*CONDOR, limit="-3", qty=2))
    assert no.extra["options_buying_power"] == "200"
    broker.cancel(next(iter(broker.book.working)))
    send(broker, multileg(*CONDOR, limit="-3", qty=2))


REFUSED = [
    (single(P595, "buy", qty="1.5"), 422, 42210000),
    (single(P595, "buy", qty=0), 422, 40010001),
    (single(P595, "buy", qty="NaN"), 422, 40010001),
    (single(P595, "buy", qty=True), 422, 40010001),
    (single(P595, "buy", qty=None), 422, 40010001),
    (single(P595, "buy", limit="4.155"), 422, 42210000),
    (single(P595, "buy", limit="-1"), 422, 40010001),
    (single(P595, "buy", limit=float("nan")), 422, 40010001),
    (single(P595, "buy") | {"limit_price": None}, 422, 40010001),
    (single(P595, "hold"), 422, 40010001),
    (single(P595, "buy", notional="100"), 422, 42210000),
    (single(P595, "buy", extended_hours=True), 422, 42210000),
    (single(P595, "buy") | {"time_in_force": "ioc"}, 422, 42210000),
    (single(P595, "buy") | {"type": "trailing_stop"}, 422, 42210000),
    (single(P595, "buy", order_class="bracket"), 422, 42210000),
    (single(P595, "buy", client_order_id="x" * 129), 422, 40010001),
    (single(P595, "buy", position_intent="sell_to_open"), 422, 42210000),
    (single(P595, "sell", position_intent="sell_to_close"), 422, 42210000),
    (single("SPY261218P00001000", "buy"), 422, 42210000),
    (single("NOPE", "buy"), 422, 42210000),
    (single(P595, "buy") | {"symbol": 7}, 422, 40010001),
    (single(C610, "sell"), 403, 40310000),
    (single(P595, "sell", qty=2), 403, 40310000),
    (multileg(CONDOR[0]), 422, 42210000),
    (multileg(CONDOR[0], CONDOR[0]), 422, 42210000),
    (multileg((P595, "sell_to_open", 2), (P590, "buy_to_open", 2)), 422, 42210000),
    (multileg((P595, "sell_to_open", 2), (P590, "buy_to_open", 1)), 403, 40310000),
    (multileg((C610, "sell_to_open"), (P590, "buy_to_open")), 403, 40310000),
    (multileg((C610_LATER, "sell_to_open"), (C610, "buy_to_open")), 403, 40310000),
    (multileg((P595, "sell_to_close"), (P590, "buy_to_open")), 422, 42210000),
    (multileg(*CONDOR) | {"legs": None}, 422, 42210000),
    (multileg(*CONDOR) | {"legs": ["x", "y"]}, 400, 40010000),
    (multileg(*CONDOR, symbol="SPY"), 422, 42210000),
    ("no object", 400, 40010000),
    (None, 400, 40010000),
]


@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
def test_a_bad_order_is_refused_with_its_code_and_leaves_no_trace(body, status, code):
    broker = exchange()
    no = refusal(broker, body)
    assert (no.status, no.code) == (status, code)
    assert not broker.book.orders


def test_a_calendar_spread_is_covered_by_its_later_leg():
    order = send(
        exchange(), multileg((C610_LATER, "buy_to_open"), (C610, "sell_to_open"), limit="5")
    )
    assert order.status == "filled"


def test_a_client_order_id_is_used_once_for_ever_but_a_refusal_does_not_burn_it():
    broker = exchange()
    refusal(broker, single(P595, "buy", qty=0, client_order_id="one"))
    order = send(broker, single(P595, "buy", limit="1", client_order_id="one"))
    broker.cancel(order.id)
    no = refusal(broker, single(P595, "buy", client_order_id="one"))
    assert (no.status, no.code, no.message) == (422, 40010001, "client_order_id must be unique")


def test_what_is_closed_must_be_held_and_not_promised_elsewhere():
    broker = exchange()
    send(broker, single(P595, "buy", qty=2))
    send(broker, single(P595, "sell", limit="9", qty=1))
    no = refusal(broker, single(P595, "sell", limit="9", qty=2))
    assert (no.status, no.code) == (403, 40310000)
    assert no.extra["available"] == "1"
    assert no.extra["held_for_orders"] == "1"


def test_selling_the_cover_of_a_short_contract_is_refused_and_closing_both_is_not():
    broker = exchange(cash="1000")
    send(broker, multileg(*CONDOR[:2]))
    assert refusal(broker, single(P590, "sell", limit="3")).code == 40310000
    closing = ((P595, "buy_to_close"), (P590, "sell_to_close"))
    order = send(broker, multileg(*closing, limit="2"))
    assert (order.status, order.filled_avg_price) == ("filled", Decimal("1.15"))
    assert not broker.book.positions


def test_closing_needs_no_buying_power():
    broker = exchange(cash="400")
    send(broker, multileg(*CONDOR[:2]))
    assert broker.figures().options_buying_power == 5
    send(broker, multileg((P595, "buy_to_close"), (P590, "sell_to_close"), limit="2"))
    assert not broker.book.positions


def test_a_day_order_expires_at_the_close():
    broker = exchange()
    order = send(broker, multileg(*CONDOR, limit="-4"))
    broker.advance(CLOSE)
    assert (order.status, {leg.status for leg in order.legs}) == ("expired", {"expired"})
    assert order.expired_at >= CLOSE
    assert broker.figures().ordered == 0


def test_an_order_outside_hours_is_accepted_and_fills_at_the_opening():
    broker = exchange(at=new_york_moment(DAY, 9, 0))
    order = send(broker, single(P595, "buy"))
    assert order.status == "accepted"
    broker.advance(OPEN)
    assert order.status == "filled"
    assert order.filled_at >= OPEN


def test_a_market_order_for_options_needs_market_hours():
    early = exchange(at=new_york_moment(DAY, 9, 0))
    assert refusal(early, single(P595, "buy", limit=None)).code == 42210000
    assert send(exchange(), single(P595, "buy", limit=None)).status == "filled"


@pytest.mark.parametrize(("hour", "minute", "accepted"), [(15, 29, True), (15, 30, False)])
def test_nothing_opens_in_the_last_half_hour_of_an_expiring_spy_contract(hour, minute, accepted):
    broker = exchange(at=new_york_moment(DAY, hour, minute))
    body = single(P610_TODAY, "buy", limit="11")
    if accepted:
        assert send(broker, body).status == "filled"
    else:
        no = refusal(broker, body)
        assert no.code == 42210000
        assert "expires soon" in no.message


def test_a_canceled_order_ends_and_cannot_be_canceled_again():
    broker = exchange()
    order = send(broker, single(P595, "buy", limit="1"))
    broker.cancel(order.id)
    assert order.status == "canceled"
    with pytest.raises(Refusal) as caught:
        broker.cancel(order.id)
    assert (caught.value.status, caught.value.code) == (422, 42210000)


def test_a_leg_is_found_by_its_id_and_cannot_be_canceled_alone():
    broker = exchange()
    order = send(broker, multileg(*CONDOR, limit="-4"))
    leg = order.legs[0]
    assert broker.find(leg.id) is leg
    with pytest.raises(Refusal):
        broker.cancel(leg.id)


def kinds(broker):
    return [(a.kind, a.symbol, a.qty, a.net_usd) for a in broker.book.activities]


def test_long_contracts_in_the_money_are_exercised_after_the_close():
    broker = exchange()
    send(broker, single(C590_TODAY, "buy", limit="11"))
    send(broker, single(P580_TODAY, "buy", limit="1"))
    cash = broker.book.cash
    broker.advance(NIGHT)
    assert kinds(broker)[2:] == [
        ("OPEXC", C590_TODAY.symbol, -1, 0),
        ("OPTRD", "SPY", 100, Decimal(-59000)),
        ("OPEXP", P580_TODAY.symbol, -1, 0),
    ]
    assert broker.book.cash == cash - 59000
    assert [(p.symbol, p.qty, p.entry) for p in broker.book.positions.values()] == [
        ("SPY", 100, Decimal(590))
    ]
    exercised, traded = broker.book.activities[2:4]
    assert exercised.group_id == traded.group_id is not None


def test_short_contracts_in_the_money_are_assigned_after_the_close():
    broker = exchange()
    send(broker, single(P610_TODAY, "sell", limit="9"))
    broker.advance(NIGHT)
    assert kinds(broker)[1:] == [
        ("OPASN", P610_TODAY.symbol, 1, 0),
        ("OPTRD", "SPY", 100, Decimal(-61000)),
    ]
    assert broker.book.cash == Decimal("100000") + 1000 - 61000


@pytest.mark.parametrize(("close", "kind"), [("590.01", "OPEXC"), ("590.00", "OPEXP")])
def test_a_cent_in_the_money_is_enough(close, kind):
    table = market()
    broker = exchange(table)
    send(broker, single(C590_TODAY, "buy", limit="11"))
    table.stock = Decimal(close)
    broker.advance(NIGHT)
    assert broker.book.activities[1].kind == kind


def test_shares_from_an_assignment_can_be_sold_the_next_day_and_cover_a_call():
    broker = exchange()
    send(broker, single(C590_TODAY, "buy", limit="11"))
    broker.advance(new_york_moment(NEXT_DAY, 10, 0))
    covered = send(broker, single(C610, "sell", limit="4"))
    assert covered.status == "filled"
    assert refusal(broker, single("SPY", "sell", limit=None, qty=1)).code == 40310000
    send(broker, single(C610, "buy", limit="5"))
    sold = send(broker, single("SPY", "sell", limit=None, qty=100))
    assert (sold.status, sold.filled_avg_price) == ("filled", Decimal("599.99"))
    assert not broker.book.positions


def test_the_clock_never_goes_back():
    broker = exchange()
    with pytest.raises(ClockError):
        broker.advance(broker.now - 1)


def test_many_steps_of_the_clock_end_where_one_step_ends():
    def run(steps):
        broker = exchange()
        send(broker, single(P595, "buy", limit="1"))
        send(broker, multileg(*CONDOR))
        target = new_york_moment(NEXT_DAY, 12, 0)
        for k in range(1, steps + 1):
            broker.advance(broker.now + (target - broker.now) * k // steps)
        return state(broker)

    assert run(1) == run(7)
