//! What the market source shows, applied: books, touches, prints, marks; and what that does to our resting orders and stops.
//! This is the hot path of a backtest: no allocation and no lookup while none of our orders is touched.

use crate::domain::instrument::Ticks;
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level, MarketEventRef, TradePrint};
use crate::domain::order::{EndReason, Side};
use crate::domain::time::Timestamp;

use super::matching::{Execution, advance};
use super::orders::{QUEUE_UNKNOWN, is_better};
use super::{Exchange, ExchangeOutput, Market};

const SIDES: [Side; 2] = [Side::Buy, Side::Sell];

/// Which of our prices a print fills.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Its own price, behind the queue there, and all better ones.
    At,
    /// Only prices that it went through.
    Through,
}

impl Exchange {
    /// Applies one event of a symbol's market; `symbol` is an index from `symbol_index`. An unknown index changes nothing.
    pub fn market(&mut self, now: Timestamp, symbol: usize, event: MarketEventRef<'_>, out: &mut Vec<ExchangeOutput>) {
        let Some(market) = self.markets.get_mut(symbol) else { return };
        match event {
            MarketEventRef::Ticker(ticker) => {
                if market.apply_ticker(&ticker) {
                    self.cross_both(now, symbol, out);
                }
            }
            MarketEventRef::Trade(print) => self.apply_print(now, symbol, &print, out),
            MarketEventRef::Depth(update) => {
                market.apply_depth(update);
                self.cross_both(now, symbol, out);
            }
            MarketEventRef::Snapshot(snapshot) => {
                market.apply_snapshot(snapshot);
                self.cross_both(now, symbol, out);
            }
            MarketEventRef::Mark(mark) => {
                // Marks are off the grid by less than a tick; positions are valued at the tick below.
                market.mark = market.instrument.ticks(market.instrument.price_down(mark)).or(market.mark);
                market.perpetual.shown = true;
                self.check_margins(now, symbol, out);
                self.fire_triggers(now, symbol, out);
            }
            MarketEventRef::Candle(candle) => self.apply_candle(now, symbol, candle, out),
        }
        if !self.spot.is_quiet() {
            self.settle_spot(now, out);
        }
    }

    fn apply_print(&mut self, now: Timestamp, symbol: usize, print: &TradePrint, out: &mut Vec<ExchangeOutput>) {
        let market = &mut self.markets[symbol];
        market.last = Some(print.price);
        if market.unit.spot {
            market.spot.average.add(now, print.price, print.quantity);
        }
        let hit = if print.buyer_is_maker { Side::Buy } else { Side::Sell };
        let mut left = print.quantity.0;
        if market.orders.best(hit).is_some_and(|(_, price)| !is_better(hit, print.price, price)) {
            left = self.fill_from_print(now, symbol, print, Reach::At, out);
        }
        let market = &mut self.markets[symbol];
        market.external.infer_touch(now, print, left);
        if market.wakes(print.price) || self.is_followed(symbol) {
            self.fire_triggers(now, symbol, out);
        }
    }

    /// Shares a print's quantity among our resting orders that it reached, in price-time order. What they left of it.
    pub(super) fn fill_from_print(
        &mut self,
        now: Timestamp,
        symbol: usize,
        print: &TradePrint,
        reach: Reach,
        out: &mut Vec<ExchangeOutput>,
    ) -> i64 {
        let hit = if print.buyer_is_maker { Side::Buy } else { Side::Sell };
        let reached = |price: Ticks| match reach {
            Reach::At => !is_better(hit, print.price, price),
            Reach::Through => is_better(hit, price, print.price),
        };
        let mut left = print.quantity.0;
        // External quantity at the print's own price that it has traded with so far.
        let mut eaten = 0;
        while left > 0 {
            let market = &self.markets[symbol];
            let Some((slot, price)) = market.orders.best(hit).filter(|(_, price)| reached(*price)) else { break };
            let Some(order) = market.orders.get(slot) else { break };
            let can = self.can_fill(symbol, order);
            if can == 0 {
                self.end_open(now, symbol, slot, EndReason::Expired, out);
                continue;
            }
            if price == print.price {
                let ahead = if order.queue_ahead == QUEUE_UNKNOWN { left } else { (order.queue_ahead - eaten).clamp(0, left) };
                eaten += ahead;
                left -= ahead;
            }
            if left > 0 {
                let lots = can.min(left);
                left -= lots;
                let trade_id = self.next_trade();
                self.fill_resting(now, symbol, slot, Execution { price, lots, trade_id, maker: true }, out);
            }
        }
        if eaten > 0 {
            self.markets[symbol].orders.each_at(hit, print.price, |order| advance(order, eaten));
        }
        left
    }

