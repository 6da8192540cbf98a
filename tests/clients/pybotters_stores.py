"""pybotters on both products: signed requests with form bodies, and data stores that follow streams and user data."""

import asyncio
import warnings

import pybotters
from pybotters.auth import Hosts
from yarl import URL

from support.steps import Steps, decimal, exact, holds, same
from support.venue import Venue, plain

SYMBOL = "BTCUSDT"
spot, usdm = Venue("spot"), Venue("usdm")
steps = Steps("pybotters")
# It uses a parameter that aiohttp has deprecated.
warnings.filterwarnings("ignore", category=DeprecationWarning)
# What it signs for is a table of hosts; both products answer at one.
Hosts.items[URL(spot.rest).host] = Hosts.items["api.binance.com"]


async def asked(waiting):
    response = await waiting
    return response.status, await response.json()


async def until(store, look):
    """The first thing that `look` finds in a store, now or after one of its changes."""
    while not (found := look(store)):
        await store.wait()
    return found


async def follow(client, venue, store, trades):
    """A store that hears the market and begins with a snapshot, as the library wants it."""
    names = [f"btcusdt@{name}" for name in (trades, "kline_1m", "depth@100ms", "miniTicker")]
    command = {"method": "SUBSCRIBE", "params": names, "id": 1}
    await client.ws_connect(venue.ws + "/ws", send_json=command, hdlr_json=store.onmessage)
    await until(store.trade, lambda trade: trade.find())
    base = venue.rest + ("/api/v3" if venue is spot else "/fapi/v1")
    await store.initialize(
        client.get(base + "/depth", params={"symbol": SYMBOL, "limit": 1000}),
        client.get(base + "/klines", params={"symbol": SYMBOL, "interval": "1m"}),
    )
    book = await until(store.orderbook, lambda book: book.sorted() if book.initialized else None)
    bid, ask = decimal(book["b"][0]["p"]), decimal(book["a"][0]["p"])
    holds("touch", bid < ask, "bid below ask", (bid, ask))
    holds("bars", len(store.kline) > 400, "the past", len(store.kline))
    await until(store.ticker, lambda ticker: ticker.find({"s": SYMBOL}))


async def orders_on_spot(client):
    base = spot.rest + "/api/v3"
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": plain(spot.away(SYMBOL, 0.95))}
    status, placed = await asked(client.post(base + "/order", data=order))
    same("placed", (status, placed["status"]), (200, "NEW"))
    status, cancelled = await asked(client.delete(base + "/order", data={"symbol": SYMBOL, "orderId": str(placed["orderId"])}))
    same("cancelled", (status, cancelled["status"]), (200, "CANCELED"))
    status, told = await asked(client.post(base + "/order", data=order | {"quantity": "0.0000101"}))
    same("lot", (status, told["code"]), (400, -1013))


async def orders_on_usdm(client, store):
    base = usdm.rest + "/fapi/v1"
    await store.initialize(
        client.get(usdm.rest + "/fapi/v2/balance"), client.get(usdm.rest + "/fapi/v2/positionRisk"), client.get(base + "/openOrders"), client.post(base + "/listenKey"),
    )
    await client.ws_connect(f"{usdm.ws}/private/ws/{store.listenkey}", hdlr_json=store.onmessage)
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": plain(usdm.away(SYMBOL, 0.97))}
    _, placed = await asked(client.post(base + "/order", data=order))
    (resting,) = await until(store.order, lambda orders: orders.find({"i": placed["orderId"]}))
    same("resting", (resting["X"], resting["p"]), ("NEW", placed["price"]))
    await asked(client.delete(base + "/allOpenOrders", data={"symbol": SYMBOL}))
    await until(store.order, lambda orders: not orders.find({"i": placed["orderId"]}))
    await asked(client.post(base + "/order", data={"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.01"}))
    (position,) = await until(store.position, lambda positions: [row for row in positions.find({"s": SYMBOL}) if decimal(row["pa"])])
    exact("position", position["pa"], "0.01")
    wallet = store.balance.find({"a": "USDT"})[0]["wb"]
    holds("wallet", 99_990 < decimal(wallet) < 100_000, "the funds without a fee", wallet)


async def main():
    async with pybotters.Client(apis={"binance": [spot.key, spot.secret]}) as client, pybotters.Client() as public:
        async with steps.waiting("spot: a store follows the market"):
            await follow(public, spot, pybotters.BinanceSpotDataStore(), "trade")
        async with steps.waiting("spot: an order lives and a bad lot is refused"):
            await orders_on_spot(client)
        store = pybotters.BinanceUSDSMDataStore()
        async with steps.waiting("usdm: a store follows the market"):
            await follow(public, usdm, store, "aggTrade")
        async with steps.waiting("usdm: a store follows orders, positions and balances"):
            await orders_on_usdm(client, store)


asyncio.run(main())
steps.finish()
