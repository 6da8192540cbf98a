//! One account's executor: an order manager, its journal tickets and its connection to the venue. The last thing that it
//! does before an order leaves is to read the halt gate.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use rustc_hash::FxHashMap as HashMap;

use super::names;
use super::tickets::Tickets;
use super::{Surroundings, order_traces::OrderTraces};
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, StrategyId};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::order::{AccountView, OrderIntent, OrderReport, TraceContext, VenueCommand, VenueEvent};
use crate::domain::order_manager::{Effect, Input, OrderManager};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::reconcile::Reconciliation;
use crate::domain::record::Record;
use crate::domain::risk::Approved;
use crate::domain::time::Timestamp;
use crate::messages::boards::AccountStanding;
use crate::messages::gate::Passage;
use crate::messages::{Envelope, ExecutorMessage, KillPost, KillWord, Post, RiskMessage, StrategyMessage};
use crate::supervision::{ChildContext, ChildFault, Reporter};
use crate::telemetry::events::{FillSeen, OrderRejected, OrderSent, OrderUnknown, Reconciled};
use crate::telemetry::metrics::{self, OrderTimers};
use crate::venues::port::{Heard, Venue};

/// Ended orders that the status page shows of each account.
const ENDED_SHOWN: usize = 20;

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
    machine: OrderManager,
    tickets: Tickets<Effect>,
    venue: Arc<dyn Venue>,
    passage: Passage,
    risk: Post<RiskMessage>,
    risk_seen: Option<Incarnation>,
    kill_switch: KillPost,
    strategies: HashMap<StrategyId, Post<StrategyMessage>>,
    /// The incarnation of each strategy that was told every open order; and whether everybody is being told right now.
    introduced: HashMap<StrategyId, Incarnation>,
    introducing: bool,
    modes_seen: Arc<ModeTable>,
    traces: OrderTraces,
    sent_at: BTreeMap<ClientOrderId, Timestamp>,
    /// Orders whose log line is still to be written.
    untold: Vec<ClientOrderId>,
    timers: OrderTimers,
    /// An empty outbox with room, so that a step takes no memory.
    spare: Outbox<Record, Effect>,
    ended: VecDeque<Arc<OrderReport>>,
    unpublished: bool,
    around: Surroundings,
    reporter: Reporter,
    myself: ActorRef<Envelope<ExecutorMessage>>,
}

impl Actor for Executor {
    type Msg = Envelope<ExecutorMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { account, epoch, recv_window, venue, around, reporter } = arguments;
        let modes = around.modes.get();
        let machine = OrderManager::new(account, epoch, modes.as_ref().clone(), around.journal.account(account));
        let machine = machine.trading(around.roster.get().symbols.clone()).received_within(recv_window);
        let earlier = machine.orders().map(|order| order.order.client_order_id);
        let traces = OrderTraces::new(account, reporter.incarnation(), earlier);
        let mut state = State {
            machine,
            tickets: Tickets::default(),
            venue,
            passage: around.gate.passage(account, &modes),
            risk: Post::new(&around.directory, &names::risk_manager()),
            risk_seen: None,
            kill_switch: around.kill_switch(),
            strategies: HashMap::default(),
            introduced: HashMap::default(),
            introducing: false,
            modes_seen: modes,
            traces,
            sent_at: BTreeMap::new(),
            untold: Vec::new(),
            timers: OrderTimers::of(account),
            spare: Outbox::new(),
            ended: VecDeque::new(),
            unpublished: true,
            around,
            reporter,
            myself,
        };
        // What is held has its price before anybody asks for the day's figure.
        state.mark_held();
        let mut out = Outbox::new();
        let now = state.around.clock.now();
        state.machine.start(now, &mut out);
        state.carry(now, &mut out);
        // What an earlier incarnation published of itself does not hold any more.
        state.publish();
        Ok(state)
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.message(envelope);
        Ok(())
    }
}

