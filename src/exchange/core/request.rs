//! What an order can ask of the exchange beyond the words that the daemon's own machines use: everything that the venue's wire
//! has. Plain data; `admission` says what of it may stand together.

use serde::{Deserialize, Serialize};

use crate::domain::ids::ClientOrderId;
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::domain::order::NewOrder;
use crate::domain::time::Timestamp;

use super::TriggerPrice;

/// A new order with everything that it asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRequest {
    pub order: NewOrder,
    pub extras: Extras,
}

impl From<NewOrder> for OrderRequest {
    fn from(order: NewOrder) -> Self {
        Self { order, extras: Extras::default() }
    }
}

/// What most orders do not ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Extras {
    /// Spot MARKET: spend or earn so much (`quoteOrderQty`); the order's own quantity is zero then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_quantity: Option<Money>,
    /// Spot: how much of the rest is shown (`icebergQty`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iceberg_quantity: Option<Quantity>,
    /// `workingType`; without it, the exchange's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger_by: Option<TriggerPrice>,
    /// `priceProtect`: the trigger does not fire while last and mark price are too far apart.
    pub price_protect: bool,
    /// `closePosition`: closes whatever is open when it triggers; the order's own quantity is zero.
    pub close_position: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailing: Option<Trailing>,
    /// `GTE_GTC`: a conditional order that lasts no longer than the position which it would reduce.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub with_position: bool,
    /// `goodTillDate` of a GTD order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_till: Option<Timestamp>,
    /// Spot's `strategyId` and `strategyType`: the caller's own marks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy_type: Option<i64>,
    /// USD-M's `priceMatch`: where the order's price came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_match: Option<PriceMatch>,
    /// The algo order whose trigger made this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algo: Option<AlgoName>,
}

/// A price taken from the book: so many levels deep, on the other side or on the order's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display, strum::EnumString, strum::IntoStaticStr)]
pub enum PriceMatch {
    #[strum(serialize = "OPPONENT")]
    Opponent,
    #[strum(serialize = "OPPONENT_5")]
    Opponent5,
    #[strum(serialize = "OPPONENT_10")]
    Opponent10,
    #[strum(serialize = "OPPONENT_20")]
    Opponent20,
    #[strum(serialize = "QUEUE")]
    Queue,
    #[strum(serialize = "QUEUE_5")]
    Queue5,
    #[strum(serialize = "QUEUE_10")]
    Queue10,
    #[strum(serialize = "QUEUE_20")]
    Queue20,
}

impl PriceMatch {
    /// Whether it is a price of the other side, and which level's, the best being the first.
    #[must_use]
    pub const fn level(self) -> (bool, usize) {
        match self {
            Self::Opponent => (true, 1),
            Self::Opponent5 => (true, 5),
            Self::Opponent10 => (true, 10),
            Self::Opponent20 => (true, 20),
            Self::Queue => (false, 1),
            Self::Queue5 => (false, 5),
            Self::Queue10 => (false, 10),
            Self::Queue20 => (false, 20),
        }
    }
}

/// A stop that follows the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailing {
    /// Follows from here on (`activatePrice`; spot: its stop price); at once without it.
    pub activation: Option<Price>,
    /// How far behind the best price (`callbackRate` / 100, `trailingDelta` / 10,000).
    pub callback: Ratio,
}

/// A conditional order of the algo service: an id space of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlgoName {
    pub algo_id: u64,
    pub client_algo_id: ClientOrderId,
}
