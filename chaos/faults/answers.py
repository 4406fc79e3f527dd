"""Answers that say something else than what happened: of another order, a page of a gateway, market
data that is down for a while, quotes that take until after the close."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import requests

from chaos.driving import body_of
from chaos.faults.kinds import Armed, Kind, Kinds, at_broker, trapped
from chaos.gateway import PAGE, Pass, Spoil, said
from chaos.market import sessions_around
from chaos.operations import Kind as At
from chaos.operations import Operation, Phase, Trap
from simulator.book import Order
from simulator.faults import Fault, FaultKind
from simulator.times import MINUTE, SECOND

if TYPE_CHECKING:
    from chaos.day import Day

ORDERS = "/v2/orders"
BY_CLIENT_ID = "/v2/orders:by_client_order_id"
STATUSES = (400, 403, 404, 409, 413)
MARKET_DATA = ("/v1beta1/*", "/v2/stocks/*")
LATE_SLOT, LEFT_S, SLOW_S = 3 * MINUTE, 2, 3


def spoiled(day: Day, *spoils: Spoil) -> Armed:
    """Wrong answers, from now on; counted together."""
    day.wire.spoils += spoils
    return Armed(fired=lambda: sum(spoil.fired for spoil in spoils))


# Another order's


def _another(day: Day, request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
    """The newest order that is not the one asked about, as the broker reads it; None where there
    is none."""
    asked = _asked(request)
    others = [o for o in day.exchange.book.orders.values() if _is_other(o, asked)]
    if not others:
        return None
    again = request.copy()
    url = urlsplit(str(request.url))
    again.method, again.body = "GET", None
    again.url = f"{url.scheme}://{url.netloc}{ORDERS}/{others[-1].id}"
    found = day.wire.broker.send(again)
    return said(request, 200, json.loads(found.content))


def _is_other(order: Order, asked: str) -> bool:
    return order.client_order_id != asked and order.ratio is None


def _asked(request: requests.PreparedRequest) -> str:
    """The id that a request is about."""
    if request.method == "POST":
        body = json.loads(body_of(request) or "{}")
        return str(body.get("client_order_id"))
    return parse_qs(urlsplit(str(request.url)).query).get("client_order_id", [""])[0]


def _filled_by_hand(day: Day) -> None:
    """So that there is another order, and a filled one."""
    bought = {"symbol": day.plan.scene.underlyings[0], "qty": "1", "side": "buy"}
    body: dict[str, object] = {**bought, "type": "market", "time_in_force": "day"}
    at_broker(day, Fault(kind=FaultKind.HAND_ORDER, body=body))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """A wrong answer to an order: `is_done` when the broker took it first."""

    name: str
    is_done: bool

    def arm(self, day: Day, seed: int) -> Armed:
        chance = Random(seed)
        wrong = self._wrong(day, chance)

        def answer(request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
            response = wrong(request, ask)
            if response is not None and self.is_done:
                ask()
            return response

        skip, times = chance.choice([0, 0, 1]), chance.choice([1, 1, 2])
        spoil = Spoil(
            name=self.name, method="POST", path=ORDERS, answer=answer, skip=skip, times=times
        )
        return spoiled(day, spoil)

    def _wrong(
        self, day: Day, chance: Random
    ) -> Callable[[requests.PreparedRequest, Pass], requests.Response | None]:
        if "another" in self.name:
            if chance.random() < 0.7:
                _filled_by_hand(day)
            return lambda request, ask: _another(day, request, ask)
        status, body = chance.choice(STATUSES), chance.choice([PAGE, PAGE, b""])
        return lambda request, ask: said(request, status, body)


def _read_another(day: Day, seed: int) -> Armed:
    """A look by id is answered with an order of another id."""
    chance = Random(seed)
    _filled_by_hand(day)
    spoil = Spoil(
        name="read_another",
        method="GET",
        path=BY_CLIENT_ID,
        answer=lambda request, ask: _another(day, request, ask),
        skip=chance.randrange(3),
        times=chance.choice([1, 1, 3]),
    )
    return spoiled(day, spoil)


def _read_page(day: Day, seed: int) -> Armed:
    """The answer to an order is lost, and each look is answered 404 by a gateway's page."""
    chance = Random(seed)
    lost = Fault(kind=FaultKind.CLOSED_AFTER, method="POST", path=ORDERS)
    at_broker(day, lost)
    body = chance.choice([PAGE, PAGE, b""])

    def answer(request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
        is_there = _asked(request) in day.exchange.book.by_client_id
        return said(request, 404, body) if is_there else None

    spoil = Spoil(
        name="read_page",
        method="GET",
        path=BY_CLIENT_ID,
        answer=answer,
        times=chance.choice([1, 4, 5, 7]),
    )
    return spoiled(day, spoil)


# Market data, cancels, quotes


def _data_down(day: Day, seed: int) -> Armed:
    """Market data is down for a whole slot or two, and the rest of the broker is up."""
    status = Random(seed).choice([500, 502, 503])
    until = day.exchange.now + Random(seed).choice([4, 25]) * MINUTE

    def answer(request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
        return said(request, status, PAGE) if day.exchange.now < until else None

    spoils = [
        Spoil(name="data_down", method="GET", path=path, answer=answer, times=-1)
        for path in MARKET_DATA
    ]
    return spoiled(day, *spoils)


def _left_working(day: Day, seed: int) -> Armed:
    """In this slot no cancel is answered, so that what does not fill works on into the next; and
    what is sent asks for so little that it does not fill."""
    until = day.exchange.now + Random(seed).choice([2, 4]) * MINUTE

    def answer(request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
        return said(request, 503, PAGE) if day.exchange.now < until else None

    path = f"{ORDERS}/*"
    spoil = Spoil(name="left_working", method="DELETE", path=path, answer=answer, times=-1)
    return spoiled(day, spoil)


def _closing_bell(day: Day, seed: int) -> Armed:
    """The slot's orders are to be sent two seconds before the close, and quotes take three."""
    session = sessions_around(day.plan.scene.day.year).on(day.plan.scene.day)
    assert session is not None
    close = session.close

    def slow(request: requests.PreparedRequest, ask: Pass) -> requests.Response | None:
        response = ask()
        day.pass_time(SLOW_S)
        return response

    spoils = [
        Spoil(name="closing_bell", method="GET", path=path, answer=slow, times=2)
        for path in MARKET_DATA
    ]

    def strike(_: Operation) -> None:
        day.advance(close - LEFT_S * SECOND)
        day.wire.spoils += spoils

    def meets(operation: Operation) -> bool:
        is_submit = operation.kind is At.STEP and operation.what == "submit"
        return is_submit and operation.phase is Phase.BEFORE

    def way(slot: int) -> None:
        day.advance(close - LATE_SLOT)
        day.run_cycle(close - LATE_SLOT)

    day.way = way
    trapped(day, Trap(name="closing_bell", meets=meets, strike=strike))
    return Armed(fired=lambda: sum(spoil.fired for spoil in spoils))


KINDS: Kinds = {
    "order_another_after": Kind(
        number="F6", arm=_Answer(name="order_another_after", is_done=True).arm, is_apart=True
    ),
    "order_another_before": Kind(
        number="F6", arm=_Answer(name="order_another_before", is_done=False).arm, is_apart=True
    ),
    "order_page_after": Kind(
        number="F7", arm=_Answer(name="order_page_after", is_done=True).arm, is_apart=True
    ),
    "order_page_before": Kind(
        number="F7", arm=_Answer(name="order_page_before", is_done=False).arm, is_apart=True
    ),
    "read_another": Kind(number="F9", arm=_read_another, is_apart=True),
    "read_page": Kind(number="F9", arm=_read_page, is_apart=True),
    "data_down": Kind(number="F9", arm=_data_down, is_apart=True),
    "left_working": Kind(number="F4", arm=_left_working, is_apart=True),
    "closing_bell": Kind(number="F8", arm=_closing_bell, is_apart=True),
}
