"""python-binance's blocking client over spot's REST."""

import time

from python_binance_setup import point_at

from binance import Client
from binance.exceptions import BinanceAPIException
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("spot")
steps = Steps("python-binance spot")
point_at(spot=venue)
client = None


def balance(asset):
    return {key: decimal(value) for key, value in client.get_asset_balance(asset).items() if key != "asset"}


with steps("opens with a ping"):
    client = Client(venue.key, venue.secret)
    skew = abs(client.get_server_time()["serverTime"] - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)

with steps("exchange information"):
    info = client.get_symbol_info(SYMBOL)
    same("assets", (info["baseAsset"], info["quoteAsset"], info["status"]), ("BTC", "USDT", "TRADING"))
    holds("types", {"LIMIT", "MARKET", "STOP_LOSS_LIMIT", "LIMIT_MAKER"} <= set(info["orderTypes"]), "the usual", info["orderTypes"])
    holds("limits", {row["rateLimitType"] for row in client.get_exchange_info()["rateLimits"]} >= {"REQUEST_WEIGHT", "ORDERS"}, "both", "fewer")

with steps("account, status, permissions"):
    account = client.get_account()
    same("may", (account["canTrade"], account["canWithdraw"], account["accountType"]), (True, account["canWithdraw"], "SPOT"))
    exact("free USDT", balance("USDT")["free"], 100_000)
    same("status", client.get_account_status()["data"], "Normal")
    permissions = client.get_account_api_permissions()
    same("may withdraw", permissions["enableWithdrawals"], False)
    same("may trade", permissions["enableSpotAndMarginTrading"], True)
    same("system", client.get_system_status()["status"], 0)
    exact("fee", client.get_trade_fee(symbol=SYMBOL)[0]["takerCommission"], "0.001")
    holds("coins", {"BTC", "USDT"} <= {row["coin"] for row in client.get_all_coins_info()}, "BTC and USDT", "fewer")
    holds("assets", {"BTC", "USDT"} <= {row["asset"] for row in client.get_user_asset()}, "BTC and USDT", "fewer")

with steps("market data"):
    book = client.get_order_book(symbol=SYMBOL, limit=10)
    depth(book, 10)
    has("trade", client.get_recent_trades(symbol=SYMBOL, limit=5)[0], "id", "price", "qty", "quoteQty", "time")
    has("old trade", client.get_historical_trades(symbol=SYMBOL, limit=5)[0], "id", "price")
    has("aggregated trade", client.get_aggregate_trades(symbol=SYMBOL, limit=5)[0], "a", "p", "q", "f", "l", "T")
    candles = client.get_klines(symbol=SYMBOL, interval="1m", limit=5)
    same("a candle's length", [len(row) for row in candles], [12] * 5)
    same("for charts", len(client.get_ui_klines(symbol=SYMBOL, interval="1m", limit=5)), 5)
    same("history", len(client.get_historical_klines(SYMBOL, "1m", candles[0][0], candles[3][0])), 4)
    has("average", client.get_avg_price(symbol=SYMBOL), "mins", "price", "closeTime")
    has("day", client.get_ticker(symbol=SYMBOL), "lastPrice", "volume", "openTime", "firstId", "count")
    has("price", client.get_symbol_ticker(symbol=SYMBOL), "price")
    has("touch", client.get_orderbook_ticker(symbol=SYMBOL), "bidPrice", "askQty")
    holds("all prices", len(client.get_all_tickers()) >= 2, "two or more", "fewer")

with steps("market order: fills, fee, balances, trades"):
    usdt, btc = balance("USDT")["free"], balance("BTC")["free"]
    order = client.order_market_buy(symbol=SYMBOL, quantity="0.005")
    same("status", order["status"], "FILLED")
    cost = total(decimal(fill["price"]) * decimal(fill["qty"]) for fill in order["fills"])
    fee = total(fill["commission"] for fill in order["fills"])
    exact("cost", order["cummulativeQuoteQty"], cost)
    exact("fee", fee, "0.000005")
    exact("USDT", usdt - balance("USDT")["free"], cost)
    exact("BTC", balance("BTC")["free"] - btc, decimal("0.005") - fee)
    trades = client.get_my_trades(symbol=SYMBOL, orderId=order["orderId"])
    same("trade ids", [row["id"] for row in trades], [fill["tradeId"] for fill in order["fills"]])
    same("buyer, maker", {(row["isBuyer"], row["isMaker"]) for row in trades}, {(True, False)})

