"""Trades that are corrected or taken back later. The row keeps its id, as the documentation says:
whoever reads only what is new does not see it."""

from dataclasses import replace
from decimal import Decimal

from simulator.book import Activity, Book, Order, Position, trade_usd
from simulator.symbols import Contract, is_option_symbol

ZERO = Decimal(0)


class NoSuchFill(ValueError):
    """No fill has this id, or it is taken back, or its contract has ended."""


def correct(book: Book, activity_id: str, price: Decimal) -> Activity:
    """The fill at another price; cash and average entry follow. NoSuchFill."""
    place, done = _find(book, activity_id)
    if price < 0 or not price.is_finite():
        raise NoSuchFill(f"a price of {price} is no price")
    book.cash += _cash(replace(done, price=price)) - _cash(done)
    return _put(book, place, replace(done, price=price, status="correct"))


def bust(book: Book, activity_id: str) -> Activity:
    """The fill as if it had never been: cash, position and the order's filled qty follow."""
    place, done = _find(book, activity_id)
    contract = _order(book, done).contract
    if contract is not None and _has_ended(book, done.symbol):
        raise NoSuchFill(f"{done.symbol} has been exercised, assigned or has expired")
    book.cash -= _cash(done)
    return _put(book, place, replace(done, status="canceled"))


def _find(book: Book, activity_id: str) -> tuple[int, Activity]:
    for place, done in enumerate(book.activities):
        if done.kind == "FILL" and done.id == activity_id and done.counts:
            return place, done
    raise NoSuchFill(f"no fill {activity_id}")


def _put(book: Book, place: int, done: Activity) -> Activity:
    book.activities[place] = done
    _hold_again(book, done)
    _refigure(book, _order(book, done))
    return done


def _cash(done: Activity) -> Decimal:
    """USD that a fill brought, or negative: took."""
    paid = trade_usd(done.price or ZERO, done.qty, is_option=is_option_symbol(done.symbol))
    return -paid if done.side == "buy" else paid


def _has_ended(book: Book, symbol: str) -> bool:
    return any(row.symbol == symbol and row.kind != "FILL" for row in book.activities)


def _hold_again(book: Book, changed: Activity) -> None:
    """The position as every row that counts makes it, its average entry too."""
    before = book.positions.pop(changed.symbol, None)
    contract = _order(book, changed).contract
    again = Book(
        account=book.account, cash_start=Decimal(0), cash=Decimal(0), equity_last=Decimal(0)
    )
    for row in book.activities:
        if row.symbol == changed.symbol and row.counts:
            _replay(again, row, contract)
    held: Position | None = again.positions.get(changed.symbol)
    if held is not None:
        held.mark = before.mark if before is not None else held.mark
        book.positions[changed.symbol] = held


def _replay(book: Book, row: Activity, contract: Contract | None) -> None:
    """A row as it moved the position when it was written."""
    held = book.positions.get(row.symbol)
    price = row.price or ZERO
    if row.kind == "SPLIT" and held is not None and row.split_rate is not None:
        held.entry /= row.split_rate
        price = held.entry
    elif row.entry_usd is not None:
        price = row.entry_usd
    elif row.kind == "OPTRD" and row.net_usd is not None and row.qty:
        price = abs(row.net_usd / row.qty)  # an adjusted contract's strike is for other shares
    change = row.qty
    if row.kind == "FILL" and row.side != "buy":
        change = -change
    if change:
        book.hold(row.symbol, contract, change, price)


def _order(book: Book, done: Activity) -> Order:
    every = (each for order in book.orders.values() for each in order.executed())
    return next(each for each in every if each.id == done.order_id)


def package_of(book: Book, done: Activity) -> Order | None:
    """The order of several legs of which one traded here; None when it was an order of its own."""
    return _parent(book, _order(book, done))


def _parent(book: Book, leg: Order) -> Order | None:
    return next((order for order in book.orders.values() if leg in order.legs), None)


def _refigure(book: Book, leg: Order) -> None:
    """An order's filled qty and average from its rows, and its parent's."""
    rows = [row for row in book.activities if row.order_id == leg.id and row.counts]
    parent = _parent(book, leg)
    order, left = parent or leg, (parent or leg).leaves
    leg.filled_qty = sum((row.qty for row in rows), ZERO)
    paid = sum((row.qty * (row.price or Decimal(0)) for row in rows), Decimal(0))
    leg.filled_usd = paid
    if parent is not None:
        parent.filled_qty = min(each.filled_qty // (each.ratio or 1) for each in parent.legs)
        parent.filled_usd = parent.filled_qty * sum(map(_of_a_unit, parent.legs), ZERO)
    if order.is_open and left:
        _work_again(order, left)


def _work_again(order: Order, left: Decimal) -> None:
    """What has been taken back is wanted once more, and paid for: `left` was, until now."""
    order.required_usd = round(order.required_usd * order.leaves / left, 2)
    if not order.filled_qty:
        for each in (order, *order.legs):
            each.status = "new" if each.status == "partially_filled" else each.status
        if order.status_before == "partially_filled":
            order.status_before = "new"


def _of_a_unit(leg: Order) -> Decimal:
    """USD a share that a leg adds to the price of a unit."""
    price = (leg.filled_avg_price or ZERO) * (leg.ratio or 1)
    return price if leg.side == "buy" else -price
