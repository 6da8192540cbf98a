"""Binance's older connector for spot (`binance-connector`): everything in the query string, sockets with a thread each."""

import time

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

from support.inbox import Inbox
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("spot")
steps = Steps("binance-connector")
client = Spot(venue.key, venue.secret, base_url=venue.rest, timeout=5)


def balances():
    return {row["asset"]: row for row in client.account()["balances"]}


with steps("public data"):
    skew = abs(client.time()["serverTime"] - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    same("symbol", client.exchange_info(symbol=SYMBOL)["symbols"][0]["symbol"], SYMBOL)
    same("symbols", len(client.exchange_info(symbols=[SYMBOL, "ETHUSDT"])["symbols"]), 2)
    depth(client.depth(SYMBOL, limit=10), 10)
    for rows in (client.trades(SYMBOL, limit=5), client.historical_trades(SYMBOL, limit=5), client.agg_trades(SYMBOL, limit=5), client.klines(SYMBOL, "1m", limit=5), client.ui_klines(SYMBOL, "1m", limit=5)):
        same("rows", len(rows), 5)
    has("average", client.avg_price(SYMBOL), "price")
    same("days", len(client.ticker_24hr(symbols=[SYMBOL, "ETHUSDT"])), 2)
    has("trading day", client.trading_day_ticker(symbol=SYMBOL), "lastPrice")
    has("price", client.ticker_price(SYMBOL), "price")
    has("touch", client.book_ticker(SYMBOL), "bidPrice")
    has("window", client.rolling_window_ticker(symbol=SYMBOL, windowSize="1h"), "openTime")

with steps("limits are shown in headers"):
    shown = Spot(venue.key, venue.secret, base_url=venue.rest, show_limit_usage=True).depth(SYMBOL, limit=5)
    holds("used weight", int(shown["limit_usage"]["x-mbx-used-weight-1m"]) > 0, "above 0", shown["limit_usage"])

with steps("market order: fills, fee, balances"):
    before = balances()
    order = client.new_order(SYMBOL, "BUY", "MARKET", quantity=0.005)
    same("status", order["status"], "FILLED")
    after = balances()
    fee = total(fill["commission"] for fill in order["fills"])
    exact("USDT", decimal(before["USDT"]["free"]) - decimal(after["USDT"]["free"]), order["cummulativeQuoteQty"])
    exact("BTC", decimal(after["BTC"]["free"]) - decimal(before["BTC"]["free"]), decimal("0.005") - fee)
    same("trades", [row["id"] for row in client.my_trades(SYMBOL, orderId=order["orderId"])], [fill["tradeId"] for fill in order["fills"]])

with steps("limit order, replace, cancel all"):
    price = plain(venue.away(SYMBOL, 0.95))
    order = client.new_order(SYMBOL, "BUY", "LIMIT", timeInForce="GTC", quantity="0.002", price=price)
    same("status", client.get_order(SYMBOL, orderId=order["orderId"])["status"], "NEW")
    both = client.cancel_and_replace(SYMBOL, "BUY", "LIMIT", "STOP_ON_FAILURE", timeInForce="GTC", quantity="0.003", price=price, cancelOrderId=order["orderId"])
    same("results", (both["cancelResult"], both["newOrderResult"]), ("SUCCESS", "SUCCESS"))
    same("open", len(client.get_open_orders(SYMBOL)), 1)
    same("cancelled", len(client.cancel_open_orders(SYMBOL)), 1)
    same("history", {row["status"] for row in client.get_orders(SYMBOL)}, {"FILLED", "CANCELED"})

with steps("stop order and order lists"):
    above, below, stop = (plain(venue.away(SYMBOL, factor)) for factor in (1.1, 0.9, 0.91))
    waiting = client.new_order(SYMBOL, "SELL", "STOP_LOSS_LIMIT", timeInForce="GTC", quantity="0.002", price=below, stopPrice=stop)
    found = client.get_order(SYMBOL, orderId=waiting["orderId"])
    exact("trigger", found["stopPrice"], stop)
    client.cancel_order(SYMBOL, orderId=waiting["orderId"])
    oco = client.new_oco_order(
        SYMBOL, "SELL", "0.002", "LIMIT_MAKER", "STOP_LOSS_LIMIT", abovePrice=above, belowPrice=below, belowStopPrice=stop, belowTimeInForce="GTC"
    )
    same("open", [row["orderListId"] for row in client.get_oco_open_orders()], [oco["orderListId"]])
    same("ended", client.cancel_oco_order(SYMBOL, orderListId=oco["orderListId"])["listOrderStatus"], "ALL_DONE")
    same("found", client.get_oco_order(orderListId=oco["orderListId"])["listStatusType"], "ALL_DONE")

with steps("refusals tell status, code and message"):
    with refused("bad lot", ClientError, "400", "-1013", "Filter failure: LOT_SIZE"):
        client.new_order(SYMBOL, "BUY", "LIMIT", timeInForce="GTC", quantity="0.0020001", price=price)
    with refused("balance", ClientError, "-2010"):
        client.new_order(SYMBOL, "BUY", "LIMIT", timeInForce="GTC", quantity="8", price=price)
    with refused("unknown order", ClientError, "-2011"):
        client.cancel_order(SYMBOL, orderId=987654321)
    with refused("unknown key", ClientError, "401", "-2015"):
        Spot("k" * 64, venue.secret, base_url=venue.rest).account()
    with refused("bad signature", ClientError, "-1022"):
        Spot(venue.key, "s" * 64, base_url=venue.rest).account()

with steps("streams: raw and combined, list of subscriptions"):
    heard = Inbox()
    streams = SpotWebsocketStreamClient(stream_url=venue.ws, on_message=heard)
    try:
        streams.trade(SYMBOL, id=1)
        same("answer", heard.answer(1), {"result": None, "id": 1})
        heard.event("trade")
        streams.kline(SYMBOL, "1m", id=2)
        heard.event("kline")
        streams.list_subscribe(id=3)
        same("subscriptions", set(heard.answer(3)["result"]), {"btcusdt@trade", "btcusdt@kline_1m"})
        streams.trade(SYMBOL, id=4, action="UNSUBSCRIBE")
        heard.answer(4)
    finally:
        streams.stop()
    combined = SpotWebsocketStreamClient(stream_url=venue.ws, on_message=heard, is_combined=True)
    try:
        combined.partial_book_depth(SYMBOL, level=5, speed=100)
        message = heard.until("a combined frame", lambda message: "stream" in message)
        same("stream", message["stream"], "btcusdt@depth5@100ms")
        depth(message["data"], 5)
    finally:
        combined.stop()

with steps("WS-API: order, query, cancel, refusal"):
    heard = Inbox()
    api = SpotWebsocketAPIClient(stream_url=venue.ws_api, api_key=venue.key, api_secret=venue.secret, on_message=heard)
    try:
        api.new_order(id="n1", symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.002", price=price)
        answer = heard.answer("n1")
        same("status", answer["status"], 200)
        api.get_order(id="q1", symbol=SYMBOL, orderId=answer["result"]["orderId"])
        same("order", heard.answer("q1")["result"]["status"], "NEW")
        api.cancel_order(id="c1", symbol=SYMBOL, orderId=answer["result"]["orderId"])
        same("order", heard.answer("c1")["result"]["status"], "CANCELED")
        api.account(id="a1")
        has("account", heard.answer("a1")["result"], "balances")
        api.cancel_order(id="c2", symbol=SYMBOL, orderId=987654321)
        answer = heard.answer("c2")
        same("refusal", (answer["status"], answer["error"]["code"]), (400, -2011))
    finally:
        api.stop()

steps.finish()
