"""Binance's own SDK for USD-M futures: REST, WS-API, user data and routed streams, with its strict types."""

import asyncio
import time

from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from sdk_setup import configurations, declared_types, kind_and_fields

from support.steps import Steps, decimal, exact, has, holds, refused, same, total
from support.venue import Venue, depth, plain

SYMBOL = "BTCUSDT"
venue = Venue("usdm")
steps = Steps("binance-sdk usdm")
client = DerivativesTradingUsdsFutures(**configurations(venue))
rest = client.rest_api


def wallet():
    return {row.asset: decimal(row.balance) for row in rest.futures_account_balance_v3().data()}["USDT"]


def amount():
    return sum((decimal(row.position_amt) for row in rest.position_information_v3(symbol=SYMBOL).data()), decimal(0))


with steps("public REST fits the declared types"), declared_types():
    skew = abs(rest.check_server_time().data().server_time - time.time() * 1000)
    holds("the server's time", skew < 1000, "within a second of ours", skew)
    (row,) = [row for row in rest.exchange_information().data().symbols if row.symbol == SYMBOL]
    same("contract", (row.contract_type, row.margin_asset, row.status), ("PERPETUAL", "USDT", "TRADING"))
    depth(rest.order_book(SYMBOL, limit=10).data().to_dict(), 10)
    for answer in (
        rest.recent_trades_list(SYMBOL, limit=5), rest.compressed_aggregate_trades_list(SYMBOL, limit=5), rest.kline_candlestick_data(SYMBOL, "1m", limit=5),
        rest.mark_price_kline_candlestick_data(SYMBOL, "1m", limit=5), rest.index_price_kline_candlestick_data(SYMBOL, "1m", limit=5),
        rest.continuous_contract_kline_candlestick_data(SYMBOL, "PERPETUAL", "1m", limit=5),
    ):
        same("rows", len(answer.data()), 5)
    for answer in (
        rest.mark_price(symbol=SYMBOL), rest.mark_price(), rest.get_funding_rate_info(), rest.ticker24hr_price_change_statistics(symbol=SYMBOL), rest.symbol_price_ticker(symbol=SYMBOL),
        rest.symbol_price_ticker_v2(symbol=SYMBOL), rest.symbol_order_book_ticker(symbol=SYMBOL), rest.open_interest(SYMBOL), rest.get_funding_rate_history(symbol=SYMBOL),
    ):
        holds("an answer", answer.data() is not None, "something", answer.data())

with steps("account fits the declared types"), declared_types():
    exact("wallet", wallet(), 100_000)
    same("may trade", rest.account_information_v2().data().can_trade, True)
    exact("total", rest.account_information_v3().data().total_wallet_balance, 100_000)
    has("settings", rest.futures_account_configuration().data().to_dict(), "feeTier", "canTrade")
    exact("taker", rest.user_commission_rate(SYMBOL).data().taker_commission_rate, "0.0005")
    for answer in (
        rest.notional_and_leverage_brackets(symbol=SYMBOL), rest.get_current_position_mode(), rest.get_current_multi_assets_mode(), rest.query_user_rate_limit(),
        rest.symbol_configuration(symbol=SYMBOL), rest.get_income_history(), rest.position_information_v2(symbol=SYMBOL),
    ):
        holds("an answer", answer.data() is not None, "something", answer.data())

with steps("leverage, margin type, position mode"), declared_types():
    same("leverage", rest.change_initial_leverage(SYMBOL, 8).data().leverage, 8)
    rest.change_margin_type(SYMBOL, "ISOLATED")
    (shown,) = rest.symbol_configuration(symbol=SYMBOL).data()
    same("shown", (shown.leverage, shown.margin_type), (8, "ISOLATED"))
    with refused("the same again", BadRequestError, "-4046"):
        rest.change_margin_type(SYMBOL, "ISOLATED")
    rest.change_margin_type(SYMBOL, "CROSSED")
    rest.change_position_mode("true")
    same("hedged", rest.get_current_position_mode().data().dual_side_position, True)

