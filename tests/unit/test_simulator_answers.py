"""Whatever is asked, the simulated broker answers in JSON and never with a server error."""

import asyncio
import json
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.app import DATA_READS, TRADING_READS, create_app
from simulator.exchange import Exchange
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
APP = create_app(
    Exchange(
        Synthetic(DAY, ["AAPL"], 7, SESSIONS),
        SESSIONS,
        account="ASK",
        cash=Decimal(100_000),
        start=new_york_moment(DAY, 11, 0),
    )
)
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


def ask(method, path, **more):
    async def send():
        transport = httpx.ASGITransport(app=APP)  # an exception in the app comes out here
        async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
            return await client.request(method, path, headers=KEYS, **more)

    return asyncio.run(send())


leg = {"symbol": "AAPL261204C00230000", "ratio_qty": 1, "position_intent": "buy_to_open"}
other = {"symbol": "AAPL261204C00240000", "ratio_qty": 1, "position_intent": "sell_to_open"}
SINGLE = leg | {"side": "buy", "qty": 1, "type": "limit", "limit_price": 9, "time_in_force": "day"}
MULTILEG = {
    "order_class": "mleg",
    "qty": 1,
    "type": "limit",
    "limit_price": 1,
    "legs": [leg, other],
}
MULTILEG |= {"time_in_force": "day"}
ODD = [None, "", 0, -1, 1.5, 1e308, "NaN", "inf", True, [], {}, "\ud800", "\0", 10**30, "1e400000"]
KEYS_ASKED = st.sampled_from([*SINGLE, "order_class", "legs", "client_order_id", "notional"])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([SINGLE, MULTILEG]),
    st.dictionaries(KEYS_ASKED, st.sampled_from(ODD), min_size=1, max_size=3),
    st.booleans(),
)
def test_an_odd_order_is_refused_with_a_code_or_taken(body, odd, in_a_leg):
    sent = json.loads(json.dumps(body))
    (sent["legs"][0] if in_a_leg and "legs" in sent else sent).update(odd)
    answer = ask("POST", "/v2/orders", content=json.dumps(sent))
    assert answer.status_code in {200, 400, 403, 422}
    assert answer.status_code == 200 or set(answer.json()) >= {"code", "message"}


paths = st.sampled_from([*TRADING_READS, *DATA_READS])
names = st.sampled_from(["AAPL", "AAPL261204C00230000", "x", "\0", "é", "FILL"])
QUERIES = "limit page_token type strike_price_gte expiration_date symbols start end timeframe"
QUERIES += " status after until date page_size client_order_id updated_since before_order_id"
VALUES = ["", "0", "1", "-1", "NaN", "x", "2026-11-20", "9999-12-31", "0001-01-01", "AAPL", "é"]
VALUES += ["2026-11-20T15:00:00Z", "9999-12-31T23:59:59-14:00", "1Min", "1Day", "all", "////"]


@settings(max_examples=300, deadline=None)
@given(
    paths,
    names,
    st.dictionaries(st.sampled_from(QUERIES.split()), st.sampled_from(VALUES), max_size=3),
)
def test_an_odd_question_is_answered_or_refused(path, name, query):
    answer = ask("GET", path.replace("{name}", quote(name)), params=query)
    assert answer.status_code in {200, 400, 404, 422}
    if answer.status_code != 200:
        assert "message" in answer.json()
