"""The market data API's JSON objects. NaN never gets here into an answer."""

from collections.abc import Sequence

import numpy as np

from simulator.market import GREEKS, Action, Bar, Chain, Quote
from simulator.symbols import asset_id
from simulator.times import rfc3339, rfc3339_short

Json = dict[str, object]


def snapshots(chain: Chain, rows: Sequence[int]) -> dict[str, Json]:
    """Of the given rows, in that order, keyed by symbol."""
    index = np.asarray(rows, dtype=np.intp)
    times = [rfc3339(at) for at in chain.at[index].tolist()]
    bids, asks = _numbers(chain.bid[index]), _numbers(chain.ask[index])
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
    return found


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


def stock_quote(quote: Quote) -> Json:
    return {
        "t": rfc3339(quote.at),
        "ax": "V",
        "ap": float(quote.ask or 0),
        "as": quote.ask_size,
        "bx": "V",
        "bp": float(quote.bid or 0),
        "bs": quote.bid_size,
        "c": ["R"],
        "z": "C",
    }


def stock_trade(at: int, price: float) -> Json:
    return {"t": rfc3339(at), "x": "V", "p": price, "s": 100, "c": ["@"], "i": 1, "z": "C"}


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


def corporate_actions(actions: Sequence[Action]) -> dict[str, list[Json]]:
    """By kind, as the API groups them; a kind without any is left out."""
    found: dict[str, list[Json]] = {}
    for action in actions:
        group, keys = _action(action)
        found.setdefault(group, []).append(keys)
    return found


def _action(action: Action) -> tuple[str, Json]:
    day = action.ex_day.isoformat()
    rate = float(action.rate)
    shown: Json = {
        "id": asset_id(f"{action.symbol} {action.kind} {day}"),
        "process_date": day,
        "ex_date": day,
    }
    if action.kind == "split":
        split = {"symbol": action.symbol, "cusip": "", "new_rate": rate, "old_rate": 1}
        return "forward_splits", shown | split
    if action.kind == "spin-off":
        return "spin_offs", shown | {
            "source_symbol": action.symbol,
            "source_cusip": "",
            "source_rate": 1,
            "new_symbol": "",
            "new_cusip": "",
            "new_rate": rate,
        }
    paid = {"symbol": action.symbol, "cusip": "", "rate": rate, "special": False, "foreign": False}
    return "cash_dividends", shown | paid