    fn cross_both(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        for side in SIDES {
            if self.markets[symbol].orders.has_resting(side) {
                self.cross(now, symbol, side, out);
            }
        }
    }

    /// An opposite quote at or beyond our resting price trades with us, at our price.
    fn cross(&mut self, now: Timestamp, symbol: usize, side: Side, out: &mut Vec<ExchangeOutput>) {
        loop {
            let market = &self.markets[symbol];
            let Some((slot, price)) = market.orders.best(side) else { return };
            let reached = |level: &Level| !is_better(side, level.price, price);
            let Some(level) = market.external.best_available(side.opposite()).filter(reached) else { return };
            let Some(order) = market.orders.get(slot) else { return };
            let lots = self.can_fill(symbol, order).min(level.quantity.0);
            if lots == 0 {
                self.end_open(now, symbol, slot, EndReason::Expired, out);
                continue;
            }
            self.markets[symbol].external.consume(side.opposite(), level.price, lots);
            let trade_id = self.next_trade();
            self.fill_resting(now, symbol, slot, Execution { price, lots, trade_id, maker: true }, out);
        }
    }

    /// What a trigger that names no price is held against.
    pub(super) fn trigger_price(&self, symbol: usize) -> Option<Ticks> {
        self.markets[symbol].trigger_prices().of(self.config.trigger_price)
    }

    /// Lets every stop go whose trigger the price has reached.
    pub(super) fn fire_triggers(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        if self.markets[symbol].unit.spot {
            return self.fire_spot(now, symbol, out);
        }
        self.fire_conditionals(now, symbol, out);
    }
}

impl Market {
    #[inline]
    fn apply_ticker(&mut self, ticker: &BookTicker) -> bool {
        if !self.external.set_touch(ticker) {
            return false;
        }
        self.settle_queues();
        true
    }

    fn apply_depth(&mut self, update: &DepthUpdate) {
        self.external.begin_showing();
        for (side, levels) in [(Side::Buy, &update.bids), (Side::Sell, &update.asks)] {
            if self.orders.has_resting(side) {
                for level in levels {
                    if self.external.set_from_diff(update, side, *level) {
                        self.orders.each_at(side, level.price, |order| order.queue_ahead = order.queue_ahead.min(level.quantity.0));
                    }
                }
            } else {
                levels.iter().for_each(|level| {
                    self.external.set_from_diff(update, side, *level);
                });
            }
        }
        self.external.end_diff(update);
        self.settle_queues();
    }

    fn apply_snapshot(&mut self, snapshot: &DepthSnapshot) {
        self.external.reset(snapshot);
        for (side, levels) in [(Side::Buy, &snapshot.bids), (Side::Sell, &snapshot.asks)] {
            let worst = levels.iter().map(|level| level.price).reduce(|a, b| if is_better(side, a, b) { b } else { a });
            let external = &self.external;
            self.orders.each(side, |order| {
                // Beyond the snapshot's last level nothing is known.
                let price = order.limit.unwrap_or_default();
                if worst.is_some_and(|worst| !is_better(side, worst, price)) {
                    order.queue_ahead = order.queue_ahead.min(external.displayed(side, price));
                }
            });
        }
        self.settle_queues();
    }

    /// Nobody is ahead of an order that is better than the best quote, and at the best quote no more than it displays.
    pub(super) fn settle_queues(&mut self) {
        if !self.external.is_anchored() {
            return;
        }
        for side in SIDES {
            if self.orders.has_resting(side)
                && let Some(Level { price, quantity }) = self.external.touch(side)
            {
                self.orders.each_better(side, Some(price), |order| order.queue_ahead = 0);
                self.orders.each_at(side, price, |order| order.queue_ahead = order.queue_ahead.min(quantity.0));
            }
        }
    }
}
