//! The pure machine around a strategy: takes what the daemon, the backtest or the simulation tells it, keeps the books,
//! wakes the strategy for what it asked for, and gives its wishes as effects. It has no clock, does no I/O and approves
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{AccountId, Epoch, StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::market::MarketUpdate;
use crate::domain::market_data::Candle;
use crate::domain::order::{AccountView, Fill, OrderReport, Refusal};
use crate::domain::reconcile::{Finding, Reconciliation};
use crate::domain::time::Timestamp;

use super::books::{ANSWER_MAX, Books, Holdings};
use super::desk::{Alarms, Desk, Numbering};
use super::{HostInput, Interest, Recovered, Strategy, StrategyEffect, StrategyInput};

/// One configured strategy.
#[derive(Debug, Clone)]
pub struct HostConfig {
    pub id: StrategyId,
    /// Its place among all proposers; with the epoch it makes intent ids unique.
    pub slot: u16,
    pub epoch: Epoch,
    /// The first intent number to use. A host that replaces another in the same epoch goes on where that one was
    /// ([`StrategyHost::next_intent`]).
    pub first_intent: u32,
    pub accounts: Vec<AccountId>,
    pub instruments: Vec<Instrument>,
    /// Bars of other intervals are not the strategy's.
    pub bar_interval: Duration,
    pub holdings: Holdings,
}

pub struct StrategyHost {
    strategy: Box<dyn Strategy>,
    interest: Interest,
    bar_interval: Duration,
    books: Books,
    numbering: Numbering,
    alarms: Alarms,
    /// Of accounts whose next view has not come.
    reconciled: BTreeMap<AccountId, Found>,
}

/// What reconciliations found of an account, as far as it is this strategy's business.
#[derive(Debug, Default)]
struct Found {
    missed: Vec<Fill>,
    findings: Vec<Finding>,
}

impl StrategyHost {
    #[must_use]
    pub fn new(config: HostConfig, strategy: Box<dyn Strategy>) -> Self {
        Self {
            interest: strategy.interest(),
            strategy,
            bar_interval: config.bar_interval,
            books: Books::new(config.id, &config.accounts, config.instruments, config.holdings),
            numbering: Numbering { strategy: config.id, epoch: config.epoch, slot: config.slot, next: config.first_intent },
            alarms: Alarms::default(),
            reconciled: BTreeMap::new(),
        }
    }

    /// What the strategy wants to hear; whoever feeds the host brings that much history.
    #[must_use]
    pub const fn interest(&self) -> Interest {
        self.interest
    }

    /// The number that the next intent gets. Kept outside, it lets a restarted host go on without a repeated id.
    #[must_use]
    pub const fn next_intent(&self) -> u32 {
        self.numbering.next
    }

    /// What was asked for outside an order's life, a leverage, did not arrive: the strategy's next ask is sent again.
    pub fn forget_asked(&mut self, account: AccountId) {
        self.books.forget_asked(account);
    }

    /// Takes one input; effects are in the order in which they must be carried out.
    pub fn on(&mut self, now: Timestamp, input: HostInput<'_>, effects: &mut Vec<StrategyEffect>) {
        match input {
            HostInput::Market(update) => self.on_market(now, update, effects),
            HostInput::WarmUp { symbol, candles } => self.on_warm_up(now, symbol, candles, effects),
            HostInput::Report(report) => self.on_report(now, report, effects),
            HostInput::Refused(refusal) => self.on_refused(now, refusal, effects),
            HostInput::Account(view) => self.on_account(now, view, effects),
            HostInput::Anew(account) => self.forget_asked(account),
            HostInput::Reconciled(reconciliation) => self.keep(reconciliation),
        }
        if self.alarms.answer.is_some_and(|at| at <= now) {
            self.see_to_unanswered(now, effects);
        }
        if self.alarms.wake.is_some_and(|at| at <= now) {
            self.alarms.wake = None;
            self.tell(now, StrategyInput::Wake, effects);
        }
    }

    /// The hot path: an update that nobody wants costs a look-up, a copy and two comparisons.
    fn on_market(&mut self, now: Timestamp, update: &MarketUpdate, effects: &mut Vec<StrategyEffect>) {
        let symbol = update.view.symbol;
        let Some(market) = self.books.markets.get_mut(&symbol) else { return };
        market.view = Some(update.view);
        let interval = self.bar_interval;
        for bar in update.closed.iter().filter(|bar| bar.interval == interval) {
            self.on_bar(now, symbol, &bar.candle, false, effects);
        }
        if self.interest.market_updates {
            self.tell(now, StrategyInput::Market(&update.view), effects);
        }
    }

    fn on_warm_up(&mut self, now: Timestamp, symbol: Symbol, candles: &[Candle], effects: &mut Vec<StrategyEffect>) {
        for candle in candles {
            self.on_bar(now, symbol, candle, true, effects);
        }
    }

    fn on_bar(&mut self, now: Timestamp, symbol: Symbol, candle: &Candle, warming: bool, effects: &mut Vec<StrategyEffect>) {
        let Some(market) = self.books.markets.get_mut(&symbol) else { return };
        if market.last_bar.is_some_and(|last| candle.open_time <= last) {
            return;
        }
        market.last_bar = Some(candle.open_time);
        let input = StrategyInput::Bar { symbol, candle, warming };
        self.tell_as(now, warming, input, effects);
    }

    fn on_report(&mut self, now: Timestamp, report: &OrderReport, effects: &mut Vec<StrategyEffect>) {
        if let Some(due) = self.books.on_report(report, now) {
            let (account, symbol) = (report.account, report.symbol);
            Alarms::sooner(&mut self.alarms.answer, now + ANSWER_MAX);
            effects.push(StrategyEffect::Cancel { account, symbol, client_order_id: due.client_order_id, reason: due.reason });
        }
        if self.books.is_own(report) && self.books.is_open(report.account) {
            self.tell(now, StrategyInput::Report(report), effects);
        }
    }

    fn on_refused(&mut self, now: Timestamp, refusal: &Refusal, effects: &mut Vec<StrategyEffect>) {
        if !self.books.drop_proposal(refusal.account, refusal.symbol, refusal.intent) {
            return;
        }
        self.tell(now, StrategyInput::Refused(refusal), effects);
    }

    /// An account's first view, and the first one behind a reconciliation, have the strategy look at what stands before anything else.
    fn on_account(&mut self, now: Timestamp, view: &AccountView, effects: &mut Vec<StrategyEffect>) {
        let opens = !self.books.is_open(view.account);
        if !self.books.on_account(view) {
            return;
        }
        let found = self.reconciled.remove(&view.account);
        if opens || found.is_some() {
            let Found { missed, findings } = found.unwrap_or_default();
            let Self { strategy, books, numbering, alarms, .. } = self;
            let recovered = Recovered { account: view.account, missed: &missed, findings: &findings };
            strategy.recovered(&recovered, &mut Desk { now, books, numbering, alarms, effects, warming: false });
        }
        self.tell(now, StrategyInput::Account(view), effects);
    }

    fn keep(&mut self, reconciliation: &Reconciliation) {
        let Some(found) = self.books.accounts.contains_key(&reconciliation.account).then(|| self.reconciled.entry(reconciliation.account))
        else {
            return;
        };
        let found = found.or_default();
        let (id, books) = (self.numbering.strategy, &self.books);
        let missed = reconciliation.missed.iter().filter(|(by, fill)| books.is_mine(id, *by, fill.symbol));
        found.missed.extend(missed.map(|(_, fill)| fill.clone()));
        let concerns = |finding: &&Finding| finding.symbol().is_none_or(|symbol| books.markets.contains_key(&symbol));
        found.findings.extend(reconciliation.findings.iter().filter(concerns).cloned());
    }

    /// What neither risk nor an executor answered was lost with an actor. The strategy must not wait for ever: a cancel is asked
    /// for again, and of a proposal it is told; if the order turns up after all, its report makes it known again.
    fn see_to_unanswered(&mut self, now: Timestamp, effects: &mut Vec<StrategyEffect>) {
        let unanswered = self.books.unanswered(now);
        self.alarms.answer = unanswered.next;
        for (account, symbol, due) in unanswered.cancels {
            effects.push(StrategyEffect::Cancel { account, symbol, client_order_id: due.client_order_id, reason: due.reason });
        }
        for (account, symbol, intent) in unanswered.proposals {
            self.books.lose_proposal(account, symbol, intent);
            let refusal = Refusal {
                intent,
                account,
                strategy: self.numbering.strategy,
                symbol,
                control: "unanswered".to_owned(),
                limit: format!("{} s", ANSWER_MAX.as_secs()),
                value: "no answer from risk or the executor".to_owned(),
            };
            self.tell(now, StrategyInput::Refused(&refusal), effects);
        }
    }

    fn tell(&mut self, now: Timestamp, input: StrategyInput<'_>, effects: &mut Vec<StrategyEffect>) {
        self.tell_as(now, false, input, effects);
    }

    fn tell_as(&mut self, now: Timestamp, warming: bool, input: StrategyInput<'_>, effects: &mut Vec<StrategyEffect>) {
        let Self { strategy, books, numbering, alarms, .. } = self;
        strategy.on(input, &mut Desk { now, books, numbering, alarms, effects, warming });
    }
}

#[cfg(test)]
mod tests;
