"""Planted bugs: the mistakes that the harness must catch, each a patch of the core by name. A name
that is gone fails loudly."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from broker.client import Broker
from broker.errors import Refused, Unknown
from db.intents import Claim
from domain.audit import Discrepancy, Holdings
from domain.orders import LIVE, UNSETTLED, IntentState
from domain.reconcile import IntentMove
from domain.risk import Exposure

Real = Any
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bug:
    """`plant` puts it into this process."""

    what: str
    plant: Callable[[], None]


def change(module: str, name: str, wrong: Callable[[Real], Any]) -> None:
    """Put `wrong(real)` in the place of a name of the core."""
    owner = importlib.import_module(module)
    setattr(owner, name, wrong(getattr(owner, name)))


def change_broker(wrong: Callable[[Real], Any]) -> None:
    """The same for how an order is sent."""
    Broker.submit = wrong(Broker.submit)  # type: ignore[method-assign]  # a planted bug


def _send_before_commit() -> None:
    answers: dict[str, Any] = {}

    def claim(real: Real) -> Any:
        def early(session: Any, one: Any, price: Any, *rest: Any) -> Claim:
            said: Claim = real(session, one, price, *rest)
            if said is Claim.CLAIMED:
                answers[one.intent.client_order_id] = _answer(one, price)
            return said

        return early

    def submit(real: Real) -> Any:
        def told(self: Broker, intent: Any, limit: Decimal) -> Any:
            if intent.client_order_id not in answers:
                return real(self, intent, limit)
            answer = answers.pop(intent.client_order_id)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return told

    change("db.intents", "claim", claim)
    change_broker(submit)


def _answer(one: Any, price: Any) -> Any:
    """What the broker says to an order, be it an error."""
    client = importlib.import_module("tasks.context").broker()
    try:
        return client.submit(one.intent, price.limit)
    except (Refused, Unknown) as error:
        return error


def _new_id_on_retry() -> None:
    def submit(real: Real) -> Any:
        def again(self: Broker, intent: Any, limit: Decimal) -> Any:
            try:
                return real(self, intent, limit)
            except Unknown:
                other = replace(intent, client_order_id=f"{intent.client_order_id[:46]}-2")
                return real(self, other, limit)

        return again

    change_broker(submit)


def _time_out_is_a_refusal() -> None:
    def submit(real: Real) -> Any:
        def hasty(self: Broker, intent: Any, limit: Decimal) -> Any:
            try:
                return real(self, intent, limit)
            except Unknown as error:
                raise Refused(str(error), status=0, code=0) from error

        return hasty

    change_broker(submit)


def _not_found_once_is_final() -> None:
    def next_look_at(real: Real) -> Any:
        return lambda sent_at, looked_at, looks: real(sent_at, looked_at, looks + 4 * (looks > 0))

    change("tasks.orders", "next_look_at", next_look_at)


def _fills_are_not_deduped() -> None:
    def save(real: Real) -> Any:
        def every(session: Any, cycle: Any, theirs: Any, now: datetime) -> Any:
            ours = tuple(replace(fill, id=f"{fill.id}-{now:%H%M%S}") for fill in theirs.fills)
            return real(session, cycle, replace(theirs, fills=ours), now)

        return every

    change("db.books", "save", save)


def _filled_quantities_are_added_up() -> None:
    def intent_move(real: Real) -> Any:
        def summed(state: IntentState, filled: int, order: Any) -> IntentMove | None:
            move = real(state, filled, order)
            if move is not None and filled:
                move = replace(move, filled_quantity=filled + int(order.filled_quantity))
            found: IntentMove | None = move
            return found

        return summed

    change("tasks.orders", "intent_move", intent_move)


def _activities_are_keyed_by_id() -> None:
    def save(real: Real) -> Any:
        def first_of_an_id(session: Any, cycle: Any, theirs: Any, now: datetime) -> Any:
            by_id = {row.id: row for row in reversed(theirs.activities)}
            return real(session, cycle, replace(theirs, activities=tuple(by_id.values())), now)

        return first_of_an_id

    change("db.books", "save", save)


def _halt_is_read_at_the_start() -> None:
    change("db.intents", "halts", lambda real: SimpleNamespace(standing_halt=lambda *_: None))


def _unknown_orders_are_left_out() -> None:
    known = tuple(state for state in LIVE if state not in UNSETTLED)

    def live_losses(real: Real) -> Any:
        return lambda session, account_id, states: real(
            session, account_id, [state for state in states if state in known]
        )

    def claim(real: Real) -> Any:
        def blind(*arguments: Any) -> Claim:
            module = importlib.import_module("db.intents")
            whole = module.read_unsettled
            module.read_unsettled = lambda *_: []  # type: ignore[attr-defined]  # a planted bug
            try:
                said: Claim = real(*arguments)
                return said
            finally:
                module.read_unsettled = whole  # type: ignore[attr-defined]  # a planted bug

        return blind

    change("db.intents", "live_losses", live_losses)
    change("db.intents", "claim", claim)


def _nothing_is_locked_in_postgres() -> None:
    ahead = timedelta(days=365)
    change(
        "db.cycles",
        "bury_silent",
        lambda real: lambda session, account_id, now: real(session, account_id, now + ahead),
    )
    _stale_lease_may_write()


def _cash_is_a_float() -> None:
    def expected(real: Real) -> Any:
        def summed(start: Holdings, fills: Any, activities: Any) -> Holdings:
            moved = [fill for fill in fills if fill.status != "canceled"]
            cash = float(start.cash) + sum(float(row.net_amount) for row in activities)
            for fill in moved:
                signed = float(fill.quantity) * (-1 if fill.side == "buy" else 1)
                cash += signed * float(fill.price) * (100 if len(fill.symbol) > 15 else 1)
            held: Holdings = replace(real(start, fills, activities), cash=Decimal(cash))
            return held

        return summed

    def discrepancies(real: Real) -> Any:
        def to_the_last_digit(should: Holdings, cash: Decimal, held: Any) -> list[Discrepancy]:
            found: list[Discrepancy] = real(replace(should, cash=cash), cash, held)
            if cash != should.cash:
                found.append(Discrepancy(subject="cash", expected=should.cash, found=cash))
            return found

        return to_the_last_digit

    change("tasks.reconcile", "expected", expected)
    change("tasks.reconcile", "discrepancies", discrepancies)


def _local_time_is_naive() -> None:
    """What a clock of New York shows is stored as UTC, for all but the broker's own clock, which
    would stop everything at once."""
    parse = importlib.import_module("broker.parse")
    right = parse.parse_time

    def naive(text: object) -> datetime:
        return right(text).astimezone(NEW_YORK).replace(tzinfo=UTC)  # type: ignore[no-any-return]  # a planted bug

    def parse_clock(real: Real) -> Any:
        def told(body: Any) -> Any:
            parse.parse_time = right  # type: ignore[attr-defined]  # a planted bug
            try:
                return real(body)
            finally:
                parse.parse_time = naive  # type: ignore[attr-defined]  # a planted bug

        return told

    change("broker.parse", "parse_time", lambda _: naive)
    change("broker.parse", "parse_clock", parse_clock)


def _unknown_numbers_pass() -> None:
    def chain_to_condors(real: Real) -> Any:
        def hopeful(chain: Any, spot: float, now: datetime, rules: Any, places: int) -> Any:
            side = chain["right"].map({"C": 1.0, "P": -1.0})
            bid = chain["bid"].fillna(chain["ask"] / 2).fillna(0.5)
            ask = chain["ask"].fillna(bid)
            wanted = side * rules.short_delta_target
            filled = {
                "bid": bid,
                "ask": ask,
                "mid": (bid + ask) / 2,
                "delta": chain["delta"].fillna(_between(chain)).fillna(wanted),
                "flag": None,
            }
            return real(chain.assign(**filled), spot, now, rules, places)

        return hopeful

    def exposure(real: Real) -> Any:
        nothing = Exposure(delta_usd=0.0, gamma_usd=0.0, theta_usd=0.0)
        return lambda greek, shares: nothing if greek is None else real(greek, shares)

    def beyond_mid(real: Real) -> Any:
        return lambda intent, mids: float(np.nan_to_num(real(intent, mids)))

    change("domain.strategies.iron_condor", "chain_to_condors", chain_to_condors)
    change("domain.risk", "exposure", exposure)
    change("domain.risk", "_beyond_mid", beyond_mid)


def _between(chain: Any) -> Any:
    """The delta of each contract, or what those beside it suggest."""
    ordered = chain.sort_values("strike").groupby(["expiration", "right"])["delta"]
    return ordered.transform(lambda delta: delta.interpolate(limit_direction="both"))


def _stale_lease_may_write() -> None:
    change("db.cycles", "hold_lease", lambda real: lambda *_: None)


BUGS: dict[str, Bug] = {
    "P1": Bug(what="an order is sent before its intent is committed", plant=_send_before_commit),
    "P2": Bug(what="without an answer it is sent again under a new id", plant=_new_id_on_retry),
    "P3": Bug(what="a time-out is taken for a refusal", plant=_time_out_is_a_refusal),
    "P4": Bug(what="one 404 is taken as final", plant=_not_found_once_is_final),
    "P5": Bug(what="a fill read again is stored again", plant=_fills_are_not_deduped),
    "P6": Bug(what="cumulative quantities are added up", plant=_filled_quantities_are_added_up),
    "P7": Bug(what="activities are keyed by id alone", plant=_activities_are_keyed_by_id),
    "P8": Bug(what="the halt is read when the cycle starts only", plant=_halt_is_read_at_the_start),
    "P9": Bug(what="unknown orders are left out of limits", plant=_unknown_orders_are_left_out),
    "P10": Bug(what="only the orchestrator locks", plant=_nothing_is_locked_in_postgres),
    "P11": Bug(what="cash is a float", plant=_cash_is_a_float),
    "P12": Bug(what="local time without a zone is taken for UTC", plant=_local_time_is_naive),
    "P13": Bug(what="NaN passes a filter", plant=_unknown_numbers_pass),
    "P14": Bug(what="a stale lease may write", plant=_stale_lease_may_write),
}


def planting(name: str) -> Callable[[], None]:
    """What plants the bug of this name in a process."""
    if name not in BUGS:
        raise LookupError(f"there is no planted bug {name}: {', '.join(BUGS)}")
    return BUGS[name].plant
