"""Report: what a cycle did, and at the end of the day what tonight's assignments may bring."""

from base64 import b64encode
from datetime import timedelta
from decimal import Decimal

import pandas as pd
from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

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
from tasks.context import broker, step, transaction


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
    """Store and publish which short legs may become shares tonight, and mark the day's profit."""
    with step(cycle, Step.ASSIGNMENT_REPORT) as this:
        with transaction(cycle) as connection:
            held = books.read_positions(connection, cycle.account_id)
            money = books.read_money(connection, cycle)
        shorts = [p for p in held if is_option(p.symbol) and p.quantity < 0]
        risks = assignment_risks(shorts, _spots(shorts), _mids(shorts), cycle.slot)
        day = calendar.trading_day(cycle.slot)
        with transaction(cycle) as connection:
            books.replace_assignment_risks(connection, cycle, risks)
            opening = books.opening_equity(
                connection, cycle.account_id, calendar.open_of(cycle.slot)
            )
            if money is not None and opening is not None:
                cycles.mark_day(connection, cycle, day, opening, money[0])
            # The day's cycles, this one the last of them; later days have no part in a late report.
            since, until = calendar.open_of(cycle.slot), cycle.slot + timedelta(seconds=1)
            ids = reports.cycles_between(connection, cycle.account_id, since, until)
            summary = reports.summarize(connection, cycle.account_id, ids, day)
        this.row_count = len(risks)
        create_markdown_artifact(
            key="assignment-report", markdown=assignment_markdown(summary), description=str(day)
        )


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


def assignment_markdown(summary: Summary) -> str:
    """The assignment report: what has happened today, and every short leg, the likeliest to be
    assigned tonight first."""
    lines = [
        f"# Assignment report, {summary.day}",
        "",
        f"Cash **{_usd(summary.cash_usd)}**, equity **{_usd(summary.equity_usd)}**, "
        f"today **{_usd(summary.profit_usd)}**.",
        "",
        *_events(summary),
        "## Tonight",
        "",
    ]
    if not summary.assignment:
        return "\n".join([*lines, "No short contract is held: nothing can be assigned."])
    lines += [
        "| short contract | qty | days left | in the money | extrinsic | tonight | shares | cash |",
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
        "## Today",
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
