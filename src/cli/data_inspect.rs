//! `ringfence data inspect`: what is in a recording and whether it is whole. The book is rebuilt from the diffs and held
//! against the venue's own ticker wherever both stand at the same update id.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::domain::book::{Book, BookSync, SequenceRule, SyncOutcome};
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, Level, MarketEventRef, MarketFrameRef};
use crate::domain::money::{Price, Quantity};
use crate::domain::time::Timestamp;
use crate::exchange::sources::recording::{Options, Recording, RecordingError, Undecodable};

/// A thousand bad lines say as much as a million, and fit into a screen's scroll.
const LISTED_MAX: usize = 1000;
/// Ids remembered of tickers and of books until the other of the pair comes. A busy symbol has some 200 tickers a second and
/// a diff is at most a second behind: this is twenty seconds.
const REMEMBERED_IDS_MAX: usize = 4096;

/// What was found. Counts are over all files; each file is checked by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Inspection {
    pub files: Vec<PathBuf>,
    /// Frames and candles that were decoded.
    pub frames: u64,
    pub kinds: BTreeMap<&'static str, u64>,
    /// Sound lines that carry no market event, by reason.
    pub ignored: BTreeMap<&'static str, u64>,
    pub symbols: Vec<Symbol>,
    pub instruments: Vec<InstrumentSummary>,
    pub time_span: Option<TimeSpan>,
    /// How often the time of a line is before that of the line above it.
    pub time_steps_back: u64,
    /// Breaks in the chain of update ids.
    pub sequence_gaps: u64,
    pub gaps: Vec<Gap>,
    pub book_ticker_checked: u64,
    pub book_ticker_mismatched: u64,
    pub mismatches: Vec<Mismatch>,
    /// Levels whose quantity has a part below one lot, left from a time of smaller lots; the part is left out.
    pub dust_levels: u64,
    /// Candles that are missing between two that are there.
    pub candle_gaps: u64,
    pub undecodable: UndecodableLines,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstrumentSummary {
    pub symbol: Symbol,
    pub kind: InstrumentKind,
    pub price_step: Price,
    pub quantity_step: Quantity,
}

/// By the venue's time, in UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeSpan {
    pub first: String,
    pub last: String,
    pub seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    pub symbol: Symbol,
    pub at: String,
    /// The update id that the diff had to follow, and the one that it follows.
    pub expected: u64,
    pub found: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mismatch {
    pub symbol: Symbol,
    pub update_id: u64,
    /// Best bid and ask with their quantities, of the rebuilt book and of the recorded ticker.
    pub book: [String; 4],
    pub ticker: [String; 4],
}

/// Lines that could not be read: how many, and the first of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct UndecodableLines {
    pub count: u64,
    pub lines: Vec<Undecodable>,
}

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("{0}; stopped there because of --strict")]
    Strict(Undecodable),
}

/// Inspects files one after the other.
///
/// # Errors
/// When a file is no recording, or, if `strict`, at the first line that cannot be read.
pub fn run(files: &[PathBuf], strict: bool) -> Result<Inspection, InspectError> {
    inspect(files, &Options::default(), strict, &mut |_| {})
}

/// As [`run`], with what the files do not say themselves and a callback that is told the number of frames now and then.
///
/// # Errors
/// As [`run`].
pub fn inspect(files: &[PathBuf], options: &Options, strict: bool, on_progress: &mut dyn FnMut(u64)) -> Result<Inspection, InspectError> {
    /// Often enough for a smooth bar, seldom enough to cost nothing.
    const PROGRESS_EVERY: u64 = 16_384;
    let mut inspection = Inspection { files: files.to_vec(), ..Inspection::default() };
    let mut span = Span::default();
    for file in files {
        let mut recording = Recording::open(std::slice::from_ref(file), options)?;
        let mut checks = Checks::new(recording.instruments());
        inspection.announce(&recording);
        while let Some(next) = recording.next_frame() {
            match next {
                Ok(frame) => {
                    span.add(&frame, &mut inspection);
                    checks.frame(&frame, &mut inspection);
                    if inspection.frames.is_multiple_of(PROGRESS_EVERY) {
                        on_progress(inspection.frames);
                    }
                }
                Err(bad) if strict => return Err(InspectError::Strict(bad)),
                Err(bad) => inspection.add_undecodable(bad),
            }
        }
        for (other, count) in recording.others() {
            *inspection.ignored.entry((*other).into()).or_default() += count;
        }
        inspection.dust_levels += recording.dust();
        span.previous = None;
    }
    inspection.symbols.sort_unstable();
    inspection.symbols.dedup();
    inspection.time_span = span.text();
    Ok(inspection)
}

