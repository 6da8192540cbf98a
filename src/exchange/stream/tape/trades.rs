//! The newest trades of one symbol, and the aggregates that the venue makes of them: trades of one moment with the same price and
//! the same taking side are one.

use std::collections::VecDeque;

use crate::domain::market_data::TradePrint;

/// Five of the largest pages that can be asked for: minutes of a busy symbol, in 200 KB. Older ones a client has heard.
pub const TRADES_KEPT: usize = 5_000;
/// As many aggregates, for the same reason; they reach further back.
pub const AGGREGATES_KEPT: usize = 5_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    pub print: TradePrint,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// Several trades as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate {
    pub id: u64,
    pub print: TradePrint,
    pub first: u64,
    pub last: u64,
    pub at: i64,
}

#[derive(Debug, Clone, Default)]
pub struct Trades {
    all: VecDeque<Trade>,
    aggregates: VecDeque<Aggregate>,
    open: Option<Aggregate>,
    next_id: u64,
}

impl Trades {
    /// Adds a trade; gives the aggregate that it ended. `span` is how many milliseconds one may cover.
    pub fn add(&mut self, at: i64, print: TradePrint, span: i64) -> Option<Aggregate> {
        keep(&mut self.all, Trade { print, at }, TRADES_KEPT);
        if let Some(open) = &mut self.open {
            let same = open.print.price == print.price && open.print.buyer_is_maker == print.buyer_is_maker;
            if same && at - open.at <= span && print.id > open.last {
                open.print.quantity.0 = open.print.quantity.0.saturating_add(print.quantity.0);
                open.last = print.id;
                return None;
            }
        }
        let ended = self.end();
        // Ids of aggregates never come twice, across restarts neither: they begin at the first trade's, and grow more slowly.
        let id = if self.next_id == 0 { print.id } else { self.next_id };
        self.next_id = id + 1;
        self.open = Some(Aggregate { id, print, first: print.id, last: print.id, at });
        ended
    }

    /// Ends the open aggregate if it began so long ago that nothing may join it.
    pub fn end_before(&mut self, now: i64, span: i64) -> Option<Aggregate> {
        self.open.filter(|open| now - open.at > span || span == 0).and_then(|_| self.end())
    }

    fn end(&mut self) -> Option<Aggregate> {
        let ended = self.open.take()?;
        keep(&mut self.aggregates, ended, AGGREGATES_KEPT);
        Some(ended)
    }

    #[must_use]
    pub fn last(&self) -> Option<&Trade> {
        self.all.back()
    }

    /// The newest trades, oldest first.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Trade> {
        self.all.range(self.all.len().saturating_sub(limit)..)
    }

    /// Trades from an id on.
    pub fn starting_at(&self, id: u64, limit: usize) -> impl Iterator<Item = &Trade> {
        self.all.range(self.all.partition_point(|trade| trade.print.id < id)..).take(limit)
    }

    /// Aggregates, those that have not ended included, oldest first.
    pub fn aggregates(&self) -> impl DoubleEndedIterator<Item = &Aggregate> {
        self.aggregates.iter().chain(&self.open)
    }
}

fn keep<T>(all: &mut VecDeque<T>, new: T, kept: usize) {
    if all.len() >= kept {
        all.pop_front();
    }
    all.push_back(new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::{Lots, Ticks};

    fn print(id: u64, price: i64, buyer_is_maker: bool) -> TradePrint {
        TradePrint { id, price: Ticks(price), quantity: Lots(2), buyer_is_maker }
    }

    #[test]
    fn trades_of_one_moment_and_price_are_one_aggregate() {
        let mut trades = Trades::default();
        assert_eq!(trades.add(10, print(7, 100, true), 0), None);
        assert_eq!(trades.add(10, print(8, 100, true), 0), None);
        let first = trades.add(10, print(9, 101, true), 0).unwrap();
        assert_eq!((first.id, first.first, first.last, first.print.quantity.0), (7, 7, 8, 4));
        let second = trades.add(10, print(10, 101, false), 0).unwrap();
        assert_eq!((second.id, second.first, second.last), (8, 9, 9), "the other side is another aggregate");
        assert_eq!(trades.end_before(10, 0).unwrap().id, 9);
        assert_eq!(trades.aggregates().count(), 3);
    }

    #[test]
    fn an_aggregate_covers_its_span_and_no_more() {
        let mut trades = Trades::default();
        trades.add(0, print(1, 100, true), 100);
        assert_eq!(trades.add(100, print(2, 100, true), 100), None);
        assert_eq!(trades.end_before(100, 100), None);
        assert_eq!(trades.add(101, print(3, 100, true), 100).unwrap().last, 2);
        assert_eq!(trades.end_before(202, 100).unwrap().first, 3);
    }

    #[test]
    fn pages_are_found_by_id() {
        let mut trades = Trades::default();
        for id in 0..TRADES_KEPT as u64 + 10 {
            trades.add(id as i64, print(id * 2, 100, true), 0);
        }
        let ids: Vec<u64> = trades.starting_at(101, 2).map(|trade| trade.print.id).collect();
        assert_eq!(ids, [102, 104]);
        assert_eq!(trades.starting_at(0, 1).next().unwrap().print.id, 20, "the oldest have gone");
        assert_eq!(trades.newest(3).count(), 3);
    }
}
