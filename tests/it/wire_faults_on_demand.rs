//! Faults that are asked for: each is armed over `/faults`, and a client sees what the real venue would have it see.

use std::time::Duration;

use ringfence::exchange::wire::Product;
use serde_json::json;

use crate::support::exchange::{Client, Socket, Wired, key, signed_frame};

const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=30000.0";

async fn place(client: &Client, id: &str, now: i64) -> (u16, i64) {
    let told = client.signed("POST", "/fapi/v1/order", &format!("{ORDER}&newClientOrderId={id}"), now).await;
    (told.status, told.code())
}

async fn stands(client: &Client, id: &str, now: i64) -> bool {
    let told = client.signed("GET", "/fapi/v1/order", &format!("symbol=BTCUSDT&origClientOrderId={id}"), now).await;
    assert!(told.status == 200 || told.code() == -2013, "{}", told.body);
    told.status == 200
}

#[tokio::test]
async fn an_order_may_be_taken_or_not_whatever_its_answer_says() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    for (id, fault, status, code, taken) in [
        ("timeout", r#""timeout""#, 408, -1007, true),
        ("unknown-before", r#"{"unknown_503":{"when":"before"}}"#, 503, -1000, false),
        ("unknown-after", r#"{"unknown_503":{"when":"after"}}"#, 503, -1000, true),
        ("unavailable", r#""unavailable_503""#, 503, -1016, false),
        ("busy", r#""busy""#, 503, -1008, false),
        ("gateway", r#"{"gateway":{"status":502,"when":"after"}}"#, 502, 0, true),
        ("refuse", r#"{"refuse":{"code":-2019,"msg":"Margin is insufficient."}}"#, 400, -2019, false),
        ("garbage", r#""garbage""#, 200, 0, true),
    ] {
        wired.fault(&format!(r#"{{"fault":{fault},"account":"a","route":"/fapi/v1/order","verb":"POST"}}"#)).await;
        // Another account is not meant.
        assert_eq!(place(&wired.client("b"), id, wired.now()).await.0, 200);
        assert_eq!(place(&client, id, wired.now()).await, (status, code), "{id}");
        assert_eq!(stands(&client, id, wired.now()).await, taken, "{id}");
    }
    wired.stop().await;
}

#[tokio::test]
async fn a_connection_may_be_cut_instead_of_an_answer() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    wired.fault(r#"{"fault":"hang_up","route":"/fapi/v1/order","verb":"POST"}"#).await;
    let now = wired.now();
    let payload = format!("{ORDER}&newClientOrderId=cut&timestamp={now}");
    let signature = crate::support::exchange::hmac(&client.key.secret, &payload);
    assert!(client.try_raw("POST", "/fapi/v1/order", &format!("{payload}&signature={signature}")).await.is_err());
    assert!(stands(&client, "cut", wired.now()).await);
    wired.stop().await;
}

#[tokio::test]
async fn reads_may_be_stale_while_orders_go_on() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    assert_eq!(place(&client, "before", wired.now()).await.0, 200);
    wired.fault(r#"{"fault":"stale","verb":"GET","duration_ms":600000}"#).await;
    assert_eq!(place(&client, "after", wired.now()).await.0, 200);
    assert!(stands(&client, "before", wired.now()).await);
    assert!(!stands(&client, "after", wired.now()).await);
    wired.mend().await;
    assert!(stands(&client, "after", wired.now()).await);
    wired.stop().await;
}

#[tokio::test]
async fn the_clock_may_be_skewed_and_the_venue_down() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    let true_now = wired.now();
    wired.fault(r#"{"fault":{"skew_clock":{"millis":30000}},"duration_ms":600000}"#).await;
    let told = client.raw("GET", "/fapi/v1/time", "").await;
    assert!(told.body["serverTime"].as_i64().unwrap() >= true_now + 30_000, "{}", told.body);
    let refused = client.signed("GET", "/fapi/v3/balance", "", true_now).await;
    assert_eq!(refused.code(), -1021);
    wired.mend().await;
    wired.fault(r#"{"fault":{"maintenance":{"html":true}},"duration_ms":600000}"#).await;
    let down = client.raw("GET", "/fapi/v1/time", "").await;
    assert!(down.status == 503 && down.body.as_str().is_some_and(|page| page.starts_with("<html>")), "{}", down.body);
    wired.mend().await;
    wired.fault(r#"{"fault":{"ban_418":{"seconds":60}}}"#).await;
    let banned = client.raw("GET", "/fapi/v1/time", "").await;
    assert_eq!((banned.status, banned.header("retry-after").is_some()), (418, true));
    wired.mend().await;
    assert_eq!(client.raw("GET", "/fapi/v1/time", "").await.status, 200, "what is disarmed is over, a ban too");
    wired.stop().await;
}

#[tokio::test]
async fn sockets_may_be_cut_with_or_without_a_word() {
    let wired = Wired::start(Product::SPOT).await;
    let (mut api, mut stream) = (Socket::open(&wired.ws_api).await, Socket::open(&format!("{}/ws/btcusdt@trade", wired.ws)).await);
    assert_eq!(api.ask("ping", json!({})).await["status"], 200);
    wired.fault(r#"{"fault":{"cut":{"sockets":"ws_api"}}}"#).await;
    while api.next().await.is_some() {}
    wired.fault(r#"{"fault":{"cut":{"sockets":"market"}}}"#).await;
    while stream.next().await.is_some() {}
    let mut api = Socket::open(&wired.ws_api).await;
    assert_eq!(api.ask("ping", json!({})).await["status"], 200);
    wired.fault(r#"{"fault":"shutdown"}"#).await;
    api.until(|value| value["event"]["e"] == "serverShutdown").await;
    while api.next().await.is_some() {}
    wired.stop().await;
}

#[tokio::test]
async fn a_person_may_trade_and_move_money_and_positions_may_be_taken() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    wired.fault(r#"{"fault":{"trade":{"side":"BUY","quantity":"0.5"}},"account":"a","symbol":"BTCUSDT"}"#).await;
    let amount = async || {
        let told = client.signed("GET", "/fapi/v3/positionRisk", "symbol=BTCUSDT", wired.now()).await;
        told.body[0]["positionAmt"].as_str().unwrap_or("0").to_owned()
    };
    assert_eq!(amount().await, "0.500");
    wired.fault(r#"{"fault":{"transfer":{"asset":"USDT","amount":"-1000"}},"account":"a"}"#).await;
    wired.fault(r#"{"fault":{"funding":{"rate":"0.001"}},"account":"a","symbol":"BTCUSDT"}"#).await;
    let income = client.signed("GET", "/fapi/v1/income", "", wired.now()).await;
    let kinds: Vec<&str> = income.body.as_array().unwrap().iter().filter_map(|row| row["incomeType"].as_str()).collect();
    assert!(kinds.contains(&"TRANSFER") && kinds.contains(&"FUNDING_FEE"), "{kinds:?}");
    wired.fault(r#"{"fault":"liquidate","account":"a","symbol":"BTCUSDT"}"#).await;
    assert!(matches!(amount().await.as_str(), "0.000" | "0"));
    let other = wired.client("b");
    assert_eq!(other.signed("POST", "/fapi/v1/positionSide/dual", "dualSidePosition=true", wired.now()).await.status, 200);
    wired.fault(r#"{"fault":{"trade":{"side":"SELL","quantity":"0.5"}},"account":"b","symbol":"BTCUSDT"}"#).await;
    let held = other.signed("GET", "/fapi/v3/positionRisk", "symbol=BTCUSDT", wired.now()).await;
    assert_eq!((&held.body[0]["positionSide"], &held.body[0]["positionAmt"]), (&json!("SHORT"), &json!("-0.500")), "{}", held.body);
    wired.stop().await;
}

#[tokio::test]
async fn user_events_may_be_lost_doubled_or_late() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    let listen_key = client.raw("POST", "/fapi/v1/listenKey", "").await.body["listenKey"].as_str().unwrap().to_owned();
    let mut socket = Socket::open(&format!("{}/private/ws?listenKey={listen_key}", wired.ws)).await;
    wired.fault(r#"{"fault":"drop_event","account":"a","count":1}"#).await;
    assert_eq!(place(&client, "lost", wired.now()).await.0, 200);
    wired.fault(r#"{"fault":"duplicate_event","account":"a","count":1}"#).await;
    assert_eq!(place(&client, "twice", wired.now()).await.0, 200);
    wired.fault(r#"{"fault":"swap_event","account":"a","count":1}"#).await;
    assert_eq!(place(&client, "second", wired.now()).await.0, 200);
    assert_eq!(place(&client, "first", wired.now()).await.0, 200);
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let event = socket.until(|value| value["e"] == "ORDER_TRADE_UPDATE").await;
        seen.push(event["o"]["c"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["twice", "twice", "first", "second"]);
    wired.fault(r#"{"fault":{"expire_listen_keys":{"told":true}},"account":"a"}"#).await;
    socket.until(|value| value["e"] == "listenKeyExpired").await;
    wired.stop().await;
}

#[tokio::test]
async fn a_zombie_socket_is_open_and_silent() {
    let wired = Wired::start(Product::SPOT).await;
    let mut socket = Socket::open(&wired.ws_api).await;
    let subscribed = socket.ask("userDataStream.subscribe.signature", signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!(subscribed["status"], 200, "{subscribed}");
    wired.fault(r#"{"fault":{"zombie":{"sockets":"user"}},"account":"a","duration_ms":400}"#).await;
    let began = std::time::Instant::now();
    // Answered when it lives again, and not before.
    assert_eq!(socket.ask("ping", json!({})).await["status"], 200);
    assert!(began.elapsed() >= std::time::Duration::from_millis(300), "{:?}", began.elapsed());
    wired.stop().await;
}

#[tokio::test]
async fn what_cannot_be_armed_is_refused_in_words() {
    let wired = Wired::start(Product::SPOT).await;
    let post = async |body: &str| {
        let response = reqwest::Client::new().post(format!("{}/faults", wired.rest)).body(body.to_owned()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for (body, word) in [
        ("nonsense", "cannot be read"),
        (r#"{"fault":"timeot"}"#, "unknown variant"),
        (r#"{"fault":{"trade":{"side":"BUY","quantity":"1"}}}"#, "an account"),
        (r#"{"fault":"liquidate","account":"a"}"#, "positions"),
        (r#"{"schedule":{"sed":1}}"#, "schedule"),
        (r#"{"fault":"timeout","account":"nobody"}"#, "it has a, b, e"),
        (r#"{"fault":"timeout","symbol":"NOPEUSDT"}"#, "listed"),
        (r#"{"fault":"timeout","route":"/api/v3/ordr"}"#, "a path or a method"),
        (r#"{"fault":"timeout","verb":"PSOT"}"#, "GET, POST"),
        (r#"{"fault":"timeout","percent":101}"#, "percentage"),
        (r#"{"fault":{"gateway":{"status":99}}}"#, "status"),
        (r#"{"schedule":{"seed":1,"faults":[{"trade":{"side":"BUY","quantity":"1"}}],"symbols":["BTCUSDT"]}}"#, "accounts"),
        (r#"{"schedule":{"seed":1,"accounts":["nobody"]}}"#, "nobody"),
    ] {
        let (status, text) = post(body).await;
        assert!(status == 400 && text.contains(word), "{body}: {status} {text}");
    }
    for route in ["userDataStream.subscribe.signature", "order.*", "/api/v3/order", "*"] {
        let (status, text) = post(&format!(r#"{{"fault":"timeout","route":"{route}"}}"#)).await;
        assert_eq!(status, 200, "{route}: {text}");
    }
    let (status, _) = post(r#"{"schedule":{"seed":7,"every_ms":1000}}"#).await;
    assert_eq!(status, 200);
    let listed: serde_json::Value = reqwest::get(format!("{}/faults", wired.rest)).await.unwrap().json().await.unwrap();
    assert_eq!(listed["schedule"]["seed"], 7);
    wired.stop().await;
}

#[tokio::test]
async fn a_symbol_may_get_other_rules_and_lose_its_trading() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    let tick = async || {
        let info = client.raw("GET", "/fapi/v1/exchangeInfo", "").await.body;
        let symbol = info["symbols"].as_array().unwrap().iter().find(|symbol| symbol["symbol"] == "BTCUSDT").unwrap().clone();
        let filters = symbol["filters"].as_array().unwrap().clone();
        let price = filters.iter().find(|filter| filter["filterType"] == "PRICE_FILTER").unwrap();
        (price["tickSize"].as_str().unwrap().to_owned(), symbol["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(tick().await, ("0.10".to_owned(), "TRADING".to_owned()));
    let order = ORDER.replace("30000.0", "30000.3");
    assert_eq!(client.signed("POST", "/fapi/v1/order", &order, wired.now()).await.status, 200);
    wired.fault(r#"{"fault":{"filters":{"price_step":"0.5"}},"symbol":"BTCUSDT"}"#).await;
    assert_eq!(tick().await.0, "0.5");
    assert_eq!(client.signed("POST", "/fapi/v1/order", &order, wired.now()).await.code(), -4014);
    assert_eq!(place(&client, "on-the-grid", wired.now()).await.0, 200);
    wired.fault(r#"{"fault":{"trading":{"open":false}},"symbol":"BTCUSDT"}"#).await;
    assert_eq!(tick().await.1, "BREAK");
    assert_eq!(place(&client, "too-late", wired.now()).await, (400, -4140));
    let batch = "batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C%22side%22%3A%22BUY%22%2C%22type%22%3A%22MARKET%22%2C%22quantity%22%3A%220.01%22%7D%5D";
    let batch = client.signed("POST", "/fapi/v1/batchOrders", batch, wired.now()).await;
    assert_eq!(batch.body[0]["code"], -4140, "{}", batch.body);
    // What stands can be cancelled all the same.
    let cancelled = client.signed("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=on-the-grid", wired.now()).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.body);
    wired.stop().await;
}

/// A socket that hears an account's events.
async fn user_socket(wired: &Wired, name: &str) -> Socket {
    let listen_key = wired.client(name).raw("POST", "/fapi/v1/listenKey", "").await.body["listenKey"].as_str().unwrap().to_owned();
    Socket::open(&format!("{}/private/ws/{listen_key}", wired.ws)).await
}

#[tokio::test]
async fn one_accounts_sockets_may_be_cut_and_nobody_elses() {
    let wired = Wired::start(Product::USDM).await;
    let (mut ours, mut theirs) = (user_socket(&wired, "a").await, user_socket(&wired, "b").await);
    let mut market = Socket::open(&format!("{}/public/ws/btcusdt@bookTicker", wired.ws)).await;
    for sockets in ["user", "all"] {
        wired.fault(&format!(r#"{{"fault":{{"cut":{{"sockets":"{sockets}"}}}},"account":"a"}}"#)).await;
        while ours.next().await.is_some() {}
        ours = user_socket(&wired, "a").await;
    }
    market.until(|value| value["e"] == "bookTicker").await;
    wired.fault(r#"{"fault":{"cut":{"sockets":"market"}}}"#).await;
    while market.next().await.is_some() {}
    // User streams are not the market's, though they come on sockets like its.
    for (name, socket) in [("a", &mut ours), ("b", &mut theirs)] {
        assert_eq!(place(&wired.client(name), "heard", wired.now()).await.0, 200);
        socket.until(|value| value["e"] == "ORDER_TRADE_UPDATE").await;
    }
    let mut market = Socket::open(&format!("{}/public/ws/btcusdt@bookTicker", wired.ws)).await;
    wired.fault(r#"{"fault":{"cut":{"sockets":"user"}}}"#).await;
    for socket in [&mut ours, &mut theirs] {
        while socket.next().await.is_some() {}
    }
    market.until(|value| value["e"] == "bookTicker").await;
    wired.stop().await;
}

#[tokio::test]
async fn silence_of_market_streams_ends_when_it_is_disarmed() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = Socket::open(&format!("{}/public/ws/btcusdt@bookTicker", wired.ws)).await;
    socket.until(|value| value["e"] == "bookTicker").await;
    wired.fault(r#"{"fault":{"zombie":{"sockets":"market"}}}"#).await;
    // What was on its way comes still; a busy market is never quiet for so long.
    while tokio::time::timeout(Duration::from_secs(1), socket.next()).await.is_ok_and(|text| text.is_some()) {}
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#).await;
    socket.until(|value| value["id"] == 1).await;
    wired.mend().await;
    socket.until(|value| value["e"] == "bookTicker").await;
    wired.stop().await;
}

#[tokio::test]
async fn an_event_that_is_to_come_after_the_next_one_comes_also_when_there_is_none() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = user_socket(&wired, "a").await;
    wired.fault(r#"{"fault":"swap_event","account":"a"}"#).await;
    assert_eq!(place(&wired.client("a"), "late", wired.now()).await.0, 200);
    // Somebody else's event is not the next one.
    assert_eq!(place(&wired.client("b"), "theirs", wired.now()).await.0, 200);
    let event = socket.until(|value| value["e"] == "ORDER_TRADE_UPDATE").await;
    assert_eq!(event["o"]["c"], "late");
    wired.stop().await;
}

#[tokio::test]
async fn one_symbols_diffs_may_be_lost_and_no_others() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = Socket::open(&format!("{}/public/ws/btcusdt@depth@100ms/ethusdt@depth@100ms", wired.ws)).await;
    let (mut last, mut armed) = (std::collections::HashMap::new(), false);
    loop {
        let diff = socket.until(|value| value["e"] == "depthUpdate").await;
        let symbol = diff["s"].as_str().unwrap().to_owned();
        if last.insert(symbol.clone(), diff["u"].clone()).is_some_and(|before| before != diff["pu"]) {
            break assert_eq!((armed, symbol.as_str()), (true, "ETHUSDT"));
        }
        if last.len() == 2 && !armed {
            armed = true;
            wired.fault(r#"{"fault":{"drop_diffs":{"diffs":2}},"symbol":"ETHUSDT"}"#).await;
        }
    }
    wired.stop().await;
}

#[tokio::test]
async fn market_streams_may_have_holes_and_halves() {
    let wired = Wired::start(Product::USDM).await;
    let mut socket = Socket::open(&format!("{}/public/ws/btcusdt@depth@100ms", wired.ws)).await;
    let chained = async |socket: &mut Socket, last: &mut i64| {
        let diff = socket.until(|value| value["e"] == "depthUpdate").await;
        let whole = *last == 0 || diff["pu"] == *last;
        *last = diff["u"].as_i64().unwrap();
        whole
    };
    let mut last = 0;
    for _ in 0..3 {
        assert!(chained(&mut socket, &mut last).await);
    }
    wired.fault(r#"{"fault":{"drop_diffs":{"diffs":2}}}"#).await;
    while chained(&mut socket, &mut last).await {}
    wired.fault(r#"{"fault":{"corrupt_frames":{"frames":1}}}"#).await;
    while serde_json::from_str::<serde_json::Value>(&socket.next().await.unwrap()).is_ok() {}
    wired.stop().await;
}
