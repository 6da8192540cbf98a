//! The exchange's public questions over HTTP: books, trades, candles and statistics come back as they were, and what is not served is
//! refused in Binance's words.

use super::*;

#[tokio::test]
async fn books_and_candles_come_back_as_they_were() {
    let served = Served::start().await;
    let rest = served.rest();
    assert_eq!(within(rest.depth(&instrument(), 1_000)).await.unwrap(), served.floor.book);
    for interval in [MINUTE, Duration::from_secs(5)] {
        let candles = within(rest.klines(btc(), interval, 3)).await.unwrap();
        // The newest is the one that is open at the floor; by the date of the answer it has closed long ago.
        assert_eq!(candles[..2], [candle(interval, 1), candle(interval, 0)]);
        assert_eq!(candles[2].open_time, candle(interval, 0).open_time + interval);
    }
}

#[tokio::test]
async fn a_refusal_reaches_the_client_in_the_venues_words() {
    let served = Served::start().await;
    let rest = served.rest();
    let other = bundled(InstrumentKind::Perpetual, Symbol::new("SOLUSDT").unwrap()).unwrap();
    let error = within(rest.depth(&other, 5)).await.unwrap_err();
    assert!(matches!(&error, RestError::Refused { status: 400, code: -1121, message, .. } if message == "Invalid symbol."), "{error}");
    let error = within(rest.klines(btc(), Duration::from_millis(1_500), 5)).await.unwrap_err();
    assert!(matches!(error, RestError::Interval { .. }), "{error}");
    let spot = Served::of(InstrumentKind::Spot).await;
    let cases = [
        (&served, "/fapi/v1/depth", -1102),
        (&served, "/fapi/v1/depth?symbol=DOGEUSDT", -1121),
        (&served, "/fapi/v1/depth?symbol=BTCUSDT&limit=7", -1130),
        (&served, "/fapi/v1/depth?symbol=BTCUSDT&limit=x", -1100),
        (&served, "/fapi/v1/klines?symbol=BTCUSDT", -1102),
        (&served, "/fapi/v1/klines?symbol=BTCUSDT&interval=7m", -1120),
        (&served, "/fapi/v1/aggTrades?symbol=BTCUSDT&startTime=1&endTime=3600002", -1127),
        (&spot, "/api/v3/klines?symbol=BTCUSDT&interval=1m&timeZone=15", -1130),
        (&spot, "/api/v3/depth?symbol=BTCUSDT&fast=1", -1104),
        (&spot, "/api/v3/depth?symbol=BTCUSDT&a=1&b=2&c=3", -1101),
        (&spot, "/api/v3/depth?symbol=BTCUSDT&symbol=BTCUSDT", -1101),
        (&spot, "/api/v3/depth?symbol=BTCUSDT&symbolStatus=HALT", -1220),
        (&spot, "/api/v3/ticker", -1102),
        (&spot, "/api/v3/ticker?symbol=BTCUSDT&windowSize=9d", -1130),
        (&spot, "/api/v3/ticker/24hr?symbol=BTCUSDT&type=BIG", -1139),
        (&spot, "/api/v3/ticker/price?symbols=BTCUSDT", -1100),
        (&spot, "/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22,%22BTCUSDT%22%5D", -1151),
        (&spot, "/api/v3/exchangeInfo?symbol=BTCUSDT&permissions=SPOT", -1128),
        (&spot, "/api/v3/referencePrice?symbol=BTCUSDT", -2043),
    ];
    for (served, path, code) in cases {
        let (status, body) = served.get(path).await;
        assert_eq!((status, &body["code"]), (400, &Value::from(code)), "{path}: {body}");
    }
}

#[tokio::test]
async fn exchange_info_tells_the_filters_and_each_product_its_own() {
    let served = Served::start().await;
    let (_, perpetuals) = served.get("/fapi/v1/exchangeInfo").await;
    let symbols = perpetuals["symbols"].as_array().unwrap();
    assert_eq!((symbols.len(), &symbols[0]["symbol"], &symbols[0]["contractType"]), (2, &"BTCUSDT".into(), &"PERPETUAL".into()));
    let filter = |symbol: &Value, name: &str| {
        let all = symbol["filters"].as_array().unwrap();
        all.iter().find(|filter| filter["filterType"] == name).unwrap_or_else(|| panic!("{name} of {symbol}")).clone()
    };
    assert_eq!(filter(&symbols[0], "PRICE_FILTER")["tickSize"], "0.10");
    assert_eq!(filter(&symbols[0], "LOT_SIZE")["stepSize"], "0.001");
    assert_eq!(filter(&symbols[0], "MIN_NOTIONAL")["notional"], "100");
    assert_eq!(filter(&symbols[0], "MAX_NUM_ORDERS")["limit"], 200);
    assert_eq!(filter(&symbols[0], "PERCENT_PRICE")["multiplierUp"], "1.0500");
    let spot = Served::of(InstrumentKind::Spot).await;
    let (_, all) = spot.get("/api/v3/exchangeInfo").await;
    assert_eq!(all["symbols"].as_array().unwrap().len(), 2);
    let (_, one) = spot.get("/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22%5D&showPermissionSets=false").await;
    let symbol = &one["symbols"][0];
    assert_eq!((&symbol["symbol"], &symbol["permissionSets"]), (&"ETHUSDT".into(), &serde_json::json!([])));
    assert_eq!(filter(symbol, "NOTIONAL")["minNotional"], "5.00000000");
    // Some clients refuse a symbol whose highest price is zero.
    assert_eq!(filter(symbol, "PRICE_FILTER")["maxPrice"], "10000000.00000000");
    assert_eq!(filter(symbol, "MAX_NUM_ORDERS")["maxNumOrders"], 200);
    assert_eq!(filter(symbol, "MAX_NUM_ALGO_ORDERS")["maxNumAlgoOrders"], 5);
    assert!(served.get("/fapi/v1/time").await.1["serverTime"].as_i64().unwrap() >= NOW.as_millis());
}

