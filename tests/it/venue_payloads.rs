//! Every example of a real venue's answers and events goes through the typed reader that the adapters use, or stands here with the
//! reason why nothing reads it. The examples are shared data, no part of this repository.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use ringfence::domain::ids::{AccountId, Asset, Symbol};
use ringfence::domain::instrument::{Instrument, InstrumentKind};
use ringfence::domain::money::Ratio;
use ringfence::domain::time::Timestamp;
use ringfence::venues::binance::codec::answers::{
    AccountAnswer, AccountModes, AlgoAnswer, BracketsAnswer, DoneAnswer, FuturesCommissionAnswer, IncomeAnswer, LeverageAnswer,
    ListenKeyAnswer, MultiAssetsAnswer, OrderAnswer, PositionModeAnswer, PriceAnswer, ServerTimeAnswer, SpotAccountAnswer,
    SpotCommissionAnswer, TradeAnswer,
};
use ringfence::venues::binance::codec::events::{Frame, RateLimitAnswer, UserEvent, read_frame};
use ringfence::venues::binance::codec::exchange_info::exchange_info;
use ringfence::venues::binance::codec::frames::SubscriptionAnswer;
use ringfence::venues::binance::codec::outcome::{Answer, read};
use ringfence::venues::binance::codec::product::Product;
use ringfence::venues::binance::codec::snapshot;
use ringfence::venues::binance::codec::translate::Translator;
use ringfence::venues::binance::market::Decoder;
use ringfence::venues::binance::rest::read_klines;
use serde::Deserialize;
use serde_json::Value;

use crate::support::skip::shared_data;

