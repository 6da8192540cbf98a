//! The exchange's market over real sockets: what the floor shows is what the client decodes, books and candles come back as they
//! were, what is not served is refused in Binance's words, and nobody's slowness or end is anybody else's.

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
use ringfence::exchange::stream::{ExchangeFloor, FloorGone, MarketFloor, ServeError, serve};
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

/// Generous: every wait is for an answer, not for this long.
const TIMEOUT: Duration = Duration::from_secs(20);
const NOW: Timestamp = Timestamp::from_millis(1_723_110_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A floor whose market is what the test says.
struct FakeFloor {
    readers: watch::Sender<Vec<mpsc::Sender<Arc<MarketFrame>>>>,
    gone: Mutex<bool>,
    book: DepthSnapshot,
    asked: Mutex<Vec<(Symbol, Duration, usize)>>,
}

impl FakeFloor {
    fn new() -> Arc<Self> {
        let book = DepthSnapshot { last_id: 160, bids: vec![level(600_000, 5), level(599_999, 7)], asks: vec![level(600_001, 9)] };
        Arc::new(Self { readers: watch::channel(Vec::new()).0, gone: Mutex::new(false), book, asked: Mutex::default() })
    }

    /// Shows a frame to the newest reader, once there have been `readers` of them.
    async fn show(&self, readers: usize, event: MarketEvent) -> MarketFrame {
        let mut waiting = self.readers.subscribe();
        let reader = {
            let readers = within(waiting.wait_for(|all| all.len() >= readers)).await.unwrap();
            readers.last().unwrap().clone()
        };
        let frame = MarketFrame { symbol: btc(), venue_time: NOW, received_at: NOW, event };
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
        vec![instrument(), bundled(InstrumentKind::Spot, Symbol::new("ETHUSDT").unwrap()).unwrap()]
    }

    fn now(&self) -> Timestamp {
        NOW
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
        self.asked.lock().unwrap().push((symbol, interval, limit));
        let candles = (0..limit).map(|index| candle(interval, index)).collect();
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

fn candle(interval: Duration, index: usize) -> Candle {
    let open_time = NOW + interval * u32::try_from(index).unwrap();
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
    server: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    async fn start() -> Self {
        let floor = FakeFloor::new();
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

    fn rest(&self) -> MarketRest {
        MarketRest::new(&format!("http://{}", self.address), InstrumentKind::Perpetual).unwrap()
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = within(client.get(format!("http://{}{path}", self.address)).send()).await.unwrap();
        (response.status().as_u16(), within(response.json()).await.unwrap())
    }
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
    let streams = ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice", "btcusdt@kline_5s"];
    let mut connection = served.connect(&streams).await.unwrap();
    let mut decoder = Decoder::new([&instrument()]).unwrap();
    let diff = DepthUpdate { first_id: 7, final_id: 9, previous_id: Some(6), bids: vec![level(600_000, 0)], asks: vec![] };
    let events = [
        MarketEvent::Depth(diff),
        ticker(10),
        trade(11),
        MarketEvent::Mark("60000.12345678".parse().unwrap()),
        MarketEvent::Candle(candle(Duration::from_secs(5), 0)),
    ];
    for (event, stream) in events.into_iter().zip(streams) {
        let shown = served.floor.show(1, event).await;
        let text = next(&mut connection).await;
        assert!(text.starts_with(&format!("{{\"stream\":\"{stream}\",")), "{text}");
        assert_eq!(decode(&mut decoder, &text), shown);
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
        let url = format!("ws://{}{route}/ws/btcusdt@trade", served.address);
        let (mut socket, _) = within(tokio_tungstenite::connect_async(url)).await.unwrap();
        served.floor.show(1, trade(count as u64)).await;
        let text = within(socket.next()).await.unwrap().unwrap().into_text().unwrap();
        assert!(text.starts_with(r#"{"e":"trade","#), "{text}");
        within(socket.send(Message::text(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth"],"id":1}"#))).await.unwrap();
        let text = within(socket.next()).await.unwrap().unwrap().into_text().unwrap();
        assert!(text.contains("\"code\":2"), "{text}");
    }
}

#[tokio::test]
async fn books_and_candles_come_back_as_they_were() {
    let served = Served::start().await;
    let rest = served.rest();
    assert_eq!(within(rest.depth(&instrument(), 1_000)).await.unwrap(), served.floor.book);
    let candles = within(rest.klines(btc(), MINUTE, 3)).await.unwrap();
    assert_eq!(candles, (0..3).map(|index| candle(MINUTE, index)).collect::<Vec<_>>());
    let seconds = Duration::from_secs(5);
    assert_eq!(within(rest.klines(btc(), seconds, 1)).await.unwrap(), [candle(seconds, 0)]);
    assert_eq!(*served.floor.asked.lock().unwrap(), [(btc(), MINUTE, 3), (btc(), seconds, 1)]);
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
    let cases = [
        ("/fapi/v1/depth", -1102),
        ("/fapi/v1/depth?symbol=ETHUSDT", -1121),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=7", -1130),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=x", -1130),
        ("/fapi/v1/klines?symbol=BTCUSDT", -1102),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=7m", -1120),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=1", -1104),
    ];
    for (path, code) in cases {
        let (status, body) = served.get(path).await;
        assert_eq!((status, &body["code"]), (400, &Value::from(code)), "{path}: {body}");
    }
    let (status, body) = served.get("/fapi/v1/order").await;
    assert_eq!((status, &body["msg"]), (404, &Value::from("Path /fapi/v1/order, Method GET is invalid")));
}

#[tokio::test]
async fn an_unknown_stream_is_refused_and_named() {
    let served = Served::start().await;
    for (stream, expected) in [("btcusdt@depth20", "btcusdt@depth20"), ("dogeusdt@trade", "Invalid symbol.")] {
        let error = served.connect(&["btcusdt@trade", stream]).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Refused { status: 400, answer, .. } if answer.contains("\"code\":")), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn exchange_info_tells_the_filters_and_each_product_its_own() {
    let served = Served::start().await;
    let (_, perpetuals) = served.get("/fapi/v1/exchangeInfo").await;
    let symbols = perpetuals["symbols"].as_array().unwrap();
    assert_eq!(symbols.len(), 1);
    assert_eq!(symbols[0]["symbol"], "BTCUSDT");
    let filter = |name: &str| symbols[0]["filters"].as_array().unwrap().iter().find(|filter| filter["filterType"] == name).unwrap();
    assert_eq!(filter("PRICE_FILTER")["tickSize"], "0.1");
    assert_eq!(filter("LOT_SIZE")["stepSize"], "0.001");
    assert_eq!(filter("MIN_NOTIONAL")["notional"], "100");
    let (_, spot) = served.get("/api/v3/exchangeInfo").await;
    assert_eq!(spot["symbols"][0]["symbol"], "ETHUSDT");
    assert_eq!(served.get("/fapi/v1/time").await.1["serverTime"], NOW.as_millis());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_nobody_else_waits() {
    // More in all than both sockets' buffers and the backlog hold.
    const FRAMES: usize = 600;
    let levels: Vec<Level> = (0..4_000).map(|index| level(600_000 + index, 1_000_000_000)).collect();
    let served = Served::start().await;
    let mut slow = served.connect(&["btcusdt@depth"]).await.unwrap();
    let mut quick = served.connect(&["btcusdt@depth"]).await.unwrap();
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
    assert!(matches!(ended, Err(ServeError::Floor(FloorGone))), "{ended:?}");
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
    let streams = ["btcusdt@depth@100ms", "btcusdt@bookTicker", "btcusdt@trade", "btcusdt@markPrice"].map(str::to_owned);
    let mut connection = within(connect(&format!("ws://{address}"), &streams)).await.unwrap();
    let rest = MarketRest::new(&format!("http://{address}"), btc.kind).unwrap();
    let mut decoder = Decoder::new([&btc]).unwrap();
    let mut sync = BookSync::new(SequenceRule::UsdM);
    let (mut diffs, mut best) = (0, None);
    while diffs < 30 {
        match decode(&mut decoder, &next(&mut connection).await).event {
            MarketEvent::Depth(diff) => {
                diffs += 1;
                let outcome = sync.on_diff(&diff);
                assert!(!matches!(outcome, SyncOutcome::Gap { .. }), "{outcome:?}");
                if sync.state() == SyncState::NeedsSnapshot {
                    sync.on_snapshot(&within(rest.depth(&btc, 1_000)).await.unwrap());
                }
                if let (Some(book), Some(best)) = (sync.book(), best)
                    && sync.state() == SyncState::Live
                {
                    assert_eq!(book.top(), Some(best), "the diff says what the ticker before it said");
                }
            }
            MarketEvent::Ticker(ticker) => best = Some((ticker.bid, ticker.ask)),
            _ => {}
        }
    }
    assert_eq!(sync.state(), SyncState::Live);
    let candles = within(rest.klines(btc.symbol, Duration::from_secs(5), 100)).await.unwrap();
    assert_eq!(candles.len(), 100, "a market that has just opened has a history all the same");
    exchange.stop().unwrap();
    let ended = within(server).await.unwrap();
    assert!(matches!(ended, Err(ServeError::Floor(FloorGone))), "{ended:?}");
    assert!(matches!(drain(&mut connection).await.1, ConnectionError::Closed { code: 1012, .. }));
}
