"""ccxt's `binance`, blocking, over spot's REST."""

import time

import ccxt

import ccxt_setup
from ccxt_common import refuses_keys_and_clocks
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth

SYMBOL, ID = "BTC/USDT", "BTCUSDT"
venue = Venue("spot")
steps = Steps("ccxt binance")
exchange = ccxt_setup.spot(venue)


def free(code):
    return decimal(exchange.fetch_balance()[code]["free"])


def used(code):
    return decimal(exchange.fetch_balance()[code]["used"])


with steps("markets load with their steps, and currencies through sapi"):
    market = exchange.load_markets()[SYMBOL]
    tick, lot = venue.rules(ID)
    exact("tick", market["precision"]["price"], tick)
    exact("lot", market["precision"]["amount"], lot)
    same("active", market["active"], True)
    same("type", market["type"], "spot")
    holds("smallest cost", market["limits"]["cost"]["min"] > 0, "above 0", market["limits"]["cost"]["min"])
    holds("currencies", {"BTC", "USDT"} <= set(exchange.currencies), "BTC and USDT among them", sorted(exchange.currencies))

with steps("time and status"):
    skew = abs(exchange.fetch_time() - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    same("status", exchange.fetch_status()["status"], "ok")

with steps("balance"):
    balance = exchange.fetch_balance()
    exact("free USDT", balance["USDT"]["free"], "100000")
    exact("free BTC", balance["BTC"]["free"], "50")
    same("may trade", balance["info"]["canTrade"], True)

with steps("order book is sorted and not crossed"):
    book = exchange.fetch_order_book(SYMBOL, limit=20)
    depth(book, 20)
    same("bids, best first", [row[0] for row in book["bids"]], sorted((row[0] for row in book["bids"]), reverse=True))
    same("asks, best first", [row[0] for row in book["asks"]], sorted(row[0] for row in book["asks"]))
    holds("touch", book["bids"][0][0] < book["asks"][0][0], "bid below ask", (book["bids"][0], book["asks"][0]))
    has("book", book, "nonce")

with steps("candles"):
    candles = exchange.fetch_ohlcv(SYMBOL, "1m", limit=10)
    same("rows", len(candles), 10)
    same("distance", {b[0] - a[0] for a, b in zip(candles, candles[1:])}, {60_000})
    holds("the last", time.time() * 1000 - candles[-1][0] < 120_000, "the running minute", candles[-1][0])
    for row in candles:
        holds("low ≤ open, close ≤ high", row[3] <= min(row[1], row[4]) and max(row[1], row[4]) <= row[2], "true", row)
    since = candles[-5][0]
    same("from a time on", [row[0] for row in exchange.fetch_ohlcv(SYMBOL, "1m", since=since, limit=3)], [since + n * 60_000 for n in range(3)])

with steps("tickers, one, some, all"):
    ticker = exchange.fetch_ticker(SYMBOL)
    has("ticker", ticker, "last", "bid", "ask", "high", "low", "open", "baseVolume", "quoteVolume", "timestamp", "percentage")
    holds("low ≤ last ≤ high", ticker["low"] <= ticker["last"] <= ticker["high"], "true", ticker)
    same("two", set(exchange.fetch_tickers([SYMBOL, "ETH/USDT"])), {SYMBOL, "ETH/USDT"})
    holds("all", len(exchange.fetch_tickers()) >= 2, "two or more", "fewer")
    has("bids and asks", exchange.fetch_bids_asks([SYMBOL])[SYMBOL], "bid", "ask", "bidVolume", "askVolume")
    has("last prices", exchange.fetch_last_prices([SYMBOL])[SYMBOL], "price")

with steps("public trades"):
    trades = exchange.fetch_trades(SYMBOL, limit=5)
    holds("some", trades, "trades", trades)
    has("trade", trades[0], "id", "timestamp", "price", "amount", "side")
    plain_trades = exchange.fetch_trades(SYMBOL, limit=5, params={"fetchTradesMethod": "publicGetTrades"})
    has("plain trade", plain_trades[0], "id", "price", "amount", "cost")

with steps("trading fee"):
    fee = exchange.fetch_trading_fee(SYMBOL)
    exact("taker", fee["taker"], "0.001")
    exact("maker", fee["maker"], "0.001")

with steps("market buy changes the balance by exactly its fills and fees"):
    before = exchange.fetch_balance()
    order = exchange.create_order(SYMBOL, "market", "buy", 0.005)
    same("status", order["status"], "closed")
    exact("filled", order["filled"], "0.005")
    has("order", order, "id", "clientOrderId", "average", "cost", "trades")
    cost = total(decimal(trade["info"]["price"]) * decimal(trade["info"]["qty"]) for trade in order["trades"])
    fees = total(trade["info"]["commission"] for trade in order["trades"])
    same("the fee is paid in", {trade["info"]["commissionAsset"] for trade in order["trades"]}, {"BTC"})
    exact("cost", order["info"]["cummulativeQuoteQty"], cost)
    exact("fee", fees, decimal("0.005") * decimal("0.001"))
    after = exchange.fetch_balance()
    exact("USDT", decimal(before["USDT"]["free"]) - decimal(after["USDT"]["free"]), cost)
    exact("BTC", decimal(after["BTC"]["free"]) - decimal(before["BTC"]["free"]), decimal("0.005") - fees)
    bought = order

with steps("market sell by cost"):
    before = exchange.fetch_balance()
    order = exchange.create_market_sell_order_with_cost(SYMBOL, 200)
    same("status", order["status"], "closed")
    fees = total(trade["info"]["commission"] for trade in order["trades"])
    same("the fee is paid in", {trade["info"]["commissionAsset"] for trade in order["trades"]}, {"USDT"})
    after = exchange.fetch_balance()
    exact("USDT", decimal(after["USDT"]["free"]) - decimal(before["USDT"]["free"]), decimal(order["info"]["cummulativeQuoteQty"]) - fees)
    exact("BTC", decimal(before["BTC"]["free"]) - decimal(after["BTC"]["free"]), order["info"]["executedQty"])

with steps("my trades show the fills with their fees"):
    mine = exchange.fetch_my_trades(SYMBOL)
    of_order = [trade for trade in mine if trade["order"] == bought["id"]]
    exact("quantity", total(trade["amount"] for trade in of_order), "0.005")
    same("taker", {trade["takerOrMaker"] for trade in of_order}, {"taker"})
    same("side", {trade["side"] for trade in of_order}, {"buy"})
    same("fee currency", {trade["fee"]["currency"] for trade in of_order}, {"BTC"})
    same("by order", [trade["id"] for trade in exchange.fetch_order_trades(bought["id"], SYMBOL)], [trade["id"] for trade in of_order])

with steps("limit order rests and locks its value"):
    price = venue.away(ID, 0.95)
    resting = exchange.create_order(SYMBOL, "limit", "buy", 0.002, float(price))
    same("status", resting["status"], "open")
    exact("price", resting["price"], price)
    exact("locked", used("USDT"), price * decimal("0.002"))
    found = exchange.fetch_order(resting["id"], SYMBOL)
    same("client order id", found["clientOrderId"], resting["clientOrderId"])
    same("open orders", [order["id"] for order in exchange.fetch_open_orders(SYMBOL)], [resting["id"]])

with steps("edit replaces the order"):
    edited = exchange.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.003, float(venue.away(ID, 0.94)))
    holds("a new id", edited["id"] != resting["id"], "another than before", edited["id"])
    exact("amount", edited["amount"], "0.003")
    same("the old one", exchange.fetch_order(resting["id"], SYMBOL)["status"], "canceled")
    exact("locked", used("USDT"), decimal(edited["info"]["price"]) * decimal("0.003"))

