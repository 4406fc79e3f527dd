"""Everything that keeps the simulator from starting is one line that names it and the remedy."""

import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from simulator.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(capsys):
    """Exit code and stderr of a simulator that should not come up."""

    def starting(*arguments):
        code = main(["--port", "0", *arguments])
        return code, capsys.readouterr().err

    return starting


def rows(**changed):
    """A recording of one row."""
    row = {
        "ts": pd.Timestamp("2015-12-24T15:00:00Z"),
        "symbol": "GOOG151224C00750000",
        "underlying": "GOOG",
        "expiration": pd.Timestamp("2015-12-24").date(),
        "strike": 750.0,
        "type": "C",
        "bid": 1.0,
        "ask": 1.1,
        "bid_size": 1,
        "ask_size": 1,
        "open_interest": 5,
        "underlying_price": 749.0,
        "bid_age": 0,
        "ask_age": 0,
    }
    return pd.DataFrame([row | changed])


def record(folder, frame, name="GOOG-2015-12-24"):
    frame.to_parquet(folder / f"{name}.parquet")
    return folder


def no_folder(path):
    return path / "nothing"


def empty_folder(path):
    return path


def other_day(path):
    return record(path, rows(), "GOOG-2015-12-23")


def other_stock(path):
    return record(path, rows(), "TWX-2015-12-24")


def no_bid_column(path):
    return record(path, rows().drop(columns="bid"))


def text_for_bid(path):
    return record(path, rows(bid="1.0"))


def local_time(path):
    return record(path, rows(ts=pd.Timestamp("2015-12-24T15:00:00")))


def no_parquet(path):
    (path / "GOOG-2015-12-24.parquet").write_bytes(b"PAR1 but not really")
    return path


BROKEN = [
    (no_folder, "does not exist", "give one"),
    (empty_folder, "has no recorded quotes", "expected files such as"),
    (other_day, "no recorded quotes of GOOG on 2015-12-24", "its days are 2015-12-23"),
    (other_stock, "no recorded quotes of GOOG", "there are TWX"),
    (no_bid_column, "has no column bid", "tidy layout"),
    (text_for_bid, "column bid is", "must be a number"),
    (local_time, "column ts is", "must be a timestamp in UTC"),
    (no_parquet, "cannot be read as Parquet", "record the day again"),
]


@pytest.mark.parametrize(("make", "names", "remedy"), BROKEN)
def test_a_bad_recording_is_one_line_that_names_it_and_the_remedy(
    start, tmp_path, make, names, remedy
):
    folder = make(tmp_path)
    code, errors = start("--replay", str(folder), "--underlying", "GOOG", "--day", "2015-12-24")
    assert code == 2
    assert errors.count("\n") == 1
    assert names in errors
    assert remedy in errors


def test_a_recording_without_rows_is_one_line(start, tmp_path):
    record(tmp_path, rows())
    path = tmp_path / "GOOG-2015-12-24.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    code, errors = start("--replay", str(tmp_path), "--underlying", "GOOG")
    assert (code, errors.count("\n")) == (2, 1)
    assert "has no rows" in errors


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("--day", "2026-11-21"), "2026-11-21 is not a trading day; the one before it is 2026"),
        (("--day", "tomorrow"), "'tomorrow' is not a day"),
        (("--underlying", "TSLA"), "has no TSLA; choose from SPY, AAPL, NVDA"),
        (("--cash", "NaN"), "--cash NaN is no amount"),
        (("--port", "99999"), "--port 99999 is no port"),
    ],
)
def test_a_bad_argument_is_one_line_that_names_it(start, arguments, names):
    code, errors = start(*arguments)
    assert (code, errors.count("\n")) == (2, 1)
    assert names in errors


def test_a_port_in_use_is_one_line_and_exit_code_2_of_the_process():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "simulator", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
