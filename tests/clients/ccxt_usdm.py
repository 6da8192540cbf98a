"""ccxt's `binanceusdm`, blocking, over USD-M's REST."""

import time

import ccxt

import ccxt_setup
from ccxt_common import refuses_keys_and_clocks
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth

SYMBOL, ID = "BTC/USDT:USDT", "BTCUSDT"
venue = Venue("usdm")
steps = Steps("ccxt binanceusdm")
exchange = ccxt_setup.usdm(venue)


def wallet():
    (row,) = [row for row in exchange.fetch_balance()["info"]["assets"] if row["asset"] == "USDT"]
    return decimal(row["walletBalance"])


def position():
    rows = exchange.fetch_positions([SYMBOL])
    return rows[0] if rows else None


with steps("markets load"):
    market = exchange.load_markets()[SYMBOL]
    tick, lot = venue.rules(ID)
    exact("tick", market["precision"]["price"], tick)
    exact("lot", market["precision"]["amount"], lot)
    same("kind", (market["swap"], market["linear"], market["settle"], market["active"]), (True, True, "USDT", True))
    holds("smallest cost", market["limits"]["cost"]["min"] > 0, "above 0", market["limits"]["cost"]["min"])

with steps("time"):
    skew = abs(exchange.fetch_time() - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)

with steps("balance"):
    balance = exchange.fetch_balance()
    exact("free USDT", balance["USDT"]["free"], "100000")
    exact("total USDT", balance["USDT"]["total"], "100000")
    exact("balance, the wallet's", wallet(), "100000")

with steps("order book"):
    book = exchange.fetch_order_book(SYMBOL, limit=20)
    depth(book, 20)
    holds("touch", book["bids"][0][0] < book["asks"][0][0], "bid below ask", (book["bids"][0], book["asks"][0]))
    has("book", book, "nonce", "timestamp")

with steps("candles of the last price and of the mark"):
    for params in ({}, {"price": "mark"}, {"price": "index"}):
        candles = exchange.fetch_ohlcv(SYMBOL, "1m", limit=5, params=params)
        same("rows", len(candles), 5)
        same("distance", {b[0] - a[0] for a, b in zip(candles, candles[1:])}, {60_000})

with steps("tickers, marks, funding, open interest"):
    has("ticker", exchange.fetch_ticker(SYMBOL), "last", "high", "low", "baseVolume", "quoteVolume", "timestamp")
    same("two", set(exchange.fetch_tickers([SYMBOL, "ETH/USDT:USDT"])), {SYMBOL, "ETH/USDT:USDT"})
    has("bids and asks", exchange.fetch_bids_asks([SYMBOL])[SYMBOL], "bid", "ask")
    has("last price", exchange.fetch_last_prices([SYMBOL])[SYMBOL], "price", "timestamp")
    has("mark", exchange.fetch_mark_price(SYMBOL), "markPrice", "indexPrice")
    has("funding", exchange.fetch_funding_rate(SYMBOL), "markPrice", "fundingRate", "fundingTimestamp")
    holds("funding rates", SYMBOL in exchange.fetch_funding_rates([SYMBOL]), SYMBOL, "none")
    for row in exchange.fetch_funding_rate_history(SYMBOL, limit=3):
        has("past funding", row, "fundingRate", "timestamp")
    has("open interest", exchange.fetch_open_interest(SYMBOL), "openInterestAmount")
    has("trade", exchange.fetch_trades(SYMBOL, limit=5)[0], "id", "price", "amount", "side")

with steps("leverage tiers and fees"):
    tiers = exchange.fetch_leverage_tiers([SYMBOL])[SYMBOL]
    same("the first starts at", tiers[0]["minNotional"], 0)
    same("each starts where the last ended", [tier["minNotional"] for tier in tiers[1:]], [tier["maxNotional"] for tier in tiers[:-1]])
    fee = exchange.fetch_trading_fee(SYMBOL)
    exact("taker", fee["taker"], "0.0005")
    exact("maker", fee["maker"], "0.0002")
    has("fees", exchange.fetch_trading_fees(), SYMBOL)

