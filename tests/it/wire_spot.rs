//! Spot's account over the wire: money, fees and limits as clients ask for them at start-up, and the user stream beside an order.

use ringfence::exchange::wire::{Permissions, Product};
use serde_json::{Value, json};

use crate::support::exchange::{Deviations, Socket, Wired, key, signed_frame};

#[tokio::test]
async fn what_clients_ask_at_start_up_is_answered() {
    let wired = Wired::start(Product::SPOT).await;
    let client = wired.client("a");
    let account = client.signed("GET", "/api/v3/account", "omitZeroBalances=true", wired.now()).await.body;
    let balances: Vec<(&str, &str)> =
        account["balances"].as_array().unwrap().iter().map(|row| (row["asset"].as_str().unwrap(), row["free"].as_str().unwrap())).collect();
    assert!(balances.contains(&("USDT", "100000.00000000")) && balances.contains(&("BTC", "2.00000000")), "{balances:?}");
    assert_eq!((&account["canTrade"], &account["canWithdraw"], &account["makerCommission"]), (&json!(true), &json!(false), &json!(10)));
    assert_eq!(account["commissionRates"]["maker"], "0.00100000");
    for (path, is_list) in [
        ("/sapi/v1/capital/config/getall", true),
        ("/sapi/v1/margin/allPairs", true),
        ("/sapi/v1/margin/isolated/allPairs", true),
        ("/sapi/v1/asset/tradeFee", true),
        ("/sapi/v1/capital/deposit/hisrec", true),
        ("/sapi/v1/capital/withdraw/history", true),
        ("/sapi/v1/asset/transfer?type=MAIN_UMFUTURE", false),
        ("/sapi/v1/account/status", false),
        ("/sapi/v1/account/apiTradingStatus", false),
        ("/api/v3/rateLimit/order", true),
        ("/api/v3/myFilters?symbol=BTCUSDT", false),
        ("/api/v3/account/commission?symbol=BTCUSDT", false),
    ] {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let told = client.signed("GET", path, query, wired.now()).await;
        assert!(told.status == 200 && told.body.is_array() == is_list, "{path}: {} {}", told.status, told.body);
    }
    let contracts = client.raw("GET", "/dapi/v1/exchangeInfo", "").await;
    assert_eq!((contracts.status, &contracts.body["symbols"]), (200, &json!([])));
    for question in
        ["ping", "time", "depth?symbol=BTCUSDT&limit=5", "klines?symbol=BTCUSDT&interval=1m&limit=1", "ticker/price?symbol=BTCUSDT"]
    {
        let (first, third) = (format!("/api/v1/{question}"), format!("/api/v3/{question}"));
        let (first, third) = (client.raw("GET", &first, "").await, client.raw("GET", &third, "").await);
        let shape = |body: &Value| body.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
        assert_eq!((first.status, shape(&first.body)), (200, shape(&third.body)), "{question}");
    }
    let assets = client.signed("POST", "/sapi/v3/asset/getUserAsset", "asset=BTC", wired.now()).await.body;
    assert_eq!((&assets[0]["asset"], &assets[0]["free"]), (&json!("BTC"), &json!("2.00000000")));
    wired.stop().await;
}

#[tokio::test]
async fn a_key_says_what_it_may_do() {
    let loose = Permissions { withdrawals: true, transfers: true, ..Permissions::default() };
    let bound = Permissions { addresses: vec!["127.0.0.1".parse().unwrap()], ..Permissions::default() };
    let keys = vec![key("loose").with_permissions(loose), key("bound").with_permissions(bound)];
    let wired = Wired::start_with(Product::SPOT, Deviations { keys, no_limits: false }).await;
    for (name, withdrawals, address) in [("a", false, false), ("loose", true, false), ("bound", false, true)] {
        let told = wired.client(name).signed("GET", "/sapi/v1/account/apiRestrictions", "", wired.now()).await;
        let restrictions = told.body;
        assert_eq!(restrictions["enableWithdrawals"], withdrawals, "{name}: {restrictions}");
        assert_eq!(restrictions["ipRestrict"], address);
        assert_eq!(restrictions["enableSpotAndMarginTrading"], true);
    }
    wired.stop().await;
}

#[tokio::test]
async fn an_order_is_told_on_the_user_stream_and_counts_until_it_fills() {
    let wired = Wired::start(Product::SPOT).await;
    let client = wired.client("a");
    let mut socket = Socket::open(&wired.ws_api).await;
    let subscribed = socket.ask("userDataStream.subscribe.signature", signed_frame(&key("a"), json!({}), wired.now())).await;
    assert_eq!(subscribed["result"]["subscriptionId"], 0, "{subscribed}");
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=30000&newClientOrderId=rests";
    let placed = client.signed("POST", "/api/v3/order", order, wired.now()).await;
    assert_eq!((placed.status, placed.header("x-mbx-order-count-10s")), (200, Some("1")), "{}", placed.body);
    let report = socket.until(|value| value["event"]["e"] == "executionReport").await;
    assert_eq!((&report["subscriptionId"], &report["event"]["c"], &report["event"]["x"]), (&json!(0), &json!("rests"), &json!("NEW")));
    let position = socket.until(|value| value["event"]["e"] == "outboundAccountPosition").await;
    let locked: Vec<&Value> = position["event"]["B"].as_array().unwrap().iter().filter(|row| row["a"] == "USDT").collect();
    assert_eq!(locked[0]["l"], "300.00000000", "{position}");

    let order = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01";
    let placed = client.signed("POST", "/api/v3/order", order, wired.now()).await;
    assert_eq!(placed.body["status"], "FILLED", "{}", placed.body);
    socket.until(|value| value["event"]["x"] == "TRADE").await;
    let counts = client.signed("GET", "/api/v3/rateLimit/order", "", wired.now()).await.body;
    // A day's count; ten seconds may have ended meanwhile.
    assert_eq!(counts[1]["count"], 1, "{counts}");
    wired.stop().await;
}

#[tokio::test]
async fn times_are_microseconds_for_who_asks() {
    let wired = Wired::start(Product::SPOT).await;
    let url = format!("{}/api/v3/time", wired.rest);
    let ask = async |unit: &str| {
        let response = reqwest::Client::new().get(&url).header("X-MBX-TIME-UNIT", unit).send().await.unwrap();
        response.json::<Value>().await.unwrap()
    };
    let (millis, micros) = (ask("MILLISECOND").await, ask("microsecond").await);
    assert!(micros["serverTime"].as_i64().unwrap() / millis["serverTime"].as_i64().unwrap() >= 999, "{millis} {micros}");
    assert_eq!(ask("SECOND").await["code"], -1194);
    wired.stop().await;
}
