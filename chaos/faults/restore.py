"""F44 and F46 to F48: days without a cycle, the database as it was a slot or two ago, a slot that
is run again at another size, structures of equal legs whose exits come at once."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from chaos.backup import back_up
from chaos.faults.kinds import Armed, Kind, Kinds
from chaos.market import sessions_around
from simulator.times import MINUTE

if TYPE_CHECKING:
    from chaos.day import Day

#: Two structures of equal legs, and an exit of each accepted by one cycle.
EQUAL_EXITS = """
SELECT count(*) FROM candidates a JOIN candidates b ON b.cycle_id = a.cycle_id AND b.id > a.id
WHERE a.purpose = 'close' AND b.purpose = 'close' AND a.is_accepted AND b.is_accepted
AND (SELECT array_agg(l.symbol || l.side ORDER BY l.symbol) FROM structure_legs l
     WHERE l.structure_id = a.structure_id)
  = (SELECT array_agg(l.symbol || l.side ORDER BY l.symbol) FROM structure_legs l
     WHERE l.structure_id = b.structure_id)
"""


def _silent_days(day: Day, seed: int) -> Armed:
    """Counted when an order or a position has moved while nobody looked."""
    session = sessions_around(day.plan.scene.day.year).on(day.plan.scene.next_day)
    assert session is not None
    opens, closes, book = session.open, day.plan.slots[-1] + 5 * MINUTE, day.exchange.book

    def fired() -> int:
        moments = [row.at for row in book.activities]
        moments += [order.updated_at for order in book.orders.values()]
        return int(any(closes < at < opens for at in moments))

    return Armed(fired=fired)


def _restored(day: Day, seed: int) -> Armed:
    """The slot is run, perhaps another one after it; then the database is as before them."""
    fired: list[int] = []

    def way(slot: int) -> None:
        backup = back_up(day.stage.own)
        day.run_cycle(slot)
        if Random(seed).random() < 0.5:
            day.advance(slot + 4 * MINUTE)
            day.run_cycle(slot + 4 * MINUTE)
        backup.restore()
        fired.append(day.oracle.restored.note())

    day.way = way
    return Armed(fired=lambda: int(any(fired)))


def _slot_again(day: Day, seed: int) -> Armed:
    """The slot is run, the database is as before it, the limits are others; and it is run again."""
    fired: list[int] = []

    def way(slot: int) -> None:
        chance = Random(seed)
        backup = back_up(day.stage.own)
        day.run_cycle(slot)
        backup.restore()
        fired.append(day.oracle.restored.note())
        units, share = chance.choice([("1", "0.02"), ("5", "0.05"), ("20", "0.10")])
        day.change_settings(
            {
                ("limits.toml", "position_contracts_max"): units,
                ("limits.toml", "single_trade_loss_share_max"): share,
            }
        )
        day.pass_time(float(chance.choice([20, 120])))
        day.run_cycle(slot)

    day.way = way
    return Armed(fired=lambda: int(any(fired)))


def _equal_exits(day: Day, seed: int) -> Armed:
    """From now on everything that is held is to be closed."""
    day.change_settings({("strategies.toml", "days_to_expiry_exit"): "60"})

    def fired() -> int:
        return int(day.stage.own.execute(EQUAL_EXITS).fetchall()[0][0])

    return Armed(fired=fired)


KINDS: Kinds = {
    "silent_days": Kind(number="F44", arm=_silent_days, is_apart=True),
    "restored": Kind(number="F46", arm=_restored, is_apart=True, may_alarm=True),
    "slot_again": Kind(number="F47", arm=_slot_again, is_apart=True, may_alarm=True),
    "equal_exits": Kind(number="F48", arm=_equal_exits, is_apart=True),
}
