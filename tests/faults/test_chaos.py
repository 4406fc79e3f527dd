"""The chaos harness as everybody runs it, in processes of its own: it changes the core it is loaded
into. A few fresh days by hand, and CI plays more of them."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.planted import planting

ROOT = Path(__file__).parents[2]
FRESH = 300 if os.environ.get("CI") else 8


def chaos(*words):
    command = [sys.executable, "-m", "cli", "chaos", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_stored_and_fresh_seeds_break_no_invariant_and_replay_the_same():
    first = random.SystemRandom().randrange(10**6, 10**9)
    done = chaos("--seeds", FRESH, "--first", first, "--jobs", 2, "--json")
    assert done.stdout, f"seeds from {first}: {done.stderr}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failing_seeds"] == [], done.stderr
    assert found["violations"] == {}, done.stderr  # I11: the first seed is played twice
    assert found["days"] > FRESH
    assert sum(found["fired"].values()) > FRESH
    assert done.returncode == 0


def test_a_planted_bug_is_caught():
    done = chaos("--seeds", 2, "--plant", "P1", "--jobs", 2, "--json")
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["failing_seeds"], done.stderr
    assert done.returncode == 1


def test_a_cycle_that_is_killed_wherever_a_kill_tells_leaves_nothing_to_mend():
    done = chaos("--matrix")
    assert done.returncode == 0, done.stdout
    for cycle in ("opening", "closing"):
        row = next(line for line in done.stdout.splitlines() if cycle in line)
        boundaries, worlds, once, twice, violations = map(int, re.findall(r"\d+", row))
        assert boundaries > worlds > 50
        assert (once, twice, violations) == (worlds, worlds, 0)


def test_a_bug_that_nobody_knows_is_not_planted():
    with pytest.raises(LookupError, match="no planted bug P99"):
        planting("P99")
