//! Markets that the exchange can show: generated, recorded, or a venue's own. A source is asked what happened up to a moment, and says it in
//! frames; it reads no clock, and knows no account and no order.

mod history;
pub mod live;
pub mod recording;
pub mod replay;
pub mod synthetic;

use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::time::Timestamp;

/// A market that runs by itself.
pub trait MarketSource: Send {
    /// The symbols that it shows.
    fn instruments(&self) -> Vec<Instrument>;

    /// Appends what happened since the last call up to `now`, in the order of time. The first call begins with a snapshot of
    /// each book.
    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>);

    /// The book as the diffs told so far make it, at most `limit` levels a side, under the newest id that it is true for. `None`
    /// where no diff was told: the engine knows better then.
    ///
    /// A client drops the diffs that its snapshot claims to have. The engine's own book cannot be that snapshot: touches run ahead
    /// of diffs, and under a touch's id it would claim the deeper levels of a diff that has not come yet.
    fn book(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot>;

    /// The last `limit` closed bars before the last poll, oldest first; fewer where the source has no more.
    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> Vec<Candle>;
}
