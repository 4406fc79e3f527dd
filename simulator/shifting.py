"""Lists that grow between two of their pages (F11): one begins with what ended the one before."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs

from simulator.faults import FaultKind, Faults

#: Who asks with one of these wants a later page.
LATER = ("page_token", "until", "after", "before_order_id", "after_order_id")

#: What a page lists: objects, objects by name, or lists of them by name.
Listed = list[object] | dict[str, object]


class Pages:
    """The end of the last page of every list that was read while the fault stands armed."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._ends: dict[str, Listed] = {}

    def are_watched(self) -> bool:
        return any(fault.kind is FaultKind.PAGES_SHIFT for fault in self._faults.armed)

    def shifted(self, path: str, query: str, body: bytes) -> bytes:
        """The body, perhaps with something in front that was seen before."""
        try:
            shown = json.loads(body)
        except ValueError:
            return body
        listed = _listed(shown)
        if not listed:
            return body
        end = self._ends.get(path)
        self._ends[path] = _end(listed)
        if end is None or not any(key in parse_qs(query) for key in LATER):
            return body
        grown = _grown(listed, end)
        if grown == listed or self._faults.take(FaultKind.PAGES_SHIFT, "GET", path) is None:
            return body
        if isinstance(shown, Mapping):
            grown = {key: grown if part is listed else part for key, part in shown.items()}
        return json.dumps(grown, separators=(",", ":")).encode()


def _listed(shown: object) -> Listed | None:
    """A page is its list, or has it under a key."""
    parts = [*shown.values()] if isinstance(shown, dict) else [shown]
    return next((part for part in parts if isinstance(part, list | dict)), None)


def _end(listed: Listed) -> Listed:
    """A page's last object, as the page of it alone would list it."""
    if isinstance(listed, list):
        return listed[-1:]
    name, item = list(listed.items())[-1]
    return {name: item[-1:] if isinstance(item, list) else item}


def _grown(listed: Listed, end: Listed) -> Listed:
    """With the end of another page in front."""
    if isinstance(listed, list) or isinstance(end, list):
        return [*end, *listed]
    grown = {**end, **listed}
    for name, rows in end.items():
        if isinstance(rows, list):
            found = listed.get(name)
            grown[name] = [*rows, *(found if isinstance(found, list) else [])]
    return grown
