"""A summary as a trader reads it in ten seconds, and as one JSON line."""

import json
from dataclasses import asdict
from datetime import date
from decimal import Decimal

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain.contracts import is_option, parse_symbol
from domain.orders import Leg, Side
from domain.summary import Event, Summary


def as_json(summary: Summary, extra: dict[str, object]) -> str:
    """One line; amounts as strings, so that no digit is lost."""
    return json.dumps({**asdict(summary), **extra}, default=_plain, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, Decimal | date):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into JSON")


def usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}".replace("$-", "-$")


def counts(found: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in found.items()) or "none"


def print_summary(console: Console, summary: Summary, title: str, footer: str) -> None:
    """The day on one screen."""
    numbers = Table.grid(padding=(0, 2))
    numbers.add_column(style="bold", no_wrap=True)
    numbers.add_column()
    for name, text in _lines(summary):
        numbers.add_row(name, text)
    parts: list[object] = [numbers]
    if summary.structures:
        parts += ["", _structures(summary)]
    if summary.assignment:
        parts += ["", _assignment(summary)]
    parts += ["", Text(footer)]
    console.print(Panel(Group(*parts), title=title, expand=False))  # type: ignore[arg-type]  # renderables


def _lines(summary: Summary) -> list[tuple[str, str]]:
    skips = f" ({'; '.join(summary.skips)})" if summary.skips else ""
    held = sum(1 for symbol, _, _ in summary.positions if is_option(symbol))
    return [
        ("cycles", counts(summary.cycles) + skips),
        ("contracts", f"{summary.contracts:,} read, {summary.priced:,} priced"),
        ("unpriced", counts(summary.flags)),
        ("candidates", f"{summary.candidates:,} looked at, {summary.accepted:,} accepted"),
        ("turned down", counts(summary.turned_down)),
        ("risk denials", counts(summary.denials)),
        ("orders", f"{summary.orders:,} ({counts(summary.intents)}), {summary.fills:,} fills"),
        ("positions", f"{held} contracts, {len(summary.positions) - held} stocks"),
        ("cash", f"{usd(summary.cash_usd)}, equity {usd(summary.equity_usd)}"),
        ("P&L today", usd(summary.profit_usd)),
        ("assignment", _likelihoods(summary)),
        *([("events", ", ".join(_event(e) for e in summary.events))] if summary.events else []),
    ]


def _event(event: Event) -> str:
    return f"{event.activity_type} {event.quantity or 0:+,f} {event.symbol or ''}".strip()


def _likelihoods(summary: Summary) -> str:
    if not summary.assignment:
        return "no short contract is held"
    found: dict[str, int] = {}
    for risk in summary.assignment:
        found[risk.likelihood] = found.get(risk.likelihood, 0) + 1
    return f"tonight: {counts(found)}"


def _structures(summary: Summary) -> Table:
    table = Table("structure", "state", "units", "entry", "exit", "legs", box=None)
    for s in summary.structures:
        realized = "" if s.realized_usd is None else f" {usd(s.realized_usd)}"
        table.add_row(
            f"{s.underlying} {s.strategy.replace('_', ' ')}",
            s.state,
            str(s.quantity),
            _price(s.entry_price),
            _price(s.exit_price) + realized,
            "\n".join(_legs(s.legs)),
        )
    return table


def _legs(legs: tuple[Leg, ...]) -> list[str]:
    """An expiration a line: `24 Dec 26  +200P -212.5P -247.5C +252.5C`."""
    lines: dict[date, str] = {}
    for leg in legs:
        contract = parse_symbol(leg.symbol)
        ratio = "" if leg.ratio == 1 else f"{leg.ratio}x"
        sign = "+" if leg.side is Side.BUY else "-"
        text = f" {sign}{ratio}{contract.strike.normalize():f}{contract.right}"
        lines.setdefault(contract.expiration, f"{contract.expiration:%d %b %y} ")
        lines[contract.expiration] += text
    return list(lines.values())


def _price(price: Decimal | None) -> str:
    if price is None:
        return ""
    return f"{abs(price):.2f} {'credit' if price < 0 else 'debit'}"


def _assignment(summary: Summary) -> Table:
    table = Table("short", "qty", "days", "in money", "extrinsic", "tonight", "brings", box=None)
    for r in summary.assignment:
        c = parse_symbol(r.symbol)
        table.add_row(
            f"{c.root} {c.expiration:%d %b} {c.strike.normalize():f}{c.right}",
            str(r.quantity),
            str(r.days_to_expiry),
            "unknown" if r.moneyness is None else f"{r.moneyness:+.1%}",
            usd(r.extrinsic),
            r.likelihood,
            f"{r.shares:+,} sh, {usd(r.cash_usd)}".replace(".00", ""),
        )
    return table
