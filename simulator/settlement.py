"""What an expiry does to a book, at the close of the contracts' last trading day."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from simulator.book import Activity, Book, Position
from simulator.margin import SHARES
from simulator.symbols import Contract

IN_THE_MONEY_USD_MIN = Decimal("0.01")


def settle(book: Book, day: date, at: int, close_of: Callable[[str], Decimal | None]) -> None:
    """Exercise, assign or let lapse everything whose last trading day is over.

    close_of gives an underlying's closing price; contracts without one stay.
    """
    ended = [
        (held, held.contract)
        for held in book.positions.values()
        if held.contract is not None and held.contract.last_day <= day
    ]
    for held, contract in sorted(ended, key=lambda pair: pair[0].symbol):
        close = close_of(contract.underlying)
        if close is None:
            continue
        if contract.intrinsic(close) >= IN_THE_MONEY_USD_MIN:
            _exercise(book, held, contract, day, at)
        else:
            book.activities.append(_activity(book, "OPEXP", held.symbol, -held.qty, (day, at)))
        del book.positions[held.symbol]


def _exercise(book: Book, held: Position, contract: Contract, day: date, at: int) -> None:
    """Shares change hands at the strike, for the holder or against the writer."""
    buys = (contract.right == "call") == (held.qty > 0)
    sign = 1 if buys else -1
    shares = abs(held.qty) * contract.size * sign
    net = -contract.strike * abs(held.qty) * SHARES * sign
    kind = "OPEXC" if held.qty > 0 else "OPASN"
    option = _activity(book, kind, held.symbol, -held.qty, (day, at))
    stock = _activity(book, "OPTRD", contract.underlying, shares, (day, at))
    group = book.new_id()
    book.activities.append(replace(option, group_id=group))
    book.activities.append(replace(stock, group_id=group, price=contract.strike, net_usd=net))
    book.cash += net
    book.hold(contract.underlying, None, shares, abs(net / shares))


def _activity(book: Book, kind: str, symbol: str, qty: int, when: tuple[date, int]) -> Activity:
    day, at = when
    return Activity(
        id=f"{day:%Y%m%d}000000000::{book.new_id()}",
        kind=kind,
        at=at,
        day=day,
        symbol=symbol,
        qty=Decimal(qty),
        net_usd=Decimal(0),
    )
