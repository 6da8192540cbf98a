"""python-binance's asynchronous client: streams, user data and the WS-API of both products, and its threaded sockets."""

import asyncio
import threading

from python_binance_setup import point_at

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager, ThreadedWebsocketManager
from binance.exceptions import BinanceAPIException
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
spot, usdm = Venue("spot"), Venue("usdm")
point_at(spot, usdm)
steps = Steps("python-binance async")


async def first(socket):
    async with socket as stream:
        return await stream.recv()


async def until(stream, kind, wanted=lambda event: True):
    """The first event of a kind that is wanted; what came before it is dropped."""
    while True:
        event = await stream.recv()
        if event["e"] == kind and wanted(event):
            return event


async def spot_streams(client, sockets):
    async with steps.waiting("spot: every public stream says something of its kind"):
        for socket, kind in (
            (sockets.trade_socket(SYMBOL), "trade"),
            (sockets.aggtrade_socket(SYMBOL), "aggTrade"),
            (sockets.kline_socket(SYMBOL, "1m"), "kline"),
            (sockets.symbol_ticker_socket(SYMBOL), "24hrTicker"),
            (sockets.symbol_miniticker_socket(SYMBOL), "24hrMiniTicker"),
            (sockets.depth_socket(SYMBOL, interval=100), "depthUpdate"),
        ):
            event = await first(socket)
            same("kind", (event["e"], event["s"]), (kind, SYMBOL))
        partial = await first(sockets.depth_socket(SYMBOL, depth="5"))
        depth(partial, 5)
        has("touch", await first(sockets.symbol_book_ticker_socket(SYMBOL)), "u", "b", "B", "a", "A")

    async with steps.waiting("spot: combined streams"):
        async with sockets.multiplex_socket(["btcusdt@trade", "ethusdt@depth@100ms"]) as stream:
            seen = set()
            while len(seen) < 2:
                seen.add((await stream.recv())["stream"])
            same("streams", seen, {"btcusdt@trade", "ethusdt@depth@100ms"})

    async with steps.waiting("spot: the library's own order book keeps up"):
        async with DepthCacheManager(client, SYMBOL, bm=sockets, limit=100, ws_interval=100) as manager:
            for _ in range(5):
                cache = await manager.recv()
            holds("touch", cache.get_bids()[0][0] < cache.get_asks()[0][0], "bid below ask", (cache.get_bids()[0], cache.get_asks()[0]))


async def spot_user_data(client, sockets):
    async with steps.waiting("spot: user data of a filled and of a cancelled order"):
        async with sockets.user_socket() as stream:
            order = await client.create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.005")
            new = await until(stream, "executionReport", lambda event: event["x"] == "NEW")
            same("ids", (new["i"], new["c"], new["C"]), (order["orderId"], order["clientOrderId"], ""))
            fills = []
            while total(fill["l"] for fill in fills) < decimal("0.005"):
                fills.append(await until(stream, "executionReport", lambda event: event["x"] == "TRADE"))
            same("trades", [fill["t"] for fill in fills], [fill["tradeId"] for fill in order["fills"]])
            exact("fee", total(fill["n"] for fill in fills), "0.000005")
            exact("cost", fills[-1]["Z"], order["cummulativeQuoteQty"])
            same("end", (fills[-1]["X"], fills[-1]["m"]), ("FILLED", False))
            position = await until(stream, "outboundAccountPosition")
            shown = {row["a"]: row["f"] for row in position["B"]}
            exact("free BTC", shown["BTC"], (await client.get_asset_balance("BTC"))["free"])
            resting = await client.order_limit_buy(symbol=SYMBOL, quantity="0.002", price=plain(spot.away(SYMBOL, 0.95)))
            gone = await client.cancel_order(symbol=SYMBOL, orderId=resting["orderId"])
            report = await until(stream, "executionReport", lambda event: event["x"] == "CANCELED")
            same("ids", (report["c"], report["C"]), (gone["clientOrderId"], resting["clientOrderId"]))