with steps("leverage and margin mode are set and shown"):
    same("leverage", int(exchange.set_leverage(7, SYMBOL)["leverage"]), 7)
    same("shown", exchange.fetch_leverage(SYMBOL)["longLeverage"], 7)
    exchange.set_margin_mode("isolated", SYMBOL)
    same("margin mode", exchange.fetch_margin_mode(SYMBOL)["marginMode"], "isolated")
    with refused("the same again", ccxt.MarginModeAlreadySet, "No need to change margin type."):
        exchange.set_margin_mode("isolated", SYMBOL)
    exchange.set_margin_mode("cross", SYMBOL)
    same("margin mode", exchange.fetch_margin_mode(SYMBOL)["marginMode"], "cross")

with steps("position mode"):
    same("at first", exchange.fetch_position_mode(SYMBOL)["hedged"], False)
    exchange.set_position_mode(True, SYMBOL)
    same("hedged", exchange.fetch_position_mode(SYMBOL)["hedged"], True)
    with refused("the same again", ccxt.BaseError, "-4059"):
        exchange.set_position_mode(True, SYMBOL)
    exchange.set_position_mode(False, SYMBOL)

with steps("market buy opens a position and takes exactly its fee"):
    before = wallet()
    opened = exchange.create_order(SYMBOL, "market", "buy", 0.01)
    same("status", opened["status"], "closed")
    exact("filled", opened["filled"], "0.01")
    fills = [trade for trade in exchange.fetch_my_trades(SYMBOL) if trade["order"] == opened["id"]]
    exact("filled, by trades", total(trade["amount"] for trade in fills), "0.01")
    cost = total(decimal(trade["info"]["price"]) * decimal(trade["info"]["qty"]) for trade in fills)
    fees = total(trade["info"]["commission"] for trade in fills)
    exact("fee", fees, cost * decimal("0.0005"))
    exact("wallet", wallet(), before - fees)
    exact("cost", opened["info"]["cumQuote"], cost)
    held = position()
    same("side", held["side"], "long")
    exact("contracts", held["contracts"], "0.01")
    exact("entry", held["info"]["entryPrice"], cost / decimal("0.01"))
    has("position", held, "markPrice", "notional", "unrealizedPnl", "initialMargin", "maintenanceMargin", "collateral")
    leverage = exchange.fetch_positions([SYMBOL], {"useV2": True})[0]["leverage"]
    same("leverage", leverage, 7)

with steps("balance shows the position's margin as used"):
    used = exchange.fetch_balance()["USDT"]["used"]
    held = position()
    holds("used", used > 0, "above 0", used)
    exact("margin at 7x", held["info"]["initialMargin"], round(abs(decimal(held["info"]["notional"])) / 7, 8))

with steps("resting order, found, edited, cancelled"):
    price = venue.away(ID, 0.95)
    resting = exchange.create_order(SYMBOL, "limit", "buy", 0.004, float(price), {"postOnly": True})
    same("status", resting["status"], "open")
    same("time in force", resting["info"]["timeInForce"], "GTX")
    same("found", exchange.fetch_order(resting["id"], SYMBOL)["clientOrderId"], resting["clientOrderId"])
    same("open", [order["id"] for order in exchange.fetch_open_orders(SYMBOL)], [resting["id"]])
    same("open, by id", exchange.fetch_open_order(resting["id"], SYMBOL)["id"], resting["id"])
    edited = exchange.edit_order(resting["id"], SYMBOL, "limit", "buy", 0.005, float(venue.away(ID, 0.94)))
    same("the same order", edited["id"], resting["id"])
    exact("amount", exchange.fetch_order(resting["id"], SYMBOL)["amount"], "0.005")
    same("cancelled", exchange.cancel_order(resting["id"], SYMBOL)["status"], "canceled")
    same("left", exchange.fetch_open_orders(SYMBOL), [])

