//! Numbers and words as USD-M writes them: prices and quantities with the digits of their grid, money with eight. A digit is
//! never lost: a number that has more keeps them. Pure.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::domain::instrument::Instrument;
use crate::domain::money::Ratio;
use crate::domain::order::{EndReason, OrderKind, TimeInForce};
use crate::exchange::core::TriggerPrice;
use crate::exchange::core::margin::AlgoView;
use crate::exchange::core::report::OrderView;

/// Digits behind the point of balances and margins.
pub const MONEY: u32 = 8;
/// Digits of an average price; a finer grid has its own.
const AVERAGE: u32 = 5;

/// A number with at least so many digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed(pub Decimal, pub u32);

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.0.normalize();
        if number.scale() < self.1 {
            number.rescale(self.1);
        }
        fmt::Display::fmt(&number, f)
    }
}

impl Serialize for Fixed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number without needless zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain(pub Decimal);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.normalize())
    }
}

/// Eight digits.
#[must_use]
pub const fn money(amount: Decimal) -> Fixed {
    Fixed(amount, MONEY)
}

/// The digits of a symbol's grid: what its prices and quantities are written with, and the most that a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scales {
    pub price: u32,
    pub quantity: u32,
}

impl Scales {
    #[must_use]
    pub fn of(instrument: &Instrument) -> Self {
        Self { price: instrument.price_step.0.scale(), quantity: instrument.quantity_step.0.normalize().scale() }
    }

    #[must_use]
    pub const fn price(self, price: Decimal) -> Fixed {
        Fixed(price, self.price)
    }

    #[must_use]
    pub const fn quantity(self, quantity: Decimal) -> Fixed {
        Fixed(quantity, self.quantity)
    }

    #[must_use]
    pub fn average(self, price: Decimal) -> Fixed {
        let digits = self.price.max(AVERAGE);
        Fixed(price.round_dp(digits), digits)
    }

    /// What a quantity at a price is worth.
    #[must_use]
    pub const fn worth(self, value: Decimal) -> Fixed {
        Fixed(value, self.price + self.quantity)
    }
}

/// A share as the venue writes callback rates: 1 is one percent.
#[must_use]
pub fn percent(share: Ratio) -> Plain {
    Plain((share.0 * Decimal::ONE_HUNDRED).normalize())
}

/// What a conditional order becomes when it goes off.
#[must_use]
pub const fn actual_type(view: &AlgoView) -> &'static str {
    match (view.actual.is_some(), view.order.order.kind.limit_price().is_some()) {
        (false, _) => "",
        (true, true) => "LIMIT",
        (true, false) => "MARKET",
    }
}

/// The venue's word for an order's type.
#[must_use]
pub const fn type_word(kind: &OrderKind) -> &'static str {
    match kind {
        OrderKind::Market => "MARKET",
        OrderKind::Limit { .. } => "LIMIT",
        OrderKind::StopMarket { .. } => "STOP_MARKET",
        OrderKind::StopLimit { .. } => "STOP",
        OrderKind::TakeProfitMarket { .. } => "TAKE_PROFIT_MARKET",
        OrderKind::TakeProfitLimit { .. } => "TAKE_PROFIT",
    }
}

/// What an order is now, and what it was sent as: one that waited for its trigger is a plain order once that has fired.
#[must_use]
pub fn types(view: &OrderView) -> (&'static str, &'static str) {
    let sent = if view.extras.trailing.is_some() { "TRAILING_STOP_MARKET" } else { type_word(&view.order.kind) };
    let waited = view.order.kind.trigger().is_some() || view.extras.trailing.is_some();
    if !waited || view.working_at.is_none() {
        return (sent, sent);
    }
    (if view.order.kind.limit_price().is_some() { "LIMIT" } else { "MARKET" }, sent)
}

#[must_use]
pub const fn time_in_force(view: &OrderView) -> &'static str {
    match view.time_in_force {
        TimeInForce::GoodTilCanceled if view.extras.good_till.is_some() => "GTD",
        TimeInForce::GoodTilCanceled if view.extras.with_position => "GTE_GTC",
        TimeInForce::GoodTilCanceled => "GTC",
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::FillOrKill => "FOK",
        TimeInForce::PostOnly => "GTX",
    }
}

#[must_use]
pub const fn working_type(trigger_by: Option<TriggerPrice>) -> &'static str {
    match trigger_by {
        Some(TriggerPrice::Mark) => "MARK_PRICE",
        Some(TriggerPrice::Last) | None => "CONTRACT_PRICE",
    }
}

/// The number of the reason for which an order expired.
#[must_use]
pub fn expiry_reason(view: &OrderView) -> &'static str {
    match view.end {
        Some(EndReason::SelfTradePrevented) if view.time_in_force == TimeInForce::ImmediateOrCancel => "3",
        Some(EndReason::SelfTradePrevented) => "1",
        Some(EndReason::Expired) if view.force.is_some() => "5",
        Some(EndReason::Expired) if view.order.kind.limit_price().is_none() => "9",
        Some(EndReason::Expired) if matches!(view.time_in_force, TimeInForce::ImmediateOrCancel | TimeInForce::FillOrKill) => "2",
        // An order whose date has come has no number of its own.
        Some(EndReason::Expired) if view.extras.good_till.is_some_and(|till| till <= view.order.updated_at) => "0",
        Some(EndReason::Expired) if view.order.reduce_only => "4",
        Some(EndReason::Expired | EndReason::Canceled) | None => "0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_of_their_grid_and_lose_none() {
        assert_eq!(Fixed(Decimal::new(5, 0), 3).to_string(), "5.000");
        assert_eq!(Fixed(Decimal::new(50_000, 3), 1).to_string(), "50.0");
        assert_eq!(Fixed(Decimal::new(12_345, 4), 2).to_string(), "1.2345");
        assert_eq!(Fixed(Decimal::ZERO, 8).to_string(), "0.00000000");
        assert_eq!(serde_json::to_string(&Plain(Decimal::new(100, 2))).unwrap(), "\"1\"");
    }
}
