"""What any market, made up or recorded, can be asked. Nothing here looks past `now`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.symbols import Contract

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GREEKS = ("delta", "gamma", "rho", "theta", "vega")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """Best bid and offer; None is a side nobody quotes."""

    at: int
    bid: Decimal | None
    ask: Decimal | None
    bid_size: int
    ask_size: int

    def is_crossed(self) -> bool:
        return self.bid is not None and self.ask is not None and self.bid > self.ask

    def mark(self) -> Decimal | None:
        """The middle; half the offer without a bid; None without an offer or when crossed."""
        if self.ask is None or self.is_crossed():
            return None
        return ((self.bid or Decimal(0)) + self.ask) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """Every quoted, unexpired contract of one underlying, ordered by symbol.

    Prices in USD a share, NaN where nobody quotes; `at` in nanoseconds.
    """

    contracts: Sequence[Contract]
    at: Integers
    bid: Floats
    ask: Floats
    bid_size: Integers
    ask_size: Integers
    vol: Floats | None = None  # NaN: the model has none
    greeks: Mapping[str, Floats] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def quote(self, symbol: str) -> Quote | None:
        """None when the contract is not quoted."""
        row = self.rows.get(symbol)
        if row is None:
            return None
        return Quote(
            at=int(self.at[row]),
            bid=cents(float(self.bid[row])),
            ask=cents(float(self.ask[row])),
            bid_size=int(self.bid_size[row]),
            ask_size=int(self.ask_size[row]),
        )

    def row_of(self, symbol: str) -> "Chain | None":
        """That contract alone; None when it is not quoted."""
        row = self.rows.get(symbol)
        return None if row is None else self.only(np.arange(len(self.contracts)) == row)

    def only(self, keep: NDArray[np.bool_]) -> "Chain":
        """Those rows alone."""
        if keep.all():
            return self
        rows = np.flatnonzero(keep)
        contracts = [self.contracts[row] for row in rows.tolist()]
        return replace(
            self,
            contracts=contracts,
            at=self.at[rows],
            bid=self.bid[rows],
            ask=self.ask[rows],
            bid_size=self.bid_size[rows],
            ask_size=self.ask_size[rows],
            vol=None if self.vol is None else self.vol[rows],
            greeks={name: column[rows] for name, column in self.greeks.items()},
            rows={contract.symbol: row for row, contract in enumerate(contracts)},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """Prices from `at` on, for a minute or a day."""

    at: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    trades: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """A dividend (USD a share), a split (new shares for one) or a spin-off. None: not known."""

    symbol: str
    kind: str
    ex_day: date
    rate: Decimal
    record_day: date | None = None
    payable_day: date | None = None
    new_symbol: str = ""  # of what is spun off
    declared_day: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """Nothing of an underlying trades or is quoted anew in [start, end)."""

    start: int
    end: int
    code: str = "LUDP"


@dataclass(frozen=True, kw_only=True, slots=True)
class Adjustment:
    """What a split makes of a contract: `count` of the new one for each old one."""

    old: Contract
    new: Contract
    count: int


class Market(Protocol):
    """Days are trading days; moments are nanoseconds."""

    days: tuple[date, ...]
    underlyings: tuple[str, ...]

    @property
    def knows_trades(self) -> bool:
        """Trades of contracts are those that were recorded; else they are made of the quotes."""

    def listed_as(self, underlying: str) -> tuple[str, str]:
        """The name and the exchange of a stock."""

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        """Listed by now, expired ones too, ordered by symbol."""

    def contract(self, symbol: str, now: int) -> Contract | None:
        """None when no such contract is listed by now."""

    def chain(self, underlying: str, now: int) -> Chain | None:
        """None for an underlying this market does not have."""

    def chain_of(self, contract: Contract, now: int) -> Chain | None:
        """The row of one contract in `chain`, without pricing the others; None: not quoted."""

    def spot(self, underlying: str, now: int) -> tuple[int, Decimal] | None:
        """When and what the stock last was, in today's shares; None before its first price."""

    def quoted_at(self, underlying: str, now: int) -> int:
        """The moment whose price the stock's quotes are about now."""

    def moments(self, underlying: str, start: int, end: int) -> list[int]:
        """When the stock had a new price in [start, end], in order."""

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        """None when it is not known; asked at or after the close of that day."""

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        """Of a stock or contract, the session before the one of `now`; None: not known."""

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        """Minute bars that begin in [start, end)."""

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        """Recorded minutes of a contract with a trade that begin in [start, end), oldest first."""

    def daily(self, underlying: str, now: int) -> list[Bar]:
        """One bar a session, the running one so far included."""

    def actions(self, now: int) -> list[Action]:
        """Corporate actions that are announced by now."""

    def halt(self, underlying: str, now: int) -> Halt | None:
        """The halt that stands now; None while the stock trades, and where nobody knows."""

    def adjustments(self, day: date) -> list[Adjustment]:
        """What the splits of a day do to the contracts, as of its opening."""


def cents(price: float) -> Decimal | None:
    """A quoted price as money; None for NaN and for zero and below."""
    return Decimal(str(round(price, 2))) if price > 0 else None


def quote_of(market: Market, symbol: str, now: int) -> Quote | None:
    """Of a contract or of a stock (a cent either side of its price)."""
    contract = market.contract(symbol, now)
    if contract is not None:
        chain = market.chain(contract.underlying, now)
        return chain.quote(symbol) if chain is not None else None
    spot = market.spot(symbol, market.quoted_at(symbol, now))
    if spot is None:
        return None
    price = spot[1].quantize(Decimal("0.01"))
    cent = Decimal("0.01")
    return Quote(at=spot[0], bid=price - cent, ask=price + cent, bid_size=200, ask_size=200)


def prices_of(market: Market, underlying: str, start: int, end: int) -> list[tuple[int, Decimal]]:
    """Every price of a stock that began to stand in [start, end], and when."""
    found = (market.spot(underlying, at) for at in market.moments(underlying, start, end))
    return [spot for spot in found if spot is not None]
