"""However long a run, a question costs what its answer holds and not what lies behind it."""

from datetime import date
from decimal import Decimal

import pytest

from simulator import listing, premium, routes_options
from simulator.exchange import Exchange
from simulator.profile import PROFILES
from simulator.sessions import Sessions
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_moment

FIRST = date(2026, 11, 20)
SESSIONS = Sessions(FIRST, FIRST)
LATER = new_york_moment(date(2027, 5, 24), 11, 0)  # 126 sessions on
CONTRACT = "SPY261218C00600000"
EXPIRED = "SPY261120C00600000"


@pytest.fixture
def market():
    return Synthetic(FIRST, ["SPY"], 7, SESSIONS)


@pytest.fixture
def counted(monkeypatch):
    """Contracts that were made, and rows that were priced by the tree."""
    counts = {"made": 0, "priced": 0}
    contract, additions = listing._contract, premium.additions

    def making(*terms):
        counts["made"] += 1
        return contract(*terms)

    def pricing(terms, at, inputs):
        counts["priced"] += len(inputs.strike)
        return additions(terms, at, inputs)

    monkeypatch.setattr(listing, "_contract", making)
    monkeypatch.setattr(premium, "additions", pricing)
    return counts


def test_looking_for_one_contract_makes_no_listing_of_a_past_day(market, counted):
    market.chain("SPY", LATER)
    counted["made"] = 0
    assert market.contract("SPY991218C00600000", LATER) is None
    assert market.contract("SPY270228C00600000", LATER) is None  # a Sunday
    assert market.contract("SPY261199C00600000", LATER) is None
    assert counted["made"] == 0
    assert market.contract(EXPIRED, LATER).last_day == FIRST
    assert counted["made"] < 200  # what ended with it


def test_what_has_ended_is_made_once(market, counted):
    before = market.contracts("SPY", LATER)
    counted["made"] = 0
    assert market.contracts("SPY", LATER + MINUTE) == before
    assert counted["made"] == 0
    market.contracts("SPY", new_york_moment(date(2027, 5, 25), 11, 0))
    assert counted["made"] < 2000  # a listing, and what ended the day before


def test_what_has_ended_is_what_was_listed_on_its_last_day(market):
    known = {contract.symbol: contract for contract in market.contracts("SPY", LATER)}
    for day in (FIRST, date(2026, 12, 24), date(2027, 3, 19)):
        listed = market.contracts("SPY", new_york_moment(day, 11, 0))
        ending = [contract for contract in listed if contract.last_day == day]
        assert ending
        assert all(known[contract.symbol] == contract for contract in ending)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_one_contract_alone_is_quoted_as_in_its_chain(name):
    market = Synthetic(FIRST, [name], 7, SESSIONS)
    for moment in (
        new_york_moment(date(2026, 12, 17), 11, 7),
        new_york_moment(date(2026, 12, 17), 16, 30),
        new_york_moment(date(2026, 12, 18), 8, 0),
        new_york_moment(date(2026, 12, 18), 15, 59),
    ):
        chain = market.chain(name, moment)
        for contract in chain.contracts[::37]:
            alone = market.chain_of(contract, moment)
            assert alone.quote(contract.symbol) == chain.quote(contract.symbol)
    ended = market.contract(f"{name}261218C00{150 if name == 'NVDA' else 200}000", moment + 1)
    later = new_york_moment(date(2026, 12, 18), 16, 0)
    assert ended is None or market.chain_of(ended, later) is None


def exchange_at(moment, market):
    return Exchange(market, SESSIONS, account="L", cash=Decimal(100_000), start=moment)


def test_bars_of_one_contract_price_no_other_and_no_more_than_the_page(market, counted):
    exchange = exchange_at(new_york_moment(date(2026, 12, 17), 10, 0), market)
    query = {"symbols": CONTRACT, "timeframe": "1Min", "start": "2026-11-20", "limit": "1"}
    page = routes_options.bars(exchange, query, "")
    assert len(page["bars"][CONTRACT]) == 1
    assert page["next_page_token"]
    assert 0 < counted["priced"] < 200  # one contract in one session
    whole = routes_options.bars(exchange, query | {"limit": "10000"}, "")["bars"][CONTRACT]
    assert len(whole) > 500
    assert counted["priced"] < 200 * 20  # one contract in nineteen sessions


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("timeframe", ["1Min", "1Hour", "1Week"])
def test_pages_of_one_contracts_bars_join_to_the_whole(market, sort, timeframe):
    exchange = exchange_at(new_york_moment(date(2026, 12, 3), 10, 0), market)
    asked = {"symbols": CONTRACT, "timeframe": timeframe, "start": "2026-11-23", "sort": sort}
    whole = routes_options.bars(exchange, asked | {"limit": "10000"}, "")["bars"][CONTRACT]
    rows, token = [], ""
    while token is not None:
        query = asked | {"limit": "7"} | ({"page_token": token} if token else {})
        page = routes_options.bars(exchange, query, "")
        rows += page["bars"][CONTRACT]
        token = page["next_page_token"]
    assert rows == whole
    times = [row["t"] for row in whole]
    assert times == sorted(times, reverse=sort == "desc")
