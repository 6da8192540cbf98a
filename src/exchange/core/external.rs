//! The liquidity of everybody else on one symbol, as the market source shows it: the displayed book, and what of it our own
//! orders have taken already. It answers what can still be taken; it trades nothing.
//!
//! The recorded market does not know that we were there, so what we took would be displayed again and again. Therefore
//! `available = displayed − consumed`. Consumed quantity is forgotten when its level empties, is never more than what is
//! displayed, and new quantity displayed at the level is free to take.

use crate::domain::book::Book;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level, TradePrint};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

use super::inferred::Inferred;
use super::orders::is_better;

/// What our orders took from one displayed level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Consumed {
    price: Ticks,
    quantity: i64,
}

#[derive(Debug, Clone, Default)]
struct ExternalSide {
    /// Few: only levels that we took from and that have not emptied since.
    consumed: Vec<Consumed>,
}

#[derive(Debug, Clone, Default)]
pub struct External {
    book: Book,
    bids: ExternalSide,
    asks: ExternalSide,
    book_id: u64,
    /// The newest touch, while no newer diff of the book has come.
    ticker: Option<BookTicker>,
    /// A touch or a snapshot has been seen: what the book shows as its best is the best.
    anchored: bool,
    /// The source has shown a book, a touch or a candle. Until it does, the touch is inferred from its trades.
    shown: bool,
    inferred: Option<Inferred>,
}

/// A diff as old as the touch says nothing about levels at or better than the touch.
fn is_stale(ticker: Option<&BookTicker>, update_id: u64, side: Side, price: Ticks) -> bool {
    ticker.is_some_and(|ticker| {
        let touch = if side == Side::Buy { ticker.bid.price } else { ticker.ask.price };
        update_id <= ticker.id && !is_better(side, touch, price)
    })
}

