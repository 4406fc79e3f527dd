"""The catalogue: every way each fault of the reliability notes happens in a seeded day.

F41 and F42 are plain tests.
"""

from chaos.faults import (
    books,
    market,
    network,
    operation,
    orchestrator,
    postgres,
    process,
    stream,
)
from chaos.faults.kinds import Armed, Kind, Kinds

__all__ = ["FAULTS", "NUMBERS", "Armed", "Kind"]

FAULTS: Kinds = {
    **network.KINDS,
    **books.KINDS,
    **stream.KINDS,
    **process.KINDS,
    **postgres.KINDS,
    **orchestrator.KINDS,
    **market.KINDS,
    **operation.KINDS,
}
#: Every fault that some kind stands for, in the catalogue's order.
NUMBERS: tuple[str, ...] = tuple(
    sorted({kind.number for kind in FAULTS.values()}, key=lambda number: int(number[1:]))
)