with steps("cancel unlocks"):
    canceled = exchange.cancel_order(edited["id"], SYMBOL)
    same("status", canceled["status"], "canceled")
    exact("locked", used("USDT"), 0)
    same("open orders", exchange.fetch_open_orders(SYMBOL), [])

with steps("limit order filled by another account pays the maker's fee"):
    maker, inside = venue.rest_and_be_hit(
        ID,
        lambda price: exchange.create_order(SYMBOL, "limit", "buy", 0.01, float(price), {"postOnly": True}),
        lambda order: exchange.fetch_order(order["id"], SYMBOL)["status"] == "closed",
        lambda order: exchange.cancel_order(order["id"], SYMBOL),
    )
    exact("average", exchange.fetch_order(maker["id"], SYMBOL)["average"], inside)
    trades = exchange.fetch_my_trades(SYMBOL, params={"orderId": maker["id"]})
    same("liquidity", {trade["takerOrMaker"] for trade in trades}, {"maker"})
    exact("fee", total(trade["info"]["commission"] for trade in trades), "0.00001")

with steps("post-only order rests"):
    order = exchange.create_order(SYMBOL, "limit", "buy", 0.002, float(venue.away(ID, 0.95)), {"postOnly": True})
    same("type", order["info"]["type"], "LIMIT_MAKER")
    exchange.cancel_order(order["id"], SYMBOL)

