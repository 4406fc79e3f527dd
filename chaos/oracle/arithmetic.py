"""The oracle's own arithmetic: what legs and positions can lose. Shares nothing with the core."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

UNLIMITED = Decimal("Infinity")
CONTRACT = 100
FOR_EVER = "999999"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lot:
    """Signed shares' worth of one symbol: a contract is 100; `cost_usd` was paid for all of it."""

    symbol: str
    shares: Decimal
    cost_usd: Decimal


def is_contract(symbol: str) -> bool:
    return len(symbol) > 15


def underlying_of(symbol: str) -> str:
    return symbol[:-15].rstrip("0123456789") if is_contract(symbol) else symbol


def expiry_of(symbol: str) -> str:
    """YYMMDD; shares end after everything."""
    return symbol[-15:-9] if is_contract(symbol) else FOR_EVER


def worth(symbol: str, spot: Decimal) -> Decimal:
    """USD a share at its end."""
    if not is_contract(symbol):
        return spot
    strike = Decimal(symbol[-8:]) / 1000
    gain = spot - strike if symbol[-9] == "C" else strike - spot
    return max(gain, Decimal(0))


def worst_loss(lots: Iterable[Lot]) -> Decimal:
    """What lots of one underlying can lose, USD, 0 or more: at each end, at any spot, with what
    ended before worth nothing. Shares are looked at as long as contracts stand beside them: a put
    that covers them can be exercised at its end. Infinity when a rise has no bound."""
    held = list(lots)
    cost = sum((lot.cost_usd for lot in held), Decimal(0))
    worst = Decimal(0)
    ends = {expiry_of(lot.symbol) for lot in held if is_contract(lot.symbol)}
    for end in ends or {FOR_EVER}:
        alive = [lot for lot in held if expiry_of(lot.symbol) >= end]
        rising = [lot for lot in alive if not is_contract(lot.symbol) or lot.symbol[-9] == "C"]
        if sum(lot.shares for lot in rising) < 0:
            return UNLIMITED
        strikes = {Decimal(lot.symbol[-8:]) / 1000 for lot in alive if is_contract(lot.symbol)}
        for spot in strikes | {Decimal(0)}:
            worst = max(worst, cost - sum(lot.shares * worth(lot.symbol, spot) for lot in alive))
    return worst


def losses(lots: Iterable[Lot]) -> dict[str, Decimal]:
    """By underlying."""
    groups: defaultdict[str, list[Lot]] = defaultdict(list)
    for lot in lots:
        groups[underlying_of(lot.symbol)].append(lot)
    return {name: worst_loss(group) for name, group in groups.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """An order as it was asked for: signed ratio by symbol, units, net USD a share."""

    client_order_id: str
    legs: Mapping[str, int]
    units: int
    limit: Decimal
    opens: bool

    @property
    def underlying(self) -> str:
        return underlying_of(next(iter(self.legs)))

    @property
    def contracts_max(self) -> int:
        return max(abs(ratio) for ratio in self.legs.values()) * self.units

    def loss(self, units: int | None = None) -> Decimal:
        """USD that all units, or so many, lose at their worst."""
        count = self.units if units is None else units
        shares = {symbol: Decimal(ratio * count * CONTRACT) for symbol, ratio in self.legs.items()}
        lots = [Lot(symbol=s, shares=n, cost_usd=Decimal(0)) for s, n in shares.items()]
        paid = Lot(symbol=lots[0].symbol, shares=Decimal(0), cost_usd=self.limit * count * CONTRACT)
        return worst_loss([*lots, paid])


def package(body: Mapping[str, object]) -> Package:
    """An order's request as the oracle reads it."""
    listed = body.get("legs")
    rows: list[Mapping[str, object]] = list(listed) if isinstance(listed, list) else [body]
    legs: dict[str, int] = {}
    for row in rows:
        ratio = int(str(row.get("ratio_qty") or 1).partition(".")[0])
        legs[str(row["symbol"])] = ratio if row["side"] == "buy" else -ratio
    return Package(
        client_order_id=str(body["client_order_id"]),
        legs=legs,
        units=int(Decimal(str(body["qty"]))),
        limit=Decimal(str(body["limit_price"])),
        opens=any(str(row.get("position_intent")).endswith("to_open") for row in rows),
    )
