"""No door of the broker lets a short call go bare, or spends what is not there: over HTTP."""

import pytest
import requests

from simulator.__main__ import build, parser
from simulator.app import create_app
from simulator.in_process import InProcess

SPLITS = """
[[underlying]]
symbol = "ABC"
price_usd = 120.0
vol = 0.35
splits = [{ ex_day = 2026-11-27, new = 3, old = 1 }]
[[underlying]]
symbol = "REV"
price_usd = 12.0
vol = 0.35
strike_step_usd = 0.5
strike_step_far_usd = 0.5
splits = [{ ex_day = 2026-11-27, new = 1, old = 10 }]
"""
SPLIT_DAYS = ("--day", "2026-11-25", "--day", "2026-11-27", "--day", "2026-11-30")


def call(strike, end="261218"):
    return f"SPY{end}C{strike:05d}000"


def put(strike, end="261218"):
    return f"SPY{end}P{strike:05d}000"


class Client:
    """Ten minutes after the opening, unless told otherwise."""

    def __init__(self, *arguments, seconds=600):
        self.exchange = build(parser().parse_args(list(arguments)))
        self.session = requests.Session()
        self.session.mount("http://", InProcess(create_app(self.exchange)))
        self.session.headers.update({"APCA-API-KEY-ID": "k", "APCA-API-SECRET-KEY": "s"})
        self.clock(to="open")
        self.clock(seconds=seconds)

    def __call__(self, method, path, body=None, **query):
        answer = self.session.request(method, "http://x" + path, json=body, params=query)
        return answer.status_code, answer.json() if answer.content else None

    def clock(self, **where):
        status, _ = self("POST", "/sim/clock", where)
        assert status == 200

    def order(self, symbol, qty, side, kind="market", tif="day", **more):
        body = {"symbol": symbol, "qty": str(qty), "side": side, "type": kind}
        return self("POST", "/v2/orders", body | {"time_in_force": tif} | more)

    def legs(self, *legs, kind="market", **more):
        shown = [
            {"symbol": s, "ratio_qty": "1", "side": i.split("_")[0], "position_intent": i}
            for s, i in legs
        ]
        body = {"order_class": "mleg", "qty": "1", "type": kind, "time_in_force": "day"}
        return self("POST", "/v2/orders", body | {"legs": shown} | more)

    def exercise(self, symbol):
        return self("POST", f"/v2/positions/{symbol}/exercise")

    def held(self):
        return {p["symbol"]: int(p["qty"]) for p in self("GET", "/v2/positions")[1]}

    def power(self):
        return float(self("GET", "/v2/account")[1]["options_buying_power"])

    def states(self):
        return [o["status"] for o in self("GET", "/v2/orders", status="all", direction="asc")[1]]

    def bid(self, symbol):
        return float(self.exchange.quote(symbol).bid)

    def ask(self, symbol):
        return float(self.exchange.quote(symbol).ask)

    def can(self, *answers):
        assert [status for status, _ in answers] == [200] * len(answers), answers


def refused(answer, words):
    assert answer[0] in {403, 422}, answer
    assert words in answer[1]["message"]


@pytest.fixture
def client():
    return Client()


def test_a_stop_is_priced_at_the_worse_of_its_stop_and_the_market(client):
    words = "insufficient options buying power"
    refused(client.order(call(600), 1000, "buy", "stop", stop_price="0.01"), words)
    refused(client.order("SPY", 100_000, "buy", "stop", stop_price="0.01"), "insufficient buying")
    refused(client.order(put(600), 10, "sell", "stop", stop_price="600"), "cash-secured put")
    assert client.held() == {}


def test_a_short_sale_of_shares_is_priced_above_the_offer_whatever_its_limit(client):
    answer = client.order("SPY", 1000, "sell", "limit", limit_price="0.01")
    refused(answer, "insufficient buying power")
    assert float(answer[1]["cost_basis"]) >= 1000 * 1.03 * client.ask("SPY")


def test_a_market_order_without_an_offer_is_refused(client):
    assert client.exchange.quote("SPY261202P00625000").ask is None
    refused(client.order("SPY261202P00625000", 1, "buy"), "no offer")


def test_shares_behind_a_working_covered_call_are_not_sold(client):
    client.can(client.order("SPY", 100, "buy"))
    client.can(client.order(call(600), 1, "sell", "limit", "gtc", limit_price="20"))
    refused(client.order("SPY", 100, "sell"), "insufficient qty available")
    assert client("GET", "/v2/positions/SPY")[1]["qty_available"] == "0"


