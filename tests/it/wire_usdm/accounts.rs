//! Money and positions, to the last digit, and what an account may set.

use rust_decimal::Decimal;
use serde_json::json;

use super::{DEPOSIT, World, number, of, success};

#[tokio::test(flavor = "multi_thread")]
async fn fills_fees_balances_and_events_agree_to_the_last_digit() {
    let world = World::binance().await;
    let mut stream = world.user_stream().await;
    // One BTC at 50,000.1 and half a BTC at 50,000.2 are too much money; ten thousandths at the touch are not.
    world.market("BUY", "0.010").await;
    let fee = number("500.001") * number("0.0005");
    let new = stream.next().await;
    assert_eq!((&new["e"], &new["o"]["x"], &new["o"]["X"]), (&json!("ORDER_TRADE_UPDATE"), &json!("NEW"), &json!("NEW")));
    assert_eq!(stream.next().await["e"], "TRADE_LITE");
    let trade = stream.next().await;
    let o = &trade["o"];
    assert_eq!((&o["x"], &o["X"], &o["m"], &o["N"]), (&json!("TRADE"), &json!("FILLED"), &json!(false), &json!("USDT")));
    assert_eq!((of(&o["L"]), of(&o["l"]), of(&o["n"])), (number("50000.1"), number("0.010"), fee));
    let update = stream.next().await;
    assert_eq!((&update["e"], &update["a"]["m"]), (&json!("ACCOUNT_UPDATE"), &json!("ORDER")));
    assert_eq!(of(&update["a"]["B"][0]["wb"]), number(DEPOSIT) - fee);
    assert_eq!((of(&update["a"]["P"][0]["pa"]), of(&update["a"]["P"][0]["ep"])), (number("0.010"), number("50000.1")));

    let sold = world.market("SELL", "0.004").await;
    let realized = (number("50000.0") - number("50000.1")) * number("0.004");
    let second_fee = number("200.0000") * number("0.0005");
    let trades = world.get("/fapi/v1/userTrades", &[("symbol", "BTCUSDT")]).await;
    assert_eq!(
        (&trades[1]["orderId"], of(&trades[1]["realizedPnl"]), of(&trades[1]["commission"])),
        (&sold["orderId"], realized, second_fee)
    );
    let from_second = [("symbol", "BTCUSDT"), ("fromId", &*trades[1]["id"].to_string())].map(|(name, value)| (name, value.to_owned()));
    let from_second: Vec<(&str, &str)> = from_second.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.get("/fapi/v1/userTrades", &from_second).await.as_array().unwrap().len(), 1);

    let wallet = number(DEPOSIT) - fee - second_fee + realized;
    let account = world.get("/fapi/v3/account", &[]).await;
    assert_eq!((of(&account["assets"][0]["walletBalance"]), of(&account["totalWalletBalance"])), (wallet, wallet));
    assert_eq!(of(&world.get("/fapi/v3/balance", &[]).await[0]["balance"]), wallet);
    let position = &world.get("/fapi/v3/positionRisk", &[]).await[0];
    assert_eq!((of(&position["positionAmt"]), of(&position["entryPrice"])), (number("0.006"), number("50000.1")));
    let income = world.get("/fapi/v1/income", &[]).await;
    let total = |kind: &str| -> Decimal {
        income.as_array().unwrap().iter().filter(|row| row["incomeType"] == kind).map(|row| of(&row["income"])).sum()
    };
    assert_eq!((total("COMMISSION"), total("REALIZED_PNL")), (-fee - second_fee, realized));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_trade_with_each_other_and_only_the_taker_pays_as_one() {
    let world = World::binance().await;
    // Better than anybody else's bid: inside there is nothing, so it is at the touch with others ahead; beta sells into it.
    let resting = world.limit("BUY", "0.010", "50000").await;
    let order = [("symbol", "BTCUSDT"), ("side", "SELL"), ("type", "MARKET"), ("quantity", "1.010"), ("newOrderRespType", "RESULT")];
    let leverage = success(world.ask_as("beta", "POST", "/fapi/v1/leverage", &[("symbol", "BTCUSDT"), ("leverage", "50")]).await);
    assert_eq!(leverage["leverage"], 50);
    success(world.ask_as("beta", "POST", "/fapi/v1/order", &order).await);
    let mine = world.get("/fapi/v1/userTrades", &[("symbol", "BTCUSDT")]).await;
    assert_eq!((&mine[0]["orderId"], &mine[0]["maker"], of(&mine[0]["commission"])), (&resting["orderId"], &json!(true), number("0.1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_and_repeated_ones_are_refused() {
    let world = World::binance().await;
    let mut stream = world.user_stream().await;
    let symbol = ("symbol", "BTCUSDT");
    let set = world.post("/fapi/v1/leverage", &[symbol, ("leverage", "21")]).await;
    assert_eq!((&set["leverage"], &set["symbol"]), (&json!(21), &json!("BTCUSDT")));
    assert_eq!(stream.next_of("ACCOUNT_CONFIG_UPDATE").await["ac"], json!({ "s": "BTCUSDT", "l": 21 }));
    assert_eq!(world.refused("POST", "/fapi/v1/leverage", &[symbol, ("leverage", "126")]).await, -4028);
    assert_eq!(world.refused("POST", "/fapi/v1/leverage", &[symbol, ("leverage", "300")]).await, -4028);
    let done = json!({ "code": 200, "msg": "success" });
    assert_eq!(world.post("/fapi/v1/marginType", &[symbol, ("marginType", "ISOLATED")]).await, done);
    assert_eq!(world.refused("POST", "/fapi/v1/marginType", &[symbol, ("marginType", "ISOLATED")]).await, -4046);
    let settings = &world.get("/fapi/v1/symbolConfig", &[symbol]).await[0];
    assert_eq!((&settings["marginType"], &settings["leverage"]), (&json!("ISOLATED"), &json!(21)));
    assert_eq!(world.refused("POST", "/fapi/v1/multiAssetsMargin", &[("multiAssetsMargin", "true")]).await, -4167);

    world.market("BUY", "0.010").await;
    let before = of(&world.get("/fapi/v3/positionRisk", &[symbol]).await[0]["isolatedWallet"]);
    let added = world.post("/fapi/v1/positionMargin", &[symbol, ("amount", "12.5"), ("type", "1")]).await;
    assert_eq!((&added["amount"], &added["type"]), (&json!(12.5), &json!(1)));
    assert_eq!(of(&world.get("/fapi/v3/positionRisk", &[symbol]).await[0]["isolatedWallet"]), before + number("12.5"));
    let history = world.get("/fapi/v1/positionMargin/history", &[symbol]).await;
    assert_eq!((&history[0]["amount"], &history[0]["type"]), (&json!("12.5"), &json!(1)));
    assert_eq!(world.refused("POST", "/fapi/v1/marginType", &[symbol, ("marginType", "CROSSED")]).await, -4048);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_hedge_mode_orders_name_their_leg() {
    let world = World::binance().await;
    let dual = "/fapi/v1/positionSide/dual";
    assert_eq!(world.get(dual, &[]).await, json!({ "dualSidePosition": false }));
    world.post(dual, &[("dualSidePosition", "True")]).await;
    assert_eq!(world.refused("POST", dual, &[("dualSidePosition", "true")]).await, -4059);
    let order = |side, leg| vec![("symbol", "BTCUSDT"), ("side", side), ("type", "MARKET"), ("quantity", "0.010"), ("positionSide", leg)];
    assert_eq!(world.refused("POST", "/fapi/v1/order", &order("BUY", "BOTH")).await, -4061);
    let with_reduce = [order("SELL", "LONG"), vec![("reduceOnly", "true")]].concat();
    assert_eq!(world.refused("POST", "/fapi/v1/order", &with_reduce).await, -1106);
    world.post("/fapi/v1/order", &order("BUY", "LONG")).await;
    world.post("/fapi/v1/order", &order("SELL", "SHORT")).await;
    let risks = world.get("/fapi/v3/positionRisk", &[]).await;
    let legs: Vec<_> =
        risks.as_array().unwrap().iter().map(|risk| (risk["positionSide"].as_str().unwrap(), of(&risk["positionAmt"]))).collect();
    assert_eq!(legs, [("LONG", number("0.010")), ("SHORT", number("-0.010"))]);
    assert_eq!(world.refused("POST", dual, &[("dualSidePosition", "false")]).await, -4068);
    world.post("/fapi/v1/order", &order("SELL", "LONG")).await;
    assert_eq!(world.get("/fapi/v3/positionRisk", &[]).await.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn brackets_fees_limits_and_portfolio_margin_are_answered() {
    let world = World::binance().await;
    let brackets = world.get("/fapi/v1/leverageBracket", &[("symbol", "BTCUSDT")]).await;
    assert_eq!((&brackets[0]["brackets"][0]["initialLeverage"], &brackets[0]["brackets"][0]["notionalFloor"]), (&json!(125), &json!(0)));
    let fees = world.get("/fapi/v1/commissionRate", &[("symbol", "BTCUSDT")]).await;
    assert_eq!((&fees["makerCommissionRate"], &fees["takerCommissionRate"]), (&json!("0.0002"), &json!("0.0005")));
    assert_eq!(world.get("/fapi/v1/rateLimit/order", &[]).await.as_array().unwrap().len(), 2);
    assert_eq!(world.refused("GET", "/fapi/v1/pmAccountInfo", &[("asset", "USDT")]).await, -21_001);
    world.post("/fapi/v1/feeBurn", &[("feeBurn", "true")]).await;
    assert_eq!(world.get("/fapi/v1/feeBurn", &[]).await, json!({ "feeBurn": true }));
    let two = world.get("/fapi/v2/account", &[]).await;
    assert_eq!((two["positions"].as_array().unwrap().len(), &two["positions"][0]["leverage"]), (2, &json!("20")));
}
