//! The L2 book of one symbol in whole ticks and lots, and the rules by which a stream of diffs keeps it true. Pure: it
//! neither fetches snapshots nor knows a venue's text; whoever drives it does both.

mod ladder;
mod sync;

pub use sync::{BUFFERED_DIFFS_MAX, BookSync, SequenceRule, SyncOutcome, SyncState};

use super::instrument::{Lots, Ticks};
use super::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level};
use super::order::Side;
use ladder::Ladder;

/// Both sides of a book. Quantities are absolute; zero removes a level.
#[derive(Debug, Clone, Default)]
pub struct Book {
    bids: Ladder,
    asks: Ladder,
}

impl Book {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the quantity that stands at a price. `Side::Buy` is the bid side. A quantity of zero or less removes it.
    pub fn set(&mut self, side: Side, price: Ticks, quantity: Lots) {
        match side {
            Side::Buy => self.bids.set(bid_key(price), quantity.0),
            Side::Sell => self.asks.set(ask_key(price), quantity.0),
        }
    }

    #[must_use]
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.best().map(|(key, lots)| Level { price: Ticks(key), quantity: Lots(lots) })
    }

    #[must_use]
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.best().map(|(key, lots)| Level { price: Ticks(-key), quantity: Lots(lots) })
    }

    /// Best bid and ask as a ticker would show them; `None` while a side is empty.
    #[must_use]
    pub fn top(&self) -> Option<(Level, Level)> {
        Some((self.best_bid()?, self.best_ask()?))
    }

    /// Zero where nothing stands.
    #[must_use]
    pub fn quantity_at(&self, side: Side, price: Ticks) -> Lots {
        Lots(match side {
            Side::Buy => self.bids.get(bid_key(price)),
            Side::Sell => self.asks.get(ask_key(price)),
        })
    }

    /// Levels from the best price outward.
    #[must_use]
    pub fn levels(&self, side: Side) -> Levels<'_> {
        match side {
            Side::Buy => Levels { ladder: &self.bids, sign: 1, next: self.bids.best() },
            Side::Sell => Levels { ladder: &self.asks, sign: -1, next: self.asks.best() },
        }
    }

    /// How many prices a side has.
    #[must_use]
    pub fn depth(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.len(),
            Side::Sell => self.asks.len(),
        }
    }

    pub fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    pub fn apply_snapshot(&mut self, snapshot: &DepthSnapshot) {
        self.clear();
        self.apply_levels(&snapshot.bids, &snapshot.asks);
    }

    /// Applies a diff without looking at its ids: [`BookSync`] does that.
    pub fn apply_update(&mut self, update: &DepthUpdate) {
        self.apply_levels(&update.bids, &update.asks);
    }

    /// Makes a newer ticker the top: levels that it shows to be gone are removed, its own are set. A side that the ticker
    /// shows empty (price or quantity zero) is emptied.
    pub fn apply_ticker(&mut self, ticker: &BookTicker) {
        if is_standing(ticker.bid) {
            self.prune(Side::Buy, ticker.bid.price);
            self.bids.set(bid_key(ticker.bid.price), ticker.bid.quantity.0);
        } else {
            self.bids.clear();
        }
        if is_standing(ticker.ask) {
            self.prune(Side::Sell, ticker.ask.price);
            self.asks.set(ask_key(ticker.ask.price), ticker.ask.quantity.0);
        } else {
            self.asks.clear();
        }
    }

    /// Removes what is better than `limit`: bids above it, asks below it.
    pub fn prune(&mut self, side: Side, limit: Ticks) {
        match side {
            Side::Buy => self.bids.prune_above(bid_key(limit)),
            Side::Sell => self.asks.prune_above(ask_key(limit)),
        }
    }

    fn apply_levels(&mut self, bids: &[Level], asks: &[Level]) {
        for level in bids {
            self.bids.set(bid_key(level.price), level.quantity.0);
        }
        for level in asks {
            self.asks.set(ask_key(level.price), level.quantity.0);
        }
    }
}

/// Both ladders keep the best price as the largest key.
const fn bid_key(price: Ticks) -> i64 {
    price.0
}

const fn ask_key(price: Ticks) -> i64 {
    -price.0
}

const fn is_standing(level: Level) -> bool {
    level.price.0 > 0 && level.quantity.0 > 0
}

/// Levels of one side, best first.
#[derive(Debug, Clone)]
pub struct Levels<'a> {
    ladder: &'a Ladder,
    sign: i64,
    next: Option<(i64, i64)>,
}

impl Iterator for Levels<'_> {
    type Item = Level;

    fn next(&mut self) -> Option<Level> {
        let (key, lots) = self.next?;
        self.next = self.ladder.next_below(key);
        Some(Level { price: Ticks(key * self.sign), quantity: Lots(lots) })
    }
}

#[cfg(test)]
pub(crate) mod tests;
