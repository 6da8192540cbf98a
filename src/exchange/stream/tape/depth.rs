//! Diffs of a book at a slower pace: several diffs become one that says the newest of each price, with ids that chain by the
//! venue's rules; and the top of the book beside them.

use std::collections::BTreeMap;

use crate::domain::book::Book;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{DepthSnapshot, DepthUpdate, Level};
use crate::domain::order::Side;

/// Diffs on their way to becoming one.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    first_id: u64,
    final_id: u64,
    previous_id: Option<u64>,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    diffs: usize,
}

impl Gathered {
    pub fn add(&mut self, update: &DepthUpdate) {
        if self.diffs == 0 {
            self.first_id = update.first_id;
            // The chain of the source is the chain of every pace: what stands before the first is what was sent before.
            self.previous_id = update.previous_id;
        }
        self.diffs += 1;
        self.final_id = update.final_id;
        self.bids.extend(update.bids.iter().map(|level| (level.price.0, level.quantity.0)));
        self.asks.extend(update.asks.iter().map(|level| (level.price.0, level.quantity.0)));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.diffs == 0
    }

    /// The one diff; bids from the highest, asks from the lowest.
    pub fn take(&mut self) -> Option<DepthUpdate> {
        if self.is_empty() {
            return None;
        }
        let gathered = std::mem::take(self);
        let level = |(price, lots)| Level { price: Ticks(price), quantity: Lots(lots) };
        Some(DepthUpdate {
            first_id: gathered.first_id,
            final_id: gathered.final_id,
            previous_id: gathered.previous_id,
            bids: gathered.bids.into_iter().rev().map(level).collect(),
            asks: gathered.asks.into_iter().map(level).collect(),
        })
    }
}

/// The ids that a partial book is sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IdRange {
    pub first: u64,
    pub last: u64,
    pub previous: u64,
}

impl IdRange {
    #[must_use]
    pub fn of(update: &DepthUpdate) -> Self {
        let previous = update.previous_id.unwrap_or(update.first_id.saturating_sub(1));
        Self { first: update.first_id, last: update.final_id, previous }
    }

    /// One range over two that follow each other.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self { last: later.last, ..self }
    }
}

/// The best levels of a book.
#[must_use]
pub fn top(book: &Book, levels: usize, last_id: u64) -> DepthSnapshot {
    let side = |side| book.levels(side).take(levels).collect();
    DepthSnapshot { last_id, bids: side(Side::Buy), asks: side(Side::Sell) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::book::{BookSync, SequenceRule, SyncOutcome};

    fn levels() -> impl Strategy<Value = Vec<Level>> {
        prop::collection::vec((1_i64..30, 0_i64..4), 0..6)
            .prop_map(|all| all.into_iter().map(|(price, lots)| Level { price: Ticks(price), quantity: Lots(lots) }).collect())
    }

    proptest! {
        /// However diffs are gathered, whoever follows them has the book that the single diffs make, without a gap, by either
        /// product's rule.
        #[test]
        fn every_pace_leads_to_the_same_book(diffs in prop::collection::vec((levels(), levels(), 1_u64..5, any::<bool>()), 1..40), usdm in any::<bool>()) {
            let rule = if usdm { SequenceRule::UsdM } else { SequenceRule::Spot };
            let start = DepthSnapshot { last_id: 100, bids: vec![], asks: vec![] };
            let (mut single, mut slow) = (BookSync::new(rule), BookSync::new(rule));
            single.on_snapshot(&start);
            slow.on_snapshot(&start);
            let (mut gathered, mut last) = (Gathered::default(), 100);
            for (bids, asks, ids, send) in diffs {
                // USD-M's ids have holes between diffs; spot's have none.
                let first_id = if usdm { last + ids } else { last + 1 };
                let update = DepthUpdate { first_id, final_id: first_id + ids, previous_id: usdm.then_some(last), bids, asks };
                last = update.final_id;
                gathered.add(&update);
                prop_assert_eq!(single.on_diff(&update), SyncOutcome::Applied);
                if send && let Some(one) = gathered.take() {
                    prop_assert_eq!(slow.on_diff(&one), SyncOutcome::Applied);
                }
            }
            if let Some(one) = gathered.take() {
                prop_assert_eq!(slow.on_diff(&one), SyncOutcome::Applied);
            }
            prop_assert_eq!(top(slow.book().unwrap(), 99, last), top(single.book().unwrap(), 99, last));
        }
    }
}
