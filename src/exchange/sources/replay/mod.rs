//! Recordings as a market that runs now: played in real time, from the moment the market opens, looped without end. Files are
//! read as a stream and opened again for every round, so memory does not grow with their length or with the rounds.
//!
//! # Time
//! The market plays by the times at which the frames were received; a frame's event time becomes the moment that it is played.
//! Files of nothing but candles keep their place on the clock: a minute ends when a minute ends.
//!
//! # Rounds
//! When the files end, the next round follows after [`SEAM`]. Update and trade ids go on from where they were (`track`). A
//! symbol is silent from the seam until its snapshot of the new round; then one diff leads every book that followed the stream
//! from the old state to the new, and a snapshot says the same. The price jumps there, as it does in the bars.
//!
//! # The past
//! Opening reads the first [`PAST_FRAMES_MAX`] frames for the bars before the start (`past`). A recording that ends within them
//! is played from its beginning; in a longer one they *are* the past, and the first round goes on behind them.

mod past;
#[cfg(test)]
mod tests;
mod track;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot, MarketEvent, MarketFrame};
use crate::domain::time::Timestamp;

use super::MarketSource;
use super::recording::{Options, Recording, RecordingError};
use past::Tile;
pub(super) use track::{Track, bar_of, detail, length_of};

/// From the last frame of a round to the first of the next: what lies between two diffs of a venue.
pub const SEAM: Duration = Duration::from_millis(100);
/// Read when opening: a quarter of an hour of a busy perpetual, half a year of one-minute candles; a third of a second of work.
pub const PAST_FRAMES_MAX: usize = 1 << 18;
/// Read at the beginning of the first round until each book has its snapshot, so that the market opens with all of them.
/// Recorders fetch it within the first seconds; a book that comes later joins later.
const OPENING_FRAMES_MAX: usize = 1 << 14;
/// A machine that slept gets at most this much at once, and the recording goes on from there.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How long to wait before files that cannot be opened any more are tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Why recordings cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    #[error(
        "exchange.files: expected at least one recording, because exchange.market is \"recording\"; found none; name a file or use \"synthetic\""
    )]
    NoFiles,
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("{}: expected market events to play, found none that can be read{}", names(files), at_fault(first.as_deref()))]
    NoFrames { files: Vec<PathBuf>, first: Option<String> },
    #[error(
        "{}: expected the instruments that the market opened with, found others; restore the files, or start again with the new ones",
        names(files)
    )]
    Changed { files: Vec<PathBuf> },
}

/// As they are told to the user.
#[must_use]
pub fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn at_fault(line: Option<&str>) -> String {
    line.map(|line| format!("; the first line at fault: {line}")).unwrap_or_default()
}

/// The files, and how to read them the same way each time.
#[derive(Debug, Clone)]
struct Reel {
    files: Vec<PathBuf>,
    options: Options,
}

impl Reel {
    fn open(&self) -> Result<Recording, ReplayError> {
        Ok(Recording::open(&self.files, &self.options)?)
    }
}

/// The recorded market, playing.
pub struct ReplayMarket {
    reel: Reel,
    recording: Recording,
    warnings: Vec<String>,
    tracks: BTreeMap<Symbol, Track>,
    /// The frame to play next, at its recorded time; none while the files cannot be opened.
    next: Option<MarketFrame>,
    /// Added to a recorded time, in nanoseconds.
    shift: i64,
    /// The shift is a multiple of this: the length of the candles, where there is nothing else; else one.
    grid: i64,
    start: Timestamp,
    played: Timestamp,
    polled: Timestamp,
    opened: bool,
    retry_at: Timestamp,
    unreadable: u64,
    first_unreadable: Option<String>,
}

impl ReplayMarket {
    /// Opens the recordings, reads the past out of them, and makes the market ready to open at `start`.
    ///
    /// # Errors
    /// When there is no file, one cannot be read or told what it is, or nothing in them can be played.
    pub fn open(files: &[PathBuf], start: Timestamp) -> Result<Self, ReplayError> {
        Self::open_with(files, Options::default(), start)
    }

