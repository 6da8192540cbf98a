//! The limits that risk holds orders against. Every limit is optional here, because "not configured" must be seen: the
//! checks refuse what has no limit (FIA 1.1). Plain data; what a limit means is said by the check that asks it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::ids::{AccountId, OwnerId, StrategyId, Symbol};
use super::super::instrument::Instrument;
use super::super::money::{Money, Quantity, Ratio};
use super::margin::Brackets;

/// So many within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    pub count: u32,
    pub period: Duration,
}

/// How far an order's price may be from every reference price of a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodCollar {
    pub distance: Ratio,
    pub period: Duration,
}

/// When a market counts as abnormal, and how often that may be before the symbol is halted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbnormalMarket {
    /// Best ask less best bid, as a share of the reference.
    pub max_spread: Ratio,
    /// The highest less the lowest reference within `jump_period`, as a share of the lowest.
    pub max_jump: Ratio,
    pub jump_period: Duration,
    /// So many times that a market became abnormal within the period halt the symbol.
    pub halt_after: MessageRate,
}

/// Messages for each trade, from so many messages of a UTC day on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderToTrade {
    pub max_ratio: u32,
    pub free_messages: u32,
}

/// What one account may do on one symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SymbolLimits {
    /// How far from the reference price a limit price or trigger may be: `0.05` is 5 %.
    pub price_collar: Option<Ratio>,
    pub period_collar: Option<PeriodCollar>,
    /// USD, one order at its limit price or, for market orders, at the touch.
    pub max_order_value: Option<Money>,
    pub max_order_quantity: Option<Quantity>,
    /// USD, position plus working orders of the worse side.
    pub max_position_value: Option<Money>,
    /// Within it an order equal to the strategy's last one is refused.
    pub duplicate_window: Option<Duration>,
    /// Market data older than this is no basis for an order.
    pub stale_after: Option<Duration>,
    pub abnormal: Option<AbnormalMarket>,
    /// How far the price must be from liquidation after the order.
    pub min_liquidation_distance: Option<Ratio>,
}

/// What one account may lose, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardLimits {
    /// The share of equity that must stay free of margin after the order.
    pub margin_floor: Option<Ratio>,
    /// The share of equity lost when one order's stop is reached, and when everything's is.
    pub max_risk_per_trade: Option<Ratio>,
    pub max_risk_total: Option<Ratio>,
    /// How far equity may fall from the UTC day's peak, and from its highest ever.
    pub max_drawdown_day: Option<Ratio>,
    pub max_drawdown: Option<Ratio>,
    pub max_consecutive_rejects: Option<u32>,
    pub max_consecutive_losses: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountLimits {
    /// Orders of accounts with one owner never meet.
    pub owner: OwnerId,
    pub max_messages: Option<MessageRate>,
    pub order_to_trade: Option<OrderToTrade>,
    /// USD lost since the start of the UTC day, realised and open.
    pub max_daily_loss: Option<Money>,
    pub hard: HardLimits,
    /// Leverage of every symbol, where the account's settings set one.
    pub leverage: Option<u8>,
    /// Positions are margined by themselves.
    pub isolated: bool,
    /// The symbols that the account may trade, each with its limits.
    pub symbols: BTreeMap<Symbol, SymbolLimits>,
}

/// What one strategy may do, over all its accounts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StrategyLimits {
    pub accounts: BTreeSet<AccountId>,
    pub symbols: BTreeSet<Symbol>,
    pub max_order_value: Option<Money>,
    pub max_messages: Option<MessageRate>,
    pub max_executions: Option<MessageRate>,
    /// Executed orders since a person last resumed it.
    pub max_repeated_executions: Option<u64>,
}

/// What a drawdown or a run of failures halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Halts {
    #[default]
    Account,
    Everything,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RiskLimits {
    /// USD, exposure over all accounts.
    pub max_capital: Option<Money>,
    /// New orders, changes and cancels of all accounts together.
    pub max_messages: Option<MessageRate>,
    pub drawdown_halts: Halts,
    pub accounts: BTreeMap<AccountId, AccountLimits>,
    pub strategies: BTreeMap<StrategyId, StrategyLimits>,
    pub instruments: BTreeMap<Symbol, Instrument>,
    /// What the venue asks as maintenance margin; a symbol without them counts with careful ones.
    pub brackets: BTreeMap<Symbol, Brackets>,
}

impl RiskLimits {
    #[must_use]
    pub fn account(&self, account: AccountId) -> Option<&AccountLimits> {
        self.accounts.get(&account)
    }

    /// How long messages of an account are remembered at least.
    pub(super) fn message_horizon(&self, account: AccountId) -> Duration {
        let configured = self.account(account).and_then(|limits| limits.max_messages);
        configured.map_or(super::RiskMachine::DEFAULT_MESSAGE_HORIZON, |rate| rate.period)
    }
}
