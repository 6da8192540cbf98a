//! Decoding a frame of each kind, setting levels in the book, and a whole recording through reader, codec and book. The real
//! recordings are used where they are (`RINGFENCE_SHARED_DATA` or `../shared/data`), unpacked before the clock starts; else the
//! single frames alone are measured.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ringfence::domain::book::{BookSync, SequenceRule};
use ringfence::domain::ids::Symbol;
use ringfence::domain::instrument::{Instrument, InstrumentKind};
use ringfence::domain::market_data::{DepthUpdate, MarketEventRef};
use ringfence::domain::time::Timestamp;
use ringfence::exchange::instruments::bundled;
use ringfence::exchange::sources::recording::{Options, Recording};
use ringfence::venues::binance::market::{Decoded, Decoder};

const TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}"#;
const TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#;

fn instrument() -> Instrument {
    let symbol = Symbol::new("BTCUSDT").expect("a symbol");
    bundled(InstrumentKind::Perpetual, symbol).expect("a bundled instrument")
}

fn recording() -> Option<PathBuf> {
    let folder = std::env::var_os("RINGFENCE_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let file = folder.join("market/usdm/btcusdt_20240808.gz");
    if !file.exists() {
        eprintln!("skipped: {} is absent", file.display());
        return None;
    }
    Some(file)
}

/// The frames of the recording, unpacked, without their local time.
fn frames(file: &Path) -> Vec<String> {
    let mut text = String::new();
    let packed = std::fs::File::open(file).expect("the recording opens");
    flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).expect("the recording unpacks");
    text.lines().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())).collect()
}

fn decode_kinds(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let mut decoder = Decoder::new([&instrument()]).expect("a grid");
    let frames = recording().map(|file| frames(&file)).unwrap_or_default();
    for (kind, single) in [("bookTicker", Some(TICKER)), ("trade", Some(TRADE)), ("depth", None)] {
        let marker = format!("@{kind}");
        let mut texts: Vec<&str> = frames.iter().map(String::as_str).filter(|text| text[..40.min(text.len())].contains(&marker)).collect();
        if texts.is_empty() {
            texts.extend(single);
        }
        if texts.is_empty() {
            continue;
        }
        group.throughput(Throughput::Elements(texts.len() as u64));
        group.bench_function(kind, |b| {
            b.iter(|| {
                for text in &texts {
                    let decoded = decoder.decode(black_box(text.as_bytes()), Timestamp::ZERO);
                    assert!(matches!(black_box(decoded), Ok(Decoded::Frame(_))));
                }
            });
        });
    }
    group.finish();
}

/// A book that has joined its snapshot, and the diffs that follow.
fn joined(frames: &[String]) -> (BookSync, Vec<DepthUpdate>) {
    let mut decoder = Decoder::new([&instrument()]).expect("a grid");
    let mut sync = BookSync::new(SequenceRule::UsdM);
    let mut diffs = Vec::new();
    for text in frames {
        let Ok(Decoded::Frame(frame)) = decoder.decode(text.as_bytes(), Timestamp::ZERO) else { continue };
        match frame.event {
            MarketEventRef::Depth(update) if sync.book().is_none() => {
                sync.on_diff(update);
            }
            MarketEventRef::Depth(update) => diffs.push(update.clone()),
            MarketEventRef::Snapshot(snapshot) => {
                sync.on_snapshot(snapshot);
            }
            _ => {}
        }
    }
    (sync, diffs)
}

fn book_levels(c: &mut Criterion) {
    let Some(file) = recording() else { return };
    let (sync, diffs) = joined(&frames(&file));
    let levels: usize = diffs.iter().map(|diff| diff.bids.len() + diff.asks.len()).sum();
    let mut group = c.benchmark_group("book");
    group.throughput(Throughput::Elements(levels as u64));
    group.bench_function("level", |b| {
        b.iter_batched_ref(
            || sync.clone(),
            |sync| {
                for diff in &diffs {
                    black_box(sync.on_diff(black_box(diff)));
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn whole_recording(c: &mut Criterion) {
    let Some(file) = recording() else { return };
    let folder = std::env::temp_dir().join(format!("ringfence-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the unpacked recording");
    let plain = folder.join("btcusdt.log");
    let mut text = Vec::new();
    let packed = std::fs::File::open(file).expect("the recording opens");
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut text).expect("the recording unpacks");
    std::fs::write(&plain, &text).expect("the unpacked recording is written");
    let mut group = c.benchmark_group("recording");
    group.throughput(Throughput::Elements(text.iter().filter(|byte| **byte == b'\n').count() as u64));
    group.bench_function("read, decode and book, per frame", |b| {
        b.iter_batched(
            || Recording::open(std::slice::from_ref(&plain), &Options::default()).expect("a recording"),
            |mut recording| {
                let mut sync = BookSync::new(SequenceRule::UsdM);
                while let Some(frame) = recording.next_frame() {
                    match frame.expect("a sound frame").event {
                        MarketEventRef::Depth(update) => {
                            black_box(sync.on_diff(update));
                        }
                        MarketEventRef::Snapshot(snapshot) => {
                            black_box(sync.on_snapshot(snapshot));
                        }
                        other => {
                            black_box(other);
                        }
                    }
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    let _ = std::fs::remove_dir_all(&folder);
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(500)).measurement_time(std::time::Duration::from_secs(2));
    targets = decode_kinds, book_levels, whole_recording
}
criterion_main!(benches);
