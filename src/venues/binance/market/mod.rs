//! Binance's market frames to and from the domain: combined-stream frames, bare stream payloads and REST depth snapshots,
//! spot and USD-M alike (a diff with `pu` is USD-M's). Pure and without I/O. A scanner made for Binance's shapes (`fast`)
//! reads what it knows byte for byte; at the first surprise the frame goes to the JSON parser (`json`), which alone decides
//! what an error is. Both give the same answer, which a property test holds.
//!
//! A number off the instrument's grid is an error, with one exception that real books need: where the venue once made its lots
//! larger, orders from before still stand, and levels far from the top have quantities with a part below one lot (spot BTCUSDT has
//! them). An error would lose the diff and with it the book, so of a level the whole lots are taken and the case is counted; no
//! order of today can trade the rest.

mod encode;
mod fast;
mod json;
mod scan;

pub use encode::{Encoder, Premium, write_units};

use std::collections::HashMap;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{BookTicker, Candle, DepthSnapshot, DepthUpdate, MarketEventRef, MarketFrameRef, TradePrint};
use crate::domain::money::Price;
use crate::domain::time::Timestamp;
use crate::venues::grid::{Grid, StepError};

/// Why a frame cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("expected one JSON object, found {found}")]
    Json { found: String },
    #[error("{kind}: expected {field:?} to be {expected}, found {found}")]
    Field { kind: &'static str, field: &'static str, expected: &'static str, found: String },
    #[error("{kind} of {symbol}: expected {field:?} on the grid of {step}, found {found:?}; the instrument's filters are not this data's")]
    OffGrid { kind: &'static str, symbol: Symbol, field: &'static str, step: String, found: String },
    #[error("expected a symbol whose instrument is known, found {found:?}; configure the instrument or leave the stream out")]
    UnknownSymbol { found: String },
}

/// What a text turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    Frame(MarketFrameRef<'a>),
    Other(Other),
}

/// Sound texts that carry no market event for us. They are counted, not errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Other {
    /// A stream kind that Ringfence does not use.
    UnknownStream,
    /// A kline that has not closed.
    OpenCandle,
    /// A USD-M `trade` that was no match in the market (insurance fund, or `NA` with no price).
    NoMatch,
    /// The answer to a SUBSCRIBE.
    Reply,
    /// The server is about to stop: another connection is wanted before it does.
    ServerShutdown,
}

/// One instrument as the decoder needs it.
#[derive(Debug, Clone)]
struct Entry {
    symbol: Symbol,
    grid: Grid,
}

/// Turns texts into frames. Keeps its level buffers, so that decoding allocates nothing after the first large diff.
#[derive(Debug, Clone)]
pub struct Decoder {
    entries: Vec<Entry>,
    index: HashMap<Symbol, usize>,
    /// The instrument of the frame before this one: the first guess for the next.
    recent: usize,
    depth: DepthUpdate,
    snapshot: DepthSnapshot,
    current: Option<Parsed>,
    dust: u64,
}

/// A decoded frame before its buffers are lent out.
#[derive(Debug, Clone, Copy)]
struct Parsed {
    entry: usize,
    /// The venue's own event time, if the frame has one.
    venue_time: Option<Timestamp>,
    received_at: Timestamp,
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// In `Decoder::depth`.
    Depth,
    /// In `Decoder::snapshot`.
    Snapshot,
    Ticker(BookTicker),
    Trade(TradePrint),
    Mark(Price),
    Candle(Candle),
}