impl Inspection {
    fn announce(&mut self, recording: &Recording) {
        self.warnings.extend_from_slice(recording.warnings());
        for instrument in recording.instruments() {
            self.symbols.push(instrument.symbol);
            let Instrument { symbol, kind, price_step, quantity_step, .. } = *instrument;
            let summary = InstrumentSummary { symbol, kind, price_step, quantity_step };
            if !self.instruments.contains(&summary) {
                self.instruments.push(summary);
            }
        }
    }

    fn add_undecodable(&mut self, bad: Undecodable) {
        self.undecodable.count += 1;
        if self.undecodable.lines.len() < LISTED_MAX {
            self.undecodable.lines.push(bad);
        }
    }

    fn add_gap(&mut self, gap: Gap) {
        self.sequence_gaps += 1;
        if self.gaps.len() < LISTED_MAX {
            self.gaps.push(gap);
        }
    }
}

#[derive(Default)]
struct Span {
    ends: Option<(Timestamp, Timestamp)>,
    previous: Option<Timestamp>,
}

impl Span {
    fn add(&mut self, frame: &MarketFrameRef<'_>, inspection: &mut Inspection) {
        let at = frame.venue_time;
        let (first, last) = self.ends.unwrap_or((at, at));
        self.ends = Some((first.min(at), last.max(at)));
        inspection.time_steps_back += u64::from(self.previous.is_some_and(|previous| frame.received_at < previous));
        self.previous = Some(frame.received_at);
    }

    fn text(&self) -> Option<TimeSpan> {
        let (first, last) = self.ends?;
        Some(TimeSpan { first: first.to_string(), last: last.to_string(), seconds: last.since(first).as_secs() })
    }
}

/// The checks of one file.
struct Checks {
    symbols: BTreeMap<Symbol, SymbolChecks>,
}

struct SymbolChecks {
    instrument: Instrument,
    sync: BookSync,
    /// The newest update id of the diffs, kept apart from the book: a recording without a snapshot has gaps too.
    chain: Option<u64>,
    tops: BTreeMap<u64, (Level, Level)>,
    tickers: BTreeMap<u64, BookTicker>,
    candle: Option<Candle>,
}

impl Checks {
    fn new(instruments: &[Instrument]) -> Self {
        let checks = |instrument: &Instrument| SymbolChecks {
            instrument: instrument.clone(),
            sync: BookSync::new(match instrument.kind {
                InstrumentKind::Spot => SequenceRule::Spot,
                InstrumentKind::Perpetual => SequenceRule::UsdM,
            }),
            chain: None,
            tops: BTreeMap::new(),
            tickers: BTreeMap::new(),
            candle: None,
        };
        Self { symbols: instruments.iter().map(|instrument| (instrument.symbol, checks(instrument))).collect() }
    }

    fn frame(&mut self, frame: &MarketFrameRef<'_>, inspection: &mut Inspection) {
        inspection.frames += 1;
        *inspection.kinds.entry(kind_of(&frame.event)).or_default() += 1;
        // Invariant: a recording has an instrument for each symbol that it decodes.
        let Some(checks) = self.symbols.get_mut(&frame.symbol) else { return };
        let compared = match frame.event {
            MarketEventRef::Depth(update) => {
                if let Some((expected, found)) = checks.follow(update) {
                    let at = frame.venue_time.to_string();
                    inspection.add_gap(Gap { symbol: frame.symbol, at, expected, found });
                }
                checks.diff(update)
            }
            MarketEventRef::Snapshot(snapshot) => checks.snapshot(snapshot),
            MarketEventRef::Ticker(ticker) => checks.ticker(ticker),
            MarketEventRef::Candle(candle) => {
                inspection.candle_gaps += checks.missing_before(*candle);
                None
            }
            MarketEventRef::Trade(_) | MarketEventRef::Mark(_) => None,
        };
        if let Some((top, ticker)) = compared {
            compare(&checks.instrument, top, ticker, inspection);
        }
    }
}

