//! The journal against its budget, each figure beside what it is measured by in the same run: one durable append against a
//! bare fdatasync (≤ 1.3 ×), bulk (≥ 400 k rows/s), recovery and `audit verify` of a million rows (recovery ≤ 2 s).
//! A plain program, because each figure needs its own set-up and none needs a statistic beyond a percentile.
//! `cargo bench --bench journal [-- DIRECTORY]`; the directory should be on the disk that is asked about.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures wall time")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ringfence::domain::record::Entry;
use ringfence::domain::time::Timestamp;
use ringfence::store::{Ack, Audit, AuditFilter, Journal, JournalOptions, VerifyOutcome, verify};

mod support;

use support::rows::{append_all, entry};

const APPENDS: usize = 2000;
const BULK_ROWS: u64 = 1_000_000;
const BULK_BATCH: u64 = 256;

fn main() {
    let base = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map_or_else(std::env::temp_dir, PathBuf::from);
    let data = tempfile::tempdir_in(&base).expect("a directory to measure in");
    println!("journal in {}", data.path().display());
    one_append(&data.path().join("single"));
    let bulk = data.path().join("bulk");
    write_bulk(&bulk, Some(100_000));
    recover("checkpoint every 100,000 rows", &bulk);
    ask(&bulk);
    let flat = data.path().join("flat");
    write_bulk(&flat, None);
    recover("no checkpoint at all", &flat);
}

fn options() -> JournalOptions {
    JournalOptions::new("bench", "none")
}

/// Alternates the two, so that both see the same disk: a disk's mood changes within a second.
fn one_append(data: &Path) {
    let (journal, _) = Journal::open(data, &options()).expect("a journal");
    let handle = journal.handle();
    let bare = File::create(data.join("bare")).expect("a file");
    bare.write_all_at(&vec![0; 4 << 20], 0).expect("room");
    bare.sync_all().expect("a sync");
    let page = [7; 4096];
    let (mut bare_times, mut ack_times, mut round_trips) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..APPENDS as u64 {
        let start = Instant::now();
        bare.write_all_at(&page, number % 1024 * 4096).expect("a write");
        bare.sync_data().expect("a sync");
        bare_times.push(start.elapsed());
        let (sender, receiver) = mpsc::channel();
        let rows = vec![entry(number * 4)];
        let start = Instant::now();
        let ack = Ack::Callback(Box::new(move |result| {
            result.expect("a durable row");
            sender.send(Instant::now()).expect("a waiting main thread");
        }));
        handle.append(rows, ack).expect("room in the queue");
        ack_times.push(receiver.recv().expect("an answer") - start);
        round_trips.push(start.elapsed());
    }
    let (bare, acked, round) = (percentiles(bare_times), percentiles(ack_times), percentiles(round_trips));
    println!("bare fdatasync            p50 {:>9.1?}  p99 {:>9.1?}", bare.0, bare.1);
    println!("append to its ack         p50 {:>9.1?}  p99 {:>9.1?}", acked.0, acked.1);
    println!("append, back on the caller p50 {:>8.1?}  p99 {:>9.1?}", round.0, round.1);
    println!("ratio at p50              {:.2} (budget 1.3)", acked.0.as_secs_f64() / bare.0.as_secs_f64());
    journal.close("end").expect("an orderly end");
}

fn percentiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// The entries are made beforehand: making them is the machines' work.
fn write_bulk(data: &Path, checkpoint_every: Option<u64>) {
    let (journal, _) = Journal::open(data, &options()).expect("a journal");
    let handle = journal.handle();
    let mut spent = Duration::ZERO;
    for part in 0..10 {
        let from = part * BULK_ROWS / 10;
        let (part_end, starts) = (from + BULK_ROWS / 10, (from..from + BULK_ROWS / 10).step_by(BULK_BATCH as usize));
        let batches: Vec<Vec<Entry>> = starts.map(|start| (start..(start + BULK_BATCH).min(part_end)).map(entry).collect()).collect();
        let start = Instant::now();
        append_all(&handle, batches);
        spent += start.elapsed();
        if checkpoint_every.is_some() {
            let state = "x".repeat(100_000);
            handle.append_checkpoint(Timestamp(1), state, Ack::None).expect("room in the queue");
        }
    }
    println!("bulk, {BULK_ROWS} rows        {:.0} rows/s (budget 400,000)", BULK_ROWS as f64 / spent.as_secs_f64());
    append_all(&handle, vec![(0..1000).map(entry).collect()]);
    journal.close("end").expect("an orderly end");
}

fn recover(name: &str, data: &Path) {
    let start = Instant::now();
    let (journal, recovery) = Journal::open(data, &options()).expect("a journal");
    let opened = start.elapsed();
    let rows = recovery.tail.filter(|stored| stored.is_ok()).count();
    println!("recovery, {name}: open {opened:.1?}, with the replay of {rows} rows {:.1?} (budget 2 s)", start.elapsed());
    drop(journal);
}

fn ask(data: &Path) {
    let start = Instant::now();
    let report = verify(data, |_| {}).expect("a report");
    assert_eq!(report.outcome, VerifyOutcome::Intact);
    println!("audit verify, {} rows: {:.1?}", report.rows, start.elapsed());
    let audit = Audit::open(data).expect("a journal");
    let order = entry(400_000).record.client_order_id();
    let start = Instant::now();
    let rows = audit.orders(&AuditFilter { client_order_id: order, ..AuditFilter::default() }).expect("rows");
    println!("audit orders of one order, {} rows found: {:.1?}", rows.len(), start.elapsed());
}
