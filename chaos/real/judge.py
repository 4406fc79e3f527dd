"""Judges a round: requests when they arrive, by plain SQL on connections of its own, and the books
at its end, by the oracle of seeded days. Shares no code with what it judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, LiteralString, cast
from urllib.parse import parse_qs

import psycopg

from chaos.day import Day
from chaos.history import History
from chaos.oracle import Oracle
from chaos.oracle.arithmetic import package
from chaos.plan import Plan
from chaos.real.broker import Asked, Broker


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A POST of an order; `lease_number` is the account's when it arrived."""

    name: str
    client_order_id: str
    lease_number: int


@dataclass(kw_only=True)
class Judge:
    """Of one round on one database."""

    broker: Broker
    database_url: str
    config: Path
    plan: Plan
    arrivals: list[Arrival] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    _looks: Counter[str] = field(default_factory=Counter)
    _posted: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.broker.on_asked = self.asked
        self.broker.on_answered = self.answered

    def rows(self, query: LiteralString, *values: object) -> list[Any]:
        """What a query answers, on a connection that nobody else has."""
        with psycopg.connect(self.database_url, autocommit=True) as own:
            return own.execute(query, values).fetchall()

    # While it runs

    def asked(self, asked: Asked) -> None:
        """An order is sent once, by the one process that may, after its intent was committed."""
        if not asked.is_order:
            return
        sent = package(asked.order)
        name = sent.client_order_id
        if name in self._posted:
            self.found.append(f"{name} is sent a second time, by {asked.name}")
        self._posted[name] = sent
        states = self.rows("SELECT state FROM intents WHERE client_order_id = %s", name)
        if states != [("sending",)]:
            self.found.append(f"{name} is sent while its intent is {states}")
        running = self.rows("SELECT lease_number FROM cycles WHERE state = 'running'")
        given = self.rows("SELECT lease_number FROM accounts")
        if len(given) != 1 or running != given:
            self.found.append(f"{name} is sent under {running}, and {given} was given last")
        arrived = Arrival(name=asked.name, client_order_id=name, lease_number=given[0][0])
        self.arrivals.append(arrived)

    def answered(self, asked: Asked, status: int) -> None:
        """How often an order was looked for and not found."""
        if asked.method == "GET" and status == 404:
            self._looks[parse_qs(asked.query).get("client_order_id", [""])[0]] += 1

    def sent_by(self, name: str) -> list[str]:
        return [one.client_order_id for one in self.arrivals if one.name == name]

    # At its end

    def leases(self, given: dict[str, int | None]) -> None:
        """Each order was sent under the lease that its sender had been given.

        given  name of a process -> the number of its lease; None: it opened no cycle
        """
        for one in self.arrivals:
            if given[one.name] != one.lease_number:
                words = f"of lease {given[one.name]} sends under lease {one.lease_number}"
                self.found.append(f"{one.client_order_id}: {one.name} {words}")

    def contents(self) -> dict[str, str]:
        """A name for what each table holds."""
        names = self.rows(
            "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'"
        )
        found = {}
        with psycopg.connect(self.database_url, autocommit=True) as own:
            for (name,) in sorted(names):
                query = f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"{name}\" t"
                found[name] = str(own.execute(query.encode()).fetchall()[0][0])
        return found

    def judge(self) -> list[str]:
        """Everything that is wrong now that a whole cycle has followed."""
        return [*self.found, *self._orders(), *self._at_rest(), *self._by_the_oracle()]

    def _orders(self) -> Iterator[str]:
        """Every order of the broker once, here and there."""
        theirs = [order.client_order_id for order in self.broker.exchange.book.orders.values()]
        yield from _twice("at the broker", theirs)
        ours = [row[0] for row in self.rows("SELECT client_order_id FROM orders")]
        known = set(theirs)
        yield from _twice("in the database", (name for name in ours if name in known))
        for name in sorted(known - set(ours)):
            yield f"{name} is an order at the broker and not in the database"

    def _at_rest(self) -> Iterator[str]:
        for name, state in self.rows(
            "SELECT client_order_id, state FROM intents WHERE state IN ('sending', 'unknown')"
        ):
            yield f"{name} is left {state}"
        for slot, state in self.rows("SELECT slot, state FROM cycles WHERE state = 'running'"):
            yield f"the cycle of {slot} is left {state}"
        held = {p.symbol: p.qty for p in self.broker.exchange.book.positions.values()}
        known = {row[0]: row[1] for row in self.rows("SELECT symbol, quantity FROM positions")}
        if held != known:
            yield f"the broker holds {held}, the database {known}"

    def _by_the_oracle(self) -> list[str]:
        """Fills, activities, cash, prices, states, structures, halts and decisions as well."""
        with psycopg.connect(self.database_url, autocommit=True) as own:
            day = SimpleNamespace(
                exchange=self.broker.exchange,
                stage=SimpleNamespace(own=own),
                config=self.config,
                plan=self.plan,
                history=History(),
                has_fault=lambda number: False,
                is_plain=True,  # nothing but orders moves what is held
                skew_s_max=0.0,
            )
            oracle = Oracle(cast(Day, day))  # all of a day that it asks for at the end
            oracle.arrival.posted.update(self._posted)
            oracle.arrival.not_found.update(self._looks)
            oracle.judge()
            return [f"{one.invariant} {one.text}" for one in oracle.violations]


def _twice(where: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{name} has {count} orders {where}"
