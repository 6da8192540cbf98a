//! The words of what an account is worth and has at stake: its margin as the venue shows it, and the highest that its equity was.
//! Types only; `order_manager` keeps them and `risk` judges by them.

use serde::{Deserialize, Serialize};

use super::ids::Symbol;
use super::money::{Money, Price, Quantity};
use super::order::{PositionSide, Side};
use super::time::Timestamp;

/// A position and where the venue would liquidate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liquidation {
    pub symbol: Symbol,
    #[serde(default)]
    pub position_side: PositionSide,
    /// Signed.
    pub quantity: Quantity,
    pub price: Price,
}

/// What a venue says of an account's margin. On spot `available` is what is not locked, and nothing is liquidated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VenueMargin {
    /// When it was heard, by our clock.
    pub at: Timestamp,
    /// Wallet plus open profit.
    pub equity: Money,
    /// What new orders may tie up.
    pub available: Money,
    pub maintenance: Money,
    /// Of the positions that a price would liquidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub liquidations: Vec<Liquidation>,
    /// Of the symbols whose leverage the venue told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leverage: Vec<(Symbol, u8)>,
}

impl VenueMargin {
    /// Where the venue would liquidate what an order of that side would add to; the nearer one of two.
    #[must_use]
    pub fn liquidation_price(&self, symbol: Symbol, side: Side) -> Option<Price> {
        let held = self.liquidations.iter().filter(|held| held.symbol == symbol && held.price.is_positive());
        match side {
            Side::Buy => held.filter(|held| held.quantity.is_positive()).map(|held| held.price).max(),
            Side::Sell => held.filter(|held| held.quantity.is_negative()).map(|held| held.price).min(),
        }
    }
}

/// The highest that an account's equity was: in this UTC day, and ever. What is paid in or out moves both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EquityPeaks {
    pub utc_day: i64,
    pub day: Money,
    pub ever: Money,
}
