//! One strategy: its host, the slots that its markets fill, and the history that it begins with. It is ready when it is
//! warm. It never sends an order: it proposes to risk.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{Surroundings, ask, names};
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::market::MarketUpdate;
use crate::domain::order::TraceContext;
use crate::messages::boards::StrategyStanding;
use crate::messages::{Envelope, ExecutorMessage, Post, RiskMessage, StrategyMessage, UpdateSlot};
use crate::strategies::{HostInput, StrategyEffect, StrategyHost};
use crate::supervision::{ChildFault, Reporter};
use crate::telemetry::trace::{self, Field, span};

/// Makes a host; the number is the first intent of the new one.
pub type MakeHost = Arc<dyn Fn(u32) -> Result<StrategyHost, String> + Send + Sync>;

pub struct StrategyActor;

pub struct Arguments {
    pub id: StrategyId,
    pub interval: Duration,
    pub accounts: Vec<AccountId>,
    pub symbols: Vec<Symbol>,
    pub make_host: MakeHost,
    /// Outlives incarnations, so that no intent id is used twice.
    pub next_intent: Arc<AtomicU32>,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
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
    risk: Post<RiskMessage>,
    standing: StrategyStanding,
    /// For the first signal of a later life to link to.
    restart: Option<TraceContext>,
    around: Surroundings,
    reporter: Reporter,
    myself: ActorRef<Envelope<StrategyMessage>>,
}

impl Actor for StrategyActor {
    type Msg = Envelope<StrategyMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { id, interval, accounts, symbols, make_host, next_intent, around, reporter } = arguments;
        let host = make_host(next_intent.load(Ordering::Relaxed))
            .map_err(|why| ChildFault::new(crate::domain::mode::FaultClass::Panic, format!("strategy {id} could not be built: {why}")))?;
        let woken = Arc::new(AtomicBool::new(false));
        let incarnation = reporter.incarnation().0;
        let restart = (incarnation > 1).then(|| trace::restart_context(names::strategy(id).as_str(), incarnation, "started again"));
        let state = State {
            id,
            interval,
            accounts,
            next_intent,
            slots: around.wires.subscribe(id, &symbols, &woken),
            woken,
            cold: symbols.into_iter().collect(),
            effects: Vec::new(),
            risk: Post::new(&around.directory, &names::risk_manager()),
            standing: StrategyStanding::default(),
            restart: restart.flatten(),
            host,
            around,
            reporter,
            myself,
        };
        for symbol in &state.cold {
            state.fetch_history(*symbol);
        }
        Ok(state)
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.message(envelope.message);
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<Self::Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.around.wires.unsubscribe(state.id);
        Ok(())
    }
}

impl State {
    fn message(&mut self, message: StrategyMessage) {
        match message {
            StrategyMessage::Wake => self.take_updates(),
            StrategyMessage::Tick => self.tick(),
            StrategyMessage::WarmUp { symbol, candles } => {
                self.tell(HostInput::WarmUp { symbol, candles: &candles });
                self.warmed(symbol);
            }
            StrategyMessage::WarmUpFailed { symbol, why } => {
                tracing::warn!(target: "ringfence::market", strategy = %self.id, %symbol, why, "no history: warming up from live bars");
                self.warmed(symbol);
            }
            StrategyMessage::Hole { symbol } => self.fetch_history(symbol),
            StrategyMessage::Report(report) => self.tell(HostInput::Report(&report)),
            StrategyMessage::Refused(refusal) => {
                self.standing.refused += 1;
                self.tell(HostInput::Refused(&refusal));
            }
            StrategyMessage::Account(view) => self.tell(HostInput::Account(&view)),
            StrategyMessage::Anew(account) => self.tell(HostInput::Anew(account)),
            StrategyMessage::Reconciled(reconciliation) => self.tell(HostInput::Reconciled(&reconciliation)),
        }
    }

    /// History first, live data after: a bar that came too early would make the history look old.
    fn warmed(&mut self, symbol: Symbol) {
        if !self.cold.remove(&symbol) || !self.cold.is_empty() {
            return;
        }
        self.standing.warm = true;
        // Orders and positions from before: each executor tells them anew.
        for account in self.accounts.clone() {
            Post::new(&self.around.directory, &names::executor(account)).tell(ExecutorMessage::Republish);
        }
        self.reporter.ready();
        self.take_updates();
    }

    fn take_updates(&mut self) {
        if !self.cold.is_empty() {
            return;
        }
        self.woken.store(false, Ordering::Release);
        for index in 0..self.slots.len() {
            if let Some(update) = self.slots[index].take() {
                self.tell(HostInput::Market(&update));
            }
        }
    }

    /// Gives the host a look at the clock though nothing traded.
    fn tick(&mut self) {
        self.take_updates();
        let view = self.slots.first().and_then(|slot| self.around.board.get(slot.symbol));
        if let Some(view) = view.filter(|_| self.cold.is_empty()) {
            self.tell(HostInput::Market(&MarketUpdate { view, closed: Vec::new() }));
        }
        self.around.views.set_strategy(self.id, &self.standing);
    }

    fn tell(&mut self, input: HostInput<'_>) {
        let mut effects = std::mem::take(&mut self.effects);
        self.host.on(self.around.clock.now(), input, &mut effects);
        self.next_intent.store(self.host.next_intent(), Ordering::Relaxed);
        for effect in effects.drain(..) {
            self.effect(effect);
        }
        self.effects = effects;
    }

    fn effect(&mut self, effect: StrategyEffect) {
        let sent = match effect {
            StrategyEffect::Propose(mut intent) => {
                self.standing.proposed += 1;
                let fields = [
                    ("strategy", Field::Shown(&self.id)),
                    ("account", Field::Shown(&intent.account)),
                    ("symbol", Field::Shown(&intent.symbol)),
                    ("reason", Field::Text(&intent.reason)),
                ];
                let restart = self.restart.take();
                let mut signal = trace::start_root(span::SIGNAL, &fields, restart.as_slice());
                if signal.is_recorded()
                    && let Some(view) = self.around.board.get(intent.symbol)
                {
                    signal.link_tick(intent.symbol, view.sequence, view.at);
                }
                let trace = signal.context();
                if trace.is_some() {
                    Arc::make_mut(&mut intent).trace = trace;
                }
                self.risk.send_traced(RiskMessage::Propose(intent), trace).map_err(drop)
            }
            StrategyEffect::Cancel { account, symbol, client_order_id, reason } => {
                self.risk.send(RiskMessage::Cancel { account, symbol, client_order_id, reason }).map_err(drop)
            }
            StrategyEffect::SetLeverage { account, symbol, leverage } => {
                let sent = self.risk.send(RiskMessage::SetLeverage { account, symbol, leverage });
                if sent.is_err() {
                    // The account may have been told anew before this one was lost.
                    self.host.forget_asked(account);
                }
                sent.map_err(drop)
            }
        };
        if sent.is_err() {
            // The host takes an unanswered proposal back after a while; nothing of it left.
            tracing::warn!(target: "ringfence::orders", strategy = %self.id, "the risk manager is down: nothing passes");
        }
    }

    fn fetch_history(&self, symbol: Symbol) {
        let wanted = self.host.interest().warm_up_bars;
        let myself = self.myself.clone();
        ask(&self.around.services, self.around.history.candles(symbol, self.interval, wanted), move |answer| {
            let message = match answer {
                Ok(candles) => StrategyMessage::WarmUp { symbol, candles },
                Err(why) => StrategyMessage::WarmUpFailed { symbol, why },
            };
            drop(myself.send_message(Envelope::unmetered(message)));
        });
    }
}