async def spot_ws_api(client):
    async with steps.waiting("spot: orders and queries over the WS-API"):
        price = plain(spot.away(SYMBOL, 0.95))
        has("time", await client.ws_get_time(), "serverTime")
        has("book", await client.ws_get_order_book(symbol=SYMBOL, limit=5), "lastUpdateId", "bids", "asks")
        order = await client.ws_order_limit_buy(symbol=SYMBOL, quantity="0.002", price=price)
        same("status", (await client.ws_get_order(symbol=SYMBOL, orderId=order["orderId"]))["status"], "NEW")
        same("open", [row["orderId"] for row in await client.ws_get_open_orders(symbol=SYMBOL)], [order["orderId"]])
        both = await client.ws_cancel_and_replace_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.003", price=price, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=order["orderId"]
        )
        same("replaced", both["newOrderResult"], "SUCCESS")
        same("cancelled", (await client.ws_cancel_order(symbol=SYMBOL, orderId=both["newOrderResponse"]["orderId"]))["status"], "CANCELED")
        oto = await client.ws_create_oto_order(
            symbol=SYMBOL, workingType="LIMIT", workingSide="BUY", workingPrice=price, workingQuantity="0.002", workingTimeInForce="GTC",
            pendingType="MARKET", pendingSide="SELL", pendingQuantity="0.002",
        )
        same("states", {row["status"] for row in oto["orderReports"]}, {"NEW", "PENDING_NEW"})
        same("lists", [row["orderListId"] for row in await client.ws_get_oco_open_orders()], [oto["orderListId"]])
        await client.ws_cancel_oco_order(symbol=SYMBOL, orderListId=oto["orderListId"])
        exact("locked", {row["asset"]: row for row in (await client.ws_get_account())["balances"]}["USDT"]["locked"], 0)
        has("trade", (await client.ws_get_my_trades(symbol=SYMBOL))[-1], "id", "commission")
        has("fees", await client.ws_get_commission_rates(symbol=SYMBOL), "standardCommission")
        with refused("unknown order", BinanceAPIException, "-2011"):
            await client.ws_cancel_order(symbol=SYMBOL, orderId=987654321)


async def usdm_streams(sockets):
    async with steps.waiting("usdm: every public stream says something of its kind"):
        for socket, kind in (
            (sockets.aggtrade_futures_socket(SYMBOL), "aggTrade"),
            (sockets.symbol_mark_price_socket(SYMBOL), "markPriceUpdate"),
            (sockets.kline_futures_socket(SYMBOL, "1m"), "continuous_kline"),
            (sockets.individual_symbol_ticker_futures_socket(SYMBOL), "24hrTicker"),
            (sockets.symbol_ticker_futures_socket(SYMBOL), "bookTicker"),
            (sockets.futures_depth_socket(SYMBOL, depth="10"), "depthUpdate"),
        ):
            event = (await first(socket))
            same("kind", event.get("data", event)["e"], kind)
        async with sockets.futures_multiplex_socket(["btcusdt@aggTrade", "ethusdt@markPrice@1s"]) as stream:
            seen = set()
            while len(seen) < 2:
                seen.add((await stream.recv())["stream"])


