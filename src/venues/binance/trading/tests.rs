//! The shell against a venue that is written by hand and does as it is told: what leaves, what does not, in which order words come.

#![allow(clippy::disallowed_methods, reason = "a test's server is nobody's child and has the machine's time")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use secrecy::SecretString;
use tokio::sync::{broadcast, watch};

use super::account::{Account, AccountParts};
use super::caller::{Host, Times};
use super::lane::Origin;
use super::setup::Standing;
use super::socket::StreamBases;
use super::venue::BinanceVenue;
use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::order::{
    NewOrder, OrderKind, PositionSide, SelfTradePrevention, Side, TimeInForce, TradesFrom, TradesWanted, VenueCommand, VenueEvent,
};
use crate::domain::time::Timestamp;
use crate::venues::binance::codec::product::Product;
use crate::venues::binance::sign::Credentials;
use crate::venues::port::{Gate, Heard, Venue};

/// What the venue answers to an order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Well,
    Skew,
    HangUp,
    Banned,
    TooManyOrders,
}

struct Fake {
    answers: Mutex<VecDeque<Answer>>,
    /// `POST /fapi/v1/order`, each.
    orders: Mutex<Vec<String>>,
    asked: Mutex<Vec<String>>,
    events: broadcast::Sender<String>,
    /// Balances are answered while this is true.
    balances: watch::Sender<bool>,
    offset_millis: AtomicI64,
}

fn wall() -> Timestamp {
    Timestamp::from_millis(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64)
}

async fn answer(State(fake): State<Arc<Fake>>, request: Request) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let json = |text: &str| ([("content-type", "application/json")], text.to_owned()).into_response();
    fake.asked.lock().unwrap().push(format!("{method} {path}"));
    match (method.as_str(), path.as_str()) {
        ("GET", "/fapi/v1/time") => json(&format!("{{\"serverTime\":{}}}", wall().as_millis() + fake.offset_millis.load(Ordering::SeqCst))),
        ("GET", "/fapi/v1/accountConfig") => json("{\"dualSidePosition\":false,\"multiAssetsMargin\":false}"),
        ("POST", "/fapi/v1/listenKey") => json("{\"listenKey\":\"abc\"}"),
        ("POST", "/fapi/v1/order") => {
            fake.orders.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
            let next = fake.answers.lock().unwrap().pop_front().unwrap_or(Answer::Well);
            match next {
                Answer::Well => {
                    json("{\"symbol\":\"BTCUSDT\",\"orderId\":7,\"clientOrderId\":\"rf-alpha-1-1\",\"status\":\"NEW\",\"updateTime\":1}")
                }
                Answer::Skew => (
                    axum::http::StatusCode::BAD_REQUEST,
                    "{\"code\":-1021,\"msg\":\"Timestamp for this request is outside of the recvWindow.\"}",
                )
                    .into_response(),
                Answer::HangUp => panic!("the connection is cut"),
                Answer::TooManyOrders => (
                    axum::http::StatusCode::TOO_MANY_REQUESTS,
                    "{\"code\":-1015,\"msg\":\"Too many new orders; current limit is 300 orders per TEN_SECONDS.\"}",
                )
                    .into_response(),
                Answer::Banned => {
                    let status = axum::http::StatusCode::IM_A_TEAPOT;
                    (status, [("Retry-After", "30")], "{\"code\":-1003,\"msg\":\"Way too much request weight used; IP banned\"}")
                        .into_response()
                }
            }
        }
        ("GET", "/fapi/v3/balance") => {
            let _ = fake.balances.subscribe().wait_for(|open| *open).await;
            json("[{\"asset\":\"USDT\",\"balance\":\"1000\"}]")
        }
        (
            "GET",
            "/fapi/v3/positionRisk" | "/fapi/v1/openOrders" | "/fapi/v1/openAlgoOrders" | "/fapi/v1/userTrades" | "/fapi/v1/income",
        ) => json("[]"),
        _ => (axum::http::StatusCode::NOT_FOUND, "{\"code\":-5000,\"msg\":\"no such path\"}").into_response(),
    }
}

async fn socket(State(fake): State<Arc<Fake>>, upgrade: WebSocketUpgrade) -> Response {
    let mut events = fake.events.subscribe();
    upgrade.on_upgrade(move |mut socket| async move {
        while let Ok(event) = events.recv().await {
            if event == "cut" || socket.send(Message::text(event)).await.is_err() {
                return;
            }
        }
    })
}

