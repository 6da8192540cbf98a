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
    Mark(Ticks),
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
