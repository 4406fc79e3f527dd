"""How a request goes out and what its failure means."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from broker.errors import BrokerError, IdTaken, NotAuthorized, NotFound, Refused, Unknown

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 3.05, 15.0
CODE_NOT_AUTHORIZED = 40110000
CODE_BAD_PARAMETER = 40010001  # the code of a taken client_order_id too; the words tell which
#: Words, in whatever spelling, that may mean a taken client_order_id under that code.
TAKEN_WORDS = ("client order id", "unique", "duplicate", "already")
#: The broker's own codes of a no: the HTTP status and five digits. A page of something in between
#: has none, or one of another form.
CODES_OF_REFUSALS = range(40_000_000, 50_000_000)
CODES_OF_NOT_FOUND = range(40_400_000, 40_500_000)
#: Statuses that say nothing about what became of a request: somebody in between lost patience, or
#: two requests met.
UNDECIDED = frozenset({408, 409, 425, 429, 499})

#: A kept connection that the broker has closed meanwhile fails the next request on it. A read is
#: asked once more at once; anything else is never repeated here.
READ_AGAIN = Retry(total=1, connect=0, read=1, status=0, other=0, allowed_methods={"GET"})

Answer = TypeVar("Answer")


class _TimeoutAdapter(HTTPAdapter):
    """alpaca-py passes no time-out; a request without one can hang a cycle for ever."""

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        options["timeout"] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        return super().send(request, *args, **options)


def calm(client: RESTClient, url: str | None) -> None:
    """No blind retry of anything, a time-out on everything."""
    client._retry = 0
    for scheme in ("https://", "http://"):
        client._session.mount(scheme, _TimeoutAdapter(max_retries=READ_AGAIN))
    if url and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        client._session.trust_env = False  # a proxy of the environment cannot reach loopback


def answer_of(what: str, ask: Callable[[], Answer], *, makes_order: bool = False) -> Answer:
    """The answer to `what`, or the BrokerError that its failure means.

    makes_order  whether the request may have made an order: then a no counts only when the
                 broker's own code says it
    """
    try:
        return ask()
    except APIError as error:
        raise _refusal(what, error, makes_order) from None
    except RequestException as error:
        raise Unknown(f"no answer to {what}: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # requests' JSON errors are both; a body of another form fails where it is read.
        raise Unknown(f"the answer to {what} does not parse: {error}") from error


def _refusal(what: str, error: APIError, makes_order: bool) -> BrokerError:
    status = int(error.status_code or 0)
    words, code = _words(error)
    text = f"{what}: {status} {words}"
    if _is_about_keys(status, code, makes_order):
        return NotAuthorized(
            f"{text}: check APCA_API_KEY_ID and APCA_API_SECRET_KEY", status=status, code=code
        )
    if not 400 <= status < 500 or status in UNDECIDED:
        return Unknown(text)
    if code not in CODES_OF_REFUSALS and (makes_order or status == 404):
        return Unknown(text)
    if code in CODES_OF_NOT_FOUND:
        return NotFound(text, status=status, code=code)
    if code == CODE_BAD_PARAMETER and _may_mean_taken(words):
        return IdTaken(text, status=status, code=code)
    return Refused(text, status=status, code=code)


def _is_about_keys(status: int, code: int, makes_order: bool) -> bool:
    """401, or a 403 that says so; one without a code may come from anything in between."""
    return status == 401 or (
        status == 403 and (code == CODE_NOT_AUTHORIZED or (code == 0 and not makes_order))
    )


def _may_mean_taken(words: str) -> bool:
    """Whether a bad parameter may be the client_order_id. Words may change, and a wrong yes costs a
    look where a wrong no loses an order."""
    said = words.lower().replace("_", " ").replace("-", " ").strip()
    return not said or any(word in said for word in TAKEN_WORDS)


def _words(error: APIError) -> tuple[str, int]:
    """The broker's message and code; the start of the body and 0 where it is not its JSON."""
    try:
        return str(error.message), int(error.code)
    except (ValueError, KeyError, TypeError):
        return str(error)[:200], 0
