// Drives a running simulator with the Node client's older line, 3.x, which most programs still use:
// see README.md beside this file.
// usage: node node_client_3.mjs [http://127.0.0.1:8799], in the folder the client was installed in
import { createRequire } from "node:module";

const Alpaca = createRequire(`${process.cwd()}/`)("@alpacahq/alpaca-trade-api");
const simulator = process.argv[2] ?? "http://127.0.0.1:8799";
const alpaca = new Alpaca({
    keyId: "key",
    secretKey: "secret",
    baseUrl: simulator,
    dataBaseUrl: simulator,
    dataStreamUrl: simulator,
});
// It insists on wss:// for data, and the simulator speaks no TLS.
alpaca.data_stream_v2.session.url = `${simulator.replace(/^http/, "ws")}/v2/iex`;
alpaca.option_stream.session.url = `${simulator.replace(/^http/, "ws")}/v1beta1/indicative`;
let failures = 0;

async function step(name, action) {
    try {
        console.log(`ok    ${name}: ${String(await action()).slice(0, 220)}`);
    } catch (error) {
        failures += 1;
        console.log(`FAILS ${name}: ${error?.message ?? error} ${JSON.stringify(error?.response?.data ?? "")}`);
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

async function all(items) {
    const found = [];
    for await (const item of items) found.push(item);
    return found;
}

await fetch(`${simulator}/sim/clock`, {
    method: "POST",
    headers: { "APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret" },
    body: JSON.stringify({ seconds: 600 }), // so that there are minutes to read
});

let today, contract, higher;

await step("account", async () => {
    const account = await alpaca.getAccount();
    expect(Number(account.cash) > 0, "no cash");
    return `${account.account_number} ${account.cash}`;
});
await step("account configuration", async () => {
    const before = await alpaca.getAccountConfigurations();
    const after = await alpaca.updateAccountConfigurations({ no_shorting: !before.no_shorting });
    expect(after.no_shorting === !before.no_shorting, "not kept");
    await alpaca.updateAccountConfigurations({ no_shorting: before.no_shorting });
    return JSON.stringify(before);
});
await step("clock", async () => {
    const clock = await alpaca.getClock();
    expect(clock.is_open, "the market is closed: POST /sim/clock {\"to\": \"open\"}");
    today = clock.timestamp.slice(0, 10);
    return clock.timestamp;
});
await step("calendar", async () => {
    const days = await alpaca.getCalendar({ start: today, end: today });
    return JSON.stringify(days);
});
await step("assets", async () => {
    const assets = await alpaca.getAssets({ status: "active", asset_class: "us_equity" });
    const asset = await alpaca.getAsset("SPY");
    return `${assets.length}, ${asset.symbol} ${asset.class}`;
});
await step("chain, all pages", async () => {
    const chain = await alpaca.getOptionChain("SPY", { type: "put", limit: 1000 });
    const near = chain.filter((one) => one.Greeks?.delta < -0.2 && one.Greeks?.delta > -0.35);
    const symbols = near.map((one) => one.Symbol).sort();
    const at = symbols.findIndex((one, n) => symbols[n + 1]?.startsWith(one.slice(0, 9)));
    expect(at >= 0, `${chain.length}, no two of an expiration near a delta of -0.3`);
    [contract, higher] = symbols.slice(at);
    return `${chain.length}, ${contract} and ${higher}, ${JSON.stringify(near[0])}`;
});
await step("option quotes, trades, snapshots, bars", async () => {
    const quotes = await alpaca.getOptionLatestQuotes([contract]);
    const trades = await alpaca.getOptionLatestTrades([contract]);
    const shots = await alpaca.getOptionSnapshots([contract]);
    const bars = await alpaca.getOptionBars([contract], { timeframe: "1Min", start: today });
    expect(shots.length === 1, `${shots.length} snapshots`);
    return `${JSON.stringify(quotes.get(contract))} ${JSON.stringify(trades.get(contract))} ${bars.size}`;
});
await step("stock quotes, trades, bars, snapshots", async () => {
    const quote = await alpaca.getLatestQuote("SPY");
    const trade = await alpaca.getLatestTrade("SPY");
    const bar = await alpaca.getLatestBar("SPY");
    const shots = await alpaca.getSnapshots(["SPY", "AAPL"]);
    const bars = await all(alpaca.getBarsV2("SPY", { timeframe: "1Min", start: today }));
    expect(bars.length >= 10 && shots.length === 2, `${bars.length} bars, ${shots.length} snapshots`);
    return `${quote.BidPrice} ${trade.Price} ${bar.ClosePrice} ${bars.length}`;
});

const orders = {
    stock: { symbol: "SPY", qty: 1, side: "buy", type: "limit", time_in_force: "day", limit_price: 100 },
    option: { symbol: contract, qty: 1, side: "buy", type: "limit", time_in_force: "day", limit_price: 0.05 },
    "two legs": {
        order_class: "mleg", qty: 1, type: "limit", time_in_force: "day", limit_price: -20,
        legs: [
            { symbol: contract, ratio_qty: "1", side: "buy", position_intent: "buy_to_open" },
            { symbol: higher, ratio_qty: "1", side: "sell", position_intent: "sell_to_open" },
        ],
    },
};
const next = { stock: 101, option: 0.06, "two legs": -19 };
for (const [what, body] of Object.entries(orders)) {
    await step(`place, replace, read, cancel: ${what}`, async () => {
        const order = await alpaca.createOrder(body);
        const newer = await alpaca.replaceOrder(order.id, { limit_price: next[what] });
        expect(newer.replaces === order.id, "does not say what it replaces");
        const open = await alpaca.getOrders({ status: "open", limit: 50, nested: true });
        expect(open.some((one) => one.id === newer.id), "is not listed");
        const same = await alpaca.getOrderByClientId(newer.client_order_id);
        expect(same.id === newer.id, "another by its client id");
        await alpaca.cancelOrder(newer.id);
        const { status } = await alpaca.getOrder(newer.id);
        expect(status === "canceled", status);
        return `${order.status}, replaced at ${newer.limit_price}, ${status}`;
    });
}
await step("a refused order", async () => {
    const refused = await alpaca.createOrder({ ...orders.stock, limit_price: 100.123 }).then(
        () => null,
        (error) => error,
    );
    expect(refused?.response?.status === 422, "it was taken");
    return JSON.stringify(refused.response.data);
});
await step("stream an option order to its fill", async () => {
    const stream = alpaca.trade_ws;
    const told = [];
    const fill = within(20, "fill", (done) => {
        stream.onOrderUpdate((update) => {
            told.push(update.event);
            if (update.event === "fill") done(update);
        });
    });
    const connected = within(10, "connection", (done) => stream.onConnect(done));
    stream.connect();
    await connected;
    stream.subscribe(["trade_updates"]);
    await alpaca.createOrder({ symbol: contract, qty: 2, side: "buy", type: "market", time_in_force: "day" });
    const { qty, price, order } = await fill;
    stream.disconnect();
    return `${told} ${qty} at ${price}, ${order.status}`;
});
for (const [what, stream, symbol, on] of [
    ["stock", alpaca.data_stream_v2, "SPY", "onStockQuote"],
    ["option", alpaca.option_stream, contract, "onOptionQuote"],
]) {
    await step(`stream quotes: ${what}`, async () => {
        stream.onError((words) => console.log(`      stream: ${words}`));
        const quote = within(90, "quote", (done) => stream[on](done));
        stream.onConnect(() => stream.subscribeForQuotes([symbol]));
        stream.connect();
        const told = await quote;
        stream.disconnect();
        return JSON.stringify(told);
    });
}
await step("positions", async () => {
    const held = await alpaca.getPositions();
    const one = await alpaca.getPosition(contract);
    return `${held.map((each) => `${each.symbol} ${each.qty}`)} ${one.asset_class}`;
});
await step("activities", async () => {
    const fills = await alpaca.getAccountActivities({ activityTypes: ["FILL"], pageSize: 100 });
    expect(fills.length, "none");
    return JSON.stringify(fills[0]);
});
await step("portfolio history", async () =>
    JSON.stringify(await alpaca.getPortfolioHistory({ period: "1D", timeframe: "5Min" })));
await step("cancel all, close one, close all", async () => {
    await alpaca.cancelAllOrders();
    const closing = await alpaca.closePosition(contract);
    const rest = await alpaca.closeAllPositions();
    return `${closing.status} ${rest.length}`;
});

console.log(failures ? `${failures} steps failed` : "every step passed");
process.exit(failures ? 1 : 0);
