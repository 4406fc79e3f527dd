"""What a trading day brings to an exchange besides the orders that are sent to it."""

from typing import TYPE_CHECKING

from simulator import dividends, guard, matching, splits, timetable
from simulator.accounting import figures
from simulator.book import Position
from simulator.intake import LegAsk, OrderAsk
from simulator.sessions import Session
from simulator.terms import Terms
from simulator.timetable import Event

if TYPE_CHECKING:
    from simulator.exchange import Exchange


def live_through(exchange: "Exchange", at: int) -> None:
    """Everything that happens at this moment, orders first."""
    session = exchange.sessions.started(at)
    events = timetable.events_at(at, session, exchange.switches)
    if Event.OPEN in events:
        cancel_what_is_adjusted(exchange, session)
        exchange.office.open(session)
        guard.recheck(exchange)
    if session.is_open(at):
        exchange.match_all()
    for event in events:
        if event in {Event.SELL_OUT, Event.SELL_OUT_BROAD}:
            sell_out(exchange, session, broad=event is Event.SELL_OUT_BROAD)
        elif event is Event.CLOSE:
            close(exchange, session)
        elif event is Event.NIGHT:
            exchange.office.night(session, at)
            guard.recheck(exchange)
    expire(exchange, at)


def close(exchange: "Exchange", session: Session) -> None:
    """The closing auction; orders expire; the day's equity is taken."""
    for order in list(exchange.book.working.values()):
        if order.time_in_force == "cls":
            matching.meet(exchange, order)
    expire(exchange, session.close)
    # What ends today has no quote any more: the last moment before the close counts.
    equity = figures(exchange.book, exchange.market, session.close - 1).equity
    exchange.book.equity_last = equity
    exchange.history.note(session.close, equity)


def sell_out(exchange: "Exchange", session: Session, *, broad: bool) -> None:
    """Ordinary market orders, after canceling what holds the contracts."""
    for held in exchange.office.sell_out(session, broad=broad):
        for order in list(exchange.book.working.values()):
            if order.is_open and any(leg.symbol == held.symbol for leg in order.executed()):
                exchange.end(order, "canceled")
        _close_out(exchange, held)


def _close_out(exchange: "Exchange", held: Position) -> None:
    side = "sell" if held.qty > 0 else "buy"
    ask = OrderAsk(
        client_order_id=None,
        qty=abs(held.qty),
        terms=Terms(type="market", time_in_force="day"),
        legs=(LegAsk(symbol=held.symbol, ratio=1, side=side, intent=None),),
    )
    exchange.add(exchange.make(ask, (held.contract,), (f"{side}_to_close",)))
    exchange.route()


def cancel_what_is_adjusted(exchange: "Exchange", session: Session) -> None:
    """Orders in contracts and shares that a split has made others of."""
    if not exchange.book.working:
        return
    last = exchange.sessions.before(session.day).day
    split = dividends.actions_between(
        exchange.market, splits.SPLIT, session.open, (last, session.day)
    )
    gone = {change.old.symbol for change in exchange.market.adjustments(session.day)}
    gone |= {action.symbol for action in split}
    for order in list(exchange.book.working.values()):
        if order.is_open and any(leg.symbol in gone for leg in order.executed()):
            exchange.end(order, "canceled")


def expire(exchange: "Exchange", by: int) -> None:
    """Orders whose time is over."""
    for order in list(exchange.book.working.values()):
        if order.is_open and order.expires_at <= by:
            exchange.end(order, "expired")