    /// As [`ReplayMarket::open`], told what the files do not say themselves.
    ///
    /// # Errors
    /// As [`ReplayMarket::open`].
    pub fn open_with(files: &[PathBuf], options: Options, start: Timestamp) -> Result<Self, ReplayError> {
        Self::with_past(files, options, start, PAST_FRAMES_MAX)
    }

    fn with_past(files: &[PathBuf], options: Options, start: Timestamp, past_frames_max: usize) -> Result<Self, ReplayError> {
        if files.is_empty() {
            return Err(ReplayError::NoFiles);
        }
        let mut reel = Reel { files: files.to_vec(), options };
        let recording = reel.open()?;
        let warnings = recording.warnings().to_vec();
        let instruments = recording.instruments().to_vec();
        // Each round is read on the grid that the first was read on.
        reel.options.instruments.clone_from(&instruments);
        let mut market = Self {
            reel,
            recording,
            warnings,
            tracks: instruments.into_iter().map(|instrument| (instrument.symbol, Track::new(instrument))).collect(),
            next: None,
            shift: 0,
            grid: 1,
            start,
            played: start,
            polled: start,
            opened: false,
            retry_at: start,
            unreadable: 0,
            first_unreadable: None,
        };
        market.read_past(past_frames_max)?;
        Ok(market)
    }

    /// What was assumed about the files, in words for the user.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Lines that could not be read, over all rounds.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Plays the beginning to nobody, makes the past of it, and stands where the market opens.
    fn read_past(&mut self, frames_max: usize) -> Result<(), ReplayError> {
        let mut tiles: BTreeMap<Symbol, Tile> = BTreeMap::new();
        let (mut span, mut unheard) = (None, Vec::new());
        let mut grid = Some(1);
        for _ in 0..frames_max {
            let Some(frame) = self.read() else { break };
            let at = frame.received_at;
            span = span.map_or(Some((at, at)), |(first, last): (Timestamp, Timestamp)| Some((first, last.max(at))));
            grid = grid.and_then(|grid| Some(candle_nanos(&frame)?.max(grid)));
            if let Some(track) = self.tracks.get_mut(&frame.symbol) {
                tiles.entry(frame.symbol).or_default().add(&frame, &track.instrument);
                track.play(&frame, &mut unheard);
                unheard.clear();
            }
        }
        let (first, last) = span.ok_or_else(|| self.no_frames())?;
        self.grid = grid.unwrap_or(1);
        self.tracks.values_mut().for_each(Track::settle);
        self.next = self.read();
        let whole = self.next.is_none();
        if whole {
            self.rewind()?;
            self.open_books();
        }
        self.play_next_at(self.start);
        let period = self.on_grid(last.0.saturating_sub(first.0).saturating_add(nanos(SEAM)));
        // A recording that begins again now had its last round just before.
        let newest = if whole { self.shift.saturating_sub(period) } else { self.shift };
        for (symbol, tile) in tiles {
            if let Some(track) = self.tracks.get_mut(&symbol) {
                track.history = tile.laid_end_to_end(newest, period);
            }
        }
        Ok(())
    }

    /// Plays to nobody until every book that the recording has a snapshot for has it.
    fn open_books(&mut self) {
        let mut unheard = Vec::new();
        for _ in 0..OPENING_FRAMES_MAX {
            if self.tracks.values().all(|track| !track.waits_for_snapshot()) {
                return;
            }
            let Some(frame) = self.next.take() else { return };
            if let Some(track) = self.tracks.get_mut(&frame.symbol) {
                track.play(&frame, &mut unheard);
                unheard.clear();
            }
            // A recording that is over before its books are there is played from its last frame into the next round.
            let Some(next) = self.read() else {
                self.next = Some(frame);
                return;
            };
            self.next = Some(next);
        }
    }

    /// The next readable frame; `None` at the end of the files.
    fn read(&mut self) -> Option<MarketFrame> {
        for line in self.recording.by_ref() {
            match line {
                Ok(frame) => return Some(frame),
                Err(line) => {
                    self.unreadable += 1;
                    self.first_unreadable.get_or_insert_with(|| line.to_string());
                }
            }
        }
        None
    }

