//! The risk manager's rules around its machine: it looks at the market board before each decision, counts an account with what
//! the journal says of it until its executor has spoken, and takes back what nobody was there to send.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Around;
use crate::domain::ids::{AccountId, Incarnation, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::order::{OrderIntent, Refusal, TraceContext};
use crate::domain::order_manager;
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::Record;
use crate::domain::risk::limits::RiskLimits;
use crate::domain::risk::{Effect, Input, RiskMachine, controls};
use crate::messages::{ExecutorMessage, KillWord, RiskMessage, StrategyMessage};

/// Whoever traces and logs decisions. Nothing of it matters to trading.
pub trait Outside {
    /// A decision begins; what it gives travels with what comes of it.
    fn deciding(&mut self, _intent: &OrderIntent, _signal: Option<TraceContext>) -> Option<TraceContext> {
        None
    }
    fn refused(&mut self, _refusal: &Refusal) {}
    fn decided(&mut self) {}
    fn beat(&mut self, _machine: &RiskMachine) {}
}

pub struct RiskManager {
    machine: RiskMachine,
    seen: BTreeMap<Symbol, u64>,
    modes_seen: Arc<ModeTable>,
    /// The trace of the decision that is being made.
    trace: Option<TraceContext>,
    /// An empty outbox with room, so that a step takes no memory.
    spare: Outbox<Record, Effect>,
}

impl RiskManager {
    #[must_use]
    pub fn new(around: &impl Around, limits: RiskLimits, incarnation: Incarnation) -> Self {
        let modes = around.modes().get();
        let machine = RiskMachine::new(incarnation, limits, modes.as_ref().clone());
        Self { machine, seen: BTreeMap::new(), modes_seen: modes, trace: None, spare: Outbox::new() }
    }

    #[must_use]
    pub fn machine(&self) -> &RiskMachine {
        &self.machine
    }

    /// Exposures come back from the executors; until then nothing passes for their accounts, and they count with what the
    /// journal says of them.
    pub fn start(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        self.step(Input::Memory(around.risk_memory()), around, outside);
        self.look_at_all(around, outside);
        self.meet_accounts(around, outside);
    }

    pub fn message(&mut self, message: RiskMessage, trace: Option<TraceContext>, around: &mut impl Around, outside: &mut impl Outside) {
        let input = match message {
            RiskMessage::Propose(intent) => return self.propose(intent, trace, around, outside),
            RiskMessage::Cancel { account, symbol, client_order_id, reason } => Input::Cancel { account, symbol, client_order_id, reason },
            RiskMessage::SetLeverage { account, symbol, leverage } => Input::SetLeverage { account, symbol, leverage },
            RiskMessage::Report(report) => Input::Report(report),
            RiskMessage::Book(book) => Input::Book(*book),
            RiskMessage::Recovering(book) => Input::Recovering(*book),
            RiskMessage::Override(granted) => Input::Override(*granted),
            RiskMessage::Account(view) => Input::Account(view.as_ref().clone()),
            RiskMessage::Modes(modes) => {
                self.modes_seen = Arc::clone(&modes);
                Input::Modes(modes.as_ref().clone())
            }
            RiskMessage::Limits(limits) => {
                self.step(Input::Limits(limits), around, outside);
                return self.meet_accounts(around, outside);
            }
            RiskMessage::Tick => return self.tick(around, outside),
        };
        self.step(input, around, outside);
    }

    fn tick(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        self.look_at_all(around, outside);
        self.meet_accounts(around, outside);
        // A message that fell between two incarnations is made good here.
        let modes = around.modes().get();
        if !Arc::ptr_eq(&modes, &self.modes_seen) {
            self.modes_seen = Arc::clone(&modes);
            self.step(Input::Modes(modes.as_ref().clone()), around, outside);
        }
        self.step(Input::Tick, around, outside);
        outside.beat(&self.machine);
    }

    fn propose(&mut self, intent: Arc<OrderIntent>, signal: Option<TraceContext>, around: &mut impl Around, outside: &mut impl Outside) {
        self.look(intent.symbol, around, outside);
        self.trace = outside.deciding(&intent, signal);
        self.step(Input::Propose(intent), around, outside);
        self.trace = None;
        outside.decided();
    }

    /// An account that is new here, or that this incarnation has not heard of, counts with what the journal says of it. Its
    /// executor is told who decides now, until it has answered; where none is there, nobody holds an approval of an earlier one.
    fn meet_accounts(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        let (now, roster) = (around.now(), around.roster().get());
        for account in &roster.accounts {
            if !self.machine.has_heard_of(*account) {
                let journalled = order_manager::journalled(now, around.journalled(*account));
                self.step(Input::Journalled(journalled), around, outside);
            }
            let told = ExecutorMessage::RiskManager(self.machine.incarnation());
            if !self.machine.has_spoken(*account) && around.executor(*account, told, None).is_err() {
                self.step(Input::Absent(*account), around, outside);
            }
        }
    }

    fn look_at_all(&mut self, around: &mut impl Around, outside: &mut impl Outside) {
        let roster = around.roster().get();
        for symbol in &roster.symbols {
            self.look(*symbol, around, outside);
        }
    }

    /// Takes the newest view of a symbol from the board, if it is newer than the last one taken.
    fn look(&mut self, symbol: Symbol, around: &mut impl Around, outside: &mut impl Outside) {
        let Some(view) = around.board().get(symbol) else { return };
        let seen = self.seen.insert(symbol, view.sequence);
        if seen != Some(view.sequence) || view.stale {
            self.step(Input::Market(view), around, outside);
        }
    }

    fn step(&mut self, input: Input, around: &mut impl Around, outside: &mut impl Outside) {
        let mut out = std::mem::take(&mut self.spare);
        self.machine.on(around.now(), input, &mut out);
        for step in out.drain() {
            match step {
                Step::Do(effect) => self.effect(effect, around, outside),
                Step::Persist { rows, then } => {
                    around.note(rows);
                    then.into_iter().for_each(|effect| self.effect(effect, around, outside));
                }
            }
        }
        self.spare = out;
    }

    fn effect(&mut self, effect: Effect, around: &mut impl Around, outside: &mut impl Outside) {
        match effect {
            Effect::Submit(approved) => {
                let account = approved.get().account;
                let sent = around.executor(account, ExecutorMessage::Submit(approved), self.trace);
                if let Err(ExecutorMessage::Submit(approved)) = sent {
                    self.release(approved.into_inner(), around, outside);
                }
            }
            Effect::Refuse(refusal) => refuse(refusal, around, outside),
            Effect::Cancel { account, symbol, client_order_id, reason } => {
                tell(around, account, ExecutorMessage::Cancel { symbol, client_order_id, reason });
            }
            Effect::SetLeverage { account, symbol, leverage } => tell(around, account, ExecutorMessage::SetLeverage { symbol, leverage }),
            Effect::Trip { scope, mode, cause } => around.kill_switch(KillWord::Trip { scope, mode, cause }),
        }
    }

    /// Approved, and nobody there to send it: it was surely not sent, and its exposure is free again.
    fn release(&mut self, intent: Arc<OrderIntent>, around: &mut impl Around, outside: &mut impl Outside) {
        let refusal = Refusal {
            intent: intent.id,
            account: intent.account,
            strategy: intent.strategy,
            symbol: intent.symbol,
            control: controls::EXECUTOR_DOWN.to_owned(),
            limit: "a running executor".to_owned(),
            value: "it is being restarted".to_owned(),
        };
        let mut out = Outbox::new();
        self.machine.on(around.now(), Input::NotTaken(intent), &mut out);
        refuse(refusal, around, outside);
    }
}

fn refuse(refusal: Refusal, around: &mut impl Around, outside: &mut impl Outside) {
    outside.refused(&refusal);
    // A strategy that is gone has forgotten its proposal.
    drop(around.strategy(refusal.strategy, StrategyMessage::Refused(Box::new(refusal)), None));
}

/// What is lost with an executor that is gone, its successor finds out by asking the venue.
fn tell(around: &mut impl Around, account: AccountId, message: ExecutorMessage) {
    drop(around.executor(account, message, None));
}
