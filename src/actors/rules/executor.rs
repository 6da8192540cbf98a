//! An executor's rules around its order manager: what waits for which row, who hears of what, and the last look at the halt gate
//! before an order's bytes leave.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::tickets::Tickets;
use super::{Around, Journalling};
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::order::{AccountView, OrderIntent, OrderReport, TraceContext, VenueCommand, VenueEvent};
use crate::domain::order_manager::{Effect, Input, Order, OrderManager};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::reconcile::{Finding, Reconciliation};
use crate::domain::record::Record;
use crate::domain::risk::Approved;
use crate::domain::time::Timestamp;
use crate::messages::boards::AccountStanding;
use crate::messages::gate::Passage;
use crate::messages::{ExecutorMessage, KillWord, RiskMessage, StrategyMessage};

/// Ended orders that the status page shows of each account.
const ENDED_SHOWN: usize = 20;

/// The venue, and whoever logs and counts what happens. Only `hand_over` matters to trading.
pub trait Outside {
    /// Hands a command to the venue without waiting.
    ///
    /// # Errors
    /// When it surely did not leave.
    fn hand_over(&mut self, account: AccountId, command: VenueCommand) -> Result<(), String>;

    fn approved(&mut self, _intent: IntentId, _trace: Option<TraceContext>) {}
    fn journalling(&mut self, _now: Timestamp, _intent: &OrderIntent, _order: ClientOrderId) {}
    /// An order's bytes are about to leave.
    fn sending(&mut self, _now: Timestamp, _order: ClientOrderId) {}
    /// They left; told behind the message that sent them.
    fn sent(&mut self, _account: AccountId, _order: &Order) {}
    fn not_taken(&mut self, _account: AccountId, _is_question: bool, _why: &str) {}
    fn heard(&mut self, _now: Timestamp, _account: AccountId, _event: &VenueEvent) {}
    fn reported(&mut self, _report: &OrderReport) {}
    fn viewed(&mut self, _view: &AccountView) {}
    /// What a comparison with the venue came to.
    fn found(&mut self, _account: AccountId, _findings: &[Finding]) {}
}

pub struct Executor {
    machine: OrderManager,
    tickets: Tickets<Effect>,
    passage: Passage,
    risk_seen: Option<Incarnation>,
    /// The incarnation of each strategy that was told every open order; and whether everybody is being told right now.
    introduced: BTreeMap<StrategyId, Incarnation>,
    introducing: bool,
    modes_seen: Arc<ModeTable>,
    /// Orders that left and were not told of yet.
    untold: Vec<ClientOrderId>,
    /// An empty outbox with room, so that a step takes no memory.
    spare: Outbox<Record, Effect>,
    ended: VecDeque<Arc<OrderReport>>,
    unpublished: bool,
}

impl Executor {
    /// From what the journal says of the account. `start` is its first step.
    #[must_use]
    pub fn new(around: &impl Around, account: AccountId, epoch: Epoch, recv_window: Duration) -> Self {
        let modes = around.modes().get();
        let machine = OrderManager::new(account, epoch, modes.as_ref().clone(), around.journalled(account));
        let machine = machine.trading(around.roster().get().symbols.clone()).received_within(recv_window);
        Self {
            machine,
            tickets: Tickets::default(),
            passage: around.gate().passage(account, &modes),
            risk_seen: None,
            introduced: BTreeMap::new(),
            introducing: false,
            modes_seen: modes,
            untold: Vec::new(),
            spare: Outbox::new(),
            ended: VecDeque::new(),
            unpublished: true,
        }
    }

    #[must_use]
    pub fn machine(&self) -> &OrderManager {
        &self.machine
    }

    /// Asks the venue for everything.
    pub fn start(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        // What is held has its price before anybody asks for the day's figure.
        self.mark_held(around, outside);
        let mut out = Outbox::new();
        let now = around.now();
        self.machine.start(now, &mut out);
        self.carry(now, &mut out, around, outside);
        // What an earlier incarnation published of itself does not hold any more.
        self.publish(around, outside);
    }

