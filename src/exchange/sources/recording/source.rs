//! One file of a recording: its lines, read ahead by one so that several files can be merged by time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::detect::{Format, Probe, body_of};
use super::lines::Lines;
use super::rows::{Columns, cells, is_sane};
use super::{RecordingError, Undecodable};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{MarketEvent, MarketFrame, MarketFrameRef};
use crate::domain::time::Timestamp;
use crate::venues::binance::market::{Decoder, Other, time_of};
use crate::venues::grid::{Grid, StepError};

pub(super) struct Source {
    path: PathBuf,
    lines: Lines,
    reader: Reader,
    /// The line read ahead: its time, and why it is useless if that is known already.
    ahead: Option<(Timestamp, Result<(), String>)>,
    /// The time of the line before: the place in the order of a line that has none.
    last: Timestamp,
}

enum Reader {
    Raw { decoder: Box<Decoder>, symbol: Option<Symbol> },
    Rows(Box<Rows>),
}

struct Rows {
    columns: Columns,
    symbol: Symbol,
    grid: Grid,
    /// Of candles with only one of their two times.
    interval: Duration,
    /// Rows looked at: only the first may be a header.
    count: u64,
    frame: Option<MarketFrame>,
}

impl Source {
    pub(super) fn open(path: &Path, probe: Probe, instruments: &[Instrument]) -> Result<Self, RecordingError> {
        let lines = Lines::open(path).map_err(|error| RecordingError::Unreadable { file: path.to_owned(), why: error.to_string() })?;
        let reader = match probe.format {
            Format::Raw => {
                let used = instruments.iter().filter(|instrument| probe.observed.contains_key(&instrument.symbol));
                let decoder = Decoder::new(used).map_err(|error| grid_error(instruments, &error))?;
                Reader::Raw { decoder: Box::new(decoder), symbol: probe.symbol }
            }
            Format::Rows(columns) => rows(path, columns, probe.symbol, probe.interval, instruments)?,
        };
        Ok(Self { path: path.to_owned(), lines, reader, ahead: None, last: probe.first_time.unwrap_or(Timestamp::ZERO) })
    }

    /// The time of the next line; reads it if need be.
    pub(super) fn peek(&mut self) -> Option<Timestamp> {
        if self.ahead.is_none() {
            let read = self.lines.advance()?;
            let result = match read {
                Ok(()) => self.reader.look_ahead(self.lines.current(), self.last),
                Err(error) => Err(format!("the file cannot be read further: {error}")),
            };
            let (time, result) = match result {
                Ok(Some(time)) => (time, Ok(())),
                // A header.
                Ok(None) => return self.peek(),
                Err(why) => (self.last, Err(why)),
            };
            self.last = time;
            self.ahead = Some((time, result));
        }
        self.ahead.as_ref().map(|(time, _)| *time)
    }

    /// Decodes the line that was read ahead; [`Source::current`] has the frame then, unless it was something else.
    pub(super) fn take(&mut self) -> Result<Option<Other>, Undecodable> {
        // Invariant: a source is taken from only after `peek` said that it has a line.
        let Some((time, result)) = self.ahead.take() else { return Ok(None) };
        let outcome = result.and_then(|()| match &mut self.reader {
            Reader::Raw { decoder, symbol } => {
                decoder.advance(*symbol, body_of(self.lines.current()).1, time).map_err(|error| error.to_string())
            }
            Reader::Rows(_) => Ok(None),
        });
        outcome.map_err(|why| Undecodable { file: self.path.clone(), line: self.lines.number(), why })
    }

    pub(super) fn checksum(&self) -> (u32, u32) {
        self.lines.checksum()
    }

    pub(super) fn dust(&self) -> u64 {
        match &self.reader {
            Reader::Raw { decoder, .. } => decoder.dust(),
            Reader::Rows(_) => 0,
        }
    }

    pub(super) fn current(&self) -> Option<MarketFrameRef<'_>> {
        match &self.reader {
            Reader::Raw { decoder, .. } => decoder.current(),
            Reader::Rows(rows) => rows.frame.as_ref().map(MarketFrame::borrowed),
        }
    }
}

