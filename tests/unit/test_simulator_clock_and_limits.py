"""The clock's ways to go, how many requests a minute there are, and faults from a file."""

import asyncio
import json
from datetime import date
from decimal import Decimal

import httpx
import pytest

from simulator.__main__ import main
from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.fault_script import BadFault, read_file
from simulator.faults import Fault, FaultKind
from simulator.pace import MAX, Pace
from simulator.sessions import Sessions
from simulator.switches import BadSwitch, RateLimit, Switches
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, SECOND, new_york_moment

DAY = date(2026, 11, 20)
SESSIONS = Sessions(DAY, DAY)
MARKET = Synthetic(DAY, ["AAPL"], 7, SESSIONS)
START = new_york_moment(DAY, 11, 0)
KEYS = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}


def exchange(**switches):
    return Exchange(
        MARKET,
        SESSIONS,
        account="C",
        cash=Decimal(100_000),
        start=START,
        switches=Switches(**switches),
    )


def asked(app, *requests):
    """The answers, in order, through httpx's own transport for an app."""

    async def send():
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sim") as client:
            return [await client.request(*one, headers=KEYS) for one in requests]

    return asyncio.run(send())


ACCOUNT, DATA = ("GET", "/v2/account"), ("GET", "/v2/stocks/quotes/latest?symbols=AAPL")


def test_a_request_too_many_in_a_minute_is_turned_down_until_the_next_one():
    broker = exchange(rate_limit=RateLimit.ON, trading_requests_a_minute=3)
    app = create_app(broker)
    answers = asked(app, *[ACCOUNT] * 4, DATA)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 200]
    assert answers[3].json() == {"code": 42910000, "message": "rate limit exceeded"}
    remaining = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
    assert remaining == ["2", "1", "0", "0", "199"]
    reset = int(answers[3].headers["X-RateLimit-Reset"])
    assert reset == (START + MINUTE) // SECOND
    broker.advance(reset * SECOND)
    assert asked(app, ACCOUNT)[0].status_code == 200


def test_data_has_a_budget_of_its_own_and_refused_calls_count():
    app = create_app(exchange(rate_limit=RateLimit.ON, data_requests_a_minute=2))
    bad = ("GET", "/v2/stocks/quotes/latest")
    answers = asked(app, bad, DATA, DATA, ACCOUNT)
    assert [answer.status_code for answer in answers] == [400, 200, 429, 200]
    assert answers[2].json() == {"message": "too many requests."}


def test_a_clock_that_is_stepped_has_no_limit_and_one_that_runs_has():
    for pace, limited in ((Pace(0, START), False), (Pace(MAX, START), False), (None, False)):
        assert asked(create_app(exchange(trading_requests_a_minute=1), pace), ACCOUNT, ACCOUNT)[
            1
        ].status_code == (429 if limited else 200)
    slow = Pace(1e-9, START)  # it runs, and no minute ends
    answers = asked(create_app(exchange(trading_requests_a_minute=1), slow), ACCOUNT, ACCOUNT)
    assert answers[1].status_code == 429


def test_the_simulators_own_endpoints_cost_nothing():
    app = create_app(exchange(rate_limit=RateLimit.ON, trading_requests_a_minute=1))
    answers = asked(app, *[("GET", "/sim/state")] * 3, ACCOUNT)
    assert {answer.status_code for answer in answers} == {200}


def test_a_limit_below_one_is_no_limit_that_can_be_set():
    with pytest.raises(BadSwitch):
        Switches(trading_requests_a_minute=0)


def test_as_fast_as_possible_the_clock_is_a_minute_later_whenever_it_is_read():
    broker = exchange()
    app = create_app(broker, Pace(MAX, START))
    times = [answer.json()["timestamp"][:16] for answer in asked(app, *[("GET", "/v2/clock")] * 3)]
    assert times == ["2026-11-20T11:01", "2026-11-20T11:02", "2026-11-20T11:03"]
    broker.advance(new_york_moment(DAY, 16, 0))
    (shown,) = asked(app, ("GET", "/v2/clock"))
    assert shown.json()["timestamp"][:16] == "2026-11-23T09:30"
    assert asked(app, ACCOUNT)[0].status_code == 200
    assert broker.now == new_york_moment(date(2026, 11, 23), 9, 30)


def test_without_clients_a_day_passes_and_the_program_ends(capsys):
    assert main(["--headless", "1", "--underlying", "AAPL"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["days"], told["minutes"], told["until"][:16]) == (1, 390, "2026-11-20T21:00")
    assert told["quotes"] > 390 * 100


def test_faults_come_from_a_file_and_wait_for_their_moment(tmp_path):
    path = tmp_path / "faults.toml"
    path.write_text(
        """
[[faults]]
kind = "error_before"
method = "GET"
path = "/v2/account"
at = 2026-11-20T16:10:00Z
settings = { status = 503 }

[[faults]]
kind = "clock_skew"
settings = { seconds = -300 }
"""
    )
    broker = exchange()
    app = create_app(broker, faults=read_file(path, START, MARKET))
    assert asked(app, ACCOUNT)[0].status_code == 200
    broker.advance(START + 10 * MINUTE)
    assert [a.status_code for a in asked(app, ACCOUNT, ACCOUNT)] == [503, 200]
    assert asked(app, ("GET", "/v2/clock"))[0].json()["timestamp"][:16] == "2026-11-20T11:05"
    assert broker.faults.fired == {FaultKind.ERROR_BEFORE: 1, FaultKind.CLOCK_SKEW: 1}
    again = tmp_path / "faults.json"
    again.write_text(json.dumps([{"kind": "slow"}]))
    assert [fault.kind for fault in read_file(again, START, MARKET)] == [FaultKind.SLOW]


@pytest.mark.parametrize(
    "text", ["{", "7", '[{"kind": "none"}]', '{"kind": "a\\nb"}', '{"kind": "slow", "a\\nb": 1}']
)
def test_a_file_of_faults_that_cannot_be_read_is_one_line(tmp_path, capsys, text):
    path = tmp_path / "faults.json"
    path.write_text(text)
    with pytest.raises(BadFault):
        read_file(path, START, MARKET)
    assert main(["--faults", str(path), "--port", "0", "--underlying", "AAPL"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_same_faults_and_requests_give_the_same_account():
    def run():
        broker = exchange()
        faults = [
            Fault(kind=FaultKind.PARTIAL_FILLS),
            Fault(kind=FaultKind.ORDERS_LAG, settings={"seconds": 10}),
            Fault(kind=FaultKind.HAND_POSITION, symbol="AAPL", settings={"qty": 5, "price": 200}),
        ]
        app = create_app(broker, faults=faults)
        answers = asked(app, ACCOUNT, ("GET", "/v2/orders"), ("GET", "/sim/state"))
        return [answer.text for answer in answers]

    assert run() == run()
