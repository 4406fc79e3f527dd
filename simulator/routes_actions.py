"""GET /v1/corporate-actions: of what is announced by now, ordered by day."""

import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from simulator.exchange import Exchange
from simulator.filters import BadQuery, Query, choice, day, read_token, whole, words
from simulator.market import Action
from simulator.symbols import asset_id
from simulator.times import new_york_day

Json = dict[str, object]
#: Every type that can be asked for -> the group it is answered in.
GROUPS: Final = {
    "reverse_split": "reverse_splits",
    "forward_split": "forward_splits",
    "unit_split": "unit_splits",
    "cash_dividend": "cash_dividends",
    "stock_dividend": "stock_dividends",
    "spin_off": "spin_offs",
    "cash_merger": "cash_mergers",
    "stock_merger": "stock_mergers",
    "stock_and_cash_merger": "stock_and_cash_mergers",
    "redemption": "redemptions",
    "name_change": "name_changes",
    "worthless_removal": "worthless_removals",
    "rights_distribution": "rights_distributions",
    "contract_adjustment": "contract_adjustments",
    "partial_call": "partial_calls",
}
_KEY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [A-Z0-9./-]+ [0-9a-f-]{36}")


def corporate_actions(exchange: Exchange, query: Query, _: str) -> Json:
    """The page asked for, by group; a group without any is left out."""
    limit = whole(query, "limit", 100, 1000)
    newest_first = choice(query, "sort", ("asc", "desc"), "asc") == "desc"
    found = sorted(
        ((_key(action), action) for action in _asked(exchange, query)),
        key=lambda pair: pair[0],
        reverse=newest_first,
    )
    after = read_token(query.get("page_token"), _KEY.fullmatch)
    if after:
        found = [pair for pair in found if (pair[0] < after if newest_first else pair[0] > after)]
    shown = found[:limit]
    groups: dict[str, list[Json]] = {}
    for _k, action in shown:
        groups.setdefault(GROUPS[_type(action)], []).append(_wire(action))
    more = len(found) > limit
    token = b64encode(shown[-1][0].encode()).decode() if more else None
    return {"corporate_actions": groups, "next_page_token": token}


def _asked(exchange: Exchange, query: Query) -> Sequence[Action]:
    """`ids` excludes every other filter."""
    known = exchange.market.actions(exchange.now)
    ids = words(query, "ids")
    filters = ("symbols", "cusips", "types", "start", "end")
    if ids and any(query.get(key) for key in filters):
        raise BadQuery("ids and other filters are mutually exclusive")
    if ids:
        wanted = {_uuid(text) for text in ids}
        return [action for action in known if _id(action) in wanted]
    return _filtered(exchange, query, known)


def _filtered(exchange: Exchange, query: Query, known: Sequence[Action]) -> Sequence[Action]:
    """Both days default to the running one. This market knows no cusips, and is in the US."""
    today = new_york_day(exchange.now)
    first, last = day(query, "start") or today, day(query, "end") or today
    if query.get("start") and query.get("end") and last < first:
        raise BadQuery("end should not be before start")
    kinds, symbols = words(query, "types"), words(query, "symbols")
    unknown = [kind for kind in kinds if kind not in GROUPS]
    if unknown:
        raise BadQuery(f"invalid type: {unknown[0]}")
    region = choice(query, "region", ("us", "non_us", "all"), "us")
    if words(query, "cusips") or region == "non_us":
        return []
    return [
        action
        for action in known
        if first <= action.ex_day <= last
        and (not symbols or action.symbol in symbols)
        and (not kinds or _type(action) in kinds)
    ]


def _type(action: Action) -> str:
    if action.kind == "split":
        return "forward_split" if action.rate >= 1 else "reverse_split"
    return action.kind.replace(" ", "_").replace("-", "_")


def _id(action: Action) -> str:
    return asset_id(f"{action.symbol} {action.kind} {action.ex_day}")


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise BadQuery(f"invalid id: {text}") from None


def _key(action: Action) -> str:
    return f"{action.ex_day} {action.symbol} {_id(action)}"


def _wire(action: Action) -> Json:
    """A cusip is not known here, and is empty."""
    kind, rate = _type(action), float(action.rate)
    named: Json = {"symbol": action.symbol, "cusip": ""}
    shown: Json = {"id": _id(action), "process_date": str(action.ex_day)}
    shown["ex_date"] = str(action.ex_day)
    if action.record_day is not None:
        shown["record_date"] = str(action.record_day)
    if action.payable_day is not None:
        shown["payable_date"] = str(action.payable_day)
    if kind == "forward_split":
        return shown | named | {"new_rate": rate, "old_rate": 1}
    if kind == "reverse_split":
        both = {"symbol": action.symbol, "old_cusip": "", "new_cusip": ""}
        return shown | both | {"new_rate": 1, "old_rate": float(round(1 / action.rate, 9))}
    if kind == "spin_off":
        return shown | {
            "source_symbol": action.symbol,
            "source_cusip": "",
            "source_rate": 1,
            "new_symbol": action.new_symbol,
            "new_cusip": "",
            "new_rate": rate,
        }
    if kind == "cash_dividend":
        return shown | named | {"rate": rate, "special": False, "foreign": False}
    return shown | named | {"rate": rate}
