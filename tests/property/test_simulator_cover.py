"""Whatever is asked for and however the nights fall: no short call is ever bare, and
nobody spends what he has not. The oracle counts for itself, share by share and price by price."""

import random
from datetime import date
from decimal import Decimal
from functools import cache

import pytest

from simulator import routes_orders
from simulator.exchange import Exchange
from simulator.refusal import Refusal
from simulator.sessions import Sessions
from simulator.switches import ExercisePosts, FillMode, MultilegReplace, Switches
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

FIRST, LAST = date(2026, 11, 20), date(2026, 12, 1)
SESSIONS = Sessions(FIRST, LAST)
ENDS = ("261120", "261123", "261127", "261218")
CALLS = [f"SPY{end}C{strike:05d}000" for end in ENDS for strike in (590, 600, 610)]
PUTS = [f"SPY{end}P{strike:05d}000" for end in ENDS for strike in (590, 600, 610)]
HOUR = 60 * MINUTE


@cache
def market():
    return Synthetic(FIRST, ["SPY"], 7, SESSIONS)


class Oracle:
    """What is held, counted anew: symbols and numbers only."""

    def __init__(self, cash, held, declined=()):
        self.cash, self.held, self.declined = cash, dict(held), set(declined)

    def move(self, symbol, change):
        self.held[symbol] = self.held.get(symbol, 0) + change

    def _calls(self, sign):
        """(last day, count) of the calls of one sign, the latest first."""
        found = [
            (symbol[3:9], abs(qty), symbol)
            for symbol, qty in self.held.items()
            if len(symbol) > 6 and symbol[9] == "C" and qty * sign > 0
            and not (sign > 0 and symbol in self.declined)
        ]  # fmt: skip
        return sorted(found, reverse=True)

    def pairs(self):
        """Short calls that no long call covers, one name each; the scarcest cover goes first."""
        longs = [end for end, qty, _ in self._calls(1) for _ in range(qty)]
        bare = []
        for end, qty, symbol in self._calls(-1):
            for _ in range(qty):
                able = [other for other in longs if other >= end]
                if able:
                    longs.remove(min(able))
                else:
                    bare.append(symbol)
        return bare

    def naked(self):
        """Short calls that neither calls nor shares cover."""
        return max(len(self.pairs()) - max(self.held.get("SPY", 0), 0) // 100, 0)

    def left(self, price_of):
        """USD that are needed for nothing, at these prices, orders not counted."""
        stock = self.held.get("SPY", 0)
        worth = stock * price_of("SPY")
        debt = sum((price_of(symbol) * 100 for symbol in self.pairs()), Decimal(0))
        rest = {s: q for s, q in self.held.items() if len(s) > 6}
        for symbol in self.pairs()[: max(stock, 0) // 100]:
            rest[symbol] += 1
        for symbol in self.declined & rest.keys():
            rest[symbol] = min(rest[symbol], 0)
        return self.cash + worth - abs(worth) / 2 - debt - loss(rest)


def loss(rest):
    """The worst that contracts can come to, at the strikes and at zero."""
    worst = Decimal(0)
    strikes = [0, *(int(symbol[10:15]) for symbol in rest)]
    for end in {symbol[3:9] for symbol in rest}:
        for price in strikes:
            total = 0
            for symbol, qty in rest.items():
                if symbol[3:9] >= end:
                    over = price - int(symbol[10:15])
                    total += 100 * qty * max(over if symbol[9] == "C" else -over, 0)
            worst = max(worst, Decimal(-total))
    return worst


class Walker:
    def __init__(self, seed, **switches):
        self.chance = random.Random(seed)
        self.broker = Exchange(
            market(),
            SESSIONS,
            account=f"W{seed}",
            cash=Decimal(self.chance.choice([3_000, 70_000, 200_000, 1_000_000])),
            start=new_york_moment(FIRST, 9, 20),
            switches=Switches(seed=seed, early_assignment=0.02, **switches),
        )
        self.asked, self.rows, self.borne, self.refused = {}, 0, 0, 0
        self.broker.listeners.append(self.hear)

    # What is asked

    def ask(self, write, name="", body=None, query=None):
        before = self.oracle().left(self.price)
        try:
            write(self.broker, query or {}, name, body)
        except Refusal:
            self.refused += 1
        self.look()
        if not self.new_rows:
            return
        if all(row.kind in {"OPEXC", "OPTRD"} for row in self.new_rows):
            assert self.oracle().left(self.price) >= min(before, 0) - 1, "an exercise is paid for"

    def step(self):
        pick = self.chance.random()
        book = self.broker.book
        if pick < 0.34:
            self.single()
        elif pick < 0.50:
            self.shares()
        elif pick < 0.66:
            self.several()
        elif pick < 0.74 and book.working:
            price = self.chance.choice([None, "0.5", "5", "11", "15", "600"])
            body = {"qty": self.chance.choice([None, 1, 2, 4, 100, 200]), "limit_price": price}
            self.ask(routes_orders.replace, self.chance.choice(list(book.working)), body)
        elif pick < 0.78 and book.working:
            self.ask(routes_orders.cancel, self.chance.choice(list(book.working)))
        elif pick < 0.86 and book.positions:
            name = self.chance.choice(list(book.positions))
            writes = (routes_orders.exercise, routes_orders.do_not_exercise)
            writes += (routes_orders.close_position, routes_orders.exercise)
            self.ask(self.chance.choice(writes), name)
        else:
            self.wait()

    def single(self):
        symbol = self.chance.choice([*CALLS, *PUTS])
        held = self.broker.book.qty(symbol)
        body = {"symbol": symbol, "side": self.chance.choice(["buy", "sell"]),
                "qty": abs(held) if held and self.chance.random() < 0.4
                else self.chance.choice([1, 1, 2, 5])}  # fmt: skip
        self.send(body, ["0.01", "0.5", "5", "11", "15", "30"])

    def shares(self):
        body = {"symbol": "SPY", "side": self.chance.choice(["buy", "buy", "sell"]),
                "qty": self.chance.choice([50, 100, 100, 200, 300])}  # fmt: skip
        if self.chance.random() < 0.2:
            self.bracket(body)
            return
        self.send(body, ["0.01", "590", "599", "600", "602", "700"])

    def bracket(self, body):
        high, low = self.chance.choice([("601", "598"), ("620", "580")])
        buys = body["side"] == "buy"
        body |= {"order_class": "bracket", "type": "market", "time_in_force": "gtc"}
        body["take_profit"] = {"limit_price": high if buys else low}
        body["stop_loss"] = {"stop_price": low if buys else high}
        if self.chance.random() < 0.3:  # of what is held
            body |= {"order_class": "oco", "type": "limit"}
        self.ask(routes_orders.place, body=body)

    def send(self, body, prices):
        kind = self.chance.choice(["market", "market", "limit", "limit", "stop", "stop_limit"])
        body |= {"type": kind, "time_in_force": self.chance.choice(["day", "gtc"])}
        for key, word in (("limit_price", "limit"), ("stop_price", "stop")):
            if word in kind:
                body[key] = self.chance.choice(prices)
        self.ask(routes_orders.place, body=body)

    def several(self):
        held = [s for s in self.broker.book.positions if len(s) > 6]
        names = self.chance.sample(self.chance.choice([CALLS, PUTS, CALLS + PUTS]), 4)
        if held and self.chance.random() < 0.5:
            names = [self.chance.choice(held), *(n for n in names if n not in held)]
        legs = []
        for name in names[: self.chance.choice([2, 2, 2, 3, 4])]:
            side = self.chance.choice(["buy", "sell"])
            qty = self.broker.book.qty(name)
            ends = "close" if (qty < 0 if side == "buy" else qty > 0) else "open"
            legs.append({"symbol": name, "side": side, "position_intent": f"{side}_to_{ends}",
                         "ratio_qty": 1})  # fmt: skip
        body = {"order_class": "mleg", "qty": self.chance.choice([1, 1, 2, 3]), "legs": legs}
        body |= {"type": self.chance.choice(["market", "limit"]), "time_in_force": "day"}
        if body["type"] == "limit":
            body["limit_price"] = self.chance.choice(["-8", "-2", "-0.5", "0.4", "3", "9", "20"])
        self.ask(routes_orders.place, body=body)

    def wait(self):
        minutes = self.chance.choice([1, 1, 1, 2, 5, 5, 20, 60, 240, 1440])
        to = min(self.broker.now + minutes * MINUTE, SESSIONS.bounds()[1] - HOUR)
        cash = self.broker.book.cash
        self.broker.advance(to)
        self.look()
        kinds = {row.kind for row in self.new_rows}
        if "OPEXC" in kinds and not kinds & {"OPASN", "FILL"}:
            assert self.broker.book.cash >= min(cash, 0), "nobody exercises on credit at night"

    # What must hold

    def oracle(self):
        book = self.broker.book
        held = {p.symbol: int(p.qty) for p in book.positions.values()}
        return Oracle(book.cash, held, book.not_exercising)

    def price(self, symbol):
        quote = self.broker.quote(symbol)
        mark = quote.mark() if quote is not None else None
        held = self.broker.book.positions.get(symbol)
        return mark if mark is not None else held.mark if held is not None else Decimal(0)

    def hear(self, update):
        order = update.order
        if update.event in {"pending_new", "accepted"}:
            self.asked[order.id] = order.required_usd
        if not update.executions or order.is_brokers:
            return
        after = self.oracle()
        before = self.oracle()
        for done in update.executions:
            change = int(done.qty) if done.order.side == "buy" else -int(done.qty)
            before.move(done.order.symbol, -change)
            before.cash += done.price * change * (1 if done.order.symbol == "SPY" else 100)
        was, is_now = before.left(self.price), after.left(self.price)
        held_usd = self.asked.get(order.id, 0)  # an exit was never taken on by itself
        assert is_now >= min(was - held_usd, 0) - 1, (was, is_now, order)
        assert after.naked() <= before.naked(), order

    def look(self):
        rows = self.broker.book.activities
        self.new_rows, self.rows = rows[self.rows :], len(rows)
        oracle = self.oracle()
        naked = oracle.naked()
        if naked > self.borne:
            assert any(row.kind == "OPASN" for row in self.new_rows), (naked, oracle.held)
        self.borne = naked
        for _ in range(4):
            self.fill_some_of_what_may_happen()

    def fill_some_of_what_may_happen(self):
        """Any of it, in whole or in part, may not bare a call that is covered now."""
        then, book = self.oracle(), self.broker.book
        for order in list(book.working.values()):
            if order.is_held or (order.is_waiting and order.replaces in book.working):
                continue
            if self.chance.random() < 0.5:
                continue
            if (
                order.successor is not None
                and order.successor.is_open
                and self.chance.random() < 0.5
            ):
                order = order.successor
            units = self.chance.randint(1, int(order.leaves))
            for leg in order.executed():
                then.move(leg.symbol, units * (leg.ratio or 1) * (1 if leg.side == "buy" else -1))
        for symbol, qty in book.exercising.items():
            if self.chance.random() < 0.5:
                then.move(symbol, -int(qty))
                then.move("SPY", int(qty) * (100 if symbol[9] == "C" else -100))
        assert then.naked() <= self.borne, (then.held, list(book.working.values()))


WALKS = [
    {},
    {"partial_share": 1.0, "pending_minutes": 3},
    {"fills": FillMode.QUEUE, "partial_share": 1.0, "pending_minutes": 2},
    {"exercise_posts": ExercisePosts.NIGHT, "pending_minutes": 3, "partial_share": 0.5},
    {"fills": FillMode.QUEUE, "exercise_posts": ExercisePosts.NIGHT, "partial_share": 1.0,
     "pending_minutes": 5, "multileg_replace": MultilegReplace.WORKS},
]  # fmt: skip


def walk(seed, switches, steps):
    walker = Walker(seed, **switches)
    for _ in range(steps):
        walker.step()
    return walker


@pytest.mark.parametrize("place", range(len(WALKS)))
def test_no_walk_leaves_a_call_bare_or_spends_what_is_not_there(place):
    for seed in range(2):
        walker = walk(10 * place + seed, WALKS[place], 150)
        assert walker.broker.book.orders
