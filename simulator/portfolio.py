"""GET /v2/account/portfolio/history: windows of time, and what the account was worth in each."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from simulator.exchange import Exchange
from simulator.filters import BadQuery, Query, choice, day, is_true, moment, words
from simulator.refusal import unprocessable
from simulator.rows import readable
from simulator.times import DAY, MINUTE, new_york_day, new_york_moment

Json = dict[str, object]
STEP_MINUTES = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, "1D": 1440}
#: What a step may span at most, in days; the two short ones also choose themselves below it.
SPAN_DAYS_MAX = {"1Min": 7, "5Min": 30, "15Min": 30, "1H": 30}
UNIT_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
REPORTING = ("market_hours", "extended_hours", "continuous")
PERIODS_MAX = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What was asked for: days of New York, and the moments that a window may begin at."""

    first: date
    last: date
    start: int
    end: int
    timeframe: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Labeled by its beginning, worth what the account was at its end."""

    start: int
    end: int
    day: date


def portfolio_history(exchange: Exchange, query: Query, _: str) -> Json:
    """Columns of equity and of profit, a row a window."""
    span = _span(exchange, query)
    resets = choice(query, "pnl_reset", ("per_day", "no_reset"), "per_day") == "per_day"
    shown = windows(exchange, span, _reporting(query))
    equity = [_equity(exchange, min(window.end, exchange.now)) for window in shown]
    base = exchange.book.cash_start
    if shown:
        base = _equity(exchange, _last_close(exchange, shown[0].day))
    bases = [base] * len(shown)
    if resets and span.timeframe != "1D":
        opened = {w.day: _equity(exchange, _last_close(exchange, w.day)) for w in shown}
        bases = [opened[window.day] for window in shown]
    profit = [worth - start for worth, start in zip(equity, bases, strict=True)]
    answer: Json = {
        "timestamp": [window.start // 10**9 for window in shown],
        "equity": [_number(worth) for worth in equity],
        "profit_loss": [_number(gain) for gain in profit],
        "profit_loss_pct": [
            float(round(gain / start, 6)) if start else 0.0
            for gain, start in zip(profit, bases, strict=True)
        ],
        "base_value": _number(base),
        "timeframe": span.timeframe,
        "cashflow": _cashflow(exchange, query, shown),
    }
    if shown:
        answer["base_value_asof"] = exchange.sessions.before(shown[0].day).day.isoformat()
    return answer


def _span(exchange: Exchange, query: Query) -> Span:
    asked = [key for key in ("start", "end", "period") if query.get(key)]
    if len(asked) == 3:
        raise unprocessable("only two of start, end and period can be given")
    end = moment(query, "end")
    date_end = day(query, "date_end")
    if end is None and date_end is not None:
        end = new_york_moment(date_end + timedelta(days=1), 0, 0) - 1
    end = exchange.now if end is None else max(0, min(end, exchange.now))
    last, start = new_york_day(end), moment(query, "start")
    if start is None:
        first = _first_day(exchange, query.get("period") or "1M", last)
        start = new_york_moment(first, 0, 0)
    start = max(0, start)
    if start > end:
        raise unprocessable("start must be before end")
    first = new_york_day(start)
    days = (last - first).days + 1
    if (query.get("period") or "").endswith("D"):
        days = len(exchange.sessions.between(first, last))
    return Span(first=first, last=last, start=start, end=end, timeframe=_timeframe(query, days))


def _first_day(exchange: Exchange, period: str, last: date) -> date:
    """Days count sessions, the running one included; longer units count the calendar."""
    found = re.fullmatch(r"([0-9]{1,4})([DWMA])", period)
    if found is None or not 1 <= int(found[1]) * UNIT_DAYS[found[2]] <= PERIODS_MAX * 365:
        raise BadQuery(f"invalid period: {period}")
    count, unit = int(found[1]), found[2]
    if unit != "D":
        return max(last - timedelta(days=count * UNIT_DAYS[unit] - 1), date(1971, 1, 1))
    known = exchange.sessions.between(exchange.sessions.all[0].day, last)
    return known[-min(count, len(known))].day if known else last


def _timeframe(query: Query, days: int) -> str:
    chosen = "1Min" if days < 7 else "15Min" if days < 30 else "1D"
    asked = choice(query, "timeframe", tuple(STEP_MINUTES), chosen)
    most = SPAN_DAYS_MAX.get(asked)
    if most is not None and days > most + 1:
        raise unprocessable(f"timeframe {asked} is for {most} days at most")
    return asked


def _reporting(query: Query) -> str:
    default = "extended_hours" if is_true(query, "extended_hours") else "market_hours"
    return choice(query, "intraday_reporting", REPORTING, default)


def windows(exchange: Exchange, span: Span, reporting: str) -> list[Window]:
    """Those that have begun, and that the account has lived in."""
    born = exchange.created_at
    if span.timeframe == "1D":
        made = [
            Window(start=new_york_moment(s.day, 0, 0), end=s.close, day=s.day)
            for s in exchange.sessions.between(span.first, span.last)
            if s.open <= span.end
        ]
        return [window for window in made if window.end > born]
    step = STEP_MINUTES[span.timeframe] * MINUTE
    return [
        Window(start=at, end=at + step, day=day)
        for day, low, high in _hours(exchange, span, reporting)
        for at in range(low, high, step)
        if span.start <= at <= span.end and at + step > born
    ]


def _hours(exchange: Exchange, span: Span, reporting: str) -> list[tuple[date, int, int]]:
    if reporting == "continuous":
        days = [span.first + timedelta(days=k) for k in range((span.last - span.first).days + 1)]
        midnights = [new_york_moment(day, 0, 0) for day in days]
        ends = [*midnights[1:], midnights[-1] + DAY]
        return list(zip(days, midnights, ends, strict=True))
    sessions = exchange.sessions.between(span.first, span.last)
    if reporting == "market_hours":
        return [(s.day, s.open, s.close) for s in sessions]
    return [(s.day, new_york_moment(s.day, 4, 0), s.close + 240 * MINUTE) for s in sessions]


def _equity(exchange: Exchange, at: int) -> Decimal:
    """Before anything was noted the account had its first cash."""
    if at >= exchange.now:
        return exchange.figures().equity
    found = exchange.history.at_moment(at)
    return exchange.book.cash_start if found is None else found


def _last_close(exchange: Exchange, day: date) -> int:
    return exchange.sessions.before(day).close


def _cashflow(exchange: Exchange, query: Query, shown: list[Window]) -> dict[str, list[float]]:
    """USD by type and window, of the asked types; ALL: of every type that moved cash."""
    kinds = set(words(query, "cashflow_types")) - {"NONE"}
    if not kinds or not shown:
        return {}
    ends = [window.end for window in shown]
    found: dict[str, list[Decimal]] = {
        kind: [Decimal(0)] * len(shown) for kind in sorted(kinds - {"ALL"})
    }
    for row in readable(exchange.book.activities, exchange.now):
        place = bisect_right(ends, row.at)
        asked = row.kind in kinds or ("ALL" in kinds and row.kind != "FILL")
        if asked and row.net_usd and shown[0].start <= row.at and place < len(ends):
            found.setdefault(row.kind, [Decimal(0)] * len(shown))[place] += row.net_usd
    return {kind: [_number(amount) for amount in column] for kind, column in found.items()}


def _number(amount: Decimal) -> float:
    return float(round(amount, 2))
