//! Settings as the domain's machines take them: risk limits by account and symbol, fault budgets by class. A limit that is
//! not configured stays `None`, so that risk refuses.

use std::collections::BTreeMap;

use crate::domain::instrument::Instrument;
use crate::domain::kill_switch::{self, KillPlan};
use crate::domain::ladder::FaultBudgets;
use crate::domain::risk::limits::{AccountLimits, RiskLimits, StrategyLimits, SymbolLimits};

use super::hard::message_rate;
use super::shape::{MarginType, OnKill, Settings, StrategySpec};

impl Settings {
    /// The limits of every enabled account on every given instrument.
    #[must_use]
    pub fn risk_limits(&self, instruments: &[Instrument]) -> RiskLimits {
        let accounts = self.enabled_accounts().map(|account| {
            let own = self.risk.accounts.get(&account.id).copied().unwrap_or_default();
            let rate = own.max_messages.or(self.risk.defaults.max_messages);
            let limits = AccountLimits {
                owner: account.owner,
                max_messages: rate.map(message_rate),
                order_to_trade: Some(self.risk.once.order_to_trade),
                max_daily_loss: own.max_daily_loss.or(self.risk.defaults.max_daily_loss),
                hard: own.hard.over(self.risk.defaults.hard).of_losses(),
                leverage: account.leverage,
                isolated: account.margin_type == Some(MarginType::Isolated),
                symbols: instruments.iter().map(|instrument| (instrument.symbol, self.symbol_limits(account.id, instrument))).collect(),
            };
            (account.id, limits)
        });
        RiskLimits {
            max_capital: self.risk.max_capital,
            max_messages: Some(message_rate(self.risk.once.max_firm_messages)),
            drawdown_halts: self.risk.once.drawdown_halts.into(),
            strategies: self.enabled_strategies().map(|spec| (spec.id, self.strategy_limits(spec, instruments))).collect(),
            brackets: BTreeMap::new(),
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
            period_collar: limits.hard.collar(&self.risk.once),
            abnormal: limits.hard.abnormal(&self.risk.once),
            min_liquidation_distance: limits.hard.min_liquidation_distance,
        }
    }

    fn strategy_limits(&self, spec: &StrategySpec, instruments: &[Instrument]) -> StrategyLimits {
        let own = self.risk.strategies.get(&spec.id).copied().unwrap_or_default();
        let (once, available) = (&self.risk.once, instruments.iter().map(|instrument| instrument.symbol).collect::<Vec<_>>());
        StrategyLimits {
            accounts: spec.accounts.iter().copied().collect(),
            symbols: spec.symbols.resolve(&available).into_iter().collect(),
            max_order_value: own.max_order_value,
            max_messages: Some(message_rate(own.max_messages.unwrap_or(once.max_strategy_messages))),
            max_executions: Some(message_rate(own.max_executions.unwrap_or(once.max_executions))),
            max_repeated_executions: Some(own.max_repeated_executions.unwrap_or(once.max_repeated_executions)),
        }
    }

    #[must_use]
    pub fn fault_budgets(&self) -> FaultBudgets {
        self.supervision.fault_budgets.clone()
    }

    /// What the kill switch does with each enabled account.
    #[must_use]
    pub fn on_kill(&self) -> BTreeMap<crate::domain::ids::AccountId, KillPlan> {
        let on_kill = |account: &super::shape::AccountSpec| match account.on_kill {
            OnKill::Cancel => kill_switch::OnKill::Cancel,
            OnKill::Flatten => kill_switch::OnKill::Flatten,
        };
        let plan = |account: &super::shape::AccountSpec| KillPlan { on_kill: on_kill(account), owner: account.owner };
        self.enabled_accounts().map(|account| (account.id, plan(account))).collect()
    }
}