#[tokio::test]
async fn what_has_traded_is_asked_for_over_http() {
    let served = Served::of(InstrumentKind::Spot).await;
    let mut socket = served.open("/ws/btcusdt@trade").await;
    for id in 1..=4 {
        served.floor.show(1, trade(id)).await;
        heard(&mut socket).await;
    }
    let (_, trades) = served.get("/api/v3/trades?symbol=BTCUSDT&limit=2").await;
    assert_eq!(trades.as_array().unwrap().iter().map(|trade| trade["id"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((&trades[0]["price"], &trades[0]["isBestMatch"]), (&"6000.00000000".into(), &true.into()));
    let (_, old) = served.get("/api/v3/historicalTrades?symbol=BTCUSDT&fromId=2&limit=1").await;
    assert_eq!(old[0]["id"], 2);
    let (_, aggregates) = served.get("/api/v3/aggTrades?symbol=BTCUSDT&fromId=1").await;
    assert_eq!((&aggregates[0]["f"], &aggregates.as_array().unwrap().last().unwrap()["l"]), (&1.into(), &4.into()));
    let (_, day) = served.get("/api/v3/ticker/24hr?symbol=BTCUSDT").await;
    assert_eq!((&day["lastPrice"], &day["lastId"]), (&"6000.00000000".into(), &4.into()));
    assert!(day["count"].as_i64().unwrap() > 4 && day["highPrice"] == "60010.00000000", "what was before the server began is in it: {day}");
    let (_, all) = served.get("/api/v3/ticker/price").await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["price"]), (2, &"6000.00000000".into()));
    let (_, touch) = served.get("/api/v3/ticker/bookTicker?symbols=%5B%22BTCUSDT%22%5D").await;
    assert_eq!(touch[0]["bidPrice"], "6000.00000000");
    let (_, average) = served.get("/api/v3/avgPrice?symbol=BTCUSDT").await;
    assert_eq!(average["mins"], 5);
    for path in
        ["ticker?symbol=BTCUSDT&windowSize=1h", "ticker/tradingDay?symbol=BTCUSDT", "uiKlines?symbol=BTCUSDT&interval=1M", "executionRules"]
    {
        assert_eq!(served.get(&format!("/api/v3/{path}")).await.0, 200, "{path}");
    }
}

#[tokio::test]
async fn usdms_own_questions_are_answered() {
    let served = Served::start().await;
    let (_, premium) = served.get("/fapi/v1/premiumIndex?symbol=BTCUSDT").await;
    assert_eq!((&premium["markPrice"], &premium["interestRate"]), (&"60005.00000000".into(), &"0.00010000".into()));
    for (path, is_list) in [
        ("/fapi/v1/premiumIndex", true),
        ("/fapi/v1/fundingRate?symbol=BTCUSDT", true),
        ("/fapi/v1/fundingInfo", true),
        ("/fapi/v1/openInterest?symbol=BTCUSDT", false),
        ("/futures/data/openInterestHist?symbol=BTCUSDT&period=5m", true),
        ("/fapi/v1/continuousKlines?pair=BTCUSDT&contractType=PERPETUAL&interval=1m", true),
        ("/fapi/v1/markPriceKlines?symbol=BTCUSDT&interval=1h", true),
        ("/fapi/v1/indexPriceKlines?pair=BTCUSDT&interval=1w", true),
        ("/fapi/v1/premiumIndexKlines?symbol=BTCUSDT&interval=1m", true),
        ("/fapi/v2/ticker/price?symbol=BTCUSDT", false),
        ("/fapi/v1/ticker/24hr", true),
        ("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT", false),
        ("/fapi/v1/constituents?symbol=BTCUSDT", false),
        ("/fapi/v1/symbolAdlRisk", true),
    ] {
        let (status, body) = served.get(path).await;
        assert_eq!((status, body.is_array()), (200, is_list), "{path}: {body}");
    }
}
