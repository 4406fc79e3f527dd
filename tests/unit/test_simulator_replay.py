"""A replayed market shows what was recorded by now: no later row, no unprinted contract."""

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from simulator.exchange import Exchange
from simulator.replay import open_replay
from simulator.sessions import Sessions
from simulator.startup import StartupError
from simulator.tape import Tape
from simulator.times import new_york_moment
from simulator.wire_data import snapshots

THURSDAY, FRIDAY = date(2014, 6, 19), date(2014, 6, 20)
SESSIONS = Sessions(THURSDAY, FRIDAY)
#: A monthly contract of the time: Saturday in its symbol, last traded on the Friday.
SATURDAY_CALL, LATER_PUT = "TWX140621C00070000", "TWX140719P00070000"


def row(symbol, day, clock, bid, ask, **more):
    end = pd.to_datetime(symbol[3:9], format="%y%m%d").date()
    moment = pd.Timestamp(f"{day} {clock}", tz="America/New_York").tz_convert("UTC")
    return {
        "ts": moment,
        "symbol": symbol,
        "underlying": "TWX",
        "expiration": end,
        "strike": 70.0,
        "type": symbol[9],
        "bid": bid,
        "ask": ask,
        "bid_size": 3 if bid else None,
        "ask_size": 4,
        "open_interest": None,
        "underlying_price": 71.005,
        "bid_age": 2,
        "ask_age": 1,
    } | more


def record(folder, day, rows):
    frame = pd.DataFrame(rows)
    whole = ["bid_size", "ask_size", "open_interest", "bid_age", "ask_age"]
    frame = frame.astype(dict.fromkeys(whole, "Int64") | {"bid": "float64"})
    frame.to_parquet(folder / f"TWX-{day}.parquet")


@pytest.fixture
def market(tmp_path):
    folder = tmp_path / "options-minute"
    folder.mkdir()
    thursday = [
        row(SATURDAY_CALL, THURSDAY, "10:00", 1.10, 1.20),
        row(SATURDAY_CALL, THURSDAY, "10:05", None, 1.15, underlying_price=71.5),
        row(LATER_PUT, THURSDAY, "10:03", 2.0, 2.1),
    ]
    record(folder, THURSDAY, thursday)
    record(folder, FRIDAY, [row(LATER_PUT, FRIDAY, "09:40", 3.0, 3.1, open_interest=9)])
    text = "underlying,date,official_close\nTWX,2014-06-20,70.50\nTWX,2014-06-19,71.20\n"
    (tmp_path / "trading-days.csv").write_text(text)
    return open_replay(tmp_path, ["TWX"], [THURSDAY, FRIDAY], SESSIONS)


def at(day, hour, minute):
    return new_york_moment(day, hour, minute)


def test_a_contract_appears_with_its_first_row_and_keeps_its_last_one(market):
    assert market.chain("TWX", at(THURSDAY, 9, 59)).contracts == []
    assert list(market.chain("TWX", at(THURSDAY, 10, 2)).rows) == [SATURDAY_CALL]
    later = market.chain("TWX", at(THURSDAY, 10, 4))
    assert list(later.rows) == [SATURDAY_CALL, LATER_PUT]
    assert later.quote(SATURDAY_CALL).bid == Decimal("1.1")


def test_a_quote_is_as_old_as_its_younger_side(market):
    quote = market.chain("TWX", at(THURSDAY, 10, 2)).quote(SATURDAY_CALL)
    assert quote.at == at(THURSDAY, 9, 59)


def test_a_side_that_is_not_quoted_is_zero_in_json_and_nothing_in_a_quote(market):
    chain = market.chain("TWX", at(THURSDAY, 10, 5))
    assert chain.quote(SATURDAY_CALL).bid is None
    shown = snapshots(chain, [0])[SATURDAY_CALL]["latestQuote"]
    assert (shown["bp"], shown["bs"], shown["ap"], shown["as"]) == (0.0, 0, 1.15, 4)


