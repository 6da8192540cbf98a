//! The trace of a run: one hash over everything that went in and everything that came of it, in sequence. One changed
//! digit anywhere changes it; wall time is not in it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::market_data::{BookTicker, Level, MarketEventRef};
use crate::domain::time::Timestamp;

/// Bytes gathered before they are hashed: the hash is fastest on long runs of a power of two, and 64 KiB stay in the
/// second-level cache.
const GATHERED: usize = 64 * 1024;
/// A price and a quantity.
const LEVEL_BYTES: usize = 16;

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
    /// One frame as decoded. Every frame begins with its times and its kind, and lists carry their length, so that no two
    /// inputs look alike. `symbol` is the index of a symbol that was traced by name before.
    #[inline]
    pub fn frame(&mut self, symbol: usize, venue_time: Timestamp, received_at: Timestamp, event: MarketEventRef<'_>) {
        let (received, venue) = (received_at.0, venue_time.0);
        let of = |kind: u8| (symbol as i64) << 8 | i64::from(kind);
        match event {
            MarketEventRef::Ticker(BookTicker { id, bid, ask }) => {
                let levels = [bid.price.0, bid.quantity.0, ask.price.0, ask.quantity.0];
                self.numbers([received, venue, of(b'b'), id as i64, levels[0], levels[1], levels[2], levels[3]]);
            }
            MarketEventRef::Trade(trade) => {
                let kind = of(if trade.buyer_is_maker { b'T' } else { b't' });
                self.numbers([received, venue, kind, trade.id as i64, trade.price.0, trade.quantity.0]);
            }
            MarketEventRef::Depth(update) => {
                let previous = update.previous_id.map_or(-1, |id| id as i64);
                self.numbers([received, venue, of(b'd'), update.first_id as i64, update.final_id as i64, previous]);
                self.levels(&update.bids);
                self.levels(&update.asks);
            }
            MarketEventRef::Snapshot(snapshot) => {
                self.numbers([received, venue, of(b's'), snapshot.last_id as i64]);
                self.levels(&snapshot.bids);
                self.levels(&snapshot.asks);
            }
            MarketEventRef::Mark(price) => {
                self.numbers([received, venue, of(b'm')]);
                self.value(&price);
            }
            MarketEventRef::Candle(candle) => {
                self.numbers([received, venue, of(b'c')]);
                self.value(candle);
            }
        }
        if self.gathered.len() >= GATHERED {
            self.flush_whole();
        }
    }

    /// A row, an order, a venue's word: rare, so its JSON is good enough.
    pub fn value(&mut self, value: &impl Serialize) {
        let before = self.gathered.len();
        // Invariant: domain types have string keys and no fallible serialiser; a failure would still change the trace.
        if serde_json::to_writer(&mut self.gathered, value).is_err() {
            self.gathered.push(b'!');
        }
        self.numbers([(self.gathered.len() - before) as i64]);
    }

    /// The hash so far, as hexadecimal.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.hasher.update(&self.gathered);
        let mut text = String::with_capacity(64);
        for byte in self.hasher.finalize().as_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Hashes in pieces of exactly `GATHERED` bytes, of which the hash makes whole subtrees at once.
    #[cold]
    fn flush_whole(&mut self) {
        let whole = self.gathered.len() / GATHERED * GATHERED;
        self.hasher.update(&self.gathered[..whole]);
        self.gathered.drain(..whole);
    }

    #[inline]
    fn numbers<const N: usize>(&mut self, numbers: [i64; N]) {
        self.gathered.extend_from_slice(numbers.map(i64::to_le_bytes).as_flattened());
    }

    fn levels(&mut self, levels: &[Level]) {
        self.numbers([levels.len() as i64]);
        let start = self.gathered.len();
        self.gathered.resize(start + levels.len() * LEVEL_BYTES, 0);
        for (bytes, level) in self.gathered[start..].chunks_exact_mut(LEVEL_BYTES).zip(levels) {
            bytes[..8].copy_from_slice(&level.price.0.to_le_bytes());
            bytes[8..].copy_from_slice(&level.quantity.0.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::{Lots, Ticks};

    fn hash(price: i64) -> String {
        let mut trace = Trace::default();
        let level = Level { price: Ticks(price), quantity: Lots(1) };
        let event = MarketEventRef::Ticker(BookTicker { id: 1, bid: level, ask: level });
        trace.frame(0, Timestamp(1), Timestamp(2), event);
        trace.finish()
    }

    #[test]
    fn one_changed_digit_changes_the_hash_and_nothing_else_does() {
        assert_eq!(hash(100), hash(100));
        assert_ne!(hash(100), hash(101));
    }
}
