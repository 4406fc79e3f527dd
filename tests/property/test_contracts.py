"""Every contract has one symbol, and every symbol one contract."""

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import BadSymbol, Right, is_option, parse_symbol

roots = st.from_regex(r"[A-Z]{1,5}[0-9]?", fullmatch=True)
days = st.dates(date(2000, 1, 1), date(2068, 12, 31))
mills = st.integers(1, 99_999_999)  # the strike in thousandths of a dollar


@given(root=roots, day=days, right=st.sampled_from("CP"), mill=mills)
def test_a_symbol_is_read_back_as_it_was_written(root, day, right, mill):
    symbol = f"{root}{day:%y%m%d}{right}{mill:08d}"
    found = parse_symbol(symbol)
    assert is_option(symbol)
    assert found.symbol == symbol
    assert found.root == root
    assert found.expiration == day
    assert found.right is Right(right)
    assert found.strike * 1000 == mill
    assert found.is_adjusted == (root[-1] in "0123456789")


@given(st.text(max_size=24) | st.from_regex(r"[A-Z]{1,6}\d{6}[CP]\d{8}", fullmatch=True))
def test_any_text_is_an_option_or_a_bad_symbol_and_nothing_else(text):
    try:
        parse_symbol(text)
    except BadSymbol:
        assert not is_option(text)
    else:
        assert is_option(text)
        assert text.isascii()
        assert text == text.strip()


@given(spot=st.decimals(0, 10_000, places=4), mill=mills)
def test_intrinsic_values_of_a_call_and_a_put_differ_by_spot_less_strike(spot, mill):
    call = parse_symbol(f"SPY261218C{mill:08d}")
    put = parse_symbol(f"SPY261218P{mill:08d}")
    assert call.intrinsic(spot) - put.intrinsic(spot) == spot - Decimal(mill) / 1000
    assert min(call.intrinsic(spot), put.intrinsic(spot)) == 0
