//! The state of one symbol's market: book, best prices, last trade, bars, and whether any of it is stale. The machine takes
//! decoded frames and gives conflated updates; strategies and risk see nothing else of the market.

use smallvec::SmallVec;

use super::ids::Symbol;
use super::market_data::Candle;
use super::money::{Price, Quantity};
use super::time::Timestamp;

/// The market of one symbol as a strategy and risk see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarketView {
    pub symbol: Symbol,
    /// The venue's time of the newest frame in it.
    pub at: Timestamp,
    pub bid: Option<(Price, Quantity)>,
    pub ask: Option<(Price, Quantity)>,
    pub last: Option<Price>,
    /// The venue's mark price; where the venue sends none, the last price.
    pub mark: Option<Price>,
    /// A gap in the stream or silence past the limit: nothing may be decided on it.
    pub stale: bool,
    /// Counts the frames that went into it.
    pub sequence: u64,
}

impl MarketView {
    /// Half of best bid plus best ask, where both stand.
    #[must_use]
    pub fn mid(&self) -> Option<Price> {
        let ((bid, _), (ask, _)) = (self.bid?, self.ask?);
        Some(Price((bid.0 + ask.0) / rust_decimal::Decimal::TWO))
    }

    /// What an order is valued at: the mark, else the last trade, else the mid.
    #[must_use]
    pub fn reference(&self) -> Option<Price> {
        self.mark.or(self.last).or_else(|| self.mid())
    }
}

/// A conflated update: the newest view, and every bar that closed since the update before it. Views may be skipped,
/// closed bars never.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketUpdate {
    pub view: MarketView,
    pub closed: SmallVec<[ClosedBar; 1]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedBar {
    pub interval: std::time::Duration,
    pub candle: Candle,
}