    fn no_frames(&self) -> ReplayError {
        ReplayError::NoFrames { files: self.reel.files.clone(), first: self.first_unreadable.clone() }
    }

    /// Opens the files again and stands before their first frame.
    fn rewind(&mut self) -> Result<(), ReplayError> {
        let recording = self.reel.open()?;
        if recording.instruments() != self.reel.options.instruments {
            return Err(ReplayError::Changed { files: self.reel.files.clone() });
        }
        self.recording = recording;
        self.next = self.read();
        if self.next.is_none() {
            return Err(self.no_frames());
        }
        self.tracks.values_mut().for_each(Track::begin_round);
        Ok(())
    }

    /// Shifts time so that the next frame is played at `at`, or at the first moment after it that keeps candles on the clock.
    fn play_next_at(&mut self, at: Timestamp) {
        if let Some(frame) = &self.next {
            self.shift = self.on_grid(at.0.saturating_sub(frame.received_at.0));
        }
    }

    /// The next multiple of the grid; the number itself where there is none.
    fn on_grid(&self, nanos: i64) -> i64 {
        if self.grid <= 1 { nanos } else { (nanos.div_euclid(self.grid) + 1).saturating_mul(self.grid) }
    }

    fn next_at(&self) -> Option<Timestamp> {
        let frame = self.next.as_ref()?;
        // A recorder's clock may have stepped back; the market's does not.
        Some(Timestamp(frame.received_at.0.saturating_add(self.shift)).max(self.played))
    }

    fn play_next(&mut self, at: Timestamp, out: &mut Vec<MarketFrame>) {
        let Some(mut frame) = self.next.take() else { return };
        (frame.venue_time, frame.received_at) = (at, at);
        if let MarketEvent::Candle(candle) = &mut frame.event {
            candle.open_time.0 = candle.open_time.0.saturating_add(self.shift);
            candle.close_time.0 = candle.close_time.0.saturating_add(self.shift);
        }
        self.played = at;
        if let Some(track) = self.tracks.get_mut(&frame.symbol) {
            track.play(&frame, out);
            track.remember(&frame);
        }
        self.next = self.read();
    }

    /// Begins the next round. Files that are gone leave the market silent, which everybody who watches it notices.
    fn next_round(&mut self, now: Timestamp) {
        if now < self.retry_at {
            return;
        }
        match self.rewind() {
            Ok(()) => self.play_next_at(self.played + SEAM),
            Err(error) => {
                self.next = None;
                self.retry_at = now + RETRY;
                tracing::error!(%error, retry_seconds = RETRY.as_secs(), "recorded market stands still");
            }
        }
    }
}

impl MarketSource for ReplayMarket {
    fn instruments(&self) -> Vec<Instrument> {
        self.tracks.values().map(|track| track.instrument.clone()).collect()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        if !self.opened {
            self.opened = true;
            out.extend(self.tracks.values().filter_map(|track| track.snapshot(self.start)));
        }
        loop {
            if self.next.is_none() {
                self.next_round(now);
            }
            let Some(mut at) = self.next_at() else { break };
            if at < now - CATCH_UP_MAX {
                self.play_next_at(now - CATCH_UP_MAX);
                at = self.next_at().unwrap_or(at);
            }
            if at > now {
                break;
            }
            self.play_next(at, out);
        }
        self.polled = self.polled.max(now);
    }

    fn book(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot> {
        self.tracks.get(&symbol)?.depth(limit)
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> Vec<Candle> {
        self.tracks.get(&symbol).map_or_else(Vec::new, |track| track.candles(interval, limit, self.polled))
    }
}

/// The length of a candle; `None` for any other frame, of which one is enough to leave the candles' clock.
fn candle_nanos(frame: &MarketFrame) -> Option<i64> {
    match &frame.event {
        MarketEvent::Candle(candle) => Some(track::length_of(candle).saturating_mul(1_000_000_000)),
        _ => None,
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
