//! What only spot orders and their lists have: plain data, kept with the order, in the record, and shown on the wire.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, ClientOrderId, Symbol};
use crate::domain::instrument::Ticks;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::SelfTradePrevention;
use crate::domain::time::Timestamp;
use crate::exchange::core::Reject;

/// A spot order's own part of an `Order`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotState {
    /// What it has locked, in the asset that it would pay with.
    #[serde(with = "rust_decimal::serde::str")]
    pub held: Decimal,
    /// Lots that self-trade prevention took from it.
    pub prevented: i64,
    /// Its list has not come to it: it stands nowhere (PENDING_NEW).
    pub parked: bool,
    /// When it came to the book.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_at: Option<Timestamp>,
    /// What few orders have; apart, so that the others stay small.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rare: Option<Box<Rare>>,
}

impl SpotState {
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rare {
    pub prevented_match: Option<u64>,
    pub trail: Trail,
    pub amendments: Vec<Amendment>,
}

/// How far a trailing stop has followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trail {
    /// The best price since it began to follow.
    pub best: Option<Ticks>,
    /// Since when it follows.
    pub since: Option<Timestamp>,
}

/// One reduction of an order's quantity in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    pub execution_id: u64,
    pub before: ClientOrderId,
    pub after: ClientOrderId,
    pub quantity_before: Quantity,
    pub quantity_after: Quantity,
    pub at: Timestamp,
}

/// Why an order expired (`eR`, `expiryReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum ExpiryReason {
    /// Its trigger or its list's turn came, and it could not be taken then.
    Rejected,
    ExchangeCanceled,
    /// The other leg of its pair began to work.
    OcoTrigger,
    /// The working order of its list did not fill.
    OtoPhaseOneExpired,
    UnfilledIocQuantityExpired,
    UnfilledFokOrderExpired,
    InsufficientLiquidity,
}

/// A spot order's own part of an `OrderView`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpotView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevented_match: Option<u64>,
    /// Since when a trailing stop follows the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailing_since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub amendments: Vec<Amendment>,
}

impl SpotView {
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A spot order's own part of an execution report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpotExecution {
    /// `I`.
    pub id: u64,
    pub prevention: Option<Prevention>,
    /// Why the order was refused.
    pub refusal: Option<Reject>,
}

/// What self-trade prevention did to one of the two orders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prevention {
    pub match_id: u64,
    pub counter_order: u64,
    pub trade_group: i64,
    /// What this order lost by it (`B`).
    pub quantity: Quantity,
    /// What would have traded (`pl`), and at which price (`pL`).
    pub execution: Quantity,
    pub price: Price,
}

/// Two orders that would have traded with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct PreventedMatch {
    pub id: u64,
    pub symbol: Symbol,
    pub taker: AccountId,
    pub taker_order: u64,
    pub maker: AccountId,
    pub maker_order: u64,
    pub trade_group: i64,
    pub mode: SelfTradePrevention,
    pub price: Price,
    pub taker_prevented: Option<Quantity>,
    pub maker_prevented: Option<Quantity>,
    pub at: Timestamp,
}

impl Prevention {
    /// `pY`.
    #[must_use]
    pub fn value(&self) -> Money {
        self.price * self.execution
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Contingency {
    Oco,
    Oto,
}

/// An order of a list, under the name that it has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLeg {
    pub order_id: u64,
    pub client_order_id: ClientOrderId,
}

/// What a list's event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListProgress {
    /// Placed, or moved on to its pending orders.
    Started,
    /// An order of it has another name.
    Updated,
    Done,
}

impl ListProgress {
    /// `listStatusType`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Started => "EXEC_STARTED",
            Self::Updated => "UPDATED",
            Self::Done => "ALL_DONE",
        }
    }

    /// `listOrderStatus`.
    #[must_use]
    pub const fn status(self) -> &'static str {
        match self {
            Self::Started | Self::Updated => "EXECUTING",
            Self::Done => "ALL_DONE",
        }
    }
}

/// An order list as any answer or event shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListView {
    pub id: u64,
    pub client_id: ClientOrderId,
    pub symbol: Symbol,
    pub contingency: Contingency,
    pub progress: ListProgress,
    pub legs: Vec<ListLeg>,
    pub at: Timestamp,
}
