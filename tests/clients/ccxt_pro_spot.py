"""ccxt.pro's `binance`: public streams, user data, orders over the WS-API."""

import asyncio

import ccxt.pro

import ccxt_setup
from ccxt_pro_common import collect, opened
from support.steps import Steps, exact, has, refused, same
from support.venue import Venue

ID = "BTCUSDT"


async def main():
    venue = Venue("spot")
    steps = Steps("ccxt.pro binance")
    symbol = "BTC/USDT"
    exchange = await opened(steps, venue, ccxt_setup.spot, symbol)

    async with steps.waiting("user data: order, trade and balance of one market order"):
        seen = []
        done = asyncio.create_task(collect(lambda: exchange.watch_orders(symbol), lambda order: order["status"] == "closed", seen))
        trades = asyncio.create_task(exchange.watch_my_trades(symbol))
        balances = asyncio.create_task(exchange.watch_balance())
        await asyncio.sleep(0.5)  # until the subscription stands: an event before it is not repeated
        order = await exchange.create_order(symbol, "market", "buy", 0.005)
        closed = await done
        same("id", closed["id"], order["id"])
        exact("filled", closed["filled"], "0.005")
        exact("cost", closed["cost"], order["cost"])
        trade = (await trades)[-1]
        same("order of the trade", trade["order"], order["id"])
        same("fee currency", trade["fee"]["currency"], "BTC")
        balance = await balances
        exact("free BTC", balance["BTC"]["free"], (await exchange.fetch_balance())["BTC"]["free"])

    async with steps.waiting("orders over the WS-API"):
        price = float(venue.away(ID, 0.95))
        order = await exchange.create_order_ws(symbol, "limit", "buy", 0.002, price)
        same("status", order["status"], "open")
        same("found", (await exchange.fetch_order_ws(order["id"], symbol))["id"], order["id"])
        same("open", [row["id"] for row in await exchange.fetch_open_orders_ws(symbol)], [order["id"]])
        edited = await exchange.edit_order_ws(order["id"], symbol, "limit", "buy", 0.003, price)
        exact("amount", edited["amount"], "0.003")
        same("cancelled", (await exchange.cancel_order_ws(edited["id"], symbol))["status"], "canceled")
        await exchange.create_order_ws(symbol, "limit", "buy", 0.002, price)
        same("cancelled, all", len(await exchange.cancel_all_orders_ws(symbol)), 1)
        history = {row["id"]: row["status"] for row in await exchange.fetch_orders_ws(symbol)}
        same("history", (history[order["id"]], history[edited["id"]]), ("canceled", "canceled"))
        has("trade", (await exchange.fetch_my_trades_ws(symbol))[-1], "id", "price", "fee")
        # ccxt parses this answer as a futures account's; what came is under "info".
        shown = {row["asset"]: row["locked"] for row in (await exchange.fetch_balance_ws())["info"]["balances"]}
        exact("balance", shown["USDT"], 0)
        has("trade", (await exchange.fetch_trades_ws(symbol, limit=3))[-1], "price")
        same("candles", len(await exchange.fetch_ohlcv_ws(symbol, "1m", limit=3)), 3)

    async with steps.waiting("refusals over the WS-API"):
        with refused("insufficient balance", ccxt.InsufficientFunds, "insufficient balance"):
            await exchange.create_order_ws(symbol, "limit", "buy", 8, price)
        with refused("unknown order", ccxt.OrderNotFound, "-2011"):
            await exchange.cancel_order_ws("987654321", symbol)
        stranger = ccxt_setup.spot(venue, ccxt.pro, secret="s" * 64)
        stranger.set_markets(exchange.markets)
        with refused("bad signature", ccxt.AuthenticationError, "-1022"):
            await stranger.fetch_balance_ws()
        await stranger.close()
    await exchange.close()
    steps.finish()


asyncio.run(main())
