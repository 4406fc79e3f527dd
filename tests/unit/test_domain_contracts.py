"""What an option symbol says, and what is no option symbol."""

from datetime import date
from decimal import Decimal

import pytest

from domain.contracts import BadSymbol, Right, is_option, parse_symbol


def test_a_symbol_says_root_day_right_and_strike():
    found = parse_symbol("SPY261218P00600500")
    assert (found.root, found.expiration, found.right) == ("SPY", date(2026, 12, 18), Right.PUT)
    assert found.strike == Decimal("600.5")
    assert not found.is_adjusted
    assert parse_symbol("TWX1140621C00042500").is_adjusted


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "SPY",
        "AAPL  140719C00093930",  # OCC's padded form is not the broker's
        "spy261218P00600000",
        "SPY261218X00600000",
        "SPY261218P0060000",
        "SPY261218P006000000",
        "SPY261318P00600000",  # a thirteenth month
        "SPY260230P00600000",  # 30 February
        "SPY261200P00600000",  # day 0
        "SPY261218P00600000\n",  # what ends in a line break came from a file, not a broker
        " SPY261218P00600000",
        "SPY٢٦١٢١٨P00600000",  # noqa: RUF001 - digits, but not of this alphabet
        "SPYSPYX261218P00600000",
        "261218P00600000",
    ],
)
def test_what_is_no_symbol_is_refused_by_name_and_is_no_option(symbol):
    with pytest.raises(BadSymbol):
        parse_symbol(symbol)
    assert not is_option(symbol)


@pytest.mark.parametrize("symbol", ["SPY", "BRK.B", "A", "AAPL", "BTC/USD"])
def test_a_stock_is_never_an_option(symbol):
    assert not is_option(symbol)


def test_intrinsic_value_is_what_exercise_brings_and_never_negative():
    call, put = parse_symbol("SPY261218C00600000"), parse_symbol("SPY261218P00600000")
    assert call.intrinsic(Decimal("610.25")) == Decimal("10.25")
    assert put.intrinsic(Decimal("610.25")) == 0
    assert call.intrinsic(Decimal(590)) == 0
    assert put.intrinsic(Decimal(590)) == 10
    assert call.intrinsic(Decimal(600)) == put.intrinsic(Decimal(600)) == 0
