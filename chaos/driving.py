"""A flow run by hand, and a request in words."""

from typing import Any

import requests


def body_of(request: requests.PreparedRequest) -> str:
    body = request.body or b""
    return body.decode() if isinstance(body, bytes) else str(body)


def words_of(request: requests.PreparedRequest) -> str:
    return f"{request.method} {request.path_url} {body_of(request)}".strip()


def driven(flow: Any) -> str:
    """A flow's coroutine to its end. It never awaits, so it needs no event loop; and it must not
    have one, because the simulator behind its requests brings its own."""
    try:
        flow.send(None)
    except StopIteration as end:
        return "done" if end.value is None else f"skipped: {end.value.message}"
    raise RuntimeError("the flow awaits something: it can no longer be driven by hand")
