"""Whether an order leaves what it would close, and every short contract's cover, in its place.
Every function refuses or says nothing; what may still happen is known to `promises`."""

from simulator.accounting import underlying_of
from simulator.book import Book, lot_of
from simulator.checks import Contracts
from simulator.intake import OrderAsk
from simulator.margin import Lot, uncovered
from simulator.promises import ZERO, Move, Outlook, Way, available
from simulator.refusal import Refusal, forbidden
from simulator.symbols import Right, asset_id, plain

RIGHTS: tuple[Right, ...] = ("call", "put")


def check_available(ask: OrderAsk, intents: tuple[str, ...], book: Book) -> None:
    """What is closed must be held, promised to nothing else, and cover no call."""
    for leg, intent in zip(ask.legs, intents, strict=True):
        if not intent.endswith("close"):
            continue
        wanted, free = leg.ratio * ask.qty, available(book, leg.symbol)
        if wanted > free:
            held = abs(book.qty(leg.symbol))
            raise forbidden(
                "insufficient qty available for order "
                f"(requested: {plain(wanted)}, available: {plain(free)})",
                available=plain(free),
                existing_qty=plain(held),
                held_for_orders=plain(held - free),
                symbol=leg.symbol,
                related_orders=[
                    order.id
                    for order in book.working.values()
                    if any(other.symbol == leg.symbol for other in order.executed())
                ],
            )


def check_cover(ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book) -> None:
    """No order may leave a short contract without cover, whatever else happens before or after.

    What several legs open they cover themselves. A single put may be secured by cash instead, a
    single call by shares: see check_covered_call.
    """
    if ask.is_multileg and any(intent == "sell_to_open" for intent in intents):
        lots = order_lots(ask, contracts)
        if any(uncovered(lots, right) > 0 for right in RIGHTS):
            raise _naked()
    first = contracts[0]
    takes = any(intent.endswith("close") for intent in intents)
    if first is None or not (takes or (ask.is_multileg and book.not_exercising)):
        return
    before = Outlook(book, first.underlying)
    after = Outlook(book, first.underlying, (moves_of(ask, contracts),))
    if any(after.bare(right) > max(before.bare(right), ZERO) for right in RIGHTS):
        raise _naked()


def _naked() -> Refusal:
    return forbidden("account not eligible to trade uncovered option contracts")


def check_covered_call(
    ask: OrderAsk, contracts: Contracts, intents: tuple[str, ...], book: Book
) -> None:
    """A single short call needs free shares: as many as it delivers."""
    contract = contracts[0]
    if ask.is_multileg or contract is None or contract.right != "call":
        return
    if intents[0] != "sell_to_open":
        return
    free = Outlook(book, contract.underlying).shares_free(contract.last_day)
    needed = contract.size * ask.qty
    if needed > free:
        raise forbidden(
            "insufficient underlying qty available for covered call "
            f"(required: {plain(needed)}, available: {plain(free)})",
            available_qty=plain(free),
            required_qty=plain(needed),
            symbol=contract.underlying,
            underlying_asset_id=asset_id(contract.underlying),
        )


def order_lots(ask: OrderAsk, contracts: Contracts) -> list[Lot]:
    """The whole order as the margin rule sees it."""
    moves = moves_of(ask, contracts)
    return [lot_of(move.contract, move.change) for move in moves if move.contract is not None]


def moves_of(ask: OrderAsk, contracts: Contracts) -> Way:
    """The whole order as it would move what is held."""
    return tuple(
        Move(leg.symbol, contract, leg.ratio * ask.qty * (1 if leg.side == "buy" else -1))
        for leg, contract in zip(ask.legs, contracts, strict=True)
    )


def is_bared(before: Book, after: Book, *, at_worst: bool) -> bool:
    """Whether a call is bare that was not: as both stand, or in the worst case of what works."""
    touched = {
        underlying_of(held)
        for held in (*before.positions.values(), *after.positions.values())
        if (
            (held.contract is None or held.contract.right == "call")
            and after.qty(held.symbol) < before.qty(held.symbol)
        )
        or held.symbol in after.not_exercising - before.not_exercising
    }
    for name in touched:
        was, will = Outlook(before, name), Outlook(after, name)
        if at_worst and will.bare("call") > max(was.bare("call"), ZERO):
            return True
        if will.bare_now("call") > max(was.bare_now("call"), ZERO):
            return True
    return False
