"""Every answer of the simulated broker has the shape that the broker's documentation gives it."""

from datetime import date
from decimal import Decimal

import pytest

from simulator.app import DATA_READS, TRADING_READS, create_app
from simulator.exchange import Exchange
from simulator.market import Action
from simulator.sessions import Sessions
from simulator.switches import Switches, with_words
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
CALL, PUT = "SPY261224C00625000", "SPY261224P00575000"
OPTION = f"symbols={CALL},{PUT}"
STOCK = "symbols=SPY,AAPL"


class Announcing(Synthetic):
    """The made-up market, with an action of every kind that it knows."""

    def actions(self, now):
        kinds = {
            "cash dividend": Decimal("0.26"),
            "split": Decimal(4),
            "spin-off": Decimal("0.1"),
            "stock dividend": Decimal("0.05"),
        }
        paid = {"cash dividend": date(2026, 11, 24)}
        made = [
            Action(symbol="AAPL", kind=kind, ex_day=DAY, rate=rate, payable_day=paid.get(kind))
            for kind, rate in kinds.items()
        ]
        reverse = Action(
            symbol="SPY",
            kind="split",
            ex_day=date(2026, 11, 23),
            rate=Decimal("0.1"),
            record_day=DAY,
            payable_day=date(2026, 12, 1),
        )
        return [*made, reverse]


def exchange(hour=11, cash=100_000, **switches):
    market = Announcing(DAY, ["SPY", "AAPL"], 7, SESSIONS)
    start = new_york_moment(DAY, hour, 0)
    made = Exchange(
        market,
        SESSIONS,
        account="SHAPE",
        cash=Decimal(cash),
        start=start,
        switches=with_words(Switches(), switches),
    )
    return made


def leg(symbol, intent):
    return {"symbol": symbol, "ratio_qty": "1", "position_intent": intent}


SINGLE = {
    "symbol": PUT, "side": "buy", "qty": "2", "type": "limit", "limit_price": "0.05",
    "time_in_force": "day", "client_order_id": "single",
}  # fmt: skip
SPREAD = {
    "order_class": "mleg", "qty": "1", "type": "limit", "limit_price": "9",
    "time_in_force": "day", "client_order_id": "spread",
    "legs": [leg(PUT, "buy_to_open"), leg("SPY261224P00570000", "sell_to_open")],
}  # fmt: skip


@pytest.fixture(scope="module")
def app(ask):
    """An account with a working order, a filled spread and its positions."""
    made = create_app(exchange(snapshot_daily_bars=True))
    for body in (SINGLE, SPREAD):
        assert ask(made, "POST", "/v2/orders", json=body).status_code == 200
    return made


