"""`python -m simulator`: build a market and an exchange, and serve them."""

import argparse
import json
import socket
import sys
from dataclasses import asdict, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

import uvicorn

from simulator.app import create_app
from simulator.exchange import Exchange
from simulator.fault_script import BadFault, read_file
from simulator.market import Market
from simulator.pace import MAX, Pace, wall_clock
from simulator.profile import PROFILES, read_profiles
from simulator.profile_checks import check_days
from simulator.recording import find_files
from simulator.replay import open_replay
from simulator.run import run_through
from simulator.sessions import Sessions
from simulator.startup import StartupError, check_trading_day, parse_day
from simulator.switches import BadSwitch, Switches, read_switches, with_words
from simulator.synthetic import Synthetic
from simulator.times import new_york_day, new_york_moment, rfc3339

DEFAULT_DAY = date(2026, 11, 20)
#: The implementation that is not built on the deprecated part of its library.
WEBSOCKETS = "websockets-sansio"
MESSAGE_BYTES_MAX = 1_000_000


def parser() -> argparse.ArgumentParser:
    """Every option of the command line."""
    made = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    made.add_argument("--port", type=int, default=8765)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--account", default="SIM000001")
    made.add_argument("--cash", default="100000", help="USD at the start")
    made.add_argument("--seed", type=int, default=7, help="of the made-up market")
    made.add_argument("--day", action="append", help="YYYY-MM-DD; may be repeated")
    made.add_argument("--underlying", action="append", help="may be repeated")
    made.add_argument("--market", type=Path, metavar="FILE", help="made-up underlyings, TOML")
    made.add_argument("--replay", type=Path, metavar="FOLDER", help="recorded quotes")
    made.add_argument(
        "--speed",
        type=speed,
        default=0.0,
        help="times real time; 0 stands still; max jumps to the next event when the clock is read",
    )
    made.add_argument("--faults", type=Path, metavar="FILE", help="JSON or TOML, armed at once")
    made.add_argument(
        "--headless",
        type=int,
        metavar="DAYS",
        help="no server: live through the days as fast as possible and end with a line of JSON",
    )
    made.add_argument(
        "--switch", action="append", metavar="NAME=VALUE", help="a behaviour; may be repeated"
    )
    made.add_argument("--switches", type=Path, metavar="FILE.toml", help="several behaviours")
    made.add_argument("--start", choices=["now"], help="begin at the wall clock's moment")
    return made


def main(arguments: list[str] | None = None) -> int:
    """2 with one line on stderr when it cannot start."""
    options = parser().parse_args(arguments)
    try:
        exchange = build(options)
        _arm(exchange, options.faults)
        if options.headless is not None:
            return _headless(exchange, options.headless)
        listening = listen(options.host, options.port)
    except StartupError as problem:
        sys.stderr.write(f"simulator: {problem}\n")
        return 2
    app = create_app(exchange, Pace(options.speed, exchange.now))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws=WEBSOCKETS,
        ws_max_size=MESSAGE_BYTES_MAX,
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def speed(text: str) -> float:
    """ValueError for what is no speed."""
    times = MAX if text == "max" else float(text)
    if not times >= 0 or (times == MAX and text != "max"):
        raise ValueError
    return times


def _arm(exchange: Exchange, path: Path | None) -> None:
    if path is None:
        return
    try:
        for fault in read_file(path, exchange.now, exchange.market):
            exchange.faults.arm(fault)
    except BadFault as problem:
        raise StartupError(f"--faults: {problem}") from None


def _headless(exchange: Exchange, days: int) -> int:
    passed = run_through(exchange, days)
    sys.stdout.write(json.dumps({"until": rfc3339(exchange.now), **asdict(passed)}) + "\n")
    return 0


def build(options: argparse.Namespace) -> Exchange:
    """StartupError for anything that is not there or makes no sense."""
    switches = _switches(options)
    start = wall_clock() if options.start == "now" else None
    market, sessions = _replay(options) if options.replay else _synthetic(options, start)
    return Exchange(
        market,
        sessions,
        account=options.account,
        cash=_cash(options.cash),
        start=new_york_moment(market.days[0], 9, 0) if start is None else start,
        switches=switches,
    )


def _switches(options: argparse.Namespace) -> Switches:
    """Those of the file, then those of the line. The market's seed is that of chance too."""
    try:
        found = replace(Switches(), seed=options.seed)
        if options.switches is not None:
            found = read_switches(options.switches, found)
        for text in options.switch or []:
            name, equals, word = text.partition("=")
            if not equals:
                raise BadSwitch(f"--switch {text}: write it as NAME=VALUE")
            found = with_words(found, {name.strip(): word})
    except BadSwitch as problem:
        raise StartupError(str(problem)) from None
    return found


def _synthetic(options: argparse.Namespace, start: int | None) -> tuple[Market, Sessions]:
    days = [parse_day(text) for text in options.day or []]
    profiles = PROFILES if options.market is None else read_profiles(options.market)
    underlyings = list(dict.fromkeys(options.underlying or profiles))
    unknown = [name for name in underlyings if name not in profiles]
    if unknown:
        raise StartupError(
            f"the made-up market has no {unknown[0]}; choose from {', '.join(profiles)} "
            "or replay recorded quotes with --replay FOLDER"
        )
    if start is not None:
        today = new_york_day(start)
        sessions = Sessions(today, today)
        days = [sessions.current_or_next(start).day]
    else:
        days = sorted(days) or [DEFAULT_DAY]
        sessions = Sessions(days[0], days[-1])
        for day in days:
            check_trading_day(day, sessions)
    for name in underlyings:
        check_days(profiles[name], sessions, f"--market {options.market}, {name}")
    market = Synthetic(
        days[0], underlyings, options.seed, sessions, last=days[-1], profiles=profiles
    )
    return market, sessions


def _replay(options: argparse.Namespace) -> tuple[Market, Sessions]:
    if options.start is not None:
        raise StartupError("--start now is for the made-up market; leave it out of a replay")
    days = sorted({parse_day(text) for text in options.day or []})
    recorded = days or sorted({day for _, day in find_files(options.replay)})
    sessions = Sessions(recorded[0], recorded[-1])
    for day in recorded:
        check_trading_day(day, sessions)
    return open_replay(options.replay, options.underlying or [], days, sessions), sessions


def _cash(text: str) -> Decimal:
    try:
        cash = Decimal(text)
    except InvalidOperation:
        cash = Decimal("NaN")
    if not cash.is_finite() or cash < 0 or cash != round(cash, 2):
        raise StartupError(f"--cash {text} is no amount of dollars; write it as 100000")
    return cash


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; StartupError when the port is taken."""
    if not 0 <= port <= 65535:
        raise StartupError(f"--port {port} is no port; give one from 1 to 65535")
    # With the protocol named, asyncio sets TCP_NODELAY: 1 ms an answer instead of 40.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(512)
    except OSError as problem:
        listening.close()
        raise StartupError(
            f"cannot listen on {host}:{port} ({problem.strerror}); "
            "stop what uses it or give another --port"
        ) from None
    return listening


if __name__ == "__main__":
    sys.exit(main())
