//! Whatever a client sends: the wire's readers answer with a value or the venue's error, never with a panic, and the running
//! exchange answers every row of its table. Ordinary tests, bounded in time; `cargo bolero test` runs the same targets for as
//! long as one likes.

use std::time::Duration;

use bolero::check;
use ringfence::exchange::wire::auth::{self, Freshness};
use ringfence::exchange::wire::faults::{Rule, Schedule};
use ringfence::exchange::wire::ws_api::frame::Frame;
use ringfence::exchange::wire::{Key, Manners, Parameters, Problem, Product, Verb};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::support::exchange::{Wired, hmac};

/// Each target, in an ordinary test run.
const BOUND: Duration = Duration::from_millis(700);

/// Names that handlers ask for, and one that none does.
const NAMES: [&str; 12] = [
    "symbol",
    "side",
    "type",
    "quantity",
    "price",
    "timestamp",
    "recvWindow",
    "newClientOrderId",
    "batchOrders",
    "limit",
    "orderId",
    "strange",
];

/// Values that have made parsers stumble.
const VALUES: [&str; 16] = [
    "",
    "BTCUSDT",
    "-1",
    "0",
    "1e5",
    "99999999999999999999",
    "0.00000000000000000001",
    "NaN",
    "null",
    "%00",
    "[{}]",
    "%5B%5B%5B",
    "true",
    "BUY",
    "LIMIT",
    "\u{FF11}",
];

/// Everything that a handler may ask of parameters.
fn ask_everything(parameters: &Parameters) {
    for name in NAMES {
        let _ = (parameters.text(name), parameters.required(name), parameters.decimal(name), parameters.boolean(name));
        let _ = (parameters.integer::<u64>(name), parameters.integer::<u8>(name), parameters.time(name), parameters.client_id(name));
        let _ = (parameters.json::<Vec<Value>>(name), parameters.symbol(), parameters.optional_symbol());
        let _ = parameters.choice(name, |word| word.parse::<Decimal>().ok(), Problem::UNKNOWN);
    }
    let _ = (Freshness::read(parameters), auth::frame_payload(parameters), parameters.refuse(&NAMES), parameters.finish());
}

#[test]
fn any_query_and_body() {
    check!().with_test_time(BOUND).for_each(|bytes: &[u8]| {
        let (query, body) = bytes.split_at(bytes.len() / 2);
        for manners in [Manners::Strict, Manners::Lenient] {
            if let Ok(parameters) = Parameters::parse(manners, query, body) {
                ask_everything(&parameters);
            }
        }
    });
}

#[test]
fn any_bytes_lose_their_signature_and_nothing_else() {
    let key = Key::parse("a:k:secret").unwrap();
    check!().with_test_time(BOUND).for_each(|bytes: &[u8]| {
        let payload = auth::unsigned(bytes);
        assert!(payload.len() <= bytes.len());
        // A signature that was made over these bytes holds wherever it is put.
        if !bytes.windows(10).any(|window| window == b"signature=") && !bytes.is_empty() {
            let signed = [bytes, b"&signature=00"].concat();
            assert_eq!(auth::unsigned(&signed).as_ref(), bytes);
        }
        assert!(auth::verify(&key, &[&payload], &String::from_utf8_lossy(bytes)).is_err());
    });
}

#[test]
fn any_frame() {
    check!().with_test_time(BOUND).for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for text in [text.to_string(), format!(r#"{{"id":1,"method":"order.place","params":{text}}}"#)] {
            match Frame::parse(&text, Manners::Strict) {
                Ok(frame) => ask_everything(&frame.parameters),
                Err(wrong) => assert!(wrong.problem.code < 0 && serde_json::from_str::<Value>(&wrong.id).is_ok()),
            }
        }
    });
}

#[test]
fn any_fault_and_key() {
    check!().with_test_time(BOUND).for_each(|bytes: &[u8]| {
        let _ = (serde_json::from_slice::<Rule>(bytes), serde_json::from_slice::<Schedule>(bytes));
        let _ = Key::parse(&String::from_utf8_lossy(bytes));
    });
}

/// Deterministic, and different for each call.
struct Dice(u64);

impl Dice {
    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        all[(self.0 >> 33) as usize % all.len()]
    }
}

/// Every row, signed well and filled with nonsense: the venue's answer, never the server's failure.
async fn every_row_answers(product: Product) {
    let wired = Wired::start_with(product, crate::support::exchange::Deviations { no_limits: true, ..Default::default() }).await;
    let client = wired.client("a");
    let mut dice = Dice(7);
    let rows: Vec<(Verb, &'static str)> = wired.venue.routes().iter().map(|row| (row.verb, row.path)).collect();
    assert!(rows.len() > 40, "{}", rows.len());
    for (verb, path) in rows {
        for _ in 0..6 {
            let mut query: String = (0..4).map(|_| format!("{}={}&", dice.of(&NAMES), dice.of(&VALUES))).collect();
            query.push_str(&format!("timestamp={}", wired.now()));
            let query = query.replace('\u{FF11}', "%EF%BC%91").replace("[{}]", "%5B%7B%7D%5D");
            let signature = hmac(&client.key.secret, &query);
            let told = client.raw(&verb.to_string(), &format!("{path}?{query}&signature={signature}"), "").await;
            assert!(told.status < 500, "{verb} {path}?{query}: {} {}", told.status, told.body);
            assert!(told.status == 200 || told.code() < 0, "{verb} {path}?{query}: {} {}", told.status, told.body);
        }
    }
    assert_eq!(client.raw("GET", if product.is_spot() { "/api/v3/ping" } else { "/fapi/v1/ping" }, "").await.status, 200);
    wired.stop().await;
}

#[tokio::test]
async fn every_row_of_spot_answers_nonsense_in_the_venues_words() {
    every_row_answers(Product::SPOT).await;
}

#[tokio::test]
async fn every_row_of_usdm_answers_nonsense_in_the_venues_words() {
    every_row_answers(Product::USDM).await;
}
