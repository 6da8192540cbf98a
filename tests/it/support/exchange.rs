//! An exchange on the wire for tests: a product in this process on a port of its own, and a client that signs as Binance's
//! clients do. The market is synthetic and moves by itself.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ringfence::domain::ids::{Asset, Symbol};
use ringfence::domain::money::Money;
use ringfence::exchange::shell::{Clock, RunningExchange};
use ringfence::exchange::standalone::{Show, Standalone, Wishes};
use ringfence::exchange::wire::{Key, Product, Venue};
use ringfence::messages::Clock as Wall;
use rust_decimal::Decimal;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

/// The 32 bytes that an Ed25519 key of a test is made from.
pub const ED25519_SEED: [u8; 32] = [7; 32];

/// A product that runs and listens.
pub struct Wired {
    pub rest: String,
    pub ws: String,
    pub ws_api: String,
    pub venue: Arc<Venue>,
    running: Option<RunningExchange>,
    stop: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

/// What a test changes of the usual exchange.
#[derive(Default)]
pub struct Deviations {
    pub keys: Vec<Key>,
    /// Limits are counted and not enforced.
    pub no_limits: bool,
}

impl Wired {
    pub async fn start(product: Product) -> Self {
        Self::start_with(product, Deviations::default()).await
    }

    /// Accounts `a` and `b` with an HMAC key each, `e` with an Ed25519 key; 100,000 USDT and 2 BTC each.
    pub async fn start_with(product: Product, deviations: Deviations) -> Self {
        let wall = Wall::start();
        let clock: Clock = Arc::new(move || wall.now());
        let funds = [("USDT", 100_000), ("BTC", 2)].map(|(asset, amount)| (Asset::new(asset).unwrap(), Money(Decimal::from(amount))));
        let wishes = Wishes {
            product,
            show: Show::Synthetic { seed: 1, symbols: ["BTCUSDT", "ETHUSDT"].map(|name| Symbol::new(name).unwrap()).to_vec() },
            keys: [key("a"), key("b"), ed25519_key("e")].into_iter().chain(deviations.keys).collect(),
            funds: funds.to_vec(),
            record: None,
            clock,
            limits: !deviations.no_limits,
            weight: None,
            extended: false,
            faults: true,
            seed: [3; 32],
        };
        let Standalone { running, server, .. } = Standalone::open(wishes).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, venue) = (CancellationToken::new(), Arc::clone(&server.venue));
        let run = server.run(listener, stop.clone());
        let serving = tokio::spawn(async move { run.await.unwrap() });
        let ws_api = format!("ws://{address}{}", product.ws_api_path());
        let (rest, ws) = (format!("http://{address}"), format!("ws://{address}"));
        Self { rest, ws, ws_api, venue, running: Some(running), stop, serving: Some(serving) }
    }

    pub fn client(&self, name: &str) -> Client {
        Client::new(&self.rest, key(name))
    }

    pub fn now(&self) -> i64 {
        self.venue.now().as_millis()
    }

    /// Arms a fault as a person would.
    pub async fn fault(&self, json: &str) {
        let response = reqwest::Client::new().post(format!("{}/faults", self.rest)).body(json.to_owned()).send().await.unwrap();
        let status = response.status();
        assert!(status.is_success(), "{json}: {status} {}", response.text().await.unwrap());
    }

    /// Disarms all faults.
    pub async fn mend(&self) {
        let response = reqwest::Client::new().delete(format!("{}/faults", self.rest)).send().await.unwrap();
        assert!(response.status().is_success());
    }

    /// Drops the server where it stands, as a supervisor does to a child.
    pub async fn kill(&mut self) {
        let serving = self.serving.take().unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    /// Ends in order; what does not end fails the test.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.serving.take().unwrap().await.unwrap();
        self.running.take().unwrap().stop().unwrap();
    }
}

impl Drop for Wired {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn key(name: &str) -> Key {
    Key::derived(&[1; 32], name).unwrap()
}

/// The account's key is an Ed25519 one; its private half is `ED25519_SEED`.
pub fn ed25519_key(name: &str) -> Key {
    use base64::Engine as _;
    let public = ed25519_dalek::SigningKey::from_bytes(&ED25519_SEED).verifying_key();
    let secret = format!("ed25519:{}", base64::engine::general_purpose::STANDARD.encode(public.as_bytes()));
    Key::new(name, &key(name).api_key, &secret).unwrap()
}

pub fn hmac(secret: &str, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

pub fn ed25519(payload: &str) -> String {
    use base64::Engine as _;
    use ed25519_dalek::Signer as _;
    let signature = ed25519_dalek::SigningKey::from_bytes(&ED25519_SEED).sign(payload.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(signature.to_bytes())
}

/// An account's client over HTTP.
pub struct Client {
    rest: String,
    pub key: Key,
    http: reqwest::Client,
}

/// What came back.
pub struct Told {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Told {
    pub fn code(&self) -> i64 {
        self.body["code"].as_i64().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub fn new(rest: &str, key: Key) -> Self {
        Self { rest: rest.to_owned(), key, http: reqwest::Client::new() }
    }

    /// Signed, with everything in the query.
    pub async fn signed(&self, verb: &str, path: &str, parameters: &str, now: i64) -> Told {
        let payload = join(parameters, &format!("timestamp={now}"));
        let signature = hmac(&self.key.secret, &payload);
        self.raw(verb, &format!("{path}?{payload}&signature={signature}"), "").await
    }

    /// Just so, with the key.
    pub async fn raw(&self, verb: &str, path: &str, body: &str) -> Told {
        self.try_raw(verb, path, body).await.unwrap()
    }

    pub async fn try_raw(&self, verb: &str, path: &str, body: &str) -> Result<Told, reqwest::Error> {
        let request = self.http.request(verb.parse().unwrap(), format!("{}{path}", self.rest)).header("X-MBX-APIKEY", &self.key.api_key);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        Ok(Told { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

fn join(parameters: &str, more: &str) -> String {
    if parameters.is_empty() { more.to_owned() } else { format!("{parameters}&{more}") }
}

/// A WebSocket of a test.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn open(url: &str) -> Self {
        Self(connect_async(url).await.unwrap().0)
    }

    pub async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next text; `None` when the socket ends.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next JSON that is so.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let text = self.next().await.expect("the socket ended before the awaited text");
            if let Some(value) = serde_json::from_str(&text).ok().filter(&wanted) {
                return value;
            }
        }
    }

    /// A request of the WebSocket API, and its answer.
    pub async fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.send(&serde_json::json!({ "id": method, "method": method, "params": parameters }).to_string()).await;
        self.until(|value| value["id"] == method).await
    }
}

/// Parameters of a frame, signed: sorted by name, with the key's HMAC secret or the test's Ed25519 key.
pub fn signed_frame(key: &Key, mut parameters: Value, now: i64) -> Value {
    parameters["apiKey"] = Value::String(key.api_key.clone());
    parameters["timestamp"] = Value::from(now);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut pairs: Vec<String> = parameters.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    pairs.sort();
    let payload = pairs.join("&");
    let signature = if key.secret.starts_with("ed25519:") { ed25519(&payload) } else { hmac(&key.secret, &payload) };
    parameters["signature"] = Value::String(signature);
    parameters
}
