//! Settings as the domain's machines take them: risk limits by account and symbol, fault budgets by class. A limit that is
//! not configured stays `None`, so that risk refuses.

use std::collections::BTreeMap;

use crate::domain::instrument::Instrument;
use crate::domain::kill_switch;
use crate::domain::ladder::FaultBudgets;
use crate::domain::risk::limits::{AccountLimits, MessageRate, RiskLimits, SymbolLimits};

use super::shape::{OnKill, Settings};

impl Settings {
    /// The limits of every enabled account on every given instrument.
    #[must_use]
    pub fn risk_limits(&self, instruments: &[Instrument]) -> RiskLimits {
        let accounts = self.enabled_accounts().map(|account| {
            let own = self.risk.accounts.get(&account.id).copied().unwrap_or_default();
            let rate = own.max_messages.or(self.risk.defaults.max_messages);
            let limits = AccountLimits {
                max_messages: rate.map(|rate| MessageRate { count: rate.count, period: rate.period }),
                max_daily_loss: own.max_daily_loss.or(self.risk.defaults.max_daily_loss),
                symbols: instruments.iter().map(|instrument| (instrument.symbol, self.symbol_limits(account.id, instrument))).collect(),
            };
            (account.id, limits)
        });
        RiskLimits {
            max_capital: self.risk.max_capital,
            accounts: accounts.collect(),
            instruments: instruments.iter().map(|instrument| (instrument.symbol, instrument.clone())).collect(),
        }
    }

    fn symbol_limits(&self, account: crate::domain::ids::AccountId, instrument: &Instrument) -> SymbolLimits {
        let limits = self.risk.limits_for(account, instrument.symbol);
        SymbolLimits {
            price_collar: limits.price_collar,
            max_order_value: limits.max_order_value,
            max_order_quantity: limits.max_order_quantity,
            max_position_value: limits.max_position_value,
            duplicate_window: Some(self.risk.duplicate_window),
            stale_after: Some(self.risk.stale_after),
        }
    }

    #[must_use]
    pub fn fault_budgets(&self) -> FaultBudgets {
        self.supervision.fault_budgets.clone()
    }

    /// What the kill switch does with each enabled account.
    #[must_use]
    pub fn on_kill(&self) -> BTreeMap<crate::domain::ids::AccountId, kill_switch::OnKill> {
        let on_kill = |account: &super::shape::AccountSpec| match account.on_kill {
            OnKill::Cancel => kill_switch::OnKill::Cancel,
            OnKill::Flatten => kill_switch::OnKill::Flatten,
        };
        self.enabled_accounts().map(|account| (account.id, on_kill(account))).collect()
    }
}
