//! The risk manager: the one way from a wish to an order. It looks at the market board before each decision, so that market
//! data costs it no messages.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use rustc_hash::FxHashMap as HashMap;

use super::{Surroundings, names};
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::order::{OrderIntent, TraceContext};
use crate::domain::order_manager;
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::Record;
use crate::domain::risk::limits::RiskLimits;
use crate::domain::risk::{Effect, Input, RiskMachine, controls};
use crate::domain::time::Timestamp;
use crate::messages::{Envelope, ExecutorMessage, KillPost, KillWord, Post, RiskMessage, StrategyMessage};
use crate::supervision::Reporter;
use crate::telemetry::events::OrderRefused;
use crate::telemetry::metrics;
use crate::telemetry::trace::{self, ActiveSpan, Field, Outcome, span};

pub struct RiskManager;

pub struct Arguments {
    pub limits: RiskLimits,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
    machine: RiskMachine,
    executors: HashMap<AccountId, Post<ExecutorMessage>>,
    strategies: HashMap<StrategyId, Post<StrategyMessage>>,
    kill_switch: KillPost,
    seen: HashMap<Symbol, u64>,
    modes_seen: Arc<ModeTable>,
    around: Surroundings,
    restart: Option<TraceContext>,
    /// An empty outbox with room, so that a step takes no memory.
    spare: Outbox<Record, Effect>,
}

impl Actor for RiskManager {
    type Msg = Envelope<RiskMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { limits, around, reporter } = arguments;
        let incarnation = reporter.incarnation();
        let restart = (incarnation.0 > 1).then(|| trace::restart_context("risk_manager", incarnation.0, "restarted by its supervisor"));
        let modes = around.modes.get();
        let mut state = State {
            machine: RiskMachine::new(incarnation, limits, modes.as_ref().clone()),
            modes_seen: modes,
            executors: HashMap::default(),
            strategies: HashMap::default(),
            kill_switch: around.kill_switch(),
            seen: HashMap::default(),
            around,
            restart: restart.flatten(),
            spare: Outbox::new(),
        };
        state.step(state.around.clock.now(), Input::Memory(state.around.journal.risk_memory()), None);
        state.meet_accounts();
        state.look_at_all();
        // Exposures come back from the executors; until then nothing passes for their accounts, and they count with what the
        // journal says of them.
        for account in state.around.roster.get().accounts.clone() {
            state.executor(account).tell(ExecutorMessage::RiskManager(incarnation));
        }
        Ok(state)
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let input = match envelope.message {
            RiskMessage::Propose(intent) => {
                state.propose(intent, envelope.trace);
                return Ok(());
            }
            RiskMessage::Cancel { account, symbol, client_order_id, reason } => Input::Cancel { account, symbol, client_order_id, reason },
            RiskMessage::SetLeverage { account, symbol, leverage } => Input::SetLeverage { account, symbol, leverage },
            RiskMessage::Report(report) => Input::Report(report),
            RiskMessage::Book(book) => Input::Book(*book),
            RiskMessage::Recovering(book) => Input::Recovering(*book),
            RiskMessage::Override(granted) => Input::Override(*granted),
            RiskMessage::Account(view) => Input::Account(view.as_ref().clone()),
            RiskMessage::Modes(modes) => {
                state.modes_seen = Arc::clone(&modes);
                Input::Modes(modes.as_ref().clone())
            }
            RiskMessage::Limits(limits) => {
                state.step(state.around.clock.now(), Input::Limits(limits), None);
                state.meet_accounts();
                return Ok(());
            }
            RiskMessage::Tick => {
                let now = state.around.clock.now();
                state.look_at_all();
                state.meet_accounts();
                // A message that fell between two incarnations is made good here.
                let modes = state.around.modes.get();
                if !Arc::ptr_eq(&modes, &state.modes_seen) {
                    state.modes_seen = Arc::clone(&modes);
                    state.step(now, Input::Modes(modes.as_ref().clone()), None);
                }
                state.step(now, Input::Tick, None);
                metrics::orders_to_trades(state.machine.order_to_trade());
                return Ok(());
            }
        };
        state.step(state.around.clock.now(), input, None);
        Ok(())
    }
}

impl State {
    fn propose(&mut self, intent: Arc<OrderIntent>, signal: Option<TraceContext>) {
        let now = self.around.clock.now();
        self.look(now, intent.symbol);
        let fields = [("account", Field::Shown(&intent.account)), ("symbol", Field::Shown(&intent.symbol))];
        // The first decision after a restart shows it.
        let restart = self.restart.take();
        let span = trace::start_child(span::RISK, signal, &fields, restart.as_slice());
        self.step(now, Input::Propose(intent), Some(span));
    }

