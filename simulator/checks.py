"""Whether this account may send an order now. Every function refuses or says what it found."""

from dataclasses import replace
from decimal import Decimal

from simulator.accounting import options_maintenance, underlying_of
from simulator.book import Book, lot_of
from simulator.intake import LegAsk, OrderAsk
from simulator.margin import SHARES, Lot, maintenance, uncovered, without_covered_calls
from simulator.market import Market, quote_of
from simulator.refusal import Refusal, forbidden, unprocessable
from simulator.sessions import Session
from simulator.symbols import Contract, Right, asset_id, is_option_symbol, plain
from simulator.times import MINUTE

BROAD_ETFS = frozenset({"SPY", "QQQ", "IWM"})
CUTOFF_MINUTES = 45
CUTOFF_MINUTES_BROAD = 30

ZERO, ONE = Decimal(0), Decimal(1)

Contracts = tuple[Contract | None, ...]


def find_contracts(ask: OrderAsk, market: Market, session: Session, now: int) -> Contracts:
    """One per leg, None for a stock."""
    found = tuple(_contract(leg.symbol, market, session, now) for leg in ask.legs)
    if len({contract.underlying for contract in found if contract is not None}) > 1:
        raise unprocessable("underlying mismatch: all legs need the same underlying")
    return found


def _contract(symbol: str, market: Market, session: Session, now: int) -> Contract | None:
    if not is_option_symbol(symbol):
        if symbol not in market.underlyings:
            raise unprocessable(f'asset "{symbol}" not found')
        return None
    contract = market.contract(symbol, now)
    if contract is None:
        raise unprocessable(f'contract "{symbol}" not found')
    if contract.last_day < session.day:
        raise unprocessable(f'contract "{symbol}" is expired')
    if not contract.is_active:
        raise unprocessable(f'contract "{symbol}" is not active')
    if not contract.is_tradable:
        raise unprocessable(f'contract "{symbol}" is not tradable')
    return contract


def check_hours(ask: OrderAsk, contracts: Contracts, session: Session, now: int) -> None:
    """Market orders for options only while the market is open."""
    is_option = any(contract is not None for contract in contracts)
    if is_option and ask.type == "market" and not session.is_open(now):
        raise unprocessable("options market orders are only allowed during market hours")


def find_intents(ask: OrderAsk, book: Book) -> tuple[str, ...]:
    """Opening or closing, from what is held; a mismatch with what was said is refused."""
    found = []
    for leg in ask.legs:
        held = book.qty(leg.symbol)
        closes = held < 0 if leg.side == "buy" else held > 0
        inferred = f"{leg.side}_to_{'close' if closes else 'open'}"
        if leg.intent is not None and leg.intent != inferred:
            raise unprocessable(
                f"position intent mismatch, inferred: {inferred}, specified: {leg.intent}"
            )
        found.append(inferred)
    return tuple(found)


def check_cutoff(
    contracts: Contracts, intents: tuple[str, ...], session: Session, now: int
) -> None:
    """Nothing opens in a contract's last minutes."""
    for contract, intent in zip(contracts, intents, strict=True):
        if contract is None or contract.last_day != session.day or not intent.endswith("open"):
            continue
        broad = contract.underlying in BROAD_ETFS
        minutes = CUTOFF_MINUTES_BROAD if broad else CUTOFF_MINUTES
        if now >= session.close - minutes * MINUTE:
            text = f'contract "{contract.symbol}" expires soon, unable to open new positions'
            raise unprocessable(text)


def check_available(ask: OrderAsk, intents: tuple[str, ...], book: Book) -> None:
    """What is closed must be held and not promised to another order."""
    for leg, intent in zip(ask.legs, intents, strict=True):
        wanted = leg.ratio * ask.qty
        held = abs(book.qty(leg.symbol))
        busy = book.held_for_orders(leg.symbol) + _shares_for_calls(leg, book)
        available = max(held - busy, ZERO)
        if intent.endswith("close") and wanted > available:
            raise forbidden(
                f"insufficient qty available for order "
                f"(requested: {plain(wanted)}, available: {plain(available)})",
                available=plain(available),
                existing_qty=plain(held),
                held_for_orders=plain(busy),
                symbol=leg.symbol,
                related_orders=[
                    order.id
                    for order in book.working.values()
                    if any(other.symbol == leg.symbol for other in order.executed())
                ],
            )


def _shares_for_calls(leg: LegAsk, book: Book) -> Decimal:
    if is_option_symbol(leg.symbol) or leg.side == "buy":
        return ZERO
    return max(uncovered(_held_lots(book, leg.symbol), "call"), ZERO)


