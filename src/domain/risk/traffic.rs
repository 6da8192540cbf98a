//! How much is sent and how often it trades: messages by account, by strategy and of the whole firm (C06, C21), executed orders
//! by strategy (C08, C21), messages for each trade by account and symbol (C24). It counts; cancels and reducing orders are
//! counted like everything else and refused by nothing here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::ids::{AccountId, StrategyId, Symbol};
use super::super::time::Timestamp;
use super::limits::{MessageRate, OrderToTrade};
use super::window::Window;

/// Messages and trades of one account on one symbol in one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayTraffic {
    pub utc_day: i64,
    pub messages: u64,
    pub trades: u64,
}

impl DayTraffic {
    fn of(&mut self, now: Timestamp) -> &mut Self {
        if self.utc_day < now.utc_day() {
            *self = Self { utc_day: now.utc_day(), ..Self::default() };
        }
        self
    }

    /// Whether one more message would be one too many; a day without a trade counts as one with one.
    pub(super) fn is_over(&self, now: Timestamp, limit: OrderToTrade) -> bool {
        let today = Self { ..*self }.of(now).messages + 1;
        let trades = if self.utc_day == now.utc_day() { self.trades.max(1) } else { 1 };
        today > u64::from(limit.free_messages) && today > trades.saturating_mul(u64::from(limit.max_ratio))
    }
}

#[derive(Debug, Default)]
pub(super) struct OfStrategy {
    messages: Window,
    executions: Window,
    /// Executed orders since a person last resumed it.
    pub(super) executed: u64,
    /// Its disabling was told and is not in force yet.
    pub(super) told: bool,
}

/// Everything that is counted by more than an account.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    firm: Window,
    strategies: BTreeMap<StrategyId, OfStrategy>,
    days: BTreeMap<(AccountId, Symbol), DayTraffic>,
}

impl Traffic {
    pub(super) fn message(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, firm: Duration) {
        self.firm.note(now, firm);
        self.days.entry((account, symbol)).or_default().of(now).messages += 1;
    }

    pub(super) fn message_of(&mut self, now: Timestamp, strategy: StrategyId, horizon: Duration) {
        self.strategies.entry(strategy).or_default().messages.note(now, horizon);
    }

    pub(super) fn traded(&mut self, now: Timestamp, account: AccountId, symbol: Symbol) {
        self.days.entry((account, symbol)).or_default().of(now).trades += 1;
    }

    /// An order of the strategy executed for the first time.
    pub(super) fn executed(&mut self, now: Timestamp, strategy: StrategyId, horizon: Duration) {
        let of = self.strategies.entry(strategy).or_default();
        of.executed = of.executed.saturating_add(1);
        of.executions.note(now, horizon);
    }

    pub(super) fn firm_is_full(&self, now: Timestamp, rate: MessageRate) -> bool {
        self.firm.is_full(now, rate)
    }

    pub(super) fn messages_are_full(&self, now: Timestamp, strategy: StrategyId, rate: MessageRate) -> bool {
        rate.count == 0 || self.strategies.get(&strategy).is_some_and(|of| of.messages.is_full(now, rate))
    }

    pub(super) fn executions_are_full(&self, now: Timestamp, strategy: StrategyId, rate: MessageRate) -> bool {
        rate.count == 0 || self.strategies.get(&strategy).is_some_and(|of| of.executions.is_full(now, rate))
    }

    pub(super) fn executions_of(&self, strategy: StrategyId) -> u64 {
        self.strategies.get(&strategy).map_or(0, |of| of.executed)
    }

    pub(super) fn strategy(&mut self, strategy: StrategyId) -> &mut OfStrategy {
        self.strategies.entry(strategy).or_default()
    }

    pub(super) fn day(&self, account: AccountId, symbol: Symbol) -> DayTraffic {
        self.days.get(&(account, symbol)).copied().unwrap_or_default()
    }

    pub(super) fn days(&self) -> impl Iterator<Item = (AccountId, Symbol, DayTraffic)> {
        self.days.iter().map(|((account, symbol), day)| (*account, *symbol, *day))
    }
}
