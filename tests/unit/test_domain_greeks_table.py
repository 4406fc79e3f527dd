"""A table of prices in, the same rows with volatility and Greeks out."""

from math import erf, exp, inf, log, nan, pi, sqrt

import numpy as np
import pandas as pd
import pytest

from domain import pricing
from domain.dividend_columns import (
    BadSchedule,
    Schedules,
    pairs_to_dividends,
    pairs_to_schedules,
    schedules_to_texts,
    text_to_pairs,
    texts_to_schedules,
)
from domain.greeks_table import (
    ANSWERS,
    FLAG,
    NUMBERS,
    WORDS,
    BadTable,
    RowFlag,
    table_to_greeks,
)

ROW = {
    "spot": 100.0,
    "strike": 105.0,
    "years": 0.5,
    "rate": 0.04,
    "yield": 0.01,
    "right": "C",
    "style": "european",
    "price": 5.0,
}


def table_of(*changes):
    return pd.DataFrame([ROW | change for change in changes])


def textbook(row, vol):
    """Price and Greeks of a European option by the formulas, one number at a time."""
    s, k, t, r, q = (row[name] for name in ("spot", "strike", "years", "rate", "yield"))
    sign = 1 if row["right"] == "C" else -1
    d1 = (log(s / k) + (r - q + vol * vol / 2) * t) / (vol * sqrt(t))
    d2 = d1 - vol * sqrt(t)
    below, bell = (lambda x: (1 + erf(x / sqrt(2))) / 2), exp(-d1 * d1 / 2) / sqrt(2 * pi)
    share, owed = exp(-q * t), k * exp(-r * t)
    return {
        "price": sign * (s * share * below(sign * d1) - owed * below(sign * d2)),
        "delta": sign * share * below(sign * d1),
        "gamma": share * bell / (s * vol * sqrt(t)),
        "theta": (
            -s * share * bell * vol / (2 * sqrt(t))
            - sign * r * owed * below(sign * d2)
            + sign * q * s * share * below(sign * d1)
        )
        / 365,
        "vega": s * share * bell * sqrt(t) / 100,
        "rho": sign * owed * t * below(sign * d2) / 100,
    }


@pytest.mark.parametrize("right", ["C", "P"])
@pytest.mark.parametrize("strike", [80.0, 100.0, 125.0])
@pytest.mark.parametrize("vol", [0.1, 0.45, 2.0])
def test_a_european_row_gets_the_textbooks_numbers_in_the_units_said(right, strike, vol):
    row = ROW | {"right": right, "strike": strike}
    wanted = textbook(row, vol)
    found = table_to_greeks(pd.DataFrame([row | {"price": wanted["price"]}])).iloc[0]
    assert found[FLAG] is None
    assert found["iv"] == pytest.approx(vol, rel=1e-6)
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        assert found[name] == pytest.approx(wanted[name], rel=1e-5, abs=1e-9)


ABOVE_ZERO = [nan, inf, -inf, 0.0, -1.0]
FLAGGED = [
    *[({"spot": bad}, RowFlag.BAD_SPOT) for bad in ABOVE_ZERO],
    *[({"strike": bad}, RowFlag.BAD_STRIKE) for bad in ABOVE_ZERO],
    *[({"price": bad}, RowFlag.BAD_PRICE) for bad in ABOVE_ZERO],
    *[({"years": bad}, RowFlag.BAD_YEARS) for bad in (nan, inf, -inf)],
    *[({"rate": bad}, RowFlag.BAD_RATE) for bad in (nan, inf, -inf)],
    *[({"yield": bad}, RowFlag.BAD_YIELD) for bad in (nan, inf, -inf)],
    ({"years": 0.0}, RowFlag.EXPIRED),
    ({"years": -0.1}, RowFlag.EXPIRED),
    ({"strike": 50.0, "price": 49.0}, RowFlag.BELOW_INTRINSIC),
    ({"strike": 50.0, "price": 49.0, "style": "american"}, RowFlag.BELOW_INTRINSIC),
    ({"price": 100.5}, RowFlag.ABOVE_BOUND),
    ({"right": "P", "price": 106.0, "style": "american"}, RowFlag.ABOVE_BOUND),
    ({"strike": 1e7, "price": 1e-300, "years": 1e-5}, RowFlag.BEYOND_BOUNDS),
]


