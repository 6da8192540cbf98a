//! One account's executor: its rules with a mailbox, a connection to the venue, and traces and figures of its orders. The rules
//! (`rules/executor.rs`) decide; beside it lives the account's stream.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::metronome::TellTables;
use super::names;
use super::ports::Ports;
use super::rules::executor::{self as rules, Outside};
use super::{Surroundings, order_traces::OrderTraces};
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, IntentId};
use crate::domain::mode::FaultClass;
use crate::domain::order::{AccountView, OrderIntent, OrderReport, TraceContext, VenueCommand, VenueEvent};
use crate::domain::order_manager::Order;
use crate::domain::reconcile::Finding;
use crate::domain::time::Timestamp;
use crate::messages::{Envelope, ExecutorMessage, Post};
use crate::supervision::{ChildContext, ChildFault, Reporter};
use crate::telemetry::events::{FillSeen, OrderRejected, OrderSent, OrderUnknown, Reconciled};
use crate::telemetry::metrics::{self, OrderTimers};
use crate::venues::port::{Heard, Venue};

pub struct Executor;

pub struct Arguments {
    pub account: AccountId,
    pub epoch: Epoch,
    /// How late the venue may take an order.
    pub recv_window: Duration,
    pub venue: Arc<dyn Venue>,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
    rules: rules::Executor,
    ports: Ports<ExecutorMessage>,
    outside: AtVenue,
    ticks: TellTables,
}

impl Actor for Executor {
    type Msg = Envelope<ExecutorMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { account, epoch, recv_window, venue, around, reporter } = arguments;
        let incarnation = reporter.incarnation();
        let mut ports = Ports::new(around, reporter, myself);
        let mut rules = rules::Executor::new(&ports, account, epoch, recv_window);
        let earlier = rules.machine().orders().map(|order| order.order.client_order_id);
        let traces = OrderTraces::new(account, incarnation, earlier);
        let mut outside = AtVenue { venue, traces, sent_at: BTreeMap::new(), timers: OrderTimers::of(account) };
        rules.start(&mut ports, &mut outside);
        Ok(State { rules, ports, outside, ticks: TellTables::default() })
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let is_tick = matches!(envelope.message, ExecutorMessage::Tick);
        state.rules.message(envelope.message, envelope.trace, &mut state.ports, &mut state.outside);
        if is_tick && state.ticks.is_time() {
            let machine = state.rules.machine();
            metrics::tables(machine.account().as_str(), &machine.tables());
            metrics::tables(machine.account().as_str(), &[("orders_timed", state.outside.sent_at.len())]);
        }
        Ok(())
    }
}

/// The venue, and what is told of orders to logs, traces and metrics.
struct AtVenue {
    venue: Arc<dyn Venue>,
    traces: OrderTraces,
    sent_at: BTreeMap<ClientOrderId, Timestamp>,
    timers: OrderTimers,
}

impl AtVenue {
    fn answered(&mut self, now: Timestamp, id: ClientOrderId, failure: Option<&str>) {
        if let Some(sent) = self.sent_at.remove(&id) {
            self.timers.answered(now.since(sent));
        }
        self.traces.answered(id, failure);
    }
}

impl Outside for AtVenue {
    fn hand_over(&mut self, account: AccountId, command: VenueCommand) -> Result<(), String> {
        self.venue.send(account, command).map_err(|why| why.to_string())
    }

    fn approved(&mut self, intent: IntentId, trace: Option<TraceContext>) {
        self.traces.approved(intent, trace);
    }

    fn journalling(&mut self, now: Timestamp, intent: &OrderIntent, order: ClientOrderId) {
        self.traces.journalling(intent, order);
        self.timers.decided(now.since(intent.decided_at));
    }

    fn sending(&mut self, now: Timestamp, order: ClientOrderId) {
        self.traces.sending(order);
        self.sent_at.insert(order, now);
    }

    fn sent(&mut self, account: AccountId, order: &Order) {
        if let Some(intent) = &order.intent {
            OrderSent { account, strategy: intent.strategy, order: &order.order }.emit();
        }
    }

    fn not_taken(&mut self, account: AccountId, is_question: bool, why: &str) {
        if is_question {
            tracing::debug!(target: "ringfence::orders", %account, why, "question not asked");
        } else {
            tracing::warn!(target: "ringfence::orders", %account, why, "command not sent");
        }
    }

    /// Counts and logs what the venue says; the machine decides what it means.
    fn heard(&mut self, now: Timestamp, account: AccountId, event: &VenueEvent) {
        match event {
            VenueEvent::Accepted { client_order_id, .. } => self.answered(now, *client_order_id, None),
            VenueEvent::Rejected { client_order_id, code, message, .. } => {
                OrderRejected { account, client_order_id: *client_order_id, code: *code, message }.emit();
                self.answered(now, *client_order_id, Some(message));
            }
            VenueEvent::NotSent { client_order_id, why } => {
                self.sent_at.remove(client_order_id);
                self.traces.answered(*client_order_id, Some(why));
            }
            VenueEvent::OutcomeUnknown { client_order_id, why } => {
                OrderUnknown { account, client_order_id: *client_order_id, why }.emit();
                self.traces.unknown(*client_order_id, why);
            }
            _ => {}
        }
    }

    fn reported(&mut self, report: &OrderReport) {
        if let Some(fill) = &report.fill {
            FillSeen { fill }.emit();
            self.traces.filled(report, fill);
        }
        if report.status.is_terminal() {
            self.sent_at.remove(&report.client_order_id);
            self.traces.ended(report);
        }
    }

    fn viewed(&mut self, view: &AccountView) {
        metrics::account_books(view.account, view.equity, view.day_pnl);
    }

    fn found(&mut self, account: AccountId, findings: &[Finding]) {
        Reconciled { account, findings }.emit();
    }
}

/// Brings the venue's words to the executor. A child of its own beside it: when the stream breaks it is restarted, and the
/// executor, told that words may be missing, reconciles.
///
/// # Errors
/// When the venue cannot be reached or ended the stream.
pub async fn listen(context: ChildContext, account: AccountId, venue: Arc<dyn Venue>, around: Surroundings) -> Result<(), ChildFault> {
    let broken = |found: String| ChildFault::new(FaultClass::Transport, format!("the stream of {account}: {found}"));
    let mut executor = Post::new(&around.directory, &names::executor(account));
    let mut events = venue.listen(account).map_err(|error| broken(error.to_string()))?;
    loop {
        let heard = tokio::select! {
            heard = context.reporter.attend(events.next()) => heard,
            () = context.stop.cancelled() => return Ok(()),
        };
        match heard {
            Some(Heard::Event(event)) => executor.tell(ExecutorMessage::Venue(Box::new(event))),
            Some(Heard::Opened) => {
                executor.tell(ExecutorMessage::Reconnected);
                context.reporter.ready();
            }
            None => return Err(broken("the venue ended it".to_owned())),
        }
    }
}
