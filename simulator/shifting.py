"""Lists that grow between two of their pages (F11): one begins with what ended the one before."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs

from simulator.faults import FaultKind, Faults

#: Who asks with one of these wants a later page.
LATER = ("page_token", "until", "after", "before_order_id", "after_order_id")


class Pages:
    """The end of the last page of every list that was read while the fault stands armed."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._ends: dict[str, tuple[str, object]] = {}

    def are_watched(self) -> bool:
        return any(fault.kind is FaultKind.PAGES_SHIFT for fault in self._faults.armed)

    def shifted(self, path: str, query: str, body: bytes) -> bytes:
        """The body, perhaps with something in front that was seen before."""
        try:
            shown = json.loads(body)
        except ValueError:
            return body
        items = _items(shown)
        if not items:
            return body
        end = self._ends.get(path)
        is_later = any(key in parse_qs(query) for key in LATER)
        self._ends[path] = (list(items)[-1], items[list(items)[-1]])
        if not is_later or end is None:
            return body
        if self._faults.take(FaultKind.PAGES_SHIFT, "GET", path) is None:
            return body
        return json.dumps(_grown(shown, *end), separators=(",", ":")).encode()


def _items(shown: object) -> dict[str, object]:
    """What a page lists, by name or by place."""
    listed = shown
    if isinstance(shown, Mapping):
        parts = [part for part in shown.values() if isinstance(part, list | dict)]
        listed = parts[0] if parts else None
    if isinstance(listed, Mapping):
        return {str(name): item for name, item in listed.items()}
    if isinstance(listed, list):
        return {str(place): item for place, item in enumerate(listed)}
    return {}


def _grown(shown: object, name: str, item: object) -> object:
    if isinstance(shown, list):
        return [item, *shown]
    if not isinstance(shown, Mapping):
        return shown
    grown: dict[str, object] = {}
    is_done = False
    for key, part in shown.items():
        if not is_done and isinstance(part, list):
            part, is_done = [item, *part], True
        elif not is_done and isinstance(part, Mapping):
            part, is_done = {name: item, **part}, True
        grown[str(key)] = part
    return grown
