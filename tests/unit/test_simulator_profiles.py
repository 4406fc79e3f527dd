"""Made-up underlyings from a file: dividends, splits, halts and moves happen on their days."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from simulator import routes_stocks
from simulator.__main__ import main
from simulator.corporate import adjusted
from simulator.exchange import Exchange
from simulator.market import GREEKS
from simulator.profile import read_profiles
from simulator.sessions import Sessions
from simulator.startup import StartupError
from simulator.synthetic import Synthetic
from simulator.times import MINUTE, new_york_day, new_york_moment
from simulator.wire_data import snapshots

FRIDAY, MONDAY = date(2026, 11, 20), date(2026, 11, 23)
SESSIONS = Sessions(FRIDAY, MONDAY)
TEXT = """
[[underlying]]
symbol = "XYZ"
price_usd = 120.0
vol = 0.3
halts = [{day = 2026-11-20, at = 11:00:00, minutes = 10}]
moves = [{day = 2026-11-20, at = 11:05:00, move = -0.10}]
"""
LIKE = "[[underlying]]\nsymbol = 'XYZ'\nlike = 'AAPL'"
AT = "day = 2026-11-20, at = 11:00:00"


def made(tmp_path, more=""):
    path = tmp_path / "market.toml"
    path.write_text(TEXT + more)
    return Synthetic(FRIDAY, ["XYZ"], 7, SESSIONS, last=MONDAY, profiles=read_profiles(path))


def test_a_halt_stops_the_quotes_and_the_stock_reopens_where_it_has_gone(tmp_path):
    market = made(tmp_path)
    before, inside, after = (new_york_moment(FRIDAY, 11, k) for k in (0, 7, 10))
    assert market.halt("XYZ", before - 1) is None
    assert market.halt("XYZ", inside).code == "LUDP"
    assert market.spot("XYZ", inside) == market.spot("XYZ", before - MINUTE)
    assert market.chain("XYZ", inside).at[0] == before - MINUTE
    assert market.halt("XYZ", after) is None
    fall = market.spot("XYZ", after)[1] / market.spot("XYZ", inside)[1]
    assert Decimal("0.87") < fall < Decimal("0.93")


def test_an_order_in_a_halt_fills_when_it_is_over(tmp_path):
    market = made(tmp_path)
    start = new_york_moment(FRIDAY, 11, 2)
    exchange = Exchange(market, SESSIONS, account="S", cash=Decimal(100_000), start=start)
    order = exchange.place(
        {"symbol": "XYZ", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    )
    exchange.route()
    assert order.status == "new"
    exchange.advance(new_york_moment(FRIDAY, 11, 11))
    assert order.status == "filled"


def test_the_stock_opens_lower_by_its_dividend_and_the_action_is_announced_before(tmp_path):
    more = 'dividends = [{ex_day = 2026-11-23, usd = "5.00", declared_day = 2026-11-20}]'
    paying, plain = made(tmp_path, more), made(tmp_path)
    opening = new_york_moment(MONDAY, 9, 30)
    drop = plain.spot("XYZ", opening)[1] - paying.spot("XYZ", opening)[1]
    assert drop == pytest.approx(Decimal(5), abs=Decimal("0.3"))
    assert paying.actions(new_york_moment(date(2026, 11, 19), 12, 0)) == []
    (action,) = paying.actions(opening)
    assert (action.kind, action.ex_day, action.rate) == ("cash dividend", MONDAY, Decimal("5.00"))
    assert action.payable_day > action.record_day


@pytest.mark.parametrize("timeframe", ["1Min", "1Day"])
def test_an_adjusted_bar_is_the_same_whatever_window_it_is_asked_in(tmp_path, timeframe):
    market = made(tmp_path, 'dividends = [{ex_day = 2026-11-23, usd = "0.50"}]')
    start = new_york_moment(date(2026, 11, 24), 10, 0)
    exchange = Exchange(market, SESSIONS, account="S", cash=Decimal(1), start=start)
    query = {"symbols": "XYZ", "timeframe": timeframe, "adjustment": "dividend", "limit": "1"}
    query["start"] = "2026-11-19"
    whole = routes_stocks.bars(exchange, query, "")["bars"]["XYZ"]
    assert routes_stocks.bars(exchange, query | {"end": "2026-11-20"}, "")["bars"]["XYZ"] == whole


def split_position(tmp_path, more):
    market = made(tmp_path, more)
    start = new_york_moment(FRIDAY, 10, 0)
    exchange = Exchange(market, SESSIONS, account="S", cash=Decimal(100_000), start=start)
    symbol = "XYZ261218C00120000"
    order = exchange.place(
        {"symbol": symbol, "qty": "2", "side": "buy", "type": "market", "time_in_force": "day"}
    )
    exchange.route()
    assert order.status == "filled"
    exchange.advance(new_york_moment(FRIDAY, 16, 0))
    before = exchange.figures().equity
    exchange.advance(new_york_moment(MONDAY, 9, 31))
    (held,) = exchange.book.positions.values()
    assert abs(exchange.figures().equity - before) < 1_000  # a night, not a factor
    return exchange, held


def test_a_whole_split_divides_strikes_and_multiplies_contracts(tmp_path):
    more = "splits = [{ex_day = 2026-11-23, new = 3}]"
    exchange, held = split_position(tmp_path, more)
    assert (held.symbol, held.qty) == ("XYZ261218C00040000", 6)
    assert held.contract.size == 100
    rows = [(a.symbol, a.qty) for a in exchange.book.activities if a.kind == "OPCA"]
    assert rows == [("XYZ261218C00120000", -2), ("XYZ261218C00040000", 6)]
    assert exchange.market.contract("XYZ261218C00120000", exchange.now) is None


def test_a_three_for_two_split_delivers_150_shares_under_a_root_with_a_digit(tmp_path):
    more = "splits = [{ex_day = 2026-11-23, new = 3, old = 2}]"
    exchange, held = split_position(tmp_path, more)
    assert (held.symbol, held.qty) == ("XYZ1261218C00120000", 2)
    assert (held.contract.size, held.contract.underlying) == (150, "XYZ")
    chain = exchange.market.chain("XYZ", exchange.now)
    spot = exchange.market.spot("XYZ", exchange.now)[1]
    deep = exchange.market.contract("XYZ1261218C00100000", exchange.now)
    quote = chain.quote(deep.symbol)
    assert quote.ask > deep.intrinsic(spot) == spot * 3 / 2 - 100
    assert chain.greeks["delta"][chain.rows[deep.symbol]] > 1  # of 150 shares


def test_a_reverse_split_delivers_fewer_shares(tmp_path):
    market = made(tmp_path)
    contract = market.contracts("XYZ", new_york_moment(FRIDAY, 10, 0))[0]
    made_new = adjusted(contract, Fraction(1, 10), set()).new
    assert (made_new.size, made_new.root, made_new.strike) == (10, "XYZ1", contract.strike)


def test_an_early_close_and_the_days_after_it_go_on(tmp_path):
    wednesday = date(2026, 11, 25)
    market = Synthetic(wednesday, ["AAPL"], 7, Sessions(wednesday, wednesday))
    friday_close = new_york_moment(date(2026, 11, 27), 13, 0)
    assert market.spot("AAPL", friday_close + 60 * MINUTE)[0] == friday_close
    chain = market.chain("AAPL", friday_close)
    assert all(contract.last_day > date(2026, 11, 27) for contract in chain.contracts)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("last_day", [date(2026, 12, 24), date(2026, 12, 23)])  # the first is half
def test_greeks_go_with_the_midnight_before_the_last_day_and_not_earlier(last_day, zeros):
    first = date(2026, 12, 22)
    market = Synthetic(first, ["SPY"], 7, Sessions(first, first))
    midnight = new_york_moment(last_day, 0, 0)
    opening, closing = new_york_moment(last_day, 9, 30), new_york_moment(last_day, 12, 59)

    def greeks(now):
        chain = market.chain("SPY", now)
        rows = [row for row, c in enumerate(chain.contracts) if c.last_day == last_day]
        shown = snapshots(chain, rows, expiring=new_york_day(now), zeros=zeros)
        return [one.get("greeks") for one in shown.values() if one["latestQuote"]["bp"]]

    for now in (midnight - 10 * 60 * MINUTE, midnight - 5 * 60 * MINUTE, midnight - 1):
        assert sum(found is not None and found["delta"] != 0 for found in greeks(now)) > 20
    for now in (midnight, opening - 1, opening, closing):
        assert all(
            found == (dict.fromkeys(GREEKS, 0.0) if zeros else None) for found in greeks(now)
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tables and nothing else"),
        ("[[underlying]]\nsymbol = 'xyz'", "capital letters"),
        ("[[underlying]]\nsymbol = 'XYZ'\nvol = 0.2", "price_usd is missing"),
        ("[[underlying]]\nsymbol = 'XYZ'\nprice_usd = 'a'\nvol = 1", "cannot be read"),
        ("[[underlying]]\nsymbol = 'XYZ'\nbeta = 1", "there is no 'beta'"),
        ("[[underlying]]\nsymbol = 'XYZ'\nlike = 'AAPL'\nvol = 9.0", "vol must be from"),
        ("[[underlying]]\nsymbol = 'XYZ'\nlike = 'AAPL'\nsplits = [{new = 2}]", "ex_day"),
        ('[[underlying]]\nsymbol = "XYZ\\nB"', "five capital letters"),
        ('[[underlying]]\nsymbol = "XYZ"\n"a\\nb" = 1', "there is no"),
        ("underlying = [1]", "must be a table"),
        ("[[underlying]]\nsymbol = 'XYZ'\nlike = ['AAPL']", "like = .* is none of"),
        (f"{LIKE}\n{LIKE}", "XYZ: symbol is there twice"),
        (f"{LIKE}\nskew = 99", "skew must be from -0.5 to 0.5"),
        (f"{LIKE}\nsmile = -5", "smile must be from -0.2 to 0.5"),
        (f"{LIKE}\nstrike_step_usd = nan", "strike_step_usd must be from"),
        (f"{LIKE}\nprice_usd = 1e5", "strike_step_usd and strike_range make 16000 strikes"),
        (f"{LIKE}\nmoves = [{{{AT}, move = 1e9}}]", "moves: move must be from -0.9 to 9"),
        (f"{LIKE}\nmoves = [{{{AT}, move = nan}}]", "moves: move must be from -0.9 to 9"),
        (f"{LIKE}\nmoves = [{', '.join([f'{{{AT}, move = 9}}'] * 2)}]", "strikes"),
        (
            f"{LIKE}\nhalts = [{{day = 2026-11-20, at = 03:00:00, minutes = 5}}]",
            "halts: at must be",
        ),
        (f"{LIKE}\nhalts = [{{{AT}, minutes = 0}}]", "halts: minutes must be from 1 to"),
        (f"{LIKE}\ndividends = [{{ex_day = 2026-11-23, usd = 'nan'}}]", "dividends: usd must be"),
        (f"{LIKE}\nsplits = [{{ex_day = 2026-11-23, new = 2, old = 2}}]", "splits: new and old"),
        (f"{LIKE}\nquarterly = {{usd = 1, months = [13], week = 1, weekday = 1}}", "months must"),
        (f"{LIKE}\nquarterly = {{usd = 1, months = [3], week = 9, weekday = 1}}", "week must"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_in_a_line(tmp_path, text, said):
    path = tmp_path / "market.toml"
    path.write_text(text)
    with pytest.raises(StartupError, match=said) as refused:
        read_profiles(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "splits = [{ex_day = 2026-11-22, new = 2}]",
            "splits: ex_day 2026-11-22 must be a trading",
        ),
        ("dividends = [{ex_day = 2026-11-21, usd = 1}]", "dividends: ex_day 2026-11-21 must be"),
        ("moves = [{day = 2026-11-26, at = 11:00:00, move = 0.1}]", "moves: day 2026-11-26 must"),
        ("halts = [{day = 2026-11-22, at = 11:00:00, minutes = 5}]", "halts: day 2026-11-22 must"),
        (
            "splits = [{ex_day = 2026-11-24, new = 2}, {ex_day = 2026-11-24, new = 3}]",
            "splits: ex_day 2026-11-24 has 2 splits, at most 1",
        ),
    ],
)
def test_what_could_never_happen_is_refused_at_the_start_in_a_line(tmp_path, capsys, more, said):
    path = tmp_path / "market.toml"
    path.write_text(f"{LIKE}\n{more}")
    assert main(["--market", str(path), "--headless", "1"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_days_volume_and_trades_are_those_of_its_minutes(tmp_path):
    market = made(tmp_path)  # with a halt
    for hour, minute in ((9, 31), (11, 5), (12, 0), (17, 0)):
        now = new_york_moment(FRIDAY, hour, minute)
        minutes = market.minutes("XYZ", new_york_moment(FRIDAY, 9, 30), now - MINUTE + 1)
        day = market.daily("XYZ", now)[-1]
        assert day.volume == sum(bar.volume for bar in minutes)
        assert day.trades == sum(bar.trades for bar in minutes)


def test_two_dividends_of_one_day_are_both_paid_out_of_the_price(tmp_path):
    row = '{ex_day = 2026-11-23, usd = "2.50"}'
    once = made(tmp_path, 'dividends = [{ex_day = 2026-11-23, usd = "5.00"}]')
    twice = made(tmp_path, f"dividends = [{row}, {row}]")
    opening = new_york_moment(MONDAY, 9, 30)
    assert twice.spot("XYZ", opening) == once.spot("XYZ", opening)


def test_a_profile_says_how_many_quotes_are_crossed_or_one_sided(tmp_path):
    now = new_york_moment(FRIDAY, 12, 0)
    clean = made(tmp_path, "crossed_share = 0\none_sided_share = 0").chain("XYZ", now)
    assert (clean.bid[clean.bid > 0] < clean.ask[clean.bid > 0]).all()
    assert not np.isnan(clean.ask).any()
    odd = made(tmp_path, "crossed_share = 0.3\none_sided_share = 0.3").chain("XYZ", now)
    assert (odd.bid > odd.ask).mean() > 0.1
    assert np.isnan(odd.ask).mean() > 0.1


def test_volatility_rises_when_the_stock_falls(tmp_path):
    market = made(tmp_path)
    early = market.chain("XYZ", new_york_moment(FRIDAY, 10, 30))
    late = market.chain("XYZ", new_york_moment(FRIDAY, 11, 30))
    assert np.nanmedian(late.vol) > np.nanmedian(early.vol)
