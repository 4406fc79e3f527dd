"""What a request to the broker can come back as.

answered   the broker answered, and the body parses  -> a value, not an error
refused    the broker said no; nothing happened       -> Refused
unknown    no answer to trust; it may have happened   -> Unknown

BrokerError
  Refused          400, 401, 403, 404, 422; for an order only with the broker's own code in JSON
    NotAuthorized  401, or a 403 that is about the keys
    NotFound       404 with its code: the broker has no such thing
    IdTaken        422: this client_order_id may be an order already; read it, never send it again
  Unknown          time-out, dropped socket, 408, 409, 425, 429, 499, 5xx, a page of something in
                   between, a body that does not parse or is about another order
"""


class BrokerError(RuntimeError):
    """Anything but an answer. The text names the request and never holds a key."""


class Refused(BrokerError):
    """The broker said no. `status` is HTTP's, `code` the broker's own (0 where it sent none)."""

    def __init__(self, text: str, *, status: int, code: int) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class NotAuthorized(Refused):
    """The keys are wrong, or not for this account."""


class NotFound(Refused):
    """The broker has no such thing."""


class IdTaken(Refused):
    """An order with this client_order_id exists, or what was said may mean that."""


class Unknown(BrokerError):
    """Nothing is known about what the request did."""
