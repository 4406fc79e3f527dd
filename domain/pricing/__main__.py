"""`python -m domain.pricing` compiles every kernel ahead, so that nobody waits for it later."""

import numpy as np

from domain import pricing
from domain.pricing.dividends import DividendModel
from domain.pricing.dividends import price as price_on_cash


def compile_all() -> None:
    """Ask a contract of each kind everything."""
    one = np.ones(4)
    for american, schedule in (
        (one < 0, pricing.Dividends()),
        (one > 0, pricing.Dividends()),
        (one > 0, pricing.Dividends(years=(0.5,), amounts=(1.0,))),
    ):
        terms = pricing.Terms(
            spot=100 * one,
            strike=np.array([90.0, 110, 90, 110]),
            years=one,
            rate=0.05 * one,
            carry=0.02 * one,
            sign=np.array([1.0, 1, -1, -1]),
            american=american,
            dividends=schedule,
        )
        pricing.solve(terms, pricing.price(terms, 0.2 * one))
    price_on_cash(terms, 0.2 * one, DividendModel.ESCROWED)


if __name__ == "__main__":
    compile_all()
