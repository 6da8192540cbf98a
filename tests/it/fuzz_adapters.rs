//! Whatever bytes a venue, or somebody in its place, sends: the adapters' readers answer with a value or an error, never with a
//! panic. Ordinary tests, bounded in time; `cargo bolero test` runs the same targets for as long as one likes.

use std::time::Duration;

use bolero::{TypeGenerator, check};
use ringfence::domain::ids::{AccountId, Asset, ClientOrderId, Symbol};
use ringfence::domain::instrument::{Instrument, InstrumentKind};
use ringfence::domain::money::Ratio;
use ringfence::domain::order::{NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce};
use ringfence::domain::time::Timestamp;
use ringfence::venues::binance::codec::events::{Frame, read_frame};
use ringfence::venues::binance::codec::exchange_info::exchange_info;
use ringfence::venues::binance::codec::outcome::{Answer, Used, failure};
use ringfence::venues::binance::codec::product::Product;
use ringfence::venues::binance::codec::snapshot;
use ringfence::venues::binance::codec::translate::Translator;
use ringfence::venues::binance::market::Decoder;

/// Each target, in an ordinary test run.
const BOUND: Duration = Duration::from_millis(700);
const PRODUCTS: [Product; 4] = [Product::BinanceSpot, Product::BinanceUsdm, Product::AsterV1, Product::AsterV3];

fn instrument() -> Instrument {
    Instrument {
        symbol: Symbol::new("BTCUSDT").unwrap(),
        kind: InstrumentKind::Perpetual,
        base: "BTC".into(),
        quote: "USDT".into(),
        price_step: "0.1".parse().unwrap(),
        quantity_step: "0.001".parse().unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_quantity: "1000".parse().unwrap(),
        min_notional: "5".parse().unwrap(),
        price_band: Ratio::ZERO,
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: 20,
    }
}

