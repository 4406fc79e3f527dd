"""The simulator without a socket: a transport for clients that are built on requests, such as
alpaca-py. `client._session.mount("http://", InProcess(create_app(exchange)))` and any http:// URL.
"""

from collections.abc import Coroutine, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from starlette.types import ASGIApp, Message, Scope

from simulator.fault_layer import Answer, Dropped, NoAnswer


class InProcess(BaseAdapter):
    """Answers come from the app; what a fault does to a connection comes as requests' own error."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    def send(self, request: requests.PreparedRequest, *_: object, **__: Any) -> requests.Response:
        """Without a time-out: virtual time passes instead."""
        try:
            answer = _driven(_asked(self._app, _scope(request), _body(request)))
        except Dropped as problem:
            raise requests.ConnectionError(str(problem), request=request) from None
        except NoAnswer as problem:
            raise requests.ReadTimeout(str(problem), request=request) from None
        return _response(request, answer)

    def close(self) -> None:
        """Nothing is open."""


def _driven(asked: Coroutine[Any, Any, Answer]) -> Answer:
    """To its end by hand. Nothing in it waits for anything, and an event loop of its own would be
    half of what a request costs."""
    try:
        asked.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    asked.close()
    raise RuntimeError("the app waits for something: in process nothing would ever come")


async def _asked(app: ASGIApp, scope: Scope, body: bytes) -> Answer:
    answer = Answer()
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    await app(scope, receive, answer.catch)
    return answer


def _scope(request: requests.PreparedRequest) -> Scope:
    url = urlsplit(str(request.url))
    headers: Mapping[str, Any] = request.headers
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "root_path": "",
        "query_string": url.query.encode(),
        "headers": [
            (key.lower().encode(), value if isinstance(value, bytes) else str(value).encode())
            for key, value in headers.items()
        ],
        "client": ("in-process", 0),
        "server": (url.hostname, url.port or 80),
    }


def _body(request: requests.PreparedRequest) -> bytes:
    body = request.body or b""
    if isinstance(body, str):
        return body.encode()
    if not isinstance(body, bytes):
        raise TypeError("only a body that is all there can be sent")
    return body


def _response(request: requests.PreparedRequest, answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(
        {key.decode("latin-1"): value.decode("latin-1") for key, value in answer.headers}
    )
    response.raw = BytesIO(answer.body)
    response.encoding = "utf-8"
    response.url = str(request.url)
    response.request = request
    return response
