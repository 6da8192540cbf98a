use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::domain::ids::AccountId;
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::{EndReason, Fill, OrderKind, OrderStatus, TimeInForce, VenueOrder};
use crate::exchange::core::Force;
use crate::exchange::core::report::AccountReason;
use crate::exchange::core::request::{Extras, Trailing};

struct Btc;

impl Digits for Btc {
    fn of(&self, _: Symbol) -> (Scales, Asset) {
        (Scales { price: 2, quantity: 3 }, Asset::new("USDT").unwrap())
    }
}

const AT: Timestamp = Timestamp::from_millis(1_568_879_465_650);
const TOLD: Timestamp = Timestamp::from_millis(1_568_879_465_651);

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn order(kind: OrderKind, filled: &str) -> OrderView {
    OrderView {
        time_in_force: TimeInForce::GoodTilCanceled,
        self_trade_prevention: SelfTradePrevention::ExpireTaker,
        value: Money(number(filled) * number("100.5")),
        created_at: AT,
        ..OrderView::from(VenueOrder {
            client_order_id: ClientOrderId::new("TEST").unwrap(),
            venue_order_id: 8_886_774,
            symbol: Symbol::new("BTCUSDT").unwrap(),
            side: Side::Sell,
            position_side: PositionSide::Long,
            kind,
            status: OrderStatus::Working,
            quantity: Quantity(number("0.2")),
            filled: Quantity(number(filled)),
            reduce_only: false,
            updated_at: AT,
        })
    }
}

fn report(event: UserEvent) -> UserReport {
    UserReport { account: AccountId::new("alpha").unwrap(), at: AT, event }
}

fn told(event: UserEvent, dialect: Dialect) -> Vec<Value> {
    write(&report(event), TOLD, dialect, &Btc).iter().map(|event| serde_json::from_str(&event.text).unwrap()).collect()
}

fn of_order(execution: ExecutionType, order: OrderView, trade: Option<TradeView>) -> UserEvent {
    UserEvent::Order { execution, order: Arc::new(order), trade: trade.map(Box::new), request_id: None, spot: None }
}

#[test]
fn a_new_trailing_stop_is_the_venues_own_example() {
    let mut view = order(OrderKind::StopMarket { trigger: Price(number("7103.04")) }, "0");
    let trailing = Trailing { activation: Some(Price(number("7476.89"))), callback: Ratio(number("0.05")) };
    view.extras = Extras { trailing: Some(trailing), ..Extras::default() };
    let events = told(of_order(ExecutionType::New, view, None), Dialect::Binance);
    let expected = json!({
        "e": "ORDER_TRADE_UPDATE", "E": 1_568_879_465_651_i64, "T": 1_568_879_465_650_i64,
        "o": {
            "s": "BTCUSDT", "c": "TEST", "S": "SELL", "o": "TRAILING_STOP_MARKET", "f": "GTC", "q": "0.200", "p": "0.00",
            "ap": "0.00000", "sp": "7103.04", "x": "NEW", "X": "NEW", "i": 8_886_774, "l": "0.000", "z": "0.000", "L": "0.00",
            "T": 1_568_879_465_650_i64, "t": 0, "b": "0", "a": "0", "m": false, "R": false, "wt": "CONTRACT_PRICE",
            "ot": "TRAILING_STOP_MARKET", "ps": "LONG", "cp": false, "AP": "7476.89", "cr": "5", "pP": false, "si": 0, "ss": 0,
            "rp": "0.00000000", "V": "EXPIRE_TAKER", "pm": "NONE", "gtd": 0, "er": "0",
        },
    });
    assert_eq!(events, [expected]);
}

#[test]
fn a_trade_is_told_twice_and_once_on_aster() {
    let limit = OrderKind::Limit { price: Price(number("100.5")) };
    let view = order(limit, "0.05");
    let fill = Fill {
        account: AccountId::new("alpha").unwrap(),
        symbol: view.order.symbol,
        client_order_id: view.order.client_order_id,
        venue_order_id: view.order.venue_order_id,
        trade_id: 77,
        side: Side::Sell,
        position_side: PositionSide::Long,
        price: Price(number("100.5")),
        quantity: Quantity(number("0.05")),
        fee: Money(number("0.00100500")),
        fee_taken: None,
        maker: true,
        at: AT,
    };
    let trade = TradeView { realized: Money(number("-0.25")), ..TradeView::from(fill) };
    let event = || of_order(ExecutionType::Trade, view.clone(), Some(trade.clone()));
    let both = told(event(), Dialect::Binance);
    let lite = json!({
        "e": "TRADE_LITE", "E": 1_568_879_465_651_i64, "T": 1_568_879_465_650_i64, "s": "BTCUSDT", "q": "0.200", "p": "100.50",
        "m": true, "c": "TEST", "S": "SELL", "L": "100.50", "l": "0.050", "t": 77, "i": 8_886_774,
    });
    assert_eq!(both[0], lite);
    let o = &both[1]["o"];
    let texts = ["x", "X", "l", "z", "L", "n", "N", "ap", "rp"].map(|name| o[name].as_str().unwrap());
    let expected = ["TRADE", "PARTIALLY_FILLED", "0.050", "0.050", "100.50", "0.00100500", "USDT", "100.50000", "-0.25000000"];
    assert_eq!((texts, &o["t"], &o["m"]), (expected, &json!(77), &json!(true)));
    let aster = told(event(), Dialect::Aster);
    assert_eq!(aster.iter().map(|event| &event["e"]).collect::<Vec<_>>(), ["ORDER_TRADE_UPDATE"]);
}

