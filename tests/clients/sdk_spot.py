"""Binance's own SDK for spot (`binance-sdk-spot`): REST, WS-API, user data and streams, with its strict types."""

import asyncio
import time

from binance_common.errors import BadRequestError, UnauthorizedError
from sdk_setup import configurations, declared_types, kind_and_fields
from binance_sdk_spot.spot import Spot

from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("spot")
steps = Steps("binance-sdk-spot")
client = Spot(**configurations(venue))
rest = client.rest_api


def free(asset):
    return {row.asset: decimal(row.free) for row in rest.get_account().data().balances}[asset]


with steps("public REST fits the declared types"), declared_types():
    skew = abs(rest.time().data().server_time - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    rest.ping()
    (row,) = rest.exchange_info(symbol=SYMBOL).data().symbols
    same("assets", (row.base_asset, row.quote_asset, row.status), ("BTC", "USDT", "TRADING"))
    depth(rest.depth(SYMBOL, limit=10).data().to_dict(), 10)
    for answer in (
        rest.get_trades(SYMBOL, limit=5), rest.historical_trades(SYMBOL, limit=5), rest.agg_trades(SYMBOL, limit=5), rest.klines(SYMBOL, "1m", limit=5),
        rest.ui_klines(SYMBOL, "1m", limit=5),
    ):
        same("rows", len(answer.data()), 5)
    for answer in (
        rest.avg_price(SYMBOL), rest.ticker24hr(symbol=SYMBOL), rest.ticker24hr(symbols=[SYMBOL, "ETHUSDT"]), rest.ticker(symbol=SYMBOL), rest.ticker_trading_day(symbol=SYMBOL),
        rest.ticker_price(symbol=SYMBOL), rest.ticker_price(), rest.ticker_book_ticker(symbol=SYMBOL),
    ):
        holds("an answer", answer.data(), "something", answer.data())
    holds("used weight", any(limit.count for limit in rest.time().rate_limits), "counted", rest.time().rate_limits)

with steps("account"), declared_types():
    exact("free USDT", free("USDT"), 100_000)
    exact("taker", rest.account_commission(SYMBOL).data().standard_commission.taker, "0.001")

with steps("market order: fills, fee, balances, trades"), declared_types():
    usdt, btc = free("USDT"), free("BTC")
    order = rest.new_order(SYMBOL, "BUY", "MARKET", quantity="0.005").data()
    same("status", order.status, "FILLED")
    cost = total(decimal(fill.price) * decimal(fill.qty) for fill in order.fills)
    fee = total(fill.commission for fill in order.fills)
    exact("cost", order.cummulative_quote_qty, cost)
    exact("USDT", usdt - free("USDT"), cost)
    exact("BTC", free("BTC") - btc, decimal("0.005") - fee)
    trades = rest.my_trades(SYMBOL, order_id=order.order_id).data()
    same("trades", [row.id for row in trades], [fill.trade_id for fill in order.fills])

with steps("limit order: query, amend, amendments, cancel"), declared_types():
    price = plain(venue.away(SYMBOL, 0.95))
    order = rest.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.003", price=price, new_client_order_id="clients-amended").data()
    same("status", rest.get_order(SYMBOL, order_id=order.order_id).data().status, "NEW")
    amended = rest.order_amend_keep_priority(SYMBOL, "0.002", order_id=order.order_id).data()
    exact("quantity", amended.amended_order.qty, "0.002")
    same("amendments", len(rest.order_amendments(SYMBOL, order.order_id).data()), 1)
    same("open", [row.order_id for row in rest.get_open_orders(symbol=SYMBOL).data()], [order.order_id])
    same("cancelled", rest.delete_order(SYMBOL, order_id=order.order_id).data().status, "CANCELED")

with steps("cancel and replace"), declared_types():
    first = rest.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.002", price=price).data()
    both = rest.order_cancel_replace(
        SYMBOL, "BUY", "LIMIT", "STOP_ON_FAILURE", time_in_force="GTC", quantity="0.003", price=price, cancel_order_id=first.order_id
    ).data()
    same("results", (both.cancel_result, both.new_order_result), ("SUCCESS", "SUCCESS"))
    same("cancelled", len(rest.delete_open_orders(SYMBOL).data()), 1)

with steps("order lists: OCO, OTO, OTOCO"), declared_types():
    above, below, stop = (plain(venue.away(SYMBOL, factor)) for factor in (1.1, 0.9, 0.91))
    oco = rest.order_list_oco(
        SYMBOL, "SELL", "0.002", "LIMIT_MAKER", "STOP_LOSS_LIMIT", above_price=above, below_price=below, below_stop_price=stop, below_time_in_force="GTC"
    ).data()
    same("open lists", [row.order_list_id for row in rest.open_order_list().data()], [oco.order_list_id])
    same("ended", rest.delete_order_list(SYMBOL, order_list_id=oco.order_list_id).data().list_order_status, "ALL_DONE")
    oto = rest.order_list_oto(
        SYMBOL, "LIMIT", "BUY", price, "0.002", "LIMIT", "SELL", "0.002", working_time_in_force="GTC", pending_price=above, pending_time_in_force="GTC"
    ).data()
    same("states", sorted(row.status for row in oto.order_reports), ["NEW", "PENDING_NEW"])
    same("found", rest.get_order_list(order_list_id=oto.order_list_id).data().contingency_type, "OTO")
    rest.delete_order_list(SYMBOL, order_list_id=oto.order_list_id)
    otoco = rest.order_list_otoco(
        SYMBOL, "LIMIT", "BUY", price, "0.002", "SELL", "0.002", "LIMIT_MAKER", working_time_in_force="GTC", pending_above_price=above,
        pending_below_type="STOP_LOSS", pending_below_stop_price=below,
    ).data()
    same("orders", len(otoco.orders), 3)
    rest.delete_order_list(SYMBOL, order_list_id=otoco.order_list_id)
    same("lists of old", [row.order_list_id for row in rest.all_order_list().data()], [row.order_list_id for row in (oco, oto, otoco)])
    same("open", rest.get_open_orders(symbol=SYMBOL).data(), [])

with steps("history, counters, filters, what never happened"), declared_types():
    holds("orders", len(rest.all_orders(SYMBOL).data()) >= 10, "ten or more", len(rest.all_orders(SYMBOL).data()))
    holds("counters", rest.rate_limit_order().data(), "some", rest.rate_limit_order().data())
    same("prevented", rest.my_prevented_matches(SYMBOL, order_id=order.order_id).data(), [])
    same("allocations", rest.my_allocations(SYMBOL).data(), [])

with steps("refusals"):
    with refused("bad lot", BadRequestError, "-1013", "LOT_SIZE"):
        rest.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.0020001", price=price)
    with refused("balance", BadRequestError, "-2010"):
        rest.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="8", price=price)
    with refused("unknown order", BadRequestError, "-2011"):
        rest.delete_order(SYMBOL, order_id=987654321)
    with refused("unknown key", UnauthorizedError, "-2015"):
        Spot(**configurations(venue, key="k" * 64)).rest_api.get_account()
    with refused("bad signature", BadRequestError, "-1022"):
        Spot(**configurations(venue, secret="s" * 64)).rest_api.get_account()