impl External {
    fn side(&self, side: Side) -> &ExternalSide {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut ExternalSide {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    /// The best displayed level, whether or not we have consumed it.
    #[must_use]
    pub fn touch(&self, side: Side) -> Option<Level> {
        match side {
            Side::Buy => self.book.best_bid(),
            Side::Sell => self.book.best_ask(),
        }
    }

    #[must_use]
    pub fn displayed(&self, side: Side, price: Ticks) -> i64 {
        self.book.quantity_at(side, price).0
    }

    /// What can still be taken at a price.
    #[must_use]
    pub fn available(&self, side: Side, price: Ticks) -> i64 {
        self.displayed(side, price) - self.consumed(side, price)
    }

    fn consumed(&self, side: Side, price: Ticks) -> i64 {
        self.side(side).consumed.iter().find(|level| level.price == price).map_or(0, |level| level.quantity)
    }

    /// Levels with something left to take, best first.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.book.levels(side).filter_map(move |level| {
            let left = level.quantity.0 - self.consumed(side, level.price);
            (left > 0).then_some(Level { price: level.price, quantity: Lots(left) })
        })
    }

    #[must_use]
    pub fn best_available(&self, side: Side) -> Option<Level> {
        self.levels(side).next()
    }

    /// Takes `quantity` from a level; the caller asked `available` first.
    pub fn consume(&mut self, side: Side, price: Ticks, quantity: i64) {
        if let Some(inferred) = &mut self.inferred {
            inferred.take(side, quantity);
            return self.show_inferred();
        }
        let consumed = &mut self.side_mut(side).consumed;
        match consumed.iter_mut().find(|level| level.price == price) {
            Some(level) => level.quantity += quantity,
            None => consumed.push(Consumed { price, quantity }),
        }
    }

    /// A print of a source that has shown nothing but prints. `lots` of it were nobody's of ours.
    pub fn infer_touch(&mut self, now: Timestamp, print: &TradePrint, lots: i64) {
        if self.shown {
            return;
        }
        self.inferred.get_or_insert_default().print(now, print, lots);
        self.show_inferred();
    }

    fn show_inferred(&mut self) {
        let Some(inferred) = &self.inferred else { return };
        self.book.clear();
        for side in [Side::Buy, Side::Sell] {
            if let Some(level) = inferred.touch(side) {
                self.book.set(side, level.price, level.quantity);
            }
        }
    }

    /// Whether the touch is a guess from trades: nothing is known of queues then.
    #[must_use]
    pub const fn is_inferred(&self) -> bool {
        self.inferred.is_some()
    }

    /// The source shows more than trades: what was inferred goes.
    #[inline]
    pub fn begin_showing(&mut self) {
        self.shown = true;
        if self.inferred.take().is_some() {
            self.book.clear();
        }
    }

    /// Every level as displayed, best first.
    pub fn displayed_levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.book.levels(side)
    }

    #[must_use]
    pub const fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// The update up to which the displayed book is true: a touch that is newer than the last diff is in it too. Were it given
    /// out under the diff's id, that diff would be applied to it again and bring back levels that the touch took away.
    #[must_use]
    pub fn displayed_id(&self) -> u64 {
        self.ticker.map_or(self.book_id, |ticker| ticker.id.max(self.book_id))
    }

    /// Sets one level, unless a newer touch knows better. Says whether it did.
    pub fn set_from_diff(&mut self, update: &DepthUpdate, side: Side, level: Level) -> bool {
        if is_stale(self.ticker.as_ref(), update.final_id, side, level.price) {
            return false;
        }
        self.set(side, level);
        true
    }

    pub fn end_diff(&mut self, update: &DepthUpdate) {
        self.book_id = self.book_id.max(update.final_id);
        if self.ticker.is_some_and(|ticker| ticker.id < update.final_id) {
            self.ticker = None;
        }
    }

    fn set(&mut self, side: Side, level: Level) {
        self.book.set(side, level.price, level.quantity);
        let consumed = &mut self.side_mut(side).consumed;
        if !consumed.is_empty() {
            forget_consumed(consumed, level);
        }
    }

    /// The touch, if it is newer than the book: nothing better than it can stand. Says whether it was.
    pub fn set_touch(&mut self, ticker: &BookTicker) -> bool {
        if ticker.id < self.book_id || self.ticker.is_some_and(|newest| ticker.id < newest.id) {
            return false;
        }
        self.begin_showing();
        self.ticker = Some(*ticker);
        self.move_touch(ticker.bid, ticker.ask);
        true
    }

    /// Makes these the best levels whatever was before.
    pub fn move_touch(&mut self, bid: Level, ask: Level) {
        self.anchored = true;
        for (side, level) in [(Side::Buy, bid), (Side::Sell, ask)] {
            if level.quantity.0 <= 0 {
                continue;
            }
            self.book.prune(side, level.price);
            let consumed = &mut self.side_mut(side).consumed;
            if !consumed.is_empty() {
                consumed.retain(|consumed| !is_better(side, consumed.price, level.price));
            }
            self.set(side, level);
        }
        // A touch is never crossed: what stands at or beyond the other side's best is gone.
        if ask.quantity.0 > 0 {
            self.book.prune(Side::Buy, Ticks(ask.price.0 - 1));
        }
        if bid.quantity.0 > 0 {
            self.book.prune(Side::Sell, Ticks(bid.price.0 + 1));
        }
    }

    /// Replaces the whole book.
    pub fn reset(&mut self, snapshot: &DepthSnapshot) {
        self.begin_showing();
        self.book.apply_snapshot(snapshot);
        self.anchored = true;
        for side in [Side::Buy, Side::Sell] {
            let mut consumed = std::mem::take(&mut self.side_mut(side).consumed);
            consumed.iter_mut().for_each(|level| level.quantity = level.quantity.min(self.displayed(side, level.price)));
            consumed.retain(|level| level.quantity > 0);
            self.side_mut(side).consumed = consumed;
        }
        self.book_id = snapshot.last_id;
        match self.ticker {
            Some(ticker) if ticker.id > snapshot.last_id => self.move_touch(ticker.bid, ticker.ask),
            _ => self.ticker = None,
        }
    }

    /// Empties the book and shows only this touch: a candle has no depth.
    pub fn show_only(&mut self, bid: Level, ask: Level) {
        self.begin_showing();
        self.book.clear();
        self.bids.consumed.clear();
        self.asks.consumed.clear();
        self.ticker = None;
        self.move_touch(bid, ask);
    }
}

#[cold]
fn forget_consumed(consumed: &mut Vec<Consumed>, level: Level) {
    if let Some(at) = consumed.iter().position(|taken| taken.price == level.price) {
        consumed[at].quantity = consumed[at].quantity.min(level.quantity.0);
        if consumed[at].quantity <= 0 {
            consumed.swap_remove(at);
        }
    }
}
