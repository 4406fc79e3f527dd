"""What the account is not allowed to ask for, whatever its money: levels, its own configuration,
orders that cross each other, rolls that can be read two ways, an assignment's morning after."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from simulator.book import Book, Order
from simulator.checks import Contracts
from simulator.intake import OrderAsk
from simulator.promises import promised
from simulator.refusal import Refusal, forbidden, unprocessable
from simulator.switches import Switches
from simulator.symbols import Contract

LONG_LEVEL = 2
SPREAD_LEVEL = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """Of contracts whose last day is `day`; 0 is none."""

    day: date
    contracts_max: int

    def counts(self, contract: Contract | None) -> bool:
        return self.contracts_max > 0 and contract is not None and contract.last_day == self.day

    def is_opened(self, contract: Contract | None, intent: str | None) -> bool:
        return self.counts(contract) and (intent or "").endswith("open")


def options_level(book: Book, switches: Switches) -> int:
    """The lower of what was approved and what the owner set."""
    chosen = book.configuration.max_options_trading_level
    return switches.options_level if chosen is None else min(chosen, switches.options_level)


def check_account(ask: OrderAsk, book: Book) -> None:
    if book.configuration.suspend_trade:
        raise forbidden("new orders are rejected by user request")


def check_level(ask: OrderAsk, intents: tuple[str, ...], level: int) -> None:
    """What is held may be closed at any level, contract by contract."""
    if not ask.is_option or (not ask.is_multileg and intents[0].endswith("close")):
        return
    if level == 0:
        raise forbidden("account not authorized to trade options")
    if ask.is_multileg and level < SPREAD_LEVEL:
        raise forbidden("account not eligible to trade spreads")
    if intents[0] == "buy_to_open" and level < LONG_LEVEL:
        raise forbidden("account not eligible to trade long option contracts")


def check_short_shares(ask: OrderAsk, intents: tuple[str, ...], book: Book) -> None:
    is_short = not ask.is_option and intents[0] == "sell_to_open"
    if is_short and book.configuration.no_shorting:
        raise forbidden("account is not allowed to short")


def check_rolls(ask: OrderAsk, intents: tuple[str, ...], rights: Iterable[str]) -> None:
    """A roll is read as: each contract that is closed gives way to one that is opened.

    Where some give way and not one for one, nobody can say which to which.
    """
    closed: Counter[tuple[str, bool]] = Counter()
    opened: Counter[tuple[str, bool]] = Counter()
    for intent, right in zip(intents, rights, strict=True):
        is_long = intent in {"buy_to_open", "sell_to_close"}
        (opened if intent.endswith("open") else closed)[right, is_long] += 1
    if any(opened[side] not in {0, count} for side, count in closed.items()):
        raise unprocessable("rolling contracts ambiguous")


def check_assignment_lock(ask: OrderAsk, underlying: str, book: Book, now: int) -> None:
    """From an assignment until its row is made the last long contracts of the underlying stay."""
    if now >= book.locked_until.get(underlying, now):
        return
    sold = {leg.symbol: leg.ratio * ask.qty for leg in ask.legs if leg.side == "sell"}
    free = {
        held.symbol: held.qty - promised(book, held.symbol)
        for held in book.positions.values()
        if held.qty > 0 and held.contract is not None and held.contract.underlying == underlying
    }
    if sold.keys() & free.keys() and all(sold.get(name, 0) >= left for name, left in free.items()):
        raise forbidden(f"active assignment lock on {underlying}, cannot close all long options")


def check_expiring_today(
    ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book, limit: Limit
) -> None:
    """Contracts that end today: what is opened beside what is held and what still may open."""
    asked = zip(ask.legs, contracts, intents, strict=True)
    wanted = sum(leg.ratio * ask.qty for leg, c, intent in asked if limit.is_opened(c, intent))
    if not wanted:
        return
    works = [leg for order in book.working.values() for leg in order.executed()]
    held = sum(abs(p.qty) for p in book.positions.values() if limit.counts(p.contract)) + sum(
        leg.leaves for leg in works if limit.is_opened(leg.contract, leg.intent)
    )
    if wanted + held > limit.contracts_max:
        raise forbidden(
            "exceeded account limit for contracts expiring today "
            f"(requested: {wanted}, held+open: {held}, limit: {limit.contracts_max})"
        )


def check_wash_trade(ask: OrderAsk, book: Book, switches: Switches) -> None:
    """No single order may meet another of the same account."""
    if ask.is_multileg or ask.bound or (ask.is_option and not switches.option_wash_check):
        return
    leg = ask.legs[0]
    for order in book.working.values():
        if order.legs or order.is_held or order.symbol != leg.symbol or order.side == leg.side:
            continue
        if reason := _crossing(ask, order):
            raise _wash_trade(order, reason)


def _crossing(ask: OrderAsk, order: Order) -> str:
    """Why the two could meet; empty when they cannot."""
    if order.limit_price is None:
        return f"opposite side {order.type} order exists"
    if ask.limit_price is None:
        return f"opposite side {order.type} order exists"
    buy, sell = ask.limit_price, order.limit_price
    if ask.legs[0].side == "sell":
        buy, sell = sell, buy
    return "opposite side limit order exists" if buy >= sell else ""


def _wash_trade(order: Order, reason: str) -> Refusal:
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=order.id,
        reject_reason=reason,
    )