def test_the_stock_is_known_from_the_end_of_its_minute_on(market):
    assert market.spot("TWX", at(THURSDAY, 9, 59)) is None
    assert market.spot("TWX", at(THURSDAY, 10, 4)) == (at(THURSDAY, 10, 3), Decimal("71.005"))
    assert market.spot("TWX", at(THURSDAY, 10, 5))[1] == Decimal("71.5")


def test_a_contract_with_a_saturday_in_its_symbol_ends_on_the_friday(market):
    contract = market.contract(SATURDAY_CALL, at(THURSDAY, 9, 0))
    assert (contract.expiration.day, contract.last_day) == (21, FRIDAY)
    assert market.official_close("TWX", FRIDAY) == Decimal("70.50")


def test_a_day_begins_with_the_rows_of_the_day_before_and_then_has_its_own(market):
    assert list(market.chain("TWX", at(FRIDAY, 9, 29)).rows) == [SATURDAY_CALL, LATER_PUT]
    assert list(market.chain("TWX", at(FRIDAY, 9, 39)).rows) == []
    assert list(market.chain("TWX", at(FRIDAY, 9, 40)).rows) == [LATER_PUT]


def test_contracts_are_listed_from_their_day_on_with_that_days_open_interest(market):
    assert market.contract(LATER_PUT, at(THURSDAY, 15, 0)).open_interest is None
    assert market.contract(LATER_PUT, at(FRIDAY, 9, 0)).open_interest == 9
    assert market.last_close(LATER_PUT, at(FRIDAY, 9, 0)) == (THURSDAY, Decimal("2.05"))
    assert market.last_close("TWX", at(FRIDAY, 9, 0)) == (THURSDAY, Decimal("71.20"))


def test_the_finer_recording_of_a_day_wins(tmp_path):
    for name, ask in (("options-hour", 5.0), (".", 4.0), ("options-minute", 3.0)):
        (tmp_path / name).mkdir(exist_ok=True)
        record(tmp_path / name, FRIDAY, [row(LATER_PUT, FRIDAY, "10:00", 2.0, ask)])
    market = open_replay(tmp_path, [], [], SESSIONS)
    assert market.chain("TWX", at(FRIDAY, 10, 0)).quote(LATER_PUT).ask == Decimal("3.0")


def trade(symbol, clock, price, volume):
    moment = pd.Timestamp(f"{THURSDAY} {clock}", tz="America/New_York").tz_convert("UTC")
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    return {"ts": moment, "symbol": symbol, "volume": volume} | prices


def test_trades_of_a_recording_are_the_recorded_ones_and_none_are_made_up(market, tmp_path):
    tape = Tape(market, SESSIONS)
    end = at(THURSDAY, 16, 0)
    call = market.contract(SATURDAY_CALL, end)
    assert list(tape.minutes(call, at(THURSDAY, 9, 30), end)) == []
    folder = tmp_path / "option-trades-minute"
    folder.mkdir()
    rows = [trade(SATURDAY_CALL, "10:04", 1.2, 7), trade(SATURDAY_CALL, "10:02", 1.15, 3)]
    pd.DataFrame(rows).to_parquet(folder / f"TWX-{THURSDAY}.parquet")
    known = open_replay(tmp_path, ["TWX"], [THURSDAY, FRIDAY], SESSIONS)
    bars = list(Tape(known, SESSIONS).minutes(call, at(THURSDAY, 9, 30), end))
    # a row is stamped with the end of its minute, a bar with the beginning
    assert [(bar.at, bar.close, bar.volume) for bar in bars] == [
        (at(THURSDAY, 10, 1), 1.15, 3),
        (at(THURSDAY, 10, 3), 1.2, 7),
    ]
    early = Tape(known, SESSIONS).minutes(call, at(THURSDAY, 9, 30), at(THURSDAY, 10, 2))
    assert list(early) == bars[:1]
    assert list(tape.prints(call, at(THURSDAY, 9, 30), end)) == []
    assert tape.latest([call], end) == [None]


