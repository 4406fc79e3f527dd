"""Questions about data: their pages, bounds, feeds and limits."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.sessions import Sessions
from simulator.switches import Switches
from simulator.symbols import Deliverable
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment
from simulator.wire_reference import deliverables

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
MARKET = Synthetic(DAY, ["AAPL", "SPY"], 7, SESSIONS)
OPTIONS = "AAPL261204C00230000,SPY261224P00575000,SPY261224P00600000"
BARS = "/v1beta1/options/bars"
STOCK_BARS = "/v2/stocks/bars"


def app_with(hour=12, **switches):
    return create_app(
        Exchange(
            MARKET,
            SESSIONS,
            account="ASK",
            cash=Decimal(100_000),
            start=new_york_moment(DAY, hour, 5),
            switches=Switches(**switches),
        )
    )


APP = app_with()
BASIC = app_with(data_plan="basic")


@pytest.fixture(scope="module")
def get(ask):
    def answer(path, app=APP, **params):
        return ask(app, "GET", path, params=params)

    return answer


def all_pages(get, path, key, limit, **params):
    found, token, pages = {}, None, 0
    while True:
        more = {"page_token": token} if token else {}
        body = get(path, limit=limit, **params, **more).json()
        sizes = [len(rows) for rows in body[key].values()]
        assert sum(sizes) <= limit
        for symbol, rows in body[key].items():
            found.setdefault(symbol, []).extend(rows)
        token, pages = body["next_page_token"], pages + 1
        if token is None:
            return found, pages


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.sampled_from(["asc", "desc"]), st.sampled_from(["bars", "trades"]))
def test_pages_of_any_size_join_to_the_whole_without_gap_or_double(get, limit, sort, kind):
    params = {"symbols": OPTIONS, "sort": sort}
    if kind == "bars":
        params["timeframe"] = "5Min"
    path = f"/v1beta1/options/{kind}"
    whole = get(path, limit=10_000, **params).json()
    assert whole["next_page_token"] is None
    joined, pages = all_pages(get, path, kind, limit, **params)
    assert joined == whole[kind]
    assert pages == -(-sum(map(len, joined.values())) // limit)
    for rows in joined.values():
        times = [row["t"] for row in rows]
        assert times == sorted(times, reverse=sort == "desc")


def test_a_chain_in_pages_is_the_chain(get):
    path = "/v1beta1/options/snapshots/SPY"
    whole, token = {}, ""
    while token is not None:
        body = get(path, limit=333, page_token=token).json()
        assert not set(body["snapshots"]) & set(whole)
        whole |= body["snapshots"]
        token = body["next_page_token"]
    assert list(whole) == sorted(MARKET.chain("SPY", new_york_moment(DAY, 12, 5)).rows)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "limit": 10_001}),
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "limit": 0}),
        (BARS, {"symbols": OPTIONS}),
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "page_token": "AAAA"}),
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "sort": "up"}),
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "start": "soon"}),
        (BARS, {"symbols": OPTIONS, "timeframe": "1Min", "start": DAY, "end": "2026-11-19"}),
        (BARS, {"symbols": OPTIONS.lower(), "timeframe": "1Min"}),
        (
            BARS,
            {"symbols": ",".join(f"SPY261224P{k:08d}" for k in range(101)), "timeframe": "1Min"},
        ),
        ("/v1beta1/options/snapshots/SPY", {"limit": 1001}),
        ("/v1beta1/options/snapshots/SPY", {"feed": "sip"}),
        ("/v1beta1/options/snapshots/spy", {}),
        ("/v1beta1/options/snapshots", {}),
        ("/v1beta1/options/meta/conditions/bar", {}),
        ("/v2/stocks/meta/conditions/trade", {}),
        ("/v2/stocks/quotes/latest", {"symbols": "spy"}),
        ("/v2/stocks/quotes/latest", {"symbols": "SPY261224P00575000"}),
        ("/v2/stocks/quotes/latest", {"symbols": "SPY", "currency": "EUR"}),
        (STOCK_BARS, {"symbols": "SPY", "timeframe": "1Day", "feed": "delayed_sip"}),
        (STOCK_BARS, {"symbols": "SPY", "timeframe": "1Day", "adjustment": "magic"}),
        (STOCK_BARS, {"symbols": "SPY", "timeframe": "1Day", "asof": "once"}),
        ("/v1/corporate-actions", {"types": "party"}),
        ("/v1/corporate-actions", {"ids": "x"}),
        ("/v1/corporate-actions", {"ids": "b28f4066-5c6d-479b-a2af-85dc1a8f16fb", "types": "x"}),
        ("/v1/corporate-actions", {"limit": 1001}),
    ],
)
def test_a_question_outside_the_documented_bounds_is_refused_with_a_message_alone(
    get, mistakes, path, params
):
    answer = get(path, **params)
    assert answer.status_code == 400
    assert mistakes("data_error", answer.json()) == []


def test_unknown_symbols_are_missing_and_alone_they_are_not_found(get):
    assert get("/v2/stocks/trades/latest", symbols="SPY,ZZZ").json()["trades"].keys() == {"SPY"}
    assert get(STOCK_BARS, symbols="ZZZ", timeframe="1Day").json()["bars"] == {}
    assert get("/v1beta1/options/quotes/latest", symbols="SPY261224P00000001").json() == {
        "quotes": {}
    }
    assert get("/v2/stocks/ZZZ/quotes/latest").status_code == 404


def test_the_free_plan_is_refused_opra_and_the_last_minutes_of_sip(get):
    refused = get("/v1beta1/options/snapshots/SPY", BASIC, feed="opra")
    assert (refused.status_code, refused.json()) == (
        403,
        {"message": "OPRA agreement is not signed"},
    )
    recent = {"symbols": "SPY", "timeframe": "1Min", "end": "2026-11-20T17:00:00Z"}
    refused = get(STOCK_BARS, BASIC, **recent)
    assert refused.status_code == 403
    assert get(STOCK_BARS, BASIC, **recent, feed="iex").status_code == 200
    assert get(STOCK_BARS, **recent).status_code == 200
    assert get("/v2/stocks/quotes/latest", BASIC, symbols="SPY", feed="sip").status_code == 403
    assert get("/v2/stocks/quotes/latest", BASIC, symbols="SPY").status_code == 200
    late = get(STOCK_BARS, BASIC, symbols="SPY", timeframe="1Min").json()["bars"]["SPY"][-1]
    assert late["t"] == "2026-11-20T16:49:00Z"


def test_late_feeds_are_fifteen_minutes_late(get):
    path = "/v2/stocks/trades/latest"
    now = get(path, symbols="SPY").json()["trades"]["SPY"]["t"]
    late = get(path, symbols="SPY", feed="delayed_sip").json()["trades"]["SPY"]["t"]
    assert (now[11:16], late[11:16]) == ("17:05", "16:50")
    path = "/v1beta1/options/trades/latest"
    busy = get(path, symbols=OPTIONS).json()["trades"]
    assert {trade["t"][11:16] for trade in busy.values()} == {"17:00"}
    late = get(path, symbols=OPTIONS, feed="indicative").json()["trades"]
    assert {trade["t"][11:16] for trade in late.values()} == {"16:50", "16:30"} - {"16:30"}


def test_indicative_quotes_may_lie_outside_the_true_ones_and_never_inside(get):
    off = app_with(indicative_off_cents=2)
    path, params = "/v1beta1/options/snapshots/SPY", {"limit": 200, "expiration_date": "2026-12-24"}
    true = get(path, off, **params).json()["snapshots"]
    shown = get(path, off, **params, feed="indicative").json()["snapshots"]
    assert true != shown
    for symbol in true:
        one, other = true[symbol]["latestQuote"], shown[symbol]["latestQuote"]
        assert 0 <= round(one["bp"] - other["bp"], 2) <= 0.02
        assert 0 <= round(other["ap"] - one["ap"], 2) <= 0.02


def test_updated_since_keeps_what_is_as_young(get):
    path = "/v1beta1/options/snapshots/SPY"
    assert get(path, updated_since="2026-11-20T17:05:00Z", limit=5).json()["snapshots"]
    assert get(path, updated_since="2026-11-20T17:05:01Z").json()["snapshots"] == {}


def test_bars_begin_today_end_now_and_hold_no_minute_that_still_runs(get):
    bars = get(STOCK_BARS, symbols="SPY", timeframe="1Min").json()["bars"]["SPY"]
    assert (bars[0]["t"], bars[-1]["t"]) == ("2026-11-20T14:30:00Z", "2026-11-20T17:04:00Z")
    daily = get(STOCK_BARS, symbols="SPY", timeframe="1Day", start="2026-11-19", end="2026-11-19")
    assert [bar["t"] for bar in daily.json()["bars"]["SPY"]] == ["2026-11-19T05:00:00Z"]
    ahead = get(STOCK_BARS, symbols="SPY", timeframe="1Min", start="2026-11-20T18:00:00Z")
    assert ahead.json() == {"bars": {}, "next_page_token": None}


def test_a_day_of_an_option_holds_its_minutes(get):
    def one(timeframe):
        return get(BARS, symbols="SPY261224P00575000", timeframe=timeframe).json()["bars"]

    (minutes,), (day,) = one("1Min").values(), one("1Day").values()
    assert day[0]["v"] == sum(bar["v"] for bar in minutes)
    assert day[0]["h"] == max(bar["h"] for bar in minutes)
    assert day[0]["l"] == min(bar["l"] for bar in minutes)
    assert (day[0]["o"], day[0]["c"]) == (minutes[0]["o"], minutes[-1]["c"])


def test_contracts_are_filtered_by_every_parameter(get):
    path = "/v2/options/contracts"

    def listed(**params):
        return get(path, limit=10_000, **params).json()["option_contracts"]

    assert {c["expiration_date"] for c in listed(underlying_symbols="SPY")} == {"2026-11-20"}
    assert listed(style="european") == listed(underlying_symbols="ZZZ") == []
    assert listed(ppind="False") == []
    puts = listed(
        type="put", root_symbol="AAPL", expiration_date="2026-12-04", strike_price_lte=230
    )
    assert puts
    assert all(c["type"] == "put" and float(c["strike_price"]) <= 230 for c in puts)
    assert all("deliverables" not in c for c in puts)
    (part,) = listed(show_deliverables=True, underlying_symbols="SPY")[0]["deliverables"]
    assert (part["symbol"], part["amount"]) == ("SPY", "100")
    for wrong in ({"limit": 10_001}, {"ppind": "maybe"}, {"style": "x"}, {"status": "x"}):
        assert get(path, **wrong).json()["code"] == 40010000


def test_assets_are_filtered_by_every_parameter(get):
    def symbols(**params):
        return [asset["symbol"] for asset in get("/v2/assets", **params).json()]

    assert symbols() == symbols(status="active") == symbols(attributes="ipo,has_options")
    assert symbols(exchange="ARCA") == ["SPY"]
    assert symbols(status="inactive") == symbols(asset_class="crypto") == symbols(attributes="ipo")
    assert get("/v2/assets", attributes="pretty").status_code == 400
    assert get("/v2/assets/ZZZ").json()["code"] == 40410000


def test_the_calendar_can_be_asked_by_settlement(get):
    params = {"start": "2026-11-30", "end": "2026-11-30"}
    settled = get("/v2/calendar", **params, date_type="SETTLEMENT").json()
    assert [day["date"] for day in settled] == ["2026-11-27"]
    assert [day["date"] for day in get("/v2/calendar", **params).json()] == ["2026-11-30"]
    half = get("/v3/calendar/NYSE", start="2026-11-27", end="2026-11-27").json()["calendar"][0]
    assert (half["core_end"], half["post_end"]) == (
        "2026-11-27T13:00:00-05:00",
        "2026-11-27T17:00:00-05:00",
    )
    clock = get("/v3/clock", markets="OPRA", time="2026-11-26T15:00:00Z").json()["clocks"][0]
    assert (clock["phase"], clock["is_market_day"]) == ("closed", False)
    assert get("/v3/calendar/MOON").status_code == 400


def test_an_adjusted_contract_shows_what_it_delivers():
    listed = MARKET.contract("AAPL261204C00230000", new_york_moment(DAY, 12, 0))
    parts = (
        Deliverable(kind="equity", symbol="AAPL", amount=Decimal(150)),
        Deliverable(kind="cash", symbol="USD", amount=Decimal("12.50"), percent=Decimal(0)),
    )
    shown = deliverables(replace(listed, size=150, deliverables=parts))
    assert [(part["type"], part["amount"]) for part in shown] == [
        ("equity", "150"),
        ("cash", "12.5"),
    ]
    assert "asset_id" not in shown[1]
    (whole,) = deliverables(listed)
    assert (whole["symbol"], whole["amount"], whole["settlement_method"]) == ("AAPL", "100", "CCC")


def test_in_the_first_minute_of_a_day_the_latest_bar_is_the_last_of_the_day_before(get):
    monday = date(2026, 11, 23)
    sessions = Sessions(DAY, monday)
    exchange = Exchange(
        Synthetic(DAY, ["SPY"], 7, sessions),
        sessions,
        account="ASK",
        cash=Decimal(100_000),
        start=new_york_moment(monday, 9, 30),
    )
    app = create_app(exchange)
    bar = get("/v2/stocks/SPY/bars/latest", app).json()["bar"]
    assert bar["t"] == "2026-11-20T20:59:00Z"
    assert get("/v2/stocks/SPY/snapshot", app).json()["minuteBar"] == bar


def test_a_stock_is_on_the_tape_of_its_listing_with_that_tapes_codes(get):
    for symbol, tape, sale in (("SPY", "B", " "), ("AAPL", "C", "@")):
        shown = get("/v2/stocks/snapshots", symbols=symbol).json()[symbol]
        assert (shown["latestQuote"]["z"], shown["latestTrade"]["z"]) == (tape, tape)
        assert shown["latestTrade"]["c"] == [sale]
        for kind in ("trades", "quotes"):
            rows = get(f"/v2/stocks/{symbol}/{kind}", limit=5).json()[kind]
            assert {row["z"] for row in rows} == {tape}
        trade = get("/v2/stocks/meta/conditions/trade", tape=tape).json()
        quote = get("/v2/stocks/meta/conditions/quote", tape=tape).json()
        assert trade[sale] == "Regular Sale"
        assert quote[shown["latestQuote"]["c"][0]].startswith("Regular")


def test_every_code_in_an_answer_is_in_its_table(get):
    exchanges = get("/v1beta1/options/meta/exchanges").json()
    sales = get("/v1beta1/options/meta/conditions/trade").json()
    marks = get("/v1beta1/options/meta/conditions/quote").json()
    trades = get("/v1beta1/options/trades", symbols=OPTIONS).json()["trades"]
    told = [row for rows in trades.values() for row in rows]
    assert {row["x"] for row in told} <= exchanges.keys()
    assert {row["c"] for row in told} <= sales.keys()
    quotes = get("/v1beta1/options/quotes/latest", symbols=OPTIONS).json()["quotes"].values()
    assert {code for one in quotes for code in (one["bx"], one["ax"])} - {" "} <= exchanges.keys()
    assert {one["c"] for one in quotes} <= marks.keys()
