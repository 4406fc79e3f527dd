"""Every endpoint of market data, and what answers it."""

from collections.abc import Callable

from simulator import routes_options, routes_stocks
from simulator.exchange import Exchange
from simulator.filters import Query
from simulator.routes_actions import corporate_actions

Answer = Callable[[Exchange, Query, str], object]

#: What the data API's paths begin with; its errors are a message alone.
PREFIXES = ("/v1beta1/", "/v1/", "/v2/stocks")

DATA_READS: dict[str, Answer] = {
    "/v1beta1/options/snapshots": routes_options.snapshots,
    "/v1beta1/options/snapshots/{name}": routes_options.chain,
    "/v1beta1/options/quotes/latest": routes_options.latest_quotes,
    "/v1beta1/options/trades/latest": routes_options.latest_trades,
    "/v1beta1/options/trades": routes_options.trades,
    "/v1beta1/options/bars": routes_options.bars,
    "/v1beta1/options/meta/exchanges": routes_options.exchanges,
    "/v1beta1/options/meta/conditions/{name}": routes_options.conditions,
    "/v2/stocks/meta/exchanges": routes_stocks.exchanges,
    "/v2/stocks/meta/conditions/{name}": routes_stocks.conditions,
    "/v2/stocks/quotes/latest": routes_stocks.latest_quotes,
    "/v2/stocks/trades/latest": routes_stocks.latest_trades,
    "/v2/stocks/bars/latest": routes_stocks.latest_bars,
    "/v2/stocks/snapshots": routes_stocks.snapshots,
    "/v2/stocks/quotes": routes_stocks.quotes,
    "/v2/stocks/trades": routes_stocks.trades,
    "/v2/stocks/bars": routes_stocks.bars,
    "/v2/stocks/{name}/quotes/latest": routes_stocks.latest_quote,
    "/v2/stocks/{name}/trades/latest": routes_stocks.latest_trade,
    "/v2/stocks/{name}/bars/latest": routes_stocks.latest_bar,
    "/v2/stocks/{name}/snapshot": routes_stocks.snapshot,
    "/v2/stocks/{name}/quotes": routes_stocks.quotes,
    "/v2/stocks/{name}/trades": routes_stocks.trades,
    "/v2/stocks/{name}/bars": routes_stocks.bars,
    "/v1/corporate-actions": corporate_actions,
}
