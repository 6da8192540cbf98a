//! The WebSocket API as a client meets it: requests signed one by one or by a logon, answers with their limits, user streams
//! that begin and end, and frames that are none.

use ringfence::exchange::wire::Product;
use serde_json::{Value, json};

use crate::support::exchange::{Socket, Wired, ed25519_key, key, signed_frame};

#[tokio::test]
async fn public_methods_answer_with_ids_and_limits_as_they_are_asked() {
    let wired = Wired::start(Product::SPOT).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    for id in [json!(1), json!("a-b-c"), Value::Null] {
        socket.send(&json!({ "id": id, "method": "ping" }).to_string()).await;
        let answer = socket.until(|value| value["id"] == id).await;
        assert_eq!((&answer["status"], &answer["result"]), (&json!(200), &json!({})));
        assert_eq!(answer["rateLimits"][0]["rateLimitType"], "REQUEST_WEIGHT");
    }
    let quiet = socket.ask("time", json!({ "returnRateLimits": false })).await;
    assert!(quiet["result"]["serverTime"].is_i64() && quiet.get("rateLimits").is_none(), "{quiet}");
    let depth = socket.ask("depth", json!({ "symbol": "BTCUSDT", "limit": 5 })).await;
    assert_eq!(depth["result"]["bids"].as_array().map(Vec::len), Some(5), "{depth}");
    let versioned = socket.ask("v3/ping", json!({})).await;
    assert_eq!(versioned["status"], 200);
    wired.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_socket_lives() {
    let wired = Wired::start(Product::SPOT).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let deep = format!(r#"{{"id":7,"method":"ping","params":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    for (frame, code) in [
        ("nonsense", -1135),
        ("[]", -1135),
        (r#"{"id":7}"#, -1102),
        (r#"{"id":7,"method":"no.such.thing"}"#, -1130),
        (r#"{"id":7,"method":"time","params":{"strange":1}}"#, -1101),
        (r#"{"id":7,"method":"session.logon","params":{}}"#, -1102),
        (r#"{"id":7,"method":"userDataStream.subscribe"}"#, -2014),
        (deep.as_str(), -1135),
    ] {
        socket.send(frame).await;
        let answer = socket.until(|value| value.get("error").is_some()).await;
        assert_eq!(answer["error"]["code"], code, "{frame:.60} {answer}");
    }
    assert_eq!(socket.ask("ping", json!({})).await["status"], 200);
    wired.stop().await;
}

#[tokio::test]
async fn what_is_no_frame_ends_the_socket_with_a_word() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let wired = Wired::start(Product::SPOT).await;
    let address = wired.rest.strip_prefix("http://").unwrap();
    for path in ["/ws-api/v3", "/ws/btcusdt@avgPrice"] {
        // Of a client, every frame is masked.
        for frame in [&b"\x81\x02hi"[..], b"\xf1\x80\x01\x02\x03\x04", b"\x83\x80\x01\x02\x03\x04", b"\x81\x82\x00\x00\x00\x00\xff\xfe"] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let handshake = format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(&[handshake.as_bytes(), frame].concat()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            let closed = answer.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == 1_002_u16.to_be_bytes());
            assert!(closed, "{path} {frame:?}: {}", String::from_utf8_lossy(&answer));
        }
    }
    wired.stop().await;
}

#[tokio::test]
async fn a_logon_needs_an_ed25519_key_and_stands_for_signatures_until_the_logout() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let refused = socket.ask("session.logon", signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(400), &json!(-4056)), "{refused}");
    let on = socket.ask("session.logon", signed_frame(&ed25519_key("e"), json!({}), wired.now())).await;
    assert_eq!(on["result"]["apiKey"], key("e").api_key.as_str(), "{on}");
    let order = json!({
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "30000.0",
        "timestamp": wired.now(),
    });
    let placed = socket.ask("order.place", order.clone()).await;
    assert_eq!((&placed["status"], &placed["result"]["symbol"]), (&json!(200), &json!("BTCUSDT")), "{placed}");
    assert_eq!(placed["rateLimits"].as_array().map(Vec::len), Some(3), "{placed}");
    let by_another = socket.ask("account.balance", signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!(by_another["status"], 200, "{by_another}");
    let off = socket.ask("session.logout", json!({})).await;
    assert_eq!(off["result"]["apiKey"], Value::Null);
    let refused = socket.ask("order.place", order).await;
    assert_eq!(refused["error"]["code"], -1102, "{refused}");
    wired.stop().await;
}

#[tokio::test]
async fn a_wrong_signature_of_a_frame_is_refused() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let mut frame = signed_frame(&key("a"), json!({ "recvWindow": 5000 }), wired.now());
    frame["recvWindow"] = json!(6000);
    let refused = socket.ask("account.balance", frame).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!(400), &json!(-1022)), "{refused}");
    wired.stop().await;
}

#[tokio::test]
async fn user_streams_begin_and_end_by_subscription() {
    let wired = Wired::start(Product::SPOT).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let subscribe = "userDataStream.subscribe.signature";
    let first = socket.ask(subscribe, signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!(first["result"]["subscriptionId"], 0, "{first}");
    let again = socket.ask(subscribe, signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!(again["error"]["code"], -2035, "{again}");
    let second = socket.ask(subscribe, signed_frame(&key("b"), json!({}), wired.now())).await;
    assert_eq!(second["result"]["subscriptionId"], 1);
    let listed = socket.ask("session.subscriptions", json!({})).await;
    assert_eq!(listed["result"], json!([{ "subscriptionId": 0 }, { "subscriptionId": 1 }]));
    assert_eq!(socket.ask("session.status", json!({})).await["result"]["userDataStream"], true);
    socket.send(&json!({ "id": 9, "method": "userDataStream.unsubscribe", "params": { "subscriptionId": 0 } }).to_string()).await;
    assert_eq!(socket.until(|value| value["id"] == 9).await["result"], json!({}));
    let ended = socket.until(|value| value["event"]["e"] == "eventStreamTerminated").await;
    assert_eq!(ended["subscriptionId"], 0);
    let unknown = socket.ask("userDataStream.unsubscribe", json!({ "subscriptionId": 0 })).await;
    assert_eq!(unknown["error"]["code"], -2036);
    wired.stop().await;
}

#[tokio::test]
async fn a_stopping_exchange_says_so_and_closes() {
    let wired = Wired::start(Product::SPOT).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let mut stream = Socket::open(&format!("{}/ws/btcusdt@trade", wired.ws)).await;
    assert_eq!(socket.ask("ping", json!({})).await["status"], 200);
    wired.stop().await;
    socket.until(|value| value["event"]["e"] == "serverShutdown").await;
    assert_eq!(socket.next().await, None);
    stream.until(|value| value["e"] == "serverShutdown").await;
}
