"""Which feed a question about data is answered from, and how late that feed is."""

from typing import Final

from simulator.exchange import Exchange
from simulator.filters import BadQuery, Query, choice
from simulator.refusal import FORBIDDEN, Refusal
from simulator.series import bound
from simulator.switches import DataPlan
from simulator.times import MINUTE

DELAY = 15 * MINUTE
LATEST_FEEDS: Final = ("iex", "sip", "delayed_sip", "otc", "boats", "overnight")
HISTORY_FEEDS: Final = ("iex", "sip", "otc", "boats")
#: Feeds that never saw a share of what this market lists.
EMPTY_FEEDS: Final = ("otc", "boats", "overnight")


def option_feed(exchange: Exchange, query: Query) -> str:
    """opra or indicative; Refusal without the subscription."""
    is_paid = _is_paid(exchange)
    feed = choice(query, "feed", ("opra", "indicative"), "opra" if is_paid else "indicative")
    if feed == "opra" and not is_paid:
        raise Refusal(403, FORBIDDEN, "OPRA agreement is not signed")
    return feed


def trades_until(exchange: Exchange, feed: str) -> int:
    """The last moment an option trade may have to be seen."""
    return exchange.now - (DELAY if feed == "indicative" else 0)


def history_until(exchange: Exchange, feed: str = "") -> int:
    """The last moment of history an account may see: the free plan sees options and sip late."""
    is_late = not _is_paid(exchange) and feed in {"", "sip"}
    return exchange.now - (DELAY if is_late else 0)


def stock_now(exchange: Exchange, query: Query) -> int | None:
    """The moment at which latest stock data is looked up; None on a feed without any."""
    _check_currency(query)
    feed = choice(query, "feed", LATEST_FEEDS, "sip" if _is_paid(exchange) else "iex")
    if feed == "sip" and not _is_paid(exchange):
        raise Refusal(403, FORBIDDEN, "subscription does not permit querying recent SIP data")
    if feed in EMPTY_FEEDS:
        return None
    return exchange.now - (DELAY if feed == "delayed_sip" else 0)


def stock_history_feed(exchange: Exchange, query: Query) -> str:
    """Refusal when it asks for what the free plan may not see yet."""
    _check_currency(query)
    feed = choice(query, "feed", HISTORY_FEEDS, "sip")
    end = bound(query, "end")
    if end is not None and history_until(exchange, feed) < end <= exchange.now:
        raise Refusal(403, FORBIDDEN, "subscription does not permit querying recent SIP data")
    return feed


def _is_paid(exchange: Exchange) -> bool:
    return exchange.switches.data_plan == DataPlan.PLUS


def _check_currency(query: Query) -> None:
    currency = query.get("currency") or "USD"
    if currency.upper() != "USD":
        raise BadQuery(f"invalid currency: {currency}; prices are in USD")
