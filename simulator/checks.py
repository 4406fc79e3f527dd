"""Whether this account may send an order now. Every function refuses or says what it found."""

from simulator.book import Book
from simulator.intake import OrderAsk
from simulator.market import Market
from simulator.refusal import unprocessable
from simulator.sessions import Session
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE

BROAD_ETFS = frozenset({"SPY", "QQQ", "IWM"})
CUTOFF_MINUTES = 45
CUTOFF_MINUTES_BROAD = 30

Contracts = tuple[Contract | None, ...]


def find_contracts(ask: OrderAsk, market: Market, session: Session, now: int) -> Contracts:
    """One per leg, None for a stock."""
    found = tuple(_contract(leg.symbol, market, session, now) for leg in ask.legs)
    if len({contract.underlying for contract in found if contract is not None}) > 1:
        raise unprocessable("underlying mismatch: all legs need the same underlying")
    return found


def _contract(symbol: str, market: Market, session: Session, now: int) -> Contract | None:
    if not is_option_symbol(symbol):
        if symbol not in market.underlyings:
            raise unprocessable(f'asset "{symbol}" not found')
        return None
    contract = market.contract(symbol, now)
    if contract is None:
        raise unprocessable(f'contract "{symbol}" not found')
    if contract.last_day < session.day:
        raise unprocessable(f'contract "{symbol}" is expired')
    if not contract.is_active:
        raise unprocessable(f'contract "{symbol}" is not active')
    if not contract.is_tradable:
        raise unprocessable(f'contract "{symbol}" is not tradable')
    return contract


def check_hours(ask: OrderAsk, contracts: Contracts, session: Session, now: int) -> None:
    """Market orders for options only while the market is open."""
    is_option = any(contract is not None for contract in contracts)
    if is_option and ask.type == "market" and not session.is_open(now):
        raise unprocessable("options market orders are only allowed during market hours")


def find_intents(ask: OrderAsk, book: Book) -> tuple[str, ...]:
    """Opening or closing, from what is held; a mismatch with what was said is refused."""
    found = []
    for leg in ask.legs:
        held = book.qty(leg.symbol)
        closes = held < 0 if leg.side == "buy" else held > 0
        inferred = f"{leg.side}_to_{'close' if closes else 'open'}"
        if leg.intent is not None and leg.intent != inferred:
            raise unprocessable(
                f"position intent mismatch, inferred: {inferred}, specified: {leg.intent}"
            )
        found.append(inferred)
    return tuple(found)


def check_cutoff(
    contracts: Contracts, intents: tuple[str, ...], session: Session, now: int
) -> None:
    """Nothing opens in a contract's last minutes."""
    for contract, intent in zip(contracts, intents, strict=True):
        if contract is None or contract.last_day != session.day or not intent.endswith("open"):
            continue
        broad = contract.underlying in BROAD_ETFS
        minutes = CUTOFF_MINUTES_BROAD if broad else CUTOFF_MINUTES
        if now >= session.close - minutes * MINUTE:
            text = f'contract "{contract.symbol}" expires soon, unable to open new positions'
            raise unprocessable(text)
