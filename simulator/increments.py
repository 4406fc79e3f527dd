"""By what steps a contract's price may go."""

from decimal import Decimal

from simulator.book import Order
from simulator.intake import OrderAsk
from simulator.refusal import unprocessable
from simulator.switches import OffIncrement, Switches
from simulator.symbols import Contract

PENNY_ETFS = frozenset({"SPY", "QQQ", "IWM"})
STEP_USD = Decimal(3)  # from here on steps are wider


def increment(contract: Contract, price: Decimal) -> Decimal:
    """USD a share."""
    if contract.underlying in PENNY_ETFS:
        return Decimal("0.01")
    low, high = ("0.01", "0.05") if contract.penny else ("0.05", "0.10")
    return Decimal(low if price < STEP_USD else high)


def is_off(contract: Contract | None, *prices: Decimal | None) -> bool:
    """Whether one of them is no multiple; shares have rules of their own."""
    if contract is None:
        return False
    return any(price % increment(contract, price) != 0 for price in prices if price is not None)


def check_increment(ask: OrderAsk, contract: Contract | None, switches: Switches) -> None:
    if switches.off_increment != OffIncrement.REFUSED or ask.is_multileg:
        return
    if is_off(contract, ask.terms.limit_price, ask.terms.stop_price):
        raise unprocessable("invalid price: not a multiple of the contract's price increment")


def is_unwanted(order: Order, switches: Switches) -> bool:
    """Whether the venue turns this order away once it gets there."""
    if switches.off_increment != OffIncrement.REJECTED or order.legs:
        return False
    return is_off(order.contract, order.limit_price, order.stop_price)
