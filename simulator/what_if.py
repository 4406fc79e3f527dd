"""The account as it would be if something happened. The account itself stays as it is."""

import copy
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from simulator.book import Book, Order
from simulator.promises import Move


def moved(book: Book, moves: Iterable[Move], usd: Decimal) -> Book:
    """With contracts and shares moved, at the marks they have, and cash taken in (negative: paid).

    Orders and rows are the account's own: nobody may change them here.
    """
    positions = {symbol: copy.copy(held) for symbol, held in book.positions.items()}
    then = replace(book, positions=positions, cash=book.cash + usd)
    for move in moves:
        held = positions.get(move.symbol)
        mark = held.mark if held is not None else Decimal(0)
        if move.change:
            then.hold(move.symbol, move.contract, move.change, mark)
    return then


def with_orders(book: Book, working: dict[str, Order]) -> Book:
    """With these orders at work and no others."""
    return replace(book, working=working)
