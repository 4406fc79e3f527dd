"""Compiled ahead, the kernels are ready for whatever is asked: nobody waits for one later."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]

ASK_EVERYTHING = """
import numpy as np
from domain import pricing
from domain.pricing import compiled

def table(count, american, dividends, is_sliced):
    step = 2 if is_sliced else 1
    rng = np.random.default_rng(7)
    wide = count * step

    def column(low, high):
        return rng.uniform(low, high, wide)[::step]

    terms = pricing.Terms(
        spot=column(90, 110), strike=column(80, 120),
        years=rng.choice([0.1, 0.5, 1.0], wide)[::step],
        rate=np.full(wide, 0.04)[::step], carry=np.full(wide, 0.01)[::step],
        sign=rng.choice([1.0, -1.0], wide)[::step],
        american=np.full(wide, american)[::step], dividends=dividends,
    )
    vol = column(0.1, 0.9)
    assert count < 2 or vol.flags.contiguous != is_sliced
    return terms, vol

none, two = pricing.Dividends(), pricing.Dividends(years=(0.05, 0.3), amounts=(1.0, 1.0))
asked = 0
for american, dividends in ((True, none), (False, none), (True, two), (False, two)):
    for count in (0, 1, COUNT if dividends is none else COUNT // 20):
        for is_sliced in (False, True):
            terms, vol = table(count, american, dividends, is_sliced)
            target = pricing.price(terms, vol)
            assert np.isfinite(target).all()
            pricing.greeks(terms, vol)
            pricing.price_bounds(terms)
            target = np.repeat(target, 2)[::2]  # as contiguous as a column of a frame
            pricing.implied_volatility(terms, target)
            pricing.solve(terms, target)
            asked += 1
assert asked == 24
late = {
    kernel.py_func.__qualname__: sum(kernel.stats.cache_misses.values())
    for kernel in compiled.KERNELS
    if sum(kernel.stats.cache_misses.values())
}
used = sum(1 for kernel in compiled.KERNELS if kernel.stats.cache_hits)
assert len(compiled.KERNELS) > 10 and used > 0, (len(compiled.KERNELS), used)
assert not late, late
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_after_compiling_ahead_no_kernel_compiles_whatever_is_asked():
    """Of no row, of one, of 5,000 (250 with cash dividends); contiguous columns and sliced ones."""
    ahead = run("-m", "domain.pricing")
    assert ahead.returncode == 0, ahead.stderr
    asked = run("-c", textwrap.dedent(ASK_EVERYTHING).replace("COUNT", "5_000"))
    assert asked.returncode == 0, asked.stderr
