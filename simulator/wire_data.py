"""The market data API's JSON objects. NaN never gets here into an answer."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from simulator import codes
from simulator.market import GREEKS, Bar, Chain, Quote
from simulator.tape import Print
from simulator.times import MINUTE, rfc3339, rfc3339_short

Json = dict[str, object]


def snapshots(
    chain: Chain,
    rows: Sequence[int],
    *,
    off_cents: int = 0,
    expiring: date | None = None,
    zeros: bool = False,
) -> dict[str, Json]:
    """Of the given rows, in that order, keyed by symbol.

    Quotes lie up to `off_cents` outside the true ones. With `zeros` contracts whose last day
    is `expiring` have greeks of zero instead of none.
    """
    index = np.asarray(rows, dtype=np.intp)
    times = [rfc3339(at) for at in chain.at[index].tolist()]
    bids, asks = _off(chain, index, off_cents)
    bid_sizes, ask_sizes = chain.bid_size[index].tolist(), chain.ask_size[index].tolist()
    found: dict[str, Json] = {}
    for k, row in enumerate(rows):
        found[chain.contracts[row].symbol] = {
            "latestQuote": {
                "t": times[k],
                "bx": "C" if bids[k] else " ",
                "bp": bids[k],
                "bs": bid_sizes[k],
                "ax": "N" if asks[k] else " ",
                "ap": asks[k],
                "as": ask_sizes[k],
                "c": "A",
            }
        }
    if chain.vol is not None:
        _add_model(found, chain, rows, index)
    if zeros:
        for row in rows:
            contract = chain.contracts[row]
            if contract.last_day == expiring:
                found[contract.symbol].pop("impliedVolatility", None)
                found[contract.symbol]["greeks"] = dict.fromkeys(GREEKS, 0.0)
    return found


def _off(
    chain: Chain, index: np.typing.NDArray[np.intp], cents: int
) -> tuple[list[float], list[float]]:
    """Bids and asks; moved away from each other by 0 to `cents`, the same for the same quote."""
    bid, ask = chain.bid[index], chain.ask[index]
    if cents:
        minute = chain.at[index] // MINUTE + index
        bid = np.maximum(bid - minute % (cents + 1) / 100, 0.0)
        ask = ask + (minute * 7 + 3) % (cents + 1) / 100
    return _numbers(bid), _numbers(ask)


def option_trade(one: Print) -> Json:
    return {
        "t": rfc3339(one.at),
        "x": one.exchange,
        "p": one.price,
        "s": one.size,
        "c": one.condition,
    }


def last_print(one: Print, now: int) -> Json:
    """The last trade, and the bar of its minute once that is over."""
    shown: Json = {"latestTrade": option_trade(one)}
    begin = one.at // MINUTE * MINUTE
    if begin + MINUTE <= now:
        price = one.price
        shown["minuteBar"] = {
            "t": rfc3339_short(begin),
            "o": price,
            "h": price,
            "l": price,
            "c": price,
            "v": one.size,
            "n": 1,
            "vw": price,
        }
    return shown


def _add_model(
    found: dict[str, Json], chain: Chain, rows: Sequence[int], index: np.typing.NDArray[np.intp]
) -> None:
    """Volatility and greeks, where the model has them."""
    if chain.vol is None:
        return
    vols = chain.vol[index].tolist()
    columns = [chain.greeks[name][index].tolist() for name in GREEKS]
    for k, row in enumerate(rows):
        if vols[k] == vols[k]:  # not NaN
            snapshot = found[chain.contracts[row].symbol]
            snapshot["impliedVolatility"] = vols[k]
            snapshot["greeks"] = {
                name: column[k] for name, column in zip(GREEKS, columns, strict=True)
            }


def _numbers(column: np.typing.NDArray[np.float64]) -> list[float]:
    """0 for a side nobody quotes."""
    values: list[float] = np.nan_to_num(np.round(column, 4), nan=0.0).tolist()
    return values


def stock_quote(quote: Quote, tape: str) -> Json:
    return {
        "t": rfc3339(quote.at),
        "ax": "V",
        "ap": float(quote.ask or 0),
        "as": quote.ask_size,
        "bx": "V",
        "bp": float(quote.bid or 0),
        "bs": quote.bid_size,
        "c": ["R"],
        "z": tape,
    }


def stock_trade(at: int, price: float, tape: str) -> Json:
    sale = codes.regular_sale(tape)
    return {"t": rfc3339(at), "x": "V", "p": price, "s": 100, "c": [sale], "i": 1, "z": tape}


def bar(shown: Bar) -> Json:
    return {
        "t": rfc3339_short(shown.at),
        "o": shown.open,
        "h": shown.high,
        "l": shown.low,
        "c": shown.close,
        "v": shown.volume,
        "n": shown.trades,
        "vw": round((shown.high + shown.low + shown.close) / 3, 4),
    }
