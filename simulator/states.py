"""Which status an order may have after which. Every change of a status asks here."""

from types import MappingProxyType

#: Where it ends; an order leaves none of these.
FINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})

_NOT_YET_WORKING = {"pending_cancel", "canceled", "expired", "rejected"}
_WORKING = {
    "partially_filled",
    "filled",
    "pending_cancel",
    "canceled",
    "expired",
    "pending_replace",
    "replaced",
    "done_for_day",
}
MOVES = MappingProxyType(
    {
        "pending_new": frozenset({"new", "accepted"} | _NOT_YET_WORKING),
        "accepted": frozenset({"new", "pending_new"} | _NOT_YET_WORKING),
        "new": frozenset(_WORKING | {"rejected", "stopped", "suspended"}),
        "partially_filled": frozenset(_WORKING | {"suspended"}),
        "held": frozenset({"new"} | _NOT_YET_WORKING | {"pending_replace", "replaced"}),
        # A fill can win against what is pending, or the request can fail: then it is as before.
        "pending_cancel": frozenset(
            {"canceled", "filled", "expired", "held"}
            | {"new", "accepted", "pending_new", "partially_filled"}
        ),
        "pending_replace": frozenset(
            {"replaced", "filled", "canceled", "expired", "held", "new", "partially_filled"}
        ),
        "done_for_day": frozenset({"new", "partially_filled", "canceled", "expired"}),
        "stopped": frozenset({"partially_filled", "filled", "canceled", "expired"}),
        "suspended": frozenset({"new", "partially_filled", "canceled", "expired", "rejected"}),
        **{status: frozenset[str]() for status in FINAL},
    }
)

#: What an order has been through says when: status -> the order's field.
ENDED_AT = {
    "filled": "filled_at",
    "canceled": "canceled_at",
    "expired": "expired_at",
    "rejected": "failed_at",
    "replaced": "replaced_at",
}


class IllegalMove(AssertionError):
    """A mistake of the simulator's own: no request can ask for it."""


def check_move(before: str, after: str) -> None:
    """Nothing when it is allowed; staying is always."""
    if before != after and after not in MOVES.get(before, frozenset()):
        raise IllegalMove(f"an order never goes from {before} to {after}")
