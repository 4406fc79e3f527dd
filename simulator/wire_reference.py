"""JSON of what is listed and when it trades, beside the parts in `wire`."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from simulator.filters import BadQuery
from simulator.sessions import Session, Sessions
from simulator.symbols import Contract, Deliverable, asset_id, plain
from simulator.times import new_york_day, new_york_moment, new_york_text, rfc3339_short

Json = dict[str, object]
#: The markets whose days this calendar knows, under every name they are asked for by.
MARKETS: Final[dict[str, tuple[str, str, str]]] = {
    "NYSE": ("NYSE", "New York Stock Exchange", "XNYS"),
    "XNYS": ("NYSE", "New York Stock Exchange", "XNYS"),
    "NASDAQ": ("NASDAQ", "NASDAQ", "XNAS"),
    "XNAS": ("NASDAQ", "NASDAQ", "XNAS"),
    "OPRA": ("OPRA", "Options Price Reporting Authority", "OPRA"),
}


def attributes(asset: Json) -> list[str]:
    """Of an asset as it is shown."""
    words = asset["attributes"]
    return [str(word) for word in words] if isinstance(words, list) else []


def deliverables(listed: Contract) -> list[Json]:
    """What one contract delivers."""
    whole = Deliverable(kind="equity", symbol=listed.underlying, amount=Decimal(listed.size))
    return [_deliverable(part) for part in listed.deliverables or (whole,)]


def _deliverable(part: Deliverable) -> Json:
    shown: Json = {
        "type": part.kind,
        "symbol": part.symbol,
        "amount": plain(part.amount),
        "allocation_percentage": plain(part.percent),
        "settlement_type": "T+1",
        "settlement_method": "CCC" if part.kind == "equity" else "CADF",
        "delayed_settlement": False,
    }
    if part.kind == "equity":
        shown["asset_id"] = asset_id(part.symbol)
    return shown


def market(name: str) -> Json:
    """BadQuery for one that this calendar does not know."""
    if name not in MARKETS:
        raise BadQuery(f"invalid market: {name}; there are {', '.join(MARKETS)}")
    acronym, title, mic = MARKETS[name]
    return {"acronym": acronym, "name": title, "mic": mic, "timezone": "America/New_York"}


def market_day(session: Session, sessions: Sessions, *, is_utc: bool) -> Json:
    """One trading day with its early and late hours."""

    def text(at: int) -> str:
        return rfc3339_short(at) if is_utc else new_york_text(at, nanos=False)

    early, late = _extended(session)
    following = new_york_day(sessions.next_open(session.open))
    return {
        "date": str(session.day),
        "pre_start": text(early),
        "pre_end": text(session.open),
        "core_start": text(session.open),
        "core_end": text(session.close),
        "post_start": text(session.close),
        "post_end": text(late),
        "settlement_date": str(following),
    }


def market_clock(name: str, sessions: Sessions, at: int) -> Json:
    """Where in its day a market stands, and until when."""
    session = sessions.current_or_next(at)
    today = sessions.on(new_york_day(at))
    phase, until = _phase(today, session, at)
    following = new_york_text(sessions.next_open(at), nanos=False)
    return {
        "market": market(name),
        "timestamp": new_york_text(at, nanos=False),
        "is_market_day": today is not None,
        "next_market_open": following,
        "next_market_close": new_york_text(session.close, nanos=False),
        "phase": phase,
        "phase_until": new_york_text(until, nanos=False),
    }


def _phase(today: Session | None, coming: Session, at: int) -> tuple[str, int]:
    if today is not None:
        early, late = _extended(today)
        bounds = (("closed", early), ("pre", today.open), ("core", today.close), ("post", late))
        for phase, until in bounds:
            if at < until:
                return phase, until
    return "closed", _extended(coming)[0]


def _extended(session: Session) -> tuple[int, int]:
    """Four in the morning, and four hours after the close."""
    day: date = session.day
    early = new_york_moment(day, 4, 0)
    return early, session.close + timedelta(hours=4) // timedelta(microseconds=1) * 1000
