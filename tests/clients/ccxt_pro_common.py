"""What ccxt.pro's scenarios of both products share: the public streams, and waiting for one update among many."""

import ccxt.pro

from support.steps import has, holds, same


async def opened(steps, venue, make, symbol):
    """A client of that product with its markets, whose public streams have passed."""
    exchange = make(venue, ccxt.pro)
    exchange.newUpdates = True
    await exchange.load_markets()
    await public_streams(steps, exchange, symbol)
    return exchange


async def public_streams(steps, exchange, symbol):
    async with steps.waiting("order book follows the venue through its diffs"):
        book = await exchange.watch_order_book(symbol)
        first = book["nonce"]
        for _ in range(20):
            book = await exchange.watch_order_book(symbol)
        holds("the update id", book["nonce"] > first, f"above {first}", book["nonce"])
        holds("touch", book["bids"][0][0] < book["asks"][0][0], "bid below ask", (book["bids"][0], book["asks"][0]))
        snapshot = await exchange.fetch_order_book(symbol, 100)
        while book["nonce"] < snapshot["nonce"]:
            book = await exchange.watch_order_book(symbol)
        holds("caught up with", book["nonce"] >= snapshot["nonce"], snapshot["nonce"], book["nonce"])

    async with steps.waiting("trades, candles, tickers, best bids and asks"):
        has("trade", (await exchange.watch_trades(symbol))[-1], "id", "price", "amount", "side", "timestamp")
        has("aggregated trade", (await exchange.watch_trades(symbol, params={"name": "aggTrade"}))[-1], "id", "price", "amount")
        same("candle's length", len((await exchange.watch_ohlcv(symbol, "1m"))[-1]), 6)
        has("ticker", await exchange.watch_ticker(symbol), "last", "high", "low", "baseVolume")
        has("tickers", await exchange.watch_tickers([symbol]), symbol)
        has("best", (await exchange.watch_bids_asks([symbol]))[symbol], "bid", "ask", "bidVolume", "askVolume")

    async with steps.waiting("unsubscribes"):
        await exchange.un_watch_trades(symbol)
        await exchange.un_watch_order_book(symbol)


async def collect(watch, wanted, seen):
    """Every order (or trade, …) that `watch` yields, until one is `wanted`."""
    while True:
        for item in await watch():
            seen.append(dict(item))  # ccxt changes its own in place with the next update
            if wanted(item):
                return item
