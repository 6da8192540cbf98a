"""An Ed25519 key instead of a secret, through three clients: signed REST, and a WS-API session that needs no more signatures."""

import asyncio
import os

from python_binance_setup import point_at

import ccxt_setup
from binance import Client
from binance.exceptions import BinanceAPIException
from binance_common.configuration import ConfigurationWebSocketAPI
from binance_sdk_spot.spot import Spot
from sdk_setup import declared_types, kind_and_fields
from support.steps import Steps, exact, has, refused, same
from support.venue import Venue, plain

SYMBOL = "BTCUSDT"
spot, usdm = Venue("spot"), Venue("usdm")
key = spot.accounts["signing"]["api_key"]
private_pem = os.environ["CLIENTS_ED25519"]
steps = Steps("ed25519")
point_at(spot, usdm)

with steps("ccxt signs spot's REST"):
    exchange = ccxt_setup.spot(spot, key=key, secret=private_pem)
    exact("free USDT", exchange.fetch_balance()["USDT"]["free"], 100_000)
    order = exchange.create_order("BTC/USDT", "limit", "buy", 0.002, float(spot.away(SYMBOL, 0.95)))
    same("cancelled", exchange.cancel_order(order["id"], "BTC/USDT")["status"], "canceled")

with steps("ccxt signs USD-M's REST"):
    exchange = ccxt_setup.usdm(usdm, key=key, secret=private_pem)
    exact("free USDT", exchange.fetch_balance()["USDT"]["free"], 100_000)

with steps("python-binance signs both"):
    client = Client(key, private_key=private_pem)
    exact("free USDT", client.get_asset_balance("USDT")["free"], 100_000)
    order = client.order_limit_buy(symbol=SYMBOL, quantity="0.002", price=plain(spot.away(SYMBOL, 0.95)))
    same("cancelled", client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])["status"], "CANCELED")
    has("futures account", client.futures_account(), "totalWalletBalance")

with steps("another's signature is refused"):
    with refused("a secret's signature", BinanceAPIException, "-1022"):
        Client(key, "s" * 64).get_account()


async def session():
    configuration = ConfigurationWebSocketAPI(api_key=key, private_key=private_pem, stream_url=spot.ws_api)
    client = Spot(config_ws_api=configuration)
    api = await client.websocket_api.create_connection()
    async with steps.waiting("a session: logged on once, then orders and user data without signatures"):
        with declared_types():
            logged_on = (await api.session_logon()).data().result
            same("key", logged_on.api_key, key)
            events = []
            subscription = await api.user_data_stream_subscribe()
            subscription.stream.on("message", lambda event: events.append(kind_and_fields(event)))
            price = plain(spot.away(SYMBOL, 0.95))
            order = (await api.order_place(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.002", price=price)).data().result
            same("cancelled", (await api.order_cancel(SYMBOL, order_id=order.order_id)).data().result.status, "CANCELED")
            while [fields["X"] for kind, fields in events if kind == "ExecutionReport"] != ["NEW", "CANCELED"]:
                await asyncio.sleep(0.02)
            same("session", (await api.session_status()).data().result.api_key, key)
            await api.session_logout()
    await client.websocket_api.close_connection()


asyncio.run(session())
steps.finish()