impl State {
    fn message(&mut self, envelope: Envelope<ExecutorMessage>) {
        self.tell_sent();
        let input = match envelope.message {
            ExecutorMessage::Submit(approved) => {
                self.meet_risk();
                self.traces.approved(approved.get().id, envelope.trace);
                self.still_wanted(approved)
            }
            ExecutorMessage::Cancel { symbol, client_order_id, reason } => Input::Cancel { symbol, client_order_id, reason },
            ExecutorMessage::CancelWhere { symbol, strategy, reason } => Input::CancelWhere { symbol, strategy, reason },
            ExecutorMessage::SetLeverage { symbol, leverage } => Input::SetLeverage { symbol, leverage },
            ExecutorMessage::Venue(event) => {
                self.notice(&event);
                Input::Venue(*event)
            }
            ExecutorMessage::Journalled { ticket, failure } => return self.journalled(ticket, failure),
            ExecutorMessage::Modes(modes) => {
                self.modes_seen = Arc::clone(&modes);
                Input::Modes(modes.as_ref().clone())
            }
            ExecutorMessage::RiskManager(incarnation) => {
                self.risk_seen = Some(incarnation);
                Input::RiskManager(incarnation)
            }
            ExecutorMessage::Republish => Input::Republish,
            ExecutorMessage::Reconnected => {
                self.step(Input::Reconnected);
                return self.publish();
            }
            ExecutorMessage::Tick => return self.tick(),
        };
        self.step(input);
    }

    fn step(&mut self, input: Input) {
        let now = self.around.clock.now();
        let mut out = std::mem::take(&mut self.spare);
        self.machine.on(now, input, &mut out);
        self.carry(now, &mut out);
        self.spare = out;
        self.unpublished = true;
        // Whoever is told that an account is halted and empty looks at its standing next; it does not wait for the beat. Only
        // the last order's end is told so: a standing lists every open order, and many ends come at once.
        if self.machine.is_ready() && self.machine.mode() != Mode::Normal && self.machine.open_orders().next().is_none() {
            self.publish();
        }
    }

    /// A strategy that was stopped while its intent was on its way must not leave an order behind that nobody looks after.
    fn still_wanted(&self, approved: Approved<Arc<OrderIntent>>) -> Input {
        let OrderIntent { strategy, account, .. } = **approved.get();
        if self.around.roster.trades(strategy, account) {
            return Input::Submit(approved);
        }
        Input::Withdrawn { approved, why: format!("{strategy} no longer trades {account}") }
    }

    /// A new risk manager makes itself known by message; its first approval may be quicker than that.
    fn meet_risk(&mut self) {
        let running = self.risk.incarnation();
        if running != self.risk_seen
            && let Some(incarnation) = running
        {
            self.risk_seen = running;
            self.step(Input::RiskManager(incarnation));
        }
    }

    fn mark_held(&mut self) {
        let held: Vec<_> = self.machine.positions().open().map(|(symbol, _, _)| symbol).collect();
        for symbol in held {
            if let Some(price) = self.around.board.get(symbol).and_then(|view| view.reference()) {
                self.step(Input::Mark { symbol, price });
            }
        }
    }

    fn tick(&mut self) {
        self.mark_held();
        self.meet_risk();
        // A message that fell between two incarnations is made good here.
        let modes = self.around.modes.get();
        if !Arc::ptr_eq(&modes, &self.modes_seen) {
            self.modes_seen = Arc::clone(&modes);
            self.step(Input::Modes(modes.as_ref().clone()));
        }
        self.step(Input::Tick);
        self.publish();
    }

    fn carry(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>) {
        for step in out.drain() {
            match step {
                Step::Do(effect) => self.effect(effect),
                Step::Persist { rows, then } if then.is_empty() => self.around.journal.note(rows),
                Step::Persist { rows, then } => self.persist(now, rows, then),
            }
        }
    }