with steps("batch of orders, cancelled together"):
    row = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.004, "price": float(venue.away(ID, 0.95))}
    placed = exchange.create_orders([row, row | {"amount": 0.005}])
    same("statuses", [order["status"] for order in placed], ["open", "open"])
    gone = exchange.cancel_orders([order["id"] for order in placed], SYMBOL)
    same("cancelled", [order["status"] for order in gone], ["canceled", "canceled"])

with steps("limit order filled by another account"):
    maker, inside = venue.rest_and_be_hit(
        ID,
        lambda price: exchange.create_order(SYMBOL, "limit", "buy", 0.005, float(price), {"postOnly": True}),
        lambda order: exchange.fetch_order(order["id"], SYMBOL)["status"] == "closed",
        lambda order: exchange.cancel_order(order["id"], SYMBOL),
    )
    trades = exchange.fetch_my_trades(SYMBOL)
    fills = [trade for trade in trades if trade["order"] == maker["id"]]
    same("liquidity", {trade["takerOrMaker"] for trade in fills}, {"maker"})
    exact("fee", total(trade["info"]["commission"] for trade in fills), inside * decimal("0.005") * decimal("0.0002"))
    exact("contracts", position()["contracts"], total(trade["amount"] for trade in trades))

with steps("conditional orders go through the algo service"):
    stop = exchange.create_order(SYMBOL, "market", "sell", 0.005, None, {"stopLossPrice": float(venue.away(ID, 0.9)), "reduceOnly": True})
    has("stop", stop, "id", "clientOrderId")
    same("status", stop["status"], "open")
    take = exchange.create_order(SYMBOL, "limit", "sell", 0.005, float(venue.away(ID, 1.1)), {"takeProfitPrice": float(venue.away(ID, 1.1))})
    trail = exchange.create_order(SYMBOL, "market", "sell", 0.005, None, {"trailingPercent": 5, "reduceOnly": True})
    open_ids = {order["id"] for order in exchange.fetch_open_orders(SYMBOL, params={"trigger": True})}
    same("open", open_ids, {stop["id"], take["id"], trail["id"]})
    same("not among plain orders", exchange.fetch_open_orders(SYMBOL), [])
    found = exchange.fetch_order(stop["id"], SYMBOL, {"trigger": True})
    same("type", found["info"]["orderType"], "STOP_MARKET")
    exact("trigger", found["triggerPrice"], stop["triggerPrice"])
    exchange.cancel_order(stop["id"], SYMBOL, {"trigger": True})
    same("cancelled", exchange.fetch_order(stop["id"], SYMBOL, {"trigger": True})["status"], "canceled")
    exchange.cancel_all_orders(SYMBOL, {"trigger": True})
    same("left", exchange.fetch_open_orders(SYMBOL, params={"trigger": True}), [])
    history = {order["id"] for order in exchange.fetch_orders(SYMBOL, params={"trigger": True})}
    holds("history", open_ids <= history, open_ids, history)

with steps("reduce-only close realises exactly the difference of prices"):
    before = wallet()
    held = position()
    size, entry = decimal(held["contracts"]), decimal(held["info"]["entryPrice"])
    closed = exchange.create_order(SYMBOL, "market", "sell", float(size), None, {"reduceOnly": True})
    fills = [trade for trade in exchange.fetch_my_trades(SYMBOL) if trade["order"] == closed["id"]]
    realised = total(trade["info"]["realizedPnl"] for trade in fills)
    earned = total(decimal(trade["info"]["price"]) * decimal(trade["info"]["qty"]) for trade in fills) - entry * size
    holds("realised", abs(realised - earned) < decimal("0.000001"), earned, realised)
    exact("wallet", wallet(), before + realised - total(trade["info"]["commission"] for trade in fills))
    same("position", position(), None)

