"""The trading API's JSON objects. Numbers are strings where the real ones are."""

from dataclasses import asdict
from datetime import date
from decimal import Decimal

from simulator.accounting import Figures, stock_times, value_of
from simulator.book import Activity, Book, Configuration, Order, Position
from simulator.exchange import Exchange
from simulator.market import Market
from simulator.permits import options_level
from simulator.promises import available
from simulator.sessions import Session, Sessions
from simulator.symbols import Contract, account_id, asset_id, plain, title
from simulator.times import new_york, new_york_text, rfc3339, rfc3339_short

Json = dict[str, object]


def money(amount: Decimal) -> str:
    """To the cent where cents are all there is, else as exact as it is known."""
    return plain(amount if amount == round(amount, 2) else round(amount, 6))


def account(exchange: Exchange, figures: Figures) -> Json:
    book = exchange.book
    equity = money(figures.equity)
    options = money(figures.options_buying_power)
    double = money(figures.options_buying_power * 2)
    times = stock_times(book)
    multiplied = money(figures.options_buying_power * times)
    return {
        "id": account_id(book.account),
        "admin_configurations": {},
        "user_configurations": None,
        "account_number": book.account,
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "crypto_tier": 0,
        "options_approved_level": exchange.switches.options_level,
        "options_trading_level": options_level(book, exchange.switches),
        "currency": "USD",
        "buying_power": multiplied,
        "regt_buying_power": double,
        "effective_buying_power": multiplied,
        "non_marginable_buying_power": options,
        "options_buying_power": options,
        "cash": money(figures.cash),
        "accrued_fees": "0",
        "pending_transfer_in": "0",
        "pending_reg_taf_fees": "0",
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": money(book.equity_last),
        "long_market_value": money(figures.long_value),
        "short_market_value": money(figures.short_value),
        "position_market_value": money(figures.long_value - figures.short_value),
        "initial_margin": money(figures.initial),
        "maintenance_margin": money(figures.maintenance),
        "last_maintenance_margin": "0",
        "sma": "0",
        "multiplier": str(times),
        "intraday_adjustments": "0",
        "balance_asof": exchange.sessions.before(exchange.session.day).day.isoformat(),
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": book.configuration.suspend_trade,
        "shorting_enabled": not book.configuration.no_shorting,
        "created_at": rfc3339(exchange.created_at),
    }


def configurations(chosen: Configuration) -> Json:
    return asdict(chosen)


def clock(exchange: Exchange) -> Json:
    return {
        "timestamp": new_york_text(exchange.now, nanos=True),
        "is_open": exchange.is_open,
        "next_open": new_york_text(exchange.sessions.next_open(exchange.now), nanos=False),
        "next_close": new_york_text(exchange.session.close, nanos=False),
    }


def calendar_day(session: Session, sessions: Sessions) -> Json:
    """Settlement is one session later; extended hours end five hours after an early close."""
    opened, closed = new_york(session.open), new_york(session.close)
    later = sessions.next_open(session.open)
    return {
        "date": session.day.isoformat(),
        "open": f"{opened:%H:%M}",
        "close": f"{closed:%H:%M}",
        "session_open": "0400",
        "session_close": "2000" if closed.hour == 16 else "1700",
        "settlement_date": new_york(later).date().isoformat(),
    }


def asset(symbol: str, name: str, exchange: str) -> Json:
    return {
        "id": asset_id(symbol),
        "class": "us_equity",
        "exchange": exchange,
        "symbol": symbol,
        "name": name,
        "status": "active",
        "tradable": True,
        "marginable": True,
        "shortable": True,
        "easy_to_borrow": True,
        "borrow_status": "easy_to_borrow",
        "fractionable": True,
        "maintenance_margin_requirement": 30,
        "margin_requirement_long": "30",
        "margin_requirement_short": "30",
        "attributes": ["has_options"],
    }


def contract(listed: Contract, market: Market, now: int, today: date) -> Json:
    """`today` is the session that runs or comes next."""
    active = listed.is_active and listed.last_day >= today
    closed = market.last_close(listed.symbol, now)
    day = listed.open_interest_day
    return {
        "id": listed.id,
        "symbol": listed.symbol,
        "name": title(listed),
        "status": "active" if active else "inactive",
        "tradable": active and listed.is_tradable,
        "expiration_date": listed.expiration.isoformat(),
        "root_symbol": listed.root,
        "underlying_symbol": listed.underlying,
        "underlying_asset_id": asset_id(listed.underlying),
        "type": listed.right,
        "style": "american",
        "strike_price": plain(listed.strike),
        "multiplier": "100",
        "size": str(listed.size),
        "open_interest": None if listed.open_interest is None else str(listed.open_interest),
        "open_interest_date": None if day is None else day.isoformat(),
        "close_price": None if closed is None else money(closed[1]),
        "close_price_date": None if closed is None else closed[0].isoformat(),
        "ppind": listed.penny,
    }