#[test]
fn self_trade_prevention_is_an_expiry_with_its_own_status() {
    let mut view = order(OrderKind::Limit { price: Price(number("100.5")) }, "0");
    view.order.status = OrderStatus::Expired;
    view.end = Some(EndReason::SelfTradePrevented);
    let events = told(of_order(ExecutionType::TradePrevention, view, None), Dialect::Binance);
    let o = &events[0]["o"];
    assert_eq!((&o["x"], &o["X"], &o["er"]), (&json!("EXPIRED"), &json!("EXPIRED_IN_MATCH"), &json!("1")));
}

#[test]
fn an_expiry_says_why_in_the_venues_numbers() {
    let limit = OrderKind::Limit { price: Price(number("100.5")) };
    let ended = |change: fn(&mut OrderView)| {
        let mut view = order(limit, "0");
        (view.order.status, view.end) = (OrderStatus::Expired, Some(EndReason::Expired));
        change(&mut view);
        let events = told(of_order(ExecutionType::Expired, view, None), Dialect::Binance);
        (events[0]["o"]["er"].as_str().unwrap().to_owned(), events[0]["o"]["o"].as_str().unwrap().to_owned())
    };
    let limit = |number: &str| (number.to_owned(), "LIMIT".to_owned());
    assert_eq!(ended(|view| view.time_in_force = TimeInForce::ImmediateOrCancel), limit("2"));
    assert_eq!(ended(|view| view.order.reduce_only = true), limit("4"));
    assert_eq!(ended(|view| view.force = Some(Force::Liquidation)), limit("5"));
    assert_eq!(ended(|view| view.extras.good_till = Some(AT)), limit("0"));
    assert_eq!(ended(|view| view.order.kind = OrderKind::Market), ("9".to_owned(), "MARKET".to_owned()));
}

#[test]
fn an_order_of_the_exchanges_own_is_a_liquidation_from_its_first_event_on() {
    let mut view = order(OrderKind::Limit { price: Price(number("100.5")) }, "0");
    view.force = Some(Force::Deleverage);
    let events = told(of_order(ExecutionType::New, view, None), Dialect::Binance);
    let o = &events[0]["o"];
    assert_eq!((&o["o"], &o["ot"], &o["x"], &o["X"]), (&json!("LIQUIDATION"), &json!("LIMIT"), &json!("NEW"), &json!("NEW")));
}

#[test]
fn wallets_and_positions_are_told_with_every_field() {
    let position = PositionChange {
        symbol: Symbol::new("BTCUSDT").unwrap(),
        position_side: PositionSide::Both,
        quantity: Quantity(number("-0.010")),
        entry_price: Price(number("6563.66500")),
        break_even_price: Price(number("6563.6")),
        realized: Money(number("-45.04")),
        unrealized: Money(number("2850.212")),
        isolated: true,
        isolated_wallet: Money(number("13200.70726908")),
    };
    let wallet = WalletChange {
        asset: Asset::new("USDT").unwrap(),
        wallet: Money(number("122624.12345678")),
        cross_wallet: Money(number("100.5")),
        change: Money(number("50.12345678")),
    };
    let events =
        told(UserEvent::Margin { reason: AccountReason::FundingFee, wallets: vec![wallet], positions: vec![position] }, Dialect::Binance);
    let expected = json!({
        "e": "ACCOUNT_UPDATE", "E": 1_568_879_465_651_i64, "T": 1_568_879_465_650_i64,
        "a": {
            "m": "FUNDING_FEE",
            "B": [{ "a": "USDT", "wb": "122624.12345678", "cw": "100.50000000", "bc": "50.12345678" }],
            "P": [{
                "s": "BTCUSDT", "pa": "-0.010", "ep": "6563.665", "bep": "6563.6", "cr": "-45.04", "up": "2850.21200000",
                "mt": "isolated", "iw": "13200.70726908", "ps": "BOTH",
            }],
        },
    });
    assert_eq!(events, [expected]);
}

#[test]
fn settings_are_told_under_their_own_words() {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let leverage = told(UserEvent::Leverage { symbol, leverage: 25 }, Dialect::Binance);
    assert_eq!((&leverage[0]["e"], &leverage[0]["ac"]), (&json!("ACCOUNT_CONFIG_UPDATE"), &json!({ "s": "BTCUSDT", "l": 25 })));
    let assets = told(UserEvent::MultiAssets { on: true }, Dialect::Binance);
    assert_eq!(assets[0]["ai"], json!({ "j": true }));
}

#[test]
fn a_listen_key_that_ran_out_is_named() {
    let text = listen_key_expired("abc", TOLD);
    let expected = json!({ "e": "listenKeyExpired", "E": 1_568_879_465_651_i64, "listenKey": "abc" });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
}

#[test]
fn an_event_is_never_told_before_it_happened() {
    let events = write(&report(UserEvent::MultiAssets { on: true }), Timestamp::ZERO, Dialect::Binance, &Btc);
    assert!(events[0].text.contains("\"E\":1568879465650"));
}
