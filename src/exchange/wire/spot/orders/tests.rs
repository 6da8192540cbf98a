//! Spot's orders as a client meets them: requests through the table of routes against an engine on its thread, whose market
//! stands still at 60,000; answers and events field by field.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::encode;
use crate::domain::ids::{Asset, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{Candle, DepthSnapshot, Level, MarketEvent, MarketFrame, TradePrint};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::exchange::core::report::UserReport;
use crate::exchange::sources::MarketSource;
use crate::exchange::wire::venue::Reply;
use crate::exchange::wire::{
    Ask, Found, Key, Keys, Manners, Parameters, Problem, Product, Proof, Routes, Transport, Venue, VenueConfig, Verb,
};
use crate::exchange::{AccountSetup, ExchangeConfig, RunningExchange, ShellConfig, instruments};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A book that nobody but us moves: 60,000.00 and 60,000.10, a BTC each, and much more a thousand away.
struct Still {
    shown: bool,
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

impl MarketSource for Still {
    fn instruments(&self) -> Vec<Instrument> {
        vec![instruments::bundled(InstrumentKind::Spot, btc()).unwrap()]
    }

    fn poll(&mut self, now: Timestamp, frames: &mut Vec<MarketFrame>) {
        if std::mem::replace(&mut self.shown, true) {
            return;
        }
        let level = |price, lots| Level { price: Ticks(price), quantity: Lots(lots) };
        let bids = vec![level(6_000_000, 100_000), level(5_900_000, 10_000_000)];
        let asks = vec![level(6_000_010, 100_000), level(6_100_000, 10_000_000)];
        let print = TradePrint { id: 1, price: Ticks(6_000_000), quantity: Lots(100), buyer_is_maker: true };
        let events = [MarketEvent::Snapshot(DepthSnapshot { last_id: 1, bids, asks }), MarketEvent::Trade(print)];
        frames.extend(events.map(|event| MarketFrame { symbol: btc(), venue_time: now, received_at: now, event }));
    }

    fn book(&self, _: Symbol, _: usize) -> Option<DepthSnapshot> {
        None
    }

    fn candles(&self, _: Symbol, _: std::time::Duration, _: usize) -> Vec<Candle> {
        Vec::new()
    }
}

struct Bench {
    venue: Arc<Venue>,
    keys: [Arc<Key>; 2],
    events: tokio::sync::mpsc::Receiver<Arc<UserReport>>,
    _running: RunningExchange,
}

async fn bench() -> Bench {
    let keys = [("a", 1), ("b", 2)].map(|(name, owner)| (Key::derived(&[7; 32], name).unwrap(), owner));
    let setup = |owner| AccountSetup { deposit: Money(Decimal::from(100_000)), owner, hedge: false };
    let clock: crate::exchange::shell::Clock = Arc::new(|| NOW);
    let config = ShellConfig {
        exchange: ExchangeConfig { log_reports: true, ..ExchangeConfig::default() },
        accounts: keys.iter().map(|(key, owner)| (key.account, setup(*owner))).collect(),
        record: None,
        clock: Arc::clone(&clock),
    };
    let running = RunningExchange::start(config, Box::new(|_, _| Box::new(Still { shown: false }))).unwrap();
    let accounts = keys.each_ref().map(|(key, _)| key.account);
    for account in accounts {
        let asset = Asset::new("BTC").unwrap();
        running.handle().call(move |desk| desk.exchange.deposit(desk.now, account, asset, Money(Decimal::from(2))).unwrap()).await.unwrap();
    }
    let venue = Venue::new(VenueConfig {
        product: Product::SPOT,
        exchange: running.handle(),
        clock,
        keys: Keys::new(["a", "b"].map(|name| Key::derived(&[7; 32], name).unwrap())).unwrap(),
        limits: Product::SPOT.limits(),
        routes: Routes::new(super::routes()),
    });
    let events = running.handle().subscribe_users(accounts.to_vec()).unwrap();
    Bench { venue: Arc::new(venue), keys: keys.map(|(key, _)| Arc::new(key)), events, _running: running }
}

impl Bench {
    async fn ask(&self, who: usize, verb: Verb, path: &str, query: &str) -> Result<Value, Problem> {
        let Found::Route(route) = self.venue.routes().find(path, Some(verb)) else { panic!("no route {verb} {path}") };
        let query = format!("{query}&timestamp={}", NOW.as_millis());
        let ask = Ask {
            route: Arc::clone(route),
            parameters: Parameters::parse(Manners::Strict, query.as_bytes(), b"").unwrap(),
            api_key: None,
            proof: Proof::Session(Arc::clone(&self.keys[who])),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: Transport::WebSocketApi,
            microseconds: false,
        };
        match self.venue.serve(ask).await.reply {
            Reply::Answer(answer) => answer.map(|json| serde_json::from_str(json.as_str()).unwrap()),
            Reply::Spoilt(..) => panic!("no fault was asked for"),
        }
    }

    async fn post(&self, path: &str, query: &str) -> Value {
        self.ask(0, Verb::Post, path, query).await.unwrap()
    }

    async fn get(&self, path: &str, query: &str) -> Value {
        self.ask(0, Verb::Get, path, query).await.unwrap()
    }

    async fn refused(&self, verb: Verb, path: &str, query: &str) -> (u16, i32, String) {
        let problem = self.ask(0, verb, path, query).await.unwrap_err();
        (problem.status, problem.code, problem.msg.into_owned())
    }

    /// The events of account `a` so far.
    async fn told(&mut self) -> Vec<Value> {
        // An answer comes after what was told before it.
        self.get("/api/v3/openOrders", "symbol=BTCUSDT").await;
        let mut told = Vec::new();
        while let Ok(report) = self.events.try_recv() {
            if report.account == self.keys[0].account {
                told.extend(encode(&report, false).iter().map(|text| serde_json::from_str::<Value>(text).unwrap()));
            }
        }
        told
    }
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

const LIMIT: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=59000";

#[tokio::test]
async fn a_market_order_is_answered_in_full() {
    let bench = bench().await;
    let order = bench.post("/api/v3/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.5&newClientOrderId=mine").await;
    let expected = json!({
        "symbol": "BTCUSDT", "orderId": 1, "orderListId": -1, "clientOrderId": "mine", "transactTime": 1_700_000_000_000_i64,
        "price": "0.00000000", "origQty": "0.50000000", "executedQty": "0.50000000", "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "30000.05000000", "status": "FILLED", "timeInForce": "GTC", "type": "MARKET", "side": "BUY",
        "workingTime": 1_700_000_000_000_i64, "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [{ "price": "60000.10000000", "qty": "0.50000000", "commission": "0.00050000", "commissionAsset": "BTC", "tradeId": 1 }],
    });
    assert_eq!(order, expected);
    let trades = bench.get("/api/v3/myTrades", "symbol=BTCUSDT").await;
    let expected = json!([{
        "symbol": "BTCUSDT", "id": 1, "orderId": 1, "orderListId": -1, "price": "60000.10000000", "qty": "0.50000000",
        "quoteQty": "30000.05000000", "commission": "0.00050000", "commissionAsset": "BTC", "time": 1_700_000_000_000_i64,
        "isBuyer": true, "isMaker": false, "isBestMatch": true,
    }]);
    assert_eq!(trades, expected);
}

#[tokio::test]
async fn each_kind_of_answer_has_its_fields() {
    let bench = bench().await;
    let ack = bench.post("/api/v3/order", &format!("{LIMIT}&newOrderRespType=ACK")).await;
    assert_eq!(names(&ack), sorted(&["symbol", "orderId", "orderListId", "clientOrderId", "transactTime"]));
    assert_eq!(ack["clientOrderId"].as_str().unwrap().len(), 22);
    let stop = bench
        .post(
            "/api/v3/order",
            "symbol=BTCUSDT&side=SELL&type=STOP_LOSS_LIMIT&timeInForce=GTC&quantity=0.01&price=57000&stopPrice=58000&newOrderRespType=FULL",
        )
        .await;
    assert_eq!(
        (&stop["status"], &stop["workingTime"], &stop["stopPrice"], &stop["fills"]),
        (&json!("NEW"), &json!(-1), &json!("58000.00000000"), &json!([]))
    );
    let shown = bench.get("/api/v3/order", "symbol=BTCUSDT&orderId=2").await;
    let expected = json!({
        "symbol": "BTCUSDT", "orderId": 2, "orderListId": -1, "clientOrderId": stop["clientOrderId"], "price": "57000.00000000",
        "origQty": "0.01000000", "executedQty": "0.00000000", "cummulativeQuoteQty": "0.00000000", "status": "NEW",
        "timeInForce": "GTC", "type": "STOP_LOSS_LIMIT", "side": "SELL", "stopPrice": "58000.00000000", "icebergQty": "0.00000000",
        "time": 1_700_000_000_000_i64, "updateTime": 1_700_000_000_000_i64, "isWorking": false, "workingTime": -1,
        "origQuoteOrderQty": "0.00000000", "selfTradePreventionMode": "EXPIRE_MAKER",
    });
    assert_eq!(shown, expected);
    let canceled = bench.ask(0, Verb::Delete, "/api/v3/order", "symbol=BTCUSDT&orderId=1&newClientOrderId=out").await.unwrap();
    assert_eq!(
        (&canceled["status"], &canceled["clientOrderId"], &canceled["origClientOrderId"]),
        (&json!("CANCELED"), &json!("out"), &ack["clientOrderId"])
    );
    assert_eq!(bench.get("/api/v3/allOrders", "symbol=BTCUSDT").await.as_array().unwrap().len(), 2);
    assert_eq!(bench.post("/api/v3/order/test", LIMIT).await, json!({}));
}

#[tokio::test]
async fn what_a_type_does_not_take_is_refused_in_the_venues_words() {
    let bench = bench().await;
    let order = |query: &'static str| bench.refused(Verb::Post, "/api/v3/order", query);
    let code = |(_, code, _): (u16, i32, String)| code;
    assert_eq!(
        order("symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=1").await,
        (400, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.".to_owned())
    );
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&price=1").await), -1106);
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=MARKET").await), -1102);
    assert_eq!(code(order("symbol=BTCUSDT&side=UP&type=MARKET&quantity=1").await), -1117);
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=PEG&quantity=1").await), -1116);
    assert_eq!(code(order("symbol=NOPE&side=BUY&type=MARKET&quantity=1").await), -1121);
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1e-05").await), -1100);
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.000000001").await), -1111);
    assert_eq!(code(order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&what=1").await), -1104);
    assert_eq!(order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.000015").await, (400, -1013, "Filter failure: LOT_SIZE".to_owned()));
    assert_eq!(
        order("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&selfTradePreventionMode=TRANSFER").await,
        (400, -1013, "This symbol does not allow the specified self-trade prevention mode.".to_owned())
    );
    assert_eq!(
        order("symbol=BTCUSDT&side=SELL&type=MARKET&quantity=5").await,
        (400, -2010, "Account has insufficient balance for requested action.".to_owned())
    );
    let unknown = bench.refused(Verb::Get, "/api/v3/order", "symbol=BTCUSDT&orderId=9").await;
    assert_eq!(unknown, (400, -2013, "Order does not exist.".to_owned()));
    let unknown = bench.refused(Verb::Delete, "/api/v3/order", "symbol=BTCUSDT&orderId=9").await;
    assert_eq!(unknown, (400, -2011, "Unknown order sent.".to_owned()));
    assert_eq!(code(bench.refused(Verb::Post, "/api/v3/sor/order", LIMIT).await), -1020);
}

#[tokio::test]
async fn a_replacement_that_is_refused_is_told_with_its_reason() {
    let mut bench = bench().await;
    let first = bench.post("/api/v3/order", LIMIT).await;
    let maker = "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.01&price=60500&newClientOrderId=refused";
    let replace = format!("{maker}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId={}", first["orderId"]);
    let problem = bench.ask(0, Verb::Post, "/api/v3/order/cancelReplace", &replace).await.unwrap_err();
    assert_eq!((problem.status, problem.code), (409, -2021));
    let told = bench.told().await;
    let told: Vec<_> =
        told.iter().filter(|event| event["e"] == "executionReport").map(|event| (&event["x"], &event["X"], &event["r"])).collect();
    assert_eq!(
        told[1..],
        [
            (&json!("CANCELED"), &json!("CANCELED"), &json!("NONE")),
            (&json!("REJECTED"), &json!("REJECTED"), &json!("WOULD_MATCH_IMMEDIATELY"))
        ]
    );
}

#[tokio::test]
async fn cancel_and_replace_says_what_became_of_each_half() {
    let bench = bench().await;
    let first = bench.post("/api/v3/order", LIMIT).await;
    let replace = format!("{LIMIT}&cancelReplaceMode=STOP_ON_FAILURE&cancelOrderId={}", first["orderId"]);
    let done = bench.post("/api/v3/order/cancelReplace", &replace).await;
    assert_eq!((&done["cancelResult"], &done["newOrderResult"]), (&json!("SUCCESS"), &json!("SUCCESS")));
    assert_eq!((&done["cancelResponse"]["status"], &done["newOrderResponse"]["orderId"]), (&json!("CANCELED"), &json!(2)));
    let problem = bench.ask(0, Verb::Post, "/api/v3/order/cancelReplace", &replace).await.unwrap_err();
    assert_eq!((problem.status, problem.code), (400, -2022));
    let data: Value = serde_json::from_str(problem.data.unwrap().get()).unwrap();
    let expected = json!({
        "cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": { "code": -2011, "msg": "Unknown order sent." }, "newOrderResponse": null,
    });
    assert_eq!(data, expected);
    let problem = bench.ask(0, Verb::Post, "/api/v3/order/cancelReplace", &replace.replace("STOP_ON", "MAYBE_ON")).await;
    assert_eq!(problem.map_err(|problem| problem.code).unwrap_err(), -1130);
    let allow = replace.replace("STOP_ON_FAILURE", "ALLOW_FAILURE");
    let problem = bench.ask(0, Verb::Post, "/api/v3/order/cancelReplace", &allow).await.unwrap_err();
    assert_eq!((problem.status, problem.code), (409, -2021));
}

#[tokio::test]
async fn an_amendment_is_answered_and_listed() {
    let bench = bench().await;
    let first = bench.post("/api/v3/order", LIMIT).await;
    let query = "symbol=BTCUSDT&orderId=1&newQty=0.005&newClientOrderId=smaller";
    let done = bench.ask(0, Verb::Put, "/api/v3/order/amend/keepPriority", query).await.unwrap();
    let amended = &done["amendedOrder"];
    assert_eq!(
        (&amended["qty"], &amended["clientOrderId"], &amended["origClientOrderId"]),
        (&json!("0.00500000"), &json!("smaller"), &first["clientOrderId"])
    );
    let listed = bench.get("/api/v3/order/amendments", "symbol=BTCUSDT&orderId=1").await;
    let expected = json!([{
        "symbol": "BTCUSDT", "orderId": 1, "executionId": done["executionId"], "origClientOrderId": first["clientOrderId"],
        "newClientOrderId": "smaller", "origQty": "0.01000000", "newQty": "0.00500000", "time": 1_700_000_000_000_i64,
    }]);
    assert_eq!(listed, expected);
}

const OCO: &str = "symbol=BTCUSDT&side=SELL&quantity=0.01&aboveType=LIMIT_MAKER&abovePrice=61000&belowType=STOP_LOSS&belowStopPrice=58000";

#[tokio::test]
async fn lists_are_placed_shown_and_cancelled() {
    let bench = bench().await;
    let list = bench.post("/api/v3/orderList/oco", &format!("{OCO}&listClientOrderId=pair")).await;
    let head = ["contingencyType", "listStatusType", "listOrderStatus", "listClientOrderId"].map(|name| list[name].as_str().unwrap());
    assert_eq!(head, ["OCO", "EXEC_STARTED", "EXECUTING", "pair"]);
    let types: Vec<_> = list["orderReports"].as_array().unwrap().iter().map(|order| order["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["STOP_LOSS", "LIMIT_MAKER"]);
    assert_eq!(bench.get("/api/v3/orderList", "origClientOrderId=pair").await["orderListId"], list["orderListId"]);
    assert_eq!(bench.get("/api/v3/openOrderList", "recvWindow=5000").await.as_array().unwrap().len(), 1);
    let gone = bench.ask(0, Verb::Delete, "/api/v3/orderList", "symbol=BTCUSDT&listClientOrderId=pair").await.unwrap();
    assert_eq!((&gone["listStatusType"], gone["orderReports"].as_array().unwrap().len()), (&json!("ALL_DONE"), 2));
    let otoco = "symbol=BTCUSDT&workingType=LIMIT&workingSide=BUY&workingPrice=59000&workingQuantity=0.01&workingTimeInForce=GTC\
                 &pendingSide=SELL&pendingQuantity=0.009&pendingAboveType=LIMIT_MAKER&pendingAbovePrice=61000\
                 &pendingBelowType=STOP_LOSS&pendingBelowStopPrice=58000";
    let list = bench.post("/api/v3/orderList/otoco", otoco).await;
    let states: Vec<_> = list["orderReports"].as_array().unwrap().iter().map(|order| order["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["NEW", "PENDING_NEW", "PENDING_NEW"]);
    let oto = "symbol=BTCUSDT&workingType=LIMIT_MAKER&workingSide=BUY&workingPrice=59000&workingQuantity=0.01&pendingType=MARKET&pendingSide=SELL&pendingQuantity=0.009";
    bench.post("/api/v3/orderList/oto", oto).await;
    let old = "symbol=BTCUSDT&side=SELL&quantity=0.01&price=61000&stopPrice=58000&stopLimitPrice=57900&stopLimitTimeInForce=GTC";
    bench.post("/api/v3/order/oco", old).await;
    bench.post("/api/v3/order", LIMIT).await;
    let all = bench.ask(0, Verb::Delete, "/api/v3/openOrders", "symbol=BTCUSDT").await.unwrap();
    let lists: Vec<bool> = all.as_array().unwrap().iter().map(|one| one.get("contingencyType").is_some()).collect();
    assert_eq!(lists, [true, true, true, false]);
    assert_eq!(bench.get("/api/v3/allOrderList", "limit=10").await.as_array().unwrap().len(), 4);
    let refused = |query: &str| query.to_owned();
    let wrong = bench.refused(Verb::Post, "/api/v3/orderList/oco", &refused(&OCO.replace("side=SELL", "side=BUY"))).await;
    assert_eq!((wrong.1, wrong.2.as_str()), (-1165, "A limit order in a buy OCO must be below."));
}

#[tokio::test]
async fn events_have_the_venues_fields() {
    let mut bench = bench().await;
    bench.post("/api/v3/order", &format!("{LIMIT}&newClientOrderId=mine&strategyId=7")).await;
    let told = bench.told().await;
    let expected = json!({
        "e": "executionReport", "E": 1_700_000_000_000_i64, "s": "BTCUSDT", "c": "mine", "S": "BUY", "o": "LIMIT", "f": "GTC",
        "q": "0.01000000", "p": "59000.00000000", "P": "0.00000000", "F": "0.00000000", "g": -1, "C": "", "x": "NEW", "X": "NEW",
        "r": "NONE", "i": 1, "l": "0.00000000", "z": "0.00000000", "L": "0.00000000", "n": "0", "N": null,
        "T": 1_700_000_000_000_i64, "t": -1, "I": 1, "w": true, "m": false, "M": false, "O": 1_700_000_000_000_i64,
        "Z": "0.00000000", "Y": "0.00000000", "Q": "0.00000000", "W": 1_700_000_000_000_i64, "V": "EXPIRE_MAKER", "j": 7,
    });
    assert_eq!(told[0], expected);
    let expected = json!({
        "e": "outboundAccountPosition", "E": 1_700_000_000_000_i64, "u": 1_700_000_000_000_i64,
        "B": [{ "a": "USDT", "f": "99410.00000000", "l": "590.00000000" }],
    });
    assert_eq!(told[1..], [expected]);
    bench.ask(0, Verb::Delete, "/api/v3/order", "symbol=BTCUSDT&orderId=1&newClientOrderId=out").await.unwrap();
    let told = bench.told().await;
    assert_eq!((&told[0]["x"], &told[0]["c"], &told[0]["C"]), (&json!("CANCELED"), &json!("out"), &json!("mine")));
    bench.post("/api/v3/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1").await;
    let told = bench.told().await;
    let trade = &told[1];
    assert_eq!(
        (&trade["x"], &trade["X"], &trade["L"], &trade["Y"]),
        (&json!("TRADE"), &json!("FILLED"), &json!("60000.00000000"), &json!("6000.00000000"))
    );
    assert_eq!((&trade["n"], &trade["N"], &trade["t"], &trade["w"]), (&json!("6.00000000"), &json!("USDT"), &json!(1), &json!(false)));
    bench.post("/api/v3/orderList/oco", OCO).await;
    let told = bench.told().await;
    assert_eq!(names(&told[0]), sorted(&["e", "E", "s", "g", "c", "l", "L", "r", "C", "T", "O"]));
    assert_eq!((&told[0]["l"], &told[0]["L"], told[0]["O"].as_array().unwrap().len()), (&json!("EXEC_STARTED"), &json!("EXECUTING"), 2));
}

#[tokio::test]
async fn prevented_matches_are_told_and_can_be_asked_for() {
    let mut bench = bench().await;
    bench.post("/api/v3/order", "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.02&price=60000.05").await;
    bench.told().await;
    let sale = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=0.01&price=60000.05&selfTradePreventionMode=DECREMENT";
    let order = bench.post("/api/v3/order", sale).await;
    assert_eq!((&order["status"], &order["preventedQuantity"]), (&json!("EXPIRED_IN_MATCH"), &json!("0.01000000")));
    assert_eq!(order["preventedMatches"][0]["makerOrderId"], json!(1));
    let told = bench.told().await;
    let maker = told.iter().find(|event| event["x"] == "TRADE_PREVENTION" && event["i"] == 1).unwrap();
    let parts = ["X", "A", "B", "pl", "pL", "pY"].map(|name| maker[name].as_str().unwrap());
    assert_eq!(parts, ["NEW", "0.01000000", "0.01000000", "0.01000000", "60000.05000000", "600.00050000"]);
    assert_eq!((&maker["U"], &maker["v"]), (&json!(2), &json!(1)));
    let listed = bench.get("/api/v3/myPreventedMatches", "symbol=BTCUSDT&orderId=2").await;
    assert_eq!((&listed[0]["takerPreventedQuantity"], &listed[0]["makerPreventedQuantity"]), (&json!("0.01000000"), &json!("0.01000000")));
}
