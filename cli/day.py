"""The day that the demo plays, in a process of its own: `python -m cli.day SIMULATOR_URL`.

It steps the simulator's clock from slot to slot, and on when a task waits. The flows run as flow
runs, in a process of its own because Prefect reads its settings when it is imported and sends its
last logs when the interpreter ends. Says on stdout what it does next, one JSON line a slot.
"""

import asyncio
import json
import sys
from datetime import date, datetime, timedelta

import httpx

from cli.errors import EXIT_CANNOT_RUN, TOLD, CannotRun
from domain import calendar
from tasks.waiting import pass_time_by

#: The end of day runs this long after the close, as its schedule does.
END_OF_DAY_AFTER = timedelta(minutes=15)
#: What the simulator takes for keys.
KEYS = {"APCA-API-KEY-ID": "demo", "APCA-API-SECRET-KEY": "demo"}
CLOCK_TIMEOUT_S = 60


def play(simulator_url: str) -> None:
    """Every slot of the simulator's day as a flow run, then the end of day."""
    from flows.end_of_day import end_of_day
    from flows.trading_cycle import trading_cycle

    health = httpx.get(f"{simulator_url}/sim/health", trust_env=False).json()
    day, underlyings = date.fromisoformat(health["day"]), list(health["underlyings"])
    hours = calendar.session(day)
    if hours is None:
        raise CannotRun(f"{day} is not a trading day: choose another with --day")
    slots = calendar.slots(day)
    pass_time_by(lambda seconds: _move_clock(simulator_url, {"seconds": seconds}))
    for number, slot in enumerate(slots, start=1):
        _say(slot, f"slot {number} of {len(slots)}")
        _step_clock(simulator_url, slot)
        asyncio.run(trading_cycle(slot=slot, underlyings=underlyings))
    evening = hours.close + END_OF_DAY_AFTER
    _say(evening, "end of day")
    _step_clock(simulator_url, evening)
    asyncio.run(end_of_day(slot=evening))


def _say(moment: datetime, what: str) -> None:
    sys.stdout.write(json.dumps({"moment": moment.isoformat(), "what": what}) + "\n")
    sys.stdout.flush()


def _step_clock(simulator_url: str, moment: datetime) -> None:
    _move_clock(simulator_url, {"now": moment.isoformat()})


def _move_clock(simulator_url: str, move: dict[str, object]) -> None:
    answer = httpx.post(
        f"{simulator_url}/sim/clock",
        json=move,
        headers=KEYS,
        timeout=CLOCK_TIMEOUT_S,
        trust_env=False,
    )
    if answer.status_code != 200:
        raise CannotRun(f"the simulator's clock does not go on by {move}: {answer.text}")


if __name__ == "__main__":
    try:
        play(sys.argv[1])
    except TOLD as error:
        sys.exit(f"{error}" or EXIT_CANNOT_RUN)
