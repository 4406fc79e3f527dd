"""An order meets the market: stops wake, limits are compared, executions move the book."""

from collections.abc import Sequence
from decimal import ROUND_UP, Decimal

from simulator import bonds, chance, fills, guard, tricks
from simulator.book import Activity, Order, trade_usd
from simulator.costs import stop_of, trail_of
from simulator.desk import Desk
from simulator.increments import is_unwanted
from simulator.parts import shares_for
from simulator.switches import FillMode
from simulator.times import MINUTE, utc
from simulator.updates import Execution

STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})
FILLABLE = frozenset({"held", "new", "partially_filled", "pending_cancel", "pending_replace"})
ONE_CHANCE = frozenset({"ioc", "fok", "opg"})


def arrive(desk: Desk, order: Order) -> None:
    """The order gets to the venue, which takes it or turns it away."""
    desk.move(order, "new")
    if is_unwanted(order, desk.switches):
        desk.move(order, "rejected")
        return
    meet(desk, order)
    if order.time_in_force in ONE_CHANCE and order.is_open:
        desk.move(order, "canceled")


def meet(desk: Desk, order: Order) -> None:
    """Fill what can be filled at this moment."""
    if not _is_ready(desk, order):
        return
    if tricks.is_halted(desk.market, order, desk.now):
        return
    opened = desk.sessions.started(desk.now).open
    found = [fills.offer_for(leg, desk.quote(leg.symbol), opened) for leg in order.executed()]
    offers = [offer for offer in found if offer is not None]
    prices = _prices(desk, order, offers, opened) if len(offers) == len(found) else None
    if prices is None:
        return
    if order.notional is not None and not order.filled_qty:
        order.qty = _shares_of(desk, order, prices[0])
    part = _part(desk, order, offers)
    units = guard.allowed(desk, order, part.units, prices) if part.units > 0 else Decimal(0)
    if units > 0:
        execute(desk, order, units, prices)
    if order.is_open and (part.ends or units < part.units):
        desk.end(order, "rejected" if order.status == "new" else "canceled")


def _shares_of(desk: Desk, order: Order, price: Decimal) -> Decimal:
    """What the notional buys; of a sale no more than there is."""
    shares = shares_for(order.notional or Decimal(0), price)
    free = desk.free(order)
    return min(shares, free) if order.side == "sell" and free > 0 else shares


def _is_ready(desk: Desk, order: Order) -> bool:
    if order.status not in FILLABLE or not _is_its_time(desk, order):
        return False
    if order.is_held and not _takes_over(desk, order):
        return False
    return _is_awake(desk, order)


def _part(desk: Desk, order: Order, offers: Sequence[fills.Offer]) -> tricks.Part:
    """What is filled now, as chance and the armed faults will; nothing of an order that takes all
    or nothing and cannot have all."""
    units = _units(desk, order, offers)
    if order.time_in_force == "fok":
        return tricks.Part(units=units if units == order.leaves else Decimal(0))
    return tricks.part(desk.faults, order, units)


def _is_its_time(desk: Desk, order: Order) -> bool:
    session = desk.sessions.started(desk.now)
    if order.time_in_force == "opg":
        return desk.now == session.open
    return (order.time_in_force == "cls") == (desk.now == session.close)


def _is_awake(desk: Desk, order: Order) -> bool:
    """Stops wake when the middle of the quote reaches their price, and stay awake."""
    if order.type not in STOPS or order.is_triggered:
        return True
    quote = desk.quote(order.symbol)
    mark = quote.mark() if quote is not None else None
    if mark is None:
        return False
    buys = order.side == "buy"
    if order.type == "trailing_stop":
        best = mark if order.hwm is None else (min if buys else max)(mark, order.hwm)
        order.hwm, order.stop_price = best, stop_of(order.side, best, trail_of(order, best))
    stop = order.stop_price
    order.is_triggered = stop is not None and (mark >= stop if buys else mark <= stop)
    return order.is_triggered


def _takes_over(desk: Desk, order: Order) -> bool:
    """A held stop works as soon as its price is reached, once the entry is filled."""
    bond = order.bond
    if bond is None or order.status != "held" or order.type not in STOPS:
        return False
    if bond.has_entry and bond.chain[0].is_open:
        return False
    if tricks.is_halted(desk.market, order, desk.now) or not _is_awake(desk, order):
        return False
    bonds.take_over(desk, order)
    return True


