"""Binance's older connector for USD-M futures (`binance-futures-connector`). It knows no algo orders and no routed paths of its
own; its user gives the path with the stream's address."""

import time

from binance.error import ClientError
from binance.um_futures import UMFutures
from binance.websocket.um_futures.websocket_client import UMFuturesWebsocketClient

from support.inbox import Inbox
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("usdm")
steps = Steps("binance-futures-connector")
client = UMFutures(venue.key, venue.secret, base_url=venue.rest, timeout=5)


def wallet():
    return {row["asset"]: decimal(row["balance"]) for row in client.balance()}["USDT"]


def amount():
    return sum((decimal(row["positionAmt"]) for row in client.get_position_risk(symbol=SYMBOL)), decimal(0))


with steps("public data"):
    skew = abs(client.time()["serverTime"] - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    holds("symbols", SYMBOL in {row["symbol"] for row in client.exchange_info()["symbols"]}, SYMBOL, "none")
    depth(client.depth(SYMBOL, limit=10), 10)
    for rows in (
        client.trades(SYMBOL, limit=5), client.historical_trades(SYMBOL, limit=5), client.agg_trades(SYMBOL, limit=5), client.klines(SYMBOL, "1m", limit=5),
        client.continuous_klines(SYMBOL, "PERPETUAL", "1m", limit=5), client.index_price_klines(SYMBOL, "1m", limit=5), client.mark_price_klines(SYMBOL, "1m", limit=5),
    ):
        same("rows", len(rows), 5)
    has("mark", client.mark_price(SYMBOL), "markPrice", "lastFundingRate")
    has("day", client.ticker_24hr_price_change(SYMBOL), "lastPrice")
    has("price", client.ticker_price(SYMBOL), "price")
    has("touch", client.book_ticker(SYMBOL), "bidPrice")
    has("open interest", client.open_interest(SYMBOL), "openInterest")

with steps("account and settings"):
    exact("wallet", wallet(), 100_000)
    exact("total", client.account()["totalWalletBalance"], 100_000)
    same("leverage", client.change_leverage(SYMBOL, 6)["leverage"], 6)
    client.change_margin_type(SYMBOL, "ISOLATED")
    with refused("the same again", ClientError, "-4046"):
        client.change_margin_type(SYMBOL, "ISOLATED")
    client.change_margin_type(SYMBOL, "CROSSED")
    (shown,) = client.symbol_configuration(symbol=SYMBOL)
    same("shown", (shown["leverage"], shown["marginType"]), (6, "CROSSED"))
    same("one way", client.get_position_mode()["dualSidePosition"], False)
    same("assets as one", client.get_multi_asset_mode()["multiAssetsMargin"], False)
    exact("taker", client.commission_rate(SYMBOL)["takerCommissionRate"], "0.0005")
    has("brackets", client.leverage_brackets(symbol=SYMBOL)[0], "brackets")
    has("settings", client.futures_account_configuration(), "canTrade")
    holds("counters", client.query_user_rate_limit(), "some", "none")

with steps("market order and close"):
    before = wallet()
    order = client.new_order(SYMBOL, "BUY", "MARKET", quantity=0.01, newOrderRespType="RESULT")
    same("status", order["status"], "FILLED")
    trades = client.get_account_trades(SYMBOL, orderId=order["orderId"])
    fees = total(row["commission"] for row in trades)
    exact("wallet", wallet(), before - fees)
    exact("position", amount(), "0.01")
    client.new_order(SYMBOL, "SELL", "MARKET", quantity=0.01, reduceOnly="true")
    exact("position", amount(), 0)
    kinds = {row["incomeType"] for row in client.get_income_history(symbol=SYMBOL)}
    holds("income", {"COMMISSION", "REALIZED_PNL"} <= kinds, "COMMISSION and REALIZED_PNL", kinds)

with steps("limit order: query, modify, cancel, batch, switch"):
    price = plain(venue.away(SYMBOL, 0.95))
    order = client.new_order(SYMBOL, "BUY", "LIMIT", timeInForce="GTC", quantity="0.004", price=price)
    same("status", client.query_order(SYMBOL, orderId=order["orderId"])["status"], "NEW")
    same("open", client.get_open_orders(SYMBOL, orderId=order["orderId"])["orderId"], order["orderId"])
    exact("quantity", client.modify_order(SYMBOL, "BUY", "0.005", price, orderId=order["orderId"])["origQty"], "0.005")
    same("cancelled", client.cancel_order(SYMBOL, orderId=order["orderId"])["status"], "CANCELED")
    row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004", "price": price}
    placed = client.new_batch_order([row, row])
    same("placed", [row["status"] for row in placed], ["NEW", "NEW"])
    gone = client.cancel_batch_order(SYMBOL, [row["orderId"] for row in placed], [])
    same("cancelled", [row["status"] for row in gone], ["CANCELED", "CANCELED"])
    client.new_order(**row)
    same("disarmed", client.countdown_cancel_order(SYMBOL, 0)["symbol"], SYMBOL)
    same("cancel all", client.cancel_open_orders(SYMBOL)["code"], 200)
    same("left", client.get_orders(symbol=SYMBOL), [])
    same("history", {row["status"] for row in client.get_all_orders(SYMBOL)}, {"FILLED", "CANCELED"})

with steps("refusals tell status, code and message"):
    row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004", "price": price}
    for what, code, change in (("bad lot", "-1111", {"quantity": "0.00405"}), ("too small", "-4164", {"quantity": "0.001"}), ("margin", "-2019", {"quantity": "90"})):
        with refused(what, ClientError, "400", code):
            client.new_order(**(row | change))
    with refused("stop on the old way", ClientError, "-4120"):
        client.new_order(SYMBOL, "SELL", "STOP_MARKET", quantity="0.005", stopPrice=price)
    with refused("unknown order", ClientError, "-2011"):
        client.cancel_order(SYMBOL, orderId=987654321)
    with refused("unknown key", ClientError, "401", "-2015"):
        UMFutures("k" * 64, venue.secret, base_url=venue.rest).account()
    with refused("bad signature", ClientError, "-1022"):
        UMFutures(venue.key, "s" * 64, base_url=venue.rest).account()

for route, base in (("routed", venue.ws + "/market"), ("unrouted", venue.ws)):
    with steps(f"streams, {route}"):
        heard = Inbox()
        streams = UMFuturesWebsocketClient(stream_url=base, on_message=heard)
        try:
            streams.agg_trade(SYMBOL, id=1)
            same("answer", heard.answer(1), {"result": None, "id": 1})
            heard.event("aggTrade")
            streams.mark_price(SYMBOL, speed=1, id=2)
            heard.event("markPriceUpdate")
            streams.continuous_kline(SYMBOL, "perpetual", "1m", id=3)
            heard.event("continuous_kline")
        finally:
            streams.stop()

for route, base in (("routed", venue.ws + "/private"), ("unrouted", venue.ws)):
    with steps(f"user data, {route}: an order's life"):
        heard = Inbox()
        key = client.new_listen_key()["listenKey"]
        streams = UMFuturesWebsocketClient(stream_url=base, on_message=heard)
        try:
            streams.user_data(key, id=1)
            heard.answer(1)
            order = client.new_order(SYMBOL, "BUY", "LIMIT", timeInForce="GTC", quantity="0.004", price=price)
            event = heard.event("ORDER_TRADE_UPDATE")
            same("event", (event["o"]["i"], event["o"]["x"], event["o"]["X"]), (order["orderId"], "NEW", "NEW"))
            client.cancel_order(SYMBOL, orderId=order["orderId"])
            event = heard.event("ORDER_TRADE_UPDATE")
            same("event", (event["o"]["i"], event["o"]["X"]), (order["orderId"], "CANCELED"))
            client.renew_listen_key(key)
        finally:
            streams.stop()

with steps("a closed listen key is gone"):
    client.close_listen_key(client.new_listen_key()["listenKey"])
    with refused("renewal", ClientError, "-1125"):
        client.renew_listen_key(key)

steps.finish()
