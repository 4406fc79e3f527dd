"""JSON in and out."""

import json
from decimal import Decimal

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from simulator.refusal import malformed

BODY_BYTES_MAX = 1_000_000
DIGITS_MAX = 30


class Json(JSONResponse):
    """ASCII, so that any text a client sent can be said back; NaN raises."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def body_of(request: Request) -> object:
    """JSON with every number exact, None when there is none; Refusal when it is not JSON."""
    try:
        raw = await request.body()
    except ClientDisconnect:  # nobody is there to read the answer
        raise malformed("request body is incomplete") from None
    if not raw:
        return None
    if len(raw) > BODY_BYTES_MAX:
        raise malformed("request body is too large")
    try:
        # Decimal reads whole numbers of any length; int gives up on thousands of digits.
        body: object = json.loads(
            raw, parse_float=Decimal, parse_int=_whole, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise malformed("request body format is invalid") from None
    return body


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) <= DIGITS_MAX else Decimal(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
