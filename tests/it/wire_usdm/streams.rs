//! Listen keys and the sockets that they open.

use std::time::Duration;

use serde_json::json;

use super::{World, success};

#[tokio::test(flavor = "multi_thread")]
async fn a_listen_key_is_the_accounts_own_until_it_runs_out_or_is_ended() {
    let world = World::binance().await;
    let key = world.listen_key().await;
    assert_eq!(key.len(), 64);
    assert_eq!(world.listen_key().await, key);
    let renewed = success(world.send("alpha", "PUT", "/fapi/v1/listenKey").await);
    assert_eq!(renewed["listenKey"], key.as_str());
    assert_eq!(success(world.send("alpha", "DELETE", "/fapi/v1/listenKey").await), json!({}));
    let (status, refused) = world.send("alpha", "PUT", "/fapi/v1/listenKey").await;
    assert_eq!((status, &refused["code"]), (400, &json!(-1125)));
    assert_ne!(world.listen_key().await, key);
    assert_eq!(world.send("nobody", "POST", "/fapi/v1/listenKey").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_listen_hears_the_same_event() {
    let world = World::binance().await;
    let key = world.listen_key().await;
    let mut raw = Vec::new();
    for path in [format!("/ws/{key}"), format!("/private/ws/{key}"), format!("/private/ws?listenKey={key}"), format!("/ws?listenKey={key}")]
    {
        raw.push(world.socket(&path).await);
    }
    for path in ["/ws", "/private/ws"] {
        let mut socket = world.socket(path).await;
        socket.send(json!({ "method": "SUBSCRIBE", "params": [key], "id": 7 })).await;
        assert_eq!(socket.next().await, json!({ "result": null, "id": 7 }));
        raw.push(socket);
    }
    let mut wrapped = Vec::new();
    for path in [format!("/stream?streams={key}"), format!("/private/stream?listenKey={key}")] {
        wrapped.push(world.socket(&path).await);
    }
    let placed = world.limit("BUY", "0.01", "49000").await;
    for socket in &mut raw {
        let event = socket.next().await;
        assert_eq!((&event["e"], &event["o"]["i"]), (&json!("ORDER_TRADE_UPDATE"), &placed["orderId"]));
    }
    for socket in &mut wrapped {
        let frame = socket.next().await;
        assert_eq!((&frame["stream"], &frame["data"]["o"]["i"]), (&json!(key), &placed["orderId"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_hears_the_events_that_it_named_and_no_other_accounts() {
    let world = World::binance().await;
    let key = world.listen_key().await;
    let mut chosen = world.socket(&format!("/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/TRADE_LITE")).await;
    let other = success(world.send("beta", "POST", "/fapi/v1/listenKey").await);
    let mut stranger = world.socket(&format!("/private/ws/{}", other["listenKey"].as_str().unwrap())).await;
    world.market("BUY", "0.010").await;
    assert_eq!(chosen.next().await["e"], "TRADE_LITE");
    assert_eq!(chosen.next().await["e"], "ACCOUNT_UPDATE");
    assert!(stranger.is_quiet().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_whose_key_runs_out_is_told_and_then_hears_no_more() {
    let world = World::binance().await;
    let key = world.listen_key().await;
    let mut socket = world.socket(&format!("/private/ws/{key}")).await;
    world.pass(Duration::from_secs(3_601));
    let expired = socket.next().await;
    assert_eq!((&expired["e"], &expired["listenKey"]), (&json!("listenKeyExpired"), &json!(key)));
    world.limit("BUY", "0.01", "49000").await;
    assert!(socket.is_quiet().await);
    let fresh = world.listen_key().await;
    assert_ne!(fresh, key);
    let mut socket = world.socket(&format!("/private/ws/{fresh}")).await;
    world.limit("BUY", "0.01", "48000").await;
    assert_eq!(socket.next().await["e"], "ORDER_TRADE_UPDATE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_nobodys_key_is_silent() {
    let world = World::binance().await;
    let mut socket = world.socket(&format!("/private/ws/{}", "x".repeat(64))).await;
    world.limit("BUY", "0.01", "49000").await;
    assert!(socket.is_quiet().await);
}