with steps("hedge mode keeps a long and a short apart"), declared_types():
    rest.new_order(SYMBOL, "BUY", "MARKET", position_side="LONG", quantity="0.005")
    rest.new_order(SYMBOL, "SELL", "MARKET", position_side="SHORT", quantity="0.004")
    held = {row.position_side: decimal(row.position_amt) for row in rest.position_information_v3(symbol=SYMBOL).data()}
    same("positions", held, {"LONG": decimal("0.005"), "SHORT": decimal("-0.004")})
    rest.new_order(SYMBOL, "SELL", "MARKET", position_side="LONG", quantity="0.005")
    rest.new_order(SYMBOL, "BUY", "MARKET", position_side="SHORT", quantity="0.004")
    rest.change_position_mode("false")

with steps("market order opens a position, fee to the last digit"), declared_types():
    before = wallet()
    order = rest.new_order(SYMBOL, "BUY", "MARKET", quantity="0.01", new_order_resp_type="RESULT").data()
    same("status", order.status, "FILLED")
    trades = rest.account_trade_list(SYMBOL, order_id=order.order_id).data()
    fees = total(row.commission for row in trades)
    exact("fee", fees, total(decimal(row.price) * decimal(row.qty) for row in trades) * decimal("0.0005"))
    exact("wallet", wallet(), before - fees)
    exact("position", amount(), "0.01")

with steps("limit order: query, modify, cancel, batch"), declared_types():
    price = plain(venue.away(SYMBOL, 0.95))
    order = rest.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.004", price=price).data()
    same("status", rest.query_order(SYMBOL, order_id=order.order_id).data().status, "NEW")
    same("open", [row.order_id for row in rest.current_all_open_orders(symbol=SYMBOL).data()], [order.order_id])
    exact("quantity", rest.modify_order(SYMBOL, "BUY", "0.005", price, order_id=order.order_id).data().orig_qty, "0.005")
    same("amendments", len(rest.get_order_modify_history(SYMBOL, order_id=order.order_id).data()), 1)
    same("cancelled", rest.cancel_order(SYMBOL, order_id=order.order_id).data().status, "CANCELED")
    row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.004", "price": price}
    placed = rest.place_multiple_orders([row, row]).data()
    same("placed", [row.status for row in placed], ["NEW", "NEW"])
    gone = rest.cancel_multiple_orders(SYMBOL, order_id_list=[row.order_id for row in placed]).data()
    same("cancelled", [row.status for row in gone], ["CANCELED", "CANCELED"])

with steps("conditional orders"), declared_types():
    stop = rest.new_algo_order("CONDITIONAL", SYMBOL, "SELL", "STOP_MARKET", quantity="0.005", trigger_price=plain(venue.away(SYMBOL, 0.9))).data()
    same("state", stop.algo_status, "NEW")
    same("open", [row.algo_id for row in rest.current_all_algo_open_orders(symbol=SYMBOL).data()], [stop.algo_id])
    same("found", rest.query_algo_order(algo_id=stop.algo_id).data().order_type, "STOP_MARKET")
    same("cancelled", rest.cancel_algo_order(algo_id=stop.algo_id).data().code, "200")
    rest.new_algo_order("CONDITIONAL", SYMBOL, "SELL", "TRAILING_STOP_MARKET", quantity="0.005", callback_rate="1")
    rest.cancel_all_algo_open_orders(SYMBOL)
    same("history", len(rest.query_all_algo_orders(SYMBOL).data()), 2)

with steps("refusals"):
    for what, code, change in (("bad lot", "-1111", {"quantity": "0.00405"}), ("too small", "-4164", {"quantity": "0.001"}), ("margin", "-2019", {"quantity": "90"})):
        with refused(what, BadRequestError, code):
            rest.new_order(SYMBOL, "BUY", "LIMIT", **({"time_in_force": "GTC", "quantity": "0.004", "price": price} | change))
    with refused("unknown order", BadRequestError, "-2011"):
        rest.cancel_order(SYMBOL, order_id=987654321)
    with refused("unknown key", UnauthorizedError, "-2015"):
        DerivativesTradingUsdsFutures(**configurations(venue, key="k" * 64)).rest_api.account_information_v3()
    with refused("bad signature", BadRequestError, "-1022"):
        DerivativesTradingUsdsFutures(**configurations(venue, secret="s" * 64)).rest_api.account_information_v3()


