"""The volatility surface of a priced chain as a picture: an SVG of text alone, which needs no
program to draw it and no network to show it. Greys and hues are readable on light and on dark.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from html import escape

import numpy as np
import pandas as pd

from domain.pricing import Floats

#: From the nearest expiration to the farthest: each clear on white and on black.
HUES = ("#e0702a", "#c29200", "#6c9f24", "#1f9e6e", "#1d9bb2", "#4a86e8", "#8b6fe8", "#c455c4")
#: Beyond these log-moneynesses a smile is a wing of ticks.
MONEYNESS_MAX = 0.5
#: Contracts worth less, by delta, are not drawn: a tick of theirs is many points of volatility.
DELTA_MIN = 0.02
GREY, FAINT = "#808080", "#80808040"
WIDTH, HEIGHT, TOP, BOTTOM = 940, 360, 56, 310
DAYS = (0.1, 0.25, 1, 3, 7, 14, 30, 60, 90, 180, 365, 730, 1095)


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Numbers from `low` to `high` on pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def surface_svg(priced: pd.DataFrame, title: str) -> str:
    """The smile of up to eight expirations beside the term structure at the money.

    priced  a chain with GREEKS; rows with a flag and options in the money are not drawn
    title   plain text, such as the underlying and the moment

    Implied volatility in per cent a year, of the mid. Left: against the natural logarithm of
    strike over forward. Right: at the forward, against calendar days to expiry, on a log scale.
    """
    smiles = _smiles(priced)
    parts = [_text(16, 24, title, size=15, anchor="start", weight="bold")]
    if not smiles:
        parts.append(_text(WIDTH / 2, HEIGHT / 2, "no quote of this chain has a volatility"))
        return _svg(parts)
    chosen = np.unique(np.linspace(0, len(smiles) - 1, len(HUES)).round().astype(int))
    drawn = [smiles[k] for k in chosen]
    hues = {smile.expiration: hue for smile, hue in zip(drawn, HUES, strict=False)}
    parts += _smile_panel(drawn, hues)
    parts += _term_panel(smiles, hues)
    parts += _legend(drawn, hues)
    return _svg(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Smile:
    """One expiration's options out of the money, by ascending moneyness."""

    expiration: date
    days: float
    moneyness: Floats  # log of strike over forward
    vol: Floats  # per cent a year

    @property
    def at_the_money(self) -> float:
        """Between the strikes on either side of the forward; NaN when one side has none."""
        return float(np.interp(0.0, self.moneyness, self.vol, left=np.nan, right=np.nan))


def _smiles(priced: pd.DataFrame) -> list[_Smile]:
    """The nearest expiration first; one with fewer than three points is left out."""
    moneyness = np.log(priced["strike"] / priced["forward"])
    away = moneyness * np.where(priced["right"] == "C", 1, -1)
    is_drawn = priced["flag"].isna() & (away >= 0) & (np.abs(moneyness) <= MONEYNESS_MAX)
    is_drawn &= priced["delta"].abs() >= DELTA_MIN
    shown = priced[is_drawn].assign(moneyness=moneyness, vol=priced["iv"] * 100)
    return [
        _Smile(
            expiration=group["expiration"].iloc[0],
            days=float(group["years"].iloc[0]) * 365,
            moneyness=group["moneyness"].to_numpy(),
            vol=group["vol"].to_numpy(),
        )
        for _, group in shown.sort_values("moneyness").groupby("years")
        if len(group) >= 3
    ]


def _smile_panel(smiles: list[_Smile], hues: dict[date, str]) -> list[str]:
    vols = np.concatenate([smile.vol for smile in smiles])
    away = np.concatenate([smile.moneyness for smile in smiles]) * 100
    x = Axis(low=float(away.min()), high=float(away.max()), start=64, end=474)
    y = _vol_axis(vols)
    parts = _frame(x, y, "Strike against forward, ln(K / F), %", "Implied volatility, % a year")
    parts += [_tick(x, at, f"{at:g}") for at in _steps(x.low, x.high, 7)]
    for smile in smiles:
        points = zip(smile.moneyness * 100, smile.vol, strict=True)
        parts.append(_line(((x.at(k), y.at(v)) for k, v in points), hues[smile.expiration]))
    return parts


