//! Stops in spot's manner: what happens when a trigger is reached, and triggers that follow the price. A trailing stop of a sale
//! fires below the highest price since it began to follow, one of a purchase above the lowest, whether it is a stop or a
//! take-profit; it begins at once, or when its stop price is reached.

use crate::domain::instrument::Ticks;
use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::exchange::core::margin::TriggerPrices;
use crate::exchange::core::orders::{Order, Trigger, is_better};
use crate::exchange::core::{Exchange, ExchangeOutput, TriggerPrice};

use super::admission::Viability;
use super::checks::BASIS_POINTS;
use super::leaving::Ending;
use super::state::{ExpiryReason, Trail};

impl Exchange {
    /// Lets every stop go whose trigger the price has reached, the oldest first, wherever the first ones' trades take the price;
    /// those trades may fire more. It ends, as each round takes one stop away or lets one begin to follow.
    pub(in crate::exchange::core) fn fire_spot(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        while let Some(price) = self.trigger_price(symbol) {
            self.follow(now, symbol, price);
            let fired = self.markets[symbol].orders.fired(&TriggerPrices::at(price));
            if fired.is_empty() {
                return;
            }
            for stop in fired {
                if self.markets[symbol].orders.is_waiting(stop) && !self.begins_to_follow(now, symbol, stop.1, price) {
                    self.fire_stop(now, symbol, stop.1, out);
                }
            }
        }
    }

    /// A stop's trigger was reached: it goes to the book, or expires where it cannot.
    fn fire_stop(&mut self, now: Timestamp, symbol: usize, slot: u32, out: &mut Vec<ExchangeOutput>) {
        self.begin_leg(now, symbol, slot, out);
        let Some(mut order) = self.withdraw_spot(symbol, slot) else { return };
        order.trigger = None;
        order.updated_at = now;
        match self.check_spot(symbol, &order) {
            Ok(Viability::Good) => {
                order.spot.working_at = Some(now);
                self.tell_new(now, symbol, &order);
                self.execute_spot(now, symbol, order, out);
            }
            Ok(Viability::CannotFillWhole) => {
                self.finish_spot(now, symbol, order, Ending::Expired(ExpiryReason::UnfilledFokOrderExpired), out);
            }
            Err(_) => self.finish_spot(now, symbol, order, Ending::Expired(ExpiryReason::Rejected), out),
        }
    }

    /// Whether a price can concern a trailing stop at all.
    #[inline]
    pub(in crate::exchange::core) fn is_followed(&self, symbol: usize) -> bool {
        !self.markets[symbol].spot.trailing.is_empty()
    }

    /// A new trailing stop without a stop price follows from the last price on; without a last price, from the next.
    pub(super) fn begin_to_trail(&self, now: Timestamp, symbol: usize, order: &mut Order) {
        let activates = order.extras.as_ref().and_then(|extras| extras.trailing).is_some_and(|trailing| trailing.activation.is_some());
        order.spot.rare_mut().trail = Trail::default();
        if activates {
            return;
        }
        let best = self.trigger_price(symbol);
        order.spot.rare_mut().trail = Trail { best, since: best.map(|_| now) };
        // What any first price reaches, where there is none yet.
        let anywhere = Trigger { at: Ticks(i64::MIN), rising: true, by: TriggerPrice::Last };
        order.trigger = Some(best.map_or(anywhere, |best| behind(order, best)));
    }

    /// A trailing stop whose stop price is reached waits no longer for that, but for the price to turn.
    fn begins_to_follow(&mut self, now: Timestamp, symbol: usize, slot: u32, price: Ticks) -> bool {
        let market = &mut self.markets[symbol];
        let Some(order) = market.orders.get_mut(slot) else { return false };
        let trails = order.extras.as_ref().is_some_and(|extras| extras.trailing.is_some());
        if !trails || order.spot.rare.as_ref().is_some_and(|rare| rare.trail.best.is_some()) {
            return false;
        }
        order.spot.rare_mut().trail = Trail { best: Some(price), since: Some(now) };
        let (id, trigger) = (order.id, behind(order, price));
        market.orders.retrigger(slot, trigger);
        self.changes.order(symbol, slot, id);
        true
    }

    /// Moves the triggers that follow to the new price, where it is better than their best.
    fn follow(&mut self, _now: Timestamp, symbol: usize, price: Ticks) {
        for n in 0..self.markets[symbol].spot.trailing.len() {
            let market = &mut self.markets[symbol];
            let slot = market.spot.trailing[n];
            let Some(order) = market.orders.get_mut(slot) else { continue };
            let side = order.side;
            let Some(best) = order.spot.rare.as_ref().and_then(|rare| rare.trail.best) else { continue };
            // Low prices are good for a purchase, high ones for a sale.
            if !is_better(side.opposite(), price, best) {
                continue;
            }
            order.spot.rare_mut().trail.best = Some(price);
            let (id, trigger) = (order.id, behind(order, price));
            market.orders.retrigger(slot, trigger);
            self.changes.order(symbol, slot, id);
        }
    }
}

/// Where a trailing stop fires whose best price is this one, on the grid, never nearer than asked for.
fn behind(order: &Order, best: Ticks) -> Trigger {
    let delta = order.extras.as_ref().and_then(|extras| extras.trailing).map_or(0, |trailing| {
        let points = trailing.callback.0 * rust_decimal::Decimal::from(BASIS_POINTS);
        points.trunc().mantissa()
    });
    let whole = i128::from(BASIS_POINTS);
    let scaled = i128::from(best.0) * if order.side == Side::Sell { whole - delta } else { whole + delta };
    let at = if order.side == Side::Sell { scaled.div_euclid(whole) } else { -(-scaled).div_euclid(whole) };
    Trigger { at: Ticks(i64::try_from(at).unwrap_or(i64::MAX)), rising: order.side == Side::Buy, by: TriggerPrice::Last }
}
