"""What the streams carry, as plain dicts. Moments of market data stay nanoseconds until a codec
writes them."""

from decimal import Decimal
from hashlib import sha256
from uuid import UUID, uuid5

from simulator import wire, wire_data
from simulator.book import Order
from simulator.market import Bar, Quote
from simulator.symbols import plain
from simulator.tape import Print
from simulator.times import new_york_day, new_york_moment, rfc3339
from simulator.updates import Execution, Update

Json = dict[str, object]
#: Of the codes of the data streams' errors.
ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack format",
    413: "star symbol is not allowed for option quotes",
    500: "internal error",
}
HALT_REASONS = {"T1": "Halt News Pending", "LUDP": "Volatility Trading Pause"}
CTA_REASONS = {
    "T1": ("P", "News Pending"),
    "LUDP": ("M", "Limit Up-Limit Down (LULD) Trading Pause"),
}
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_NO_ASSET = str(UUID(int=0))


def error(code: int) -> list[Json]:
    """A data stream's error frame."""
    return [{"T": "error", "code": code, "msg": ERRORS[code]}]


def trading_error(text: str) -> Json:
    return {"action": "error", "data": {"error_message": text}}


def authorization(status: str, action: str) -> Json:
    return {"stream": "authorization", "data": {"status": status, "action": action}}


def trade_update(update: Update) -> Json:
    """The envelope of an order's event, an order of several legs as one."""
    made = update.order
    if not made.legs:
        execution = update.executions[0] if update.executions else None
        return _envelope(update, _single(update, made, execution))
    shown = wire.order(made) | {"asset_id": _NO_ASSET, "side": "buy"}  # as the stream shows it
    more: Json = {"order": shown}
    if update.executions:
        units, net = _net(update.executions)
        more |= {"price": plain(net), "qty": plain(units)}
        more["position_qtys"] = {
            done.order.symbol: plain(done.position_qty) for done in update.executions
        }
        more["legs"] = [_leg(done, update.at) for done in update.executions]
    return _envelope(update, more)


def leg_updates(update: Update) -> list[Json]:
    """The same event once more for each leg."""
    of_leg = {done.order.id: done for done in update.executions}
    return [
        _envelope(update, _single(update, leg, of_leg.get(leg.id))) for leg in update.order.legs
    ]


def _single(update: Update, made: Order, execution: Execution | None) -> Json:
    if execution is None:
        mark = str(uuid5(UUID(made.id), f"{update.event} {update.at}"))
        return {"order": wire.order(made), "execution_id": mark}
    return {
        "order": wire.order(made),
        "execution_id": execution.id,
        "price": plain(execution.price),
        "qty": plain(execution.qty),
        "position_qty": plain(execution.position_qty),
    }


def _envelope(update: Update, more: Json) -> Json:
    at = rfc3339(update.at)
    shown = more["order"]
    name = shown["id"] if isinstance(shown, dict) else ""
    salt = f"{name} {update.event} {update.at}"
    data: Json = {"event": update.event, "timestamp": at, "at": at}
    data["event_id"] = ulid(update.at, salt)
    return {"stream": "trade_updates", "data": data | more}


def _leg(done: Execution, at: int) -> Json:
    return {
        "execution_id": done.id,
        "qty": plain(done.qty),
        "price": plain(done.price),
        "order_id": done.order.id,
        "symbol": done.order.symbol,
        "timestamp": rfc3339(at),
    }


def _net(executions: tuple[Execution, ...]) -> tuple[Decimal, Decimal]:
    """Units of this event and their price, debit positive."""
    first = executions[0]
    units = Decimal(first.qty) / (first.order.ratio or 1)
    paid = sum(
        (done.price * done.qty * (1 if done.order.side == "buy" else -1) for done in executions),
        Decimal(0),
    )
    return units, paid / units


def ulid(at: int, salt: str) -> str:
    """26 characters that sort by time to the millisecond; the same for the same salt."""
    number = (at // 1_000_000) << 80 | int.from_bytes(sha256(salt.encode()).digest()[:10], "big")
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


# Market data


def option_quote(symbol: str, quote: Quote) -> Json:
    return {
        "T": "q",
        "S": symbol,
        "t": quote.at,
        "bx": "C" if quote.bid is not None else " ",
        "bp": float(quote.bid or 0),
        "bs": quote.bid_size,
        "ax": "N" if quote.ask is not None else " ",
        "ap": float(quote.ask or 0),
        "as": quote.ask_size,
        "c": "A",
    }


def option_trade(symbol: str, one: Print) -> Json:
    return {"T": "t", "S": symbol, **wire_data.option_trade(one), "t": one.at}


def stock_quote(symbol: str, quote: Quote, tape: str) -> Json:
    return {"T": "q", "S": symbol, **wire_data.stock_quote(quote, tape), "t": quote.at}


def stock_trade(symbol: str, at: int, price: Decimal, tape: str) -> Json:
    return {"T": "t", "S": symbol, **wire_data.stock_trade(at, float(price), tape), "t": at}


def minute_bar(symbol: str, bar: Bar) -> Json:
    return {"T": "b", "S": symbol, **wire_data.bar(bar), "t": bar.at}


def daily_bar(symbol: str, bar: Bar) -> Json:
    """Stamped midnight New York."""
    midnight = new_york_moment(new_york_day(bar.at), 0, 0)
    return {"T": "d", "S": symbol, **wire_data.bar(bar), "t": midnight}


def status(symbol: str, at: int, code: str, tape: str) -> Json:
    """A halt for the reason of this code of Nasdaq's; without one its end. Each tape has its own
    words."""
    words = ("T", "Trading Resumption", "T3", "News and Resumption Times")
    if code:
        words = ("H", "Trading Halt", code, HALT_REASONS.get(code, "Halt"))
    if tape != "C":
        reason = CTA_REASONS.get(code, (code, "Halt"))
        words = ("2", "Trading Halt", *reason) if code else ("3", "Resume", "", "")
    shown: Json = dict(zip(("sc", "sm", "rc", "rm"), words, strict=True))
    return {"T": "s", "S": symbol, "t": at, "z": tape, **shown}


def luld(symbol: str, at: int, band: tuple[Decimal, Decimal], tape: str) -> Json:
    """The price band, limit down and limit up."""
    shown: Json = {"u": float(band[1]), "d": float(band[0]), "i": "B", "z": tape}
    return {"T": "l", "S": symbol, "t": at, **shown}