    fn persist(&mut self, now: Timestamp, rows: Vec<Record>, then: Vec<Effect>) {
        let mut decided = None;
        for row in &rows {
            if let Record::OrderIntended { intent, order, .. } = row {
                self.traces.journalling(intent, order.client_order_id);
                decided = Some(intent.decided_at);
            }
        }
        let ticket = self.tickets.issue(then);
        let post = self.myself.clone();
        self.around.journal.append(rows, move |result| {
            let message = ExecutorMessage::Journalled { ticket, failure: result.err() };
            // An incarnation that is gone has no use for its answer: its orders were never sent.
            drop(post.send_message(Envelope::unmetered(message)));
        });
        if let Some(decided) = decided {
            self.timers.decided(now.since(decided));
        }
    }

    fn journalled(&mut self, ticket: u64, failure: Option<String>) {
        for effect in self.tickets.redeem(ticket) {
            match (&failure, effect) {
                (None, effect) => self.effect(effect),
                (Some(why), Effect::Send(VenueCommand::Place(order))) => {
                    self.step(Input::NotSent { client_order_id: order.client_order_id, why: why.clone() });
                }
                (Some(_), _) => {}
            }
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => self.send(command),
            Effect::Report(report) => self.report(report),
            Effect::Book(book) => {
                self.introducing = true;
                // A risk manager announces itself from its start, and its address may follow a moment later: a book that
                // did not arrive is told again with the next beat.
                if self.risk.send(RiskMessage::Book(book)).is_err() {
                    self.risk_seen = None;
                }
            }
            Effect::Account(view) => self.account(Arc::new(*view)),
            Effect::Fault { scope, class, detail } => {
                self.kill_switch.tell(KillWord::Fault { scope, class, detail });
            }
            Effect::Trip { mode, cause } => {
                let scope = Scope::Account(self.machine.account());
                self.kill_switch.tell(KillWord::Trip { scope, mode, cause });
            }
            Effect::Reconciled(reconciliation) => self.reconciled(Arc::new(*reconciliation)),
            Effect::Found(findings) => Reconciled { account: self.machine.account(), findings: &findings }.emit(),
            Effect::Ready => {
                self.reporter.ready();
                // Whoever sees it ready finds its mode beside it, not with the next beat.
                self.unpublished = true;
                self.publish();
            }
        }
    }

    /// Strategies keep it until the account's next view, which opens the account to them again.
    fn reconciled(&mut self, reconciliation: Arc<Reconciliation>) {
        Reconciled { account: reconciliation.account, findings: &reconciliation.findings }.emit();
        for id in self.around.roster.strategies_of(reconciliation.account) {
            self.strategy(id).tell(StrategyMessage::Reconciled(Arc::clone(&reconciliation)));
        }
    }

    /// A strategy trades from its first view on and must know its orders by then: an incarnation that was not told all of them
    /// (behind a book come the reports of every order, then the view) hears of the account when it has asked.
    fn account(&mut self, view: Arc<AccountView>) {
        metrics::account_books(view.account, view.equity, view.day_pnl);
        let introducing = std::mem::take(&mut self.introducing);
        for id in self.around.roster.strategies_of(self.machine.account()) {
            let Some(incarnation) = self.strategy(id).incarnation() else { continue };
            if introducing {
                self.introduced.insert(id, incarnation);
                let account = view.account;
                self.strategy(id).tell(StrategyMessage::Anew(account));
            }
            if self.introduced.get(&id) == Some(&incarnation) {
                self.strategy(id).tell(StrategyMessage::Account(Arc::clone(&view)));
            }
        }
        self.risk.tell(RiskMessage::Account(view));
    }

    /// Orders pass the gate here, at the last instruction before they leave; everything else goes as it is.
    fn send(&mut self, command: VenueCommand) {
        let VenueCommand::Place(order) = &command else {
            return self.hand_over(command, None);
        };
        let id = order.client_order_id;
        let reduce_only = order.reduce_only;
        if let Err(why) = self.machine.may_leave(id) {
            return self.step(Input::NotSent { client_order_id: id, why });
        }
        if let Some(_leaving) = self.passage.enter(reduce_only) {
            self.hand_over(command, Some(id));
        } else {
            self.step(Input::NotSent { client_order_id: id, why: "the halt gate is closed".to_owned() });
        }
    }