with steps("limit order, query, open orders, cancel"):
    price = plain(venue.away(SYMBOL, 0.95))
    order = client.order_limit_buy(symbol=SYMBOL, quantity="0.002", price=price)
    same("status", order["status"], "NEW")
    exact("locked", balance("USDT")["locked"], decimal(price) * decimal("0.002"))
    found = client.get_order(symbol=SYMBOL, origClientOrderId=order["clientOrderId"])
    same("id", found["orderId"], order["orderId"])
    has("order", found, "time", "updateTime", "isWorking", "origQuoteOrderQty", "selfTradePreventionMode")
    same("open", [row["orderId"] for row in client.get_open_orders(symbol=SYMBOL)], [order["orderId"]])
    same("open, all symbols", [row["orderId"] for row in client.get_open_orders()], [order["orderId"]])
    gone = client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    same("status", gone["status"], "CANCELED")
    same("the order's own id", gone["origClientOrderId"], order["clientOrderId"])
    holds("the cancel's id", gone["clientOrderId"] != order["clientOrderId"], "another", gone["clientOrderId"])
    exact("locked", balance("USDT")["locked"], 0)

with steps("cancel and replace"):
    first = client.order_limit_buy(symbol=SYMBOL, quantity="0.002", price=price)
    both = client.cancel_replace_order(
        symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.003", price=price, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=first["orderId"]
    )
    same("results", (both["cancelResult"], both["newOrderResult"]), ("SUCCESS", "SUCCESS"))
    exact("quantity", both["newOrderResponse"]["origQty"], "0.003")
    with refused("a cancel that fails", BinanceAPIException, "-2022"):
        client.cancel_replace_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.003", price=price, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=987654321
        )
    same("cancelled", len(client.cancel_all_open_orders(symbol=SYMBOL)), 1)

with steps("OCO: two legs, one list, cancelled by one leg"):
    btc = balance("BTC")
    oco = client.create_oco_order(
        symbol=SYMBOL, side="SELL", quantity="0.002", aboveType="LIMIT_MAKER", abovePrice=plain(venue.away(SYMBOL, 1.1)), belowType="STOP_LOSS_LIMIT",
        belowStopPrice=plain(venue.away(SYMBOL, 0.91)), belowPrice=plain(venue.away(SYMBOL, 0.9)), belowTimeInForce="GTC",
    )
    same("kind", (oco["contingencyType"], oco["listOrderStatus"], len(oco["orders"])), ("OCO", "EXECUTING", 2))
    same("types", {row["type"] for row in oco["orderReports"]}, {"LIMIT_MAKER", "STOP_LOSS_LIMIT"})
    exact("locked once", balance("BTC")["locked"], "0.002")
    same("open lists", [row["orderListId"] for row in client.get_open_oco_orders()], [oco["orderListId"]])
    client.cancel_order(symbol=SYMBOL, orderId=oco["orders"][0]["orderId"])
    same("open", client.get_open_orders(symbol=SYMBOL), [])
    same("balance", balance("BTC"), btc)

with steps("history and counters"):
    orders = client.get_all_orders(symbol=SYMBOL)
    holds("history", len(orders) >= 4, "four or more", len(orders))
    same("sorted", [row["orderId"] for row in orders], sorted(row["orderId"] for row in orders))
    counts = {row["interval"]: row["count"] for row in client.get_current_order_count()}
    holds("orders of the day", counts["DAY"] > 0, "above 0", counts)
    holds("weight header", int(client.response.headers["x-mbx-used-weight-1m"]) > 0, "above 0", dict(client.response.headers))
    same("test order", client.create_test_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.002"), {})

with steps("refusals"):
    with refused("bad lot", BinanceAPIException, "-1013", "Filter failure: LOT_SIZE"):
        client.order_limit_buy(symbol=SYMBOL, quantity="0.0020001", price=price)
    with refused("too small", BinanceAPIException, "-1013", "Filter failure: NOTIONAL"):
        client.order_limit_buy(symbol=SYMBOL, quantity="0.00001", price=price)
    with refused("balance", BinanceAPIException, "-2010", "insufficient balance"):
        client.order_limit_buy(symbol=SYMBOL, quantity="8", price=price)
    with refused("unknown order", BinanceAPIException, "-2011", "Unknown order sent."):
        client.cancel_order(symbol=SYMBOL, orderId=987654321)
    with refused("unknown order", BinanceAPIException, "-2013", "Order does not exist."):
        client.get_order(symbol=SYMBOL, orderId=987654321)
    with refused("missing parameter", BinanceAPIException, "-1102"):
        client.create_order(symbol=SYMBOL, side="BUY", type="LIMIT", quantity="0.002", price=price)
    with refused("unknown symbol", BinanceAPIException, "-1121", "Invalid symbol."):
        client.get_order_book(symbol="NOSUCH")
    with refused("unknown key", BinanceAPIException, "-2015"):
        Client("k" * 64, venue.secret).get_account()
    with refused("bad signature", BinanceAPIException, "-1022"):
        Client(venue.key, "s" * 64).get_account()
    late = Client(venue.key, venue.secret)
    late.timestamp_offset = -60_000
    with refused("clock behind", BinanceAPIException, "-1021"):
        late.get_account()

with steps("microseconds on request"):
    fine = Client(venue.key, venue.secret, time_unit="MICROSECOND")
    holds("time", fine.get_server_time()["serverTime"] > 10**15, "microseconds", fine.get_server_time())

steps.finish()
