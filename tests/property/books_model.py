"""What our books must say by the newest that the model broker has told: where an intent stands, and
what a structure is. In plain Python, of its own."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

from domain.orders import Leg, OrderIntent, Purpose, Side
from domain.records import Fill
from tests.property.broker_model import ENDED, ModelBroker, Placed, Row

PACKAGES = tuple(
    ((f"AAPL26{day}P00210000", Side.BUY), (f"AAPL26{day}P00215000", Side.SELL))
    for day in (1127, 1204, 1211, 1218, 1224)
)
STATES = {"pending_new": "accepted", "new": "working", "partially_filled": "working"}
Lapse = tuple[bool, bool, bool]
LIVE = ("sending", "unknown", "accepted", "working")


@dataclass
class Held:
    """A structure as the model knows it."""

    package: int
    quantity: int
    state: str = "opening"
    entries: list[str] = field(default_factory=list)
    exits: list[str] = field(default_factory=list)


def intent_of(number: int, purpose: Purpose, package: int, units: int) -> OrderIntent:
    """An order of a package, of an underlying of its own: none waits for another's answer."""
    legs = tuple(Leg(symbol=symbol, side=side, ratio=1) for symbol, side in PACKAGES[package])
    return OrderIntent(
        client_order_id=f"{purpose}-{number:04}",
        strategy="iron_condor",
        underlying=f"U{number}",
        purpose=purpose,
        legs=legs if purpose is Purpose.OPEN else tuple(leg.reversed() for leg in legs),
        quantity=units,
        limit_price=Decimal("-1.00"),
        loss_usd_worst=Decimal(400),
    )