async def usdm_user_data(client, sockets):
    async with steps.waiting("usdm: user data of a filled order and of a conditional one"):
        async with sockets.futures_user_socket() as stream:
            await client.futures_change_leverage(symbol=SYMBOL, leverage=11)
            config = await until(stream, "ACCOUNT_CONFIG_UPDATE")
            same("leverage", config["ac"], {"s": SYMBOL, "l": 11})
            order = await client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.005")
            filled = await until(stream, "ORDER_TRADE_UPDATE", lambda event: event["o"]["X"] == "FILLED")
            same("id", filled["o"]["i"], order["orderId"])
            exact("filled", filled["o"]["z"], "0.005")
            (held,) = [row for row in await client.futures_position_information(symbol=SYMBOL)]
            exact("entry", filled["o"]["ap"], held["entryPrice"])
            await client.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.005", reduceOnly="true")
            update = await until(stream, "ACCOUNT_UPDATE", lambda event: [row["pa"] for row in event["a"]["P"] if decimal(row["pa"]) == 0])
            (row,) = [row for row in await client.futures_account_balance() if row["asset"] == "USDT"]
            exact("wallet", update["a"]["B"][0]["wb"], row["balance"])
            same("why", update["a"]["m"], "ORDER")
            stop = await client.futures_create_order(symbol=SYMBOL, side="BUY", type="STOP_MARKET", quantity="0.005", stopPrice=plain(usdm.away(SYMBOL, 1.1)))
            algo = await until(stream, "ALGO_UPDATE")
            same("id and state", (algo["o"]["aid"], algo["o"]["X"]), (stop["algoId"], "NEW"))
            await client.futures_cancel_algo_order(algoId=stop["algoId"])
            await until(stream, "ALGO_UPDATE", lambda event: event["o"]["X"] == "CANCELED")


async def usdm_ws_api(client):
    async with steps.waiting("usdm: orders and queries over the WS-API"):
        price = plain(usdm.away(SYMBOL, 0.95))
        order = await client.ws_futures_create_order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.004", price=price)
        same("status", (await client.ws_futures_get_order(symbol=SYMBOL, orderId=order["orderId"]))["status"], "NEW")
        changed = await client.ws_futures_edit_order(symbol=SYMBOL, side="BUY", orderId=order["orderId"], quantity="0.005", price=price)
        exact("quantity", changed["origQty"], "0.005")
        same("cancelled", (await client.ws_futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"]))["status"], "CANCELED")
        stop = await client.ws_futures_create_order(symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity="0.005", stopPrice=plain(usdm.away(SYMBOL, 0.9)))
        same("cancelled", (await client.ws_futures_cancel_algo_order(algoId=stop["algoId"]))["code"], "200")
        has("book", await client.ws_futures_get_order_book(symbol=SYMBOL, limit=5), "lastUpdateId", "bids")
        has("touch", await client.ws_futures_get_order_book_ticker(symbol=SYMBOL), "bidPrice")
        has("account", await client.ws_futures_v2_account_status(), "assets", "totalWalletBalance")
        holds("balance", {"USDT"} <= {row["asset"] for row in await client.ws_futures_v2_account_balance()}, "USDT", "none")
        holds("positions", isinstance(await client.ws_futures_v2_account_position(), list), "a list", "something else")
        with refused("margin", BinanceAPIException, "-2019"):
            await client.ws_futures_create_order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="90", price=price)


def threaded():
    with steps("threaded sockets: a stream and user data in callbacks"):
        traded, reported = threading.Event(), threading.Event()
        manager = ThreadedWebsocketManager(api_key=spot.key, api_secret=spot.secret)
        # Stopping it, the library closes its connection before it unsubscribes, and would wait for ever.
        manager.daemon = True
        manager.start()
        try:
            manager.start_trade_socket(callback=lambda event: event.get("e") == "trade" and traded.set(), symbol=SYMBOL)
            manager.start_user_socket(callback=lambda event: event.get("e") == "executionReport" and reported.set())
            holds("a trade", traded.wait(5), "within 5 s", "none")
            spot.own.order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.002", price=plain(spot.away(SYMBOL, 0.95)))
            holds("a report", reported.wait(5), "within 5 s", "none")
        finally:
            spot.own.cancel_all(SYMBOL)


async def main():
    client = await AsyncClient.create(spot.key, spot.secret)
    sockets = BinanceSocketManager(client)
    await spot_streams(client, sockets)
    await spot_user_data(client, sockets)
    await spot_ws_api(client)
    await usdm_streams(sockets)
    await usdm_user_data(client, sockets)
    await usdm_ws_api(client)
    await client.close_connection()


asyncio.run(main())
threaded()
steps.finish()