@pytest.mark.parametrize(("change", "flag"), FLAGGED, ids=lambda x: str(x))
def test_a_row_without_an_answer_says_why_and_has_no_number(change, flag):
    found = table_to_greeks(table_of({}, change, {}))
    assert found[FLAG].tolist() == [None, flag, None]
    assert found.loc[1, list(ANSWERS)].isna().all()
    alone = table_to_greeks(table_of({}))
    for k in (0, 2):  # its neighbours do not notice
        assert found.loc[k, list(ANSWERS)].tolist() == alone.loc[0, list(ANSWERS)].tolist()


def test_a_rate_and_a_yield_may_be_nothing_or_negative():
    found = table_to_greeks(table_of({"rate": 0.0, "yield": 0.0}, {"rate": -0.01, "yield": -0.02}))
    assert found[FLAG].isna().all()
    assert np.isfinite(found[list(ANSWERS)].to_numpy()).all()


def test_every_number_is_there_or_none_is():
    rng = np.random.default_rng(3)
    count = 4_000
    draws = {name: rng.choice([nan, -1.0, 0.0, 0.3, 40.0, 100.0, 1e9], count) for name in NUMBERS}
    words = {
        "right": rng.choice(["C", "P"], count),
        "style": rng.choice(list(WORDS["style"]), count),
    }
    found = table_to_greeks(pd.DataFrame(draws | words))
    solved = np.isfinite(found[list(ANSWERS)].to_numpy())
    assert (solved.all(axis=1) == found[FLAG].isna()).all()
    assert (solved.any(axis=1) == solved.all(axis=1)).all()
    assert set(found[FLAG].dropna()) <= set(RowFlag)
    assert 0 < solved.all(axis=1).sum() < count


def test_rows_keep_their_order_and_index_whatever_their_style_and_dividends():
    table = table_of(*({"strike": 80.0 + k, "price": 24.0 - k * 0.4} for k in range(40)))
    table["style"] = np.where(np.arange(40) % 3 == 0, "american", "european")
    table.index = pd.RangeIndex(1_000, 1_040)
    distinct = ((), ((0.1, 0.5),), ((0.1, 0.5), (0.35, 0.5)))
    codes = np.arange(40) % 3
    found = table_to_greeks(table, Schedules(codes=codes, distinct=distinct))
    assert found.index.equals(table.index)
    for k in range(40):
        alone = Schedules(codes=np.zeros(1, dtype=np.intp), distinct=(distinct[codes[k]],))
        one = table_to_greeks(table.iloc[[k]], alone).iloc[0]
        assert one[FLAG] == found[FLAG].iloc[k]
        got = found[list(ANSWERS)].iloc[k].to_numpy(dtype=float)
        assert got == pytest.approx(one[list(ANSWERS)].to_numpy(dtype=float), rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("style", ["european", "american"])
def test_a_volatility_gives_its_price_back_with_dividends(style):
    table = table_of(*({"style": style, "strike": 90.0 + k, "price": 15.0} for k in range(30)))
    pairs = ((0.1, 0.5), (0.35, 0.7))
    found = table_to_greeks(table, Schedules(codes=np.zeros(30, dtype=np.intp), distinct=(pairs,)))
    solved = found[FLAG].isna().to_numpy()
    assert solved.sum() > 20
    kept = table[solved]
    terms = pricing.Terms(
        **{name: kept[name].to_numpy() for name in ("spot", "strike", "years", "rate")},
        carry=kept["yield"].to_numpy(),
        sign=np.ones(len(kept)),
        american=np.full(len(kept), style == "american"),
        dividends=pricing.Dividends(years=(0.1, 0.35), amounts=(0.5, 0.7)),
    )
    again = pricing.price(terms, found.loc[solved, "iv"].to_numpy())
    assert again == pytest.approx(kept["price"].to_numpy(), rel=1e-6)


@pytest.mark.parametrize(
    "pairs",
    [((0.1, -0.5),), ((0.1, nan),), ((nan, 0.5),), ((0.1, inf),), ((0.1, 0.5), (0.2, -0.1))],
    ids=str,
)
def test_dividends_that_cannot_be_are_flagged(pairs):
    codes = np.array([0, 1, 0])
    found = table_to_greeks(table_of({}, {}, {}), Schedules(codes=codes, distinct=((), pairs)))
    assert found[FLAG].tolist() == [None, RowFlag.BAD_DIVIDENDS, None]


def test_whole_numbers_and_words_in_any_case_are_taken():
    table = table_of({"price": 5}, {"price": 6}).astype({"spot": "int64", "strike": "int32"})
    odd = table.assign(right=["c", " C "], style=["European", "EUROPEAN"])
    pd.testing.assert_frame_equal(table_to_greeks(odd), table_to_greeks(table))


def test_a_column_of_nothing_is_missing_numbers_and_no_text():
    found = table_to_greeks(table_of({}, {}).assign(rate=None))
    assert found[FLAG].tolist() == [RowFlag.BAD_RATE] * 2


def test_no_rows_are_no_answers():
    found = table_to_greeks(table_of({}).iloc[:0])
    assert list(found.columns) == [*ANSWERS, FLAG]
    assert found.empty


@pytest.mark.parametrize("name", [*NUMBERS, *WORDS])
def test_a_column_that_is_missing_is_named(name):
    with pytest.raises(BadTable, match=f"the column {name} is missing"):
        table_to_greeks(table_of({}).drop(columns=name))


@pytest.mark.parametrize("name", list(NUMBERS))
@pytest.mark.parametrize("value", ["5", True, pd.Timestamp("2026-11-20")], ids=str)
def test_a_column_that_holds_no_numbers_is_named(name, value):
    with pytest.raises(BadTable, match=f"the column {name} holds no numbers"):
        table_to_greeks(table_of({}).assign(**{name: [value]}))


@pytest.mark.parametrize(
    ("name", "word", "said"),
    [
        ("right", "X", "the column right says 'X' in row 1: it must be C or P"),
        ("right", "call", "the column right says 'call' in row 1: it must be C or P"),
        ("right", None, "the column right says nothing in row 1: it must be C or P"),
        ("style", "bermudan", "says 'bermudan' in row 1: it must be american or european"),
        ("style", nan, "the column style says nothing in row 1"),
        ("style", 7, "the column style says '7' in row 1"),
    ],
)
def test_a_word_that_nobody_knows_is_named_with_its_row(name, word, said):
    table = table_of({}, {}, {}).astype({name: object})
    table.loc[1, name] = word
    with pytest.raises(BadTable, match=said):
        table_to_greeks(table)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", ()),
        ("  ", ()),
        ("[]", ()),
        ("0.1:0.5", ((0.1, 0.5),)),
        (" 0.35:0.5 ; 0.1:1e-1; ", ((0.35, 0.5), (0.1, 0.1))),
        ("[[0.1,0.5],[0.35,1]]", ((0.1, 0.5), (0.35, 1.0))),
        ("-0.1:0.5", ((-0.1, 0.5),)),
    ],
)
def test_a_schedule_is_read_in_both_ways_of_writing_it(text, pairs):
    assert text_to_pairs(text) == pairs


