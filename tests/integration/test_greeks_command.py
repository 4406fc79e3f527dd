"""`strikeflow greeks IN OUT`: files in, files out, and one line for what is wrong with them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cli import table_files
from cli.__main__ import app
from cli.errors import CannotRun
from domain.greeks_table import ANSWERS, FLAG

ROOT = Path(__file__).parents[2]
ADDED = [*ANSWERS, FLAG]
HEAD = "spot,strike,years,rate,yield,right,style,price,dividends"
GOOD = "100,105,0.5,0.04,0.01,C,european,5,"
ROWS = [
    GOOD,
    "100,95,0.5,0.04,0,P,american,3.5,0.1:0.5;0.35:0.5",
    '100,95,0.5,0.04,0,P,american,3.5,"[[0.1,0.5],[0.35,0.5]]"',
    "100,105,0.5,0.04,0.01,c,European,,",
    "100,50,0.5,0.04,0.01,C,european,20,",
    "100,105,0,0.04,0.01,C,european,5,",
    "100,105,0.5,0.04,0.01,C,european,5,0.1:-2",
]
FLAGS = [None, None, None, "bad_price", "below_intrinsic", "expired", "bad_dividends"]
PAIRS = [(0.1, 0.5), (0.35, 0.5)]
SCHEDULES = [None, PAIRS, PAIRS, [], None, None, [(0.1, -2.0)]]


def csv(path, *rows, head=HEAD):
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def frame(schedules=None, **columns):
    table = pd.DataFrame(
        [dict(zip(HEAD.split(","), row.split(",")[:8], strict=False)) for row in ROWS]
    )
    numbers = ["spot", "strike", "years", "rate", "yield", "price"]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    if schedules is not None:
        table["dividends"] = schedules
    return table.assign(**columns)


def parquet(path, table=None, dividends=None):
    arrow = pa.Table.from_pandas(frame() if table is None else table)
    if dividends is not None:
        arrow = arrow.append_column("dividends", dividends)
    pq.write_table(arrow, path)
    return path


def run(*words):
    return CliRunner().invoke(app, ["greeks", *map(str, words)])


def answers(path):
    found = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return found[ADDED].replace({FLAG: {np.nan: None}})


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The answers to ROWS, from CSV to Parquet."""
    folder = tmp_path_factory.mktemp("wanted")
    result = run(csv(folder / "in.csv", *ROWS), folder / "out.parquet")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("7 rows, 3 solved, bad price 1, ")
    return answers(folder / "out.parquet")


def test_a_csv_of_prices_becomes_volatilities_and_greeks_with_a_reason_where_not(wanted):
    assert wanted[FLAG].tolist() == FLAGS
    numbers = wanted[list(ANSWERS)].to_numpy(dtype=float)
    assert (np.isfinite(numbers) == wanted[FLAG].isna().to_numpy()[:, None]).all()
    assert wanted["iv"][0] == pytest.approx(0.23034248, abs=1e-8)
    assert numbers[1].tolist() == numbers[2].tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_every_pair_of_formats_gives_the_same_answers(wanted, suffix, tmp_path):
    struct = pa.list_(pa.struct([("years", pa.float64()), ("amount", pa.float64())]))
    for number, kind in enumerate([pa.list_(pa.list_(pa.float64())), struct]):
        source = parquet(tmp_path / f"{number}.parquet", dividends=pa.array(SCHEDULES, type=kind))
        target = tmp_path / f"out{number}{suffix}"
        assert run(source, target).exit_code == 0
        pd.testing.assert_frame_equal(answers(target), wanted, check_dtype=False)
        again = tmp_path / "again.parquet"
        if suffix == ".csv":  # what was written is read again, dividends and all
            pd.read_csv(target).drop(columns=ADDED).to_csv(tmp_path / "again.csv", index=False)
            assert run(tmp_path / "again.csv", again).exit_code == 0
            pd.testing.assert_frame_equal(answers(again), wanted)


