//! How spot writes numbers, and its words for kinds of orders.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::domain::order::{OrderKind, TimeInForce};
use crate::exchange::core::report::OrderView;

/// Decimal places of every number in spot's JSON.
const PLACES: usize = 8;

/// A decimal with all its places, in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padded(pub Decimal);

impl Serialize for Padded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.PLACES$}", self.0))
    }
}

/// `type`.
pub const fn type_of(order: &OrderView) -> &'static str {
    match order.order.kind {
        OrderKind::Market => "MARKET",
        OrderKind::Limit { .. } if matches!(order.time_in_force, TimeInForce::PostOnly) => "LIMIT_MAKER",
        OrderKind::Limit { .. } => "LIMIT",
        OrderKind::StopMarket { .. } => "STOP_LOSS",
        OrderKind::StopLimit { .. } => "STOP_LOSS_LIMIT",
        OrderKind::TakeProfitMarket { .. } => "TAKE_PROFIT",
        OrderKind::TakeProfitLimit { .. } => "TAKE_PROFIT_LIMIT",
    }
}

/// `timeInForce`; a LIMIT_MAKER shows the usual one.
pub const fn time_in_force_of(order: &OrderView) -> &'static str {
    match order.time_in_force {
        TimeInForce::GoodTilCanceled | TimeInForce::PostOnly => "GTC",
        TimeInForce::ImmediateOrCancel => "IOC",
        TimeInForce::FillOrKill => "FOK",
    }
}

/// `trailingDelta`.
pub fn trailing_delta(order: &OrderView) -> Option<u32> {
    let delta = order.extras.trailing?.callback.0 * Decimal::from(10_000);
    u32::try_from(delta.trunc().mantissa()).ok()
}

/// The list that an order is of, −1 for none.
pub fn list_id_of(list: Option<u64>) -> i64 {
    list.and_then(|id| i64::try_from(id).ok()).unwrap_or(-1)
}
