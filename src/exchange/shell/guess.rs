//! The quotes of a market that shows none: where there are only trades or candles the engine goes by a touch of its own, and whoever
//! listens to the book is told that one, as a book of one level a side. It is told what the engine goes by, and decides nothing.

use std::collections::BTreeMap;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Lots;
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level, MarketEvent, MarketFrame};
use crate::domain::time::Timestamp;

/// What was told of each symbol last: one entry for each that is listed, at most.
#[derive(Debug, Default)]
pub(super) struct Guesses(BTreeMap<Symbol, BookTicker>);

impl Guesses {
    /// The diff and the touch that say so, if it is another than before. USD-M's diffs name the one before them.
    pub fn follow(&mut self, symbol: Symbol, chained: bool, at: Timestamp, (bid, ask): (Level, Level)) -> Option<[MarketFrame; 2]> {
        let before = self.0.get(&symbol).copied();
        if before.is_some_and(|told| (told.bid, told.ask) == (bid, ask)) {
            return None;
        }
        // Ids go on across restarts: nobody trades a thousand times a millisecond.
        let id = before.map_or_else(|| at.as_millis().max(1).unsigned_abs().saturating_mul(1_000), |told| told.id + 1);
        let side = |before: Option<Level>, now: Level| {
            let gone = before.filter(|before| before.price != now.price).map(|before| Level { quantity: Lots(0), ..before });
            gone.into_iter().chain([now]).collect()
        };
        let update = DepthUpdate {
            first_id: id,
            final_id: id,
            previous_id: chained.then_some(id - 1),
            bids: side(before.map(|told| told.bid), bid),
            asks: side(before.map(|told| told.ask), ask),
        };
        let touch = BookTicker { id, bid, ask };
        self.0.insert(symbol, touch);
        let frame = |event| MarketFrame { symbol, venue_time: at, received_at: at, event };
        Some([frame(MarketEvent::Depth(update)), frame(MarketEvent::Ticker(touch))])
    }

    /// The book as it was told.
    pub fn book(&self, symbol: Symbol) -> Option<DepthSnapshot> {
        let told = self.0.get(&symbol)?;
        Some(DepthSnapshot { last_id: told.id, bids: vec![told.bid], asks: vec![told.ask] })
    }
}