/// A gate that a test opens and closes.
struct TestGate {
    open: AtomicBool,
    /// Closes by itself after so many have passed.
    passes: AtomicI64,
}

impl Gate for TestGate {
    fn enter(&self, _: &NewOrder) -> Option<Box<dyn Send>> {
        let open = self.open.load(Ordering::SeqCst) && self.passes.fetch_sub(1, Ordering::SeqCst) > 0;
        open.then(|| Box::new(()) as Box<dyn Send>)
    }
}

struct Scene {
    fake: Arc<Fake>,
    gate: Arc<TestGate>,
    venue: BinanceVenue,
    account: Arc<Account>,
    heard: futures_util::stream::BoxStream<'static, Heard>,
}

fn alpha() -> AccountId {
    AccountId::new("alpha").unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn instrument() -> Instrument {
    Instrument {
        symbol: btc(),
        kind: InstrumentKind::Perpetual,
        base: "BTC".to_owned(),
        quote: "USDT".to_owned(),
        price_step: "0.1".parse().unwrap(),
        quantity_step: "0.001".parse().unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_quantity: "1000".parse().unwrap(),
        min_notional: "5".parse().unwrap(),
        price_band: "0.5".parse().unwrap(),
        maker_fee: "0".parse().unwrap(),
        taker_fee: "0".parse().unwrap(),
        max_leverage: 20,
    }
}

fn order() -> VenueCommand {
    VenueCommand::Place(NewOrder {
        client_order_id: ClientOrderId::new("rf-alpha-1-1").unwrap(),
        symbol: btc(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: "60000".parse().unwrap() },
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: "0.002".parse().unwrap(),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    })
}

impl Scene {
    /// A venue, an account on it, and its stream once everything is open.
    async fn open() -> Self {
        let fake = Arc::new(Fake {
            answers: Mutex::default(),
            orders: Mutex::default(),
            asked: Mutex::default(),
            events: broadcast::channel(64).0,
            balances: watch::channel(true).0,
            offset_millis: AtomicI64::new(0),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/private/ws/{key}", axum::routing::get(socket)).fallback(answer).with_state(Arc::clone(&fake));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let origin = std::time::Instant::now();
        let times = Times { now: Arc::new(wall), steady: Arc::new(move || origin.elapsed()) };
        let host = Host::new(Origin::parse(&format!("http://{address}")).unwrap(), Product::BinanceUsdm, times, 250);
        let gate = Arc::new(TestGate { open: AtomicBool::new(true), passes: AtomicI64::new(100) });
        let account = Account::new(AccountParts {
            id: alpha(),
            host,
            streams: StreamBases { ws: format!("ws://{address}"), ws_api: String::new() },
            credentials: Credentials::hmac("key", SecretString::from("secret")),
            instruments: Arc::new(ArcSwap::from_pointee(vec![instrument()])),
            orders_per_second: 10,
            recv_window: Duration::from_secs(5),
            clock_offset_max: Duration::from_secs(1),
            wanted: super::setup::Wanted::default(),
            key_host: None,
            gate: Arc::clone(&gate) as Arc<dyn Gate>,
        });
        let venue = BinanceVenue::default();
        venue.add(Arc::clone(&account));
        let heard = venue.listen(alpha()).unwrap();
        let mut scene = Self { fake, gate, venue, account, heard };
        assert_eq!(scene.next().await, Heard::Opened);
        while scene.account.host().offset_millis().is_none() {
            // The clock is asked beside it.
            let _ = tokio::time::timeout(Duration::from_millis(5), scene.heard.next()).await;
        }
        scene
    }

    async fn next(&mut self) -> Heard {
        let word = tokio::time::timeout(Duration::from_secs(20), self.heard.next()).await;
        let asked = self.fake.asked.lock().unwrap().clone();
        word.unwrap_or_else(|_| panic!("expected a word within 20 s, found none; asked: {asked:?}")).expect("a stream that goes on")
    }

    async fn event(&mut self) -> VenueEvent {
        match self.next().await {
            Heard::Event(event) => event,
            Heard::Opened => panic!("expected an event, found the stream opened anew"),
        }
    }

    fn answers(&self, answers: &[Answer]) {
        self.fake.answers.lock().unwrap().extend(answers);
    }

    fn orders(&self) -> usize {
        self.fake.orders.lock().unwrap().len()
    }

    /// How often the balances were asked for, which every look at the account begins with.
    fn looks(&self) -> usize {
        self.fake.asked.lock().unwrap().iter().filter(|asked| asked.ends_with("/balance")).count()
    }

    /// Goes on until the venue was asked for balances so often.
    async fn until_looks(&mut self, count: usize) {
        while self.looks() < count {
            let _ = tokio::time::timeout(Duration::from_millis(5), self.heard.next()).await;
        }
    }
}

fn snapshot(after: u64) -> VenueCommand {
    VenueCommand::Snapshot { trades: TradesWanted::from([(btc(), TradesFrom::After(after))]) }
}

#[tokio::test]
async fn an_order_leaves_once_and_is_accepted() {
    let mut scene = Scene::open().await;
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::Accepted { venue_order_id: 7, .. }));
    let sent = scene.fake.orders.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.002&price=60000"), "{}", sent[0]);
    assert!(sent[0].contains("newClientOrderId=rf-alpha-1-1") && sent[0].contains("&signature="), "{}", sent[0]);
    assert_eq!(scene.account.on_their_way(), 0);
}

#[tokio::test]
async fn a_gate_that_closes_while_an_order_waits_lets_nothing_leave() {
    let mut scene = Scene::open().await;
    scene.venue.send(alpha(), order()).unwrap();
    scene.gate.open.store(false, Ordering::SeqCst);
    assert!(matches!(scene.event().await, VenueEvent::NotSent { why, .. } if why.contains("gate")));
    assert_eq!((scene.orders(), scene.account.on_their_way()), (0, 0));
}

#[tokio::test]
async fn a_refused_timestamp_is_measured_signed_anew_and_passes_the_gate_again() {
    let mut scene = Scene::open().await;
    scene.answers(&[Answer::Skew]);
    scene.fake.offset_millis.store(400, Ordering::SeqCst);
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::Accepted { .. }));
    assert_eq!(scene.orders(), 2);
    let offset = scene.account.host().offset_millis().unwrap();
    assert!((350..=450).contains(&offset), "{offset}");
    // The gate has closed behind the first of the two.
    scene.answers(&[Answer::Skew]);
    scene.gate.passes.store(1, Ordering::SeqCst);
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::NotSent { .. }));
    assert_eq!(scene.orders(), 3);
}

