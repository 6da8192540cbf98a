//! A strategy's rules around its host: history first, live data after it, and a proposal that nobody took is nothing. It never
//! sends an order: it proposes to risk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::Around;
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::market::MarketUpdate;
use crate::domain::order::{OrderIntent, TraceContext};
use crate::messages::boards::StrategyStanding;
use crate::messages::{ExecutorMessage, RiskMessage, StrategyMessage, UpdateSlot, Wires};
use crate::strategies::{HostInput, StrategyEffect, StrategyHost};

/// A venue's past, and whoever traces and logs.
pub trait Outside {
    /// Asks for closed candles; `WarmUp` or `WarmUpFailed` comes back to this incarnation.
    fn fetch_history(&mut self, symbol: Symbol, interval: Duration, wanted: usize);

    /// A proposal is about to go; the trace goes with it.
    fn proposing(&mut self, _intent: &OrderIntent) -> Option<TraceContext> {
        None
    }
    fn no_history(&mut self, _symbol: Symbol, _why: &str) {}
    fn nobody_there(&mut self) {}
}

/// What a strategy's incarnation is made of.
pub struct Parts {
    pub id: StrategyId,
    pub interval: Duration,
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
    pub host: StrategyHost,
    /// Outlives incarnations, so that no intent id is used twice.
    pub next_intent: Arc<AtomicU32>,
}

pub struct StrategyRules {
    id: StrategyId,
    interval: Duration,
    accounts: Vec<AccountId>,
    host: StrategyHost,
    next_intent: Arc<AtomicU32>,
    woken: Arc<AtomicBool>,
    slots: Vec<Arc<UpdateSlot>>,
    /// Symbols whose history has not come yet. Updates wait in their slots until it is empty.
    cold: BTreeSet<Symbol>,
    effects: Vec<StrategyEffect>,
    standing: StrategyStanding,
}

impl StrategyRules {
    #[must_use]
    pub fn new(parts: Parts, wires: &Wires) -> Self {
        let Parts { id, interval, accounts, symbols, host, next_intent } = parts;
        let woken = Arc::new(AtomicBool::new(false));
        Self {
            id,
            interval,
            accounts,
            host,
            next_intent,
            slots: wires.subscribe(id, &symbols, &woken),
            woken,
            cold: symbols.into_iter().collect(),
            effects: Vec::new(),
            standing: StrategyStanding::default(),
        }
    }

    #[must_use]
    pub fn standing(&self) -> &StrategyStanding {
        &self.standing
    }

    pub fn start(&self, outside: &mut impl Outside) {
        for symbol in &self.cold {
            self.fetch_history(*symbol, outside);
        }
    }

    pub fn message(&mut self, message: StrategyMessage, around: &mut impl Around, outside: &mut impl Outside) {
        match message {
            StrategyMessage::Wake => self.take_updates(around, outside),
            StrategyMessage::Tick => self.tick(around, outside),
            StrategyMessage::WarmUp { symbol, candles } => {
                self.tell(HostInput::WarmUp { symbol, candles: &candles }, around, outside);
                self.warmed(symbol, around, outside);
            }
            StrategyMessage::WarmUpFailed { symbol, why } => {
                outside.no_history(symbol, &why);
                self.warmed(symbol, around, outside);
            }
            StrategyMessage::Hole { symbol } => self.fetch_history(symbol, outside),
            StrategyMessage::Report(report) => self.tell(HostInput::Report(&report), around, outside),
            StrategyMessage::Refused(refusal) => {
                self.standing.refused += 1;
                self.tell(HostInput::Refused(&refusal), around, outside);
            }
            StrategyMessage::Account(view) => self.tell(HostInput::Account(&view), around, outside),
            StrategyMessage::Anew(account) => self.tell(HostInput::Anew(account), around, outside),
            StrategyMessage::Reconciled(reconciliation) => self.tell(HostInput::Reconciled(&reconciliation), around, outside),
        }
    }

    /// History first, live data after: a bar that came too early would make the history look old.
    fn warmed(&mut self, symbol: Symbol, around: &mut impl Around, outside: &mut impl Outside) {
        if !self.cold.remove(&symbol) || !self.cold.is_empty() {
            return;
        }
        self.standing.warm = true;
        // Orders and positions from before: each executor tells them anew, and one that is not there does so when it is.
        for account in &self.accounts {
            drop(around.executor(*account, ExecutorMessage::Republish, None));
        }
        around.ready();
        self.take_updates(around, outside);
    }

    fn take_updates(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        if !self.cold.is_empty() {
            return;
        }
        self.woken.store(false, Ordering::Release);
        for index in 0..self.slots.len() {
            if let Some(update) = self.slots[index].take() {
                self.tell(HostInput::Market(&update), around, outside);
            }
        }
    }

    /// Gives the host a look at the clock though nothing traded.
    fn tick(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        self.take_updates(around, outside);
        let view = self.slots.first().and_then(|slot| around.board().get(slot.symbol));
        if let Some(view) = view.filter(|_| self.cold.is_empty()) {
            self.tell(HostInput::Market(&MarketUpdate { view, closed: Vec::new() }), around, outside);
        }
        around.views().set_strategy(self.id, &self.standing);
    }

    fn tell(&mut self, input: HostInput<'_>, around: &mut impl Around, outside: &mut impl Outside) {
        let mut effects = std::mem::take(&mut self.effects);
        self.host.on(around.now(), input, &mut effects);
        self.next_intent.store(self.host.next_intent(), Ordering::Relaxed);
        for effect in effects.drain(..) {
            self.effect(effect, around, outside);
        }
        self.effects = effects;
    }

    fn effect(&mut self, effect: StrategyEffect, around: &mut impl Around, outside: &mut impl Outside) {
        let sent = match effect {
            StrategyEffect::Propose(mut intent) => {
                self.standing.proposed += 1;
                let trace = outside.proposing(&intent);
                if trace.is_some() {
                    Arc::make_mut(&mut intent).trace = trace;
                }
                around.risk(RiskMessage::Propose(intent), trace).map_err(drop)
            }
            StrategyEffect::Cancel { account, symbol, client_order_id, reason } => {
                around.risk(RiskMessage::Cancel { account, symbol, client_order_id, reason }, None).map_err(drop)
            }
            StrategyEffect::SetLeverage { account, symbol, leverage } => {
                let sent = around.risk(RiskMessage::SetLeverage { account, symbol, leverage }, None);
                if sent.is_err() {
                    // The account may have been told anew before this one was lost.
                    self.host.forget_asked(account);
                }
                sent.map_err(drop)
            }
        };
        if sent.is_err() {
            // The host takes an unanswered proposal back after a while; nothing of it left.
            outside.nobody_there();
        }
    }

    fn fetch_history(&self, symbol: Symbol, outside: &mut impl Outside) {
        outside.fetch_history(symbol, self.interval, self.host.interest().warm_up_bars);
    }
}
