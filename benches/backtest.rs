//! The backtest against its budget (≥ 5 M events a second; the same input, the same bytes): a recording of book, touches and
//! trades, decoded once and looped to ten million frames, through exchange, market, strategy, risk and executor in virtual
//! time; then the recording once from an unpacked file, decoding included (≥ 1 M frames a second).
//! `cargo bench --bench backtest [-- EVENTS]`. Moving the tape on to its next pass (ids and times go on where the pass before
//! ended) is not in the time. Without the recordings the market is synthetic, and the table says so.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringfence::domain::instrument::Instrument;
use ringfence::domain::market_data::{MarketEvent, MarketFrame};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::sources::MarketSource;
use ringfence::exchange::sources::recording::{Options, Recording};
use ringfence::exchange::sources::synthetic::{Synthetic, SyntheticConfig};
use ringfence::settings::{Settings, SettingsSource, any_strategy};
use ringfence::simulation::backtest;
use ringfence::simulation::world::{Finished, World};
use ringfence::strategies::registry;

const EVENTS: u64 = 10_000_000;
const BUDGET: f64 = 5e6;
const BUDGET_WITH_DECODING: f64 = 1e6;
/// Ten minutes of three synthetic symbols are about as many frames as the recording has.
const SYNTHETIC_TIME: Duration = Duration::from_secs(600);

