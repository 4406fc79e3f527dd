"""A broker of plain Python. What happens is true at once: positions and cash follow. Its lists say
it later: orders as they were some changes ago, rows when they are listed."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID, uuid5

from broker.errors import Refused
from domain.orders import Side
from domain.records import Account, Activity, Fill, Order, Position

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ENDED = ("filled", "canceled", "expired")
CASH = "cash"
OPTION_LENGTH_MIN = 15
Effect = dict[str, Decimal]


@dataclass
class Row:
    """A fill or an activity: as it is now, and as the list has it."""

    now: Fill | Activity
    listed: Fill | Activity | None = None
    moves: Decimal = Decimal(0)  # contracts or shares that an activity moves
    execution: tuple[str, int] | None = None  # the order's name, and which of its executions

    @property
    def is_pending(self) -> bool:
        return self.now != self.listed

    def effect(self, row: Fill | Activity | None) -> Effect:
        """What a reading of it moves."""
        if row is None or row.status == "canceled":
            return {}
        if isinstance(row, Activity):
            moved = {row.symbol: self.moves} if row.symbol else {}
            return {CASH: row.net_amount, **moved}
        signed = row.quantity if row.side is Side.BUY else -row.quantity
        each = 100 if len(row.symbol) > OPTION_LENGTH_MIN else 1
        return {CASH: -signed * row.price * each, row.symbol: signed}


@dataclass
class Placed:
    """An order, and every reading it ever gave."""

    name: str
    legs: tuple[tuple[str, Side], ...]
    quantity: int
    at: datetime
    executions: int = 0
    history: list[Order] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        return self.history[-1].status in ENDED

    @property
    def left(self) -> int:
        return self.quantity - int(self.history[-1].filled_quantity)


class ModelBroker:
    """The seam that the tasks read through is its methods from `clock` on."""

    def __init__(self) -> None:
        self.now = self.stamp = START
        self.placed: dict[str, Placed] = {}
        self.rows: list[Row] = []
        self.planted: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.ages = [0]  # of the readings in a list of orders, in turn
        self.per_wait = 0  # rows that are listed while somebody waits
        self.known: dict[str, int] = {}  # the newest reading that was given out
        self.first: dict[str, int] = {}
        self.most_filled: defaultdict[str, int] = defaultdict(int)
        self.asked: set[str] = set()  # to be canceled

    # What happens

    def tick(self) -> datetime:
        """The clock may step back; what happens later is stamped later."""
        self.stamp = max(self.stamp, self.now) + timedelta(milliseconds=1)
        return self.stamp

    def place(self, name: str, legs: tuple[tuple[str, Side], ...], quantity: int) -> Placed:
        placed = Placed(name, legs, quantity, self.tick())
        self.placed[name] = placed
        self.tell(placed, "pending_new")
        return placed

    def tell(self, placed: Placed, status: str) -> None:
        """A new reading, made of the fills that stand."""
        at = self.tick()
        legs = [self._one(placed, number, status, at) for number in range(len(placed.legs))]
        whole = replace(legs[0], id=id_of(placed.name), client_order_id=placed.name, parent_id=None)
        if len(legs) == 1:
            placed.history.append(replace(whole, order_class="simple"))
            return
        paid = [
            leg.filled_average_price * (1 if leg.side is Side.BUY else -1)
            for leg in legs
            if leg.filled_average_price is not None
        ]
        average = sum(paid, Decimal(0)) if paid else None
        net = replace(whole, symbol=None, side=None, filled_average_price=average)
        placed.history.append(replace(net, legs=tuple(legs)))

    def _one(self, placed: Placed, number: int, status: str, at: datetime) -> Order:
        symbol, side = placed.legs[number]
        name = f"{placed.name}-{number}"
        order_id = id_of(placed.name if len(placed.legs) == 1 else name)
        fills = [
            row.now
            for row in self.rows
            if isinstance(row.now, Fill) and row.now.order_id == order_id
        ]
        stand = [fill for fill in fills if fill.status != "canceled"]
        filled = sum((fill.quantity for fill in stand), Decimal(0))
        paid = sum((fill.quantity * fill.price for fill in stand), Decimal(0))
        return Order(
            id=order_id, client_order_id=name, parent_id=id_of(placed.name), order_class="mleg",
            symbol=symbol, side=side, position_intent=None, quantity=Decimal(placed.quantity),
            filled_quantity=filled, limit_price=None, status=status, submitted_at=placed.at,
            filled_average_price=(paid / filled).quantize(Decimal("0.000001")) if filled else None,
            updated_at=at, filled_at=at if filled else None, legs=(),
        )  # fmt: skip

    def fill(self, placed: Placed, units: int, price: Decimal) -> None:
        """Units of every leg; the second costs more than the first, for a credit."""
        placed.executions += 1
        for number, (symbol, side) in enumerate(placed.legs):
            name = placed.name if len(placed.legs) == 1 else f"{placed.name}-{number}"
            made = Fill(
                id=f"{name}/{placed.executions}", order_id=id_of(name), symbol=symbol, side=side,
                quantity=Decimal(units), price=price + number, filled_at=self.tick(),
                status="executed",
            )  # fmt: skip
            self.rows.append(Row(made, execution=(placed.name, placed.executions)))
        left = placed.left - units
        self.tell(placed, "partially_filled" if left else "filled")

    def change(self, row: Row, **how: object) -> None:
        """Correct or take back a row; a fill's order follows, an execution goes as a whole."""
        these = [row]
        if row.execution is not None and how["status"] == "canceled":
            these = [each for each in self.rows if each.execution == row.execution]
        for each in these:
            each.now = replace(each.now, **how)  # type: ignore[arg-type]  # of a fill or activity
        if row.execution is not None:
            placed = self.placed[row.execution[0]]
            self.tell(placed, placed.history[-1].status)

    def note(self, kind: str, name: str, symbol: str | None, moves: int, net: Decimal) -> Row:
        """An activity, not yet listed."""
        made = Activity(
            activity_type=kind, id=name, day=self.now.date(), symbol=symbol, price=None,
            quantity=Decimal(moves) if symbol else None, net_amount=net, status="executed",
            description=None,
        )  # fmt: skip
        self.rows.append(Row(made, moves=Decimal(moves)))
        return self.rows[-1]

    def list_some(self, start: int, count: int) -> None:
        """List pending rows; an expiry comes after all that was traded before it."""
        pending = [row for row in self.rows if row.is_pending]
        pending = (
            pending[start % len(pending) :] + pending[: start % len(pending)] if pending else []
        )
        for row in pending[:count]:
            before = [each for each in self.rows if each is not row and each.is_pending]
            is_end = isinstance(row.now, Activity) and row.now.activity_type == "OPEXP"
            if not is_end or row.now.symbol not in {each.now.symbol for each in before}:
                row.listed = row.now

    def truth(self) -> Effect:
        """What is held, and the cash."""
        found: defaultdict[str, Decimal] = defaultdict(Decimal, {CASH: Decimal(100_000)})
        found["SPY"] += 100
        for effect in [self.planted, *(row.effect(row.now) for row in self.rows)]:
            for subject, amount in effect.items():
                found[subject] += amount
        return {subject: amount for subject, amount in found.items() if amount}

    def unexplained(self) -> Effect:
        """What has moved and no list says why."""
        found = defaultdict(Decimal, self.planted)
        for row in self.rows:
            for sign, reading in ((1, row.now), (-1, row.listed)):
                for subject, amount in row.effect(reading).items():
                    found[subject] += sign * amount
        return {subject: amount for subject, amount in found.items() if amount}

    # What the tasks ask

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.list_some(0, self.per_wait)

    def clock(self) -> SimpleNamespace:
        return SimpleNamespace(now=self.now)

    def account(self) -> Account:
        cash, none = self.truth().get(CASH, Decimal(0)), Decimal(0)
        return Account(
            number="A1", cash=cash, equity=cash, last_equity=cash, options_buying_power=cash,
            initial_margin=none, maintenance_margin=none, options_level=3, is_blocked=False,
        )  # fmt: skip

    def positions(self) -> list[Position]:
        return [
            Position(symbol=symbol, quantity=quantity, average_entry_price=Decimal(1),
                     current_price=None, market_value=None)
            for symbol, quantity in self.truth().items() if symbol != CASH
        ]  # fmt: skip

    def give(self, placed: Placed, index: int) -> Order:
        order = placed.history[index]
        self.first.setdefault(placed.name, index)
        self.known[placed.name] = max(index, self.known.get(placed.name, 0))
        filled = max(int(order.filled_quantity), self.most_filled[placed.name])
        self.most_filled[placed.name] = filled
        return order

    def orders(self, since: datetime) -> list[Order]:
        return list(self._listed(since))

    def _listed(self, since: datetime) -> Iterator[Order]:
        for number, placed in enumerate(self.placed.values()):
            index = len(placed.history) - 1 - self.ages[number % len(self.ages)]
            if index >= 0 and placed.at > since:
                yield self.give(placed, index)

    def order_by_client_id(self, name: str) -> Order | None:
        placed = self.placed.get(name)
        return None if placed is None else self.give(placed, len(placed.history) - 1)

    def fills_and_activities(self, since: datetime) -> tuple[list[Fill], list[Activity]]:
        listed = [row.listed for row in self.rows]
        return (
            [row for row in listed if isinstance(row, Fill) and row.filled_at > since],
            [row for row in listed if isinstance(row, Activity)],
        )

    def cancel(self, order_id: UUID) -> None:
        (placed,) = [each for each in self.placed.values() if each.history[0].id == order_id]
        self.asked.add(placed.name)
        if placed.has_ended:
            raise Refused("the order has ended", status=422, code=0)
        self.tell(placed, "canceled")


def id_of(name: str) -> UUID:
    return uuid5(UUID(int=7), name)