async def ws_api():
    api = await client.websocket_api.create_connection()
    async with steps.waiting("WS-API: queries fit the declared types"):
        with declared_types():
            has("time", (await api.time()).data().to_dict(), "result")
            for answer in (
                await api.depth(SYMBOL, limit=5), await api.trades_recent(SYMBOL, limit=5), await api.trades_aggregate(SYMBOL, limit=5),
                await api.klines(SYMBOL, "1m", limit=5), await api.avg_price(SYMBOL), await api.ticker24hr(symbol=SYMBOL), await api.ticker_price(symbol=SYMBOL),
                await api.ticker_book(symbol=SYMBOL), await api.account_status(), await api.account_commission(SYMBOL), await api.all_orders(SYMBOL), await api.my_trades(SYMBOL),
                await api.account_rate_limits_orders(), await api.session_status(),
            ):
                # A model of several shapes wraps the one that it found.
                found = getattr(answer.data(), "actual_instance", answer.data())
                holds("result", found.result is not None, "something", found)
                holds("limits", answer.rate_limits, "counted", answer.rate_limits)

    async with steps.waiting("user data: the life of an order in typed events"):
        with declared_types():
            events = []
            subscription = await api.user_data_stream_subscribe_signature()
            subscription.stream.on("message", lambda event: events.append(kind_and_fields(event)))
            order = (await api.order_place(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.002", price=price)).data().result
            found = (await api.order_status(SYMBOL, order_id=order.order_id)).data().result
            same("status", found.status, "NEW")
            gone = (await api.order_cancel(SYMBOL, order_id=order.order_id)).data().result
            same("status", gone.status, "CANCELED")
            while [kind for kind, _ in events].count("ExecutionReport") < 2 or events[-1][0] != "OutboundAccountPosition":
                await asyncio.sleep(0.02)
            reports = [fields for kind, fields in events if kind == "ExecutionReport"]
            same("events", [(row["x"], row["X"]) for row in reports], [("NEW", "NEW"), ("CANCELED", "CANCELED")])
            free_now = {row["a"]: row["f"] for row in events[-1][1]["B"]}
            exact("free USDT", free_now["USDT"], free("USDT"))

    async with steps.waiting("WS-API: lists, amend, refusals"):
        oco = (
            await api.order_list_place_oco(
                SYMBOL, "SELL", "0.002", "LIMIT_MAKER", "STOP_LOSS_LIMIT", above_price=above, below_price=below, below_stop_price=stop, below_time_in_force="GTC"
            )
        ).data().result
        same("cancelled", (await api.order_list_cancel(SYMBOL, order_list_id=oco.order_list_id)).data().result.list_order_status, "ALL_DONE")
        refusal = (await api.order_place(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="8", price=price)).data()
        same("balance", refusal["error"]["code"], -2010)
        refusal = (await api.order_cancel(SYMBOL, order_id=987654321)).data()
        same("unknown order", refusal["error"]["code"], -2011)
    await client.websocket_api.close_connection()


async def streams():
    async with steps.waiting("streams: events fit the declared types", seconds=30):
        with declared_types():
            connection = await client.websocket_streams.create_connection()
            seen = {}
            for name, stream in (
                ("trade", await connection.trade(symbol=SYMBOL.lower())), ("aggTrade", await connection.agg_trade(symbol=SYMBOL.lower())),
                ("kline", await connection.kline(symbol=SYMBOL.lower(), interval="1m")), ("depth", await connection.diff_book_depth(symbol=SYMBOL.lower(), update_speed="100ms")),
                ("partial", await connection.partial_book_depth(symbol=SYMBOL.lower(), levels="5", update_speed="100ms")), ("touch", await connection.book_ticker(symbol=SYMBOL.lower())),
                ("mini", await connection.mini_ticker(symbol=SYMBOL.lower())), ("day", await connection.ticker(symbol=SYMBOL.lower())),
            ):
                stream.on("message", lambda event, name=name: seen.setdefault(name, event))
            while len(seen) < 8:
                await asyncio.sleep(0.05)
            same("symbol", seen["trade"].s, SYMBOL)
            listed = await connection.list_subscribe()
            holds("subscriptions", "btcusdt@trade" in str(listed), "all of them", listed)
            await client.websocket_streams.close_connection()


async def main():
    await ws_api()
    await streams()


asyncio.run(main())
steps.finish()
