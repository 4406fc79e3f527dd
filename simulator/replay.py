"""A market of recorded quotes. Nothing later than `now` is looked at."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

from simulator.corporate import Split, adjust_all
from simulator.market import Action, Adjustment, Bar, Chain, Halt
from simulator.profile import PROFILES
from simulator.recorded_tables import ANNOUNCED_DAYS, read_actions, read_closes
from simulator.recorded_trades import RecordedTrades
from simulator.recording import Recording, find_files, load
from simulator.sessions import Sessions
from simulator.startup import StartupError
from simulator.symbols import Contract, is_option_symbol
from simulator.times import MINUTE, new_york_day

CACHED_CHAINS = 8


class Replay:
    """See `market.Market` for what each question means."""

    knows_trades = True

    def __init__(
        self, recordings: Sequence[tuple[str, Recording]], folder: Path, sessions: Sessions
    ) -> None:
        self.days = tuple(sorted({recording.day for _, recording in recordings}))
        self.underlyings = tuple(sorted({name for name, _ in recordings}))
        self._sessions = sessions
        self._recordings = {
            name: sorted((r for n, r in recordings if n == name), key=lambda r: r.day)
            for name in self.underlyings
        }
        self._closes = read_closes(folder / "trading-days.csv")
        self._actions = read_actions(folder / "corporate-actions.csv")
        self._listed: dict[str, list[tuple[date, Contract]]] = {}
        for _, recording in sorted(recordings, key=lambda pair: pair[1].day):
            for contract in recording.contracts:
                self._listed.setdefault(contract.symbol, []).append((recording.day, contract))
        self._chains: dict[tuple[str, int], Chain] = {}
        days = [(name, recording.day) for name, recording in recordings]
        self._trades = RecordedTrades(folder, days)

    def listed_as(self, underlying: str) -> tuple[str, str]:
        """Recordings do not say; of some it is known all the same."""
        known = PROFILES.get(underlying)
        if known is not None:
            return known.name, known.exchange
        return f"{underlying} Common Stock", "NASDAQ"

    def contracts(self, underlying: str, now: int) -> Sequence[Contract]:
        listed = [r for r in self._recordings.get(underlying, ()) if r.day <= new_york_day(now)]
        if not listed:
            return ()
        found = {c.symbol: c for c in listed[-1].contracts}
        for recording in listed[:-1]:
            ended = (c for c in recording.contracts if c.last_day < listed[-1].day)
            found |= {c.symbol: c for c in ended}
        return [found[symbol] for symbol in sorted(found)]

    def contract(self, symbol: str, now: int) -> Contract | None:
        today = new_york_day(now)
        listed = [pair for pair in self._listed.get(symbol, ()) if pair[0] <= today]
        if not listed or self._is_gone(*listed[-1], self._sessions.started(now).day):
            return None
        return listed[-1][1]

    def _is_gone(self, seen: date, contract: Contract, started: date) -> bool:
        """A split has made another contract of it since it was last recorded."""
        return any(
            action.kind == "split"
            and action.symbol == contract.underlying
            and seen < action.ex_day <= min(started, contract.last_day)
            for action in self._actions
        )

    def chain(self, underlying: str, now: int) -> Chain | None:
        if underlying not in self._recordings:
            return None
        key = (underlying, now // MINUTE)
        if key not in self._chains:
            while len(self._chains) >= CACHED_CHAINS:
                self._chains.pop(next(iter(self._chains)))
            self._chains[key] = _chain(self._running(underlying, now), now)
        return self._chains[key]

    def chain_of(self, contract: Contract, now: int) -> Chain | None:
        found = self.chain(contract.underlying, now)
        return None if found is None else found.row_of(contract.symbol)

    def _running(self, underlying: str, now: int) -> Recording | None:
        """The last recorded day that has opened."""
        started = self._sessions.started(now).day
        opened = [r for r in self._recordings[underlying] if r.day <= started]
        return opened[-1] if opened else None

    def spot(self, underlying: str, now: int) -> tuple[int, Decimal] | None:
        for recording in reversed(self._recordings.get(underlying, [])):
            row = int(np.searchsorted(recording.spot_at, now, side="right")) - 1
            if row >= 0:
                ratio = self._split_since(underlying, recording.day, now)
                price = Decimal(str(round(float(recording.spot[row] / ratio), 4)))
                return int(recording.spot_at[row]), price
        return None

    def quoted_at(self, underlying: str, now: int) -> int:
        return now

    def moments(self, underlying: str, start: int, end: int) -> list[int]:
        found: list[int] = []
        for recording in self._recordings.get(underlying, []):
            at = recording.spot_at
            found += at[(at >= start) & (at <= end)].tolist()
        return found

    def _split_since(self, underlying: str, day: date, now: int) -> float:
        """Shares that have become of one of a day, by the openings until now."""
        started = self._sessions.started(now).day
        ratio = 1.0
        for action in self._actions:
            if action.kind == "split" and action.symbol == underlying and action.rate > 0:
                ratio *= float(action.rate) if day < action.ex_day <= started else 1.0
        return ratio

    def official_close(self, underlying: str, day: date) -> Decimal | None:
        return self._closes.get((underlying, day))

    def last_close(self, symbol: str, now: int) -> tuple[date, Decimal] | None:
        session = self._sessions.before(new_york_day(now))
        if not is_option_symbol(symbol):
            close = self.official_close(symbol, session.day)
            return None if close is None else (session.day, close)
        contract = self.contract(symbol, session.close)
        chain = None if contract is None else self.chain(contract.underlying, session.close - 1)
        quote = None if chain is None else chain.quote(symbol)
        mark = None if quote is None or quote.at < session.open else quote.mark()
        return None if mark is None else (session.day, mark)

    def minutes(self, underlying: str, start: int, end: int) -> list[Bar]:
        found = []
        for recording in self._recordings.get(underlying, []):
            begins = recording.spot_at - MINUTE
            rows = np.flatnonzero((begins >= start) & (begins < end))
            found += [_bar(int(begins[row]), recording.spot[row : row + 1]) for row in rows]
        return found

    def option_minutes(self, symbol: str, start: int, end: int) -> list[Bar]:
        return self._trades.minutes(symbol, start, end)

    def daily(self, underlying: str, now: int) -> list[Bar]:
        bars = []
        for recording in self._recordings.get(underlying, []):
            seen = recording.spot[recording.spot_at <= now]
            session = self._sessions.on(recording.day)
            if len(seen) and session is not None:
                bars.append(_bar(session.open, seen))
        return bars

    def actions(self, now: int) -> list[Action]:
        today = new_york_day(now)
        return [
            action
            for action in self._actions
            if action.symbol in self._recordings
            and action.ex_day - timedelta(days=ANNOUNCED_DAYS[action.kind]) <= today
        ]

    def halt(self, underlying: str, now: int) -> Halt | None:
        """Recordings do not say; their quotes stop."""
        return None

    def adjustments(self, day: date) -> list[Adjustment]:
        """Of what was listed on the last recorded day before; a split that nobody recorded on
        both sides is not made up."""
        found = []
        for action in self._actions:
            if action.kind != "split" or action.ex_day != day:
                continue
            listed = self._recordings.get(action.symbol, [])
            before = [r for r in listed if r.day < day]
            after = {c.symbol: c for r in listed if r.day == day for c in r.contracts}
            if before and after:
                ratio = Fraction(action.rate)
                split = Split(ex_day=day, new=ratio.numerator, old=ratio.denominator)
                made = adjust_all(before[-1].contracts, split)
                found += [replace(a, new=after.get(a.new.symbol, a.new)) for a in made]
        return found


def _chain(recording: Recording | None, now: int) -> Chain:
    """The last row of every contract that has printed and has not expired."""
    if recording is None:
        nothing, none = np.empty(0), np.empty(0, dtype=np.int64)
        return Chain(contracts=(), at=none, bid=nothing, ask=nothing, bid_size=none, ask_size=none)
    numbers, rows = recording.latest_rows(now)
    alive = recording.expires_at[numbers] > now
    numbers, rows = numbers[alive], rows[alive]
    contracts = [recording.contracts[number] for number in numbers]
    bid, ask = recording.bid[rows], recording.ask[rows]
    return Chain(
        contracts=contracts,
        at=recording.quoted_at[rows],
        bid=bid,
        ask=ask,
        bid_size=np.where(np.isnan(bid), 0, recording.bid_size[rows]),
        ask_size=np.where(np.isnan(ask), 0, recording.ask_size[rows]),
        rows={contract.symbol: row for row, contract in enumerate(contracts)},
    )


def _bar(at: int, prices: "np.typing.NDArray[np.float64]") -> Bar:
    """The recordings have no stock volume."""
    return Bar(
        at=at,
        open=round(float(prices[0]), 4),
        high=round(float(prices.max()), 4),
        low=round(float(prices.min()), 4),
        close=round(float(prices[-1]), 4),
        volume=0,
        trades=0,
    )


def open_replay(
    folder: Path, underlyings: Sequence[str], days: Sequence[date], sessions: Sessions
) -> Replay:
    """Load what is asked for, or everything; StartupError when something is missing."""
    files = find_files(folder)
    for underlying in underlyings:
        if not any(name == underlying for name, _ in files):
            known = ", ".join(sorted({name for name, _ in files}))
            raise StartupError(f"no recorded quotes of {underlying} in {folder}; there are {known}")
        _check_days(files, underlying, days, folder)
    chosen = [
        (name, day)
        for name, day in sorted(files, key=lambda key: (key[1], key[0]))
        if (not underlyings or name in underlyings) and (not days or day in days)
    ]
    missing = [day for day in days if all(day != recorded for _, recorded in chosen)]
    if missing:
        known = ", ".join(f"{name} {day}" for name, day in sorted(files))
        raise StartupError(f"no recorded quotes on {missing[0]} in {folder}; there are {known}")
    return Replay(
        [(name, load(files[name, day], day, sessions)) for name, day in chosen], folder, sessions
    )


def _check_days(
    files: dict[tuple[str, date], Path], underlying: str, days: Sequence[date], folder: Path
) -> None:
    recorded = [day for name, day in sorted(files) if name == underlying]
    if days and not set(days) & set(recorded):
        asked, known = ", ".join(map(str, days)), ", ".join(map(str, recorded))
        raise StartupError(
            f"no recorded quotes of {underlying} on {asked} in {folder}; its days are {known}"
        )