impl Reader {
    /// The time of a line; rows are read whole, frames are decoded when their turn comes. `None` for a header.
    fn look_ahead(&mut self, line: &[u8], last: Timestamp) -> Result<Option<Timestamp>, String> {
        match self {
            Self::Raw { .. } => frame_time(line, last).map(Some),
            Self::Rows(rows) => rows.read(line),
        }
    }
}

impl Rows {
    fn read(&mut self, line: &[u8]) -> Result<Option<Timestamp>, String> {
        self.count += 1;
        self.frame = None;
        let cells = cells(line)?;
        if self.count == 1 && Columns::from_header(&cells).is_some() {
            return Ok(None);
        }
        let (at, event) = match &self.columns {
            Columns::Trades(columns) => {
                let (at, trade) = columns.read(&cells, self.grid)?;
                (at, MarketEvent::Trade(trade))
            }
            Columns::Candles(columns) => {
                let candle = columns.read(&cells, self.interval)?;
                (candle.close_time, MarketEvent::Candle(candle))
            }
        };
        self.frame = Some(MarketFrame { symbol: self.symbol, venue_time: at, received_at: at, event });
        Ok(Some(at))
    }
}

/// When a raw line was received: by its own word, else when the line before was, or the first that has a time.
fn frame_time(line: &[u8], last: Timestamp) -> Result<Timestamp, String> {
    match told_time(line)? {
        Some(time) => Ok(time),
        // Played at no time, frames would all be played at once, round after round.
        None if last == Timestamp::ZERO => Err("expected a time before the frame or in it (\"E\"), found none here nor before".to_owned()),
        None => Ok(last),
    }
}

/// The number before the frame, else the frame's own event time.
pub(super) fn told_time(line: &[u8]) -> Result<Option<Timestamp>, String> {
    let (local, body) = body_of(line);
    let digits = if local.is_empty() { event_time(body) } else { local };
    match number(digits) {
        Some(number) => time_of(number).filter(|time| is_sane(*time)).map(Some).ok_or_else(|| time_error(digits)),
        None if local.is_empty() => Ok(None),
        None => Err(time_error(local)),
    }
}

fn time_error(digits: &[u8]) -> String {
    let found: String = String::from_utf8_lossy(digits).chars().take(40).collect();
    format!("expected a time between 2009 and 2100 in nano-, micro- or milliseconds, found {found}")
}

/// The digits behind the first key `E`, however the recorder spaces its JSON.
fn event_time(body: &[u8]) -> &[u8] {
    const KEY: &[u8] = b"\"E\"";
    let digits = |at: usize| {
        let value = body[at + KEY.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        Some(&value[..value.iter().take_while(|b| b.is_ascii_digit()).count()])
    };
    memchr::memmem::find_iter(body, KEY).find_map(digits).unwrap_or_default()
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn rows(
    path: &Path,
    columns: Columns,
    symbol: Option<Symbol>,
    interval: Option<Duration>,
    instruments: &[Instrument],
) -> Result<Reader, RecordingError> {
    let found = symbol.and_then(|symbol| instruments.iter().find(|instrument| instrument.symbol == symbol));
    let instrument = found.ok_or_else(|| RecordingError::Symbol { file: path.to_owned() })?;
    let grid = Grid::of(instrument).map_err(|error| RecordingError::Grid { symbol: instrument.symbol, why: error.to_string() })?;
    let needs_interval = match &columns {
        Columns::Candles(columns) => columns.open_time.is_none() || columns.close_time.is_none(),
        Columns::Trades(_) => false,
    };
    if needs_interval && interval.is_none() {
        return Err(RecordingError::Interval { file: path.to_owned() });
    }
    let interval = interval.unwrap_or_default();
    Ok(Reader::Rows(Box::new(Rows { columns, symbol: instrument.symbol, grid, interval, count: 0, frame: None })))
}

fn grid_error(instruments: &[Instrument], error: &StepError) -> RecordingError {
    let bad = instruments.iter().find(|instrument| Grid::of(instrument).is_err()).or(instruments.first());
    match bad {
        Some(instrument) => RecordingError::Grid { symbol: instrument.symbol, why: error.to_string() },
        None => RecordingError::Unreadable { file: PathBuf::new(), why: error.to_string() },
    }
}
