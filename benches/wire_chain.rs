//! From a market frame on the daemon's socket to the order's bytes on the daemon's other socket: daemon and exchange each in a
//! process of its own, a relay between them that looks at what passes in either direction. Some twenty fully checked orders a
//! second on three accounts, each durable in the journal before it leaves. Beside it, in the same run and at the same pace, one
//! durable append. Budget: p50 ≤ the append's p50 + 60 µs. `cargo bench --bench wire_chain [-- SECONDS]`
//!
//! An order is found again by its price: the strategy writes the milliseconds of its frame's time into the last digits. What
//! the relay needs to wake up and read is in the figure.

#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock of the machine, and waits")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use memchr::memmem;
use ringfence::domain::market::MarketView;
use ringfence::domain::money::{Money, Price};
use ringfence::domain::order::{OrderKind, Side, TimeInForce};
use ringfence::domain::time::Timestamp;
use ringfence::store::{Journal, JournalOptions};
use ringfence::strategies::{Configured, Desk, Draft, Interest, Kind, Problem, Strategy, StrategyInput, registry};
use rust_decimal::Decimal;
use serde_json::Value;

mod support;

use support::rows::{append_all, entry};

const ACCOUNTS: [&str; 3] = ["alpha", "beta", "gamma"];
/// Between two orders, and between two of the appends beside them.
const PACE: Duration = Duration::from_millis(50);
/// Set for the process that is the daemon.
const DAEMON: &str = "RINGFENCE_BENCH_DAEMON";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if std::env::var_os(DAEMON).is_some() {
        return ringfence::app::main_with(registry().with(Kind::of::<Prober>()));
    }
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(30);
    measure(Duration::from_secs(seconds));
    ExitCode::SUCCESS
}

fn measure(long: Duration) {
    let home = tempfile::tempdir().expect("a directory");
    let mut appends = append_alone(&home.path().join("before"), long / 3);
    let chain = run_chain(home.path(), long);
    appends.extend(append_alone(&home.path().join("after"), long / 3));
    let (empty, append, chain) = (Percentiles::of(pass_on_alone(long / 3)), Percentiles::of(appends), Percentiles::of(chain));
    println!("one durable append                    {append}");
    println!("in at one socket, out at another      {empty}");
    println!("frame on the socket to order on it    {chain}");
    let above = chain.p50 - append.p50;
    println!("p50 above the append's                {above:.1} µs (budget 60), {:.1} of it for waking up twice", empty.p50);
}

// ---- the strategy ---------------------------------------------------------------------------------------------------------

/// Orders far below the market that are gone at once, one account after the other.
struct Prober {
    newest: Timestamp,
    last: Timestamp,
    orders: usize,
}

#[derive(Debug, Default, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Configured for Prober {
    const KIND: &'static str = "prober";
    const DESCRIPTION: &'static str = "puts the time of a frame into the price of an order";
    type Settings = Nothing;

    fn validate(_: &Nothing) -> Vec<Problem> {
        Vec::new()
    }

    fn new(_: Nothing) -> Self {
        Self { newest: Timestamp::ZERO, last: Timestamp::ZERO, orders: 0 }
    }
}

impl Strategy for Prober {
    fn interest(&self) -> Interest {
        Interest { market_updates: true, warm_up_bars: 0 }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        let StrategyInput::Market(view) = input else { return };
        // An update without a newer frame comes from a look at the clock.
        if view.at <= self.newest {
            return;
        }
        self.newest = view.at;
        if view.at.since(self.last) >= PACE {
            self.propose(view, desk);
        }
    }
}

impl Prober {
    fn propose(&mut self, view: &MarketView, desk: &mut Desk<'_>) {
        let accounts = desk.accounts();
        let (Some((bid, _)), false) = (view.bid, accounts.is_empty()) else { return };
        let account = accounts[self.orders % accounts.len()];
        let Some(instrument) = desk.instrument(view.symbol) else { return };
        let price = Price(stamped(bid.0, view.at.as_millis()));
        let quantity = instrument.quantity_worth(Money(400.into()), price);
        let draft = Draft::market(account, view.symbol, Side::Buy, quantity, "bench").of_kind(OrderKind::Limit { price });
        desk.propose(Draft { time_in_force: TimeInForce::ImmediateOrCancel, ..draft });
        (self.last, self.orders) = (view.at, self.orders + 1);
    }
}

