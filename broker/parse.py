"""From the broker's JSON to frozen records and frames, once. What does not parse is BadBody.

Field names and forms: Alpaca's Trading API v2 and Market Data API v1beta1.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

import numpy as np
import pandas as pd

from domain.chain import BROKER, as_chain
from domain.contracts import is_option, parse_symbol
from domain.orders import Side
from domain.records import Account, Activity, Clock, Fill, Order, Position, Quote

Body = Mapping[str, object]


class BadBody(ValueError):
    """A body that is not what the broker's documents say; the message names the field."""


def parse_time(text: object) -> datetime:
    """Aware UTC; nanoseconds are cut to microseconds."""
    found = datetime.fromisoformat(str(text))
    if found.tzinfo is None:
        raise BadBody(f"the time {text!r} has no zone")
    return found.astimezone(UTC)


def parse_money(text: object) -> Decimal:
    try:
        found = Decimal(str(text))
    except InvalidOperation:
        raise BadBody(f"{text!r} is not an amount") from None
    if not found.is_finite():
        raise BadBody(f"{text!r} is not an amount")
    return found


def _optional_money(text: object) -> Decimal | None:
    return None if text in (None, "") else parse_money(text)


def _optional_time(text: object) -> datetime | None:
    return None if text in (None, "") else parse_time(text)


def _optional_text(text: object) -> str | None:
    return None if text in (None, "") else str(text)


def _field(body: Body, name: str) -> object:
    if body.get(name) is None:
        raise BadBody(f"the field {name} is missing")
    return body[name]


def parse_clock(body: Body) -> Clock:
    return Clock(
        now=parse_time(_field(body, "timestamp")),
        is_open=bool(_field(body, "is_open")),
        next_open=parse_time(_field(body, "next_open")),
        next_close=parse_time(_field(body, "next_close")),
    )


def parse_account(body: Body) -> Account:
    blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    money = {
        name: parse_money(_field(body, name))
        for name in (
            "cash",
            "equity",
            "last_equity",
            "options_buying_power",
            "initial_margin",
            "maintenance_margin",
        )
    }
    return Account(
        number=str(_field(body, "account_number")),
        options_level=int(str(body.get("options_trading_level") or 0)),
        is_blocked=any(body.get(name) is True for name in blocks),
        **money,
    )


def parse_order(body: Body, parent_id: UUID | None = None) -> Order:
    """One order with its legs. A parent's side is never read: it may say anything."""
    order_id = UUID(str(_field(body, "id")))
    legs = body.get("legs") or []
    if not isinstance(legs, list):
        raise BadBody("the field legs is not a list")
    side = _optional_text(body.get("side"))
    return Order(
        id=order_id,
        client_order_id=str(_field(body, "client_order_id")),
        parent_id=parent_id,
        order_class=_optional_text(body.get("order_class")) or "simple",
        symbol=_optional_text(body.get("symbol")),
        side=None if legs or side is None else Side(side),
        position_intent=_optional_text(body.get("position_intent")),
        quantity=_units(body),
        filled_quantity=parse_money(_field(body, "filled_qty")),
        filled_average_price=_optional_money(body.get("filled_avg_price")),
        limit_price=_optional_money(body.get("limit_price")),
        status=str(_field(body, "status")),
        submitted_at=parse_time(_field(body, "submitted_at")),
        updated_at=parse_time(_field(body, "updated_at")),
        filled_at=_optional_time(body.get("filled_at")),
        legs=tuple(parse_order(leg, order_id) for leg in legs),
    )


def _units(body: Body) -> Decimal | None:
    """How much is ordered; None of an order for an amount of money."""
    if body.get("qty") is None and body.get("notional") is not None:
        return None
    return parse_money(_field(body, "qty"))


def parse_fill(body: Body) -> Fill:
    side = str(_field(body, "side"))
    return Fill(
        id=str(_field(body, "id")),
        order_id=UUID(str(_field(body, "order_id"))),
        symbol=str(_field(body, "symbol")),
        side=Side.SELL if side.startswith("sell") else Side(side),  # sell_short is a sell
        quantity=abs(parse_money(_field(body, "qty"))),
        price=parse_money(_field(body, "price")),
        filled_at=parse_time(_field(body, "transaction_time")),
        status=str(body.get("status") or "executed"),
    )


def parse_activity(body: Body) -> Activity:
    return Activity(
        activity_type=str(_field(body, "activity_type")),
        id=str(_field(body, "id")),
        day=date.fromisoformat(str(_field(body, "date"))[:10]),
        symbol=_optional_text(body.get("symbol")),
        quantity=_optional_money(body.get("qty")),
        price=_optional_money(body.get("price")),
        net_amount=parse_money(body.get("net_amount") or 0),
        status=str(body.get("status") or "executed"),
        description=_optional_text(body.get("description")),
    )


