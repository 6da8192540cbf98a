//! What the exchange shows of an account on the wire: whole orders, trades, and the events of its user stream, rich enough for
//! every field that the venue sends. Plain data and the log that collects it; encoding is the wire's business. Off (in a
//! backtest), the log costs one branch.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{EndReason, Fill, OrderStatus, PositionSide, SelfTradePrevention, TimeInForce, VenueOrder};
use crate::domain::time::Timestamp;

use super::margin::{AlgoView, PositionRisk};
use super::orders::Force;
use super::request::Extras;
use super::spot::{ListView, SpotExecution, SpotView};

/// An order, whole, as any answer or event shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    #[serde(flatten)]
    pub order: VenueOrder,
    #[serde(default)]
    pub time_in_force: TimeInForce,
    #[serde(default)]
    pub self_trade_prevention: SelfTradePrevention,
    /// What its fills are worth in quote currency (`cummulativeQuoteQty`, `cumQuote`).
    #[serde(default)]
    pub value: Money,
    /// What self-trade prevention took from it without a trade.
    #[serde(default)]
    pub prevented: Quantity,
    #[serde(default)]
    pub created_at: Timestamp,
    /// When it came to the book; `None` while it waits for its trigger or for its list.
    #[serde(default)]
    pub working_at: Option<Timestamp>,
    #[serde(default)]
    pub extras: Extras,
    /// The order list that it belongs to (spot).
    #[serde(default)]
    pub list_id: Option<u64>,
    /// Why it ended unfilled, if it did.
    #[serde(default)]
    pub end: Option<EndReason>,
    /// What of the exchange's own doing it is, or ended by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force: Option<Force>,
    /// What only a spot order shows.
    #[serde(default, skip_serializing_if = "SpotView::is_plain")]
    pub spot: SpotView,
}

impl OrderView {
    /// The venue's word for where it stands.
    #[must_use]
    pub fn status(&self) -> &'static str {
        match self.order.status {
            OrderStatus::Filled => "FILLED",
            OrderStatus::Canceled => "CANCELED",
            OrderStatus::Expired if self.end == Some(EndReason::SelfTradePrevented) => "EXPIRED_IN_MATCH",
            OrderStatus::Expired => "EXPIRED",
            OrderStatus::Rejected => "REJECTED",
            OrderStatus::Persisting => "PENDING_NEW",
            _ if self.order.filled.is_zero() => "NEW",
            _ => "PARTIALLY_FILLED",
        }
    }

    /// What one unit cost on average; zero before the first fill.
    #[must_use]
    pub fn average_price(&self) -> Price {
        Price(self.value.0.checked_div(self.order.filled.0).unwrap_or_default())
    }
}

/// An order of which no more is known: one that an older record holds.
impl From<VenueOrder> for OrderView {
    fn from(order: VenueOrder) -> Self {
        Self {
            order,
            time_in_force: TimeInForce::default(),
            self_trade_prevention: SelfTradePrevention::default(),
            value: Money::ZERO,
            prevented: Quantity::ZERO,
            created_at: Timestamp::ZERO,
            working_at: None,
            extras: Extras::default(),
            list_id: None,
            end: None,
            force: None,
            spot: SpotView::default(),
        }
    }
}

/// One execution as the account's trade list shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TradeView {
    #[serde(flatten)]
    pub fill: Fill,
    /// The profit that it realised (USD-M).
    #[serde(default)]
    pub realized: Money,
    #[serde(default)]
    pub list_id: Option<u64>,
    /// The fee as it was taken, where that was not in the settlement currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commission: Option<Commission>,
}

/// A fee in the asset that it was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Commission {
    pub asset: Asset,
    pub amount: Money,
}

impl From<Fill> for TradeView {
    fn from(fill: Fill) -> Self {
        Self { fill, realized: Money::ZERO, list_id: None, commission: None }
    }
}