def test_the_last_cover_is_not_sold_whatever_the_expirations(client):
    client.can(client.order("SPY", 100, "buy"), client.order(call(600, "270115"), 1, "sell"))
    client.can(client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open")))
    refused(client.order(call(600), 1, "sell"), "uncovered")


def test_a_covered_call_is_not_charged_as_bare_beside_a_covered_one_of_another_day(client):
    client.can(client.order("SPY", 100, "buy"))
    client.can(client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open")))
    before = client.power()
    client.can(client.order(call(620, "270115"), 1, "sell"))
    assert abs(client.power() - before) < 50


def test_an_exercise_takes_no_share_that_covers_a_call_or_is_being_sold(client):
    client.can(client.order("SPY", 100, "buy"), client.order(put(610), 1, "buy"))
    client.can(client.order("SPY", 100, "sell", "limit", "gtc", limit_price="640"))
    refused(client.exercise(put(610)), "insufficient underlying qty")
    client("DELETE", "/v2/orders")
    client.can(client.order(call(600), 1, "sell"))
    refused(client.exercise(put(610)), "insufficient underlying qty")


def test_an_expiring_put_that_would_take_a_calls_shares_is_sold(client):
    client.can(client.order("SPY", 100, "buy"), client.order(call(600), 1, "sell"))
    client.can(client.order(put(610, "261120"), 1, "buy"))
    client.clock(to="next_day")
    assert client.held() == {"SPY": 100, call(600): -1}


def test_an_expiring_put_takes_no_shares_of_a_working_call_order(client):
    client.can(client.order("SPY", 100, "buy"), client.order(put(610, "261120"), 1, "buy"))
    client.can(client.order(call(600), 1, "sell", "limit", "gtc", limit_price="13"))
    client.clock(to="next_day")
    assert client.held() == {"SPY": 100}


def test_a_replacement_that_waits_holds_what_it_would_close():
    client = Client("--switch", "pending_minutes=2")
    client.can(client.order(put(600), 3, "buy"))
    made = client.order(put(600), 1, "sell", "limit", limit_price="12")
    client.can(client("PATCH", f"/v2/orders/{made[1]['id']}", {"qty": "3"}))
    refused(client.order(put(600), 2, "sell", "limit", limit_price="11.9"), "available: 0")


def test_a_replacement_that_waits_can_make_a_wash_trade():
    client = Client("--switch", "pending_minutes=5")
    made = client.order(put(600), 1, "buy", "limit", limit_price="1.00")
    client.can(client("PATCH", f"/v2/orders/{made[1]['id']}", {"limit_price": "11.06"}))
    refused(client.order(put(600), 1, "sell", "limit", limit_price="11.03"), "wash trade")


def test_a_replacement_is_rejected_when_what_it_was_to_replace_ends_first():
    client = Client("--switch", "pending_minutes=5", seconds=389 * 60)
    made = client.order(put(600), 1, "buy", "limit", limit_price="1.00")
    change = {"time_in_force": "gtc", "limit_price": "90"}
    client.can(client("PATCH", f"/v2/orders/{made[1]['id']}", change))
    client.clock(to="close")
    assert client.states() == ["expired", "rejected"]
    assert client.power() == 100_000


def test_a_sale_inside_a_mixed_order_counts_as_cover_that_goes(client):
    client.can(client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open")))
    client.can(client.order(call(605), 1, "buy"))
    net = f"{client.ask(put(550)) - client.bid(call(600)) - 0.1:.2f}"
    legs = ((call(600), "sell_to_close"), (put(550), "buy_to_open"))
    client.can(client.legs(*legs, kind="limit", limit_price=net))
    refused(client.order(call(605), 1, "sell"), "uncovered")


def test_a_long_call_stays_while_the_shares_are_being_sold(client):
    client.can(client.order("SPY", 100, "buy"))
    client.can(client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open")))
    client.can(client.order("SPY", 100, "sell", "limit", limit_price="640"))
    refused(client.order(call(600), 1, "sell"), "uncovered")


def test_the_long_leg_of_a_spread_can_be_rolled(client):
    client.can(client.legs((put(600), "sell_to_open"), (put(595), "buy_to_open")))
    client.can(client.legs((put(595), "sell_to_close"), (put(590), "buy_to_open")))
    assert client.held() == {put(600): -1, put(590): 1}


@pytest.mark.parametrize(("cash", "words"), [(100_000, None), (30_000, "cash-secured put")])
def test_a_put_that_loses_its_long_one_is_secured_by_cash_or_keeps_it(cash, words):
    client = Client("--cash", str(cash))
    client.can(client.legs((put(590), "sell_to_open"), (put(580), "buy_to_open")))
    answer = client.order(put(580), 1, "sell")
    if words is None:
        client.can(answer)
        client.clock(seconds=60)
        assert client.held() == {put(590): -1}
    else:
        refused(answer, words)


@pytest.mark.parametrize("strikes", [(600, 605), (500, 505)])
def test_closing_costs_what_it_does_not_set_free(strikes):
    client = Client("--cash", "1000")
    low, high = strikes
    client.can(client.legs((call(low), "buy_to_open"), (call(high), "sell_to_open")))
    refused(client.order(call(high), 1, "buy"), "insufficient options buying power")


def test_an_exercise_needs_cash_that_nothing_else_needs(client):
    client.can(client.order(put(600), 1, "sell"), client.order(call(590), 1, "buy"))
    client.can(client.order(call(500), 3, "buy", "limit", limit_price="100"))
    refused(client.exercise(call(590)), "insufficient buying power to exercise")


def test_a_covered_calls_debt_pays_for_no_long_option(client):
    client.can(client.order("SPY", 100, "buy"), client.order(call(510), 1, "sell"))
    before, price = client.power(), client.ask(put(680)) * 100
    client.can(client.order(put(680), 1, "buy"))
    assert client.power() == pytest.approx(before - price, abs=1)


def test_an_exercise_asked_for_tonight_holds_its_shares_and_its_cash():
    night = ("--switch", "exercise_posts=night")
    client = Client(*night)
    client.can(client.order("SPY", 100, "buy"))
    client.can(client.order(put(610), 1, "buy"), client.order(put(615), 1, "buy"))
    client.can(client.exercise(put(610)))
    refused(client.exercise(put(615)), "insufficient underlying qty")
    refused(client.order("SPY", 100, "sell"), "insufficient qty available")
    client = Client(*night)
    client.can(client.order(call(590), 1, "buy"), client.exercise(call(590)))
    refused(client.order(call(500), 9, "buy"), "insufficient options buying power")
    client.clock(to="next_day")
    assert client.held() == {"SPY": 100}


def test_a_declined_contract_covers_no_other(client):
    near = (call(595, "261120"), "buy_to_open"), (call(600, "261120"), "sell_to_open")
    client.can(client.legs(*near))
    refused(client("POST", f"/v2/positions/{near[0][0]}/do-not-exercise"), "uncovered")


def test_an_order_that_the_market_has_made_too_dear_is_rejected_when_it_would_fill(client):
    halt = {"kind": "halt", "symbol": "SPY", "until": "2026-11-20T14:45:00Z"}
    client.can(client("POST", "/sim/faults", halt))
    client.can(client.order(call(600), 80, "buy"))
    gap = {"kind": "gap", "symbol": "SPY", "settings": {"percent": 20}}
    client.can(client("POST", "/sim/faults", gap))
    client.clock(seconds=600)
    assert (client.states(), client.held()) == (["rejected"], {})


def test_what_closes_at_most_closes_though_fills_are_forgotten():
    words = ("replace_forgets_fills=true", "pending_minutes=3", "partial_share=1")
    client = Client("--seed", "2", *(x for word in words for x in ("--switch", word)))
    client.can(client.order("SPY", 300, "buy"), client.order(call(600), 5, "buy"))
    client.clock(seconds=1200)
    limit = f"{client.bid(call(600)) + 0.02:.2f}"
    made = client.order(call(600), 5, "sell", "limit", limit_price=limit)
    lower = f"{client.bid(call(600)) + 0.01:.2f}"
    client.can(client("PATCH", f"/v2/orders/{made[1]['id']}", {"limit_price": lower}))
    client.clock(seconds=3600)
    assert client.held().get(call(600), 0) >= 0


def test_shares_are_refused_with_the_buying_power_that_the_account_shows(client):
    shown = client("GET", "/v2/account")[1]
    answer = client.order("SPY", 400, "buy")
    refused(answer, "insufficient buying power")
    assert answer[1]["buying_power"] == shown["buying_power"]
    assert float(answer[1]["cost_basis"]) > float(shown["buying_power"])


def test_an_exercise_of_nothing_is_told_from_one_of_no_contract(client):
    assert client.exercise(call(605))[1]["code"] == 40310000
    assert client.exercise("SPY261218C00601000")[1]["code"] == 42210000


def test_a_leg_can_be_found_by_its_client_order_id_which_is_taken(client):
    made = client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open"))[1]
    name = made["legs"][0]["client_order_id"]
    found = client("GET", "/v2/orders:by_client_order_id", client_order_id=name)
    assert found[1]["id"] == made["legs"][0]["id"]
    again = client.order(call(600), 1, "buy", "limit", limit_price="1", client_order_id=name)
    refused(again, "client_order_id must be unique")


def test_a_page_of_orders_never_ends_among_legs(client):
    for _ in range(2):
        client.can(client.legs((call(600), "buy_to_open"), (call(610), "sell_to_open")))
    seen, until = [], {}
    while rows := client("GET", "/v2/orders", status="all", limit=2, nested="false", **until)[1]:
        seen += rows
        until = {"until": rows[-1]["submitted_at"]}
    assert len({row["id"] for row in seen}) == 6


def test_a_busted_part_is_wanted_and_paid_for_again():
    client = Client("--switch", "partial_share=1")
    client.can(client("POST", "/sim/faults", {"kind": "trade_busted"}))
    client.can(client.order(put(600), 40, "buy", "limit", limit_price="11.15"))
    client.clock(seconds=0)
    assert (client.states(), client.power()) == (["new"], 100_000 - 44_600)


def test_a_bust_that_comes_too_late_is_noted_and_stops_nothing(client):
    client.can(client("POST", "/sim/faults", {"kind": "trade_busted"}))
    ending = call(590, "261120")
    limit = f"{client.ask(ending):.2f}"
    client.can(client.order(ending, 1, "buy", "limit", limit_price=limit))
    client.exchange.advance(client.exchange.session.close + 4 * 3600 * 10**9)
    status, faults = client("GET", "/sim/faults")
    assert (status, faults["fired"]["trade_busted"]) == (200, 0)
    assert "trade_busted" in faults["failed"][0]


def test_a_gtc_order_ends_at_its_moment_on_a_day_without_trading():
    client = Client("--day", "2026-11-23", "--day", "2027-02-22", "--underlying", "NVDA")
    made = client.order("NVDA", 1, "buy", "limit", "gtc", limit_price="1")[1]
    client.clock(now="2027-02-22T15:00:00Z")
    ended = client("GET", f"/v2/orders/{made['id']}")[1]
    assert ended["status"] == "expired"
    assert ended["expired_at"][:19] == made["expires_at"][:19] == "2027-02-21T21:15:00"


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "splits.toml"
    path.write_text(SPLITS)
    names = ("--underlying", "ABC", "--underlying", "REV")
    return Client("--market", str(path), *names, *SPLIT_DAYS)


def test_a_split_keeps_what_was_declined_and_cancels_orders_for_the_shares(split):
    ending = "ABC261127C00110000"
    split.can(split.order(ending, 1, "buy"), split.order("ABC", 3, "buy", "limit", "gtc",
                                                         limit_price="60"))  # fmt: skip
    split.can(split("POST", f"/v2/positions/{ending}/do-not-exercise"))
    split.clock(now="2026-11-28T15:00:00Z")
    kinds = [row["activity_type"] for row in split("GET", "/v2/account/activities")[1]]
    assert ("OPEXP" in kinds, "OPEXC" in kinds, split.held()) == (True, False, {})
    assert split.states() == ["filled", "canceled"]


def test_a_correction_after_a_split_keeps_the_entry_of_what_was_held(split):
    split.can(split.order("ABC261218C00120000", 1, "buy"), split.order("REV", 105, "buy"))
    split.clock(now="2026-11-27T14:40:00Z")
    before = {p["symbol"]: float(p["avg_entry_price"]) for p in split("GET", "/v2/positions")[1]}
    for symbol, qty, held in (("ABC261218C00040000", 1, 3), ("REV", 10, 10)):
        split.can(split("POST", "/sim/faults", {"kind": "trade_corrected"}))
        paid = split.ask(symbol) + 0.01
        split.can(split.order(symbol, qty, "buy"))
        split.clock(seconds=0)
        row = split("GET", f"/v2/positions/{symbol}")[1]
        wanted = (before[symbol] * held + paid * qty) / (held + qty)
        assert float(row["avg_entry_price"]) == pytest.approx(wanted, abs=0.001)


def test_the_base_of_a_portfolios_history_is_the_close_it_is_dated(client):
    client.can(client.order(call(600), 2, "buy"), client.order("SPY", 100, "buy"))
    client.clock(to="close")
    client.clock(to="open")
    client.clock(seconds=3600)
    query = {"period": "1D", "pnl_reset": "no_reset"}
    assert client("GET", "/v2/account/portfolio/history", period="7D", timeframe="1Min")[0] == 200
    path = "/v2/account/portfolio/history"
    bases = {client("GET", path, timeframe=step, **query)[1]["base_value"]
             for step in ("1Min", "1D")}  # fmt: skip
    assert bases == {float(client("GET", "/v2/account")[1]["last_equity"])}
