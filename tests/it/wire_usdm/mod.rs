//! USD-M's private side over real sockets: what a client is answered and told over its user stream, to the last digit, in a market
//! that stands still unless the test moves it.

mod accounts;
mod algos;
mod aster;
mod orders;
mod payloads;
mod streams;
mod ws_api;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ringfence::domain::ids::Symbol;
use ringfence::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use ringfence::domain::market_data::{BookTicker, Candle, DepthSnapshot, Level, MarketEvent, MarketFrame, TradePrint};
use ringfence::domain::money::{Money, Price};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::instruments::bundled;
use ringfence::exchange::shell::Clock;
use ringfence::exchange::sources::MarketSource;
use ringfence::exchange::stream::{ExchangeFloor, MarketWire, MarketWireConfig};
use ringfence::exchange::wire::usdm::{self, Usdm, UserSockets};
use ringfence::exchange::wire::{Dialect, Key, Keys, Product, Routes, Venue, VenueConfig, WireServer, market};
use ringfence::exchange::{AccountSetup, ExchangeConfig, RunningExchange, ShellConfig};
use rust_decimal::Decimal;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

/// Generous: every wait is for an answer, not for this long.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Long enough for anything that was on its way.
const QUIET: Duration = Duration::from_millis(700);
const DEPOSIT: &str = "10000";

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn instruments() -> Vec<Instrument> {
    ["BTCUSDT", "ETHUSDT"].map(|name| bundled(InstrumentKind::Perpetual, Symbol::new(name).unwrap()).unwrap()).to_vec()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

/// The number in a text of an answer.
fn of(value: &Value) -> Decimal {
    number(value.as_str().unwrap_or_else(|| panic!("expected a number in quotes, found {value}")))
}

/// A market that shows what it is told.
struct Puppet {
    frames: Arc<Mutex<Vec<MarketEvent>>>,
    begun: bool,
}

/// Levels of one BTC each, every ten cents, from 50,000.0 down and from 50,000.1 up.
fn book() -> DepthSnapshot {
    let level = |price| Level { price: Ticks(price), quantity: Lots(1_000) };
    DepthSnapshot {
        last_id: 1,
        bids: (0..50).map(|step| level(500_000 - step)).collect(),
        asks: (0..50).map(|step| level(500_001 + step)).collect(),
    }
}

impl MarketSource for Puppet {
    fn instruments(&self) -> Vec<Instrument> {
        instruments()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        let mut frames = std::mem::take(&mut *self.frames.lock().unwrap());
        if !std::mem::replace(&mut self.begun, true) {
            let print = TradePrint { id: 1, price: Ticks(500_000), quantity: Lots(1), buyer_is_maker: true };
            let opening = [MarketEvent::Snapshot(book()), MarketEvent::Mark(Price(number("50000"))), MarketEvent::Trade(print)];
            frames.splice(0..0, opening);
        }
        out.extend(frames.into_iter().map(|event| MarketFrame { symbol: btc(), venue_time: now, received_at: now, event }));
    }

    fn book(&self, _: Symbol, _: usize) -> Option<DepthSnapshot> {
        None
    }

    fn candles(&self, _: Symbol, _: Duration, _: usize) -> Vec<Candle> {
        Vec::new()
    }
}

/// A server with two accounts, `alpha` and `beta`.
struct World {
    rest: String,
    ws: String,
    http: reqwest::Client,
    frames: Arc<Mutex<Vec<MarketEvent>>>,
    /// What the exchange's clock is ahead of the wall's.
    ahead: Arc<AtomicI64>,
    clock: Clock,
    next_print: AtomicI64,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn binance() -> Self {
        Self::open(Dialect::Binance).await
    }

    async fn open(dialect: Dialect) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let clock: Clock = Arc::new({
            let ahead = Arc::clone(&ahead);
            move || {
                let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
                Timestamp(i64::try_from(wall.as_nanos()).unwrap() + ahead.load(Ordering::SeqCst))
            }
        });
        let frames = Arc::new(Mutex::new(Vec::new()));
        let keys = ["alpha", "beta"].map(|name| Key::new(name, &format!("{name}-key"), "secret").unwrap());
        let keys = Keys::new(keys).unwrap();
        let setup = |owner| AccountSetup { deposit: Money(number(DEPOSIT)), owner, hedge: false };
        let accounts = keys.accounts().into_iter().enumerate().map(|(owner, account)| (account, setup(owner as u32 + 1))).collect();
        let exchange = ExchangeConfig { log_reports: true, ..ExchangeConfig::default() };
        let config = ShellConfig { exchange, accounts, record: None, clock: Arc::clone(&clock) };
        let puppet = Puppet { frames: Arc::clone(&frames), begun: false };
        let running = RunningExchange::start(config, Box::new(move |_, _| Box::new(puppet))).unwrap();
        let product = Product { dialect, ..Product::USDM };
        let shared = Arc::new(Usdm::new(dialect, [3; 32]));
        let users = Arc::new(UserSockets::new(Arc::clone(&shared), &instruments()));
        let floor = ExchangeFloor { handle: running.handle(), instruments: instruments(), clock: Arc::clone(&clock) };
        let mut market_config = MarketWireConfig::of(InstrumentKind::Perpetual);
        market_config.private = Some(Arc::clone(&users) as _);
        let shown = MarketWire::new(Arc::new(floor), market_config).unwrap();
        let routes = Routes::new(market::routes(product, &shown.router()).into_iter().chain(usdm::routes(&shared)));
        let venue = Arc::new(Venue::new(VenueConfig {
            product,
            exchange: running.handle(),
            clock: Arc::clone(&clock),
            keys,
            limits: product.limits(),
            routes,
        }));
        users.attach(&venue);
        let server = WireServer { venue, market: shown, users: Some(users), encode: |_, _| Vec::new(), faults: false };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(server.run(listener, stop.clone()));
        Self {
            rest: format!("http://{address}"),
            ws: format!("ws://{address}"),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            frames,
            ahead,
            clock,
            next_print: AtomicI64::new(2),
            _stop: stop.drop_guard(),
        }
    }

    /// A signed request of `alpha`'s, parameters in the query.
    async fn ask(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        self.ask_as("alpha", method, path, parameters).await
    }

    async fn ask_as(&self, name: &str, method: &str, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters).append_pair("timestamp", &(self.clock)().as_millis().to_string());
        let query = query.finish();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(query.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        self.send(name, method, &format!("{path}?{query}&signature={signature}")).await
    }

    /// A request with the key alone.
    async fn send(&self, name: &str, method: &str, path: &str) -> (u16, Value) {
        let request =
            self.http.request(method.parse().unwrap(), format!("{}{path}", self.rest)).header("X-MBX-APIKEY", format!("{name}-key"));
        let response = tokio::time::timeout(TIMEOUT, request.send()).await.unwrap().unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    /// A request that must succeed.
    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        success(self.ask("GET", path, parameters).await)
    }

    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        success(self.ask("POST", path, parameters).await)
    }

    /// The code that a request is refused with.
    async fn refused(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> i64 {
        let (status, answer) = self.ask(method, path, parameters).await;
        assert!((400..500).contains(&status), "expected a refusal of {path} {parameters:?}, found {status} {answer}");
        answer["code"].as_i64().unwrap()
    }

    /// A limit order of `alpha`'s on BTCUSDT.
    async fn limit(&self, side: &str, quantity: &str, price: &str) -> Value {
        let order = [
            ("symbol", "BTCUSDT"),
            ("side", side),
            ("type", "LIMIT"),
            ("timeInForce", "GTC"),
            ("quantity", quantity),
            ("price", price),
            ("newOrderRespType", "RESULT"),
        ];
        self.post("/fapi/v1/order", &order).await
    }

    async fn market(&self, side: &str, quantity: &str) -> Value {
        let order = [("symbol", "BTCUSDT"), ("side", side), ("type", "MARKET"), ("quantity", quantity), ("newOrderRespType", "RESULT")];
        self.post("/fapi/v1/order", &order).await
    }

    /// Everybody trades at this price, in tenths, and quotes around it.
    fn trade_at(&self, price: i64) {
        let print = TradePrint {
            id: u64::try_from(self.next_print.fetch_add(1, Ordering::SeqCst)).unwrap(),
            price: Ticks(price),
            quantity: Lots(1),
            buyer_is_maker: true,
        };
        let quote = |price| Level { price: Ticks(price), quantity: Lots(5_000) };
        let ticker = BookTicker { id: print.id + 1, bid: quote(price), ask: quote(price + 1) };
        let mark = Price(Decimal::new(price, 1));
        let events = [MarketEvent::Ticker(ticker), MarketEvent::Mark(mark), MarketEvent::Trade(print)];
        self.frames.lock().unwrap().extend(events);
    }

    fn pass(&self, time: Duration) {
        self.ahead.fetch_add(i64::try_from(time.as_nanos()).unwrap(), Ordering::SeqCst);
    }

    async fn listen_key(&self) -> String {
        let answer = success(self.send("alpha", "POST", "/fapi/v1/listenKey").await);
        answer["listenKey"].as_str().unwrap().to_owned()
    }

    /// A socket on this path.
    async fn socket(&self, path: &str) -> Socket {
        let (socket, _) = tokio::time::timeout(TIMEOUT, connect_async(format!("{}{path}", self.ws))).await.unwrap().unwrap();
        Socket(socket)
    }

    /// A socket that hears `alpha`'s events.
    async fn user_stream(&self) -> Socket {
        let key = self.listen_key().await;
        self.socket(&format!("/private/ws/{key}")).await
    }
}

fn success((status, answer): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{answer}");
    answer
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn next(&mut self) -> Value {
        tokio::time::timeout(TIMEOUT, self.text()).await.expect("expected an event, found silence")
    }

    async fn text(&mut self) -> Value {
        loop {
            match self.0.next().await.expect("the socket ended").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("expected a text, found {other:?}"),
            }
        }
    }

    /// The next event of a kind; others before it are passed over.
    async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["e"] == kind {
                return event;
            }
        }
    }

    async fn send(&mut self, command: Value) {
        self.0.send(Message::text(command.to_string())).await.unwrap();
    }

    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(QUIET, self.text()).await.is_err()
    }
}