/// A book's top and the ticker of the same update id.
type Pair = ((Level, Level), BookTicker);

impl SymbolChecks {
    /// The id that a diff had to follow and the one it follows, if they differ. What is older than the chain is a repetition.
    fn follow(&mut self, update: &DepthUpdate) -> Option<(u64, u64)> {
        let Some(last) = self.chain.filter(|last| update.final_id > *last) else {
            self.chain.get_or_insert(update.final_id);
            return None;
        };
        self.chain = Some(update.final_id);
        match update.previous_id {
            Some(previous) => (previous != last).then_some((last, previous)),
            None => (update.first_id > last + 1).then_some((last, update.first_id - 1)),
        }
    }

    fn diff(&mut self, update: &DepthUpdate) -> Option<Pair> {
        let outcome = self.sync.on_diff(update);
        self.moved(outcome)
    }

    fn snapshot(&mut self, snapshot: &DepthSnapshot) -> Option<Pair> {
        let outcome = self.sync.on_snapshot(snapshot);
        self.moved(outcome)
    }

    fn moved(&mut self, outcome: SyncOutcome) -> Option<Pair> {
        if outcome != SyncOutcome::Applied {
            return None;
        }
        let top = self.sync.book().and_then(Book::top)?;
        let id = self.sync.last_id();
        remember(&mut self.tops, id, top);
        self.tickers.get(&id).map(|ticker| (top, *ticker))
    }

    fn ticker(&mut self, ticker: BookTicker) -> Option<Pair> {
        remember(&mut self.tickers, ticker.id, ticker);
        self.tops.get(&ticker.id).map(|top| (*top, ticker))
    }

    fn missing_before(&mut self, candle: Candle) -> u64 {
        let before = self.candle.replace(candle);
        // The close time is the last instant inside the candle, a millisecond or a microsecond before the next one.
        let interval = candle.close_time.since(candle.open_time).as_millis() + 1;
        let apart = before.map_or(0, |before| candle.open_time.since(before.open_time).as_millis());
        u64::try_from((apart / interval).saturating_sub(1)).unwrap_or(u64::MAX)
    }
}

fn remember<T>(map: &mut BTreeMap<u64, T>, id: u64, value: T) {
    map.insert(id, value);
    if map.len() > REMEMBERED_IDS_MAX {
        map.pop_first();
    }
}

fn compare(instrument: &Instrument, (bid, ask): (Level, Level), ticker: BookTicker, inspection: &mut Inspection) {
    inspection.book_ticker_checked += 1;
    if (bid, ask) == (ticker.bid, ticker.ask) {
        return;
    }
    inspection.book_ticker_mismatched += 1;
    if inspection.mismatches.len() < LISTED_MAX {
        let texts = |bid: Level, ask: Level| {
            let price = |level: Level| instrument.price(level.price).to_string();
            let quantity = |level: Level| instrument.quantity(level.quantity).to_string();
            [price(bid), quantity(bid), price(ask), quantity(ask)]
        };
        inspection.mismatches.push(Mismatch {
            symbol: instrument.symbol,
            update_id: ticker.id,
            book: texts(bid, ask),
            ticker: texts(ticker.bid, ticker.ask),
        });
    }
}

