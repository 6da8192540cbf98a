//! An order's life, several at once, and the venue's refusals.

use serde_json::{Value, json};

use super::{World, of, success};

const LIMIT: [(&str, &str); 6] =
    [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "0.01"), ("price", "49000")];

fn changed<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut order = LIMIT.to_vec();
    match order.iter_mut().find(|(known, _)| *known == name) {
        Some(pair) => pair.1 = value,
        None => order.push((name, value)),
    }
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_lives_and_every_way_of_asking_shows_it() {
    let world = World::binance().await;
    let placed = world.post("/fapi/v1/order", &changed("newClientOrderId", "mine-1")).await;
    assert_eq!((&placed["status"], &placed["price"], &placed["origQty"]), (&json!("NEW"), &json!("49000.00"), &json!("0.010")));
    let id = placed["orderId"].to_string();
    let by_id = [("symbol", "BTCUSDT"), ("orderId", id.as_str())];
    let by_client = [("symbol", "BTCUSDT"), ("origClientOrderId", "mine-1")];
    let open = world.get("/fapi/v1/openOrders", &[("symbol", "BTCUSDT")]).await;
    for shown in [world.get("/fapi/v1/order", &by_id).await, world.get("/fapi/v1/openOrder", &by_client).await] {
        assert_eq!(shown, open[0]);
    }

    let change = [&by_id[..], &[("side", "BUY"), ("quantity", "0.02"), ("price", "49100")]].concat();
    let modified = success(world.ask("PUT", "/fapi/v1/order", &change).await);
    assert_eq!((&modified["price"], &modified["origQty"], &modified["orderId"]), (&json!("49100.00"), &json!("0.020"), &placed["orderId"]));
    assert_eq!(world.refused("PUT", "/fapi/v1/order", &change).await, -5027);
    let amendments = world.get("/fapi/v1/orderAmendment", &by_client).await;
    assert_eq!(amendments[0]["amendment"]["price"], json!({ "before": "49000.00", "after": "49100.00" }));

    let cancelled = success(world.ask("DELETE", "/fapi/v1/order", &by_client).await);
    assert_eq!((&cancelled["status"], &cancelled["clientOrderId"]), (&json!("CANCELED"), &json!("mine-1")));
    assert_eq!(world.refused("DELETE", "/fapi/v1/order", &by_client).await, -2011);
    assert_eq!(world.refused("GET", "/fapi/v1/openOrder", &by_client).await, -2013);
    assert_eq!(world.get("/fapi/v1/order", &by_id).await["status"], "CANCELED");
    assert_eq!(world.get("/fapi/v1/allOrders", &[("symbol", "BTCUSDT")]).await[0]["status"], "CANCELED");
    assert_eq!(world.get("/fapi/v1/openOrders", &[]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_shows_the_order_as_it_came_and_a_result_as_it_stands() {
    let world = World::binance().await;
    let order = [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "MARKET"), ("quantity", "0.010")];
    let acknowledged = world.post("/fapi/v1/order", &order).await;
    assert_eq!((&acknowledged["status"], &acknowledged["executedQty"]), (&json!("NEW"), &json!("0.000")));
    let result = world.market("BUY", "0.010").await;
    assert_eq!((&result["status"], &result["executedQty"]), (&json!("FILLED"), &json!("0.010")));
    assert_eq!((of(&result["avgPrice"]), of(&result["cumQuote"])), (super::number("50000.1"), super::number("500.001")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_sent_empty_is_not_sent() {
    let world = World::binance().await;
    let mut order = LIMIT.to_vec();
    order.extend(["newOrderRespType", "positionSide", "workingType", "priceMatch", "selfTradePreventionMode"].map(|name| (name, "")));
    assert_eq!(world.post("/fapi/v1/order", &order).await["positionSide"], "BOTH");
    assert_eq!(world.get("/fapi/v1/forceOrders", &[("autoCloseType", "")]).await, json!([]));
    // What an order cannot do without is missed all the same, and a number has to be one.
    assert_eq!(world.refused("POST", "/fapi/v1/order", &changed("timeInForce", "")).await, -1102);
    assert_eq!(world.refused("POST", "/fapi/v1/order", &changed("type", "")).await, -1105);
    assert_eq!(world.refused("POST", "/fapi/v1/order", &changed("price", "")).await, -1105);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_what_it_can_and_answers_in_order() {
    let world = World::binance().await;
    let limit = |price: &str, id: &str| json!({ "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": price, "newClientOrderId": id });
    let stop = json!({ "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "40000" });
    let list = json!([limit("49000", "a"), limit("49000.05", "b"), stop, limit("48000", "c")]).to_string();
    let rows = world.post("/fapi/v1/batchOrders", &[("batchOrders", &list)]).await;
    let seen: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| row.get("code").unwrap_or(&row["status"])).collect();
    assert_eq!(seen, [&json!("NEW"), &json!(-4014), &json!(-4120), &json!("NEW")]);

    let change =
        |id: &str, price: &str| json!({ "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "price": price, "origClientOrderId": id });
    let list = json!([change("a", "49500"), change("gone", "49500")]).to_string();
    let rows = success(world.ask("PUT", "/fapi/v1/batchOrders", &[("batchOrders", &list)]).await);
    assert_eq!((&rows[0]["price"], &rows[1]["code"]), (&json!("49500.00"), &json!(-2013)));

    let names = [("symbol", "BTCUSDT"), ("origClientOrderIdList", r#"["a","gone","c"]"#)];
    let rows = success(world.ask("DELETE", "/fapi/v1/batchOrders", &names).await);
    assert_eq!((&rows[0]["status"], &rows[1]["code"], &rows[2]["status"]), (&json!("CANCELED"), &json!(-2011), &json!("CANCELED")));

    let names = [("symbol", "BTCUSDT"), ("orderidlist", "[1,\"2\"]")];
    let rows = success(world.ask("DELETE", "/fapi/v1/batchOrders", &names).await);
    assert_eq!((&rows[0]["code"], &rows[1]["code"]), (&json!(-2011), &json!(-2011)));

    let six = json!(vec![limit("49000", "x"); 6]).to_string();
    assert_eq!(world.refused("POST", "/fapi/v1/batchOrders", &[("batchOrders", &six)]).await, -4082);
    assert_eq!(world.refused("POST", "/fapi/v1/batchOrders", &[("batchOrders", "[{")]).await, -1135);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_venues_codes() {
    let world = World::binance().await;
    let order = "/fapi/v1/order";
    for (name, value, expected) in [
        ("symbol", "NOTHING", -1121),
        ("side", "HOLD", -1117),
        ("type", "STOP", -4120),
        ("timeInForce", "NOW", -1115),
        ("price", "49000.05", -4014),
        ("price", "49000.005", -1111),
        ("price", "0", -4001),
        ("price", "1", -4013),
        ("price", "99000", -4016),
        ("quantity", "0.0105", -1111),
        ("quantity", "0", -4003),
        ("quantity", "5000", -4005),
        ("quantity", "0.001", -4164),
        ("quantity", "900", -2019),
        ("positionSide", "LONG", -4061),
        ("reduceOnly", "true", -2022),
        ("newClientOrderId", "a b", -1100),
        ("selfTradePreventionMode", "SOMETIMES", -5039),
        ("priceMatch", "QUEUE", -1106),
    ] {
        assert_eq!(world.refused("POST", order, &changed(name, value)).await, expected, "{name}={value}");
    }
    let taker = |tif| [("timeInForce", tif), ("price", "50010")];
    for (tif, quantity, expected) in [("GTX", "0.01", -5022), ("FOK", "200", -2019)] {
        let mut asked = changed("quantity", quantity);
        asked.retain(|(name, _)| !matches!(*name, "timeInForce" | "price"));
        asked.extend(taker(tif));
        assert_eq!(world.refused("POST", order, &asked).await, expected, "{tif}");
    }
    world.post(order, &changed("newClientOrderId", "twice")).await;
    assert_eq!(world.refused("POST", order, &changed("newClientOrderId", "twice")).await, -4116);
    assert_eq!(world.refused("GET", order, &[("symbol", "BTCUSDT")]).await, -1102);
    let tested = world.post("/fapi/v1/order/test", &changed("newClientOrderId", "tried")).await;
    assert_eq!((&tested["clientOrderId"], &tested["status"]), (&json!("tried"), &json!("NEW")));
    assert_eq!(world.refused("GET", order, &[("symbol", "BTCUSDT"), ("origClientOrderId", "tried")]).await, -2013);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_can_be_taken_from_the_book() {
    let world = World::binance().await;
    let mut order = changed("priceMatch", "QUEUE_5");
    order.retain(|(name, _)| *name != "price");
    let placed = world.post("/fapi/v1/order", &order).await;
    assert_eq!((&placed["price"], &placed["priceMatch"]), (&json!("49999.60"), &json!("QUEUE_5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_orders_of_a_symbol_are_cancelled_by_request_and_by_the_dead_mans_switch() {
    let world = World::binance().await;
    let mut stream = world.user_stream().await;
    world.limit("BUY", "0.01", "49000").await;
    world.limit("BUY", "0.01", "48000").await;
    let done = success(world.ask("DELETE", "/fapi/v1/allOpenOrders", &[("symbol", "BTCUSDT")]).await);
    assert_eq!(done, json!({ "code": 200, "msg": "The operation of cancel all open order is done." }));
    assert_eq!(world.get("/fapi/v1/openOrders", &[]).await, json!([]));

    world.limit("BUY", "0.01", "47000").await;
    let armed = world.post("/fapi/v1/countdownCancelAll", &[("symbol", "BTCUSDT"), ("countdownTime", "50")]).await;
    assert_eq!(armed, json!({ "symbol": "BTCUSDT", "countdownTime": "50" }));
    loop {
        let update = stream.next_of("ORDER_TRADE_UPDATE").await;
        if update["o"]["p"] == "47000.00" && update["o"]["X"] == "CANCELED" {
            break;
        }
    }
}
