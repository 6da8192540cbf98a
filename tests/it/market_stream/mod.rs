//! The exchange's market over real sockets: what the floor shows is what the client decodes, books and candles come back as they
//! were, what is not served is refused in Binance's words, and nobody's slowness or end is anybody else's.

mod questions;
mod server;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use ringfence::domain::book::{BookSync, SequenceRule, SyncOutcome, SyncState};
use ringfence::domain::ids::Symbol;
use ringfence::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use ringfence::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame, TradePrint};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::instruments::bundled;
use ringfence::exchange::shell::Clock;
use ringfence::exchange::sources::MarketSource;
use ringfence::exchange::sources::synthetic::{Synthetic, SyntheticConfig};
use ringfence::exchange::stream::{ExchangeFloor, FloorGone, MarketFloor, MarketWire, MarketWireConfig, Outlet, PrivateStreams};
use ringfence::exchange::{ExchangeConfig, RunningExchange, ShellConfig};
use ringfence::venues::binance::connection::{ConnectError, ConnectionError, MarketConnection, Utf8Bytes, connect};
use ringfence::venues::binance::market::{Decoded, Decoder};
use ringfence::venues::binance::rest::{MarketRest, RestError};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use server::serve;

/// Generous: every wait is for an answer, not for this long.
const TIMEOUT: Duration = Duration::from_secs(20);
const NOW: Timestamp = Timestamp::from_millis(1_723_110_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A floor whose market is what the test says, and whose clock runs with the test's.
struct FakeFloor {
    readers: watch::Sender<Vec<mpsc::Sender<Arc<MarketFrame>>>>,
    gone: Mutex<bool>,
    book: DepthSnapshot,
    kind: InstrumentKind,
    start: tokio::time::Instant,
}

impl FakeFloor {
    fn new(kind: InstrumentKind) -> Arc<Self> {
        let book = DepthSnapshot { last_id: 160, bids: vec![level(600_000, 5), level(599_999, 7)], asks: vec![level(600_001, 9)] };
        let start = tokio::time::Instant::now();
        Arc::new(Self { readers: watch::channel(Vec::new()).0, gone: Mutex::new(false), book, kind, start })
    }

    /// Shows a frame to the newest reader, once there have been `readers` of them.
    async fn show(&self, readers: usize, event: MarketEvent) -> MarketFrame {
        let mut waiting = self.readers.subscribe();
        let reader = {
            let readers = within(waiting.wait_for(|all| all.len() >= readers)).await.unwrap();
            readers.last().unwrap().clone()
        };
        let at = self.now();
        let frame = MarketFrame { symbol: btc(), venue_time: at, received_at: at, event };
        within(reader.send(Arc::new(frame.clone()))).await.unwrap();
        frame
    }

    /// Drops a reader as a floor does with one that lags.
    fn cut(&self, reader: usize) {
        self.readers.send_modify(|all| all[reader] = mpsc::channel(1).0);
    }
}

impl MarketFloor for FakeFloor {
    fn instruments(&self) -> Vec<Instrument> {
        vec![bundled(self.kind, btc()).unwrap(), bundled(self.kind, Symbol::new("ETHUSDT").unwrap()).unwrap()]
    }

    fn now(&self) -> Timestamp {
        NOW + Duration::from_millis(u64::try_from(self.start.elapsed().as_millis()).unwrap())
    }

    fn subscribe(&self, symbols: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, FloorGone> {
        assert_eq!(symbols.len(), 2);
        if *self.gone.lock().unwrap() {
            return Err(FloorGone);
        }
        let (sender, receiver) = mpsc::channel(16);
        self.readers.send_modify(|all| all.push(sender));
        Ok(receiver)
    }

    fn depth_snapshot(&self, symbol: Symbol, limit: usize) -> BoxFuture<'_, Result<Option<DepthSnapshot>, FloorGone>> {
        let mut book = self.book.clone();
        book.bids.truncate(limit);
        async move { Ok((symbol == btc()).then_some(book)) }.boxed()
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'_, Result<Vec<Candle>, FloorGone>> {
        let candles = if symbol == btc() { (0..limit.min(50)).rev().map(|index| candle(interval, index)).collect() } else { Vec::new() };
        async move { Ok(candles) }.boxed()
    }
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn instrument() -> Instrument {
    bundled(InstrumentKind::Perpetual, btc()).unwrap()
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

/// A candle that closed `index` candles before the test began.
fn candle(interval: Duration, index: usize) -> Candle {
    let length = i64::try_from(interval.as_millis()).unwrap();
    let open_time = Timestamp::from_millis((NOW.as_millis().div_euclid(length) - 1 - i64::try_from(index).unwrap()) * length);
    Candle {
        open_time,
        close_time: open_time + interval - Duration::from_millis(1),
        open: "60000.1".parse().unwrap(),
        high: "60010".parse().unwrap(),
        low: "59999.9".parse().unwrap(),
        close: "60005".parse().unwrap(),
        volume: "1.25".parse().unwrap(),
        quote_volume: "75000.125".parse().unwrap(),
        trades: 42,
    }
}

fn trade(id: u64) -> MarketEvent {
    MarketEvent::Trade(TradePrint { id, price: Ticks(600_000), quantity: Lots(3), buyer_is_maker: true })
}

fn ticker(id: u64) -> MarketEvent {
    MarketEvent::Ticker(BookTicker { id, bid: level(600_000, 5), ask: level(600_001, 9) })
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("an answer")
}

/// A server over the fake floor.
struct Served {
    floor: Arc<FakeFloor>,
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<Result<(), FloorGone>>,
}

impl Served {
    async fn start() -> Self {
        Self::of(InstrumentKind::Perpetual).await
    }

    async fn of(kind: InstrumentKind) -> Self {
        let floor = FakeFloor::new(kind);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Arc::clone(&floor) as Arc<dyn MarketFloor>, stop.clone()));
        Self { floor, address, stop, server }
    }

    async fn connect(&self, streams: &[&str]) -> Result<MarketConnection, ConnectError> {
        let streams: Vec<String> = streams.iter().map(|name| (*name).to_owned()).collect();
        within(connect(&format!("ws://{}", self.address), &streams)).await
    }

    async fn open(&self, path: &str) -> Socket {
        within(tokio_tungstenite::connect_async(format!("ws://{}{path}", self.address))).await.unwrap().0
    }

    fn rest(&self) -> MarketRest {
        MarketRest::new(&format!("http://{}", self.address), InstrumentKind::Perpetual).unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = within(client.get(format!("http://{}{path}", self.address)).send()).await.unwrap();
        (response.status().as_u16(), within(response.json()).await.unwrap())
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// The next text of a socket.
async fn heard(socket: &mut Socket) -> String {
    loop {
        match within(socket.next()).await.expect("an open socket").expect("a frame") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn ask(socket: &mut Socket, text: &str) -> String {
    within(socket.send(Message::text(text))).await.unwrap();
    heard(socket).await
}

async fn next(connection: &mut MarketConnection) -> Utf8Bytes {
    within(connection.next()).await.expect("an open stream").expect("a frame")
}

/// Reads to the end: how many frames, and how it ended.
async fn drain(connection: &mut MarketConnection) -> (usize, ConnectionError) {
    let mut frames = 0;
    loop {
        match within(connection.next()).await.expect("an end is told once") {
            Ok(_) => frames += 1,
            Err(error) => {
                assert!(within(connection.next()).await.is_none());
                return (frames, error);
            }
        }
    }
}

fn decode(decoder: &mut Decoder, text: &str) -> MarketFrame {
    match decoder.decode(text.as_bytes(), NOW).unwrap() {
        Decoded::Frame(frame) => frame.to_owned(),
        Decoded::Other(other) => panic!("{other:?}: {text}"),
    }
}

#[tokio::test]
async fn what_the_floor_shows_is_what_the_client_decodes() {
    let served = Served::start().await;
    let streams = ["btcusdt@depth@0ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice"];
    let mut connection = served.connect(&streams).await.unwrap();
    let mut decoder = Decoder::new([&instrument()]).unwrap();
    let diff = DepthUpdate { first_id: 7, final_id: 9, previous_id: Some(6), bids: vec![level(600_000, 0)], asks: vec![] };
    let events = [MarketEvent::Depth(diff), ticker(10), trade(11), MarketEvent::Mark("60000.12345678".parse().unwrap())];
    for (event, stream) in events.into_iter().zip(streams) {
        let shown = served.floor.show(1, event).await;
        let text = next(&mut connection).await;
        assert!(text.starts_with(&format!("{{\"stream\":\"{stream}\",")), "{text}");
        // A mark is told when it may be, which is a moment later.
        assert_eq!(decode(&mut decoder, &text).event, shown.event);
    }
}

#[tokio::test]
async fn a_client_gets_what_it_asked_for_under_the_name_it_used() {
    let served = Served::start().await;
    let mut trades = served.connect(&["btcusdt@aggTrade"]).await.unwrap();
    let mut tickers = served.connect(&["btcusdt@bookTicker", "ethusdt@trade"]).await.unwrap();
    served.floor.show(1, ticker(1)).await;
    served.floor.show(1, trade(2)).await;
    served.floor.show(1, MarketEvent::Candle(candle(MINUTE, 0))).await;
    served.floor.show(1, ticker(3)).await;
    let text = next(&mut trades).await;
    assert!(text.starts_with(r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade""#), "{text}");
    for id in [1, 3] {
        let text = next(&mut tickers).await;
        assert!(text.contains(&format!("\"u\":{id},")), "{text}");
    }
}

#[tokio::test]
async fn raw_streams_and_routed_addresses_carry_the_bare_payload() {
    let served = Served::start().await;
    for (count, route) in ["", "/public", "/market"].into_iter().enumerate() {
        let mut socket = served.open(&format!("{route}/ws/btcusdt@trade")).await;
        served.floor.show(1, trade(count as u64)).await;
        let text = heard(&mut socket).await;
        assert!(text.starts_with(r#"{"e":"trade","#), "{text}");
    }
}

#[tokio::test]
async fn a_socket_without_a_path_is_raw_and_chooses_by_command() {
    let served = Served::start().await;
    let mut socket = served.open("/").await;
    assert_eq!(ask(&mut socket, r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).await, r#"{"result":null,"id":1}"#);
    served.floor.show(1, trade(7)).await;
    assert!(heard(&mut socket).await.starts_with(r#"{"e":"trade","#));
    assert_eq!(served.get("/").await.0, 404, "there is no page");
}

#[tokio::test]
async fn streams_are_chosen_left_and_listed_on_an_open_socket() {
    let served = Served::start().await;
    let mut socket = served.open("/ws").await;
    assert_eq!(
        ask(&mut socket, r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@depth@0ms"],"id":1}"#).await,
        r#"{"result":null,"id":1}"#
    );
    served.floor.show(1, trade(7)).await;
    assert!(heard(&mut socket).await.starts_with(r#"{"e":"trade","#));
    let listed = ask(&mut socket, r#"{"method":"LIST_SUBSCRIPTIONS","id":"list-1"}"#).await;
    assert_eq!(listed, r#"{"result":["btcusdt@depth@0ms","btcusdt@trade"],"id":"list-1"}"#);
    assert_eq!(
        ask(&mut socket, r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@0ms"],"id":null}"#).await,
        r#"{"result":null,"id":null}"#
    );
    assert_eq!(ask(&mut socket, r#"{"method":"SET_PROPERTY","params":["combined",true],"id":3}"#).await, r#"{"result":null,"id":3}"#);
    served.floor.show(1, MarketEvent::Depth(DepthUpdate { first_id: 1, final_id: 2, ..DepthUpdate::default() })).await;
    served.floor.show(1, trade(8)).await;
    let text = heard(&mut socket).await;
    assert!(text.starts_with(r#"{"stream":"btcusdt@trade","data":{"e":"trade","#), "{text}");
    // Its second is up: five messages a second are spot's, ten USD-M's.
    assert_eq!(ask(&mut socket, r#"{"method":"GET_PROPERTY","params":["combined"],"id":4}"#).await, r#"{"result":true,"id":4}"#);
}

#[tokio::test]
async fn what_means_nothing_is_silent_and_what_is_broken_is_answered() {
    let served = Served::start().await;
    // Clients open a socket under a name that exists nowhere.
    let mut socket = served.open("/ws/0").await;
    let names = r#"["btcusdt@depth7","dogeusdt@trade","BTCUSDT@trade","!contractInfo","listen-key"]"#;
    let subscribe = format!(r#"{{"method":"SUBSCRIBE","params":{names},"id":1}}"#);
    assert_eq!(ask(&mut socket, &subscribe).await, r#"{"result":null,"id":1}"#);
    for (text, expected) in [
        ("{", r#"{"error":{"code":3,"msg":"Invalid JSON:"#),
        (
            r#"{"method":"SUBSCRIBE","params":["not a stream"],"id":5}"#,
            r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":5}"#,
        ),
        (&"[".repeat(50_000), r#"{"error":{"code":"#),
    ] {
        let answer = ask(&mut socket, text).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
    within(socket.send(Message::binary(vec![0xff, 0xfe, 1]))).await.unwrap();
    assert!(heard(&mut socket).await.contains("Invalid JSON"));
    served.floor.show(1, trade(1)).await;
    assert_eq!(ask(&mut socket, r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#).await.matches(',').count(), 6);
}

#[tokio::test]
async fn a_market_stream_on_another_address_stays_silent() {
    let served = Served::start().await;
    let mut market = served.open("/market/stream?streams=btcusdt@bookTicker/btcusdt@aggTrade").await;
    let mut private = served.open("/private/stream").await;
    assert_eq!(ask(&mut private, r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#).await, r#"{"result":null,"id":1}"#);
    served.floor.show(1, ticker(1)).await;
    served.floor.show(1, trade(2)).await;
    assert!(heard(&mut market).await.starts_with(r#"{"stream":"btcusdt@aggTrade""#));
    assert!(ask(&mut private, r#"{"method":"LIST_SUBSCRIPTIONS","id":2}"#).await.starts_with(r#"{"result":["btcusdt@trade"]"#));
}

/// Joins `key` and nothing else, and keeps the way to the client.
struct Accounts(Mutex<Vec<(Vec<String>, Outlet)>>);

impl PrivateStreams for Accounts {
    fn join(&self, name: &str, events: &[String], outlet: Outlet) -> Option<Box<dyn std::any::Any + Send>> {
        (name == "key").then(|| {
            self.0.lock().unwrap().push((events.to_vec(), outlet));
            Box::new(()) as Box<dyn std::any::Any + Send>
        })
    }
}

#[tokio::test]
async fn a_listen_key_joins_its_account_on_any_address() {
    let accounts = Arc::new(Accounts(Mutex::default()));
    let private = Arc::clone(&accounts) as Arc<dyn PrivateStreams>;
    let config = MarketWireConfig { private: Some(private), ..MarketWireConfig::of(InstrumentKind::Perpetual) };
    let wire = MarketWire::new(FakeFloor::new(InstrumentKind::Perpetual), config).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, wire.router()).into_future());
    for (path, subscribe, events, expected) in [
        ("/stream/?streams=key", None, 0, r#"{"stream":"key","data":{"e":"X"}}"#),
        ("/ws/key", None, 0, r#"{"e":"X"}"#),
        ("/stream?streams=btcusdt@trade/key", None, 0, r#"{"stream":"key","data":{"e":"X"}}"#),
        ("/private/ws?listenKey=key&events=A/B", None, 2, r#"{"e":"X"}"#),
        ("/ws?listenKey=key", None, 0, r#"{"e":"X"}"#),
        ("/stream?listenKey=key&events=A", None, 1, r#"{"stream":"key","data":{"e":"X"}}"#),
        ("/private/stream", Some(r#"{"method":"SUBSCRIBE","params":["key","other"],"id":1}"#), 0, r#"{"stream":"key","data":{"e":"X"}}"#),
    ] {
        let (mut socket, _) = within(tokio_tungstenite::connect_async(format!("{base}{path}"))).await.unwrap();
        if let Some(subscribe) = subscribe {
            ask(&mut socket, subscribe).await;
        }
        let (wanted, outlet) = accounts.0.lock().unwrap().pop().unwrap_or_else(|| panic!("{path} joined nobody"));
        assert_eq!(wanted.len(), events, "{path}");
        assert!(outlet.send(r#"{"e":"X"}"#));
        assert_eq!(heard(&mut socket).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_talks_too_much_is_cut() {
    let served = Served::of(InstrumentKind::Spot).await;
    let mut socket = served.open("/ws").await;
    for _ in 0..20 {
        // The server may hang up while we talk.
        let _ = within(socket.send(Message::text(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#))).await;
    }
    let mut answers = 0;
    while let Some(Ok(Message::Text(_))) = within(socket.next()).await {
        answers += 1;
    }
    assert!(answers <= 5, "{answers}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_nobody_else_waits() {
    // More in all than both sockets' buffers and the backlog hold.
    const FRAMES: usize = 600;
    let levels: Vec<Level> = (0..4_000).map(|index| level(600_000 + index, 1_000_000_000)).collect();
    let served = Served::start().await;
    let mut slow = served.connect(&["btcusdt@depth@0ms"]).await.unwrap();
    let mut quick = served.connect(&["btcusdt@depth@0ms"]).await.unwrap();
    for id in 0..FRAMES as u64 {
        let diff = DepthUpdate { first_id: id, final_id: id, previous_id: Some(id), bids: levels.clone(), asks: vec![] };
        served.floor.show(1, MarketEvent::Depth(diff)).await;
        assert!(next(&mut quick).await.contains(&format!("\"u\":{id},")));
    }
    let (frames, end) = drain(&mut slow).await;
    assert!(frames < FRAMES, "{frames}");
    // It is told why if it comes back to reading within the server's patience for that.
    let told = matches!(&end, ConnectionError::Closed { code: 1008, reason } if reason.contains("too slow"));
    assert!(told || matches!(end, ConnectionError::Broken(_) | ConnectionError::Closed { code: 1006, .. }), "{end}");
}

#[tokio::test]
async fn stopping_the_server_says_goodbye_and_ends() {
    let served = Served::start().await;
    let mut connection = served.connect(&["btcusdt@trade"]).await.unwrap();
    served.stop.cancel();
    let farewell = next(&mut connection).await;
    assert!(farewell.starts_with(r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":"#), "{farewell}");
    let (_, end) = drain(&mut connection).await;
    assert!(matches!(&end, ConnectionError::Closed { code: 1001, reason } if reason == "the exchange is stopping"), "{end}");
    within(served.server).await.unwrap().unwrap();
    let error = within(connect(&format!("ws://{}", served.address), &["btcusdt@trade".to_owned()])).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_stream_with_a_hole_ends_and_the_next_one_is_whole() {
    let served = Served::start().await;
    let mut connection = served.connect(&["btcusdt@trade"]).await.unwrap();
    served.floor.show(1, trade(1)).await;
    assert!(next(&mut connection).await.contains("\"t\":1,"));
    served.floor.cut(0);
    let (_, end) = drain(&mut connection).await;
    assert!(matches!(end, ConnectionError::Closed { code: 1012, .. }), "{end}");
    let mut connection = served.connect(&["btcusdt@trade"]).await.unwrap();
    served.floor.show(2, trade(3)).await;
    assert!(next(&mut connection).await.contains("\"t\":3,"));
}

#[tokio::test]
async fn when_the_exchange_ends_the_server_says_so() {
    let served = Served::start().await;
    let mut connection = served.connect(&["btcusdt@trade"]).await.unwrap();
    served.floor.show(1, trade(1)).await;
    next(&mut connection).await;
    *served.floor.gone.lock().unwrap() = true;
    served.floor.cut(0);
    drain(&mut connection).await;
    let ended = within(served.server).await.unwrap();
    assert_eq!(ended, Err(FloorGone));
}

/// In virtual time: hours pass as soon as everybody waits.
#[tokio::test(start_paused = true)]
async fn a_quiet_client_that_answers_pings_stays_and_one_that_does_not_is_gone() {
    let served = Served::start().await;
    let streams = ["btcusdt@trade".to_owned()];
    let base = format!("ws://{}", served.address);
    let mut deaf = connect(&base, &streams).await.unwrap();
    let mut awake = connect(&base, &streams).await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_secs(2 * 3_600), awake.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    served.floor.show(1, trade(1)).await;
    assert!(awake.next().await.unwrap().unwrap().contains("\"t\":1,"));
    // Two hours ago it would have been told why; its late pong finds nobody.
    deaf.next().await.unwrap().unwrap_err();
}

/// In virtual time, with a server that shows nothing.
#[tokio::test(start_paused = true)]
async fn a_connection_lives_for_a_day() {
    for kind in [InstrumentKind::Spot, InstrumentKind::Perpetual] {
        let wire = MarketWire::new(FakeFloor::new(kind), MarketWireConfig::of(kind)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, wire.router()).into_future());
        let mut connection = connect(&base, &["btcusdt@trade".to_owned()]).await.unwrap();
        let began = tokio::time::Instant::now();
        let end = connection.next().await.unwrap().unwrap_err();
        assert!(matches!(&end, ConnectionError::Closed { code: 1001, reason } if reason.contains("24 hours")), "{end}");
        assert_eq!(began.elapsed().as_secs(), 24 * 3_600);
    }
}

#[tokio::test]
async fn a_venue_that_hangs_up_or_sends_bytes_is_an_error_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("ws://{}", listener.local_addr().unwrap());
    let venue = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        drop(tokio_tungstenite::accept_async(stream).await.unwrap());
    });
    let streams = ["btcusdt@trade".to_owned()];
    let (_, end) = drain(&mut within(connect(&base, &streams)).await.unwrap()).await;
    assert!(matches!(end, ConnectionError::NotText { found: 3 }), "{end}");
    let (_, end) = drain(&mut within(connect(&base, &streams)).await.unwrap()).await;
    assert!(matches!(end, ConnectionError::Broken(_)), "{end}");
    within(venue).await.unwrap();
}

/// An exchange whose clock moves a step whenever somebody looks at it.
fn running_exchange() -> (RunningExchange, ExchangeFloor) {
    let time = AtomicI64::new(NOW.0);
    let clock: Clock = Arc::new(move || Timestamp(time.fetch_add(60_000_000, Ordering::Relaxed)));
    let mut market = SyntheticConfig::standard(7);
    market.symbols.retain(|symbol| symbol.instrument.symbol == btc());
    let instruments = market.symbols.iter().map(|symbol| symbol.instrument.clone()).collect();
    let config = ShellConfig { exchange: ExchangeConfig::default(), accounts: Vec::new(), record: None, clock: Arc::clone(&clock) };
    let open = Box::new(move |start, resume: &_| Box::new(Synthetic::new(&market, start, resume)) as Box<dyn MarketSource>);
    let exchange = RunningExchange::start(config, open).unwrap();
    let handle = exchange.handle();
    (exchange, ExchangeFloor { handle, instruments, clock })
}

#[tokio::test]
async fn a_book_is_kept_from_the_running_exchanges_wire_without_a_gap() {
    let (exchange, floor) = running_exchange();
    let btc = floor.instruments[0].clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, Arc::new(floor), CancellationToken::new()));
    let streams = ["btcusdt@depth@0ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice"].map(str::to_owned);
    let mut connection = within(connect(&format!("ws://{address}"), &streams)).await.unwrap();
    let rest = MarketRest::new(&format!("http://{address}"), btc.kind).unwrap();
    let mut decoder = Decoder::new([&btc]).unwrap();
    let mut sync = BookSync::new(SequenceRule::UsdM);
    let (mut diffs, mut best) = (0, None);
    while diffs < 30 {
        match decode(&mut decoder, &next(&mut connection).await).event {
            MarketEvent::Depth(diff) => {
                let outcome = sync.on_diff(&diff);
                assert!(!matches!(outcome, SyncOutcome::Gap { .. }), "{outcome:?}");
                if sync.state() == SyncState::NeedsSnapshot {
                    sync.on_snapshot(&within(rest.depth(&btc, 1_000)).await.unwrap());
                }
                if let (Some(book), Some(best)) = (sync.book(), best)
                    && sync.state() == SyncState::Live
                {
                    diffs += 1;
                    assert_eq!(book.top(), Some(best), "the diff says what the ticker before it said");
                }
            }
            MarketEvent::Ticker(ticker) => best = Some((ticker.bid, ticker.ask)),
            _ => {}
        }
    }
    let candles = within(rest.klines(btc.symbol, Duration::from_secs(5), 100)).await.unwrap();
    assert_eq!(candles.len(), 100, "a market that has just opened has a history all the same");
    exchange.stop().unwrap();
    let ended = within(server).await.unwrap();
    assert_eq!(ended, Err(FloorGone));
    assert!(matches!(drain(&mut connection).await.1, ConnectionError::Closed { code: 1012, .. }));
}
