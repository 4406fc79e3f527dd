"""The worst we differ from the judge by, region by region, and every difference above its bar."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field

import numpy as np

from bench.pricing.contracts import Contracts, wide
from bench.pricing.judge import COLUMNS, judged
from domain import pricing
from domain.pricing import DAYS_PER_YEAR, Flags, Floats

#: Of what is compared: price and theta (a day) as shares of strike, volatility, delta, gamma x
#: spot, vega and rho (for 1.00) as shares of strike.
BARS = {
    "price": 2e-6,
    "volatility": 1e-4,
    "delta": 1e-4,
    "gamma": 1e-3,
    "theta": 1e-5,
    "vega": 1e-4,
    "rho": 1e-4,
}
VEGA_MIN = 0.02  # of strike for 1.00: below it a price hardly says which volatility
SHORT_DAYS = 7
_DOUBT_MAX = 0.2  # of the bar, of the judge
_PART = 25  # contracts a worker judges at a time
_WORKERS = 2
_TOLD_MAX = 20
_TERMS = ("spot", "strike", "years", "rate", "carry", "sign")


@dataclass(frozen=True, kw_only=True, slots=True)
class Excess:
    """A difference above its bar, with all that is needed to see it again."""

    measure: str
    ours: float | None  # None: no answer
    judge: float
    error: float | None
    inputs: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    name: str
    count: int
    worst: dict[str, float]
    #: Points where the judge cannot be sure: its doubt is above _DOUBT_MAX of the bar, or exercise
    #: starts between its places of spot (gamma jumps there).
    left_out: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    count: int
    straddled: int
    exercised: int
    regions: list[Region] = field(default_factory=list)
    excesses: list[Excess] = field(default_factory=list)
    excess_count: int = 0


def errors(count: int, seed: int, progress: Callable[[int], None]) -> Errors:
    """Of `count` contracts; `progress` is told how many are judged."""
    contracts = wide(count, seed)
    judge = _judged(contracts, progress)
    ours, theirs, compared = _both(contracts, judge)
    with np.errstate(invalid="ignore"):
        differences = {name: abs(ours[name] - theirs[name]) for name in BARS}
    for name, difference in differences.items():
        difference[np.isnan(difference)] = np.inf  # no answer is the worst answer
        difference[~compared[name]] = 0.0
    return Errors(
        count=count,
        straddled=int(judge["is_straddled"].sum()),
        exercised=int(judge["is_exercised"].sum()),
        regions=[
            Region(
                name=name,
                count=int(rows.sum()),
                worst={key: float(value[rows].max()) for key, value in differences.items()},
                left_out={key: int((rows & ~compared[key]).sum()) for key in BARS},
            )
            for name, rows in _regions(contracts).items()
            if rows.any()
        ],
        excesses=_excesses(contracts, differences, ours, theirs),
        excess_count=sum(int((differences[key] > bar).sum()) for key, bar in BARS.items()),
    )


def _judged(contracts: Contracts, progress: Callable[[int], None]) -> dict[str, Floats]:
    """The judge's columns by name, found on two cores."""
    columns = [*(getattr(contracts.terms, name) for name in _TERMS), contracts.vol]
    stacked = np.stack(columns, axis=1)
    found = np.empty((len(stacked), len(COLUMNS)))
    # Not forked: the kernels' threads would not come along, their locks would.
    apart = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_WORKERS, mp_context=apart) as pool:
        parts = {
            pool.submit(judged, stacked[start : start + _PART]): start
            for start in range(0, len(stacked), _PART)
        }
        for part in as_completed(parts):
            answer = part.result()
            found[parts[part] : parts[part] + len(answer)] = answer
            progress(len(answer))
    return dict(zip(COLUMNS, found.T, strict=True))


def _both(
    contracts: Contracts, judge: dict[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Floats], dict[str, Flags]]:
    """Ours and the judge's in the units of BARS, and the rows to compare."""
    terms, vol, strike = contracts.terms, contracts.vol, contracts.terms.strike
    greeks = pricing.greeks(terms, vol)
    ours = {
        "price": contracts.price / strike,
        "volatility": pricing.implied_volatility(terms, judge["price"]),
        "delta": greeks.delta,
        "gamma": greeks.gamma * terms.spot,
        "theta": greeks.theta / strike,
        "vega": greeks.vega * 100 / strike,
        "rho": greeks.rho * 100 / strike,
    }
    units = {
        "price": 1 / strike,
        "delta": np.ones(len(vol)),
        "gamma": terms.spot,
        "theta": 1 / (strike * DAYS_PER_YEAR),
        "vega": 1 / strike,
        "rho": 1 / strike,
    }
    theirs = {name: judge[name] * unit for name, unit in units.items()}
    compared = {
        name: judge[f"doubt_{name}"] * unit < BARS[name] * _DOUBT_MAX
        for name, unit in units.items()
        if name != "price"
    }
    for name in ("delta", "gamma"):  # of places that are not all held or all exercised
        compared[name] &= judge["is_straddled"] == 0
    compared["price"] = np.isfinite(judge["price"])
    compared["volatility"] = compared["price"] & (theirs["vega"] > VEGA_MIN)
    return ours, theirs | {"volatility": vol}, compared


def _regions(contracts: Contracts) -> dict[str, Flags]:
    terms = contracts.terms
    is_short = terms.years * DAYS_PER_YEAR < SHORT_DAYS - 0.5
    rate, carry = terms.rate, terms.carry
    places = {
        "negative rate": rate < 0,
        "no yield": (rate >= 0) & (carry == 0),
        "rate above yield": (carry > 0) & (rate >= carry),
        "rate below yield": (rate >= 0) & (rate < carry),
    }
    lengths = {f"under {SHORT_DAYS} days": is_short, "longer": ~is_short}
    return {
        f"{right}, {place}, {length}": (terms.sign == sign) & there & lasts
        for right, sign in (("call", 1), ("put", -1))
        for place, there in places.items()
        for length, lasts in lengths.items()
    }


def _excesses(
    contracts: Contracts,
    differences: dict[str, Floats],
    ours: dict[str, Floats],
    theirs: dict[str, Floats],
) -> list[Excess]:
    """The largest in units of their bar first."""
    found = [
        (float(differences[name][row]) / bar, name, int(row))
        for name, bar in BARS.items()
        for row in np.flatnonzero(differences[name] > bar)
    ]
    found.sort(key=lambda one: one[0], reverse=True)
    return [
        Excess(
            measure=name,
            ours=_number(ours[name][row]),
            judge=float(theirs[name][row]),
            error=_number(differences[name][row]),
            inputs={key: float(getattr(contracts.terms, key)[row]) for key in _TERMS}
            | {"vol": float(contracts.vol[row])},
        )
        for _, name, row in found[:_TOLD_MAX]
    ]


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def as_dict(found: Errors) -> dict[str, object]:
    """For JSON, which knows no infinity."""
    told = asdict(found)
    for region in told["regions"]:
        region["worst"] = {key: _number(value) for key, value in region["worst"].items()}
    return told
