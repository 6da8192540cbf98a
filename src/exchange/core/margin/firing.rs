//! Conditional orders go off: those that wait among an account's orders (as Aster has them, and the in-process path), and those
//! of the algo service.

use super::super::{Exchange, ExchangeOutput, Market, TriggerPrice};
use crate::domain::order::EndReason;
use crate::domain::time::Timestamp;

impl Market {
    /// Whether the price of this moment may set anything off. Two comparisons for each kind of trigger, mostly.
    fn is_woken(&self) -> bool {
        let mark = self.mark.or(self.last);
        let by = |by, price: Option<_>| price.is_some_and(|price| self.orders.wakes(by, price) || self.algos.wakes(by, price));
        by(TriggerPrice::Last, self.last) || by(TriggerPrice::Mark, mark)
    }
}

impl Exchange {
    /// Lets every conditional order go whose trigger the price has reached, the oldest first, wherever the first ones' trades take
    /// the price; those trades may set off more. It ends, as each round takes one away.
    pub(in super::super) fn fire_conditionals(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        while self.markets[symbol].is_woken() {
            let market = &mut self.markets[symbol];
            let prices = market.trigger_prices();
            let changes = &mut self.changes;
            market.orders.follow(&prices, |slot, id| changes.order(symbol, slot, id));
            market.algos.follow(&prices, |slot, id| changes.algo(symbol, slot, id));
            let (orders, algos) = (market.orders.fired(&prices), market.algos.fired(&prices));
            if orders.is_empty() && algos.is_empty() {
                return;
            }
            for order in orders {
                if self.markets[symbol].orders.is_waiting(order) {
                    self.fire_order(now, symbol, order.1, out);
                }
            }
            for algo in algos {
                if self.markets[symbol].algos.is_waiting(algo) {
                    self.fire_algo(now, symbol, algo.1, out);
                }
            }
        }
    }

    fn fire_order(&mut self, now: Timestamp, symbol: usize, slot: u32, out: &mut Vec<ExchangeOutput>) {
        let Some(mut order) = self.withdraw(symbol, slot) else { return };
        order.trigger = None;
        order.updated_at = now;
        if order.extras.as_ref().is_some_and(|extras| extras.close_position) {
            order.quantity = order.filled + self.reducible(symbol, &order);
        }
        match self.check_viable(symbol, &order) {
            Ok(()) => self.execute(now, symbol, order, out),
            Err(_) => self.finish(now, symbol, order, Some(EndReason::Expired), out),
        }
    }
}