fn order(trigger: bool) -> NewOrder {
    let price = "100".parse().unwrap();
    NewOrder {
        client_order_id: ClientOrderId::new("rf-main-1-7").unwrap(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind: if trigger { OrderKind::StopMarket { trigger: price } } else { OrderKind::Limit { price } },
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: "1".parse().unwrap(),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    }
}

/// Everything that reads bytes of a venue, with the same bytes.
fn read_everything(status: u16, body: &[u8]) {
    let (now, usdt) = (Timestamp::ZERO, Asset::new("USDT").unwrap());
    for product in PRODUCTS {
        let answer = Answer { status, retry_after: None, body };
        let mut translator = Translator::new(product, AccountId::new("main").unwrap(), &[instrument()]);
        for order in [order(false), order(true)] {
            translator.sending(&order);
            let heard = translator.placed(now, &order, Ok(answer));
            assert!(!heard.events.is_empty(), "an order without any word");
            drop(translator.cancelled(now, order.client_order_id, Ok(answer)));
            drop(translator.queried(order.client_order_id, Ok(answer)));
            drop(translator.queried_algo(order.client_order_id, Ok(answer)));
        }
        drop((translator.open_orders(answer), translator.open_algos(answer), translator.listed(answer)));
        drop((snapshot::positions(product, answer), snapshot::wallet(product, usdt, answer)));
        drop((snapshot::holdings(usdt, &[instrument()], |_| None, answer), snapshot::symbol_settings(product, answer)));
        drop((exchange_info(product, answer), failure(product, answer)));
        if let Ok(Ok(Frame::Event { event, .. })) = std::str::from_utf8(body).map(read_frame) {
            drop((translator.user(&event), translator.let_go()));
        }
    }
    let mut decoder = Decoder::new(&[instrument()]).unwrap();
    drop(decoder.decode(body, now));
    std::hint::black_box(Used::read([("x-mbx-used-weight-1m", body), ("retry-after", body)]));
}

#[test]
fn no_bytes_make_a_reader_panic() {
    check!().with_test_time(BOUND).with_type::<(u16, Vec<u8>)>().for_each(|(status, bytes)| {
        read_everything(*status % 600, bytes);
    });
}

/// A value where another belongs: what a venue might send that means ill, or is broken.
#[derive(Debug, Clone, Copy, TypeGenerator)]
enum Value {
    Null,
    True,
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Decimal(i64, u8),
    Digits(u8),
    Exponent(i16),
    Word(u8),
    Deep(u8),
    Empty,
    BadEscape,
}

const WORDS: [&str; 20] = [
    "NEW",
    "TRADE",
    "FILLED",
    "CANCELED",
    "EXPIRED",
    "BUY",
    "SELL",
    "BOTH",
    "LONG",
    "BTCUSDT",
    "USDT",
    "BTC",
    "BNB",
    "rf-main-1-7",
    "x-1",
    "CALCULATED",
    "EXPIRED_IN_MATCH",
    "TRIGGERED",
    "币安",
    "",
];

impl Value {
    fn text(self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::True => "true".into(),
            Self::Integer(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Float(number) => format!("{number:e}"),
            Self::Decimal(whole, scale) => format!("\"{whole}.{scale:03}\""),
            Self::Digits(count) => format!("\"{}\"", "9".repeat(usize::from(count))),
            Self::Exponent(power) => format!("\"1e{power}\""),
            Self::Word(which) => format!("\"{}\"", WORDS[usize::from(which) % WORDS.len()]),
            // Deeper than a parser's own limit at times.
            Self::Deep(depth) => format!("{}{}", "[".repeat(usize::from(depth)), "]".repeat(usize::from(depth))),
            Self::Empty => "{}".into(),
            Self::BadEscape => "\"\\ud800\"".into(),
        }
    }
}

/// Events and answers with all the fields that are read, so that mistakes in one field meet sound ones in the others.
const SHAPES: [&str; 9] = [
    r#"{"e":"ORDER_TRADE_UPDATE","E":1,"T":1,"o":{"s":?,"c":?,"S":?,"ps":?,"x":?,"X":?,"i":?,"l":?,"z":?,"L":?,"n":?,"N":?,"T":?,"t":?,"m":false}}"#,
    r#"{"subscriptionId":0,"event":{"e":"executionReport","s":?,"c":?,"C":?,"S":?,"x":?,"X":?,"r":?,"i":?,"l":?,"z":?,"L":?,"n":?,"N":?,"T":?,"t":?,"m":true}}"#,
    r#"{"e":"ALGO_UPDATE","T":1,"o":{"caid":?,"aid":?,"s":?,"X":?,"ai":?,"aq":?,"rm":?}}"#,
    r#"{"e":"ACCOUNT_UPDATE","T":?,"a":{"m":?,"B":[{"a":?,"wb":?,"bc":?}],"P":[{"s":?,"ps":?,"pa":?,"ep":?}]}}"#,
    r#"{"symbol":?,"orderId":?,"clientOrderId":?,"status":?,"type":?,"side":?,"price":?,"origQty":?,"executedQty":?,"fills":[{"price":?,"qty":?,"commission":?,"commissionAsset":?,"tradeId":?}]}"#,
    r#"[{"symbol":?,"id":?,"orderId":?,"price":?,"qty":?,"commission":?,"commissionAsset":?,"side":?,"positionSide":?,"maker":true,"time":?}]"#,
    r#"[{"symbol":?,"positionSide":?,"positionAmt":?,"entryPrice":?,"leverage":?,"marginType":?}]"#,
    r#"{"symbols":[{"symbol":?,"status":?,"baseAsset":?,"quoteAsset":?,"filters":[{"filterType":"PRICE_FILTER","minPrice":?,"tickSize":?},{"filterType":"LOT_SIZE","minQty":?,"maxQty":?,"stepSize":?},{"filterType":"PERCENT_PRICE","multiplierUp":?,"multiplierDown":?}]}]}"#,
    r#"{"balances":[{"asset":"BTC","free":?,"locked":?},{"asset":"USDT","free":?,"locked":?}]}"#,
];

#[test]
fn no_value_in_any_field_makes_a_reader_panic() {
    check!().with_test_time(BOUND).with_type::<(u8, Vec<Value>)>().for_each(|(shape, values)| {
        let mut values = values.iter().copied().cycle();
        let shape = SHAPES[usize::from(*shape) % SHAPES.len()];
        let body = shape.split('?').reduce_with(|| values.next().unwrap_or(Value::Word(9)).text());
        read_everything(200, body.as_bytes());
    });
}

trait Filled {
    fn reduce_with(self, value: impl FnMut() -> String) -> String;
}

impl<'s, I: Iterator<Item = &'s str>> Filled for I {
    fn reduce_with(self, mut value: impl FnMut() -> String) -> String {
        let mut filled = String::new();
        for (nth, part) in self.enumerate() {
            if nth > 0 {
                filled.push_str(&value());
            }
            filled.push_str(part);
        }
        filled
    }
}

#[test]
fn what_is_hostile_is_refused() {
    let deep = "[".repeat(200_000);
    let deep_field = format!("{{\"e\":\"GRID_UPDATE\",\"x\":{deep}");
    let huge = format!("{{\"e\":\"balanceUpdate\",\"a\":\"USDT\",\"d\":\"{}\",\"T\":1}}", "9".repeat(100_000));
    let half = "{\"e\":\"ORDER_TRADE_UPDATE\",\"o\":{\"s\":\"BTCUSDT\"";
    for text in [deep.as_str(), &deep_field, &huge, half, "\u{feff}{}"] {
        assert!(read_frame(text).is_err(), "{}", &text[..text.len().min(60)]);
        read_everything(200, text.as_bytes());
    }
    read_everything(503, &[0xff, 0xfe, 0x00, 0xc3, 0x28]);
}