def check_cover(ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book) -> None:
    """No order may leave a short contract without cover."""
    naked = forbidden("account not eligible to trade uncovered option contracts")
    legs = list(zip(ask.legs, contracts, intents, strict=True))
    opening = any(intent == "sell_to_open" for intent in intents)
    if ask.is_multileg and opening:
        lots = order_lots(ask, contracts)
        if uncovered(lots, "call") > 0 or uncovered(lots, "put") > 0:
            raise naked
    closing = [
        lot_of(contract, _signed(leg, ask.qty))
        for leg, contract, intent in legs
        if contract is not None and intent.endswith("close")
    ]
    first = contracts[0]
    if first is None or not closing:
        return
    before = _held_lots(book, first.underlying) + _lots_being_sold(book, first.underlying)
    shares = book.qty(first.underlying)
    rights: tuple[Right, Right] = ("call", "put")
    for right in rights:
        now_bare = max(uncovered(_net(before, shares), right), ZERO)
        if uncovered(_net(before + closing, shares), right) > now_bare:
            raise naked


def _net(lots: list[Lot], shares: Decimal) -> list[Lot]:
    """One lot a contract, covered calls left out."""
    total: dict[Lot, Decimal] = {}
    for lot in lots:
        key = replace(lot, qty=ONE)
        total[key] = total.get(key, ZERO) + lot.qty
    return without_covered_calls(
        [replace(key, qty=qty) for key, qty in total.items() if qty], shares
    )


def required_usd(
    ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book, net: Decimal
) -> Decimal:
    """Buying power the order holds while it works. `net` is USD a share and unit, debit > 0."""
    if all(intent.endswith("close") for intent in intents):
        return Decimal(0)
    first = contracts[0]
    if first is None:
        return abs(net) * ask.qty / 2
    lots = order_lots(ask, contracts)
    alone = maintenance(lots)
    if not ask.is_multileg and lots[0].right == "call" and lots[0].qty < 0:
        alone = Decimal(0)  # the shares stand for it
    if any(intent.endswith("close") for intent in intents):
        now_needed = options_maintenance(book, first.underlying)
        after = maintenance(_net(_held_lots(book, first.underlying) + lots, ZERO))
        alone = max(alone, after - now_needed)
    return max(alone + net * SHARES * ask.qty, Decimal(0))


def order_lots(ask: OrderAsk, contracts: Contracts) -> list[Lot]:
    """The whole order as the margin rule sees it."""
    return [
        lot_of(contract, _signed(leg, ask.qty))
        for leg, contract in zip(ask.legs, contracts, strict=True)
        if contract is not None
    ]


def check_covered_call(
    ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book
) -> None:
    """A single short call needs free shares: as many as it delivers."""
    contract = contracts[0]
    if ask.is_multileg or contract is None or contract.right != "call":
        return
    if intents[0] != "sell_to_open":
        return
    lots = _held_lots(book, contract.underlying) + _lots_being_sold(book, contract.underlying)
    used = max(uncovered(lots, "call"), ZERO) + book.held_for_orders(contract.underlying)
    available = max(book.qty(contract.underlying) - used, ZERO)
    needed = contract.size * ask.qty
    if needed > available:
        raise forbidden(
            "insufficient underlying qty available for covered call "
            f"(required: {plain(needed)}, available: {plain(available)})",
            available_qty=plain(available),
            required_qty=plain(needed),
            symbol=contract.underlying,
            underlying_asset_id=asset_id(contract.underlying),
        )


def check_buying_power(
    ask: OrderAsk, contracts: Contracts, required: Decimal, available: Decimal
) -> None:
    """The documented refusals, by what is short of cash."""
    if required <= available:
        return
    raise _short_of_cash(ask, contracts, plain(required), plain(available))


def _short_of_cash(ask: OrderAsk, contracts: Contracts, need: str, have: str) -> Refusal:
    shown = f"(required: {need}, available: {have})"
    contract = contracts[0]
    if contract is None:
        return forbidden("insufficient buying power", buying_power=have, cost_basis=need)
    if not ask.is_multileg and ask.legs[0].side == "sell":
        return forbidden(
            f"insufficient options buying power for cash-secured put {shown}",
            buying_power=have,
            required_options_buying_power=need,
        )
    return forbidden(
        f"insufficient options buying power {shown}", options_buying_power=have, cost_basis=need
    )


def natural_net(ask: OrderAsk, market: Market, now: int) -> Decimal:
    """The far side's price of a unit, debit positive; unquoted legs count nothing."""
    total = Decimal(0)
    for leg in ask.legs:
        quote = quote_of(market, leg.symbol, now)
        if quote is not None:
            price = quote.ask if leg.side == "buy" else quote.bid
            total += (price or Decimal(0)) * leg.ratio * (1 if leg.side == "buy" else -1)
    return total


def _signed(leg: LegAsk, units: Decimal) -> Decimal:
    return leg.ratio * units * (1 if leg.side == "buy" else -1)


def _held_lots(book: Book, underlying: str) -> list[Lot]:
    held = [p for p in book.positions.values() if underlying_of(p) == underlying]
    return [lot for position in held if (lot := position.lot()) is not None]


def _lots_being_sold(book: Book, underlying: str) -> list[Lot]:
    """Sales that are working, as if they were done."""
    return [
        lot_of(leg.contract, -leg.leaves)
        for order in book.working.values()
        if not order.is_waiting
        and (not order.legs or all(leg.intent == "sell_to_close" for leg in order.legs))
        for leg in order.executed()
        if leg.contract is not None and leg.contract.underlying == underlying and leg.side == "sell"
    ]
