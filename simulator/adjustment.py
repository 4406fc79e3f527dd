"""What a split does to a book at the opening of its ex-day."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from simulator.book import Activity, Book
from simulator.market import Action, Adjustment, Market
from simulator.sessions import Session

CENT = Decimal("0.01")


def adjust(book: Book, market: Market, adjustments: Sequence[Adjustment], session: Session) -> None:
    """Old contracts become new ones, shares multiply; each leaves a pair of OPCA or a SPLIT row.

    A part of a share is paid in cash at the opening price.
    """
    for adjustment in adjustments:
        held = book.positions.pop(adjustment.old.symbol, None)
        if held is None:
            continue
        qty = held.qty * adjustment.count
        entry, group = held.entry / adjustment.count, book.new_id()
        for symbol, change in ((held.symbol, -held.qty), (adjustment.new.symbol, qty)):
            row = _row(book, "OPCA", symbol, change, session)
            book.activities.append(replace(row, group_id=group))
        book.hold(adjustment.new.symbol, adjustment.new, qty, entry)
        book.positions[adjustment.new.symbol].mark = held.mark / adjustment.count
    for action in market.actions(session.open):
        if action.kind == "split" and action.ex_day == session.day:
            _split_shares(book, market, action, session)


def _split_shares(book: Book, market: Market, action: Action, session: Session) -> None:
    held = book.positions.get(action.symbol)
    if held is None:
        return
    exact = held.qty * action.rate
    whole = int(exact)
    spot = market.spot(action.symbol, session.open)
    price = spot[1] if spot is not None else held.mark / action.rate
    net = ((exact - whole) * price).quantize(CENT)
    row = _row(book, "SPLIT", action.symbol, whole - held.qty, session)
    book.activities.append(replace(row, net_usd=net))
    book.cash += net
    held.qty, held.entry, held.mark = whole, held.entry / action.rate, price
    if whole == 0:
        del book.positions[action.symbol]


def _row(book: Book, kind: str, symbol: str, qty: int, session: Session) -> Activity:
    return Activity(
        id=f"{session.day:%Y%m%d}000000000::{book.new_id()}",
        kind=kind,
        at=session.open,
        day=session.day,
        symbol=symbol,
        qty=Decimal(qty),
        net_usd=Decimal(0),
    )
