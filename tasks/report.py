"""Report: what a cycle did, and at the end of the day what tonight's assignments may bring."""

from base64 import b64encode
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from sqlalchemy import Connection

from broker.parse import parse_money
from db import books, cycles, reports, snapshots
from domain import calendar
from domain.contracts import is_option, parse_symbol
from domain.cycle import Cycle, Step
from domain.greeks import forward_columns
from domain.picture import surface_svg
from domain.records import Position
from domain.report import assignment_risks
from domain.summary import Summary
from tasks.context import StepNote, broker, step, transaction


@task(cache_policy=NO_CACHE)
def report(cycle: Cycle) -> None:
    """Publish the cycle's summary, its candidates, traded or not, and what the chains it read say
    of volatility, as artifacts."""
    with step(cycle, Step.REPORT) as this:
        with transaction(cycle) as connection:
            summary = reports.summarize(connection, cycle.account_id, [cycle.id], None)
            table = reports.candidate_table(connection, cycle)
            chains = {
                taken.underlying: snapshots.read_priced(connection, taken)
                for taken in snapshots.read_snapshots(connection, cycle)
            }
        this.row_count = len(table)
        publish(cycle, summary, table)
        slot = _slot_words(cycle)
        create_markdown_artifact(
            key="volatility-surface", markdown=surface_markdown(slot, chains), description=slot
        )


@task(cache_policy=NO_CACHE)
def assignment_report(cycle: Cycle) -> None:
    """Store and publish which short legs may become shares in the night to come, and mark the day's
    profit. Both are of a moment: a report that is late says of which."""
    with step(cycle, Step.ASSIGNMENT_REPORT) as this:
        with transaction(cycle) as connection:
            held = books.read_positions(connection, cycle.account_id)
        shorts = [p for p in held if is_option(p.symbol) and p.quantity < 0]
        risks = assignment_risks(shorts, _spots(shorts), _mids(shorts), this.now)
        day = calendar.trading_day(cycle.slot)
        with transaction(cycle) as connection:
            books.replace_assignment_risks(connection, cycle, risks)
            marked = _mark_day(connection, cycle, this)
            # The day's cycles, this one the last of them; later days have no part in a late report.
            since, until = calendar.open_of(cycle.slot), cycle.slot + timedelta(seconds=1)
            ids = reports.cycles_between(connection, cycle.account_id, since, until)
            summary = reports.summarize(connection, cycle.account_id, ids, day)
        if marked is None:
            summary = replace(summary, profit_usd=None)
        else:
            opening, closing = marked
            summary = replace(summary, equity_usd=closing, profit_usd=closing - opening)
        this.row_count = len(risks)
        markdown = assignment_markdown(summary, this.now)
        create_markdown_artifact(key="assignment-report", markdown=markdown, description=str(day))


def _mark_day(
    connection: Connection, cycle: Cycle, this: StepNote
) -> tuple[Decimal, Decimal] | None:
    """Write the profit of the cycle's day; the equity it opened and closed with. None, and a word
    in the step's note, when one is not known: what is there on a later day is not the day's."""
    day = calendar.trading_day(cycle.slot)
    hours, following = calendar.session(day), calendar.next_session(day)
    assert hours is not None  # no other day is opened
    account_id = cycle.account_id
    opening = books.opening_equity(connection, account_id, hours.open, hours.close)
    closing = None
    if this.now >= following.open:
        closing = books.opening_equity(connection, account_id, following.open, following.close)
        this.note = "late: the day closed with what the broker kept of its close"
    if closing is None:
        last = books.equity_mark(connection, account_id, hours.open, following.open)
        if last is not None and this.now >= following.open:
            this.note = f"late: the day closed with the equity read last, {last[1]:%Y-%m-%d %H:%M}Z"
        closing = None if last is None else last[0]
    if opening is None or closing is None:
        missing = "opened" if opening is None else "closed"
        this.note = f"{day} is not marked: nobody read on that day what it {missing} with"
        return None
    cycles.mark_day(connection, cycle, day, opening, closing)
    return opening, closing


def _spots(shorts: list[Position]) -> dict[str, Decimal]:
    stocks = sorted({parse_symbol(p.symbol).root.rstrip("0123456789") for p in shorts})
    return {name: spot for name, spot in broker().spots(stocks).items() if spot is not None}


def _mids(shorts: list[Position]) -> dict[str, Decimal]:
    """Mid of each short's two-sided quote; one without is missing."""
    mids = {}
    for symbol, snapshot in broker().snapshots([p.symbol for p in shorts]).items():
        quote = snapshot.get("latestQuote")
        if isinstance(quote, dict):
            bid, ask = parse_money(quote.get("bp") or 0), parse_money(quote.get("ap") or 0)
            if 0 < bid <= ask:
                mids[symbol] = (bid + ask) / 2
    return mids


