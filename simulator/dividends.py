"""Cash dividends of shares that are held. A paper account gets none."""

from datetime import date, timedelta

from simulator.book import Book, Due
from simulator.market import Action, Market
from simulator.rows import Clerk

CASH_DIVIDEND = "cash dividend"
PAY_DAYS = 14  # after the ex-day, where the market does not say


def going_ex(market: Market, now: int, last: date, day: date) -> list[Action]:
    """Dividends whose ex-day lies after `last` and not after `day`."""
    return actions_between(market, CASH_DIVIDEND, now, (last, day))


def actions_between(market: Market, kind: str, now: int, days: tuple[date, date]) -> list[Action]:
    """Of one kind, after the first day and not after the second."""
    last, day = days
    return [
        action
        for action in market.actions(now)
        if action.kind == kind and last < action.ex_day <= day
    ]


def note(book: Book, actions: list[Action]) -> None:
    """Who holds shares as they go ex will be paid; who owes them will pay."""
    for action in actions:
        shares = book.qty(action.symbol)
        if shares:
            book.dividends_due.append(
                Due(
                    symbol=action.symbol,
                    shares=shares,
                    rate_usd=action.rate,
                    ex_day=action.ex_day,
                    pay_day=action.payable_day or action.ex_day + timedelta(days=PAY_DAYS),
                )
            )


def pay(clerk: Clerk) -> None:
    """What is due by this day, to the cent."""
    book = clerk.book
    for due in [due for due in book.dividends_due if due.pay_day <= clerk.day]:
        net = round(due.rate_usd * due.shares, 2)
        book.cash += net
        book.dividends_due.remove(due)
        clerk.write(
            "DIV",
            due.symbol,
            net_usd=net,
            shown_qty=due.shares,
            per_share_usd=due.rate_usd,
            description=f"Cash DIV @ {due.rate_usd}, ex-date {due.ex_day}",
        )