with steps("income tells of the fees and of the result"):
    kinds = {row["incomeType"] for row in exchange.fapiPrivateGetIncome({"symbol": ID})}
    holds("kinds", {"COMMISSION", "REALIZED_PNL"} <= kinds, "COMMISSION and REALIZED_PNL", kinds)
    same("funding paid", exchange.fetch_funding_history(SYMBOL), [])

with steps("isolated margin is added"):
    exchange.set_margin_mode("isolated", SYMBOL)
    exchange.create_order(SYMBOL, "market", "sell", 0.005)
    margin = decimal(position()["info"]["isolatedWallet"])
    exchange.add_margin(SYMBOL, 10)
    held = position()
    exact("isolated wallet", held["info"]["isolatedWallet"], margin + 10)
    same("side", held["side"], "short")
    same("mode", held["marginMode"], "isolated")
    holds("liquidation", held["liquidationPrice"] > held["entryPrice"], "a short's above its entry", held["liquidationPrice"])
    exchange.create_order(SYMBOL, "market", "buy", 0.005, None, {"reduceOnly": True})
    same("position", position(), None)
    exchange.set_margin_mode("cross", SYMBOL)

with steps("order history and cancel all"):
    exchange.create_order(SYMBOL, "limit", "buy", 0.004, float(venue.away(ID, 0.9)))
    exchange.cancel_all_orders(SYMBOL)
    same("left", exchange.fetch_open_orders(SYMBOL), [])
    history = {order["id"]: order["status"] for order in exchange.fetch_orders(SYMBOL)}
    same("the first", history.get(opened["id"]), "closed")

with steps("refusals carry the venue's codes"):
    price = float(venue.away(ID, 0.95))
    order = {"symbol": ID, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": price, "quantity": "0.004"}
    with refused("bad lot", ccxt.BaseError, "-1111"):
        exchange.fapiPrivatePostOrder(order | {"quantity": "0.00405"})
    with refused("bad tick", ccxt.BaseError, "-4014"):
        exchange.fapiPrivatePostOrder(order | {"price": f"{venue.away(ID, 0.95):.1f}5"})
    with refused("too small", ccxt.BaseError, "-4164"):
        exchange.fapiPrivatePostOrder(order | {"quantity": "0.001"})
    with refused("margin", ccxt.BaseError, "-2019", "Margin is insufficient."):
        exchange.create_order(SYMBOL, "limit", "buy", 90, price)
    with refused("reduce only", ccxt.BaseError, "-2022"):
        exchange.create_order(SYMBOL, "market", "sell", 0.005, None, {"reduceOnly": True})
    with refused("post only that would take", ccxt.BaseError, "-5022"):
        exchange.create_order(SYMBOL, "limit", "buy", 0.005, float(venue.away(ID, 1.02)), {"postOnly": True})
    with refused("stop on the old way", ccxt.BaseError, "-4120"):
        exchange.fapiPrivatePostOrder({"symbol": ID, "side": "SELL", "type": "STOP_MARKET", "quantity": "0.005", "stopPrice": price})
    with refused("stop that would trigger", ccxt.BaseError, "-2021"):
        exchange.create_order(SYMBOL, "market", "sell", 0.005, None, {"stopLossPrice": float(venue.away(ID, 1.1))})
    with refused("unknown order, cancel", ccxt.OrderNotFound, "-2011"):
        exchange.cancel_order("987654321", SYMBOL)
    with refused("unknown order, query", ccxt.OrderNotFound, "-2013"):
        exchange.fetch_order("987654321", SYMBOL)
    exchange.fapiPrivatePostOrder(order | {"newClientOrderId": "clients-twice"})
    with refused("duplicate id", ccxt.BaseError, "-4116"):
        exchange.fapiPrivatePostOrder(order | {"newClientOrderId": "clients-twice"})
    exchange.cancel_all_orders(SYMBOL)

refuses_keys_and_clocks(steps, lambda **other: ccxt_setup.usdm(venue, **other), lambda exchange: exchange.fapiPrivateV3GetAccount())

steps.finish()