#[tokio::test]
async fn a_cut_connection_leaves_the_outcome_unknown_and_is_not_sent_again() {
    let mut scene = Scene::open().await;
    scene.answers(&[Answer::HangUp]);
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::OutcomeUnknown { .. }));
    assert_eq!((scene.orders(), scene.account.on_their_way()), (1, 1));
}

/// A halt must not be called done while an order of its own may still arrive.
#[tokio::test]
async fn an_order_of_the_kill_switch_without_an_answer_is_on_its_way_like_any_other() {
    let scene = Scene::open().await;
    scene.gate.open.store(false, Ordering::SeqCst);
    scene.answers(&[Answer::HangUp]);
    let told = scene.venue.ask(alpha(), order()).await.unwrap();
    assert!(matches!(told[..], [VenueEvent::OutcomeUnknown { .. }]), "{told:?}");
    assert_eq!((scene.orders(), scene.account.on_their_way()), (1, 1));
    scene.venue.ask(alpha(), order()).await.unwrap();
    assert_eq!((scene.orders(), scene.account.on_their_way()), (2, 1), "the second one was answered");
}

#[tokio::test]
async fn a_ban_is_obeyed_by_everything_that_follows() {
    let mut scene = Scene::open().await;
    scene.answers(&[Answer::Banned]);
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::Rejected { code: -1003, .. }));
    let refused = scene.venue.send(alpha(), order()).unwrap_err();
    assert!(refused.to_string().contains("listens to nobody"), "{refused}");
    assert_eq!(scene.orders(), 1);
}

