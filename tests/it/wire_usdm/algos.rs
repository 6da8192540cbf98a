//! Conditional orders through the algo service.

use serde_json::{Value, json};

use super::{World, number, of, success};

const STOP: [(&str, &str); 6] = [
    ("algoType", "CONDITIONAL"),
    ("symbol", "BTCUSDT"),
    ("side", "SELL"),
    ("type", "STOP_MARKET"),
    ("quantity", "0.010"),
    ("triggerPrice", "49900"),
];

fn with<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&STOP[..], pairs].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_apart_goes_off_and_becomes_an_order() {
    let world = World::binance().await;
    world.market("BUY", "0.010").await;
    let mut stream = world.user_stream().await;
    let placed = world.post("/fapi/v1/algoOrder", &with(&[("clientAlgoId", "guard"), ("newOrderRespType", "RESULT")])).await;
    assert_eq!(
        (&placed["algoStatus"], &placed["orderType"], &placed["triggerPrice"]),
        (&json!("NEW"), &json!("STOP_MARKET"), &json!("49900.00"))
    );
    let open = world.get("/fapi/v1/openAlgoOrders", &[]).await;
    assert_eq!(open[0]["clientAlgoId"], "guard");
    // Clients take whatever rate is shown for a number.
    assert_eq!((&placed["callbackRate"], open[0].get("callbackRate"), open[0].get("activatePrice")), (&json!(""), None, None));
    assert_eq!(world.get("/fapi/v1/openOrders", &[]).await, json!([]));
    assert_eq!(world.refused("GET", "/fapi/v1/order", &[("symbol", "BTCUSDT"), ("origClientOrderId", "guard")]).await, -2013);
    let told = stream.next().await;
    assert_eq!((&told["e"], &told["o"]["X"], &told["o"]["ai"]), (&json!("ALGO_UPDATE"), &json!("NEW"), &json!("")));

    world.trade_at(498_990);
    let (mut statuses, mut traded): (Vec<String>, Option<Value>) = (Vec::new(), None);
    while statuses.last().is_none_or(|status| status != "FINISHED") {
        let event = stream.next().await;
        match event["e"].as_str().unwrap() {
            "ALGO_UPDATE" => statuses.push(event["o"]["X"].as_str().unwrap().to_owned()),
            "ORDER_TRADE_UPDATE" if event["o"]["x"] == "TRADE" => traded = Some(event),
            _ => {}
        }
    }
    assert!(statuses.contains(&"TRIGGERED".to_owned()), "{statuses:?}");
    let finished = world.get("/fapi/v1/algoOrder", &[("clientAlgoId", "guard")]).await;
    let traded = traded.expect("a trade before the end");
    assert!(finished["algoId"].as_u64() > traded["o"]["i"].as_u64().map(|id| id + 1_000_000), "the two kinds of numbers are far apart");
    assert_eq!(finished["actualOrderId"], traded["o"]["i"].to_string());
    assert_eq!((&finished["algoStatus"], of(&finished["actualQty"])), (&json!("FINISHED"), number("0.010")));
    let actual = [("symbol", "BTCUSDT"), ("orderId", finished["actualOrderId"].as_str().unwrap())];
    assert_eq!(world.get("/fapi/v1/order", &actual).await["status"], "FILLED");
    assert_eq!(world.get("/fapi/v3/positionRisk", &[]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn algo_orders_are_cancelled_by_name_and_all_at_once() {
    let world = World::binance().await;
    let first = world.post("/fapi/v1/algoOrder", &with(&[])).await;
    let id = first["algoId"].to_string();
    // Some clients name the symbol too.
    let cancelled = success(world.ask("DELETE", "/fapi/v1/algoOrder", &[("algoId", &id), ("symbol", "BTCUSDT")]).await);
    assert_eq!((&cancelled["code"], &cancelled["msg"]), (&json!("200"), &json!("success")));
    assert_eq!(world.refused("DELETE", "/fapi/v1/algoOrder", &[("algoId", &id)]).await, -2011);
    world.post("/fapi/v1/algoOrder", &with(&[])).await;
    let trailing: Vec<_> = with(&[("callbackRate", "1.5"), ("activatePrice", "51000")])
        .into_iter()
        .filter(|(name, _)| *name != "triggerPrice")
        .map(|(name, value)| if name == "type" { (name, "TRAILING_STOP_MARKET") } else { (name, value) })
        .collect();
    let placed = world.post("/fapi/v1/algoOrder", &trailing).await;
    assert_eq!((&placed["callbackRate"], &placed["activatePrice"]), (&json!("1.5"), &json!("51000.00")));
    let shown = world.get("/fapi/v1/algoOrder", &[("algoId", &placed["algoId"].to_string())]).await;
    assert_eq!((&shown["callbackRate"], &shown["activatePrice"]), (&json!("1.5"), &json!("51000.00")));
    success(world.ask("DELETE", "/fapi/v1/algoOpenOrders", &[("symbol", "BTCUSDT")]).await);
    assert_eq!(world.get("/fapi/v1/openAlgoOrders", &[]).await, json!([]));
    let all = world.get("/fapi/v1/allAlgoOrders", &[("symbol", "BTCUSDT")]).await;
    assert_eq!(all.as_array().unwrap().iter().map(|row| &row["algoStatus"]).collect::<Vec<_>>(), ["CANCELED"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lasts_with_a_position_expires_with_it() {
    let world = World::binance().await;
    let lasting = with(&[("timeInForce", "GTE_GTC"), ("clientAlgoId", "guard")]);
    assert_eq!(world.refused("POST", "/fapi/v1/algoOrder", &lasting).await, -4509);
    world.market("BUY", "0.010").await;
    let mut stream = world.user_stream().await;
    assert_eq!(world.post("/fapi/v1/algoOrder", &lasting).await["timeInForce"], "GTE_GTC");
    world.market("SELL", "0.010").await;
    let told = loop {
        let event = stream.next().await;
        if event["e"] == "ALGO_UPDATE" && event["o"]["X"] != "NEW" {
            break event;
        }
    };
    assert_eq!((&told["o"]["X"], &told["o"]["caid"], &told["o"]["f"]), (&json!("EXPIRED"), &json!("guard"), &json!("GTE_GTC")));
    assert_eq!(world.get("/fapi/v1/openAlgoOrders", &[]).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_wait_is_refused() {
    let world = World::binance().await;
    let above = with(&[]).into_iter().map(|(name, value)| if name == "triggerPrice" { (name, "51000") } else { (name, value) });
    assert_eq!(world.refused("POST", "/fapi/v1/algoOrder", &above.collect::<Vec<_>>()).await, -2021);
    let other = with(&[]).into_iter().map(|(name, value)| if name == "algoType" { (name, "VP") } else { (name, value) });
    assert_eq!(world.refused("POST", "/fapi/v1/algoOrder", &other.collect::<Vec<_>>()).await, -1130);
    let twice = with(&[("clientAlgoId", "same")]);
    world.post("/fapi/v1/algoOrder", &twice).await;
    assert_eq!(world.refused("POST", "/fapi/v1/algoOrder", &twice).await, -4116);
    assert_eq!(world.refused("GET", "/fapi/v1/algoOrder", &[]).await, -1102);
    assert_eq!(world.refused("GET", "/fapi/v1/algoOrder", &[("algoId", "999")]).await, -2013);
}
