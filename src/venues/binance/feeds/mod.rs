//! What the market feeds decide, as machines: which symbols share a connection (`plan`), how a second connection takes over from the
//! first without a hole or a repetition (`relay`), and when a stream is dead or late though its socket lives (`watch`). Pure: the
//! feed that owns them has the sockets and the clock.

mod plan;
mod relay;
mod watch;

pub use plan::{Plan, plan, streams};
pub use relay::{Relay, Side};
pub use watch::{Late, Watch};

use crate::domain::market_data::MarketEventRef;

/// The streams of a symbol that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Depth,
    Ticker,
    Trade,
    Mark,
    Candle,
}

/// How many lanes there are.
pub const LANES: usize = 5;

impl Lane {
    /// The lane of an event and its place there, which only grows; a snapshot has none, as it is no part of a stream.
    #[must_use]
    pub fn of(event: &MarketEventRef<'_>, venue_nanos: i64) -> Option<(Self, u64)> {
        let place = |nanos: i64| u64::try_from(nanos).unwrap_or(0);
        Some(match event {
            MarketEventRef::Depth(update) => (Self::Depth, update.final_id),
            MarketEventRef::Ticker(ticker) => (Self::Ticker, ticker.id),
            MarketEventRef::Trade(trade) => (Self::Trade, trade.id),
            MarketEventRef::Mark(_) => (Self::Mark, place(venue_nanos)),
            MarketEventRef::Candle(candle) => (Self::Candle, place(candle.open_time.0)),
            MarketEventRef::Snapshot(_) => return None,
        })
    }
}
