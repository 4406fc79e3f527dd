"""How a request is turned down: an HTTP status, a code of eight digits and a message."""

from collections.abc import Mapping

FORBIDDEN = 40310000
NOT_FOUND = 40410000
MALFORMED = 40010000
BAD_PARAMETER = 40010001
UNPROCESSABLE = 42210000
INTERNAL = 50010000


class Refusal(Exception):
    """The answer is a no. `extra` are the further keys some refusals carry."""

    def __init__(
        self, status: int, code: int, message: str, extra: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = dict(extra or {})

    def body(self) -> dict[str, object]:
        """As the trading API says it."""
        return {"code": self.code, "message": self.message, **self.extra}


def malformed(message: str) -> Refusal:
    return Refusal(400, MALFORMED, message)


def bad_parameter(message: str) -> Refusal:
    return Refusal(422, BAD_PARAMETER, message)


def unprocessable(message: str) -> Refusal:
    return Refusal(422, UNPROCESSABLE, message)


def forbidden(message: str, **extra: object) -> Refusal:
    return Refusal(403, FORBIDDEN, message, extra)


def not_found(message: str) -> Refusal:
    return Refusal(404, NOT_FOUND, message)