def _term_panel(smiles: list[_Smile], hues: dict[date, str]) -> list[str]:
    known = [smile for smile in smiles if smile.at_the_money == smile.at_the_money]
    if not known:
        return []
    days = np.log([smile.days for smile in known])
    x = Axis(low=float(days.min()) - 0.3, high=float(days.max()) + 0.3, start=544, end=784)
    y = _vol_axis(np.array([smile.at_the_money for smile in known]))
    parts = _frame(x, y, "Days to expiry", "At the money, % a year")
    last = -np.inf
    for day in DAYS:  # those that stand clear of the one before
        at = float(np.log(day))
        if x.low <= at <= x.high and x.at(at) - last >= 26:
            parts.append(_tick(x, at, f"{day:g}"))
            last = x.at(at)
    spots = [(x.at(float(np.log(s.days))), y.at(s.at_the_money), s) for s in known]
    parts.append(_line(((at, height) for at, height, _ in spots), GREY))
    parts += [
        f'<circle cx="{at}" cy="{height}" r="3.5" fill="{hues.get(s.expiration, GREY)}"/>'
        for at, height, s in spots
    ]
    return parts


def _legend(smiles: list[_Smile], hues: dict[date, str]) -> list[str]:
    parts = []
    for row, smile in enumerate(smiles):
        y = TOP + 14 + row * 22
        parts.append(_line([(808, y - 4), (828, y - 4)], hues[smile.expiration]))
        left = f"{smile.days:.0f} d" if smile.days >= 1 else f"{smile.days * 24:.1f} h"
        parts.append(_text(834, y, f"{smile.expiration:%d %b %y}, {left}", anchor="start"))
    return parts


def _vol_axis(vols: Floats) -> Axis:
    room = max(float(np.ptp(vols)) * 0.06, 0.5)
    low = max(float(vols.min()) - room, 0.0)
    return Axis(low=low, high=float(vols.max()) + room, start=BOTTOM, end=TOP)


def _frame(x: Axis, y: Axis, across: str, upwards: str) -> list[str]:
    parts = [_text((x.start + x.end) / 2, BOTTOM + 38, across)]
    parts.append(_text(x.start - 40, TOP - 12, upwards, anchor="start"))
    for at in _steps(y.low, y.high, 6):
        parts.append(_line([(x.start, y.at(at)), (x.end, y.at(at))], FAINT, 1))
        parts.append(_text(x.start - 6, y.at(at) + 4, f"{at:g}", anchor="end"))
    return [*parts, _line([(x.start, BOTTOM), (x.end, BOTTOM)], GREY, 1)]


def _tick(x: Axis, at: float, words: str) -> str:
    mark = _line([(x.at(at), BOTTOM), (x.at(at), BOTTOM + 4)], GREY, 1)
    return mark + _text(x.at(at), BOTTOM + 18, words)


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` of them and one more."""
    raw = (high - low) / most
    size = 10 ** np.floor(np.log10(raw))
    step = float(next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= raw))
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(k * step, 6) for k in range(first, last + 1)]


def _line(points: Iterable[tuple[float, float]], colour: str, width: float = 2) -> str:
    listed = " ".join(f"{across:g},{height:g}" for across, height in points)
    return (
        f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="{width}" '
        'stroke-linejoin="round"/>'
    )


def _text(
    x: float, y: float, words: str, *, size: int = 13, anchor: str = "middle", weight: str = ""
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}"{bold} '
        f'fill="{GREY}">{escape(words)}</text>'
    )


def _svg(parts: list[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">' + "".join(parts) + "</svg>"
    )
