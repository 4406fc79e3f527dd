"""`strikeflow bench NAME`: one line for a name that is not there, one JSON line at the end of one
that is. Says nothing of speed: a machine that runs tests is busy."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench import simulator
from bench.pricing.errors import BARS

ROOT = Path(__file__).parents[2]
SECONDS_MAX = 120


def run(*words):
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


@pytest.mark.parametrize("name", ["nothing", "__init__", "../cli", "--help-me"])
def test_an_unknown_bench_is_one_line_with_the_names_there_are(name):
    done = run("cli", "bench", name)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "greeks" in done.stderr


def test_the_bench_of_greeks_ends_with_one_json_line_of_every_figure():
    done = run("cli", "bench", "greeks", "--contracts", "400", "--errors", "2")
    assert done.returncode == 0, done.stderr
    *tables, last = done.stdout.splitlines()
    assert not [line for line in tables if line.startswith("{")]
    told = json.loads(last)
    assert set(told) == {
        "cores",
        "american",
        "european",
        "growth",
        "growth_ratio",
        "first_call_seconds",
        "peak_bytes_each",
        "errors",
    }
    assert [size["count"] for size in told["growth"]] == [40, 400, 4000]
    for speed in (told["american"], told["european"]):
        assert speed["unsolved"] == 0
        assert all(peer["ratio"] > 0 for peer in speed["peers"])
    assert sum(region["count"] for region in told["errors"]["regions"]) == 2
    assert all(set(region["worst"]) == set(BARS) for region in told["errors"]["regions"])


def test_a_missing_peer_is_one_line(tmp_path):
    hide = "import sys; sys.modules['QuantLib'] = None; sys.argv = ['greeks']\n"
    script = tmp_path / "hidden.py"
    script.write_text(hide + "from bench import greeks\nsys.exit(greeks.main())\n")
    done = subprocess.run(
        [sys.executable, "-P", str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "QuantLib" in done.stderr


def test_the_bench_of_greeks_refuses_a_number_that_is_none():
    done = run("bench.greeks", "--contracts", "few")
    assert done.returncode == 2
    assert "few is no number of contracts" in done.stderr


def test_the_bench_of_the_simulator_ends_with_one_json_line_of_every_figure(monkeypatch, capsys):
    few = replace(simulator.WIDE, strike_range=0.03)
    sizes = {"WIDE": few, "SNAPSHOTS": 50, "PAGE": 20, "ORDERS": 3, "MINUTES": 2}
    for name, size in sizes.items():
        monkeypatch.setattr(simulator, name, size)
    code = simulator.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert not [line for line in table if line.startswith("{")]
    told = json.loads(last)
    assert told.pop("bench") == "simulator"
    assert told.pop("targets_met") == (code == 0)
    assert set(told) == {
        "day_390_minutes_s",
        "snapshots_10000_s",
        "snapshots_to_encoding_ratio",
        "order_round_trips_per_s",
        "orders_to_bare_ratio",
    }
    assert all(figure > 0 for figure in told.values())
