//! One strategy: its rules (`rules/strategy.rs`) with a mailbox, the history that it begins with, and the traces of its signals.
//! It is ready when it is warm. It never sends an order: it proposes to risk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::ports::Ports;
use super::rules::strategy::{Outside, Parts, StrategyRules};
use super::{Surroundings, ask, names};
use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::order::{OrderIntent, TraceContext};
use crate::messages::{Envelope, StrategyMessage};
use crate::strategies::StrategyHost;
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
    rules: StrategyRules,
    ports: Ports<StrategyMessage>,
    outside: Signals,
}

impl Actor for StrategyActor {
    type Msg = Envelope<StrategyMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { id, interval, accounts, symbols, make_host, next_intent, around, reporter } = arguments;
        let host = make_host(next_intent.load(Ordering::Relaxed))
            .map_err(|why| ChildFault::new(crate::domain::mode::FaultClass::Panic, format!("strategy {id} could not be built: {why}")))?;
        let incarnation = reporter.incarnation().0;
        let restart = (incarnation > 1).then(|| trace::restart_context(names::strategy(id).as_str(), incarnation, "started again"));
        let rules = StrategyRules::new(Parts { id, interval, accounts, symbols, host, next_intent }, &around.wires);
        let mut outside = Signals { id, restart: restart.flatten(), around: around.clone(), myself: myself.clone() };
        rules.start(&mut outside);
        Ok(State { rules, ports: Ports::new(around, reporter, myself), outside })
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.rules.message(envelope.message, &mut state.ports, &mut state.outside);
        Ok(())
    }

    async fn post_stop(&self, _myself: ActorRef<Self::Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.outside.around.wires.unsubscribe(state.outside.id);
        Ok(())
    }
}

/// The venue's past, and the traces of signals.
struct Signals {
    id: StrategyId,
    /// For the first signal of a later life to link to.
    restart: Option<TraceContext>,
    around: Surroundings,
    myself: ActorRef<Envelope<StrategyMessage>>,
}

impl Outside for Signals {
    fn fetch_history(&mut self, symbol: Symbol, interval: Duration, wanted: usize) {
        let myself = self.myself.clone();
        ask(&self.around.services, self.around.history.candles(symbol, interval, wanted), move |answer| {
            let message = match answer {
                Ok(candles) => StrategyMessage::WarmUp { symbol, candles },
                Err(why) => StrategyMessage::WarmUpFailed { symbol, why },
            };
            drop(myself.send_message(Envelope::unmetered(message)));
        });
    }

    fn proposing(&mut self, intent: &OrderIntent) -> Option<TraceContext> {
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
        signal.context()
    }

    fn no_history(&mut self, symbol: Symbol, why: &str) {
        tracing::warn!(target: "ringfence::market", strategy = %self.id, %symbol, why, "no history: warming up from live bars");
    }

    fn nobody_there(&mut self) {
        tracing::warn!(target: "ringfence::orders", strategy = %self.id, "the risk manager is down: nothing passes");
    }
}
