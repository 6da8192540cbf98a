//! What the wire costs: signed orders over loopback HTTP keep-alive, each answered before the next on its connection, client
//! and exchange in one process on a thread each. Prints orders a second and the answer's latency. Run with
//! `cargo bench --bench wire`.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock of the machine")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use ringfence::domain::ids::{Asset, Symbol};
use ringfence::domain::money::Money;
use ringfence::exchange::shell::Clock;
use ringfence::exchange::standalone::{Show, Standalone, Wishes};
use ringfence::exchange::wire::{Key, Product};
use ringfence::messages::Clock as Wall;
use rust_decimal::Decimal;
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

/// Orders under way at once: a client's accounts and strategies.
const CONNECTIONS: usize = 16;
const MEASURED: Duration = Duration::from_secs(5);

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    for product in [Product::USDM, Product::SPOT] {
        measure(product);
    }
}

fn measure(product: Product) {
    let stop = CancellationToken::new();
    let (tell, told) = std::sync::mpsc::channel();
    let served = stop.clone();
    let server = std::thread::Builder::new().name("server".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve(product, tell, served));
    });
    let address: SocketAddr = told.recv().expect("the exchange opens");
    let (mut latencies, took) = trade(address, product);
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 1_000];
    println!(
        "{:?}: {:.0} signed orders/s over {CONNECTIONS} keep-alive connections, answered after {:?} p50, {:?} p99",
        product.kind,
        latencies.len() as f64 / took.as_secs_f64(),
        at(500),
        at(990),
    );
    stop.cancel();
    server.expect("a thread").join().expect("the server ends well");
}

async fn serve(product: Product, tell: std::sync::mpsc::Sender<SocketAddr>, stop: CancellationToken) {
    let wall = Wall::start();
    let clock: Clock = Arc::new(move || wall.now());
    let wishes = Wishes {
        product,
        show: Show::Synthetic { seed: 1, symbols: vec![Symbol::new("BTCUSDT").expect("a symbol")] },
        keys: vec![key()],
        funds: vec![(Asset::new("USDT").expect("an asset"), Money(Decimal::from(100_000_000)))],
        record: None,
        clock,
        limits: false,
        weight: None,
        extended: false,
        faults: false,
        seed: [0; 32],
    };
    let Standalone { running, server, .. } = Standalone::open(wishes).await.expect("the exchange opens");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    tell.send(listener.local_addr().expect("an address")).expect("the client waits");
    server.run(listener, stop).await.expect("it serves until it is told to stop");
    running.stop().expect("the engine ends well");
}

fn key() -> Key {
    Key::derived(&[1; 32], "bench").expect("a key")
}

/// Sends on each connection as soon as its last answer is there; the latencies, and how long it took in all.
fn trade(address: SocketAddr, product: Product) -> (Vec<Duration>, Duration) {
    let key = key();
    let mac = Hmac::<Sha256>::new_from_slice(key.secret.as_bytes()).expect("any length");
    let open = |_| {
        let stream = TcpStream::connect(address).expect("the exchange accepts");
        stream.set_nodelay(true).expect("a socket");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(open).collect();
    let (mut latencies, mut sent) = (Vec::new(), vec![Instant::now(); CONNECTIONS]);
    let began = Instant::now();
    for (stream, sent) in streams.iter_mut().zip(&mut sent) {
        *sent = send(stream, &mac, &key, product);
    }
    while began.elapsed() < MEASURED {
        for (stream, sent) in streams.iter_mut().zip(&mut sent) {
            receive(stream);
            latencies.push(sent.elapsed());
            *sent = send(stream, &mac, &key, product);
        }
    }
    (latencies, began.elapsed())
}

/// Far below the market and gone at once, so that the book stays as it is.
fn send(stream: &mut TcpStream, mac: &Hmac<Sha256>, key: &Key, product: Product) -> Instant {
    let (path, price) = if product.is_spot() { ("/api/v3/order", "50000.00") } else { ("/fapi/v1/order", "50000.0") };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    let mut body =
        format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=IOC&quantity=0.010&price={price}&newOrderRespType=ACK&timestamp={now}");
    let mut mac = mac.clone();
    mac.update(body.as_bytes());
    body.push_str("&signature=");
    body.push_str(&hex::encode(mac.finalize().into_bytes()));
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-mbx-apikey: {}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        key.api_key,
        body.len()
    );
    let at = Instant::now();
    stream.write_all(head.as_bytes()).expect("the exchange reads");
    at
}

fn receive(stream: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    let mut filled = 0;
    loop {
        filled += stream.read(&mut buffer[filled..]).expect("the exchange answers");
        let text = std::str::from_utf8(&buffer[..filled]).expect("ASCII");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|length| length.parse().ok());
        if length.is_some_and(|length: usize| body.len() >= length) {
            assert!(head.starts_with("HTTP/1.1 200"), "{text}");
            return;
        }
    }
}