#[tokio::test]
async fn what_is_told_while_a_snapshot_is_on_its_way_comes_behind_it() {
    let mut scene = Scene::open().await;
    scene.fake.balances.send_replace(false);
    scene.venue.send(alpha(), snapshot(1)).unwrap();
    let trade = r#"{"e":"ORDER_TRADE_UPDATE","T":1,"E":1,"o":{"s":"BTCUSDT","c":"by-hand","S":"BUY","o":"MARKET","f":"GTC","q":"0.001","p":"0","x":"TRADE","X":"FILLED","i":9,"l":"0.001","z":"0.001","L":"60000","N":"USDT","n":"0.01","T":1,"t":77,"m":false,"ps":"BOTH"}}"#;
    // Asked for, and not answered yet, when the trade is told.
    scene.until_looks(1).await;
    scene.fake.events.send(trade.to_owned()).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), scene.heard.next()).await.is_err(), "held back");
    scene.fake.balances.send_replace(true);
    assert!(matches!(scene.event().await, VenueEvent::SnapshotIs(_)));
    assert!(matches!(scene.event().await, VenueEvent::Filled(fill) if fill.trade_id == 77));
}

#[tokio::test]
async fn a_slow_venue_is_asked_for_one_snapshot_at_a_time_and_one_that_is_given_up_asks_no_more() {
    let mut scene = Scene::open().await;
    scene.fake.balances.send_replace(false);
    for after in [9, 5, 7] {
        scene.venue.send(alpha(), snapshot(after)).unwrap();
    }
    scene.until_looks(1).await;
    // Five seconds on, events may not be held back for longer: it is void, and the ones behind it have become one.
    assert!(matches!(scene.event().await, VenueEvent::CommandFailed { command, .. } if command == "snapshot"));
    scene.until_looks(2).await;
    let asked = scene.fake.asked.lock().unwrap().len();
    scene.fake.balances.send_replace(true);
    assert!(matches!(scene.event().await, VenueEvent::SnapshotIs(_)));
    let asked = scene.fake.asked.lock().unwrap()[asked..].to_vec();
    assert_eq!(asked.iter().filter(|asked| asked.ends_with("/openOrders")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn too_many_orders_of_one_account_keep_nobody_else_from_the_venue() {
    let mut scene = Scene::open().await;
    scene.answers(&[Answer::TooManyOrders]);
    scene.venue.send(alpha(), order()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::Rejected { code: -1015, .. }));
    assert_eq!(scene.account.host().shut(), None, "others on the host, and the kill switch");
    assert!(scene.venue.send(alpha(), order()).is_err(), "the account itself waits");
    assert_eq!(scene.orders(), 1);
}

#[tokio::test]
async fn an_account_that_has_not_been_looked_at_opens_nothing_and_reduces_what_it_has() {
    let mut scene = Scene::open().await;
    scene.account.set_standing(Standing::Unchecked);
    let refused = scene.venue.send(alpha(), order()).unwrap_err();
    assert!(refused.to_string().contains("looked at"), "{refused}");
    let VenueCommand::Place(order) = order() else { unreachable!() };
    scene.venue.send(alpha(), VenueCommand::Place(NewOrder { reduce_only: true, ..order })).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::Accepted { .. }));
    assert_eq!(scene.orders(), 1);
}

#[tokio::test]
async fn the_kill_switchs_cancel_waits_for_no_look_and_its_look_for_the_cancel() {
    let scene = Scene::open().await;
    scene.fake.balances.send_replace(false);
    let look = || scene.venue.ask(alpha(), VenueCommand::Snapshot { trades: TradesWanted::new() });
    let mut hanging = look();
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut hanging).await.is_err());
    let cancel = scene.venue.ask(alpha(), VenueCommand::CancelAll { symbol: None });
    let mut behind = look();
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut behind).await.is_err());
    assert_eq!(scene.looks(), 1, "the second look waits for the cancel, which nobody has polled");
    tokio::time::timeout(Duration::from_secs(10), cancel).await.expect("a cancel that waits for nobody").unwrap();
    scene.fake.balances.send_replace(true);
    for look in [hanging, behind] {
        assert!(matches!(look.await.unwrap()[..], [VenueEvent::SnapshotIs(_)]));
    }
}

#[tokio::test]
async fn a_socket_that_is_cut_comes_back_and_says_so() {
    let mut scene = Scene::open().await;
    scene.fake.events.send("cut".to_owned()).unwrap();
    assert!(matches!(scene.event().await, VenueEvent::CommandFailed { .. }));
    assert_eq!(scene.next().await, Heard::Opened);
}
