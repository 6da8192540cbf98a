//! The limits that risk holds orders against. Every limit is optional here, because "not configured" must be seen: the
//! checks refuse what has no limit (FIA 1.1).

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ids::{AccountId, Symbol};
use super::super::instrument::Instrument;
use super::super::money::{Money, Quantity, Ratio};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    pub count: u32,
    pub period: Duration,
}

/// What one account may do on one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolLimits {
    /// How far from the reference price a limit price or trigger may be: `0.05` is 5 %.
    pub price_collar: Option<Ratio>,
    /// USD, one order at its limit price or, for market orders, at the touch.
    pub max_order_value: Option<Money>,
    pub max_order_quantity: Option<Quantity>,
    /// USD, position plus working orders of the worse side.
    pub max_position_value: Option<Money>,
    /// Within it an order equal to the strategy's last one is refused.
    pub duplicate_window: Option<Duration>,
    /// Market data older than this is no basis for an order.
    pub stale_after: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountLimits {
    pub max_messages: Option<MessageRate>,
    /// USD lost since the start of the UTC day, realised and open.
    pub max_daily_loss: Option<Money>,
    /// The symbols that the account may trade, each with its limits.
    pub symbols: BTreeMap<Symbol, SymbolLimits>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RiskLimits {
    /// USD, exposure over all accounts.
    pub max_capital: Option<Money>,
    pub accounts: BTreeMap<AccountId, AccountLimits>,
    pub instruments: BTreeMap<Symbol, Instrument>,
}

impl RiskLimits {
    #[must_use]
    pub fn account(&self, account: AccountId) -> Option<&AccountLimits> {
        self.accounts.get(&account)
    }

    pub(super) fn message_horizon(&self, account: AccountId) -> Duration {
        let configured = self.account(account).and_then(|limits| limits.max_messages);
        configured.map_or(super::RiskMachine::DEFAULT_MESSAGE_HORIZON, |rate| rate.period)
    }
}
