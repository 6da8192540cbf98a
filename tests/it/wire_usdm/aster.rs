//! USD-M as Aster has it.

use ringfence::exchange::wire::Dialect;
use serde_json::json;

use super::World;

const STOP: [(&str, &str); 5] =
    [("symbol", "BTCUSDT"), ("side", "SELL"), ("type", "STOP_MARKET"), ("quantity", "0.010"), ("stopPrice", "49900")];

#[tokio::test(flavor = "multi_thread")]
async fn conditional_orders_are_orders_and_there_is_no_algo_service() {
    let world = World::open(Dialect::Aster).await;
    // Its sockets have no routes.
    let mut stream = world.socket(&format!("/ws/{}", world.listen_key().await)).await;
    let placed = world.post("/fapi/v1/order", &[&STOP[..], &[("stpMode", "EXPIRE_TAKER")]].concat()).await;
    assert_eq!((&placed["type"], &placed["stopPrice"], &placed["status"]), (&json!("STOP_MARKET"), &json!("49900.00"), &json!("NEW")));
    assert_eq!(world.get("/fapi/v1/openOrders", &[]).await[0]["orderId"], placed["orderId"]);
    assert_eq!(stream.next().await["o"]["ot"], "STOP_MARKET");
    // Nor do its commands need an id.
    stream.send(json!({ "method": "LIST_SUBSCRIPTIONS" })).await;
    assert_eq!(stream.next().await["id"], json!(null));
    let (status, _) = world.ask("POST", "/fapi/v1/algoOrder", &STOP).await;
    assert_eq!(status, 404);
    world.trade_at(498_990);
    let filled = loop {
        let event = stream.next().await;
        assert!(event["e"] != "TRADE_LITE" && event["e"] != "ALGO_UPDATE", "{event}");
        if event["o"]["X"] == "FILLED" {
            break event;
        }
    };
    assert_eq!((&filled["o"]["o"], &filled["o"]["ot"]), (&json!("MARKET"), &json!("STOP_MARKET")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_paths_have_the_same_orders_and_there_are_hidden_ones() {
    let world = World::open(Dialect::Aster).await;
    let order =
        [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "HIDDEN"), ("quantity", "0.01"), ("price", "49000")];
    let placed = world.post("/fapi/v3/order", &order).await;
    let open = world.get("/fapi/v3/openOrders", &[("symbol", "BTCUSDT")]).await;
    assert_eq!(open[0]["orderId"], placed["orderId"]);
    let dated: Vec<_> = order.into_iter().map(|(name, value)| if name == "timeInForce" { (name, "GTD") } else { (name, value) }).collect();
    assert_eq!(world.refused("POST", "/fapi/v1/order", &dated).await, -1115);
}
