//! The trace of a run: one hash over everything that went in and everything that came of it, in sequence. One changed
//! digit anywhere changes it; wall time is not in it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::ids::Symbol;
use crate::domain::market_data::{Level, MarketEventRef};
use crate::domain::time::Timestamp;

/// Bytes gathered before they are hashed: the hash is fastest on long runs, and 64 KiB stays in the second-level cache.
const GATHERED: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub struct Trace {
    hasher: blake3::Hasher,
    gathered: Vec<u8>,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hasher: blake3::Hasher::new(), gathered: Vec::with_capacity(GATHERED + 4096) }
    }
}

impl Trace {
    /// One frame as decoded. Each kind begins with its letter and lists carry their length, so that no two inputs look alike.
    pub fn frame(&mut self, symbol: Symbol, venue_time: Timestamp, received_at: Timestamp, event: MarketEventRef<'_>) {
        self.number(received_at.0);
        self.number(venue_time.0);
        self.text(symbol.as_str());
        match event {
            MarketEventRef::Ticker(ticker) => {
                self.gathered.push(b'b');
                self.number(ticker.id as i64);
                self.level(ticker.bid);
                self.level(ticker.ask);
            }
            MarketEventRef::Trade(trade) => {
                self.gathered.push(b't');
                self.number(trade.id as i64);
                self.level(Level { price: trade.price, quantity: trade.quantity });
                self.gathered.push(u8::from(trade.buyer_is_maker));
            }
            MarketEventRef::Depth(update) => {
                self.gathered.push(b'd');
                self.number(update.first_id as i64);
                self.number(update.final_id as i64);
                self.number(update.previous_id.map_or(-1, |id| id as i64));
                self.levels(&update.bids);
                self.levels(&update.asks);
            }
            MarketEventRef::Snapshot(snapshot) => {
                self.gathered.push(b's');
                self.number(snapshot.last_id as i64);
                self.levels(&snapshot.bids);
                self.levels(&snapshot.asks);
            }
            MarketEventRef::Mark(price) => {
                self.gathered.push(b'm');
                self.value(&price);
            }
            MarketEventRef::Candle(candle) => {
                self.gathered.push(b'c');
                self.value(&candle);
            }
        }
        if self.gathered.len() >= GATHERED {
            self.flush();
        }
    }

    /// A row, an order, a venue's word: rare, so its JSON is good enough.
    pub fn value(&mut self, value: &impl Serialize) {
        let before = self.gathered.len();
        // Invariant: domain types have string keys and no fallible serialiser; a failure would still change the trace.
        if serde_json::to_writer(&mut self.gathered, value).is_err() {
            self.gathered.push(b'!');
        }
        self.number((self.gathered.len() - before) as i64);
    }

    /// The hash so far, as hexadecimal.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.flush();
        let mut text = String::with_capacity(64);
        for byte in self.hasher.finalize().as_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    fn flush(&mut self) {
        self.hasher.update(&self.gathered);
        self.gathered.clear();
    }

    #[inline]
    fn number(&mut self, number: i64) {
        self.gathered.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.gathered.push(text.len() as u8);
        self.gathered.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn level(&mut self, level: Level) {
        self.number(level.price.0);
        self.number(level.quantity.0);
    }

    fn levels(&mut self, levels: &[Level]) {
        self.number(levels.len() as i64);
        for level in levels {
            self.level(*level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::{Lots, Ticks};
    use crate::domain::market_data::BookTicker;

    fn hash(price: i64) -> String {
        let mut trace = Trace::default();
        let level = Level { price: Ticks(price), quantity: Lots(1) };
        let event = MarketEventRef::Ticker(BookTicker { id: 1, bid: level, ask: level });
        trace.frame(Symbol::new("X").unwrap(), Timestamp(1), Timestamp(2), event);
        trace.finish()
    }

    #[test]
    fn one_changed_digit_changes_the_hash_and_nothing_else_does() {
        assert_eq!(hash(100), hash(100));
        assert_ne!(hash(100), hash(101));
    }
}