fn main() {
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(EVENTS);
    let settings = SettingsSource { file: Some(root().join("config/backtest.toml")), data_dir: None };
    let settings = settings.load(&any_strategy).expect("the repository's own settings are sound");
    let recording = recording();
    let tape = recording.as_deref().map_or_else(synthetic, recorded);
    println!("{}: {} frames a pass, {:.1} levels a frame", tape.name, tape.frames.len(), tape.levels_per_frame());
    println!("{:<28}{:>12}{:>12}{:>10}{:>12}{:>8}{:>7}  trace hash", "", "events", "events/s", "ns/event", "on CPU, ns", "orders", "fills");
    let runs: Vec<(f64, Finished)> = (0..2).map(|_| run(&settings, tape.clone(), events)).collect();
    let best = runs.iter().map(|(speed, _)| *speed).fold(0.0, f64::max);
    assert!(runs.windows(2).all(|pair| pair[0].1.trace_hash == pair[1].1.trace_hash), "the same input gave two hashes");
    println!("{best:>12.0} events/s, {:.2} of the budget of {BUDGET:.0}; both runs gave the same bytes", best / BUDGET);
    if let Some(file) = recording {
        from_files(&settings, &file);
    }
    println!("peak resident memory: {}", peak_memory());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn recording() -> Option<PathBuf> {
    let folder = std::env::var_os("RINGFENCE_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    let file = folder.join("market/usdm/btcusdt_20240808.gz");
    if file.exists() {
        return Some(file);
    }
    eprintln!("skipped the recording: {} is absent; set RINGFENCE_SHARED_DATA to the folder with the recordings", file.display());
    None
}

/// Frames that can be played again and again as one stream.
#[derive(Clone)]
struct Tape {
    name: &'static str,
    instruments: Vec<Instrument>,
    frames: Vec<Frame>,
    /// How far a pass moves time, and each symbol's ids.
    time: Duration,
    ids: Vec<IdSpan>,
}

#[derive(Clone)]
struct Frame {
    symbol: usize,
    frame: MarketFrame,
}

#[derive(Clone, Copy, Default)]
struct IdSpan {
    book: u64,
    trades: u64,
}

fn recorded(file: &Path) -> Tape {
    let mut recording = Recording::open(&[file.to_owned()], &Options::default()).expect("a readable recording");
    let instruments = recording.instruments().to_vec();
    let frames = recording.by_ref().map(|frame| frame.expect("a sound line")).collect();
    Tape::new("recorded, USD-M BTCUSDT", instruments, frames)
}

fn synthetic() -> Tape {
    let start = Timestamp::from_millis(1_723_161_255_000);
    let mut market = Synthetic::new(&SyntheticConfig::standard(1), start, &BTreeMap::new());
    let (instruments, mut frames) = (market.instruments(), Vec::new());
    market.poll(start + SYNTHETIC_TIME, &mut frames);
    Tape::new("synthetic, three perpetuals", instruments, frames)
}

impl Tape {
    fn new(name: &'static str, instruments: Vec<Instrument>, frames: Vec<MarketFrame>) -> Self {
        let index = |frame: &MarketFrame| {
            instruments.iter().position(|instrument| instrument.symbol == frame.symbol).expect("every symbol has its instrument")
        };
        let frames: Vec<Frame> = frames.into_iter().map(|frame| Frame { symbol: index(&frame), frame }).collect();
        let span = |time: fn(&MarketFrame) -> Timestamp| {
            let times = frames.iter().map(|frame| time(&frame.frame));
            times.clone().max().expect("frames").since(times.min().expect("frames"))
        };
        let time = span(|frame| frame.received_at).max(span(|frame| frame.venue_time)) + Duration::from_millis(1);
        let ids = (0..instruments.len()).map(|symbol| id_span(&frames, symbol)).collect();
        Self { name, instruments, frames, time, ids }
    }

    fn levels_per_frame(&self) -> f64 {
        let levels = self.frames.iter().map(|frame| match &frame.frame.event {
            MarketEvent::Depth(update) => update.bids.len() + update.asks.len(),
            MarketEvent::Snapshot(snapshot) => snapshot.bids.len() + snapshot.asks.len(),
            _ => 0,
        });
        levels.sum::<usize>() as f64 / self.frames.len() as f64
    }

    /// Moves every frame on by one pass. A live stream has its snapshot at its beginning only, so they go.
    fn advance(&mut self) {
        self.frames.retain(|frame| !matches!(frame.frame.event, MarketEvent::Snapshot(_)));
        for Frame { symbol, frame } in &mut self.frames {
            let ids = self.ids[*symbol];
            frame.received_at = frame.received_at + self.time;
            frame.venue_time = frame.venue_time + self.time;
            match &mut frame.event {
                MarketEvent::Depth(update) => {
                    update.first_id += ids.book;
                    update.final_id += ids.book;
                    update.previous_id = update.previous_id.map(|id| id + ids.book);
                }
                MarketEvent::Ticker(ticker) => ticker.id += ids.book,
                MarketEvent::Trade(trade) => trade.id += ids.trades,
                MarketEvent::Snapshot(_) | MarketEvent::Mark(_) | MarketEvent::Candle(_) => {}
            }
        }
    }
}

/// The first diff of a pass follows the last of the pass before without a gap.
fn id_span(frames: &[Frame], symbol: usize) -> IdSpan {
    let mut diffs: Option<(u64, u64)> = None;
    let mut trades: Option<(u64, u64)> = None;
    for Frame { frame, .. } in frames.iter().filter(|frame| frame.symbol == symbol) {
        match &frame.event {
            MarketEvent::Depth(update) => {
                let before = update.previous_id.unwrap_or(update.first_id - 1);
                diffs = Some((diffs.map_or(before, |(first, _)| first), update.final_id));
            }
            MarketEvent::Trade(trade) => trades = Some((trades.map_or(trade.id, |(first, _)| first), trade.id + 1)),
            _ => {}
        }
    }
    let length = |span: Option<(u64, u64)>| span.map_or(0, |(first, last)| last - first);
    IdSpan { book: length(diffs), trades: length(trades) }
}

fn run(settings: &Settings, mut tape: Tape, events: u64) -> (f64, Finished) {
    let parts = backtest::parts(settings, &registry(), &tape.instruments).expect("the strategy of the settings can be built");
    let mut world = World::new(parts, tape.frames[0].frame.received_at);
    let (mut fed, mut took, mut busy) = (0, Duration::ZERO, Duration::ZERO);
    while fed < events {
        if fed > 0 {
            tape.advance();
        }
        let (began, began_busy) = (Instant::now(), on_cpu());
        for Frame { symbol, frame } in &tape.frames {
            world.frame(*symbol, frame.received_at, frame.venue_time, frame.borrowed().event);
        }
        took += began.elapsed();
        busy += on_cpu().saturating_sub(began_busy);
        fed += tape.frames.len() as u64;
    }
    let finished = world.finish();
    let speed = fed as f64 / took.as_secs_f64();
    let counts = (fed, finished.tally.total(|symbol| symbol.orders), finished.tally.fills_total);
    row("looped, decoded before", counts, speed, busy, &finished.trace_hash);
    (speed, finished)
}

fn row(name: &str, (events, orders, fills): (u64, u64, u64), speed: f64, busy: Duration, hash: &str) {
    let (each, on_cpu) = (1e9 / speed, busy.as_secs_f64() * 1e9 / events as f64);
    println!("{name:<28}{events:>12}{speed:>12.0}{each:>10.1}{on_cpu:>12.1}{orders:>8}{fills:>7}  {}…", &hash[..16]);
}

/// How long this thread has run: on a busy machine less than the time that passed. Zero where the system does not tell.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// The recording from files, decoding included: packed as it is, then unpacked.
fn from_files(settings: &Settings, packed: &Path) {
    let folder = tempfile::tempdir().expect("a directory for the unpacked recording");
    let unpacked = folder.path().join("btcusdt_20240808.txt");
    let mut reader = flate2::read::GzDecoder::new(std::fs::File::open(packed).expect("the recording"));
    std::io::copy(&mut reader, &mut std::fs::File::create(&unpacked).expect("a file")).expect("room for the unpacked recording");
    for (name, file) in [("once, decoding, unpacking", packed), ("once, decoding", &unpacked)] {
        let runs = (0..5).map(|_| {
            let (began, began_busy) = (Instant::now(), on_cpu());
            let outcome = backtest::run(settings, &registry(), &[file.to_owned()], true, |_| {}).expect("a sound recording");
            let speed = outcome.summary.events as f64 / began.elapsed().as_secs_f64();
            (speed, on_cpu().saturating_sub(began_busy), outcome.summary)
        });
        let (speed, busy, summary) = runs.max_by(|a, b| a.0.total_cmp(&b.0)).expect("five runs");
        row(name, (summary.events, summary.orders, summary.fills), speed, busy, &summary.trace_hash);
        println!("{:>12}{:.2} of the budget of {BUDGET_WITH_DECODING:.0}, the best of five", "", speed / BUDGET_WITH_DECODING);
    }
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown on this system".to_owned(), |size| size.trim().to_owned())
}