    pub fn message(
        &mut self,
        message: ExecutorMessage,
        trace: Option<TraceContext>,
        around: &mut impl Journalling,
        outside: &mut impl Outside,
    ) {
        self.tell_sent(outside);
        let input = match message {
            ExecutorMessage::Submit(approved) => {
                self.meet_risk(around, outside);
                outside.approved(approved.get().id, trace);
                still_wanted(approved, around)
            }
            ExecutorMessage::Cancel { symbol, client_order_id, reason } => Input::Cancel { symbol, client_order_id, reason },
            ExecutorMessage::CancelWhere { symbol, strategy, reason } => Input::CancelWhere { symbol, strategy, reason },
            ExecutorMessage::SetLeverage { symbol, leverage } => Input::SetLeverage { symbol, leverage },
            ExecutorMessage::Venue(event) => {
                outside.heard(around.now(), self.machine.account(), &event);
                Input::Venue(*event)
            }
            ExecutorMessage::Journalled { ticket, failure } => return self.journalled(ticket, failure.as_deref(), around, outside),
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
                self.step(Input::Reconnected, around, outside);
                return self.publish(around, outside);
            }
            ExecutorMessage::Tick => return self.tick(around, outside),
        };
        self.step(input, around, outside);
    }

    fn step(&mut self, input: Input, around: &mut impl Journalling, outside: &mut impl Outside) {
        let now = around.now();
        let mut out = std::mem::take(&mut self.spare);
        self.machine.on(now, input, &mut out);
        self.carry(now, &mut out, around, outside);
        self.spare = out;
        self.unpublished = true;
        // Whoever is told that an account is halted and empty looks at its standing next; it does not wait for the beat. Only
        // the last order's end is told so: a standing lists every open order, and many ends come at once.
        if self.machine.is_ready() && self.machine.mode() != Mode::Normal && self.machine.open_orders().next().is_none() {
            self.publish(around, outside);
        }
    }

    /// A new risk manager makes itself known by message; its first approval may be quicker than that.
    fn meet_risk(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let running = around.risk_incarnation();
        if running != self.risk_seen
            && let Some(incarnation) = running
        {
            self.risk_seen = running;
            self.step(Input::RiskManager(incarnation), around, outside);
        }
    }

    fn mark_held(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let held: Vec<_> = self.machine.positions().open().map(|(symbol, _, _)| symbol).collect();
        for symbol in held {
            if let Some(price) = around.board().get(symbol).and_then(|view| view.reference()) {
                self.step(Input::Mark { symbol, price }, around, outside);
            }
        }
    }

    fn tick(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        self.mark_held(around, outside);
        self.meet_risk(around, outside);
        // A message that fell between two incarnations is made good here.
        let modes = around.modes().get();
        if !Arc::ptr_eq(&modes, &self.modes_seen) {
            self.modes_seen = Arc::clone(&modes);
            self.step(Input::Modes(modes.as_ref().clone()), around, outside);
        }
        self.step(Input::Tick, around, outside);
        self.publish(around, outside);
    }

    fn carry(&mut self, now: Timestamp, out: &mut Outbox<Record, Effect>, around: &mut impl Journalling, outside: &mut impl Outside) {
        for step in out.drain() {
            match step {
                Step::Do(effect) => self.effect(effect, around, outside),
                Step::Persist { rows, then } if then.is_empty() => around.note(rows),
                Step::Persist { rows, then } => self.persist(now, rows, then, around, outside),
            }
        }
    }

    fn persist(&mut self, now: Timestamp, rows: Vec<Record>, then: Vec<Effect>, around: &mut impl Journalling, outside: &mut impl Outside) {
        for row in &rows {
            if let Record::OrderIntended { intent, order, .. } = row {
                outside.journalling(now, intent, order.client_order_id);
            }
        }
        let ticket = self.tickets.issue(then);
        around.append(rows, ticket);
    }

    fn journalled(&mut self, ticket: u64, failure: Option<&str>, around: &mut impl Journalling, outside: &mut impl Outside) {
        for effect in self.tickets.redeem(ticket) {
            match (failure, effect) {
                (None, effect) => self.effect(effect, around, outside),
                (Some(why), Effect::Send(VenueCommand::Place(order))) => {
                    let (client_order_id, why) = (order.client_order_id, why.to_owned());
                    self.step(Input::NotSent { client_order_id, why }, around, outside);
                }
                (Some(_), _) => {}
            }
        }
    }

    fn effect(&mut self, effect: Effect, around: &mut impl Journalling, outside: &mut impl Outside) {
        match effect {
            Effect::Send(command) => self.send(command, around, outside),
            Effect::Report(report) => self.report(report, around, outside),
            Effect::Book(book) => {
                self.introducing = true;
                // A risk manager announces itself from its start, and its address may follow a moment later: a book that
                // did not arrive is told again with the next beat.
                if around.risk(RiskMessage::Book(book), None).is_err() {
                    self.risk_seen = None;
                }
            }
            Effect::Recovering(book) => {
                // As a book: told again with the next beat.
                if around.risk(RiskMessage::Recovering(book), None).is_err() {
                    self.risk_seen = None;
                }
            }
            Effect::Account(view) => self.account(Arc::new(*view), around, outside),
            Effect::Fault { scope, class, detail } => around.kill_switch(KillWord::Fault { scope, class, detail }),
            Effect::Trip { mode, cause } => {
                let scope = Scope::Account(self.machine.account());
                around.kill_switch(KillWord::Trip { scope, mode, cause });
            }
            Effect::Reconciled(reconciliation) => self.reconciled(Arc::new(*reconciliation), around, outside),
            Effect::Found(findings) => outside.found(self.machine.account(), &findings),
            Effect::Ready => {
                around.ready();
                // Whoever sees it ready finds its mode beside it, not with the next beat.
                self.unpublished = true;
                self.publish(around, outside);
            }
        }
    }

    /// Strategies keep it until the account's next view, which opens the account to them again.
    fn reconciled(&mut self, reconciliation: Arc<Reconciliation>, around: &mut impl Journalling, outside: &mut impl Outside) {
        outside.found(reconciliation.account, &reconciliation.findings);
        for id in around.roster().strategies_of(reconciliation.account) {
            // One that is gone finds the account as it is when it is back.
            drop(around.strategy(id, StrategyMessage::Reconciled(Arc::clone(&reconciliation)), None));
        }
    }

    /// A strategy trades from its first view on and must know its orders by then: an incarnation that was not told all of them
    /// (behind a book come the reports of every order, then the view) hears of the account when it has asked.
    fn account(&mut self, view: Arc<AccountView>, around: &mut impl Journalling, outside: &mut impl Outside) {
        outside.viewed(&view);
        let introducing = std::mem::take(&mut self.introducing);
        for id in around.roster().strategies_of(self.machine.account()) {
            let Some(incarnation) = around.strategy_incarnation(id) else { continue };
            // A strategy that is gone asks for everything when it is back.
            if introducing {
                self.introduced.insert(id, incarnation);
                drop(around.strategy(id, StrategyMessage::Anew(view.account), None));
            }
            if self.introduced.get(&id) == Some(&incarnation) {
                drop(around.strategy(id, StrategyMessage::Account(Arc::clone(&view)), None));
            }
        }
        drop(around.risk(RiskMessage::Account(view), None));
    }

    /// Orders pass the gate here, at the last instruction before they leave; everything else goes as it is.
    fn send(&mut self, command: VenueCommand, around: &mut impl Journalling, outside: &mut impl Outside) {
        let VenueCommand::Place(order) = &command else {
            return self.hand_over(command, None, around, outside);
        };
        let id = order.client_order_id;
        let (reduce_only, rests) = (order.reduce_only, order.rests());
        if let Err(why) = self.machine.may_leave(id) {
            return self.step(Input::NotSent { client_order_id: id, why }, around, outside);
        }
        if let Some(_leaving) = self.passage.enter(reduce_only, rests) {
            self.hand_over(command, Some(id), around, outside);
        } else {
            self.step(Input::NotSent { client_order_id: id, why: "the halt gate is closed".to_owned() }, around, outside);
        }
    }

    fn hand_over(
        &mut self,
        command: VenueCommand,
        placed: Option<ClientOrderId>,
        around: &mut impl Journalling,
        outside: &mut impl Outside,
    ) {
        if let Some(id) = placed {
            outside.sending(around.now(), id);
        }
        // Asked again as soon as the connection is there: at the start it never is.
        let question = matches!(command, VenueCommand::Snapshot { .. } | VenueCommand::Query { .. });
        let refused = outside.hand_over(self.machine.account(), command).err();
        match (placed, refused) {
            (Some(client_order_id), None) => {
                self.step(Input::Sent { client_order_id }, around, outside);
                self.untold.push(client_order_id);
            }
            (Some(client_order_id), Some(why)) => self.step(Input::NotSent { client_order_id, why }, around, outside),
            (None, Some(why)) => outside.not_taken(self.machine.account(), question, &why),
            (None, None) => {}
        }
    }

    /// With the next message, because a log line takes longer than the order itself: the connection writes the order's bytes when
    /// this message is done. The journal knew of the order before that.
    fn tell_sent(&mut self, outside: &mut impl Outside) {
        let account = self.machine.account();
        for id in self.untold.drain(..) {
            if let Some(order) = self.machine.order(id) {
                outside.sent(account, order);
            }
        }
    }

    fn report(&mut self, report: Arc<OrderReport>, around: &mut impl Journalling, outside: &mut impl Outside) {
        outside.reported(&report);
        if report.status.is_terminal() {
            self.ended.push_back(Arc::clone(&report));
            if self.ended.len() > ENDED_SHOWN {
                self.ended.pop_front();
            }
        }
        let trace: Option<TraceContext> = report.trace;
        // Whoever is gone asks for everything when it is back.
        if let Some(strategy) = report.strategy {
            drop(around.strategy(strategy, StrategyMessage::Report(Arc::clone(&report)), trace));
        }
        drop(around.risk(RiskMessage::Report(report), trace));
    }

    fn publish(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        if !std::mem::take(&mut self.unpublished) {
            return;
        }
        let now = around.now();
        let (orders, fills) = self.machine.counts();
        let view = self.machine.view(now);
        outside.viewed(&view);
        around.views().set_account(AccountStanding {
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

/// A strategy that was stopped while its intent was on its way must not leave an order behind that nobody looks after.
fn still_wanted(approved: Approved<Arc<OrderIntent>>, around: &impl Around) -> Input {
    let OrderIntent { strategy, account, .. } = **approved.get();
    if around.roster().trades(strategy, account) {
        return Input::Submit(approved);
    }
    Input::Withdrawn { approved, why: format!("{strategy} no longer trades {account}") }
}