fn kind_of(event: &MarketEventRef<'_>) -> &'static str {
    match event {
        MarketEventRef::Depth(_) => "depth",
        MarketEventRef::Snapshot(_) => "snapshot",
        MarketEventRef::Ticker(_) => "book_ticker",
        MarketEventRef::Trade(_) => "trade",
        MarketEventRef::Mark(_) => "mark_price",
        MarketEventRef::Candle(_) => "candle",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn depth(pu: u64, u: u64, bid: &str) -> String {
        format!(
            "1723161255088176367 {{\"stream\":\"btcusdt@depth@0ms\",\"data\":{{\"e\":\"depthUpdate\",\"E\":1723161256299,\"T\":1,\"s\":\"BTCUSDT\",\
             \"U\":{u},\"u\":{u},\"pu\":{pu},\"b\":[[\"100.00\",\"{bid}\"]],\"a\":[[\"100.10\",\"1.000\"]]}}}}\n"
        )
    }

    fn ticker(u: u64, bid: &str) -> String {
        format!(
            "1723161255088176368 {{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"e\":\"bookTicker\",\"u\":{u},\"s\":\"BTCUSDT\",\"b\":\"100.00\",\
             \"B\":\"{bid}\",\"a\":\"100.10\",\"A\":\"1.000\",\"T\":1723161256322,\"E\":1723161256322}}}}\n"
        )
    }

    const SNAPSHOT: &str = "1723161255088176367 {\"lastUpdateId\":5,\"bids\":[[\"99.00\",\"1.000\"]],\"asks\":[]}\n";

    #[test]
    fn tickers_before_and_after_their_diff_are_both_held_against_the_book() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [&depth(4, 6, "1.000"), SNAPSHOT, &ticker(6, "1.000"), &ticker(8, "2.000"), &depth(6, 8, "2.000"), &ticker(9, "3.000")];
        let found = run(&[file(&folder, "btcusdt.log", &lines.map(str::to_owned).concat())], true).unwrap();
        assert_eq!((found.book_ticker_checked, found.book_ticker_mismatched, found.sequence_gaps), (2, 0, 0));
        assert_eq!(found.kinds, BTreeMap::from([("book_ticker", 3), ("depth", 2), ("snapshot", 1)]));
        assert_eq!(found.time_span.unwrap().first, "2024-08-08T23:54:15.088Z");
    }

    #[test]
    fn a_changed_quantity_is_a_mismatch_and_a_lost_diff_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let lines = [&depth(4, 6, "1.000"), SNAPSHOT, &ticker(6, "1.001"), &depth(7, 9, "2.000"), &ticker(9, "2.000")];
        let found = run(&[file(&folder, "btcusdt.log", &lines.map(str::to_owned).concat())], true).unwrap();
        assert_eq!((found.book_ticker_checked, found.book_ticker_mismatched), (1, 1), "after the gap no book stands");
        assert_eq!(found.mismatches[0].book, ["100", "1", "100.1", "1"]);
        assert_eq!(found.mismatches[0].ticker, ["100", "1.001", "100.1", "1"]);
        assert_eq!((found.sequence_gaps, found.gaps[0].expected, found.gaps[0].found), (1, 6, 7));
    }

    #[test]
    fn a_bad_line_is_counted_or_stops_a_strict_run_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let lines = ticker(6, "1.000") + "1723161255088176368 {\"stream\":\n" + &ticker(7, "1.000");
        let path = file(&folder, "btcusdt.log", &lines);
        let found = run(std::slice::from_ref(&path), false).unwrap();
        assert_eq!((found.frames, found.undecodable.count, found.undecodable.lines[0].line), (2, 1, 2));
        let error = run(&[path], true).unwrap_err().to_string();
        assert!(error.contains("btcusdt.log:2: expected one JSON object") && error.ends_with("because of --strict"), "{error}");
    }

    #[test]
    fn missing_candles_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let row = |minute: u64| format!("{},1,1,1,1,1\n", 1_733_007_600_000 + minute * 60_000);
        let rows = [0, 1, 2, 5, 6].map(row).concat();
        let found = run(&[file(&folder, "BTCUSDT-1m.csv", &format!("open_time,open,high,low,close,volume\n{rows}"))], true).unwrap();
        assert_eq!((found.frames, found.candle_gaps), (5, 2));
        assert_eq!(serde_json::to_value(&found).unwrap()["kinds"]["candle"], 5);
    }
}