    /// An account that is new here, or that this incarnation has not heard of, counts with what the journal says of it.
    fn meet_accounts(&mut self) {
        let (now, roster) = (self.around.clock.now(), self.around.roster.get());
        for account in &roster.accounts {
            if !self.machine.has_heard_of(*account) {
                let journalled = order_manager::journalled(now, self.around.journal.account(*account));
                self.step(now, Input::Journalled(journalled), None);
            }
            // An account whose executor is away for long must not be waited for: nobody there holds an approval.
            if !self.machine.has_spoken(*account) && self.executor(*account).incarnation().is_none() {
                self.step(now, Input::Absent(*account), None);
            }
        }
    }

    fn look_at_all(&mut self) {
        let (now, roster) = (self.around.clock.now(), self.around.roster.get());
        for symbol in &roster.symbols {
            self.look(now, *symbol);
        }
    }

    /// Takes the newest view of a symbol from the board, if it is newer than the last one taken.
    fn look(&mut self, now: Timestamp, symbol: Symbol) {
        let Some(view) = self.around.board.get(symbol) else { return };
        let seen = self.seen.insert(symbol, view.sequence);
        if seen != Some(view.sequence) || view.stale {
            self.step(now, Input::Market(view), None);
        }
    }

    fn step(&mut self, now: Timestamp, input: Input, mut span: Option<ActiveSpan>) {
        let mut out = std::mem::take(&mut self.spare);
        self.machine.on(now, input, &mut out);
        for step in out.drain() {
            match step {
                Step::Do(effect) => self.effect(effect, span.as_mut()),
                Step::Persist { rows, then } => {
                    self.around.journal.note(rows);
                    then.into_iter().for_each(|effect| self.effect(effect, span.as_mut()));
                }
            }
        }
        self.spare = out;
    }

    fn effect(&mut self, effect: Effect, span: Option<&mut ActiveSpan>) {
        match effect {
            Effect::Submit(approved) => {
                let trace = span.and_then(|span| span.context());
                let message = ExecutorMessage::Submit(approved);
                let account = match &message {
                    ExecutorMessage::Submit(approved) => approved.get().account,
                    _ => return,
                };
                if let Err(ExecutorMessage::Submit(approved)) = self.executor(account).send_traced(message, trace) {
                    self.release(approved.into_inner());
                }
            }
            Effect::Refuse(refusal) => {
                OrderRefused { refusal: &refusal }.emit();
                if let Some(span) = span {
                    span.set("control", Field::Text(&refusal.control));
                    span.set_status(Outcome::Failed("refused"));
                }
                self.strategy(refusal.strategy).tell(StrategyMessage::Refused(Box::new(refusal)));
            }
            Effect::Cancel { account, symbol, client_order_id, reason } => {
                self.executor(account).tell(ExecutorMessage::Cancel { symbol, client_order_id, reason });
            }
            Effect::SetLeverage { account, symbol, leverage } => {
                self.executor(account).tell(ExecutorMessage::SetLeverage { symbol, leverage })
            }
            Effect::Trip { scope, mode, cause } => self.kill_switch.tell(KillWord::Trip { scope, mode, cause }),
        }
    }

    /// Approved, and nobody there to send it: it was surely not sent, and its exposure is free again.
    fn release(&mut self, intent: Arc<OrderIntent>) {
        let refusal = crate::domain::order::Refusal {
            intent: intent.id,
            account: intent.account,
            strategy: intent.strategy,
            symbol: intent.symbol,
            control: controls::EXECUTOR_DOWN.to_owned(),
            limit: "a running executor".to_owned(),
            value: "it is being restarted".to_owned(),
        };
        let mut out = Outbox::new();
        self.machine.on(self.around.clock.now(), Input::NotTaken(intent), &mut out);
        OrderRefused { refusal: &refusal }.emit();
        self.strategy(refusal.strategy).tell(StrategyMessage::Refused(Box::new(refusal)));
    }

    fn executor(&mut self, account: AccountId) -> &mut Post<ExecutorMessage> {
        let around = &self.around;
        self.executors.entry(account).or_insert_with(|| Post::new(&around.directory, &names::executor(account)))
    }

    fn strategy(&mut self, id: StrategyId) -> &mut Post<StrategyMessage> {
        let around = &self.around;
        self.strategies.entry(id).or_insert_with(|| Post::new(&around.directory, &names::strategy(id)))
    }
}
