"""What stands between the client and the broker and says what the broker did not: an answer about
another order, a page, nothing, or all of it late. Virtual time, like everything else here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from urllib.parse import unquote, urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from simulator.in_process import InProcess

Pass = Callable[[], requests.Response]
PAGE = b"<html><head><title>Please wait</title></head><body>Please wait.</body></html>"


@dataclass(kw_only=True, eq=False)
class Spoil:
    """Meets the requests of a method and path after `skip` others, `times` of them; `answer` makes
    what comes back, and may let the broker do what was asked."""

    name: str
    method: str
    path: str  # ends with * to mean everything below
    answer: Callable[[requests.PreparedRequest, Pass], requests.Response | None]
    skip: int = 0
    times: int = 1
    fired: int = 0

    def meets(self, method: str, path: str) -> bool:
        if self.method != method:
            return False
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


@dataclass(kw_only=True)
class Gateway:
    """Lets a request through to the broker, or to the oldest spoil that meets it. An answer of None
    means that nothing was wrong after all: the broker is asked, and nothing is counted."""

    broker: InProcess
    tell: Callable[[str, str], None]
    spoils: list[Spoil] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        path, method = unquote(urlsplit(str(request.url)).path), str(request.method)
        spoil = None if path.startswith("/sim/") else self._met(method, path)
        if spoil is None:
            return self.broker.send(request)
        answer = spoil.answer(request, lambda: self.broker.send(request))
        if answer is None:
            return self.broker.send(request)
        spoil.times, spoil.fired = spoil.times - 1, spoil.fired + 1
        if spoil.times == 0 and spoil in self.spoils:
            self.spoils.remove(spoil)
        self.tell("fault", f"{spoil.name} at {method} {path}")
        return answer

    def _met(self, method: str, path: str) -> Spoil | None:
        for spoil in self.spoils:
            if not spoil.meets(method, path):
                continue
            if spoil.skip == 0:
                return spoil
            spoil.skip -= 1
        return None


def said(request: requests.PreparedRequest, status: int, body: object) -> requests.Response:
    """An answer made here: bytes are a page, anything else is JSON."""
    is_page = isinstance(body, bytes)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "text/html" if is_page else "application/json"
    response = requests.Response()
    response.status_code = status
    headers = {"content-type": kind, "content-length": str(len(content))}
    response.headers = CaseInsensitiveDict(headers)
    response.raw = BytesIO(content)
    response.encoding = "utf-8"
    response.url, response.request = str(request.url), request
    return response
