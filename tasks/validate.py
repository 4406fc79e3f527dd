"""Validate risk: a verdict of every check for every entry, and intents for what passes."""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal

from prefect import task
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection

from db import books, candidates, halts, intents, planning, snapshots, structures
from db.intents import MINUTE
from domain import risk
from domain.candidates import Candidate, loss_usd_one
from domain.contracts import is_option, parse_symbol
from domain.cycle import Cycle, Step
from domain.execution import on_tick
from domain.orders import (
    LIVE,
    SHARES_PER_CONTRACT,
    UNSETTLED,
    IntentState,
    OrderIntent,
    Purpose,
    client_order_id,
    lowest_terms,
)
from domain.records import Position
from tasks.config import config
from tasks.context import log, step, transaction
from tasks.orders import give_up, read_holdings


@task(cache_policy=NO_CACHE)
def validate(cycle: Cycle) -> None:
    """Judge the accepted candidates one after the other against a book that holds those before,
    and plan what passes, all in one transaction: what is judged is what is stored."""
    with step(cycle, Step.VALIDATE) as this, transaction(cycle) as connection:
        if candidates.has_intents(connection, cycle):
            this.note = "decided before"
            return
        for stale in intents.read_planned(connection, cycle):  # none of this cycle's yet
            why = "its slot passed before it was sent"
            give_up(connection, stale, IntentState.NOT_SENT, why, this.now)
        book = _book(connection, cycle, this.now)
        alive = {s.id: s for s in structures.read_structures(connection, cycle.account_id)}
        holdings = read_holdings(connection, cycle.account_id, list(alive.values()))
        openings = structures.read_openings(connection, alive)
        mids = snapshots.read_mids(connection, cycle)
        planned = 0
        for candidate_id, candidate in candidates.read_accepted(connection, cycle):
            structure = alive.get(candidate.structure_id or 0)
            held = holdings.closable(structure, candidate.legs) if structure is not None else 0
            opening = openings.get(candidate.structure_id or 0)
            intent = _intent(cycle, candidate, opening, held, book)
            greeks = snapshots.read_greeks(connection, cycle, [leg.symbol for leg in intent.legs])
            added = risk.intent_exposure(intent, greeks)
            verdicts = risk.verdicts(intent, book, config().limits, added, mids)
            candidates.save_verdicts(connection, candidate_id, verdicts)
            this.row_count += len(verdicts)
            denied = [verdict.check for verdict in verdicts if not verdict.passed]
            if denied:
                log.info("denied", candidate=candidate_id, checks=[str(check) for check in denied])
                continue
            origin = (candidate_id, candidate.structure_id)
            planned += planning.plan_intent(connection, cycle, intent, origin, this.now)
            if intent.purpose is Purpose.OPEN:
                book = book.with_intent(intent, added)
        this.note = f"{planned} planned"


def _intent(
    cycle: Cycle, candidate: Candidate, opening: str | None, held: int, book: risk.Book
) -> OrderIntent:
    """The order that a candidate becomes: entries as large as the limits allow, exits whole.

    opening  the first order that opened what an exit closes; None for an entry
    held     units that an exit may close
    """
    if (opening is None) != (candidate.purpose is Purpose.OPEN):
        raise ValueError(f"an exit of structure {candidate.structure_id}, which nothing opened")
    if candidate.price_natural is None:
        raise ValueError(f"an accepted {candidate.strategy} of {candidate.underlying} has no price")
    limit = on_tick(candidate.legs, candidate.price_natural)
    if candidate.purpose is Purpose.CLOSE:
        quantity, loss = held, Decimal(0)
    else:
        one = loss_usd_one(candidate, limit)
        quantity = risk.largest_quantity(one, book.equity, config().limits)
        loss = one * quantity
    legs, quantity = lowest_terms(candidate.legs, quantity)
    return OrderIntent(
        client_order_id=client_order_id(
            cycle.account, candidate.strategy, cycle.slot, opening, legs
        ),
        strategy=candidate.strategy,
        underlying=candidate.underlying,
        purpose=candidate.purpose,
        legs=legs,
        quantity=quantity,
        limit_price=limit,
        loss_usd_worst=loss,
    )


def _book(connection: Connection, cycle: Cycle, moment: datetime) -> risk.Book:
    money = books.read_money(connection, cycle)
    if money is None:
        raise LookupError(f"cycle {cycle.id} has not read the account: reconcile comes first")
    equity, last_equity, buying_power = money
    account_id = cycle.account_id
    held = books.read_positions(connection, account_id)
    losses = risk.worst_losses(held, {p.symbol: _underlying(p.symbol) for p in held})
    on_the_way = intents.live_losses(connection, account_id, [IntentState.PLANNED, *LIVE])
    for underlying, loss in on_the_way.items():
        losses[underlying] = losses.get(underlying, Decimal(0)) + loss
    # The broker's buying power does not know yet of an order that it has not answered for.
    unseen = intents.live_losses(connection, account_id, [IntentState.PLANNED, *UNSETTLED])
    same_legs = timedelta(minutes=config().limits.same_legs_minutes_min)
    return risk.Book(
        is_halted=halts.standing_halt(connection, account_id) is not None,
        equity=equity,
        options_buying_power=buying_power - sum(unseen.values(), Decimal(0)),
        day_profit_usd=equity - last_equity,
        loss_usd_worst=losses,
        exposure=_exposure(connection, cycle, held),
        unsettled_orders=Counter(
            one.intent.underlying for one in intents.read_unsettled(connection, account_id)
        ),
        orders_last_minute=intents.opened_since(connection, account_id, moment - MINUTE),
        recent_packages=intents.recent_packages(connection, account_id, moment - same_legs),
    )


def _exposure(connection: Connection, cycle: Cycle, held: list[Position]) -> risk.Exposure:
    """What is held and what is on its way, as if all of that had filled. A share that is not
    watched counts at the broker's own mark; without one it is unknown."""
    live = intents.read_live(connection, cycle.account_id)
    symbols = {p.symbol for p in held} | {leg.symbol for one in live for leg in one.intent.legs}
    greeks = snapshots.read_greeks(connection, cycle, symbols)
    taken = snapshots.read_snapshots(connection, cycle)
    watched = {each.underlying: each.spot for each in taken}
    marks = {p.symbol: p.current_price for p in held if not is_option(p.symbol)}
    for symbol, spot in {**marks, **watched}.items():
        if spot:
            greeks[symbol] = risk.Greek(spot=float(spot), delta=1.0, gamma=0.0, theta=0.0)
    total = risk.Exposure()
    for position in held:
        shares = float(position.quantity) * (
            SHARES_PER_CONTRACT if is_option(position.symbol) else 1
        )
        total += risk.exposure(greeks.get(position.symbol), shares)
    for one in live:
        if one.intent.purpose is Purpose.OPEN:
            total += risk.intent_exposure(one.intent, greeks)
    return total


def _underlying(symbol: str) -> str:
    return parse_symbol(symbol).root.rstrip("0123456789") if is_option(symbol) else symbol
