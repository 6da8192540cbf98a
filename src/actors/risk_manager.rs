//! The risk manager: the one way from a wish to an order. Its rules (`rules/risk_manager.rs`) with a mailbox, and traces and log
//! lines of what it decides.

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::Surroundings;
use super::metronome::TellTables;
use super::ports::Ports;
use super::rules::risk_manager::{self as rules, Outside};
use crate::domain::order::{OrderIntent, Refusal, TraceContext};
use crate::domain::risk::RiskMachine;
use crate::domain::risk::limits::RiskLimits;
use crate::messages::{Envelope, RiskMessage};
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
    rules: rules::RiskManager,
    ports: Ports<RiskMessage>,
    outside: Spans,
    ticks: TellTables,
}

impl Actor for RiskManager {
    type Msg = Envelope<RiskMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { limits, around, reporter } = arguments;
        let incarnation = reporter.incarnation();
        let restart = (incarnation.0 > 1).then(|| trace::restart_context("risk_manager", incarnation.0, "restarted by its supervisor"));
        let mut ports = Ports::new(around, reporter, myself);
        let mut rules = rules::RiskManager::new(&ports, limits, incarnation);
        let mut outside = Spans { restart: restart.flatten(), deciding: None };
        rules.start(&mut ports, &mut outside);
        Ok(State { rules, ports, outside, ticks: TellTables::default() })
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let is_tick = matches!(envelope.message, RiskMessage::Tick);
        state.rules.message(envelope.message, envelope.trace, &mut state.ports, &mut state.outside);
        if is_tick && state.ticks.is_time() {
            metrics::tables("risk_manager", &state.rules.machine().tables());
        }
        Ok(())
    }
}

/// The span of the decision that is being made.
struct Spans {
    /// The first decision after a restart shows it.
    restart: Option<TraceContext>,
    deciding: Option<ActiveSpan>,
}

impl Outside for Spans {
    fn deciding(&mut self, intent: &OrderIntent, signal: Option<TraceContext>) -> Option<TraceContext> {
        let fields = [("account", Field::Shown(&intent.account)), ("symbol", Field::Shown(&intent.symbol))];
        let restart = self.restart.take();
        let span = trace::start_child(span::RISK, signal, &fields, restart.as_slice());
        self.deciding.insert(span).context()
    }

    fn refused(&mut self, refusal: &Refusal) {
        OrderRefused { refusal }.emit();
        if let Some(span) = &mut self.deciding {
            span.set("control", Field::Text(&refusal.control));
            span.set_status(Outcome::Failed("refused"));
        }
    }

    fn decided(&mut self) {
        self.deciding = None;
    }

    fn beat(&mut self, machine: &RiskMachine) {
        metrics::orders_to_trades(machine.order_to_trade());
    }
}