class BooksModel:
    def __init__(self, broker: ModelBroker) -> None:
        self.broker = broker
        self.held: dict[int, Held] = {}
        self.unanswered: dict[str, str] = {}  # what an intent is that no reading says anything of
        self.gone: set[int] = set()  # packages that have expired or were traded away by hand

    def is_read(self, name: str) -> bool:
        placed = self.broker.placed.get(name)
        return placed is None or self.broker.known.get(name) == len(placed.history) - 1

    def working(self, package: int | None = None) -> list[Placed]:
        symbols = {symbol for symbol, _ in PACKAGES[package]} if package is not None else set()
        every = [placed for placed in self.broker.placed.values() if not placed.has_ended]
        return [one for one in every if package is None or one.legs[0][0] in symbols]

    def in_hand(self) -> list[int]:
        """Packages of which something is held."""
        truth = self.broker.truth()
        return [n for n, legs in enumerate(PACKAGES) if n not in self.gone and legs[0][0] in truth]

    def to_take_back(self) -> list[Row]:
        """Fills of the last order of each structure."""
        last = {(held.exits or held.entries)[-1]: held.package for held in self.held.values()}
        return [
            row
            for row in self.broker.rows
            if row.execution is not None and row.now.status != "canceled"
            and last.get(row.execution[0], -1) in set(range(len(PACKAGES))) - self.gone
        ]  # fmt: skip

    def to_leave(self) -> list[int]:
        """Structures that are open, where the newest of their orders has been read."""
        return [
            key
            for key, held in self.held.items()
            if held.state == "open" and held.package not in self.gone
            and all(self.is_read(name) for name in held.entries + held.exits)
        ]  # fmt: skip

    def lost(self) -> list[tuple[str, Held]]:
        """Entries that left and never came to the broker."""
        return [
            (name, held)
            for held in self.held.values()
            for name in held.entries
            if name not in self.broker.placed and held.package not in self.gone
        ]

    # What becomes of a package

    def expire(self, package: int, lapse: Lapse) -> None:
        """Each leg worthless or exercised; an exercise and its shares are two rows of one id.

        lapse  of each leg, and whether the quantity of what lapses is told with its sign
        """
        for placed in self.working(package):
            self.broker.tell(placed, "expired")
        for (symbol, _), lapses in zip(PACKAGES[package], lapse[:2], strict=True):
            held, name = int(self.broker.truth().get(symbol, 0)), f"end-{symbol}"
            if held and lapses:
                row = self.broker.note("OPEXP", name, symbol, -held, Decimal(0))
                said = Decimal(-held if lapse[2] else held)
                row.now = replace(row.now, quantity=said)
            elif held:
                kind, shares = "OPEXC" if held > 0 else "OPASN", -100 * held
                self.broker.note(kind, name, symbol, -held, Decimal(0))
                self.broker.note("OPTRD", name, "AAPL", shares, Decimal(-210 * shares))
        self.gone.add(package)

    def trade_away(self, package: int, price: Decimal) -> None:
        """By hand, leg by leg."""
        for symbol, _ in PACKAGES[package]:
            held = int(self.broker.truth().get(symbol, 0))
            if held:
                side = Side.SELL if held > 0 else Side.BUY
                placed = self.broker.place(f"hand-{symbol}", ((symbol, side),), abs(held))
                self.broker.fill(placed, abs(held), price)
        self.gone.add(package)

    # What must be stored

    def told(self, name: str) -> tuple[str, int]:
        """Where an order stands by the newest reading, and what is filled by it."""
        if name not in self.broker.known:
            return self.unanswered[name], 0
        order = self.broker.placed[name].history[self.broker.known[name]]
        return STATES.get(order.status, order.status), int(order.filled_quantity)

    def by_leg(self, name: str) -> list[int]:
        """What is filled of each leg: no more than fills say, once one of them was taken back."""
        if name not in self.broker.known:
            return [0]
        found = []
        for leg in self.broker.placed[name].history[self.broker.known[name]].legs:
            every = [row.listed for row in self.broker.rows if isinstance(row.listed, Fill)]
            mine = [fill for fill in every if fill.order_id == leg.id]
            stand = [int(fill.quantity) for fill in mine if fill.status != "canceled"]
            told = int(leg.filled_quantity)
            found.append(told if len(stand) == len(mine) else min(told, sum(stand)))
        return found

    def units(self, name: str) -> tuple[str, int]:
        """Where an order stands, and the units of it that nobody has taken back whole."""
        state, filled = self.told(name)
        return state, min(filled, max(self.by_leg(name)))

    def torn(self) -> dict[str, Decimal]:
        """Legs of which more or less is left than of the others, while no order is at work."""
        found = {}
        for key, held in self.held.items():
            names = held.entries + held.exits
            if held.state == "failed" or any(self.told(name)[0] in LIVE for name in names):
                continue
            signs = [1] * len(held.entries) + [-1] * len(held.exits)
            whole = sum(sign * self.units(name)[1] for sign, name in zip(signs, names, strict=True))
            for number, (symbol, side) in enumerate(PACKAGES[held.package]):
                left = sum(
                    sign * ([*self.by_leg(name), 0][number])
                    for sign, name in zip(signs, names, strict=True)
                )
                if left != max(whole, 0) and held.state == "open":
                    off = Decimal(left - max(whole, 0))
                    found[f"{symbol} of structure {key}"] = off if side is Side.BUY else -off
        return found

    def missing(self) -> dict[str, Decimal]:
        """Contracts that living structures should have, and the account has not: while no order of
        theirs is at work, and none has expired."""
        own: dict[str, int] = {}
        busy: set[str] = set()
        for held in self.held.values():
            if held.state not in ("opening", "open", "closing"):
                continue
            names = [(name, 1) for name in held.entries] + [(name, -1) for name in held.exits]
            legs = PACKAGES[held.package]
            is_at_work = any(self.told(name)[0] in LIVE for name, _ in names)
            for number, (symbol, side) in enumerate(legs):
                left = sum(sign * [*self.by_leg(name), 0][number] for name, sign in names)
                if left and is_at_work:
                    busy.add(symbol)
                own[symbol] = own.get(symbol, 0) + (left if side is Side.BUY else -left)
        there, found = self.broker.truth(), {}
        for symbol, wanted in own.items():
            off = there.get(symbol, Decimal(0)) - wanted
            is_short = off < 0 if wanted > 0 else off > 0
            if is_short and wanted and symbol not in busy:
                found[f"{symbol} of the structures"] = off
        return found

    def follow(self, held: Held) -> None:
        """What a structure is by the newest readings, and by what became of its legs."""
        entries, exits = (
            [self.units(name) for name in names] for names in (held.entries, held.exits)
        )
        opened, closed = (sum(filled for _, filled in part) for part in (entries, exits))
        is_opening, is_closing = (any(s in LIVE for s, _ in part) for part in (entries, exits))
        if opened == 0:
            held.state = "opening" if is_opening else "failed"
            return
        held.quantity = opened - closed or opened
        if closed == opened:
            held.state = "closed"
        elif is_opening or is_closing:
            held.state = "opening" if is_opening else "closing"
        else:
            held.state = self.ended({symbol for symbol, _ in PACKAGES[held.package]}) or "open"

    def ended(self, symbols: set[str]) -> str | None:
        if symbols & self.broker.truth().keys():
            return None
        listed = [row.listed for row in self.broker.rows if row.listed is not None]
        kinds = {
            (row.activity_type, row.symbol)
            for row in listed
            if not isinstance(row, Fill) and row.symbol in symbols
        }
        if any(kind in ("OPASN", "OPEXC") for kind, _ in kinds):
            return "assigned"
        lapsed = {symbol for kind, symbol in kinds if kind == "OPEXP"}
        by_hand = {
            placed.legs[0][0]
            for name, placed in self.broker.placed.items()
            if name.startswith("hand") and name in self.broker.known
            and placed.history[self.broker.known[name]].filled_quantity
        }  # fmt: skip
        if lapsed == symbols:
            return "expired"
        return "closed" if symbols <= lapsed | by_hand else None

    def to_withdraw(self) -> set[str]:
        """What was given up as never received, and could still fill when it came up."""
        late = {name for name, state in self.unanswered.items() if state == "not_received"}
        first = {name: self.broker.placed[name].history[n] for name, n in self.broker.first.items()}
        return {name for name in late & first.keys() if first[name].status not in ENDED}