def order(made: Order, *, nested: bool = True) -> Json:
    """An order with its legs, or a leg."""
    is_parent = bool(made.legs)
    is_leg = made.ratio is not None
    legs = made.legs or (made.bond.legs_of(made) if made.bond is not None else ())
    shown: Json = {
        "id": made.id,
        "client_order_id": made.client_order_id,
        "created_at": rfc3339(made.created_at),
        "updated_at": rfc3339(made.updated_at),
        "submitted_at": rfc3339(made.submitted_at),
        "filled_at": _moment(made.filled_at),
        "expired_at": _moment(made.expired_at),
        "canceled_at": _moment(made.canceled_at),
        "failed_at": _moment(made.failed_at),
        "replaced_at": _moment(made.replaced_at),
        "replaced_by": made.replaced_by,
        "replaces": made.replaces,
        "asset_id": asset_id(made.symbol) if made.symbol else "",
        "symbol": made.symbol,
        "asset_class": asset_class(made),
        "notional": _price(made.notional),
        "qty": None if made.notional is not None else plain(made.qty),
        "filled_qty": plain(made.filled_qty),
        "filled_avg_price": _price(made.filled_avg_price),
        "order_class": made.order_class,
        "order_type": made.type,
        "type": made.type,
        "side": made.side,
        "time_in_force": made.time_in_force,
        "limit_price": _price(made.limit_price),
        "stop_price": _price(made.stop_price),
        "status": made.status,
        "extended_hours": made.extended_hours,
        "legs": [order(leg) for leg in legs] if legs and nested else None,
        "trail_percent": _price(made.trail_percent),
        "trail_price": _price(made.trail_price),
        "hwm": _price(made.hwm),
        "subtag": None,
        "source": None,
    }
    if not is_parent:
        shown["expires_at"] = rfc3339_short(made.expires_at)
        shown["position_intent"] = made.intent
    if is_leg:
        shown["ratio_qty"] = str(made.ratio)
    return shown


def asset_class(made: Order) -> str:
    """Empty for the parent of legs."""
    if not made.symbol:
        return ""
    return "us_option" if made.contract is not None else "us_equity"


def position(held: Position, book: Book, last_close: Decimal | None) -> Json:
    """`last_close` is the price before this session; the entry stands in for it."""
    last = held.entry if last_close is None else last_close
    value = value_of(held)
    basis = held.entry * held.qty * held.multiplier
    gain = value - basis
    today = (held.mark - last) * held.qty * held.multiplier
    free = available(book, held.symbol)
    return {
        "asset_id": asset_id(held.symbol),
        "symbol": held.symbol,
        "exchange": "" if held.contract is not None else "NASDAQ",
        "asset_class": "us_option" if held.contract is not None else "us_equity",
        "asset_marginable": True,
        "qty": plain(held.qty),
        "avg_entry_price": money(held.entry),
        "side": "long" if held.qty > 0 else "short",
        "market_value": money(value),
        "cost_basis": money(basis),
        "unrealized_pl": money(gain),
        "unrealized_plpc": _share(gain, abs(basis)),
        "unrealized_intraday_pl": money(today),
        "unrealized_intraday_plpc": _share(today, abs(last * held.qty * held.multiplier)),
        "current_price": money(held.mark),
        "lastday_price": money(last),
        "change_today": _share(held.mark - last, last),
        "qty_available": plain(free if held.qty > 0 else -free),
    }


def activity(done: Activity) -> Json:
    shown: Json = {"id": done.id, "activity_type": done.kind}
    if done.symbol:
        shown["symbol"] = done.symbol
    if done.kind == "FILL":
        # Only a row that was changed later says so.
        changed = {} if done.status == "executed" else {"status": done.status}
        return shown | changed | _fill(done)
    shown |= {
        "date": done.day.isoformat(),
        "net_amount": money(done.net_usd or Decimal(0)),
        "description": done.description,
        "status": done.status,
        "created_at": rfc3339(done.at),
        "currency": "USD",
    }
    qty = done.qty if done.shown_qty is None else done.shown_qty
    further: Json = {
        "qty": plain(qty) if qty else None,
        "price": _price(done.price),
        "group_id": done.group_id,
        "activity_sub_type": done.sub_kind or None,
        "per_share_amount": _price(done.per_share_usd),
    }
    return shown | {key: value for key, value in further.items() if value is not None}


def _fill(done: Activity) -> Json:
    return {
        "transaction_time": rfc3339(done.at),
        "type": "partial_fill" if done.leaves_qty else "fill",
        "price": _price(done.price),
        "qty": plain(done.qty),
        "side": done.side,
        "leaves_qty": plain(done.leaves_qty),
        "order_id": done.order_id,
        "cum_qty": plain(done.cum_qty),
        "order_status": "partially_filled" if done.leaves_qty else "filled",
    }


def _moment(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def _price(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)


def _share(part: Decimal, whole: Decimal) -> str:
    return plain(round(part / whole, 7)) if whole else "0"