def _prices(
    desk: Desk, order: Order, offers: Sequence[fills.Offer], opened: int
) -> list[Decimal] | None:
    if desk.switches.fills == FillMode.PAPER:
        return fills.paper_prices(order, offers)
    waited = (desk.now - max(order.submitted_at, opened)) // MINUTE
    draw = chance.share(desk.switches.seed, "turn", order.id, desk.now // MINUTE)
    return fills.queue_prices(order, offers, max(waited, 0), draw)


def _units(desk: Desk, order: Order, offers: Sequence[fills.Offer]) -> Decimal:
    """How much of it is filled now; parts are whole units."""
    most = order.leaves
    if desk.switches.fills == FillMode.QUEUE:
        most = min(most, Decimal(fills.units_quoted(offers)))
    about = (desk.switches.seed, "part", order.id, order.filled_qty, desk.now // MINUTE)
    if most > 1 and chance.share(*about) < desk.switches.partial_share:
        return Decimal(chance.whole(1, int(most) - 1, *about, "units"))
    return most


def execute(desk: Desk, order: Order, units: Decimal, prices: Sequence[Decimal]) -> None:
    """Trade `units` of the order at `prices`, one a leg; IllegalMove when it cannot be filled."""
    left = order.leaves - units
    if left:
        # What is pending stays pending, with a part filled.
        pending = order.status.startswith("pending")
        desk.set_status(order, order.status if pending else "partially_filled")
        if pending:
            order.status_before = "partially_filled"
    else:
        desk.set_status(order, "filled")
    _hold_for(order, left, left + units)
    executions = [
        _trade(desk, leg, units * (leg.ratio or 1), price)
        for leg, price in zip(order.executed(), prices, strict=True)
    ]
    if order.legs:
        order.filled_qty += units
        for leg, price in zip(order.legs, prices, strict=True):
            order.filled_usd += price * units * (leg.ratio or 1) * (1 if leg.side == "buy" else -1)
    desk.tell("partial_fill" if left else "fill", order, tuple(executions))
    if order.successor is not None and order.successor.is_open:
        _overtake(desk, order.successor, units, is_done=not left)


def _overtake(desk: Desk, waiting: Order, units: Decimal, *, is_done: bool) -> None:
    """A fill of the order that was to be replaced: less is left for the one that waits."""
    if is_done or (units >= waiting.qty and not desk.switches.replace_forgets_fills):
        desk.move(waiting, "rejected")
    elif not desk.switches.replace_forgets_fills:
        _shrink(waiting, units)


def _shrink(order: Order, units: Decimal) -> None:
    _hold_for(order, order.leaves - units, order.leaves)
    for each in (order, *order.legs):
        each.qty -= units * (each.ratio or 1)


def _hold_for(order: Order, after: Decimal, before: Decimal) -> None:
    """Free the buying power of what is filled."""
    share = after / before
    order.required_usd = (order.required_usd * share).quantize(Decimal("0.01"), rounding=ROUND_UP)


def _trade(desk: Desk, leg: Order, qty: Decimal, price: Decimal) -> Execution:
    signed = qty if leg.side == "buy" else -qty
    leg.filled_qty += qty
    leg.filled_usd += price * qty
    desk.book.cash -= trade_usd(price, signed, is_option=leg.contract is not None)
    desk.book.hold(leg.symbol, leg.contract, signed, price)
    done = _activity(desk, leg, qty, price)
    desk.book.activities.append(done)
    held = desk.book.qty(leg.symbol)
    return Execution(id=done.execution_id, order=leg, qty=qty, price=price, position_qty=held)


def _activity(desk: Desk, leg: Order, qty: Decimal, price: Decimal) -> Activity:
    at = leg.updated_at
    return Activity(
        id=f"{utc(at):%Y%m%d%H%M%S}{at // 1_000_000 % 1000:03d}::{desk.book.new_id()}",
        kind="FILL",
        at=at,
        day=utc(at).date(),
        symbol=leg.symbol,
        qty=qty,
        price=price,
        side=leg.side,
        order_id=leg.id,
        cum_qty=leg.filled_qty,
        leaves_qty=leg.leaves,
    )