/// What happened to an order: the venue's execution type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionType {
    New,
    Canceled,
    /// Spot: amended in place.
    Replaced,
    Rejected,
    Trade,
    Expired,
    /// Self-trade prevention ended it.
    TradePrevention,
    /// USD-M: modified.
    Amendment,
    /// USD-M: an execution of a liquidation or of auto-deleveraging.
    Calculated,
}

/// Why balances or positions changed: USD-M's `m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum AccountReason {
    Order,
    FundingFee,
    Deposit,
    Withdraw,
    MarginTransfer,
    AdminDeposit,
    InsuranceClear,
    MarginTypeChange,
}

/// One asset of an account. USD-M: `free` is the wallet balance, `locked` is zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalanceView {
    pub asset: Asset,
    pub free: Money,
    pub locked: Money,
}

/// One margin asset of a USD-M account as the user stream shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalletChange {
    pub asset: Asset,
    pub wallet: Money,
    pub cross_wallet: Money,
    /// The change apart from profit and fees.
    pub change: Money,
}

/// One position as the user stream shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionChange {
    pub symbol: Symbol,
    pub position_side: PositionSide,
    /// Signed.
    pub quantity: Quantity,
    pub entry_price: Price,
    pub break_even_price: Price,
    /// Realised by this position since it was opened, fees apart.
    pub realized: Money,
    pub unrealized: Money,
    pub isolated: bool,
    pub isolated_wallet: Money,
}

/// One event of an account's user stream.
#[derive(Debug, Clone, PartialEq)]
pub enum UserEvent {
    Order {
        execution: ExecutionType,
        order: Arc<OrderView>,
        /// The trade, when the execution is one.
        trade: Option<Box<TradeView>>,
        /// Of a cancel or an amendment: the id under which it was asked for (`c` of executionReport), where it differs.
        request_id: Option<crate::domain::ids::ClientOrderId>,
        /// Spot's own part of it.
        spot: Option<SpotExecution>,
    },
    /// Spot: an order list began, moved on or ended.
    OrderList(Arc<ListView>),
    Account {
        reason: AccountReason,
        /// What changed, complete for each asset and position named.
        balances: Vec<BalanceView>,
        positions: Vec<PositionChange>,
    },
    /// Spot: money moved from or to outside.
    Balance {
        asset: Asset,
        delta: Money,
    },
    /// USD-M: a wallet or a position changed.
    Margin {
        reason: AccountReason,
        /// What changed, complete for each asset and position named.
        wallets: Vec<WalletChange>,
        positions: Vec<PositionChange>,
    },
    Leverage {
        symbol: Symbol,
        leverage: u8,
    },
    MultiAssets {
        on: bool,
    },
    /// USD-M: an algo order began, went off or ended.
    Algo(Arc<AlgoView>),
    /// USD-M: margin runs out.
    MarginCall {
        cross_wallet: Money,
        positions: Vec<PositionRisk>,
    },
}

/// An event with its account and place in the order of all events.
#[derive(Debug, Clone, PartialEq)]
pub struct UserReport {
    pub account: AccountId,
    pub at: Timestamp,
    pub event: UserEvent,
}

/// Collects what the wire tells. Off, it takes nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct ReportLog {
    on: bool,
    reports: Vec<UserReport>,
}

impl ReportLog {
    pub(super) fn new(on: bool) -> Self {
        Self { on, reports: Vec::new() }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// `event` is made only when somebody listens.
    pub(super) fn add(&mut self, at: Timestamp, account: AccountId, event: impl FnOnce() -> UserEvent) {
        if self.on {
            self.reports.push(UserReport { account, at, event: event() });
        }
    }

    pub(super) fn since(&self, from: usize) -> &[UserReport] {
        self.reports.get(from..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.reports.len()
    }

    pub(super) fn drain(&mut self) -> Vec<UserReport> {
        std::mem::take(&mut self.reports)
    }
}
