// Drives a running simulator with the published Node client: see README.md beside this file.
// usage: node node_client.mjs [http://127.0.0.1:8799], in the folder the client was installed in
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { Alpaca } = require("@alpacahq/alpaca-trade-api");
const simulator = process.argv[2] ?? "http://127.0.0.1:8799";
const sockets = simulator.replace(/^http/, "ws");

// The client takes no address: its `fetchApi` option is its documented way to another host.
const elsewhere = (url, init) => {
    const asked = new URL(url);
    return fetch(`${simulator}${asked.pathname}${asked.search}`, init);
};
const alpaca = new Alpaca({ keyId: "key", secret: "secret", fetchApi: elsewhere, retry: false });
const { trading, marketData } = alpaca;
let failures = 0;

async function step(name, action) {
    try {
        console.log(`ok    ${name}: ${await action()}`);
    } catch (error) {
        failures += 1;
        console.log(`FAILS ${name}: ${error?.message ?? error}`);
        if (error?.cause) console.log(`      ${error.cause}`);
    }
}

function expect(truth, words) {
    if (!truth) throw new Error(words);
}

function within(seconds, words, start) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${words} in ${seconds} s`)), seconds * 1000);
        start((value) => {
            clearTimeout(timer);
            resolve(value);
        });
    });
}

const dollars = (value) => (Math.floor(value * 100) / 100).toFixed(2);

await fetch(`${simulator}/sim/clock`, {
    method: "POST",
    headers: { "APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret" },
    body: JSON.stringify({ seconds: 600 }), // so that there are minutes to read
});

let contract, higher, quote, day;

await step("connection", async () => {
    const check = await trading.validateConnection();
    expect(check.ok, check.message);
    return check.account.accountNumber;
});
await step("account", async () => {
    const account = await trading.account.getAccount();
    expect(Number(account.cash) > 0, "no cash");
    expect(account.status === "ACTIVE", account.status);
    return `${account.accountNumber} ${account.cash} level ${account.optionsTradingLevel}`;
});
await step("account configuration", async () => {
    const before = await trading.accountConfigurations.getAccountConfig();
    const after = await trading.accountConfigurations.patchAccountConfig({
        accountConfigurations: { noShorting: true },
    });
    expect(after.noShorting === true, "not kept");
    await trading.accountConfigurations.patchAccountConfig({
        accountConfigurations: { noShorting: before.noShorting },
    });
    return JSON.stringify(before);
});
await step("clock", async () => {
    const clock = await trading.clock.legacyClock();
    expect(clock.isOpen, "the market is closed: POST /sim/clock {\"to\": \"open\"}");
    day = clock.timestamp;
    return clock.timestamp.toISOString();
});
await step("clocks of markets (v3)", async () =>
    JSON.stringify(await trading.clock.clock({ markets: "NYSE" })).slice(0, 100));
await step("calendar", async () => {
    const days = await trading.calendar.legacyCalendar({
        start: day,
        end: new Date(day.getTime() + 7 * 86_400_000),
    });
    expect(days.length >= 4, `${days.length} days`);
    return `${days.length} days from ${JSON.stringify(days[0])}`;
});
await step("calendar of a market (v3)", async () => {
    const days = await trading.calendar.calendar({
        market: "NYSE",
        start: day,
        end: new Date(day.getTime() + 7 * 86_400_000),
    });
    return JSON.stringify(days).slice(0, 100);
});
await step("assets", async () => {
    const assets = await trading.assets.getV2Assets({ status: "active", assetClass: "us_equity" });
    const asset = await trading.assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "SPY" });
    expect(assets.some((one) => one.id === asset.id), "SPY is not listed");
    return `${assets.length}, ${asset.symbol} ${asset._class ?? asset.class}`;
});
await step("option contracts, all pages", async () => {
    const contracts = await trading.collectOptionsContracts({
        underlyingSymbols: "SPY",
        expirationDateGte: new Date(day.getTime() + 20 * 86_400_000),
        expirationDateLte: new Date(day.getTime() + 45 * 86_400_000),
        type: "put",
        limit: 100,
    });
    const one = await trading.assets.getOptionContractSymbolOrId({ symbolOrId: contracts[0].symbol });
    expect(one.id === contracts[0].id, "another contract");
    return `${contracts.length}, first ${one.symbol} ${JSON.stringify(one.expirationDate)} ${one.strikePrice}`;
});
await step("chain, all pages", async () => {
    const chain = await marketData.collectOptionChainBySymbol({
        underlyingSymbol: "SPY",
        type: "put",
        expirationDateGte: new Date(day.getTime() + 20 * 86_400_000),
        expirationDateLte: new Date(day.getTime() + 45 * 86_400_000),
        limit: 100,
    });
    const all = Object.entries(chain instanceof Map ? Object.fromEntries(chain) : chain);
    const wanted = all.filter(([, shot]) => {
        const delta = shot.greeks?.delta;
        return delta < -0.2 && delta > -0.35;
    });
    expect(wanted.length >= 2, `${all.length} contracts, ${wanted.length} near a delta of -0.3`);
    const expiry = wanted[0][0].slice(0, 9);
    const same = wanted.filter(([symbol]) => symbol.startsWith(expiry)).sort();
    [contract, higher] = [same[0][0], same[1][0]];
    return `${all.length}, ${contract} ${JSON.stringify(same[0][1]).slice(0, 160)}`;
});
await step("option snapshots", async () => {
    const shots = await marketData.options.optionSnapshots({ symbols: contract, feed: "indicative" });
    return JSON.stringify(shots).slice(0, 100);
});
await step("latest option quote", async () => {
    const { quotes } = await marketData.options.optionLatestQuotes({ symbols: `${contract},${higher}` });
    quote = quotes[contract];
    expect(quote.ap > quote.bp, JSON.stringify(quote));
    return JSON.stringify(quote);
});
await step("latest option trade", async () =>
    JSON.stringify(await marketData.options.optionLatestTrades({ symbols: contract })));
await step("option bars", async () => {
    const bars = await marketData.getOptionBars({ symbols: [contract], timeframe: "1Min" });
    return JSON.stringify(bars).slice(0, 80);
});
await step("latest stock quote and price", async () => {
    const { quote: one } = await marketData.stocks.stockLatestQuoteSingle({ symbol: "SPY" });
    const { quotes } = await marketData.stocks.stockLatestQuotes({ symbols: "SPY,AAPL" });
    expect(Object.keys(quotes).length === 2, "not both");
    return `${one.bp} x ${one.ap}, last ${await marketData.getLatestPrice("SPY")}`;
});
await step("stock snapshots and bars", async () => {
    const shot = await marketData.stocks.stockSnapshotSingle({ symbol: "SPY" });
    const bars = await marketData.getStockBars({ symbols: ["SPY"], timeframe: "1Min", start: new Date(day - 600_000) });
    return `${JSON.stringify(shot).slice(0, 80)} ${JSON.stringify(bars).slice(0, 80)}`;
});

const place = {
    "stock": () => trading.orders.limit({ symbol: "SPY", qty: 1, side: "buy", limitPrice: 100 }),
    "option": () => trading.orders.limit({ symbol: contract, qty: 1, side: "buy", limitPrice: 0.05 }),
    "two legs": () => trading.orders.submit({
        orderClass: "mleg", type: "limit", qty: 1, limitPrice: -20, timeInForce: "day",
        legs: [
            { symbol: contract, ratioQty: "1", side: "buy", positionIntent: "buy_to_open" },
            { symbol: higher, ratioQty: "1", side: "sell", positionIntent: "sell_to_open" },
        ],
    }),
};
const next = { "stock": "101", "option": "0.06", "two legs": "-19" };
for (const [what, action] of Object.entries(place)) {
    let order;
    await step(`place an order: ${what}`, async () => {
        order = await action();
        expect(order.id, "no id");
        return `${order.id} ${order.status} ${order.limitPrice} ${order.legs?.length ?? 0} legs`;
    });
    await step(`replace it: ${what}`, async () => {
        const old = order.id;
        order = await trading.orders.patchOrderByOrderId({
            orderId: old, patchOrderRequest: { limitPrice: next[what] },
        });
        expect(order.replaces === old, "does not say what it replaces");
        return `${order.id} ${order.status} ${order.limitPrice}`;
    });
    await step(`list it: ${what}`, async () => {
        const open = await trading.orders.getAllOrders({ status: "open", nested: true, limit: 50 });
        expect(open.some((one) => one.id === order.id), "is not listed");
        const same = await trading.orders.getOrderByClientOrderId({ clientOrderId: order.clientOrderId });
        expect(same.id === order.id, "another by its client id");
        return `${open.length} open, ${same.status}`;
    });
    await step(`cancel it: ${what}`, async () => {
        await trading.orders.deleteOrderByOrderID({ orderId: order.id });
        const { status } = await trading.orders.getOrderByOrderID({ orderId: order.id, nested: true });
        expect(status === "canceled", status);
        return status;
    });
}
await step("a refused order is a typed error", async () => {
    const refused = await trading.orders.limit({ symbol: "SPY", qty: 1, side: "buy", limitPrice: 100.123 })
        .then(() => null, (error) => error);
    expect(refused, "it was taken");
    return `${refused.name} ${refused.status} ${refused.code} ${refused.message}`;
});

await step("stream an option order to its fill", async () => {
    const stream = trading.stream({ url: `${sockets}/stream` });
    const told = [];
    const filled = within(20, "fill", (done) => {
        stream.onError((words) => console.log(`      stream: ${words}`));
        stream.onTradeUpdate((update) => {
            told.push(update.event);
            if (update.event === "fill") done(update);
        });
    });
    const listening = within(10, "listening", (done) => stream.on("subscription", done));
    stream.onConnect(() => stream.subscribeTradeUpdates());
    stream.connect();
    await listening;
    await trading.orders.limit({ symbol: contract, qty: 2, side: "buy", limitPrice: dollars(quote.ap * 1.2) });
    const fill = await filled;
    stream.disconnect();
    return `${told} ${fill.qty} at ${fill.price}, ${fill.order.status}, position ${fill.positionQty}`;
});
await step("submitAndWait for two legs", async () => {
    const stream = trading.stream({ url: `${sockets}/stream` });
    stream.onConnect(() => stream.subscribeTradeUpdates());
    stream.connect();
    const filled = await trading.submitAndWait(
        {
            orderClass: "mleg", type: "market", qty: 1, timeInForce: "day",
            legs: [
                { symbol: contract, ratioQty: "1", side: "buy", positionIntent: "buy_to_open" },
                { symbol: higher, ratioQty: "1", side: "sell", positionIntent: "sell_to_open" },
            ],
        },
        { timeoutMs: 20_000, stream },
    );
    stream.disconnect();
    return `${filled.status} ${filled.filledAvgPrice} ${filled.legs?.map((leg) => leg.status)}`;
});
await step("a share of SPY at the market, waited for", async () => {
    const stream = trading.stream({ url: `${sockets}/stream` });
    stream.onConnect(() => stream.subscribeTradeUpdates());
    stream.connect();
    const filled = await trading.submitAndWait(
        { type: "market", symbol: "SPY", qty: 1, side: "buy" }, { timeoutMs: 20_000, stream });
    stream.disconnect();
    return `${filled.status} ${filled.filledAvgPrice}`;
});

await step("stock stream", async () => {
    const stream = marketData.stockStream({ feed: "iex", url: `${sockets}/v2/iex` });
    stream.onError((words) => console.log(`      stream: ${words}`));
    stream.onConnect(() => stream.subscribeForQuotes(["SPY"]));
    const first = within(60, "quote", (done) => stream.onQuote(done));
    stream.connect();
    const told = await first;
    stream.disconnect();
    return JSON.stringify(told, (_, value) => (typeof value === "bigint" ? `${value}` : value));
});
await step("option stream", async () => {
    const stream = marketData.optionStream({ feed: "indicative", url: `${sockets}/v1beta1/indicative` });
    stream.onError((words) => console.log(`      stream: ${words}`));
    stream.onConnect(() => stream.subscribeForQuotes([contract]));
    const first = within(60, "quote", (done) => stream.onQuote(done));
    stream.connect();
    const told = await first;
    stream.disconnect();
    return JSON.stringify(told, (_, value) => (typeof value === "bigint" ? `${value}` : value));
});

await step("positions", async () => {
    const held = await trading.positions.getAllOpenPositions();
    const one = await trading.positions.getOpenPosition({ symbolOrAssetId: contract });
    expect(held.length === 3, `${held.length} positions`);
    return `${held.map((each) => `${each.symbol} ${each.qty}`)}, ${one.assetClass} ${one.unrealizedPl}`;
});
await step("activities, all pages", async () => {
    const fills = await trading.collectActivities({ activityTypes: ["FILL"], pageSize: 2 });
    const other = await trading.accountActivities.getAccountActivitiesByActivityType({ activityType: "FILL" });
    expect(fills.length >= 4, `${fills.length} fills`);
    return `${fills.length} and ${other.length}, ${JSON.stringify(fills[0]).slice(0, 200)}`;
});
await step("portfolio history", async () => {
    const history = await trading.portfolioHistory.getAccountPortfolioHistory({ period: "1D", timeframe: "5Min" });
    return JSON.stringify(history).slice(0, 160);
});
await step("close one and all positions", async () => {
    await trading.positions.deleteOpenPosition({ symbolOrAssetId: "SPY" });
    await trading.orders.deleteAllOrders();
    const answers = await trading.closeAllPositions({ cancelOrders: true });
    return JSON.stringify(answers.map((each) => [each.symbol, each.status]));
});

console.log(failures ? `${failures} steps failed` : "every step passed");
process.exit(failures ? 1 : 0);