/// One to one and a half per cent below the bid, within every collar: whole hundreds, and tenths for the milliseconds of the second.
fn stamped(bid: Decimal, millis: i64) -> Decimal {
    let hundred = Decimal::ONE_HUNDRED;
    (bid * Decimal::new(985, 3) / hundred).floor() * hundred + Decimal::new(millis % 1_000, 1)
}

/// The milliseconds of the second that an order's price tells of.
fn stamp(price: &str) -> Option<i64> {
    let tenths = price.parse::<Decimal>().ok()? * Decimal::TEN;
    i64::try_from(tenths.trunc()).ok().map(|tenths| tenths % 1_000)
}

// ---- the three processes --------------------------------------------------------------------------------------------------

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run_chain(home: &Path, long: Duration) -> Vec<Duration> {
    let (_exchange, behind) = open_exchange();
    let (tell, told) = mpsc::channel();
    let before = relay(behind, tell);
    let _daemon = open_daemon(home, before);
    // The first second is the first connections' and caches'.
    let first = told.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("a first order within a minute: {}", log(home)));
    let (begin, mut latencies) = (Instant::now(), vec![first]);
    while begin.elapsed() < long {
        latencies.push(told.recv_timeout(Duration::from_secs(10)).unwrap_or_else(|_| panic!("orders without a pause: {}", log(home))));
    }
    latencies.drain(..latencies.len().min(20));
    latencies
}

fn log(home: &Path) -> String {
    std::fs::read_to_string(home.join("log")).unwrap_or_default()
}

fn open_exchange() -> (Killed, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(["exchange", "--usdm", "127.0.0.1:0", "--symbols", "BTCUSDT", "--json"]);
    for account in ACCOUNTS {
        command.args(["--key", &format!("{account}:the-key-of-{account}:the-secret-of-{account}")]);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line of JSON");
    let doors: Value = serde_json::from_str(&line).expect("JSON");
    let rest = doors["usdm"]["rest"].as_str().expect("an address");
    (Killed(child), rest.trim_start_matches("http://").parse().expect("an address"))
}

fn open_daemon(home: &Path, venue: SocketAddr) -> Killed {
    let config = home.join("ringfence.toml");
    std::fs::write(&config, settings(venue)).expect("a file");
    let log = std::fs::File::create(home.join("log")).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["run", "--plain", "--config"]).arg(&config).current_dir(home).env(DAEMON, "1");
    command.env("RINGFENCE__DAEMON__HTTP_BIND", "127.0.0.1:0");
    for account in ACCOUNTS {
        let name = account.to_ascii_uppercase();
        command.env(format!("RINGFENCE_KEY_{name}"), format!("the-key-of-{account}"));
        command.env(format!("RINGFENCE_SECRET_{name}"), format!("the-secret-of-{account}"));
    }
    let (out, err) = (log.try_clone().expect("a file"), log);
    Killed(command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("this program"))
}

fn settings(venue: SocketAddr) -> String {
    let mut text = format!(
        "[[venues]]\nid = \"there\"\nkind = \"binance_usdm\"\nrest = \"http://{venue}\"\nws = \"ws://{venue}\"\n\
         ws_api = \"ws://{venue}/ws-fapi/v1\"\n[[symbols]]\nname = \"BTCUSDT\"\n\
         [risk]\nduplicate_window = \"1ms\"\n[[strategies]]\nid = \"probe\"\nkind = \"prober\"\naccounts = [\"*\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n"
    );
    for account in ACCOUNTS {
        let name = account.to_ascii_uppercase();
        text.push_str(&format!("[[accounts]]\nid = \"{account}\"\nvenue = \"there\"\nkey = {{ env = \"{name}\" }}\n"));
    }
    text
}

// ---- the relay ------------------------------------------------------------------------------------------------------------

/// How a market stream's connection begins. The private stream and the answers to requests have times of their own.
const MARKET: [&[u8]; 3] = [b"GET /stream", b"GET /public/", b"GET /market/"];

/// When the first frame of each millisecond was handed to the daemon, by the millisecond of the second.
type Frames = Arc<Mutex<HashMap<i64, Instant>>>;

/// Passes everything on between the daemon and the exchange, and tells how long each order took.
fn relay(behind: SocketAddr, tell: Sender<Duration>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let frames = Frames::default();
    std::thread::spawn(move || {
        for daemon in listener.incoming() {
            let daemon = daemon.expect("a connection");
            let exchange = TcpStream::connect(behind).expect("the exchange accepts");
            for socket in [&daemon, &exchange] {
                socket.set_nodelay(true).expect("a socket");
            }
            join(daemon, exchange, &frames, &tell);
        }
    });
    address
}

