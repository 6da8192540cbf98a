//! How many stream messages the exchange's market gives to ten sockets in a second, over loopback: frames come as fast as the
//! slowest client takes them, each is written once and sent to all. `cargo bench --bench streams` prints the rate for each kind of
//! stream; the goal is 200,000 messages a second.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ringfence::domain::ids::Symbol;
use ringfence::domain::instrument::{Instrument, InstrumentKind, Lots, Ticks};
use ringfence::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame, TradePrint};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::instruments::bundled;
use ringfence::exchange::stream::{FloorGone, MarketFloor, MarketWire, MarketWireConfig};
use tokio::sync::mpsc;

const SOCKETS: usize = 10;
/// Frames that are under way at once: fewer than a client may be behind by.
const WINDOW: u64 = 2_000;
const ROUNDS: u64 = 40;
const WARM_UP_ROUNDS: u64 = 5;

fn btc() -> Symbol {
    // Invariant: a valid name.
    Symbol::new("BTCUSDT").expect("a symbol")
}

/// A market that shows what it is told.
struct Floor {
    reader: Mutex<Option<mpsc::Sender<Arc<MarketFrame>>>>,
    start: Instant,
}

impl MarketFloor for Floor {
    fn instruments(&self) -> Vec<Instrument> {
        vec![bundled(InstrumentKind::Perpetual, btc()).expect("a bundled instrument")]
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_723_110_000_000) + self.start.elapsed()
    }

    fn subscribe(&self, _: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, FloorGone> {
        let (sender, receiver) = mpsc::channel(2 * WINDOW as usize);
        *self.reader.lock().expect("a lock") = Some(sender);
        Ok(receiver)
    }

    fn depth_snapshot(&self, _: Symbol, _: usize) -> BoxFuture<'_, Result<Option<DepthSnapshot>, FloorGone>> {
        async { Ok(None) }.boxed()
    }

    fn candles(&self, _: Symbol, _: Duration, _: usize) -> BoxFuture<'_, Result<Vec<Candle>, FloorGone>> {
        async { Ok(Vec::new()) }.boxed()
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

fn trade(id: u64) -> MarketEvent {
    MarketEvent::Trade(TradePrint {
        id,
        price: Ticks(618_000 + id as i64 % 90),
        quantity: Lots(1 + id as i64 % 7),
        buyer_is_maker: id.is_multiple_of(2),
    })
}

fn touch(id: u64) -> MarketEvent {
    MarketEvent::Ticker(BookTicker { id, bid: level(618_000, 1 + id as i64 % 900), ask: level(618_001, 4_000) })
}

fn diff(id: u64) -> MarketEvent {
    let side = |price: i64, step: i64| (0..10).map(|n| level(price + n * step, id as i64 % 900)).collect();
    let bids = side(618_000, -1);
    MarketEvent::Depth(DepthUpdate { first_id: id, final_id: id, previous_id: Some(id - 1), bids, asks: side(618_001, 1) })
}

/// Opens a stream and counts its messages, on the client's own thread, without looking into them.
fn count(address: SocketAddr, stream: &str, counted: &AtomicU64) {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    let request = format!(
        "GET /ws/{stream} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).expect("the server takes a handshake");
    let (mut buffer, mut held) = (vec![0; 1 << 16], Vec::new());
    let mut in_stream = false;
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        if !in_stream {
            let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            (at, in_stream) = (end + 4, true);
            counted.store(0, Ordering::Release);
        }
        let mut messages = 0;
        while let Some(length) = frame_length(&held[at..]) {
            at += length;
            messages += 1;
        }
        held.drain(..at);
        counted.fetch_add(messages, Ordering::Release);
    }
}

/// A whole frame of a server: two bytes, perhaps a longer length, the payload.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        short => 2 + usize::from(*short),
    };
    (bytes.len() >= length).then_some(length)
}

fn measure(name: &str, stream: &str, event: fn(u64) -> MarketEvent) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let floor = Arc::new(Floor { reader: Mutex::default(), start: Instant::now() });
    let wire =
        MarketWire::new(Arc::clone(&floor) as Arc<dyn MarketFloor>, MarketWireConfig::of(InstrumentKind::Perpetual)).expect("a wire");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = wire.router();
    runtime.spawn(async move { axum::serve(listener, router).await });
    runtime.spawn(async move { wire.publish().await });
    let counted: Vec<Arc<AtomicU64>> = (0..SOCKETS).map(|_| Arc::new(AtomicU64::new(u64::MAX))).collect();
    for counted in &counted {
        let (counted, stream) = (Arc::clone(counted), stream.to_owned());
        std::thread::Builder::new().spawn(move || count(address, &stream, &counted)).expect("a thread");
    }
    let wait = |enough: &dyn Fn(u64) -> bool| {
        while !counted.iter().all(|count| enough(count.load(Ordering::Acquire))) {
            std::thread::yield_now();
        }
    };
    wait(&|count| count == 0);
    let reader = floor.reader.lock().expect("a lock").clone().expect("a reader");
    let mut start = Instant::now();
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        if round == WARM_UP_ROUNDS {
            start = Instant::now();
        }
        for id in round * WINDOW + 1..=(round + 1) * WINDOW {
            let at = floor.now();
            let frame = Arc::new(MarketFrame { symbol: btc(), venue_time: at, received_at: at, event: event(id) });
            reader.blocking_send(frame).expect("the wire reads");
        }
        wait(&|count| count >= (round + 1) * WINDOW);
    }
    let messages = ROUNDS * WINDOW * SOCKETS as u64;
    let rate = messages as f64 / start.elapsed().as_secs_f64();
    println!("{name:<12} {messages} messages to {SOCKETS} sockets in {:.2?}: {rate:.0} messages/s", start.elapsed());
    runtime.shutdown_background();
}

fn main() {
    measure("trade", "btcusdt@trade", trade);
    measure("bookTicker", "btcusdt@bookTicker", touch);
    measure("depth@0ms", "btcusdt@depth@0ms", diff);
}
