"""Compute Greeks: volatility and Greeks of every contract of the cycle's snapshots."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from db import snapshots
from domain import calendar
from domain.cycle import Cycle, Step
from domain.dividends import schedule
from domain.greeks import chain_to_greeks
from domain.rates import curve
from tasks.config import config
from tasks.context import step, transaction


@task(cache_policy=NO_CACHE)
def greeks(cycle: Cycle) -> None:
    """Price what was stored; a quote that cannot be solved gets a flag, never a zero."""
    with step(cycle, Step.GREEKS) as this:
        today = calendar.trading_day(this.now)
        rates = curve(config().rates, today)
        with transaction(cycle) as connection:
            for taken in snapshots.read_snapshots(connection, cycle):
                chain = snapshots.read_chain(connection, taken)
                spot = float("nan") if taken.spot is None else float(taken.spot)
                known = schedule(config().dividends, taken.underlying, taken.taken_at)
                priced = chain_to_greeks(chain, spot, taken.taken_at, rates, known, config().clock)
                snapshots.save_greeks(connection, taken.id, priced)
                this.row_count += int(priced["flag"].isna().sum())
        if rates.is_old(today):
            this.note = f"the newest Treasury yields are of {rates.day}: add a row to rates.csv"
