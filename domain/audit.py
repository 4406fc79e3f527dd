"""Audit: whether what the account holds is what its fills and activities make of its beginning."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.calendar import trading_day
from domain.contracts import is_option
from domain.orders import CENT, SHARES_PER_CONTRACT, Side
from domain.records import Activity, Fill, Position

CASH = "cash"
TAKEN_BACK = "canceled"
#: Activities that move what is held, by their signed quantity.
MOVING = frozenset({"OPASN", "OPEXC", "OPTRD", "JNLS", "SPLIT", "OPCA", "OPCSH", "SPIN", "NC"})
EXPIRY = "OPEXP"  # of a short one both signs have been seen: it ends what is held


@dataclass(frozen=True, kw_only=True, slots=True)
class Holdings:
    """USD of cash, and contracts or shares by symbol; nothing is held at 0.

    cash_off_max  how far off the broker's cash may be: nobody knows how it rounds each trade of a
                  part of a share to cents
    """

    cash: Decimal
    positions: Mapping[str, Decimal]
    cash_off_max: Decimal = Decimal(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Discrepancy:
    """What no order and no activity explains. `subject` is a symbol or CASH."""

    subject: str
    expected: Decimal
    found: Decimal


def expected(start: Holdings, fills: Iterable[Fill], activities: Iterable[Activity]) -> Holdings:
    """What `start` has become by every fill and activity since."""
    cash, cash_off_max = start.cash, Decimal(0)
    held: defaultdict[str, Decimal] = defaultdict(Decimal, start.positions)
    for fill in fills:
        if fill.status != TAKEN_BACK:
            signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
            held[fill.symbol] += signed
            multiplier = SHARES_PER_CONTRACT if is_option(fill.symbol) else 1
            paid = signed * fill.price * multiplier
            cash -= paid
            cash_off_max += CENT if paid != paid.quantize(CENT) else 0
    counted = [row for row in activities if row.status != TAKEN_BACK]
    for row in counted:
        cash += row.net_amount
        if row.activity_type in MOVING and row.symbol and row.quantity:
            held[row.symbol] += row.quantity
    for row in counted:
        if row.activity_type == EXPIRY and row.symbol and row.quantity:
            lapsed = min(abs(row.quantity), abs(held[row.symbol]))
            held[row.symbol] -= lapsed if held[row.symbol] > 0 else -lapsed
    positions = {name: qty for name, qty in held.items() if qty}
    return Holdings(cash=cash, positions=positions, cash_off_max=cash_off_max)


def of_before(
    wrong: Iterable[Discrepancy],
    fills: Iterable[Fill],
    activities: Iterable[Activity],
    begun: datetime,
) -> tuple[list[Fill], list[Activity]]:
    """Rows about what is off, of a time before the beginning: a list that lagged behind positions
    and cash did not have them yet, and what they did may be in it already.

    begun  positions and cash had been read as the beginning by then
    """
    odd = {each.subject for each in wrong}
    first_day = trading_day(begun)
    return (
        [fill for fill in fills if fill.symbol in odd and fill.filled_at < begun],
        [row for row in activities if (row.symbol or CASH) in odd and row.day < first_day],
    )


def discrepancies(should: Holdings, cash: Decimal, held: Iterable[Position]) -> list[Discrepancy]:
    """Where the broker's cash and positions are not what they should be, to the cent."""
    found = {position.symbol: position.quantity for position in held}
    wrong = [
        Discrepancy(
            subject=symbol,
            expected=should.positions.get(symbol, Decimal(0)),
            found=found.get(symbol, Decimal(0)),
        )
        for symbol in sorted({*found, *should.positions})
        if found.get(symbol, Decimal(0)) != should.positions.get(symbol, Decimal(0))
    ]
    is_off = abs(cash - should.cash) > should.cash_off_max
    if is_off and cash.quantize(CENT) != should.cash.quantize(CENT):
        wrong.append(Discrepancy(subject=CASH, expected=should.cash, found=cash))
    return wrong
