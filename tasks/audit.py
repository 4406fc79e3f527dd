"""Audit: whether the account holds what its beginning and all since make of it, and the alarm when
it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from db import audits, halts
from domain.audit import Discrepancy, discrepancies, expected, of_before
from domain.books import Books
from domain.cycle import Cycle, CycleKind
from domain.records import Account, Position
from tasks.context import log, transaction

#: The beginning's positions and cash are read so soon after the moment that it is noted by.
READ_FOR = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The broker's side, read in one go.

    since     what its lists begin with
    is_still  nothing has moved while it was read, nor so shortly before that lists which lag may
              not know yet: of the first one of an account only
    """

    since: datetime
    books: Books
    account: Account
    is_still: bool = True

    @property
    def held(self) -> Sequence[Position]:
        return self.books.positions or ()


def audit(
    connection: Connection, cycle: Cycle, reading: Reading, moment: datetime
) -> list[Discrepancy]:
    """What the account holds and no fill and no activity since its beginning explains; the first
    reading that stands still is the beginning.

    Asked in the session only: at night contracts and cash move hours before the rows that say why.
    """
    if cycle.kind is not CycleKind.TRADING:
        return []
    account_id, cash = cycle.account_id, reading.account.cash
    beginning = audits.read_beginning(connection, account_id)
    if beginning is None:
        if reading.is_still:  # what moved while it was read would be counted twice
            audits.begin(connection, account_id, cash, reading.held, moment)
        else:
            log.info("audit not begun", reason="the account's books do not stand still yet")
        return []
    should = expected(beginning[0], *audits.read_movements(connection, account_id))
    return discrepancies(should, cash, reading.held)


def but_for_late_rows(
    cycle: Cycle, wrong: list[Discrepancy], reading: Reading
) -> list[Discrepancy]:
    """What does not add up besides rows that were listed only after the beginning and tell of a
    time before it: where the books are right without them, the beginning had them."""
    cash, held = reading.account.cash, reading.held
    with transaction(cycle) as connection:
        beginning = audits.read_beginning(connection, cycle.account_id)
        if beginning is None:
            return wrong
        start, began_at = beginning
        fills, rows = audits.read_movements(connection, cycle.account_id)
        odd = discrepancies(expected(start, fills, rows), cash, held)
        late_fills, late_rows = of_before(odd, fills, rows, began_at + READ_FOR)
        others = [fill for fill in fills if fill not in late_fills]
        other_rows = [row for row in rows if row not in late_rows]
        if not odd or discrepancies(expected(start, others, other_rows), cash, held):
            return wrong
        audits.put_into_beginning(connection, cycle.account_id, late_fills, late_rows)
        log.info("of the beginning", fills=len(late_fills), activities=len(late_rows))
    return [each for each in wrong if each not in odd]


def raise_alarm(cycle: Cycle, wrong: list[Discrepancy], moment: datetime) -> int:
    """Store what does not add up, and halt on what nobody has accepted; rows written."""
    if cycle.kind is not CycleKind.TRADING:
        return 0
    with transaction(cycle) as connection:
        written = audits.save_discrepancies(connection, cycle, wrong, moment)
        news = audits.read_unaccepted(connection, cycle.account_id)
        if news:
            said = "; ".join(
                f"{x.subject} {x.found:f}, not {x.expected:f}" for x in wrong if x.subject in news
            )
            log.error("unexplained", what=said)
            written += halts.set_halt(connection, cycle.account_id, f"the books disagree: {said}")
    return written