def publish(cycle: Cycle, summary: Summary, table: list[dict[str, str]]) -> None:
    """The cycle's artifacts; stable keys, so that the UI keeps the versions together."""
    slot = _slot_words(cycle)
    create_markdown_artifact(
        key="cycle-summary", markdown=cycle_markdown(slot, summary), description=slot
    )
    create_table_artifact(key="candidates", table=table, description=f"Candidates of {slot}")


def _slot_words(cycle: Cycle) -> str:
    return f"{cycle.slot.astimezone(calendar.NEW_YORK):%Y-%m-%d %H:%M} New York"


def surface_markdown(slot: str, chains: dict[str, pd.DataFrame]) -> str:
    """The volatility surface of each underlying as a picture, and under it where its forwards come
    from and how far the broker's numbers lie from ours."""
    parts = [f"# Volatility surface {slot}"]
    for underlying, priced in chains.items():
        picture = surface_svg(priced, f"{underlying}, {slot}")
        address = f"data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}"
        parts += [f"![volatility surface of {underlying}]({address})", *_forward_lines(priced)]
    return "\n\n".join(parts)


def _forward_lines(priced: pd.DataFrame) -> list[str]:
    head = (
        "| expiration | years | forward | from | pairs | carry | dividends | rate | yields of |\n"
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"
    )
    rows = [
        f"| {row.expiration} | {row.years:.3f} | {row.forward:,.2f} | {row.forward_source} "
        f"| {row.pairs:.0f} | {row.carry:.2%} | {row.dividends_pv:.2f} | {row.rate:.2%} "
        f"| {row.curve_day} |"
        for row in forward_columns(priced).sort_values("years").itertuples()
    ]
    gaps = priced["iv_gap"].abs().dropna() * 100
    against = (
        f"Against the broker's volatility: {len(gaps):,} contracts, half of them within "
        f"{gaps.median():.2f} points, 95 % within {gaps.quantile(0.95):.2f}."
        if len(gaps)
        else "The broker sent no volatility to compare with."
    )
    return ["\n".join([head, *rows]), against]


def cycle_markdown(slot: str, summary: Summary) -> str:
    """A cycle in a dozen lines."""
    lines = [f"# Trading cycle {slot}", "", "| step | rows | ms |", "| --- | ---: | ---: |"]
    lines += [f"| {s.step} | {s.row_count:,} | {s.duration_ms:,} |" for s in summary.steps]
    lines += [
        "",
        f"- **{summary.contracts:,}** contracts, **{summary.priced:,}** priced; "
        f"flagged: {_listed(summary.flags)}",
        f"- **{summary.candidates}** candidates, **{summary.accepted}** accepted; "
        f"turned down by {_listed(summary.turned_down)}",
        f"- risk denials: {_listed(summary.denials)}",
        f"- intents: {_listed(summary.intents)}; **{summary.fills}** fills",
        f"- cash **{_usd(summary.cash_usd)}**, equity **{_usd(summary.equity_usd)}**, "
        f"today **{_usd(summary.profit_usd)}**",
    ]
    return "\n".join(lines)


def assignment_markdown(summary: Summary, read_at: datetime) -> str:
    """The assignment report: what has happened on its day, and every short leg, the likeliest to be
    assigned first.

    read_at  when the short legs were held; on a later day than the report's it says so
    """
    at = read_at.astimezone(calendar.NEW_YORK)
    is_late = at.date() != summary.day
    lines = [
        f"# Assignment report, {summary.day}",
        "",
        f"Cash **{_usd(summary.cash_usd)}**, equity **{_usd(summary.equity_usd)}**, "
        f"{'that day' if is_late else 'today'} **{_usd(summary.profit_usd)}**.",
        "",
        *_events(summary),
        "## The night to come" if is_late else "## Tonight",
        "",
        f"Of what was held at {at:%Y-%m-%d %H:%M} New York"
        + (f"; what was held on {summary.day} is not known any more." if is_late else "."),
        "",
    ]
    if not summary.assignment:
        return "\n".join([*lines, "No short contract is held: nothing can be assigned."])
    lines += [
        "| short contract | qty | days left | in the money | extrinsic | likely | shares | cash |",
        "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |",
    ]
    lines += [
        f"| {r.symbol} | {r.quantity} | {r.days_to_expiry} | {_share(r.moneyness)} "
        f"| {_usd(r.extrinsic)} | {r.likelihood} | {r.shares:+,} | {_usd(r.cash_usd)} |"
        for r in summary.assignment
    ]
    return "\n".join(lines)


def _events(summary: Summary) -> list[str]:
    if not summary.events:
        return []
    rows = [
        f"| {e.activity_type} | {e.symbol or ''} | {e.quantity or 0:+,f} | {_usd(e.net_amount)} |"
        for e in summary.events
    ]
    return [
        "## On the day",
        "",
        "| what | symbol | qty | cash |",
        "| --- | --- | ---: | ---: |",
        *rows,
        "",
    ]


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}".replace("$-", "-$")


def _share(part: Decimal | None) -> str:
    return "unknown" if part is None else f"{part:.2%}"
