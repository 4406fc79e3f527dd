"""PATCH /v2/account/configurations: what may be set to what."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from simulator.book import Configuration
from simulator.refusal import bad_parameter, malformed

Check = Callable[[object], bool]


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _one_of(*allowed: object) -> Check:
    return lambda value: any(value is each or value == each for each in allowed)


def _is_level(value: object) -> bool:
    return value is None or (isinstance(value, int) and value in range(4) and value is not True)


CHECKS: dict[str, Check] = {
    "fractional_trading": _is_flag,
    "max_margin_multiplier": _one_of("1", "2", "4"),
    "no_shorting": _is_flag,
    "suspend_trade": _is_flag,
    "trade_confirm_email": _one_of("all", "none"),
    "ptp_no_exception_entry": _is_flag,
    "disable_overnight_trading": _is_flag,
    "max_options_trading_level": _is_level,
}
#: Null is a value of its own here; elsewhere it leaves things as they are.
NULLABLE = frozenset({"max_options_trading_level"})


def configure(before: Configuration, body: object) -> Configuration:
    """Refusal names the first value that cannot be. Keys that are gone or unknown do nothing."""
    if not isinstance(body, Mapping):
        raise malformed("request body must be a JSON object")
    found = {}
    for key, check in CHECKS.items():
        if key not in body or (body[key] is None and key not in NULLABLE):
            continue
        if not check(body[key]):
            raise bad_parameter(f"invalid {key}")
        found[key] = body[key]
    return replace(before, **found)
