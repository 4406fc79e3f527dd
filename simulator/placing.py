"""From what a client asks for to an order that has passed every check."""

from dataclasses import dataclass
from dataclasses import replace as changed
from datetime import date
from decimal import Decimal

from simulator import bonds, checks, costs, covering, exits, parts, permits, timetable
from simulator.accounting import figures
from simulator.book import Book, Order
from simulator.desk import Desk
from simulator.increments import check_increment
from simulator.intake import OrderAsk
from simulator.refusal import bad_parameter, unprocessable
from simulator.sessions import Session
from simulator.terms import Terms
from simulator.times import DAY, MINUTE, new_york_day, new_york_moment

GTC_DAYS = 90
GTC_ENDS = (16, 15)  # New York
OPENING_CUTOFF_MINUTES = 2
CLOSING_CUTOFF_MINUTES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Admitted:
    """An order that may be made."""

    ask: OrderAsk
    contracts: checks.Contracts
    intents: tuple[str, ...]
    required_usd: Decimal


def admit(desk: Desk, ask: OrderAsk, book: Book, *, freed_usd: Decimal = Decimal(0)) -> Admitted:
    """Refusal, or what the order is. `freed_usd` is held by the order that it replaces."""
    check_name(desk, ask)
    permits.check_account(ask, book)
    contracts = checks.find_contracts(ask, desk.market, desk.session, desk.now)
    checks.check_hours(ask, contracts, desk.session, desk.now)
    check_auctions(ask, desk.session, desk.now)
    check_increment(ask, contracts[0], desk.switches)
    intents = checks.find_intents(ask, book)
    price = parts.price_of(ask, desk.quote(ask.legs[0].symbol))
    parts.check_parts(ask, intents, price, book)
    if ask.notional is not None and price is not None:
        ask = changed(ask, qty=parts.shares_for(ask.notional, price))
    check_exits(desk, ask, intents)
    permits.check_level(ask, intents, permits.options_level(book, desk.switches))
    permits.check_short_shares(ask, intents, book)
    last_minutes = timetable.for_cutoffs(desk.session, desk.switches)
    checks.check_cutoff(contracts, intents, last_minutes, desk.now)
    limit = permits.Limit(day=desk.session.day, contracts_max=desk.switches.expiring_today_max)
    permits.check_expiring_today(ask, contracts, intents, book, limit)
    permits.check_rolls(ask, intents, [c.right if c is not None else "" for c in contracts])
    permits.check_wash_trade(ask, book, desk.switches)
    covering.check_available(ask, intents, book)
    first = contracts[0]
    if first is not None:
        permits.check_assignment_lock(ask, first.underlying, book, desk.now)
    covering.check_cover(ask, contracts, intents, book)
    covering.check_covered_call(ask, contracts, intents, book)
    need = costs.need_of(desk, ask, contracts, intents, book)
    left = figures(desk.book, desk.market, desk.now).left + freed_usd
    costs.check_buying_power(ask, contracts, need, max(left, Decimal(0)), book)
    return Admitted(ask=ask, contracts=contracts, intents=intents, required_usd=need.required)


def check_name(desk: Desk, ask: OrderAsk) -> None:
    if ask.client_order_id in desk.book.by_client_id:
        raise bad_parameter("client_order_id must be unique")


def check_exits(desk: Desk, ask: OrderAsk, intents: tuple[str, ...]) -> None:
    """Brackets and one-triggers-others open something, one-cancels-others close it."""
    if not ask.bound:
        return
    side = ask.legs[0].side
    if ask.order_class == "oco":
        if not intents[0].endswith("close"):
            raise unprocessable("oco orders must be exit orders")
        exits.check_prices(side, None, (ask.terms, *ask.bound))
        return
    if not intents[0].endswith("open"):
        raise unprocessable(f"{ask.order_class} orders must be entry orders")
    base = ask.limit_price or _mark(desk, ask)
    exits.check_prices("sell" if side == "buy" else "buy", base, ask.bound)


def _mark(desk: Desk, ask: OrderAsk) -> Decimal | None:
    quote = desk.quote(ask.legs[0].symbol)
    return quote.mark() if quote is not None else None


def check_auctions(ask: OrderAsk, session: Session, now: int) -> None:
    """Orders for the opening or the closing auction come in time for it, or for the next day's."""
    tif = ask.terms.time_in_force
    if tif not in {"opg", "cls"} or session.day != new_york_day(now):
        return
    last = session.close - CLOSING_CUTOFF_MINUTES * MINUTE
    if tif == "opg":
        last = session.open - OPENING_CUTOFF_MINUTES * MINUTE
    if now >= last:
        raise unprocessable(f"{tif} orders are not accepted at this time")


def make(desk: Desk, admitted: Admitted) -> Order:
    """The order with its legs, in its first state; not yet in the book."""
    ask = admitted.ask
    parent = _blank(desk, ask, ask.terms, ask.client_order_id)
    legs = []
    for leg, contract, intent in zip(ask.legs, admitted.contracts, admitted.intents, strict=True):
        made = _blank(desk, ask, ask.terms, None) if ask.is_multileg else parent
        made.created_at = made.submitted_at = made.updated_at = parent.created_at
        made.symbol, made.contract, made.side = leg.symbol, contract, leg.side
        made.intent = intent if contract is not None else None
        made.closes = intent.endswith("close")
        made.qty = leg.ratio * ask.qty
        if contract is not None and contract.last_day < new_york_day(made.expires_at):
            made.expires_at = _end_of(desk, contract.last_day)
            parent.expires_at = min(parent.expires_at, made.expires_at)
        if ask.is_multileg:
            made.type, made.limit_price, made.ratio = "", None, leg.ratio
            legs.append(made)
    parent.legs = tuple(legs)
    parent.required_usd = admitted.required_usd
    if ask.bound:
        bonds.bind(parent, [_bound(desk, ask, parent, terms) for terms in ask.bound])
    return parent


def _bound(desk: Desk, ask: OrderAsk, parent: Order, terms: Terms) -> Order:
    """An order that closes what the parent opens, or the same as an oco parent does."""
    made = _blank(desk, ask, terms, None)
    made.created_at = made.submitted_at = made.updated_at = parent.created_at
    made.symbol, made.side, made.closes = parent.symbol, parent.side, True
    if ask.order_class != "oco":
        made.side = "sell" if parent.side == "buy" else "buy"
    return made


def _end_of(desk: Desk, day: date) -> int:
    return desk.sessions.current_or_next(new_york_moment(day, 9, 30)).close


def _blank(desk: Desk, ask: OrderAsk, terms: Terms, client_order_id: str | None) -> Order:
    stamp = desk.next_stamp()
    expires_at = desk.session.close
    if terms.time_in_force == "gtc":
        expires_at = new_york_moment(new_york_day(expires_at + GTC_DAYS * DAY), *GTC_ENDS)
    return Order(
        id=desk.book.new_id(),
        client_order_id=client_order_id or desk.book.new_id(),
        created_at=stamp,
        submitted_at=stamp,
        updated_at=stamp,
        expires_at=expires_at,
        order_class=ask.order_class,
        type=terms.type,
        time_in_force=terms.time_in_force,
        qty=ask.qty,
        notional=ask.notional,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        trail_price=terms.trail_price,
        trail_percent=terms.trail_percent,
        extended_hours=terms.extended_hours,
        status="pending_new" if desk.is_open else "accepted",
    )