def test_a_file_of_trades_that_cannot_be_read_is_named(market, tmp_path):
    folder = tmp_path / "option-trades-minute"
    folder.mkdir()
    path = folder / f"TWX-{THURSDAY}.parquet"
    path.write_text("no parquet")
    with pytest.raises(StartupError, match="TWX-2014-06-19"):
        open_replay(tmp_path, ["TWX"], [THURSDAY, FRIDAY], SESSIONS)


def test_a_recorded_split_carries_a_position_into_the_contracts_of_the_next_day(tmp_path):
    old, new = LATER_PUT, "TWX140719P00010000"
    record(tmp_path, THURSDAY, [row(old, THURSDAY, "10:00", 7.0, 7.1)])
    after = row(new, FRIDAY, "09:40", 1.0, 1.1, strike=10.0, open_interest=70)
    record(tmp_path, FRIDAY, [after | {"underlying_price": 10.0}])
    text = "underlying,ex_date,kind,amount,ratio\nTWX,2014-06-20,split,,7.0\n"
    (tmp_path / "corporate-actions.csv").write_text(text)
    market = open_replay(tmp_path, [], [], SESSIONS)
    (adjustment,) = market.adjustments(FRIDAY)
    assert (adjustment.old.symbol, adjustment.count) == (old, 7)
    assert adjustment.new == market.contract(new, at(FRIDAY, 9, 30))
    assert market.contract(old, at(FRIDAY, 9, 0)) is not None
    assert market.contract(old, at(FRIDAY, 9, 30)) is None
    assert market.adjustments(THURSDAY) == []


def test_after_a_recorded_split_the_last_price_counts_in_new_shares_until_the_first_row(tmp_path):
    record(tmp_path, THURSDAY, [row(LATER_PUT, THURSDAY, "10:00", 7.0, 7.1)])
    after = row("TWX140719P00010000", FRIDAY, "10:00", 1.0, 1.1, strike=10.0)
    record(tmp_path, FRIDAY, [after | {"underlying_price": 10.5}])
    text = "underlying,ex_date,kind,amount,ratio\nTWX,2014-06-20,split,,7.0\n"
    (tmp_path / "corporate-actions.csv").write_text(text)
    market = open_replay(tmp_path, [], [], SESSIONS)
    exchange = Exchange(
        market, SESSIONS, account="R", cash=Decimal(100_000), start=at(THURSDAY, 11, 0)
    )
    exchange.place(
        {"symbol": "TWX", "qty": "100", "side": "buy", "type": "market", "time_in_force": "day"}
    )
    exchange.route()
    before = exchange.figures().equity
    exchange.advance(at(FRIDAY, 9, 29))
    assert (market.spot("TWX", exchange.now)[1], exchange.book.qty("TWX")) == (
        Decimal("71.005"),
        100,
    )
    exchange.advance(at(FRIDAY, 9, 31))
    assert exchange.book.qty("TWX") == 700
    assert market.spot("TWX", exchange.now) == (at(THURSDAY, 10, 0), Decimal("10.1436"))
    assert abs(exchange.figures().equity - before) < 10
    assert market.spot("TWX", at(FRIDAY, 10, 0))[1] == Decimal("10.5")


def test_what_a_recording_does_not_know_is_not_made_up(market):
    assert market.official_close("TWX", date(2014, 6, 18)) is None
    assert market.halt("TWX", at(THURSDAY, 10, 5)) is None
    assert market.actions(at(FRIDAY, 10, 0)) == []
    chain = market.chain("TWX", at(FRIDAY, 10, 0))
    assert chain.vol is None
    assert chain.greeks == {}
    assert market.minutes("TWX", at(THURSDAY, 10, 5), at(THURSDAY, 15, 0)) == []
