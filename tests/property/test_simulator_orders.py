"""Whatever a client asks for in whatever order, the simulated broker's books add up."""

from datetime import date
from decimal import Decimal
from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator import routes_orders
from simulator.exchange import Exchange
from simulator.refusal import Refusal
from simulator.sessions import Sessions
from simulator.switches import FillMode, MultilegReplace, OffIncrement, Switches
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
START = new_york_moment(DAY, 9, 20)
CONTRACTS = (
    "SPY261120P00600000",
    "SPY261123P00590000",
    "SPY261123P00595000",
    "SPY261123C00605000",
    "SPY261123C00610000",
)
#: As they are documented, written down once more.
WORKING = {"partially_filled", "filled", "canceled", "expired", "replaced", "done_for_day"}
WORKING |= {"pending_cancel", "pending_replace"}
HELD = {"new", "canceled", "expired", "pending_cancel", "pending_replace"}
EARLY = {"new", "accepted", "canceled", "expired", "rejected", "pending_cancel"}
DOCUMENTED = {
    None: {"pending_new", "accepted", "held"},
    "held": HELD,
    "pending_new": EARLY,
    "accepted": EARLY,
    "new": WORKING | {"rejected"},
    "partially_filled": WORKING,
    # A partial fill leaves what is pending pending.
    "pending_cancel": HELD | {"filled", "partially_filled", "accepted", "held"},
    "pending_replace": HELD | {"replaced", "filled", "partially_filled", "held"},
}
KEPT = {"pending_cancel", "pending_replace", "partially_filled"}  # what a partial fill may leave

sides = st.sampled_from(["buy", "sell"])
prices = st.sampled_from(["0.5", "1.07", "3", "8", "40"])
nets = st.sampled_from(["-9", "-2.5", "-0.5", "0", "0.3", "4", "20"])
gaps = st.sampled_from([Decimal(gap) for gap in ("0.05", "0.2", "0.2", "0.6", "-1")])
STOP_LIMIT = ("stop_price", "limit_price")
quantities = st.sampled_from([1, 2, 3, 4, 7])
picks = st.integers(0, 10**6)
intents = st.sampled_from(["buy_to_open", "sell_to_open", "buy_to_close", "sell_to_close"])


@cache
def market(seed):
    """One for all examples: it keeps nothing of an account."""
    return Synthetic(DAY, ["SPY"], seed, SESSIONS)


switches = st.builds(
    Switches,
    fills=st.sampled_from(FillMode),
    partial_share=st.sampled_from([0.0, 0.5, 1.0]),
    off_increment=st.sampled_from(OffIncrement),
    multileg_replace=st.sampled_from(MultilegReplace),
    replace_forgets_fills=st.booleans(),
    pending_minutes=st.sampled_from([0, 0, 3]),
    seed=st.integers(0, 5),
)


