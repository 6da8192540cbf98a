"""python-binance's blocking client over USD-M's REST."""

import time

from python_binance_setup import point_at

from binance import Client
from binance.exceptions import BinanceAPIException
from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("usdm")
steps = Steps("python-binance usdm")
point_at(usdm=venue)
# The constructor would ping spot.
client = Client(venue.key, venue.secret, ping=False)


def wallet():
    (row,) = [row for row in client.futures_account_balance() if row["asset"] == "USDT"]
    return decimal(row["balance"])


def amount():
    return sum((decimal(row["positionAmt"]) for row in client.futures_position_information(symbol=SYMBOL)), decimal(0))


with steps("general"):
    client.futures_ping()
    skew = abs(client.futures_time()["serverTime"] - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    (info,) = [row for row in client.futures_exchange_info()["symbols"] if row["symbol"] == SYMBOL]
    same("contract", (info["contractType"], info["marginAsset"], info["status"]), ("PERPETUAL", "USDT", "TRADING"))

with steps("market data"):
    book = client.futures_order_book(symbol=SYMBOL, limit=10)
    depth(book, 10)
    has("book", book, "E", "T", "lastUpdateId")
    has("trade", client.futures_recent_trades(symbol=SYMBOL, limit=5)[0], "id", "price", "qty", "quoteQty", "time", "isBuyerMaker")
    has("aggregated trade", client.futures_aggregate_trades(symbol=SYMBOL, limit=5)[0], "a", "p", "q", "T")
    same("candles", len(client.futures_klines(symbol=SYMBOL, interval="1m", limit=5)), 5)
    same("marks", len(client.futures_mark_price_klines(symbol=SYMBOL, interval="1m", limit=5)), 5)
    same("continuous", len(client.futures_continuous_klines(pair=SYMBOL, contractType="PERPETUAL", interval="1m", limit=5)), 5)
    has("mark", client.futures_mark_price(symbol=SYMBOL), "markPrice", "indexPrice", "lastFundingRate", "nextFundingTime")
    holds("funding", isinstance(client.futures_funding_rate(symbol=SYMBOL, limit=2), list), "a list", "something else")
    has("day", client.futures_ticker(symbol=SYMBOL), "lastPrice", "volume", "count")
    has("price", client.futures_symbol_ticker(symbol=SYMBOL), "price", "time")
    has("touch", client.futures_orderbook_ticker(symbol=SYMBOL), "bidPrice", "askQty")
    has("open interest", client.futures_open_interest(symbol=SYMBOL), "openInterest", "time")

with steps("account"):
    exact("wallet", wallet(), 100_000)
    account = client.futures_account()
    same("may trade", account["canTrade"], True)
    exact("total", account["totalWalletBalance"], 100_000)
    exact("commission", client.futures_commission_rate(symbol=SYMBOL)["takerCommissionRate"], "0.0005")
    has("brackets", client.futures_leverage_bracket(symbol=SYMBOL)[0], "brackets")
    has("account's settings", client.futures_account_config(), "feeTier", "dualSidePosition", "multiAssetsMargin")
    same("assets as one", client.futures_get_multi_assets_mode()["multiAssetsMargin"], False)

with steps("leverage, margin type, position mode"):
    same("leverage", client.futures_change_leverage(symbol=SYMBOL, leverage=9)["leverage"], 9)
    same("margin type", client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")["code"], 200)
    (shown,) = client.futures_symbol_config(symbol=SYMBOL)
    same("shown", (shown["leverage"], shown["marginType"]), (9, "ISOLATED"))
    with refused("the same again", BinanceAPIException, "-4046"):
        client.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
    client.futures_change_margin_type(symbol=SYMBOL, marginType="CROSSED")
    client.futures_change_position_mode(dualSidePosition=True)
    same("hedged", client.futures_get_position_mode()["dualSidePosition"], True)
    client.futures_change_position_mode(dualSidePosition="false")

with steps("market order opens a position, fee to the last digit"):
    before = wallet()
    order = client.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01", newOrderRespType="RESULT")
    same("status", order["status"], "FILLED")
    trades = client.futures_account_trades(symbol=SYMBOL, orderId=order["orderId"])
    cost = total(decimal(row["price"]) * decimal(row["qty"]) for row in trades)
    fees = total(row["commission"] for row in trades)
    exact("fee", fees, cost * decimal("0.0005"))
    exact("wallet", wallet(), before - fees)
    exact("position", amount(), "0.01")
    (held,) = client.futures_position_information(symbol=SYMBOL)
    exact("entry", held["entryPrice"], cost / decimal("0.01"))

with steps("limit order: query, modify, cancel"):
    price = plain(venue.away(SYMBOL, 0.95))
    order = client.futures_create_order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.004", price=price)
    same("status", order["status"], "NEW")
    same("found", client.futures_get_order(symbol=SYMBOL, orderId=order["orderId"])["clientOrderId"], order["clientOrderId"])
    same("open", [row["orderId"] for row in client.futures_get_open_orders(symbol=SYMBOL)], [order["orderId"]])
    changed = client.futures_modify_order(symbol=SYMBOL, side="BUY", orderId=order["orderId"], quantity="0.005", price=price)
    exact("quantity", changed["origQty"], "0.005")
    same("cancelled", client.futures_cancel_order(symbol=SYMBOL, orderId=order["orderId"])["status"], "CANCELED")

with steps("batch, with one refused among them"):
    row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004", "price": price}
    placed = client.futures_place_batch_order(batchOrders=[dict(row), dict(row, quantity="0.00405")])
    same("first", placed[0]["status"], "NEW")
    same("second", placed[1]["code"], -1111)
    gone = client.futures_cancel_orders(symbol=SYMBOL, orderidlist=[placed[0]["orderId"], 987654321])
    same("first", gone[0]["status"], "CANCELED")
    same("second", gone[1]["code"], -2011)

with steps("conditional orders"):
    stop = client.futures_create_order(symbol=SYMBOL, side="SELL", type="STOP_MARKET", stopPrice=plain(venue.away(SYMBOL, 0.9)), closePosition="true")
    same("state", stop["algoStatus"], "NEW")
    take = client.futures_create_order(
        symbol=SYMBOL, side="SELL", type="TAKE_PROFIT", quantity="0.005", price=plain(venue.away(SYMBOL, 1.1)), stopPrice=plain(venue.away(SYMBOL, 1.1)), timeInForce="GTC"
    )
    same("open", {row["algoId"] for row in client.futures_get_open_algo_orders(symbol=SYMBOL)}, {stop["algoId"], take["algoId"]})
    same("found", client.futures_get_algo_order(algoId=stop["algoId"])["closePosition"], True)
    same("cancelled", client.futures_cancel_algo_order(algoId=stop["algoId"])["code"], "200")
    client.futures_cancel_all_algo_open_orders(symbol=SYMBOL)
    same("left", client.futures_get_open_algo_orders(symbol=SYMBOL), [])
    has("history", {row["algoId"]: row for row in client.futures_get_all_algo_orders(symbol=SYMBOL)}[stop["algoId"]], "algoStatus")

with steps("close, income, history"):
    client.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.01", reduceOnly="true")
    exact("position", amount(), 0)
    kinds = {row["incomeType"] for row in client.futures_income_history(symbol=SYMBOL)}
    holds("income", {"COMMISSION", "REALIZED_PNL"} <= kinds, "COMMISSION and REALIZED_PNL", kinds)
    holds("history", order["orderId"] in {row["orderId"] for row in client.futures_get_all_orders(symbol=SYMBOL)}, "the order", "without it")

with steps("dead-man's switch and cancel all"):
    client.futures_create_order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.004", price=price)
    same("armed", client.futures_countdown_cancel_all(symbol=SYMBOL, countdownTime=300)["symbol"], SYMBOL)
    deadline = time.time() + 5
    while client.futures_get_open_orders(symbol=SYMBOL) and time.time() < deadline:
        time.sleep(0.1)
    same("open after it", client.futures_get_open_orders(symbol=SYMBOL), [])
    client.futures_create_order(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.004", price=price)
    same("cancel all", client.futures_cancel_all_open_orders(symbol=SYMBOL)["code"], 200)

with steps("refusals"):
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004", "price": price}
    for what, code, change in (
        ("bad lot", "-1111", {"quantity": "0.00405"}),
        ("too small", "-4164", {"quantity": "0.001"}),
        ("margin", "-2019", {"quantity": "90"}),
        ("unknown symbol", "-1121", {"symbol": "NOSUCH"}),
    ):
        with refused(what, BinanceAPIException, code):
            client.futures_create_order(**(order | change))
    with refused("unknown order", BinanceAPIException, "-2011"):
        client.futures_cancel_order(symbol=SYMBOL, orderId=987654321)
    with refused("unknown key", BinanceAPIException, "-2015"):
        Client("k" * 64, venue.secret, ping=False).futures_account()
    with refused("bad signature", BinanceAPIException, "-1022"):
        Client(venue.key, "s" * 64, ping=False).futures_account()

steps.finish()