async def streams():
    connection = await client.websocket_streams.create_connection()
    async with steps.waiting("user data: an order's life in typed events", seconds=20):
        with declared_types():
            events = []

            def of(kind, field):
                return [fields[field] for name, fields in events if name == kind]

            key = rest.start_user_data_stream().data().listen_key
            stream = await connection.user_data(key)
            stream.on("message", lambda event: events.append(kind_and_fields(event)))
            await asyncio.sleep(0.3)
            before = wallet()
            order = (await asyncio.to_thread(rest.new_order, SYMBOL, "SELL", "MARKET", quantity="0.01", reduce_only="true")).data()
            while not (updates := of("AccountUpdate", "a")) or not any(report["X"] == "FILLED" for report in of("OrderTradeUpdate", "o")):
                await asyncio.sleep(0.02)
            filled = next(report for report in of("OrderTradeUpdate", "o") if report["X"] == "FILLED")
            same("id", filled["i"], order.order_id)
            update = updates[-1]
            exact("wallet", update["B"][0]["wb"], wallet())
            reports = [report for report in of("OrderTradeUpdate", "o") if report["x"] == "TRADE"]
            exact("wallet, by events", before + total(row["rp"] for row in reports) - total(row["n"] for row in reports), wallet())
            exact("position", update["P"][0]["pa"], 0)
            await asyncio.to_thread(rest.keepalive_user_data_stream)

    async with steps.waiting("streams: events fit the declared types", seconds=30):
        with declared_types():
            seen = {}
            symbol = SYMBOL.lower()
            for name, stream in (
                ("aggTrade", await connection.aggregate_trade_streams(symbol=symbol)), ("kline", await connection.kline_candlestick_streams(symbol=symbol, interval="1m")),
                ("mark", await connection.mark_price_stream(symbol=symbol, update_speed="1s")), ("mini", await connection.individual_symbol_mini_ticker_stream(symbol=symbol)),
                ("day", await connection.individual_symbol_ticker_streams(symbol=symbol)), ("touch", await connection.individual_symbol_book_ticker_streams(symbol=symbol)),
                ("partial", await connection.partial_book_depth_streams(symbol=symbol, levels="5", update_speed="100ms")),
                ("depth", await connection.diff_book_depth_streams(symbol=symbol, update_speed="100ms")),
            ):
                stream.on("message", lambda event, name=name: seen.setdefault(name, event))
            while len(seen) < 8:
                await asyncio.sleep(0.05)
            same("symbol", seen["aggTrade"].s, SYMBOL)
    await client.websocket_streams.close_connection()


async def ws_api():
    api = await client.websocket_api.create_connection()
    async with steps.waiting("WS-API: orders and queries fit the declared types"):
        with declared_types():
            order = (await api.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="0.004", price=price)).data().result
            same("status", (await api.query_order(SYMBOL, order_id=order.order_id)).data().result.status, "NEW")
            exact("quantity", (await api.modify_order(SYMBOL, "BUY", "0.005", price, order_id=order.order_id)).data().result.orig_qty, "0.005")
            same("cancelled", (await api.cancel_order(SYMBOL, order_id=order.order_id)).data().result.status, "CANCELED")
            stop = (await api.new_algo_order("CONDITIONAL", SYMBOL, "BUY", "STOP_MARKET", quantity="0.005", trigger_price=plain(venue.away(SYMBOL, 1.1)))).data().result
            same("cancelled", (await api.cancel_algo_order(algo_id=stop.algo_id)).data().result.code, "200")
            for answer in (
                await api.order_book(SYMBOL, limit=5), await api.symbol_price_ticker(symbol=SYMBOL), await api.symbol_order_book_ticker(symbol=SYMBOL), await api.account_information_v2(),
                await api.futures_account_balance_v2(), await api.position_information_v2(), await api.start_user_data_stream(),
            ):
                # A model of several shapes wraps the one that it found.
                found = getattr(answer.data(), "actual_instance", answer.data())
                holds("result", found.result is not None, "something", found)
                holds("limits", answer.rate_limits, "counted", answer.rate_limits)
            refusal = (await api.new_order(SYMBOL, "BUY", "LIMIT", time_in_force="GTC", quantity="90", price=price)).data()
            same("margin", refusal["error"]["code"], -2019)
    await client.websocket_api.close_connection()


async def main():
    await streams()
    await ws_api()


asyncio.run(main())
steps.finish()
