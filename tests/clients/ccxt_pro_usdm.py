"""ccxt.pro's `binanceusdm`: public streams, user data, orders over the WS-API."""

import asyncio

import ccxt.pro

import ccxt_setup
from ccxt_pro_common import collect, opened
from support.steps import Steps, exact, has, holds, refused, same
from support.venue import Venue

ID = "BTCUSDT"


async def main():
    venue = Venue("usdm")
    steps = Steps("ccxt.pro binanceusdm")
    symbol = "BTC/USDT:USDT"
    exchange = await opened(steps, venue, ccxt_setup.usdm, symbol)

    async with steps.waiting("mark price"):
        has("mark", await exchange.watch_mark_price(symbol), "markPrice", "indexPrice")

    async with steps.waiting("user data: order, trade, position and balance of one market order"):
        seen = []
        done = asyncio.create_task(collect(lambda: exchange.watch_orders(symbol), lambda order: order["status"] == "closed", seen))
        trades = asyncio.create_task(exchange.watch_my_trades(symbol))
        balances = asyncio.create_task(exchange.watch_balance())
        await exchange.watch_positions([symbol])  # the snapshot, which is empty
        positions = asyncio.create_task(exchange.watch_positions([symbol]))
        await asyncio.sleep(0.5)
        order = await exchange.create_order(symbol, "market", "buy", 0.005)
        closed = await done
        same("id", closed["id"], order["id"])
        exact("filled", closed["filled"], "0.005")
        exact("average", closed["average"], order["average"])
        trade = (await trades)[-1]
        same("order of the trade", trade["order"], order["id"])
        same("fee currency", trade["fee"]["currency"], "USDT")
        (position,) = await positions
        exact("contracts", position["contracts"], "0.005")
        same("side", position["side"], "long")
        same("mode", position["marginMode"], "cross")
        balance = await balances
        (row,) = [row for row in (await exchange.fetch_balance())["info"]["assets"] if row["asset"] == "USDT"]
        exact("wallet", balance["USDT"]["total"], row["walletBalance"])

    async with steps.waiting("user data: a conditional order's life"):
        seen = []
        gone = asyncio.create_task(collect(lambda: exchange.watch_orders(symbol), lambda order: order["status"] == "canceled", seen))
        await asyncio.sleep(0.1)
        stop = await exchange.create_order(symbol, "market", "sell", 0.005, None, {"stopLossPrice": float(venue.away(ID, 0.9)), "reduceOnly": True})
        await exchange.cancel_order(stop["id"], symbol, {"trigger": True})
        same("id", (await gone)["id"], stop["id"])
        same("states", [order["status"] for order in seen if order["id"] == stop["id"]], ["open", "canceled"])

    async with steps.waiting("orders over the WS-API"):
        price = float(venue.away(ID, 0.95))
        order = await exchange.create_order_ws(symbol, "limit", "buy", 0.004, price)
        same("status", order["status"], "open")
        same("found", (await exchange.fetch_order_ws(order["id"], symbol))["id"], order["id"])
        edited = await exchange.edit_order_ws(order["id"], symbol, "limit", "buy", 0.005, price)
        exact("amount", edited["amount"], "0.005")
        same("cancelled", (await exchange.cancel_order_ws(order["id"], symbol))["status"], "canceled")
        stop = await exchange.create_order_ws(symbol, "market", "sell", 0.005, None, {"stopLossPrice": float(venue.away(ID, 0.9))})
        has("stop", stop, "id")
        await exchange.cancel_order_ws(stop["id"], symbol, {"trigger": True})
        (position,) = await exchange.fetch_positions_ws([symbol])
        exact("contracts", position["contracts"], "0.005")
        has("balance", await exchange.fetch_balance_ws(), "USDT")
        book = await exchange.fetch_order_book_ws(symbol, 10)
        holds("book", book["bids"] and book["asks"], "levels", book)
        has("ticker", await exchange.fetch_ticker_ws(symbol), "bid", "ask")

    async with steps.waiting("refusals over the WS-API"):
        with refused("margin", ccxt.BaseError, "-2019"):
            await exchange.create_order_ws(symbol, "limit", "buy", 90, price)
        with refused("unknown order", ccxt.OrderNotFound, "-2011"):
            await exchange.cancel_order_ws("987654321", symbol)
    await exchange.close()
    steps.finish()


asyncio.run(main())
