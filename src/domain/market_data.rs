//! Market data after decoding: whole ticks and lots of one symbol. Types only; decoding belongs to `venues`, the book to
//! `book`.

use serde::{Deserialize, Serialize};

use super::ids::Symbol;
use super::instrument::{Lots, Ticks};
use super::money::{Money, Price, Quantity};
use super::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    pub price: Ticks,
    /// Absolute; zero removes the level.
    pub quantity: Lots,
}

/// A diff of the book. `previous_id` is USD-M's `pu`; spot has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DepthUpdate {
    pub first_id: u64,
    pub final_id: u64,
    pub previous_id: Option<u64>,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DepthSnapshot {
    pub last_id: u64,
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

/// Best bid and ask at one update id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookTicker {
    pub id: u64,
    pub bid: Level,
    pub ask: Level,
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TradePrint {
    pub id: u64,
    pub price: Ticks,
    pub quantity: Lots,
    /// True when the seller was the aggressor.
    pub buyer_is_maker: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketEvent {
    Depth(DepthUpdate),
    Snapshot(DepthSnapshot),
    Ticker(BookTicker),
    Trade(TradePrint),
    /// The mark price. It is an index, not an order's price: it has more digits than the grid, so it is no `Ticks`.
    Mark(Price),
    Candle(Candle),
}

/// One decoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketFrame {
    pub symbol: Symbol,
    /// The venue's event time; the receive time where the frame has none (spot bookTicker, snapshots).
    pub venue_time: Timestamp,
    pub received_at: Timestamp,
    pub event: MarketEvent,
}

/// A [`MarketEvent`] whose levels belong to somebody else: what a decoder that reuses its buffers gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketEventRef<'a> {
    Depth(&'a DepthUpdate),
    Snapshot(&'a DepthSnapshot),
    Ticker(BookTicker),
    Trade(TradePrint),
    Mark(Price),
    /// Lent, because a candle is three times as large as all others and rare where they are not.
    Candle(&'a Candle),
}

/// A [`MarketFrame`] that borrows its levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketFrameRef<'a> {
    pub symbol: Symbol,
    pub venue_time: Timestamp,
    pub received_at: Timestamp,
    pub event: MarketEventRef<'a>,
}

impl MarketFrame {
    #[must_use]
    pub fn borrowed(&self) -> MarketFrameRef<'_> {
        let event = match &self.event {
            MarketEvent::Depth(update) => MarketEventRef::Depth(update),
            MarketEvent::Snapshot(snapshot) => MarketEventRef::Snapshot(snapshot),
            MarketEvent::Ticker(ticker) => MarketEventRef::Ticker(*ticker),
            MarketEvent::Trade(trade) => MarketEventRef::Trade(*trade),
            MarketEvent::Mark(price) => MarketEventRef::Mark(*price),
            MarketEvent::Candle(candle) => MarketEventRef::Candle(candle),
        };
        MarketFrameRef { symbol: self.symbol, venue_time: self.venue_time, received_at: self.received_at, event }
    }
}

impl MarketFrameRef<'_> {
    #[must_use]
    pub fn to_owned(self) -> MarketFrame {
        let event = match self.event {
            MarketEventRef::Depth(update) => MarketEvent::Depth(update.clone()),
            MarketEventRef::Snapshot(snapshot) => MarketEvent::Snapshot(snapshot.clone()),
            MarketEventRef::Ticker(ticker) => MarketEvent::Ticker(ticker),
            MarketEventRef::Trade(trade) => MarketEvent::Trade(trade),
            MarketEventRef::Mark(price) => MarketEvent::Mark(price),
            MarketEventRef::Candle(candle) => MarketEvent::Candle(*candle),
        };
        MarketFrame { symbol: self.symbol, venue_time: self.venue_time, received_at: self.received_at, event }
    }
}

/// One bar of trades. `close_time` is the last instant that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candle {
    pub open_time: Timestamp,
    pub close_time: Timestamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: Quantity,
    pub quote_volume: Money,
    pub trades: u32,
}
