"""The figures as tables for people."""

from collections.abc import Sequence

from rich.table import Table

from bench.pricing.errors import BARS, Errors
from bench.pricing.speed import Size, Speed

_UNITS = {"gamma": "gamma x spot", "theta": "theta a day"}


def speed_table(title: str, speed: Speed) -> Table:
    table = Table("", "contracts/s", "ours / peer", "sample", "worst IV error", title=title)
    _right(table)
    ours = f"{speed.per_second:,.0f}"
    table.add_row("strikeflow solve", ours, "", f"{speed.count:,}", f"{speed.vol_error:.0e}")
    for peer in speed.peers:
        rate, sample = f"{peer.per_second:,.0f}", f"{peer.sample:,}"
        table.add_row(peer.name, rate, f"{peer.ratio:.2f}", sample, f"{peer.vol_error:.0e}")
    return table


def growth_table(sizes: Sequence[Size]) -> Table:
    table = Table("contracts", "seconds", "ns each", title="American, by number of contracts")
    _right(table)
    for size in sizes:
        each = f"{size.nanoseconds_each:,.0f}"
        table.add_row(f"{size.count:,}", f"{size.seconds:.3f}", each)
    return table


def errors_table(found: Errors) -> Table:
    names = [_UNITS.get(name, name) for name in BARS]
    title = "Worst difference to QuantLib's high precision, American"
    table = Table("region", "contracts", *names, title=title)
    _right(table)
    for region in found.regions:
        cells = [_cell(region.worst[name], bar) for name, bar in BARS.items()]
        table.add_row(region.name, f"{region.count:,}", *cells)
    table.add_section()
    table.add_row("bar", "", *(f"{bar:.0e}" for bar in BARS.values()))
    left_out = [sum(region.left_out[name] for region in found.regions) for name in BARS]
    table.add_row("left out", "", *(f"{count:,}" for count in left_out))
    return table


def _cell(worst: float, bar: float) -> str:
    return f"{worst:.0e}" if worst <= bar else f"[bold red]{worst:.0e}[/]"


def _right(table: Table) -> None:
    for column in table.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