fn join(daemon: TcpStream, exchange: TcpStream, frames: &Frames, tell: &Sender<Duration>) {
    let (back, forth) = (exchange.try_clone().expect("a socket"), daemon.try_clone().expect("a socket"));
    let (seen, tell, shown) = (Arc::clone(frames), tell.clone(), Arc::clone(frames));
    let is_market = Arc::new(Mutex::new(None));
    let learned = Arc::clone(&is_market);
    std::thread::spawn(move || {
        pass(daemon, exchange, |at, bytes| {
            let mut learned = learned.lock().expect("no panic under it");
            let market = *learned.get_or_insert_with(|| MARKET.iter().any(|door| bytes.starts_with(door)));
            if !market {
                look_for_orders(at, bytes, &seen, &tell);
            }
        });
    });
    std::thread::spawn(move || {
        pass(back, forth, |at, bytes| {
            if *is_market.lock().expect("no panic under it") == Some(true) {
                look_for_frames(at, bytes, &shown);
            }
        });
    });
}

/// `look` is told of what is there before it goes on, and when it was read.
fn pass(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(Instant, &[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        look(Instant::now(), &buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}

fn look_for_frames(at: Instant, bytes: &[u8], frames: &Frames) {
    const NAME: &[u8] = b"\"E\":";
    for found in memmem::find_iter(bytes, NAME) {
        let Some(digits) = bytes.get(found + NAME.len()..).and_then(|rest| rest.get(..13)) else { continue };
        let Some(millis) = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i64>().ok()) else { continue };
        let mut frames = frames.lock().expect("no panic under it");
        // A millisecond of an earlier second is over.
        let first = frames.entry(millis % 1_000).or_insert(at);
        if at - *first > Duration::from_millis(500) {
            *first = at;
        }
    }
}

fn look_for_orders(at: Instant, bytes: &[u8], frames: &Frames, tell: &Sender<Duration>) {
    if memmem::find(bytes, b"newClientOrderId=").is_none() {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    let Some((_, rest)) = text.split_once("price=") else { return };
    let price = rest.split('&').next().unwrap_or_default();
    let first = stamp(price).and_then(|stamp| frames.lock().expect("no panic under it").get(&stamp).copied());
    if let Some(first) = first {
        // Nobody counts any more at the end.
        let _ = tell.send(at - first);
    }
}

// ---- what it is measured by -----------------------------------------------------------------------------------------------

/// One durable append at a time, until its caller knows of it, at the pace of the orders: a disk that rests between two writes answers otherwise than a busy one.
fn append_alone(data: &Path, long: Duration) -> Vec<Duration> {
    let (journal, _) = Journal::open(data, &JournalOptions::new("bench", "none")).expect("a journal");
    let handle = journal.handle();
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < long {
        std::thread::sleep(PACE);
        let rows = vec![vec![entry(times.len() as u64 * 4)]];
        let start = Instant::now();
        append_all(&handle, rows);
        times.push(start.elapsed());
    }
    journal.close("end").expect("an orderly end");
    times
}

/// What nobody is spared: a thread wakes up for what comes in at one socket and writes to another, where a second one wakes up.
fn pass_on_alone(long: Duration) -> Vec<Duration> {
    let ((mut first, mut second), (mut third, mut fourth)) = (connected(), connected());
    std::thread::spawn(move || {
        let mut byte = [0];
        while second.read_exact(&mut byte).is_ok() && third.write_all(&byte).is_ok() {}
    });
    let (begin, mut times) = (Instant::now(), Vec::new());
    while begin.elapsed() < long {
        std::thread::sleep(PACE);
        let start = Instant::now();
        first.write_all(&[1]).expect("a socket");
        fourth.read_exact(&mut [0]).expect("a socket");
        times.push(start.elapsed());
    }
    times
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("a socket");
    let (far, _) = listener.accept().expect("a socket");
    for socket in [&near, &far] {
        socket.set_nodelay(true).expect("a socket");
    }
    (near, far)
}

struct Percentiles {
    count: usize,
    p50: f64,
    p99: f64,
}

impl Percentiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1e6;
        Self { count: times.len(), p50: at(50), p99: at(99) }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>5} times   p50 {:>7.1} µs   p99 {:>7.1} µs", self.count, self.p50, self.p99)
    }
}
