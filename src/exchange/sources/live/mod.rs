//! A real venue's market as the exchange's own: its public streams are heard as they come, for paper trading at prices of now. The
//! market itself is a queue that a thread of its own fills (`reader`); here it becomes one unbroken market, as a recording does:
//! ids never go back, and after a broken connection one diff leads every book that followed to what is true then.

mod reader;

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketEvent, MarketFrame};
use crate::domain::time::Timestamp;

use super::MarketSource;
use super::replay::{Track, bar_of, detail, length_of};
pub use reader::LiveError;

/// Where the venue is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveVenue {
    pub kind: InstrumentKind,
    /// `https://api.binance.com`
    pub rest: String,
    /// `wss://stream.binance.com:9443`
    pub ws: String,
}

impl LiveVenue {
    /// Binance itself.
    #[must_use]
    pub fn binance(kind: InstrumentKind) -> Self {
        let (rest, ws) = match kind {
            InstrumentKind::Spot => ("https://api.binance.com", "wss://stream.binance.com:9443"),
            InstrumentKind::Perpetual => ("https://fapi.binance.com", "wss://fstream.binance.com"),
        };
        Self { kind, rest: rest.to_owned(), ws: ws.to_owned() }
    }

    #[must_use]
    pub fn aster() -> Self {
        let (rest, ws) = ("https://fapi.asterdex.com".to_owned(), "wss://fstream.asterdex.com".to_owned());
        Self { kind: InstrumentKind::Perpetual, rest, ws }
    }
}

/// What the reader tells.
#[derive(Debug)]
enum Word {
    Frame(MarketFrame),
    /// The connection of these symbols is new: their books are void until a snapshot.
    Broken(Vec<Symbol>),
}

/// A venue's market, live.
pub struct LiveMarket {
    tracks: BTreeMap<Symbol, Track>,
    words: Receiver<Word>,
    opened: bool,
    polled: Timestamp,
}

impl LiveMarket {
    /// Asks the venue for its symbols and their past, and begins to listen, on a thread of its own that ends with the market.
    ///
    /// # Errors
    /// When the venue cannot be asked, or does not list a symbol.
    pub async fn open(venue: &LiveVenue, symbols: &[Symbol], now: Timestamp) -> Result<Self, LiveError> {
        let (instruments, past, words) = reader::open(venue, symbols).await?;
        let tracks = instruments.into_iter().zip(past).map(|(instrument, candles)| {
            let mut track = Track::new(instrument);
            for candle in candles {
                if let Some(bar) = bar_of(&track.instrument, &candle) {
                    track.history.add(&bar, detail(length_of(&candle)));
                }
            }
            (track.instrument.symbol, track)
        });
        Ok(Self { tracks: tracks.collect(), words, opened: false, polled: now })
    }

    fn hear(&mut self, now: Timestamp, word: Word, out: &mut Vec<MarketFrame>) {
        match word {
            Word::Broken(symbols) => {
                for symbol in symbols {
                    if let Some(track) = self.tracks.get_mut(&symbol) {
                        track.begin_round();
                    }
                }
            }
            Word::Frame(mut frame) => {
                // The exchange's clock is the only one that its clients know.
                (frame.venue_time, frame.received_at) = (now, now);
                if let (Some(track), false) = (self.tracks.get_mut(&frame.symbol), matches!(frame.event, MarketEvent::Candle(_))) {
                    track.play(&frame, out);
                    track.remember(&frame);
                }
            }
        }
    }
}

impl MarketSource for LiveMarket {
    fn instruments(&self) -> Vec<Instrument> {
        self.tracks.values().map(|track| track.instrument.clone()).collect()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        if !self.opened {
            self.opened = true;
            out.extend(self.tracks.values().filter_map(|track| track.snapshot(now)));
        }
        while let Ok(word) = self.words.try_recv() {
            self.hear(now, word, out);
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
