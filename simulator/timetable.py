"""What happens when on a trading day, besides orders: moments that the clock may not jump over."""

from dataclasses import replace
from enum import StrEnum

from simulator.sessions import Session, Sessions
from simulator.switches import Switches
from simulator.times import MINUTE, new_york_moment

SELL_OUT_MINUTES = 30  # before the close
SELL_OUT_MINUTES_BROAD = 15


class Event(StrEnum):
    OPEN = "open"
    SELL_OUT = "sell_out"
    SELL_OUT_BROAD = "sell_out_broad"  # SPY, QQQ, IWM
    CLOSE = "close"
    NIGHT = "night"  # the run that moves contracts, shares and cash


def for_cutoffs(session: Session, switches: Switches) -> Session:
    """The session with the close that the last minutes are counted from."""
    if switches.cutoffs_follow_close:
        return session
    return replace(session, close=new_york_moment(session.day, 16, 0))


def moments(session: Session, switches: Switches) -> list[tuple[int, Event]]:
    """In order; what would come at or after the close, and belongs before it, is left out."""
    close = for_cutoffs(session, switches).close
    selling = [
        (close - SELL_OUT_MINUTES * MINUTE, Event.SELL_OUT),
        (close - SELL_OUT_MINUTES_BROAD * MINUTE, Event.SELL_OUT_BROAD),
    ]
    return [
        (session.open, Event.OPEN),
        *((at, event) for at, event in selling if at < session.close),
        (session.close, Event.CLOSE),
        (session.close + switches.settle_minutes * MINUTE, Event.NIGHT),
    ]


def next_after(now: int, sessions: Sessions, switches: Switches) -> int:
    """The first moment after `now`."""
    near = (sessions.started(now), sessions.current_or_next(now))
    return min(at for session in near for at, _ in moments(session, switches) if at > now)


def events_at(at: int, session: Session, switches: Switches) -> list[Event]:
    """What happens at exactly this moment of a session that has opened, in order."""
    return [event for moment, event in moments(session, switches) if moment == at]