with steps("stop-loss limit order waits, shows its trigger, cancels"):
    stop = exchange.create_order(SYMBOL, "limit", "sell", 0.002, float(venue.away(ID, 0.9)), {"stopLossPrice": float(venue.away(ID, 0.91))})
    same("type", stop["info"]["type"], "STOP_LOSS_LIMIT")
    found = exchange.fetch_order(stop["id"], SYMBOL)
    same("status", found["status"], "open")
    exact("trigger", found["triggerPrice"], stop["info"].get("stopPrice", found["triggerPrice"]))
    exact("locked BTC", used("BTC"), "0.002")
    exchange.cancel_order(stop["id"], SYMBOL)
    exact("locked BTC after", used("BTC"), 0)

with steps("take-profit, and cancel all"):
    exchange.create_order(SYMBOL, "limit", "sell", 0.002, float(venue.away(ID, 1.1)), {"takeProfitPrice": float(venue.away(ID, 1.1))})
    exchange.create_order(SYMBOL, "limit", "buy", 0.002, float(venue.away(ID, 0.9)))
    same("open", len(exchange.fetch_open_orders(SYMBOL)), 2)
    same("cancelled", len(exchange.cancel_all_orders(SYMBOL)), 2)
    same("left", exchange.fetch_open_orders(SYMBOL), [])

with steps("order history"):
    history = {order["id"]: order["status"] for order in exchange.fetch_orders(SYMBOL)}
    same("the bought", history.get(bought["id"]), "closed")
    same("the edited", history.get(edited["id"]), "canceled")
    holds("closed", bought["id"] in {order["id"] for order in exchange.fetch_closed_orders(SYMBOL)}, "the bought among them", "without it")

with steps("test order leaves nothing"):
    exchange.create_order(SYMBOL, "limit", "buy", 0.002, float(venue.away(ID, 0.9)), {"test": True})
    same("open", exchange.fetch_open_orders(SYMBOL), [])

with steps("refusals have ccxt's classes"):
    price = float(venue.away(ID, 0.95))
    with refused("post only that would take", ccxt.OrderImmediatelyFillable, "immediately match and take"):
        exchange.create_order(SYMBOL, "limit", "buy", 0.01, float(venue.away(ID, 1.05)), {"postOnly": True})
    with refused("bad lot", ccxt.InvalidOrder, "LOT_SIZE"):
        exchange.private_post_order({"symbol": ID, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": "0.0020001"})
    with refused("bad tick", ccxt.InvalidOrder, "PRICE_FILTER"):
        exchange.private_post_order({"symbol": ID, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": f"{price:.2f}7", "quantity": "0.002"})
    with refused("insufficient balance", ccxt.InsufficientFunds, "Account has insufficient balance for requested action."):
        exchange.create_order(SYMBOL, "limit", "buy", 8, price)
    with refused("unknown order, cancel", ccxt.OrderNotFound, "-2011"):
        exchange.cancel_order("987654321", SYMBOL)
    with refused("unknown order, query", ccxt.OrderNotFound, "-2013"):
        exchange.fetch_order("987654321", SYMBOL)
    with refused("unknown symbol", ccxt.BadSymbol, "-1121"):
        exchange.public_get_depth({"symbol": "NOSUCH"})
    same_id = {"clientOrderId": "clients-twice"}
    first = exchange.create_order(SYMBOL, "limit", "buy", 0.002, price, same_id)
    with refused("duplicate id", ccxt.InvalidOrder, "-2010", "Duplicate order sent."):
        exchange.create_order(SYMBOL, "limit", "buy", 0.002, price, same_id)
    exchange.cancel_order(None, SYMBOL, {"clientOrderId": "clients-twice"})

refuses_keys_and_clocks(steps, lambda **other: ccxt_setup.spot(venue, **other), lambda exchange: exchange.private_get_account())

with steps("a clock that ccxt adjusts is taken"):
    adjusted = ccxt_setup.spot(venue)
    adjusted.options["adjustForTimeDifference"] = True
    adjusted.load_markets()
    has("adjusted", adjusted.fetch_balance(), "USDT")

steps.finish()
