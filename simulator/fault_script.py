"""Faults from text: the body of POST /sim/faults, or a file of them; and back to JSON."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from http import HTTPStatus
from math import isfinite
from pathlib import Path

from simulator.fault_layer import ERRORS
from simulator.faults import DEFAULTS, Fault, FaultKind, Faults
from simulator.market import Market
from simulator.symbols import is_option_symbol, root_of
from simulator.times import parse_moment, rfc3339

WORDS = ("method", "path", "symbol")
COUNTS = ("skip", "times")
MOMENTS = ("at", "until")
KNOWN = ("kind", *WORDS, *COUNTS, *MOMENTS, "settings", "body")
#: Settings that may have decimals.
FRACTIONS = ("seconds", "percent", "price")
#: Those of a gateway, and any with which a server may turn a connection down.
STATUSES: Mapping[FaultKind, Sequence[int]] = {
    FaultKind.ERROR_BEFORE: tuple(ERRORS),
    FaultKind.ERROR_AFTER: tuple(ERRORS),
    FaultKind.STREAM_REFUSE: tuple(int(status) for status in HTTPStatus if status >= 400),
}
COUNT_MAX = 1_000_000

Json = dict[str, object]


class BadFault(ValueError):
    """A fault that cannot be read; the text says why, in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def read_faults(text: object, now: int, market: Market) -> list[Fault]:
    """One fault or a list of them; BadFault names the first that is wrong. None stands earlier
    than `now`, or for what the market does not list."""
    if isinstance(text, Mapping) and "faults" in text:
        text = text["faults"]
    given = text if isinstance(text, list) else [text]
    faults = [_fault(one, now) for one in given]
    for fault in faults:
        _check(fault, now, market)
    return faults


def read_file(path: Path, now: int, market: Market) -> list[Fault]:
    """From JSON, or from TOML with one [[faults]] each; BadFault when it cannot be read."""
    try:
        text = path.read_text()
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as problem:
        raise BadFault(f"{path}: {problem}") from None
    return read_faults(found, now, market)


def _fault(given: object, now: int) -> Fault:
    if not isinstance(given, Mapping):
        raise BadFault("a fault is an object with a kind")
    unknown = [str(key) for key in given if key not in KNOWN]
    if unknown:
        raise BadFault(f"a fault has no {unknown[0]}; it has {', '.join(KNOWN)}")
    try:
        kind = FaultKind(str(given.get("kind")))
    except ValueError:
        raise BadFault(
            f"there is no fault {given.get('kind')}; there are {', '.join(FaultKind)}"
        ) from None
    words = {key: str(given.get(key) or "") for key in WORDS}
    counts = {key: _count(given, key, default) for key, default in (("skip", 0), ("times", 1))}
    body = given.get("body")
    if body is not None and not isinstance(body, Mapping):
        raise BadFault("body must be an object")
    at = _moment(given, "at")
    return Fault(
        kind=kind,
        method=words["method"].upper(),
        path=words["path"],
        symbol=words["symbol"],
        skip=counts["skip"],
        times=counts["times"],
        at=now if at is None else max(at, now),
        until=_moment(given, "until"),
        settings=_settings(kind, given.get("settings")),
        body=body,
    )


def _count(given: Mapping[str, object], key: str, default: int) -> int:
    value = given.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        raise BadFault(f"{key} must be a whole number from 0 to {COUNT_MAX}")
    return value


def _moment(given: Mapping[str, object], key: str) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, datetime | date | time):  # TOML has moments of its own
        value = value.isoformat()
    try:
        return parse_moment(str(value))
    except (ValueError, OverflowError):
        raise BadFault(f"{key} must be a moment such as 2026-11-20T15:00:00Z") from None


def _settings(kind: FaultKind, given: object) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BadFault("settings must be an object of numbers")
    known = DEFAULTS.get(kind, {})
    found: dict[str, float] = {}
    for name, value in given.items():
        if name not in known:
            raise BadFault(f"{kind} has no setting {name}; it has {', '.join(known) or 'none'}")
        found[str(name)] = _number(str(name), value)
    return found


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if not isfinite(number) or abs(number) > COUNT_MAX:
        raise BadFault(f"the setting {name} must be a number of at most {COUNT_MAX}")
    return number


def _check(fault: Fault, now: int, market: Market) -> None:
    """BadFault for what could never fire, or not as it says."""
    for name, value in fault.settings.items():
        if name not in FRACTIONS and value != int(value):
            raise BadFault(f"the setting {name} must be a whole number")
    statuses = STATUSES.get(fault.kind, ())
    if statuses and int(fault.setting("status")) not in statuses:
        raise BadFault(f"{fault.kind} has a status of {', '.join(map(str, statuses))}")
    if fault.symbol and not _is_listed(fault, now, market):
        raise BadFault(f"there is no {fault.symbol} in this market")
    is_last = fault.kind is FaultKind.STREAM_REORDER and fault.method == "FILL"
    if is_last and not fault.setting("before_answer"):
        raise BadFault("nothing overtakes a fill; with before_answer 1 it comes before its answer")


def _is_listed(fault: Fault, now: int, market: Market) -> bool:
    """Whether there is such a stock or contract; contracts of its stock may come until then."""
    if not is_option_symbol(fault.symbol):
        return fault.symbol in market.underlyings
    if market.contract(fault.symbol, now) is not None:
        return True
    return fault.at > now and root_of(fault.symbol).rstrip("0123456789") in market.underlyings


def shown(faults: Faults) -> Json:
    """The table of faults: every kind with what it means, how many stand armed and have fired."""
    armed = [fault.kind for fault in faults.armed]
    return {
        "kinds": [
            {
                "kind": kind.value,
                "about": kind.about,
                "settings": dict(DEFAULTS.get(kind, {})),
                "armed": armed.count(kind),
                "fired": faults.fired[kind],
            }
            for kind in FaultKind
        ],
        "armed": [_shown_one(fault) for fault in faults.armed],
        "fired": {kind.value: count for kind, count in faults.fired.items()},
        "failed": list(faults.failed),
    }


def _shown_one(fault: Fault) -> Json:
    return {
        "kind": fault.kind.value,
        "method": fault.method,
        "path": fault.path,
        "symbol": fault.symbol,
        "skip": fault.skip,
        "times": fault.times,
        "at": rfc3339(fault.at),
        "until": None if fault.until is None else rfc3339(fault.until),
        "settings": {**DEFAULTS.get(fault.kind, {}), **fault.settings},
        "has_fired": fault.is_met,
    }
