"""The broker over alpaca-py: one method a question, answers as records of the domain."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pandas as pd
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    OptionChainRequest,
    OptionSnapshotRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
)
from alpaca.trading.client import TradingClient

from broker import parse
from broker.errors import NotFound, Unknown
from broker.listing import listed_orders
from broker.order_request import as_asked, limit_order, under
from broker.parse import Body
from broker.transport import answer_of, calm
from domain.orders import OrderIntent
from domain.records import Account, Activity, Clock, Fill, Order, Position, Quote

CONTRACTS_PAGE, ORDERS_PAGE, ACTIVITIES_PAGE, SYMBOLS_MAX = 10_000, 500, 100, 100
PAGES_MAX = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The account's keys; the text of this object shows neither."""

    key_id: str
    secret_key: str

    def __repr__(self) -> str:
        return "Keys(...)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Which contracts of an underlying to read; strikes in USD, both ends included."""

    expiration_min: date
    expiration_max: date
    strike_min: Decimal
    strike_max: Decimal


class Broker:
    """One account at Alpaca, or at whatever speaks its API at `url`.

    url      scheme, host and port that replace every Alpaca address; None: Alpaca itself
    is_live  the live account instead of the paper one; ignored with a url
    """

    def __init__(self, keys: Keys, *, url: str | None, is_live: bool) -> None:
        pair = (keys.key_id, keys.secret_key)
        self._trading = TradingClient(*pair, paper=not is_live, raw_data=True, url_override=url)
        self._options = OptionHistoricalDataClient(*pair, raw_data=True, url_override=url)
        self._stocks = StockHistoricalDataClient(*pair, raw_data=True, url_override=url)
        self.environment = "simulator" if url else "live" if is_live else "paper"
        self._told: set[str] = set()  # orders that are left out of lists
        for client in (self._trading, self._options, self._stocks):
            calm(client, url)

    def clock(self) -> Clock:
        return answer_of("the clock", lambda: parse.parse_clock(_body(self._trading.get("/clock"))))

    def account(self) -> Account:
        return answer_of(
            "the account", lambda: parse.parse_account(_body(self._trading.get("/account")))
        )

    def contracts(self, underlying: str, window: Window) -> list[Body]:
        """Every active contract in the window, all pages."""
        query: dict[str, object] = {
            "underlying_symbols": underlying,
            "status": "active",
            "expiration_date_gte": window.expiration_min.isoformat(),
            "expiration_date_lte": window.expiration_max.isoformat(),
            "strike_price_gte": str(window.strike_min),
            "strike_price_lte": str(window.strike_max),
            "limit": CONTRACTS_PAGE,
        }
        found: list[Body] = []
        for _ in range(PAGES_MAX):
            page, token = answer_of(
                f"the contracts of {underlying}",
                lambda: _contracts_page(self._trading.get("/options/contracts", query)),
            )
            found += page
            if not token:
                return found
            query["page_token"] = token
        raise Unknown(f"the contracts of {underlying} did not end after {PAGES_MAX} pages")

    def contract(self, symbol: str) -> Body | None:
        """One contract; None when the broker does not know it."""
        with suppress(NotFound):
            return answer_of(
                f"the contract {symbol}",
                lambda: _body(self._trading.get(f"/options/contracts/{symbol}")),
            )
        return None

    def chain_snapshots(self, underlying: str, window: Window) -> Mapping[str, Body]:
        """Latest quotes of every contract in the window, all pages."""
        request = OptionChainRequest(
            underlying_symbol=underlying,
            expiration_date_gte=window.expiration_min,
            expiration_date_lte=window.expiration_max,
            strike_price_gte=float(window.strike_min),
            strike_price_lte=float(window.strike_max),
        )
        return answer_of(
            f"the chain of {underlying}",
            lambda: _by_symbol(self._options.get_option_chain(request)),
        )

    def snapshots(self, symbols: Sequence[str]) -> Mapping[str, Body]:
        """Latest quotes of the named contracts; an unknown one is missing."""
        found: dict[str, Body] = {}
        for part in _parts(symbols):
            request = OptionSnapshotRequest(symbol_or_symbols=part)
            found |= answer_of(
                "option snapshots",
                lambda request=request: _by_symbol(self._options.get_option_snapshot(request)),  # type: ignore[misc]  # bound at once
            )
        return found

    def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Latest quote of each contract; one that the broker does not know is missing."""
        snapshots = self.snapshots(symbols)
        return answer_of(
            "option quotes",
            lambda: {name: parse.parse_quote(body) for name, body in snapshots.items()},
        )

    def spots(self, symbols: Sequence[str]) -> dict[str, Decimal | None]:
        """Price of each share: mid of its quote, else last trade; None when neither is known."""
        if not symbols:
            return {}
        wanted = list(symbols)
        quotes = answer_of(
            "stock quotes",
            lambda: _by_symbol(
                self._stocks.get_stock_latest_quote(
                    StockLatestQuoteRequest(symbol_or_symbols=wanted)
                )
            ),
        )
        trades = answer_of(
            "stock trades",
            lambda: _by_symbol(
                self._stocks.get_stock_latest_trade(
                    StockLatestTradeRequest(symbol_or_symbols=wanted)
                )
            ),
        )
        return {name: parse.parse_spot(quotes.get(name), trades.get(name)) for name in wanted}

    def submit(self, intent: OrderIntent, limit: Decimal) -> Order:
        """Send an intent once. Refused: no order exists. Unknown: one may; look it up, never
        send again. IdTaken: it may be an order already.

        limit  net USD per share, positive a debit
        """
        request = limit_order(intent, limit)
        return answer_of(
            f"the order {intent.client_order_id}",
            lambda: as_asked(parse.parse_order(_body(self._trading.submit_order(request))), intent),
            makes_order=True,
        )

    def order_by_client_id(self, client_order_id: str) -> Order | None:
        """The order under this id with its legs; None when the broker says there is none."""
        query = {"client_order_id": client_order_id, "nested": True}
        with suppress(NotFound):
            return answer_of(
                f"the order {client_order_id}",
                lambda: under(
                    parse.parse_order(
                        _body(self._trading.get("/orders:by_client_order_id", query))
                    ),
                    client_order_id,
                ),
            )
        return None

    def order(self, order_id: UUID) -> Order:
        """The order with this id and its legs. NotFound when the broker has none."""
        path = f"/orders/{order_id}"
        return answer_of(
            f"the order {order_id}",
            lambda: parse.parse_order(_body(self._trading.get(path, {"nested": True}))),
        )

    def cancel(self, order_id: UUID) -> None:
        """Ask for a cancel. Refused when the order has ended; a fill may still win."""
        answer_of(f"the cancel of {order_id}", lambda: self._trading.cancel_order_by_id(order_id))

    def orders(self, since: datetime) -> list[Order]:
        """Every order submitted after `since`, whatever its state, oldest first."""
        found: dict[UUID, Order] = {}
        after = since
        for _ in range(PAGES_MAX):
            query = {
                "status": "all",
                "nested": True,
                "direction": "asc",
                "limit": ORDERS_PAGE,
                "after": after.isoformat(),
            }
            rows = answer_of(
                "the orders",
                lambda query=query: _rows(self._trading.get("/orders", query)),  # type: ignore[misc]  # bound at once
            )
            page = answer_of("the orders", lambda rows=rows: listed_orders(rows, self._told))  # type: ignore[misc]  # bound at once
            fresh = {order.id: order for order in page} | found
            if len(rows) < ORDERS_PAGE:
                return sorted(fresh.values(), key=lambda order: order.submitted_at)
            if len(fresh) == len(found):
                raise Unknown(f"{ORDERS_PAGE} orders or more share one moment: no list is whole")
            found = fresh
            # `after` excludes its own moment and several orders may share one: step back by the
            # least our times know, and let the ids remove what is read twice.
            after = max(order.submitted_at for order in page) - timedelta(microseconds=1)
        raise Unknown(f"the orders did not end after {PAGES_MAX} pages")

    def positions(self) -> list[Position]:
        return answer_of(
            "the positions",
            lambda: [parse.parse_position(row) for row in _rows(self._trading.get("/positions"))],
        )

    def fills_and_activities(self, since: datetime) -> tuple[list[Fill], list[Activity]]:
        """Everything that happened to the account after `since`, oldest first, all pages."""
        query: dict[str, object] = {
            "after": since.isoformat(),
            "direction": "asc",
            "page_size": ACTIVITIES_PAGE,
        }
        fills: list[Fill] = []
        others: list[Activity] = []
        for _ in range(PAGES_MAX):
            page_fills, page_others, last_id = answer_of(
                "the activities",
                lambda: _activities_page(self._trading.get("/account/activities", query)),
            )
            fills += page_fills
            others += page_others
            if len(page_fills) + len(page_others) < ACTIVITIES_PAGE:
                return fills, others
            query["page_token"] = last_id
        raise Unknown(f"the activities did not end after {PAGES_MAX} pages")


def _body(answer: object) -> Body:
    if not isinstance(answer, Mapping):
        raise parse.BadBody("not an object")
    return answer


def _rows(answer: object) -> list[Body]:
    if not isinstance(answer, list):
        raise parse.BadBody("not a list")
    return [_body(row) for row in answer]


def _by_symbol(answer: object) -> dict[str, Body]:
    return {symbol: _body(value) for symbol, value in _body(answer).items()}


def _parts(symbols: Sequence[str]) -> Iterable[list[str]]:
    return (
        list(symbols[start : start + SYMBOLS_MAX]) for start in range(0, len(symbols), SYMBOLS_MAX)
    )


def _contracts_page(answer: object) -> tuple[list[Body], object]:
    body = _body(answer)
    return _rows(body.get("option_contracts")), body.get("next_page_token")


def _activities_page(answer: object) -> tuple[list[Fill], list[Activity], object]:
    rows = _rows(answer)
    fills = [parse.parse_fill(row) for row in rows if row.get("activity_type") == "FILL"]
    others = [parse.parse_activity(row) for row in rows if row.get("activity_type") != "FILL"]
    return fills, others, rows[-1]["id"] if rows else None


def chain_frame(contracts: Iterable[Body], snapshots: Mapping[str, Body]) -> pd.DataFrame:
    """The chain of contracts and quotes that were read; Unknown when it does not parse."""
    return answer_of("the chain", lambda: parse.parse_chain(contracts, snapshots))
