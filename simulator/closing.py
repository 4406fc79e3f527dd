"""From a position to the market order that closes it."""

from decimal import ROUND_FLOOR, Decimal

from simulator.book import Book, Position
from simulator.parts import BILLIONTH
from simulator.refusal import bad_parameter, not_found
from simulator.symbols import plain
from simulator.terms import number


def closing_body(book: Book, name: str, qty: str | None, percentage: str | None) -> object:
    """The body of POST /v2/orders. A percentage of what is whole is cut to something whole."""
    held = book.position(name)
    if held is None:
        raise not_found(f"position does not exist: {name}")
    if qty and percentage:
        raise bad_parameter("only one of qty or percentage is accepted")
    wanted = abs(held.qty)
    if qty:
        wanted = number(qty, "qty")
    elif percentage:
        share = number(percentage, "percentage")
        if not 0 < share <= 100:
            raise bad_parameter("percentage must be > 0 and <= 100")
        least = BILLIONTH if held.qty % 1 else Decimal(1)
        wanted = (wanted * share / 100).quantize(least, rounding=ROUND_FLOOR)
    intent = "sell_to_close" if held.qty > 0 else "buy_to_close"
    return {
        "symbol": held.symbol,
        "qty": plain(wanted),
        "side": intent.split("_")[0],
        "type": "market",
        "time_in_force": "day",
        "position_intent": intent,
    }


def closing_order(book: Book) -> list[Position]:
    """Long ones first, as the real broker may do it: where they cover short ones, it refuses."""
    return sorted(book.positions.values(), key=lambda held: (held.qty < 0, held.symbol))