#: Path -> the shape of its answer, and questions; {} of a path is filled with `name=`.
SHAPES = {
    "/v2/account": ("account", [""]),
    "/v2/account/configurations": ("configurations", [""]),
    "/v2/account/activities": ("activities", ["", "direction=asc&page_size=1"]),
    "/v2/account/activities/{name}": ("activities", ["name=FILL"]),
    "/v2/account/portfolio/history": (
        "portfolio_history",
        ["", "period=1W&timeframe=5Min", "start=0001-01-01T00:00:00Z&cashflow_types=ALL"],
    ),
    "/v2/clock": ("clock", [""]),
    "/v2/calendar": ("calendar", ["", "start=2026-11-25&end=2026-12-01&date_type=SETTLEMENT"]),
    "/v3/clock": ("market_clocks", ["", "markets=NYSE,OPRA&time=2026-11-27T19:00:00Z"]),
    "/v3/calendar/{name}": ("market_calendar", ["name=NYSE", "name=XNAS&timezone=UTC"]),
    "/v2/assets": ("assets", ["", "attributes=has_options"]),
    "/v2/assets/{name}": ("asset", ["name=SPY"]),
    "/v2/options/contracts": (
        "contracts",
        ["", "limit=3", "show_deliverables=true&underlying_symbols=AAPL&strike_price_gte=200"],
    ),
    "/v2/options/contracts/{name}": ("contract", [f"name={PUT}"]),
    "/v2/orders": ("orders", ["status=all", "status=all&nested=true"]),
    "/v2/orders:by_client_order_id": (
        "order",
        ["client_order_id=spread", "client_order_id=single"],
    ),
    "/v2/positions": ("positions", [""]),
    "/v2/positions/{name}": ("position", [f"name={PUT}"]),
    "/v1beta1/options/snapshots": ("option_snapshots", [OPTION, f"{OPTION}&limit=1"]),
    "/v1beta1/options/snapshots/{name}": (
        "option_snapshots",
        ["name=SPY&limit=1000", "name=SPY&feed=indicative&type=put&limit=5", "name=ZZZ"],
    ),
    "/v1beta1/options/quotes/latest": ("option_latest_quotes", [OPTION]),
    "/v1beta1/options/trades/latest": ("option_latest_trades", [OPTION]),
    "/v1beta1/options/trades": ("option_trades", [OPTION, f"{OPTION}&limit=2&sort=desc"]),
    "/v1beta1/options/bars": (
        "option_bars",
        [f"{OPTION}&timeframe=1Min", f"{OPTION}&timeframe=1Day&start=2026-11-01"],
    ),
    "/v1beta1/options/meta/exchanges": ("codes", [""]),
    "/v1beta1/options/meta/conditions/{name}": ("codes", ["name=trade", "name=quote"]),
    "/v2/stocks/meta/exchanges": ("codes", [""]),
    "/v2/stocks/meta/conditions/{name}": ("codes", ["name=trade&tape=A", "name=quote&tape=C"]),
    "/v2/stocks/quotes/latest": ("stock_latest_quotes", [STOCK, f"{STOCK}&currency=USD"]),
    "/v2/stocks/trades/latest": ("stock_latest_trades", [STOCK]),
    "/v2/stocks/bars/latest": ("stock_latest_bars", [STOCK]),
    "/v2/stocks/snapshots": ("stock_snapshots", [STOCK, f"{STOCK}&feed=otc"]),
    "/v2/stocks/quotes": ("stock_quotes", [f"{STOCK}&limit=100"]),
    "/v2/stocks/trades": ("stock_trades", [f"{STOCK}&limit=100&currency=USD"]),
    "/v2/stocks/bars": (
        "stock_bars",
        [
            f"{STOCK}&timeframe={length}&start=2026-09-01"
            for length in ("5Min", "1Hour", "1Day", "1Week", "1Month")
        ],
    ),
    "/v2/stocks/{name}/quotes/latest": ("stock_latest_quote", ["name=SPY"]),
    "/v2/stocks/{name}/trades/latest": ("stock_latest_trade", ["name=SPY&currency=USD"]),
    "/v2/stocks/{name}/bars/latest": ("stock_latest_bar", ["name=SPY"]),
    "/v2/stocks/{name}/snapshot": ("stock_one_snapshot", ["name=SPY"]),
    "/v2/stocks/{name}/quotes": ("stock_one_quotes", ["name=SPY&limit=10"]),
    "/v2/stocks/{name}/trades": ("stock_one_trades", ["name=SPY&limit=10"]),
    "/v2/stocks/{name}/bars": (
        "stock_one_bars",
        ["name=SPY&timeframe=1Min", "name=ZZZ&timeframe=1Day"],
    ),
    "/v1/corporate-actions": (
        "corporate_actions",
        ["", "start=2026-11-01&end=2026-12-31", "start=2026-11-01&end=2026-12-31&limit=1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", SHAPES)
def test_an_answer_has_the_documented_shape(app, ask, mistakes, path):
    shape, questions = SHAPES[path]
    for question in questions:
        name, rest = "", question
        if "{name}" in path:
            name, _, rest = question.removeprefix("name=").partition("&")
        answer = ask(app, "GET", f"{path.replace('{name}', name)}?{rest}")
        assert answer.status_code == 200, answer.text
        assert mistakes(shape, answer.json()) == [], question
        assert len(answer.headers["X-Request-ID"]) == 32


def test_every_question_that_can_be_asked_has_its_shape():
    by_id = {"/v2/orders/{name}"}  # in the next test
    assert {*TRADING_READS, *DATA_READS} - by_id <= {*SHAPES}


def test_orders_and_the_answers_to_their_changes_have_the_documented_shape(ask, mistakes):
    made = create_app(exchange())
    placed = [ask(made, "POST", "/v2/orders", json=body).json() for body in (SINGLE, SPREAD)]
    for body in placed:
        assert mistakes("order", body) == []
        read = ask(made, "GET", f"/v2/orders/{body['id']}").json()
        assert mistakes("order", read) == []
    assert mistakes("order_mleg", placed[1]) == []
    again = ask(made, "POST", "/v2/orders", json=SINGLE)
    assert again.status_code == 422
    assert mistakes("trading_error", again.json()) == []
    canceled = ask(made, "DELETE", "/v2/orders")
    assert canceled.status_code == 207
    assert len(canceled.json()) == 1
    assert mistakes("cancel_all", canceled.json()) == []


def test_a_group_has_the_documented_shape_nested_or_not(ask, mistakes):
    made = create_app(exchange())
    exits = {"take_profit": {"limit_price": "900"}, "stop_loss": {"stop_price": "1"}}
    body = {"symbol": "SPY", "side": "buy", "qty": "1", "type": "market", "time_in_force": "day"}
    placed = ask(made, "POST", "/v2/orders", json=body | exits | {"order_class": "bracket"}).json()
    assert mistakes("order_bound", placed) == []
    for query in ("status=all&nested=true", "status=all"):
        assert mistakes("orders", ask(made, "GET", f"/v2/orders?{query}").json()) == []
    leg = placed["legs"][1]["id"]
    changed = ask(made, "PATCH", f"/v2/orders/{leg}", json={"stop_price": "2"}).json()
    assert mistakes("order_exit", changed) == []


def test_replaced_and_closing_orders_have_the_documented_shape(ask, mistakes):
    made = create_app(exchange())
    first = ask(made, "POST", "/v2/orders", json=SINGLE).json()
    second = ask(made, "PATCH", f"/v2/orders/{first['id']}", json={"limit_price": "0.06"}).json()
    old = ask(made, "GET", f"/v2/orders/{first['id']}").json()
    assert (old["status"], old["replaced_by"]) == ("replaced", second["id"])
    ask(made, "POST", "/v2/orders", json=SPREAD)
    refused = ask(made, "DELETE", f"/v2/positions/{PUT}").json()
    assert mistakes("trading_error", refused) == []
    each = ask(made, "DELETE", "/v2/positions").json()
    assert [row["status"] for row in each] == [403, 200]
    assert mistakes("close_all", each) == []
    ask(made, "DELETE", f"/v2/orders/{second['id']}")
    closed = ask(made, "DELETE", f"/v2/positions/{PUT}").json()
    for order in (second, old, closed):
        assert mistakes("order", order) == []


def test_what_a_day_and_its_night_leave_behind_has_the_documented_shape(ask, mistakes):
    broker = exchange(hour=9, cash=200_000, fees=True, dividends=True, sell_out="nothing")
    listed = [c for c in broker.market.contracts("SPY", broker.now) if c.last_day == DAY]
    low, high = listed[0].strike, listed[-1].strike
    held = {("call", low): 1, ("put", high): -1, ("call", high): 1}
    for contract in listed:
        qty = held.get((contract.right, contract.strike))
        if qty:
            broker.book_by_hand(contract.symbol, contract, qty, Decimal(1))
    broker.book_by_hand("AAPL", None, 100, Decimal(100))
    made = create_app(broker)
    ask(made, "POST", "/sim/clock", json={"now": "2026-11-20T16:00:00Z"})
    for body in (SINGLE | {"limit_price": "90"}, SPREAD):
        assert ask(made, "POST", "/v2/orders", json=body).status_code == 200
    ask(made, "POST", "/sim/clock", json={"now": "2026-11-25T16:00:00Z"})
    rows = ask(made, "GET", "/v2/account/activities").json()
    assert mistakes("activities", rows) == []
    kinds = {"FILL", "JNLS", "OPEXC", "OPASN", "OPTRD", "OPEXP", "SPLIT", "DIV", "FEE"}
    assert {row["activity_type"] for row in rows} == kinds


def test_a_shape_finds_a_key_too_many_one_too_few_and_a_number_that_should_be_text(mistakes):
    right = {"timestamp": "2026-11-20T11:48:15.043465234-05:00", "is_open": True}
    right |= {"next_open": "2026-11-23T09:30:00-05:00", "next_close": "2026-11-20T16:00:00-05:00"}
    assert mistakes("clock", right) == []
    assert mistakes("clock", right | {"more": 1})
    assert mistakes("clock", {k: v for k, v in right.items() if k != "is_open"})
    assert mistakes("decimal", 4.1)
    assert mistakes("decimal", "4,1")


@pytest.mark.parametrize(
    ("zero", "keys"), [("zero", {"greeks"}), ("absent", set())], ids=["zero", "absent"]
)
def test_on_the_day_of_expiry_greeks_are_zero_or_not_there(ask, mistakes, zero, keys):
    made = create_app(exchange(expiry_greeks=zero))
    path = "/v1beta1/options/snapshots/SPY?expiration_date=2026-11-20&limit=5"
    body = ask(made, "GET", path).json()
    assert mistakes("option_snapshots", body) == []
    for snapshot in body["snapshots"].values():
        assert {"greeks", "impliedVolatility"} & set(snapshot) == keys
        assert set(snapshot.get("greeks", {}).values()) <= {0.0}
