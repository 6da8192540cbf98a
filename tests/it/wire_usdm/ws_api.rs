//! The same requests through the WebSocket API.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Socket, World};

/// Asks as `alpha`; parameters are signed sorted by name, as the venue wants it.
async fn ask(world: &World, socket: &mut Socket, method: &str, parameters: &[(&str, Value)]) -> Value {
    let mut all: BTreeMap<&str, Value> = parameters.iter().map(|(name, value)| (*name, value.clone())).collect();
    all.insert("apiKey", json!("alpha-key"));
    all.insert("timestamp", json!((world.clock)().as_millis()));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let payload: Vec<String> = all.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(payload.join("&").as_bytes());
    all.insert("signature", json!(hex::encode(mac.finalize().into_bytes())));
    send(socket, method, &json!(all)).await
}

async fn send(socket: &mut Socket, method: &str, parameters: &Value) -> Value {
    socket.send(json!({ "id": "a-1", "method": method, "params": parameters })).await;
    let answer = socket.next().await;
    assert_eq!(answer["id"], "a-1", "{answer}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_algo_orders_and_the_account_are_served() {
    let world = World::binance().await;
    let mut socket = world.socket("/ws-fapi/v1").await;
    let limit = [
        ("symbol", json!("BTCUSDT")),
        ("side", json!("BUY")),
        ("type", json!("LIMIT")),
        ("timeInForce", json!("GTC")),
        ("quantity", json!("0.01")),
        ("price", json!("49000")),
        ("returnRateLimits", json!(false)),
    ];
    let placed = ask(&world, &mut socket, "order.place", &limit).await;
    assert_eq!((&placed["status"], &placed["result"]["status"]), (&json!(200), &json!("NEW")), "{placed}");
    // Some clients send ids as texts.
    let name = [("symbol", json!("BTCUSDT")), ("orderId", json!(placed["result"]["orderId"].to_string()))];
    let change = [&name[..], &[("side", json!("BUY")), ("quantity", json!("0.01")), ("price", json!("49100"))]].concat();
    assert_eq!(ask(&world, &mut socket, "order.modify", &change).await["result"]["price"], "49100.00");
    assert_eq!(ask(&world, &mut socket, "order.status", &name).await["result"]["status"], "NEW");
    assert_eq!(ask(&world, &mut socket, "order.cancel", &name).await["result"]["status"], "CANCELED");
    let again = ask(&world, &mut socket, "order.cancel", &name).await;
    assert_eq!((&again["status"], &again["error"]["code"]), (&json!(400), &json!(-2011)));

    let stop = [
        ("algoType", json!("CONDITIONAL")),
        ("symbol", json!("BTCUSDT")),
        ("side", json!("SELL")),
        ("type", json!("STOP_MARKET")),
        ("quantity", json!("0.010")),
        ("triggerPrice", json!("49000")),
    ];
    let algo = ask(&world, &mut socket, "algoOrder.place", &stop).await;
    assert_eq!(algo["result"]["algoStatus"], "NEW", "{algo}");
    let cancelled = ask(&world, &mut socket, "algoOrder.cancel", &[("algoId", algo["result"]["algoId"].clone())]).await;
    assert_eq!(cancelled["result"]["code"], "200");

    for method in
        ["account.status", "v2/account.status", "account.balance", "v2/account.balance", "account.position", "v2/account.position"]
    {
        assert_eq!(ask(&world, &mut socket, method, &[]).await["status"], 200, "{method}");
    }
    let key = send(&mut socket, "userDataStream.start", &json!({ "apiKey": "alpha-key" })).await;
    assert_eq!(key["result"]["listenKey"], world.listen_key().await.as_str());
    assert_eq!(send(&mut socket, "userDataStream.stop", &json!({ "apiKey": "alpha-key" })).await["result"], json!({}));
}
