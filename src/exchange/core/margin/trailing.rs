//! What wakes a conditional order: last or mark price at its trigger, unless the two are too far apart for one that asked to be
//! protected; and a trailing stop's trigger, which follows the best price since it was activated.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::super::orders::{Order, Trigger};
use super::super::{Exchange, Market, Reject, TriggerPrice};
use super::UsdmReject;
use crate::domain::instrument::Ticks;
use crate::domain::money::Price;
use crate::domain::order::Side;

/// How a trailing stop of a perpetual stands. Before it is activated its trigger is the price that activates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The best price since it was activated: the highest for a sale. `None` before.
    pub best: Option<Ticks>,
    /// How far behind the best price it stands.
    #[serde(with = "rust_decimal::serde::str")]
    pub callback: Decimal,
}

/// The prices that triggers are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TriggerPrices {
    pub last: Option<Ticks>,
    pub mark: Option<Ticks>,
    /// Last and mark are further apart than a protected trigger allows.
    pub apart: bool,
}

impl TriggerPrices {
    /// One price for all.
    #[must_use]
    pub const fn at(price: Ticks) -> Self {
        Self { last: Some(price), mark: Some(price), apart: false }
    }

    #[must_use]
    pub const fn of(&self, by: TriggerPrice) -> Option<Ticks> {
        match by {
            TriggerPrice::Last => self.last,
            TriggerPrice::Mark => self.mark,
        }
    }

    /// Whether the order goes off now.
    #[must_use]
    pub fn fire(&self, order: &Order) -> bool {
        let Some(trigger) = order.trigger else { return false };
        let dormant = order.follow.is_some_and(|follow| follow.best.is_none());
        let protected = self.apart && order.extras.as_ref().is_some_and(|extras| extras.price_protect);
        !dormant && !protected && self.of(trigger.by).is_some_and(|price| trigger.is_reached(price))
    }
}

impl Order {
    /// Moves a trailing stop's trigger after the price. Says whether it moved.
    pub(in super::super) fn follow_price(&mut self, prices: &TriggerPrices) -> bool {
        let (Some(mut follow), Some(trigger)) = (self.follow, self.trigger) else { return false };
        let Some(price) = prices.of(trigger.by) else { return false };
        let moves = match (follow.best, self.side) {
            (None, _) => trigger.is_reached(price),
            (Some(best), Side::Sell) => price > best,
            (Some(best), Side::Buy) => price < best,
        };
        if moves {
            follow.best = Some(price);
            self.follow = Some(follow);
            self.trigger = Some(Trigger { at: behind(price, self.side, follow.callback), rising: self.side == Side::Buy, by: trigger.by });
        }
        moves
    }

    /// The next price in the trigger's own direction that would move a trailing stop, and whether it lies above.
    pub(in super::super) fn moves_at(&self) -> Option<(Ticks, bool)> {
        let best = self.follow?.best?;
        Some(if self.side == Side::Sell { (Ticks(best.0 + 1), true) } else { (Ticks(best.0 - 1), false) })
    }
}

/// Where a stop of that side stands when the best price is `best`: a sale below it, a purchase above.
fn behind(best: Ticks, side: Side, callback: Decimal) -> Ticks {
    let (factor, strategy) = match side {
        Side::Sell => (Decimal::ONE - callback, RoundingStrategy::ToNegativeInfinity),
        Side::Buy => (Decimal::ONE + callback, RoundingStrategy::ToPositiveInfinity),
    };
    let at = (Decimal::from(best.0) * factor).round_dp_with_strategy(0, strategy);
    // Invariant: a callback is at most a tenth, so the result fits as its price did.
    Ticks(at.to_i64().unwrap_or(best.0))
}

impl Market {
    /// Whether a trade at this price may set a conditional order off.
    #[inline]
    pub(in super::super) fn wakes(&self, price: Ticks) -> bool {
        // Without a mark price, its triggers go by the last.
        let by_mark = || self.orders.wakes(TriggerPrice::Mark, price) || self.algos.wakes(TriggerPrice::Mark, price);
        self.orders.wakes(TriggerPrice::Last, price) || self.algos.wakes(TriggerPrice::Last, price) || (self.mark.is_none() && by_mark())
    }

    /// The waiting trigger that a move from `from` to `to` meets first, strictly between the two.
    pub(in super::super) fn trigger_between(&self, from: Ticks, to: Ticks) -> Option<Ticks> {
        let met = [self.orders.trigger_between(from, to), self.algos.trigger_between(from, to)].into_iter().flatten();
        if from < to { met.min() } else { met.max() }
    }

    pub(in super::super) fn trigger_prices(&self) -> TriggerPrices {
        let mark = self.mark.or(self.last);
        let apart = self.last.zip(mark).filter(|(last, mark)| last != mark).is_some_and(|(last, mark)| {
            let gap = Decimal::from((last.0 - mark.0).abs());
            gap > self.perpetual.rules.trigger_protect.0 * Decimal::from(mark.0)
        });
        TriggerPrices { last: self.last, mark, apart }
    }
}

impl Exchange {
    /// Sets up what a conditional order waits for: the price that its trigger is held against, and how a trailing stop begins.
    pub(super) fn arm(&self, symbol: usize, order: &mut Order) -> Result<(), Reject> {
        let Some(trigger) = &mut order.trigger else { return Ok(()) };
        let (by, trailing) = match order.extras.as_deref() {
            Some(extras) => (extras.trigger_by.unwrap_or(self.config.trigger_price), extras.trailing),
            None => (self.config.trigger_price, None),
        };
        trigger.by = by;
        let Some(trailing) = trailing else { return Ok(()) };
        let price = self.markets[symbol].trigger_prices().of(by).ok_or(Reject::NoMarket)?;
        order.follow = Some(Follow { best: None, callback: trailing.callback.0 });
        // What activates it lies on the other side of the price than what fires it.
        trigger.rising = order.side == Side::Sell;
        if trailing.activation.is_none() {
            trigger.at = price;
        } else if trigger.is_reached(price) {
            return Err(Reject::WouldTrigger);
        }
        let prices = self.markets[symbol].trigger_prices();
        order.follow_price(&prices);
        Ok(())
    }

    /// A trailing stop's trigger before the engine has one for it: where it is activated, or the price of this moment.
    pub(super) fn first_trigger(&self, symbol: usize, activation: Option<Price>, by: TriggerPrice) -> Result<Price, Reject> {
        let market = &self.markets[symbol];
        match activation {
            Some(price) if !price.is_positive() => Err(UsdmReject::ActivationPrice.into()),
            Some(price) => Ok(price),
            None => market.trigger_prices().of(by).map(|ticks| market.instrument.price(ticks)).ok_or(Reject::NoMarket),
        }
    }
}