impl Decoder {
    /// # Errors
    /// When an instrument's step cannot be a grid.
    pub fn new<'i>(instruments: impl IntoIterator<Item = &'i Instrument>) -> Result<Self, StepError> {
        let mut decoder = Self {
            entries: Vec::new(),
            index: HashMap::new(),
            recent: 0,
            depth: DepthUpdate::default(),
            snapshot: DepthSnapshot::default(),
            current: None,
            dust: 0,
        };
        for instrument in instruments {
            let entry = Entry { symbol: instrument.symbol, grid: Grid::of(instrument)? };
            decoder.index.insert(instrument.symbol, decoder.entries.len());
            decoder.entries.push(entry);
        }
        Ok(decoder)
    }

    /// Decodes one combined-stream frame, bare payload or REST depth snapshot. A payload that names no symbol (a snapshot) is
    /// taken to be of the only instrument, if there is only one.
    ///
    /// # Errors
    /// When the text is no JSON object, a field is missing or of the wrong type, the symbol is unknown, or a number is off
    /// its grid.
    #[inline]
    pub fn decode(&mut self, text: &[u8], received_at: Timestamp) -> Result<Decoded<'_>, DecodeError> {
        let unnamed = (self.entries.len() == 1).then_some(0);
        self.decode_from(unnamed, text, received_at)
    }

    /// As [`Decoder::decode`], for a text that is known to be of `symbol`, such as the answer to a REST depth request.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_for(&mut self, symbol: Symbol, text: &[u8], received_at: Timestamp) -> Result<Decoded<'_>, DecodeError> {
        let unnamed = self.index.get(&symbol).copied();
        self.decode_from(unnamed, text, received_at)
    }

    /// Decodes without lending: `None` when [`Decoder::current`] has a frame now. For callers that look at the frame later.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    #[inline]
    pub fn advance(&mut self, symbol: Option<Symbol>, text: &[u8], received_at: Timestamp) -> Result<Option<Other>, DecodeError> {
        let unnamed = match symbol {
            Some(symbol) => self.index.get(&symbol).copied(),
            None => (self.entries.len() == 1).then_some(0),
        };
        self.advance_from(unnamed, text, received_at)
    }

    /// The frame that was decoded last, unless that was none.
    #[must_use]
    #[inline]
    pub fn current(&self) -> Option<MarketFrameRef<'_>> {
        self.current.as_ref().map(|parsed| self.lend(parsed))
    }

    /// How many levels so far had a part below one lot, which was left out.
    #[must_use]
    pub fn dust(&self) -> u64 {
        self.dust
    }

    #[inline]
    fn decode_from(&mut self, unnamed: Option<usize>, text: &[u8], received_at: Timestamp) -> Result<Decoded<'_>, DecodeError> {
        let other = self.advance_from(unnamed, text, received_at)?;
        Ok(match self.current() {
            Some(frame) => Decoded::Frame(frame),
            None => Decoded::Other(other.unwrap_or(Other::UnknownStream)),
        })
    }

    #[inline]
    fn advance_from(&mut self, unnamed: Option<usize>, text: &[u8], received_at: Timestamp) -> Result<Option<Other>, DecodeError> {
        self.current = None;
        let parsed = match fast::parse(self, unnamed, text, received_at) {
            Some(parsed) => parsed,
            None => match json::parse(self, unnamed, text, received_at)? {
                Ok(parsed) => parsed,
                Err(other) => return Ok(Some(other)),
            },
        };
        self.current = Some(parsed);
        Ok(None)
    }

    #[inline]
    fn lend<'a>(&'a self, parsed: &'a Parsed) -> MarketFrameRef<'a> {
        let event = match &parsed.shape {
            Shape::Depth => MarketEventRef::Depth(&self.depth),
            Shape::Snapshot => MarketEventRef::Snapshot(&self.snapshot),
            Shape::Ticker(ticker) => MarketEventRef::Ticker(*ticker),
            Shape::Trade(trade) => MarketEventRef::Trade(*trade),
            Shape::Mark(price) => MarketEventRef::Mark(*price),
            Shape::Candle(candle) => MarketEventRef::Candle(candle),
        };
        let symbol = self.entries[parsed.entry].symbol;
        let received_at = parsed.received_at;
        MarketFrameRef { symbol, venue_time: parsed.venue_time.unwrap_or(received_at), received_at, event }
    }

    #[inline]
    fn find(&mut self, name: &[u8]) -> Option<usize> {
        if self.entries.get(self.recent).is_some_and(|entry| entry.symbol.as_bytes() == name) {
            return Some(self.recent);
        }
        let symbol = Symbol::new(std::str::from_utf8(name).ok()?).ok()?;
        self.recent = *self.index.get(&symbol)?;
        Some(self.recent)
    }

    /// A partial book stream has the shape of a diff on USD-M, and is whole all the same.
    fn depth_into_snapshot(&mut self) {
        self.snapshot.last_id = self.depth.final_id;
        std::mem::swap(&mut self.snapshot.bids, &mut self.depth.bids);
        std::mem::swap(&mut self.snapshot.asks, &mut self.depth.asks);
    }
}

/// Binance sends milliseconds; microseconds where the client asked for them, and in public spot files since 2025. The
/// magnitudes do not meet: 10^14 ms is the year 5138, 10^14 µs is 1973.
#[must_use]
pub fn time_of(number: u64) -> Option<Timestamp> {
    let number = i64::try_from(number).ok()?;
    let factor = match number {
        ..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.checked_mul(factor).map(Timestamp)
}

/// What a stream's name tells: `btcusdt@depth20@100ms`.
#[derive(Debug, Clone, Copy, Default)]
struct StreamName {
    /// The levels are the whole book as far as it goes, not a diff.
    partial_depth: bool,
}

impl StreamName {
    fn of(name: &[u8]) -> Self {
        let kind = name.iter().position(|b| *b == b'@').map_or(&[][..], |at| &name[at + 1..]);
        Self { partial_depth: kind.strip_prefix(b"depth").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit)) }
    }
}

#[cfg(test)]
mod tests;