@pytest.mark.parametrize(
    "text",
    [
        *["0.1", "0.1:0.5:3", "0.1:", ":0.5", "a:b", "{}", "none"],
        *["[0.1,0.5]", "[[0.1]]", "[[0.1,0.5]", "[[0,true]]", '[["x",1]]', "[[0.1,null]]"],
        *["[" * 100_000, "[[1" + "0" * 400 + ",{}]]"],
    ],
    ids=lambda text: text[:12],
)
def test_text_that_is_no_schedule_is_named_with_its_row(text):
    with pytest.raises(BadSchedule, match="is no schedule of dividends: write ") as said:
        texts_to_schedules(pd.Series(["", "0.1:0.5", "", text, text]))
    assert said.value.row == 3
    assert len(str(said.value)) < 300


def test_schedules_are_found_in_a_ragged_column_and_written_back():
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 4, 500)
    pairs = rng.integers(1, 4, (counts.sum(), 2)) / 8
    found = pairs_to_schedules(counts, pairs)
    wanted, start = [], 0
    for count in counts:
        wanted.append(tuple(map(tuple, pairs[start : start + count].tolist())))
        start += count
    assert [found.distinct[code] for code in found.codes] == wanted
    assert len(set(found.distinct)) == len(found.distinct)
    again = texts_to_schedules(schedules_to_texts(found))
    assert [again.distinct[code] for code in again.codes] == wanted


def test_payments_of_one_moment_add_up_and_past_ones_are_left_out():
    found = pairs_to_dividends(((0.3, 0.5), (0.1, 0.25), (0.3, 0.5), (0.0, 9.0), (-1.0, 9.0)))
    assert found == pricing.Dividends(years=(0.1, 0.3), amounts=(0.25, 1.0))