/// What becomes of an example.
#[derive(Clone, Copy)]
enum Fate {
    /// This reads it.
    Read(fn(Product, &str) -> Result<(), String>),
    /// What reads its kind refuses this one, because the example lacks what a real one has.
    Lacks(fn(Product, &str) -> Result<(), String>, &'static str),
    /// No adapter asks for it.
    Unread(&'static str),
}

use Fate::{Lacks, Read, Unread};

fn answer(body: &str) -> Answer<'_> {
    Answer { status: 200, retry_after: None, body: body.as_bytes() }
}

fn typed<'a, T: Deserialize<'a>>(product: Product, body: &'a str) -> Result<T, String> {
    read(product, answer(body)).map_err(|failure| failure.to_string())
}

macro_rules! reads {
    ($kind:ty) => {
        Read(|product, body| typed::<$kind>(product, body).map(drop))
    };
}

/// A grid as fine as any venue's, so that every number of an example is on it.
fn instrument(symbol: &str) -> Instrument {
    Instrument {
        symbol: Symbol::new(symbol).unwrap(),
        kind: InstrumentKind::Spot,
        base: "BTC".into(),
        quote: "USDT".into(),
        price_step: "0.00000001".parse().unwrap(),
        quantity_step: "0.00000001".parse().unwrap(),
        min_quantity: "0.00000001".parse().unwrap(),
        max_quantity: "9000000".parse().unwrap(),
        min_notional: "0".parse().unwrap(),
        price_band: Ratio::ZERO,
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: 1,
    }
}

fn translator(product: Product) -> Translator {
    Translator::new(product, AccountId::new("main").unwrap(), &[instrument("BTCUSDT")])
}

fn order(product: Product, body: &str) -> Result<(), String> {
    let order = typed::<OrderAnswer<'_>>(product, body)?.order(product).map_err(|error| error.to_string())?;
    order.map(drop).ok_or_else(|| "an order of no symbol".to_owned())
}

fn orders(product: Product, body: &str) -> Result<(), String> {
    translator(product).open_orders(answer(body)).map(drop).map_err(|failure| failure.to_string())
}

/// Some entries of a list are problems, as a batch answers.
fn batch(product: Product, body: &str) -> Result<(), String> {
    let entries: Vec<Value> = serde_json::from_str(body).map_err(|error| error.to_string())?;
    entries.iter().try_for_each(|entry| order(product, &entry.to_string()))
}

fn algo(_: Product, body: &str) -> Result<(), String> {
    typed::<AlgoAnswer<'_>>(Product::BinanceUsdm, body)?.standing().map(drop).map_err(|error| error.to_string())
}

fn algos(product: Product, body: &str) -> Result<(), String> {
    translator(product).open_algos(answer(body)).map(drop).map_err(|failure| failure.to_string())
}

fn trades(product: Product, body: &str) -> Result<(), String> {
    let listed = translator(product).listed(answer(body)).map_err(|failure| failure.to_string())?;
    if listed.found > 0 && listed.unnamed.is_empty() {
        return Err("trades without orders".to_owned());
    }
    typed::<Vec<TradeAnswer<'_>>>(product, body)?.iter().try_for_each(|trade| trade.side().map(drop).map_err(|error| error.to_string()))
}

fn positions(product: Product, body: &str) -> Result<(), String> {
    snapshot::positions(product, answer(body)).map(drop).map_err(|failure| failure.to_string())
}

fn balances(product: Product, body: &str) -> Result<(), String> {
    snapshot::wallet(product, Asset::new("USDT").unwrap(), answer(body)).map(drop).map_err(|failure| failure.to_string())
}

fn settings(product: Product, body: &str) -> Result<(), String> {
    snapshot::symbol_settings(product, answer(body)).map(drop).map_err(|failure| failure.to_string())
}

/// Symbols with no rules at all are listed as such; one that has rules and could not be read would be a mistake of ours.
fn info(product: Product, body: &str) -> Result<(), String> {
    let info = exchange_info(product, answer(body)).map_err(|failure| failure.to_string())?;
    if info.symbols.is_empty() { Err(format!("no symbol: {:?}", info.left_out)) } else { Ok(()) }
}

fn market(_: Product, body: &str) -> Result<(), String> {
    let symbols = ["BTCUSDT", "BNBUSDT", "BNBBTC", "ETHUSDT"].map(instrument);
    let mut decoder = Decoder::new(&symbols).map_err(|error| error.to_string())?;
    decoder.decode_for(symbols[0].symbol, body.as_bytes(), Timestamp::ZERO).map(drop).map_err(|error| error.to_string())
}

/// A stream of all symbols comes as a list, one event each.
fn markets(product: Product, body: &str) -> Result<(), String> {
    let entries: Vec<Value> = serde_json::from_str(body).map_err(|error| error.to_string())?;
    entries.iter().try_for_each(|entry| market(product, &entry.to_string()))
}

fn klines(_: Product, body: &str) -> Result<(), String> {
    let rows: Vec<Vec<Value>> = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let time = |row: usize, column: usize| rows.get(row).and_then(|row| row.get(column)).and_then(Value::as_u64);
    let interval = time(0, 6).zip(time(0, 0)).map(|(close, open)| Duration::from_millis(close + 1 - open));
    read_klines(body.as_bytes(), interval.ok_or("a kline without times")?).map(drop)
}

const STATISTICS: Fate = Unread("market statistics and references: nothing here decides by them");
const HISTORY: Fate = Unread("public trades of the past: bars are filled from klines");
const LISTS: Fate = Unread("order lists, amendments and smart routing: the order manager has each order by itself");
const BACK_OFFICE: Fate = Unread("reports, conversions and preferences of a person's account");
const OTHER_VERSION: Fate = Unread("another version of a question that is asked in the newer one");
const OTHER_PRODUCT: Fate = Unread("coin-margined futures, savings and transfers are no product here");
const ANSWERS_NULL: Fate = Unread("recorded by a test server that answers nothing: a real one answers as the official example");
const NO_NUMBERS: &str = "the example leaves out prices and quantities";

/// By method and path, as the venue serves them.
fn rest(method: &str, path: &str) -> Option<Fate> {
    if path.starts_with("/futures/data/") {
        return Some(STATISTICS);
    }
    let (family, route) = path.split_once("/v").map(|(family, rest)| (family, rest.split_once('/').map_or("", |(_, route)| route)))?;
    Some(match (family, method, route) {
        ("/dapi" | "/sapi" | "/wapi", ..) => OTHER_PRODUCT,
        (_, "GET", "time") => reads!(ServerTimeAnswer),
        (_, "GET", "exchangeInfo") => Read(info),
        (_, "GET", "depth") => Read(market),
        (_, "GET", "klines") => Read(klines),
        (_, "GET", "ticker/price") => reads!(PriceAnswer<'_>),
        (_, "GET", "order" | "openOrder") | (_, "DELETE", "order") | (_, "PUT", "order") => Read(order),
        ("/fapi", "POST", "order" | "order/test") => Read(order),
        ("/api", "POST", "order") => Read(|product, body| typed::<OrderAnswer<'_>>(product, body).map(drop)),
        ("/api", "POST", "order/test" | "sor/order/test") => reads!(DoneAnswer),
        (_, "GET", "openOrders" | "allOrders" | "forceOrders") | ("/api", "DELETE", "openOrders") => Read(orders),
        (_, "POST" | "DELETE" | "PUT", "batchOrders") => Read(batch),
        (_, "GET", "myTrades" | "userTrades") => Read(trades),
        ("/api", "GET", "account") => reads!(SpotAccountAnswer<'_>),
        ("/fapi", "GET", "account") => reads!(AccountAnswer<'_>),
        (_, "GET", "balance") => Read(balances),
        (_, "GET", "positionRisk") => Read(positions),
        (_, "GET", "symbolConfig") => Read(settings),
        (_, "GET", "leverageBracket") => reads!(Vec<BracketsAnswer<'_>>),
        (_, "GET", "income") => reads!(Vec<IncomeAnswer<'_>>),
        (_, "GET", "commissionRate") => reads!(FuturesCommissionAnswer),
        (_, "GET", "account/commission") => reads!(SpotCommissionAnswer),
        (_, "GET", "rateLimit/order") => reads!(Vec<RateLimitAnswer<'_>>),
        (_, "GET", "positionSide/dual") => reads!(PositionModeAnswer),
        (_, "GET", "accountConfig") => reads!(AccountModes),
        (_, "GET", "multiAssetsMargin") => reads!(MultiAssetsAnswer),
        (_, "POST", "leverage") => reads!(LeverageAnswer),
        (_, "POST" | "PUT", "listenKey") => reads!(ListenKeyAnswer<'_>),
        (_, "POST", "marginType" | "positionSide/dual" | "multiAssetsMargin" | "countdownCancelAll") => reads!(DoneAnswer),
        (_, "DELETE", "allOpenOrders" | "algoOpenOrders" | "algoOrder") => reads!(DoneAnswer),
        (_, "POST" | "GET", "algoOrder") => Read(algo),
        (_, "GET", "openAlgoOrders" | "allAlgoOrders") => Read(algos),
        (_, _, "order/amend/keepPriority" | "order/cancelReplace" | "order/oco" | "sor/order" | "orderAmendment" | "order/amendments") => {
            LISTS
        }
        (_, _, route) if route.starts_with("orderList") => LISTS,
        (_, "GET", "allOrderList" | "openOrderList") => LISTS,
        (_, "GET", "trades" | "aggTrades" | "historicalTrades" | "historicalBlockTrades") => HISTORY,
        (_, "GET", "myAllocations" | "myPreventedMatches" | "myFilters" | "executionRules") => BACK_OFFICE,
        (_, "GET", "apiTradingStatus" | "feeBurn" | "pmAccountInfo" | "adlQuantile") => BACK_OFFICE,
        (_, "GET", "order/asyn" | "trade/asyn" | "income/asyn" | "order/asyn/id" | "trade/asyn/id" | "income/asyn/id") => BACK_OFFICE,
        (_, _, "positionMargin" | "positionMargin/history" | "feeBurn" | "stock/contract") => BACK_OFFICE,
        (_, _, route) if route.starts_with("convert/") => BACK_OFFICE,
        (_, _, "userDataStream") => Unread("spot's listen keys were removed on 2026-02-20"),
        (_, "GET", _) => STATISTICS,
        _ => return None,
    })
}

/// Examples that are not what a venue sends.
fn exception(file: &str, name: &str, body: &str) -> Option<Fate> {
    Some(match (file, name) {
        _ if body == "null" => ANSWERS_NULL,
        ("spot_rest_api" | "usdm_rest_api", "test_klines" | "test_kline_candlestick_data") => Lacks(klines, NO_NUMBERS),
        ("spot_rest_api", "test_ticker_price") => Lacks(|product, body| typed::<PriceAnswer<'_>>(product, body).map(drop), NO_NUMBERS),
        ("spot_rest_api", "test_exchange_info") => Lacks(info, "the example's only symbol has one filter"),
        ("usdm_rest_api", "test_exchange_information") => {
            Lacks(info, "the example's only filter is named PRICE_FILTER and has the fields of all")
        }
        ("usdm_rest_api", "test_account_information_v2" | "test_symbol_price_ticker_v2") => OTHER_VERSION,
        _ => return None,
    })
}

/// By the official connector's name, as the frames have no path.
fn websocket_api(file: &str, name: &str) -> Option<Fate> {
    let spot = file.starts_with("spot");
    Some(match name {
        "test_time" => reads!(ServerTimeAnswer),
        "test_ping" | "test_order_test" | "test_session_logon" | "test_session_logout" | "test_session_status" => reads!(DoneAnswer),
        "test_user_data_stream_unsubscribe" | "test_close_user_data_stream" | "test_cancel_algo_order" => reads!(DoneAnswer),
        "test_user_data_stream_subscribe" | "test_user_data_stream_subscribe_signature" => reads!(SubscriptionAnswer),
        "test_session_subscriptions" => reads!(Vec<SubscriptionAnswer>),
        "test_start_user_data_stream" | "test_keepalive_user_data_stream" => reads!(ListenKeyAnswer<'_>),
        "test_order_place" => Read(|product, body| typed::<OrderAnswer<'_>>(product, body).map(drop)),
        "test_order_cancel" | "test_cancel_order" | "test_new_order" | "test_modify_order" | "test_query_order" => Read(order),
        "test_order_status" => Read(order),
        "test_open_orders_status" | "test_all_orders" | "test_open_orders_cancel_all" => Read(orders),
        "test_my_trades" => Lacks(trades, NO_NUMBERS),
        "test_new_algo_order" => Read(algo),
        "test_account_status" => reads!(SpotAccountAnswer<'_>),
        "test_account_information_v2" => reads!(AccountAnswer<'_>),
        "test_account_information" => OTHER_VERSION,
        "test_futures_account_balance" | "test_futures_account_balance_v2" => Read(balances),
        "test_position_information" | "test_position_information_v2" => Read(positions),
        "test_account_commission" => reads!(SpotCommissionAnswer),
        "test_account_rate_limits_orders" => reads!(Vec<RateLimitAnswer<'_>>),
        "test_order_book" => Lacks(market, "the example has no level"),
        "test_depth" => Read(market),
        "test_exchange_info" => Lacks(info, "the example's only symbol has one filter"),
        "test_klines" | "test_ui_klines" => Lacks(klines, NO_NUMBERS),
        "test_ticker_price" => Lacks(|product, body| typed::<PriceAnswer<'_>>(product, body).map(drop), NO_NUMBERS),
        "test_symbol_price_ticker" => reads!(PriceAnswer<'_>),
        "test_order_amend_keep_priority" | "test_order_cancel_replace" | "test_sor_order_place" | "test_sor_order_test" => LISTS,
        "test_order_amendments" | "test_order_list_status" | "test_all_order_lists" | "test_open_order_lists_status" => LISTS,
        name if name.starts_with("test_order_list_") => LISTS,
        "test_trades_aggregate" | "test_trades_historical" | "test_trades_recent" | "test_block_trades_historical" => HISTORY,
        "test_my_allocations" | "test_my_filters" | "test_my_prevented_matches" | "test_execution_rules" => BACK_OFFICE,
        _ if spot || name == "test_symbol_order_book_ticker" => STATISTICS,
        _ => return None,
    })
}

fn stream(file: &str, name: &str) -> Option<Fate> {
    let spot = file.starts_with("spot");
    let name = name.strip_suffix("_subscription").unwrap_or(name);
    Some(match name {
        "test_agg_trade" | "test_trade" | "test_kline" | "test_kline_offset" if spot => Lacks(market, NO_NUMBERS),
        "test_partial_book_depth_streams" => Lacks(market, "a level of the example has no quantity"),
        "test_all_mini_ticker" | "test_all_market_rolling_window_ticker" => Read(markets),
        "test_all_market_mini_tickers_stream" | "test_all_market_tickers_streams" | "test_mark_price_stream_for_all_market" => {
            Read(markets)
        }
        "test_asset_index" => Read(markets),
        _ => Read(market),
    })
}

/// Every example with its fate: `(what it is, product, body, fate)`.
fn official(folder: &Path) -> Vec<(String, Product, String, Option<Fate>)> {
    let mut examples = Vec::new();
    for file in
        ["spot_rest_api", "spot_websocket_api", "spot_websocket_streams", "usdm_rest_api", "usdm_websocket_api", "usdm_websocket_streams"]
    {
        let product = if file.starts_with("spot") { Product::BinanceSpot } else { Product::BinanceUsdm };
        let text = std::fs::read_to_string(folder.join(format!("{file}.json"))).unwrap();
        let tests: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        for (name, example) in tests {
            let text = |key: &str| example[key].as_str().unwrap_or_default().to_owned();
            let (method, path) = (text("method"), text("path"));
            let response = &example["response"];
            let body = if file.ends_with("websocket_api") { frame_result(response) } else { response.to_string() };
            let fate = exception(file, &name, &body).or_else(|| match file.rsplit_once('_').map(|(kind, _)| kind) {
                Some("spot_websocket" | "usdm_websocket") if file.ends_with("api") => websocket_api(file, &name),
                Some("spot_websocket" | "usdm_websocket") => stream(file, &name),
                _ => rest(&method, &path),
            });
            examples.push((format!("{file} {name} {method} {path}"), product, body, fate));
        }
    }
    examples
}

/// The result of a frame, which is read as the adapters read it.
fn frame_result(response: &Value) -> String {
    let text = response.to_string();
    let Frame::Answer(answer) = read_frame(&text).unwrap() else { panic!("an answer that is an event: {text}") };
    assert_eq!(answer.id(), response["id"].as_str().unwrap_or_default());
    answer.result.map_or_else(|| "{}".to_owned(), |result| result.get().to_owned())
}

fn recorded(file: &Path) -> Vec<(String, Product, String, Option<Fate>)> {
    let all: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut examples = Vec::new();
    for (path, methods) in all["routes"].as_object().unwrap() {
        let product = if path.starts_with("/api") { Product::BinanceSpot } else { Product::BinanceUsdm };
        for (method, answers) in methods.as_object().unwrap() {
            for (nth, example) in answers.as_array().unwrap().iter().enumerate() {
                let body = example["data"].to_string();
                let list = example["data"].is_array() && path.ends_with("ticker/price");
                let problem = example["data"].get("code").is_some();
                let fate = match exception("recorded", path, &body) {
                    Some(fate) => Some(fate),
                    None if list => Some(reads!(Vec<PriceAnswer<'_>>)),
                    None if problem => Some(Unread("a recorded refusal, which is read as one")),
                    None => rest(method, path),
                };
                examples.push((format!("{method} {path} #{nth}"), product, body, fate));
            }
        }
    }
    examples
}

fn hold(examples: Vec<(String, Product, String, Option<Fate>)>) {
    let (mut read, mut reasons, mut wrong) = (0, BTreeMap::<&str, usize>::new(), Vec::new());
    for (what, product, body, fate) in &examples {
        let excerpt = || body.chars().take(300).collect::<String>();
        match fate {
            Some(Read(reader)) => match reader(*product, body) {
                Ok(()) => read += 1,
                Err(error) => wrong.push(format!("{what}: {error}\n    {}", excerpt())),
            },
            Some(Lacks(reader, reason)) => match reader(*product, body) {
                Ok(()) => wrong.push(format!("{what} is said to be incomplete ({reason}) and was read")),
                Err(_) => *reasons.entry(reason).or_default() += 1,
            },
            Some(Unread(reason)) => *reasons.entry(reason).or_default() += 1,
            None => wrong.push(format!("{what} is neither read nor listed")),
        }
    }
    for (reason, count) in &reasons {
        println!("{count:4} not read: {reason}");
    }
    println!("{read:4} read");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), examples.len(), wrong.join("\n"));
    assert!(read > 0);
}

#[test]
fn every_official_example_is_read_or_listed_with_the_reason() {
    let Some(folder) = shared_data("payloads/binance_connector_official") else { return };
    hold(official(&folder));
}

#[test]
fn every_recorded_answer_is_read_or_listed_with_the_reason() {
    let Some(file) = shared_data("payloads/binance_http_examples.json") else { return };
    hold(recorded(&file));
}

/// 290 symbols: three that have no letters of ours, three that have no rules yet, and every other one trades.
#[test]
fn asters_recorded_symbols_are_instruments() {
    let Some(file) = shared_data("payloads/aster_futures_v3_exchangeInfo.json.gz") else { return };
    let mut body = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut body).unwrap();
    let info = exchange_info(Product::AsterV3, answer(&body)).unwrap();
    assert_eq!(info.symbols.len() + info.left_out.len(), 290);
    let reasons: Vec<String> = info.left_out.iter().map(|(symbol, error)| format!("{symbol}: {error}")).collect();
    assert!(info.left_out.len() <= 6, "{reasons:#?}");
    assert_eq!(info.symbols.iter().filter(|rules| rules.trading).count(), 221 - 3, "{reasons:#?}");
}

/// The events of the documents of both products, whose examples are in no recording.
#[test]
fn user_events_of_the_documents_are_read() {
    let frames = [
        r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1564034571105,"u":1564034571073,"B":[{"a":"ETH","f":"10000.000000","l":"0.000000"}]}}"#,
        r#"{"subscriptionId":0,"event":{"e":"balanceUpdate","E":1573200697110,"a":"BTC","d":"100.00000000","T":1573200697068}}"#,
        r#"{"subscriptionId":0,"event":{"e":"listStatus","E":1564035303637,"s":"ETHBTC","g":2,"c":"OCO","l":"EXEC_STARTED","L":"EXECUTING","r":"NONE","C":"F4QN4G8DlFATFlIUQ0cjdD","T":1564035303625,"O":[{"s":"ETHBTC","i":17,"c":"AJYsMjErWJesZvqlJCTUgL"}]}}"#,
        r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1728973001334}}"#,
        r#"{"subscriptionId":0,"event":{"e":"externalLockUpdate","E":1581557507324,"a":"NEO","d":"10.00000000","T":1581557507268}}"#,
        r#"{"e":"TRADE_LITE","E":1721895408092,"T":1721895408214,"s":"BTCUSDT","q":"0.001","p":"0","m":false,"c":"z8hcUoOsqEdKMeKPSABslD","S":"BUY","L":"64089.20","l":"0.040","t":109100866,"i":8886774}"#,
        r#"{"e":"ALGO_UPDATE","T":1750515742297,"E":1750515742303,"o":{"caid":"Q5xaq5EGKgXXa0fD7fs0Ip","aid":2148719,"at":"CONDITIONAL","o":"TAKE_PROFIT","s":"BNBUSDT","S":"SELL","ps":"BOTH","f":"GTC","q":"0.01","X":"CANCELED","ai":"","ap":"0.00000","aq":"0.00000","act":"0","tp":"750","p":"750","V":"EXPIRE_MAKER","wt":"CONTRACT_PRICE","pm":"NONE","cp":false,"pP":false,"R":false,"tt":0,"gtd":0}}"#,
        r#"{"e":"CONDITIONAL_ORDER_TRIGGER_REJECT","E":1685517224945,"T":1685517224955,"or":{"s":"ETHUSDT","i":155618472834,"r":"Due to the order could not be filled immediately, the FOK order has been rejected."}}"#,
        r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1611646737479,"T":1611646737476,"ai":{"j":true}}"#,
        r#"{"e":"listenKeyExpired","E":"1736996475556","listenKey":"WsCMN0a4KHUPTQuX6IUnqEZfB1inxmv1qR4kbf1LuEjur5VdbzqvyxqG9TSjVVxv"}"#,
        r#"{"e":"serverShutdown","E":1770123456789}"#,
    ];
    for text in frames {
        match read_frame(text) {
            Ok(Frame::Event { event, .. }) => assert!(!matches!(event, UserEvent::Other(_)), "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}