def parse_position(body: Body) -> Position:
    quantity = parse_money(_field(body, "qty"))
    is_short = body.get("side") == "short"
    return Position(
        symbol=str(_field(body, "symbol")),
        quantity=-abs(quantity) if is_short else quantity,
        average_entry_price=parse_money(_field(body, "avg_entry_price")),
        current_price=_optional_money(body.get("current_price")),
        market_value=_optional_money(body.get("market_value")),
    )


def parse_quote(snapshot: Body) -> Quote:
    """The latest quote of a snapshot; a side at 0 is how the broker says there is none."""
    quote = snapshot.get("latestQuote") or {}
    if not isinstance(quote, Mapping):
        raise BadBody("the field latestQuote is not an object")
    bid, ask = parse_money(quote.get("bp") or 0), parse_money(quote.get("ap") or 0)
    moment = quote.get("t")
    return Quote(
        bid=bid if bid > 0 else None,
        ask=ask if ask > 0 else None,
        quoted_at=None if moment is None else parse_time(moment),
    )


def parse_spot(quote: Body | None, trade: Body | None) -> Decimal | None:
    """Mid of a sound two-sided quote of the share, else its last trade, else None."""
    if quote is not None:
        bid, ask = parse_money(quote.get("bp") or 0), parse_money(quote.get("ap") or 0)
        if 0 < bid <= ask:
            return (bid + ask) / 2
    if trade is not None and parse_money(trade.get("p") or 0) > 0:
        return parse_money(trade["p"])
    return None


def parse_chain(contracts: Iterable[Body], snapshots: Mapping[str, Body]) -> pd.DataFrame:
    """The chain of listed contracts with their quotes; one without a quote has NaN.

    contracts  of GET /v2/options/contracts: strike, multiplier, open interest
    snapshots  symbol -> snapshot with latestQuote, and impliedVolatility and greeks where the
               broker has them
    """
    rows = [
        {**_contract_row(body), **_quote_row(snapshots.get(str(body.get("symbol")), {}))}
        for body in contracts
    ]
    frame = pd.DataFrame(rows, columns=[*_CONTRACT, *_QUOTE])
    times = pd.to_datetime(frame["quoted_at"], utc=True, format="ISO8601")  # fractions or none
    return as_chain(frame.assign(quoted_at=times))


_CONTRACT = (
    "symbol",
    "underlying",
    "expiration",
    "strike",
    "right",
    "style",
    "multiplier",
    "open_interest",
)
_QUOTE = ("bid", "ask", "bid_size", "ask_size", "quoted_at", *BROKER)


def _contract_row(body: Body) -> dict[str, object]:
    contract = parse_symbol(str(_field(body, "symbol")))
    return {
        "symbol": contract.symbol,
        "underlying": str(_field(body, "underlying_symbol")),
        "expiration": contract.expiration,
        "strike": float(contract.strike),
        "right": str(contract.right),
        "style": str(body.get("style") or "american"),
        "multiplier": _number(_field(body, "multiplier")),
        "open_interest": _number(body.get("open_interest")),
    }


def _quote_row(snapshot: Body) -> dict[str, object]:
    quote = snapshot.get("latestQuote") or {}
    if not isinstance(quote, Mapping):
        raise BadBody("the field latestQuote is not an object")
    bid, ask = _number(quote.get("bp")), _number(quote.get("ap"))
    return {
        "bid": bid if bid > 0 else np.nan,  # a price of 0 is how the broker says no such side
        "ask": ask if ask > 0 else np.nan,
        "bid_size": _number(quote.get("bs")) if bid > 0 else np.nan,
        "ask_size": _number(quote.get("as")) if ask > 0 else np.nan,
        "quoted_at": quote.get("t"),
        **_model_row(snapshot),
    }


def _model_row(snapshot: Body) -> dict[str, object]:
    """The broker's own volatility and Greeks. All zeros without a volatility, as it sends them on
    the day of expiry, are its way to say that it has none."""
    greeks = snapshot.get("greeks") or {}
    if not isinstance(greeks, Mapping):
        raise BadBody("the field greeks is not an object")
    iv = _number(snapshot.get("impliedVolatility"))
    found = {
        name: _number(greeks.get(name.removeprefix("broker_")))
        for name in BROKER
        if name != "broker_iv"
    }
    if not iv > 0 and not any(value != 0 for value in found.values() if value == value):
        found = dict.fromkeys(found, np.nan)
    return {"broker_iv": iv if iv > 0 else np.nan, **found}


def _number(text: object) -> float:
    return np.nan if text in (None, "") else float(parse_money(text))


def is_standard(body: Body) -> bool:
    """Whether a contract delivers 100 shares of its underlying: not adjusted for an action."""
    symbol = str(body.get("symbol"))
    return (
        is_option(symbol)
        and not parse_symbol(symbol).is_adjusted
        and _number(body.get("size") or 100) == _number(body.get("multiplier")) == 100
        and body.get("tradable") is not False
    )