LISTS = {
    "large lists": pa.large_list(pa.list_(pa.float64())),
    "pairs of a fixed size": pa.list_(pa.list_(pa.float64(), 2)),
    "structs in single precision": pa.list_(
        pa.struct([("when", pa.float32()), ("usd", pa.float32())])
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_dividends_may_be_lists_of_several_kinds(what, wanted, tmp_path):
    source = parquet(tmp_path / "in.parquet", dividends=pa.array(SCHEDULES, type=LISTS[what]))
    assert run(source, tmp_path / "out.parquet").exit_code == 0
    found = answers(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found, wanted, rtol=1e-5)


def test_fields_called_years_and_amount_are_told_by_their_names(wanted, tmp_path):
    kind = pa.list_(pa.struct([("amount", pa.float64()), ("years", pa.float64())]))
    named = [
        None if pairs is None else [{"years": y, "amount": a} for y, a in pairs]
        for pairs in SCHEDULES
    ]
    source = parquet(tmp_path / "in.parquet", dividends=pa.array(named, type=kind))
    assert run(source, tmp_path / "out.parquet").exit_code == 0
    pd.testing.assert_frame_equal(answers(tmp_path / "out.parquet"), wanted)


def test_rows_other_columns_and_their_order_stay_as_they_were(tmp_path):
    table = frame(
        id=list("gfedcba"), when=pd.Timestamp("2026-11-20", tz="UTC"), strike=range(95, 102)
    )
    table = table.astype({"right": "category", "spot": "int64"}).set_index("id")
    source, target = parquet(tmp_path / "in.parquet", table), tmp_path / "out.parquet"
    assert run(source, target).exit_code == 0
    found = pd.read_parquet(target)
    assert list(found.columns) == [*table.columns, *ADDED]
    pd.testing.assert_frame_equal(found[table.columns], pd.read_parquet(source))


def test_text_in_other_columns_of_a_csv_is_not_read_as_anything(tmp_path):
    source = csv(
        tmp_path / "in.csv", *(f"{row},007,NA" for row in ROWS[:2]), head=f"{HEAD},id,exchange"
    )
    assert run(source, tmp_path / "out.csv").exit_code == 0
    found = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    assert found[["id", "exchange"]].to_numpy().tolist() == [["007", "NA"]] * 2
    assert found["spot"].tolist() == ["100", "100"]


@pytest.mark.parametrize("words", ["", "nan", "NaN", "NA", " null ", "None"])
def test_a_number_that_somebody_did_not_have_is_missing(words, tmp_path):
    source = csv(tmp_path / "in.csv", f"100,105,0.5,{words},0.01,C,european,5,")
    assert run(source, tmp_path / "out.csv").exit_code == 0
    assert answers(tmp_path / "out.csv")[FLAG].tolist() == ["bad_rate"]


def test_a_column_of_dividends_may_be_missing(wanted, tmp_path):
    source = csv(tmp_path / "in.csv", GOOD.removesuffix(","), head=HEAD.removesuffix(",dividends"))
    assert run(source, tmp_path / "out.parquet").exit_code == 0
    found = answers(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found, wanted.iloc[:1], check_dtype=False)


def test_batches_make_no_difference_and_are_told_apart_in_errors(wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "ROWS_PER_BATCH", 2)
    csv(tmp_path / "in.csv", *ROWS)
    lists = pa.array(SCHEDULES, type=pa.list_(pa.list_(pa.float64())))
    parquet(tmp_path / "in.parquet", dividends=lists)
    for source in ("in.csv", "in.parquet"):
        assert run(tmp_path / source, tmp_path / "out.parquet").exit_code == 0
        pd.testing.assert_frame_equal(answers(tmp_path / "out.parquet"), wanted)
    csv(tmp_path / "bad.csv", *ROWS, GOOD.replace("105", "dear"))
    assert "says 'dear' in row 8:" in refusal(tmp_path / "bad.csv", tmp_path / "no.csv")
    csv(tmp_path / "bad.csv", *ROWS, GOOD.replace("C", "X"))
    assert "says 'X' in row 8:" in refusal(tmp_path / "bad.csv", tmp_path / "no.csv")
    csv(tmp_path / "bad.csv", *ROWS, GOOD + "soon")
    assert "row 8: 'soon' is no" in refusal(tmp_path / "bad.csv", tmp_path / "no.csv")


def refusal(source, target):
    result = run(source, target)
    assert isinstance(result.exception, CannotRun), result.output
    assert result.output == ""
    said = str(result.exception)
    assert "\n" not in said
    assert len(said) < 600
    return said


def as_text(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def bad_row(**changes):
    """A CSV whose second row is GOOD with changes."""
    row = dict(zip(HEAD.split(","), GOOD.split(","), strict=True)) | changes
    return lambda folder: csv(folder / "in.csv", GOOD, ",".join(row.values()))


def arrow_with(**columns):
    return lambda folder: parquet(folder / "in.parquet", frame(**columns))


def lists_of(cells, kind):
    return lambda folder: parquet(folder / "in.parquet", dividends=pa.array(cells, type=kind))


FLOATS = pa.list_(pa.list_(pa.float64()))
BAD_INPUTS = {
    "no file": (lambda f: f / "in.csv", "in.csv does not exist: name a file"),
    "a folder": (lambda f: f, "is neither .parquet nor .csv"),
    "an unknown suffix": (lambda f: as_text(f, "in.xlsx", ""), "in.xlsx is neither .parquet nor"),
    "no suffix": (lambda f: as_text(f, "in", ""), "is neither .parquet nor .csv: the name must"),
    "an empty csv": (lambda f: as_text(f, "in.csv", ""), "cannot be read as csv (Empty CSV file)"),
    "an empty parquet": (lambda f: as_text(f, "in.parquet", ""), "cannot be read as parquet"),
    "a csv called parquet": (lambda f: csv(f / "in.parquet", GOOD), "cannot be read as parquet"),
    "a parquet called csv": (lambda f: parquet(f / "x.parquet").rename(f / "in.csv"), "in.csv"),
    "a torn parquet": (
        lambda f: as_text(f, "in.parquet", parquet(f / "x.parquet").read_bytes()[:-900]),
        "cannot be read as parquet",
    ),
    "no text at all": (lambda f: as_text(f, "in.csv", b"\xff\xfe\x00\x01,\n,"), "in.csv"),
    "bytes in a word": (
        lambda f: as_text(
            f, "in.csv", f"{HEAD}\n{GOOD}".encode().replace(b"european", b"\xff\xff")
        ),
        "cannot be read as csv",
    ),
    "no rows": (lambda f: csv(f / "in.csv"), "has no rows: name a file with some"),
    "no rows of parquet": (lambda f: parquet(f / "in.parquet", frame().iloc[:0]), "has no rows"),
    "a row too short": (lambda f: csv(f / "in.csv", GOOD, "1,2,3"), "Expected 9 columns, got 3"),
    "a column is missing": (
        lambda f: csv(f / "in.csv", "1,2", head="spot,price"),
        "the column strike is missing: needed are spot, strike, years, rate, yield, price, right",
    ),
    "a column stands twice": (
        lambda f: csv(f / "in.csv", GOOD + ",7", head=HEAD + ",spot"),
        "has the column spot twice: rename one",
    ),
    "an answer stands there already": (
        lambda f: csv(f / "in.csv", GOOD + ",7", head=HEAD + ",vega"),
        "has the column vega already: drop or rename it",
    ),
    "text for a number": (
        bad_row(spot="high"),
        "the column spot says 'high' in row 2: it must be a",
    ),
    "a date for a number": (
        bad_row(years="2026-11-20"),
        "the column years says '2026-11-20' in row",
    ),
    "a true number": (bad_row(rate="true"), "the column rate says 'true' in row 2"),
    "a number with a comma": (bad_row(strike='"1,050"'), "the column strike says '1,050' in row 2"),
    "an unknown right": (bad_row(right="call"), "right says 'call' in row 2: it must be C or P"),
    "no right": (bad_row(right=""), "the column right says nothing in row 2"),
    "an unknown style": (
        bad_row(style="asian"),
        "'asian' in row 2: it must be american or european",
    ),
    "no dividends at all": (bad_row(dividends="soon"), "row 2: 'soon' is no schedule of dividends"),
    "text numbers in parquet": (arrow_with(spot="100"), "the column spot holds no numbers (USD"),
    "truths in parquet": (arrow_with(spot=True), "the column spot holds no numbers"),
    "times in parquet": (
        arrow_with(years=pd.Timestamp("2026-11-20")),
        "the column years holds no numbers (to expiry",
    ),
    "lists in parquet": (arrow_with(price=[[1.0]] * 7), "the column price holds no numbers"),
    "numbers for words": (arrow_with(right=1), "the column right says '1' in row 1"),
    "nothing for words": (arrow_with(style=None), "the column style says nothing in row 1"),
    "numbers for dividends": (
        arrow_with(dividends=1.0),
        "the column dividends holds double: write",
    ),
    "lists of numbers": (lists_of([[1.0]] * 7, pa.list_(pa.float64())), "is no pair of years and"),
    "triples": (lists_of([[[1.0, 2.0, 3.0]]] * 7, FLOATS), "is no pair of years and amount"),
    "no pair": (lists_of([[None]] * 7, FLOATS), "is no pair of years and amount"),
    "pairs of words": (
        lists_of([[["soon", "much"]]] * 7, pa.list_(pa.list_(pa.string()))),
        "is no pair of years and amount",
    ),
    "structs of three": (
        lists_of([[{"a": 1, "b": 2, "c": 3}]] * 7, None),
        "is no pair of years and amount",
    ),
}


@pytest.mark.parametrize("what", BAD_INPUTS)
def test_a_bad_input_is_named_in_one_line_and_out_is_left_untouched(what, tmp_path):
    make, said = BAD_INPUTS[what]
    inputs, outputs = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    outputs.mkdir()
    kept = outputs / "out.csv"
    kept.write_text("what was there before")
    source = make(inputs)
    for target in (kept, outputs / "new.parquet"):
        found = refusal(source, target)
        assert str(source) in found
        assert said in found
    assert kept.read_text() == "what was there before"
    assert os.listdir(outputs) == ["out.csv"]


BAD_OUTPUTS = {
    "an unknown suffix": (lambda f: f / "out.json", "is neither .parquet nor .csv"),
    "a folder that is not there": (lambda f: f / "no" / "out.csv", "make the folder"),
    "a folder": (lambda f: folder_at(f / "out.csv"), "is a folder: name a file in it"),
    "a file for a folder": (lambda f: csv(f / "x.csv") / "out.csv", "cannot be written"),
    "what is read": (lambda f: f / "in.csv", "is what is read: name another file"),
    "a link to what is read": (lambda f: link_to(f / "out.csv", f / "in.csv"), "is what is read"),
    "a name too long": (lambda f: f / ("x" * 300 + ".csv"), "choose another place"),
}


def folder_at(path):
    path.mkdir()
    return path


def link_to(path, there):
    path.symlink_to(there)
    return path


@pytest.mark.parametrize("what", BAD_OUTPUTS)
def test_a_place_that_cannot_be_written_is_named_and_the_input_is_left_untouched(what, tmp_path):
    make, said = BAD_OUTPUTS[what]
    source = csv(tmp_path / "in.csv", *ROWS)
    before = source.read_bytes()
    target = make(tmp_path)
    found = refusal(source, target)
    assert said in found
    assert str(target) in found
    assert source.read_bytes() == before


def test_a_csv_that_cannot_hold_a_column_of_lists_says_what_can(tmp_path):
    source = parquet(tmp_path / "in.parquet", frame(legs=[[1, 2]] * 7))
    assert "name a file ending in .parquet" in refusal(source, tmp_path / "out.csv")
    assert os.listdir(tmp_path) == ["in.parquet"]
    assert run(source, tmp_path / "out.parquet").exit_code == 0


def test_a_link_is_written_through_and_stays_a_link(tmp_path):
    source, real = csv(tmp_path / "in.csv", *ROWS), tmp_path / "real.csv"
    real.write_text("old")
    link = link_to(tmp_path / "out.csv", real)
    assert run(source, link).exit_code == 0
    assert link.is_symlink()
    assert len(answers(real)) == len(ROWS)


def command(*words):
    return subprocess.run(
        [sys.executable, "-m", "cli", "greeks", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_ends_with_2_and_one_line_on_stderr_when_it_cannot_run(tmp_path):
    ended = command(csv(tmp_path / "in.csv", GOOD.replace("C,", "X,")), tmp_path / "out.csv")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"strikeflow: {tmp_path}/in.csv: the column right says 'X'")
    assert os.listdir(tmp_path) == ["in.csv"]


def test_the_command_ends_with_0_and_a_count_on_stdout_when_it_has_run(tmp_path):
    ended = command(csv(tmp_path / "in.csv", *ROWS), tmp_path / "out.csv")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("\n") == 1
    assert answers(tmp_path / "out.csv")[FLAG].tolist() == FLAGS
