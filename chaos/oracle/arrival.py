"""What must hold at the moment an order's request arrives: I1, I2, I5, I6, I12, I13."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import requests

from chaos.market import sessions_around
from chaos.oracle.arithmetic import CONTRACT, Lot, Package, is_contract, losses, package
from chaos.oracle.settings import Limits, read_limits
from chaos.process import current
from simulator.book import Order
from simulator.times import SECOND

if TYPE_CHECKING:
    from chaos.oracle import Oracle

CENT = Decimal("0.01")


class Arrival:
    """Judges requests; keeps what the client was told of its account."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._day = oracle.day
        self._own = oracle.day.stage.own
        self._limits: Limits = read_limits(oracle.day.config)
        self.posted: dict[str, Package] = {}
        self.not_found: Counter[str] = Counter()  # looks for an order that found none, by its id
        self._accounts: list[Mapping[str, str]] = []
        self._lots: list[Lot] = []

    def read_limits(self) -> None:
        """The limits of the day as its config folder has them now."""
        self._limits = read_limits(self._day.config)

    # What the client was told

    def told(self, method: str, path: str, response: requests.Response) -> None:
        """Keep the money and the positions that the client has read."""
        is_page = response.headers.get("content-type") == "text/html"
        if method == "GET" and response.status_code == 404 and not is_page:
            asked = parse_qs(urlsplit(path).query).get("client_order_id", [""])
            self.not_found[asked[0]] += 1
        if method != "GET" or response.status_code != 200:
            return
        if path not in ("/v2/account", "/v2/positions"):
            return
        try:
            body = json.loads(response.content)
        except ValueError:
            return
        if path == "/v2/account" and isinstance(body, dict) and "equity" in body:
            self._accounts = [*self._accounts[-3:], body]
        elif path == "/v2/positions" and isinstance(body, list):
            self._lots = [_lot(row) for row in body]

    def money(self, name: str) -> Decimal:
        """The most of the last readings: the client may have judged by any of a cycle's."""
        return max(Decimal(account[name]) for account in self._accounts)

    # The judgement

    def judge(self, body: Mapping[str, object]) -> None:
        """Every violation that this request is."""
        asked = package(body)
        for number, text in self._found(asked):
            self._oracle.violated(number, f"{asked.client_order_id}: {text}")
        self.posted.setdefault(asked.client_order_id, asked)

    def _found(self, asked: Package) -> Iterator[tuple[str, str]]:
        if asked.client_order_id in self.posted.keys() - self._oracle.restored.forgotten:
            yield "I1", "the same order is sent a second time"
        row = self._own.execute(
            "SELECT state, purpose, quantity FROM intents WHERE client_order_id = %s",
            [asked.client_order_id],
        ).fetchone()
        if row is None:
            yield "I2", "no intent of this order is committed"
        elif row[0] != "sending":
            yield "I2", f"its intent stands at {row[0]}, not at sending"
        elif row[2] != asked.units:
            yield "I2", f"its intent is for {row[2]} units, the request for {asked.units}"
        yield from self._lease()
        yield from self._hours()
        if asked.opens:
            yield from self._halt(asked)
            yield from self._oracle.restored.opening(process=current())
            yield from self._risk(asked)

    def _lease(self) -> Iterator[tuple[str, str]]:
        process = current()
        if self._oracle.is_stale(process):
            yield "I12", f"{process.name} sends after another cycle has begun"
        row = self._own.execute(
            "SELECT state FROM cycles WHERE id = %s", [process.cycle_id]
        ).fetchone()
        if row is None or row[0] != "running":
            yield "I12", f"the cycle of {process.name} is {row[0] if row else 'not there'}"

    def _hours(self) -> Iterator[tuple[str, str]]:
        now, skew = self._day.exchange.now, int(self._day.skew_s_max * SECOND)
        session = sessions_around(self._day.plan.scene.day.year).started(now + skew)
        if not session.open - skew <= now < session.close + skew:
            yield "I13", "sent outside the session"

    def _halt(self, asked: Package) -> Iterator[tuple[str, str]]:
        claimed = self._oracle.claimed_at_halt
        if claimed is not None and asked.client_order_id not in claimed:
            yield "I6", "an opening order was claimed after the halt"

    def _risk(self, asked: Package) -> Iterator[tuple[str, str]]:
        limits, loss = self._limits, asked.loss()
        equity = self.money("equity")
        lost = self.money("last_equity") - equity
        total, here = self._whole(asked)
        bounds = {
            "contracts a leg": (
                Decimal(asked.contracts_max),
                limits.number("position_contracts_max"),
            ),
            "loss of the order": (loss, limits.number("single_trade_loss_share_max") * equity),
            "loss of everything": (total, limits.number("option_allocation_share_max") * equity),
            "loss of the underlying": (here, limits.number("concentration_share_max") * equity),
            "loss of the day": (lost, limits.number("daily_loss_usd_max")),
            "buying power": (loss, self.money("options_buying_power")),
        }
        for what, (value, bound) in bounds.items():
            if value > bound + CENT:
                yield "I5", f"{what}: {value:.2f}, the limit is {bound:.2f}"
        for other in self._unsettled(asked):
            yield "I5", f"{other} of the same underlying has no answer yet"

    def _whole(self, asked: Package) -> tuple[Decimal, Decimal]:
        """USD that everything, and everything in the order's underlying, can lose with it."""
        found = losses(self._lots)
        ours = {
            cid: p for cid, p in self.posted.items() if p.opens and cid != asked.client_order_id
        }
        for client_order_id, sent in ours.items():
            order = self._day.exchange.book.by_client_id.get(client_order_id)
            left = _left(order) if order is not None else 0
            found[sent.underlying] = found.get(sent.underlying, Decimal(0)) + sent.loss(left)
        found[asked.underlying] = found.get(asked.underlying, Decimal(0)) + asked.loss()
        return sum(found.values(), Decimal(0)), found[asked.underlying]

    def _unsettled(self, asked: Package) -> list[str]:
        rows = self._own.execute(
            "SELECT i.client_order_id FROM intents i JOIN structures s ON s.id = i.structure_id"
            " WHERE i.state IN ('sending', 'unknown') AND s.underlying = %s"
            " AND i.client_order_id <> %s",
            [asked.underlying, asked.client_order_id],
        )
        return [row[0] for row in rows.fetchall()]


def _left(order: Order) -> int:
    return int(order.leaves) if order.is_open else 0


def _lot(row: Mapping[str, str]) -> Lot:
    quantity = Decimal(row["qty"])
    shares = quantity * (CONTRACT if is_contract(row["symbol"]) else 1)
    return Lot(
        symbol=row["symbol"], shares=shares, cost_usd=shares * Decimal(row["avg_entry_price"])
    )