class Clients(RuleBasedStateMachine):
    """Several things that a client may do, in any order, and what must hold after each."""

    @initialize(chosen=switches, cash=st.sampled_from([2_000, 90_000, 400_000]),
                at=st.sampled_from([60, 100, 300, 0]))  # fmt: skip
    def start(self, chosen, cash, at):
        self.broker = Exchange(
            market(7),
            SESSIONS,
            account="WALK",
            cash=Decimal(cash),
            start=START + at * MINUTE,
            switches=chosen,
        )
        self.statuses, self.filled, self.events, self.refused = {}, {}, [], set()
        self.broker.listeners.append(self._hear)

    def _hear(self, update):
        if update.event in {"pending_new", "accepted"}:
            # Taken on, not yet at the market: it is paid for, or nothing is needed for it.
            left = self.broker.figures().left
            assert left >= (0 if update.order.required_usd else min(self.left, 0))
        before = self.statuses.get(update.order.id)
        after = update.order.status
        is_kept = update.event == "partial_fill" and before == after and after in KEPT
        silent = {"pending_cancel", "pending_replace"}  # told by nobody before it is done
        assert is_kept or any(
            after in DOCUMENTED.get(step, ()) for step in {before} | (silent if before else set())
        ), (before, after)
        self.statuses[update.order.id] = after
        self.events.append(update)

    @rule(symbol=st.sampled_from(CONTRACTS), qty=quantities)
    def buy_at_any_price(self, symbol, qty):
        self.single(symbol, "buy", qty, "15", "limit", "day")

    def ask(self, write, name="", body=None, query=None):
        """A refusal is an answer too, of the documented kind."""
        self.left = self.broker.figures().left
        try:
            status, answer = write(self.broker, query or {}, name, body)
        except Refusal as no:
            self.refused.add((no.status, no.code))
        else:
            assert status in {200, 204, 207}
            return answer

    @rule(symbol=st.sampled_from(CONTRACTS), side=sides, qty=quantities, price=prices,
          kind=st.sampled_from(["limit", "limit", "market", "stop", "stop_limit"]),
          tif=st.sampled_from(["day", "gtc"]))  # fmt: skip
    def single(self, symbol, side, qty, price, kind, tif):
        body = {"symbol": symbol, "side": side, "qty": qty, "type": kind, "time_in_force": tif}
        body |= {"limit_price": price} if "limit" in kind else {}
        body |= {"stop_price": price} if "stop" in kind else {}
        self.ask(routes_orders.place, body=body)

    @rule(side=sides, qty=st.sampled_from([1, 100, 300]), price=st.sampled_from(["500", "700"]),
          kind=st.sampled_from(["market", "limit", "limit", "stop", "trailing_stop"]),
          tif=st.sampled_from(["day", "gtc", "gtc", "ioc", "fok", "opg", "cls"]))  # fmt: skip
    def shares(self, side, qty, price, kind, tif):
        body = {"symbol": "SPY", "side": side, "qty": qty, "type": kind, "time_in_force": tif}
        extra = {"limit": "limit_price", "stop": "stop_price", "trailing_stop": "trail_price"}
        body |= {extra[kind]: "1" if kind == "trailing_stop" else price} if kind in extra else {}
        self.ask(routes_orders.place, body=body)

    @rule(side=sides, many=st.sampled_from([("qty", "0.5"), ("qty", "2.25"), ("notional", "150")]),
          kind=st.sampled_from(["market", "market", "limit", "stop"]))  # fmt: skip
    def parts(self, side, many, kind):
        body = {"symbol": "SPY", "side": side, "type": kind, "time_in_force": "day"}
        prices = {"limit": {"limit_price": "600"}, "stop": {"stop_price": "600"}}
        self.ask(routes_orders.place, body=body | dict([many]) | prices.get(kind, {}))

    @rule(group=st.sampled_from(["oco", "oto", "oto", "bracket", "bracket"]), side=sides,
          qty=st.sampled_from([1, 5, 60]), base=st.sampled_from([None, None, "560", "640"]),
          gap=gaps, stop=st.sampled_from([STOP_LIMIT[:1], STOP_LIMIT]))  # fmt: skip
    def bound(self, group, side, qty, base, gap, stop):
        """Exits near enough to the market to be reached."""
        held = self.broker.book.qty("SPY")
        if group == "oco" and held:
            side, qty = ("sell" if held > 0 else "buy"), min(qty, abs(held))
        sign = 1 if (side == "buy") == (group != "oco") else -1
        middle = self.broker.quote("SPY").mark() if base is None else Decimal(base)
        loss = str(round(middle - sign * gap, 2))
        body = {"symbol": "SPY", "side": side, "qty": qty, "order_class": group}
        body |= {"type": "market", "time_in_force": "day" if len(stop) == 1 else "gtc"}
        if base or group == "oco":
            body |= {"type": "limit", "limit_price": str(middle)}
        if group != "oto" or len(stop) == 1:
            body["take_profit"] = {"limit_price": str(round(middle + sign * gap, 2))}
        if group != "oto" or len(stop) == 2:
            body["stop_loss"] = dict.fromkeys(stop, loss)
        self.ask(routes_orders.place, body=body)

    @rule(legs=st.lists(st.tuples(st.sampled_from(CONTRACTS), intents, st.integers(1, 2)),
                        min_size=2, max_size=4, unique_by=lambda leg: leg[0]),
          qty=quantities, net=nets, kind=st.sampled_from(["limit", "limit", "market"]))  # fmt: skip
    def several(self, legs, qty, net, kind):
        self._several(legs, qty, net, kind)

    @rule(pair=st.sampled_from([(1, 2), (3, 4)]), turned=st.booleans(), qty=quantities, net=nets)
    def spread(self, pair, turned, qty, net):
        held = self.broker.book.qty(CONTRACTS[pair[turned]])  # it is bought
        ends = "close" if held < 0 else "open"
        near, far = pair[::-1] if turned else pair
        legs = [(CONTRACTS[near], f"buy_to_{ends}", 1), (CONTRACTS[far], f"sell_to_{ends}", 1)]
        self._several(legs, qty, net, "limit")

    def _several(self, legs, qty, net, kind):
        body = {"order_class": "mleg", "qty": qty, "type": kind, "time_in_force": "day"}
        body |= {"limit_price": net} if kind == "limit" else {}
        body["legs"] = [
            {"symbol": s, "position_intent": i, "side": i.split("_")[0], "ratio_qty": r}
            for s, i, r in legs
        ]
        self.ask(routes_orders.place, body=body)

    def _any_order(self, pick):
        """One that works, or any, or none."""
        ids = list(self.broker.book.working) if pick % 4 else list(self.broker.book.orders)
        return ids[pick % len(ids)]

    @precondition(lambda self: self.broker.book.working)
    @rule(pick=picks, qty=st.none() | quantities, price=st.none() | prices | nets)
    def replace(self, pick, qty, price):
        body = {"qty": qty, "limit_price": price}
        self.ask(routes_orders.replace, self._any_order(pick), body)

    @precondition(lambda self: self.broker.book.working)
    @rule(pick=picks)
    def cancel(self, pick):
        self.ask(routes_orders.cancel, self._any_order(pick))

    @precondition(lambda self: self.broker.book.positions)
    @rule(pick=picks, query=st.sampled_from([{}, {"qty": "1"}, {"percentage": "50"}]))
    def close(self, pick, query):
        held = [*self.broker.book.positions, "nothing"]
        self.ask(routes_orders.close_position, held[pick % len(held)], query=query)

    @rule(what=st.sampled_from([*range(9)]))
    def seldom(self, what):
        """Everything at once, or other rules: one of nine times each."""
        if what == 8:
            self.ask(routes_orders.cancel_all)
        if what in {1, 2}:
            query = {} if what == 1 else {"cancel_orders": "True"}
            self.ask(routes_orders.close_positions, query=query)
        if what in {3, 4, 5}:
            level, suspended = [(None, False), (2, False), (1, True)][what - 3]
            body = {"max_options_trading_level": level, "suspend_trade": suspended}
            self.ask(routes_orders.configure, body=body)

    @rule(minutes=st.sampled_from([1, 1, 1, 2, 3, 5, 20, 90, 1440]))
    def wait(self, minutes):
        self.broker.advance(self.broker.now + minutes * MINUTE)

    @invariant()
    def refusals_are_of_the_documented_kinds(self):
        kinds = {(400, 40010000), (403, 40310000), (404, 40410000)}
        assert self.refused <= kinds | {(422, 40010001), (422, 42210000)}

    @invariant()
    def money_and_positions_are_the_sum_of_what_happened(self):
        book = self.broker.book
        cash, held = book.cash_start, {}
        for done in book.activities:
            change = done.qty
            if done.kind == "FILL":
                change = done.qty if done.side == "buy" else -done.qty
                cash -= round(done.price * change * (1 if done.symbol == "SPY" else 100), 2)
            else:
                cash += done.net_usd or 0
            held[done.symbol] = held.get(done.symbol, 0) + change
        assert book.cash == cash == round(cash, 2)
        assert {s: q for s, q in held.items() if q} == {
            p.symbol: p.qty for p in book.positions.values()
        }

    @invariant()
    def filled_quantities_only_grow_and_are_those_of_the_activities(self):
        book = self.broker.book
        done, last = {}, {}
        for fill in book.activities:
            if fill.kind == "FILL":
                done[fill.order_id] = done.get(fill.order_id, 0) + fill.qty
                assert fill.cum_qty == done[fill.order_id]
                last[fill.order_id] = fill
        for parent in book.orders.values():
            for each in (parent, *parent.legs):
                assert self.filled.get(each.id, 0) <= each.filled_qty <= each.qty
                self.filled[each.id] = each.filled_qty
                assert (each.filled_qty == each.qty) == (each.status == "filled")
                assert each.status == parent.status
                assert each.leaves >= 0 < each.qty
                assert each.symbol == "SPY" or each.qty % 1 == 0
            for each in parent.executed():
                assert done.get(each.id, 0) == each.filled_qty
                assert each.filled_qty == parent.filled_qty * (each.ratio or 1)

    @invariant()
    def bound_orders_work_one_after_another_and_end_together(self):
        for order in self.broker.book.orders.values():
            if order.bond is None:
                continue
            chain = order.bond.chain
            if order is not chain[0] or order.bond.is_over:
                continue
            states = [each.status_before if "pending" in each.status else each.status
                      for each in chain if each.is_open]  # fmt: skip
            assert states.count("held") == max(len(states) - 1, 0)
            assert all(state == "held" for state in states[1:])
            ended = chain[1:] if order.bond.has_entry and order.status == "filled" else chain
            assert len({each.is_open for each in ended}) == 1
            closing = [each for each in order.bond.exits() if each.is_open]
            if not order.is_open:
                assert len({each.leaves for each in closing}) <= 1

    @invariant()
    def ids_are_unique_and_what_is_open_is_working(self):
        book = self.broker.book
        orders = [each for o in book.orders.values() for each in (o, *o.legs)]
        fills = [a for a in book.activities if a.kind == "FILL"]  # a night's pairs share one
        ids = [o.id for o in orders] + [a.id.partition("::")[2] for a in fills]
        assert len(set(ids)) == len(ids)
        names = [o.client_order_id for o in orders]
        assert len(set(names)) == len(names)
        assert {o.id for o in book.orders.values() if o.is_open} == set(book.working)
        for order in book.orders.values():
            if order.status == "replaced":
                assert book.orders[order.replaced_by].replaces == order.id
        assert all(order.required_usd >= 0 for order in book.working.values())

    @invariant()
    def what_is_told_is_what_is(self):
        told = {}
        for update in self.events:
            told[update.order.id] = told.get(update.order.id, 0) + sum(
                e.qty / (e.order.ratio or 1) for e in update.executions[:1]
            )
        for order in self.broker.book.orders.values():
            assert told.get(order.id, 0) == order.filled_qty


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
