"""Price, implied volatility and Greeks of American and European options, by columns of contracts.

terms      what is asked and answered, with units and bounds
"""

from domain.pricing.columns import greeks, implied_volatility, price, price_bounds, solve
from domain.pricing.terms import (
    DAYS_PER_YEAR,
    VOL_MAX,
    VOL_MIN,
    Dividends,
    Flags,
    Floats,
    Greeks,
    Terms,
)

__all__ = [
    "DAYS_PER_YEAR",
    "VOL_MAX",
    "VOL_MIN",
    "Dividends",
    "Flags",
    "Floats",
    "Greeks",
    "Terms",
    "greeks",
    "implied_volatility",
    "price",
    "price_bounds",
    "solve",
]
