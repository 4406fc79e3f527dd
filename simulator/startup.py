"""What keeps the simulator from starting, said in one line that names the remedy."""

from datetime import date

from simulator.sessions import Sessions


class StartupError(Exception):
    """The message is the line."""


def parse_day(text: str) -> date:
    """A trading day from text."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise StartupError(f"{text!r} is not a day; write it as 2026-11-20") from None
    if not date(1995, 1, 1) <= day <= date(2035, 12, 31):
        raise StartupError(f"{day} is outside the calendar; give a day from 1995 to 2035")
    return day


def check_trading_day(day: date, sessions: Sessions) -> None:
    if sessions.on(day) is None:
        earlier = sessions.before(day).day
        raise StartupError(f"{day} is not a trading day; the one before it is {earlier}")