    fn hand_over(&mut self, command: VenueCommand, placed: Option<ClientOrderId>) {
        if let Some(id) = placed {
            self.traces.sending(id);
            self.sent_at.insert(id, self.around.clock.now());
        }
        // Asked again as soon as the connection is there: at the start it never is.
        let question = matches!(command, VenueCommand::Snapshot { .. } | VenueCommand::Query { .. });
        let refused = self.venue.send(self.machine.account(), command).err();
        match (placed, refused) {
            (Some(client_order_id), None) => {
                self.step(Input::Sent { client_order_id });
                self.untold.push(client_order_id);
            }
            (Some(client_order_id), Some(why)) => self.step(Input::NotSent { client_order_id, why: why.to_string() }),
            (None, Some(why)) if question => {
                tracing::debug!(target: "ringfence::orders", account = %self.machine.account(), %why, "question not asked");
            }
            (None, Some(why)) => tracing::warn!(target: "ringfence::orders", account = %self.machine.account(), %why, "command not sent"),
            (None, None) => {}
        }
    }

    /// With the next message, because a log line takes longer than the order itself: the connection writes the order's bytes when
    /// this message is done. The journal knew of the order before that.
    fn tell_sent(&mut self) {
        let account = self.machine.account();
        for id in self.untold.drain(..) {
            let Some(order) = self.machine.order(id) else { continue };
            if let Some(intent) = &order.intent {
                OrderSent { account, strategy: intent.strategy, order: &order.order }.emit();
            }
        }
    }

    /// Counts and logs what the venue says; the machine decides what it means.
    fn notice(&mut self, event: &VenueEvent) {
        let account = self.machine.account();
        match event {
            VenueEvent::Accepted { client_order_id, .. } => self.answered(*client_order_id, None),
            VenueEvent::Rejected { client_order_id, code, message, .. } => {
                OrderRejected { account, client_order_id: *client_order_id, code: *code, message }.emit();
                self.answered(*client_order_id, Some(message));
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

    fn answered(&mut self, id: ClientOrderId, failure: Option<&str>) {
        if let Some(sent) = self.sent_at.remove(&id) {
            self.timers.answered(self.around.clock.now().since(sent));
        }
        self.traces.answered(id, failure);
    }

    fn report(&mut self, report: Arc<OrderReport>) {
        if let Some(fill) = &report.fill {
            FillSeen { fill }.emit();
            self.traces.filled(&report, fill);
        }
        if report.status.is_terminal() {
            self.sent_at.remove(&report.client_order_id);
            self.traces.ended(&report);
            self.ended.push_back(Arc::clone(&report));
            if self.ended.len() > ENDED_SHOWN {
                self.ended.pop_front();
            }
        }
        let trace: Option<TraceContext> = report.trace;
        if let Some(strategy) = report.strategy {
            drop(self.strategy(strategy).send_traced(StrategyMessage::Report(Arc::clone(&report)), trace));
        }
        drop(self.risk.send_traced(RiskMessage::Report(report), trace));
    }

    fn strategy(&mut self, id: StrategyId) -> &mut Post<StrategyMessage> {
        let around = &self.around;
        self.strategies.entry(id).or_insert_with(|| Post::new(&around.directory, &names::strategy(id)))
    }

    fn publish(&mut self) {
        if !std::mem::take(&mut self.unpublished) {
            return;
        }
        let now = self.around.clock.now();
        let (orders, fills) = self.machine.counts();
        let view = self.machine.view(now);
        metrics::account_books(view.account, view.equity, view.day_pnl);
        self.around.views.set_account(AccountStanding {
            mode: self.machine.mode(),
            ready: self.machine.is_ready(),
            reconciled: self.machine.reconciled_at(),
            orders,
            fills,
            view,
            open: self.machine.open_reports(now),
            ended: self.ended.iter().cloned().collect(),
        });
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
