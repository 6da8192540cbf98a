//! What an actor's rules reach in the simulation: the same boards as in the daemon, and mailboxes, journal and venue of the hub.
//! Behind a fuse that burned down nothing is reached any more: the rules go on to the end of their message, and nobody notices.

use std::cell::RefCell;
use std::time::Duration;

use crate::actors::rules::kill_switch::Notice;
use crate::actors::rules::{Around, Journalling, executor, kill_switch, market, risk_manager, strategy};
use crate::domain::ids::{AccountId, Incarnation, StrategyId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::order::{OrderIntent, OrderReport, Refusal, TraceContext, VenueCommand};
use crate::domain::record::Record;
use crate::domain::recovery::AccountState;
use crate::domain::risk::Memory;
use crate::domain::time::Timestamp;
use crate::messages::boards::Roster;
use crate::messages::inbox::Reply;
use crate::messages::{
    Board, ExecutorMessage, HaltGate, KillInbox, KillMessage, KillWord, ModeBoard, RiskMessage, StrategyMessage, Views, Wires,
};

use super::super::checker::Observation;
use super::hub::Then;
use super::{Asked, Boards, Event, Hub, Mail, Role};

/// One actor's hands. Cheap: the rules get two, one for what is around them and one for what is outside.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    pub hub: &'a RefCell<Hub>,
    pub boards: &'a Boards,
    /// What somebody who is dead writes on.
    pub void: &'a Boards,
    pub notices: &'a RefCell<Vec<Notice>>,
    pub role: Role,
    pub incarnation: Incarnation,
}

impl Ports<'_> {
    /// The boards, or for the dead a copy that nobody reads.
    fn reach(&self) -> &Boards {
        if self.hub.borrow().is_swallowed() { self.void } else { self.boards }
    }

    /// The next effect, if it still happens.
    fn act<T>(&self, dead: T, effect: impl FnOnce(&mut Hub) -> T) -> T {
        let mut hub = self.hub.borrow_mut();
        if hub.burns() { effect(&mut hub) } else { dead }
    }

    fn post<M>(&self, to: Option<Role>, message: M, wrap: fn(M) -> Mail, unwrap: fn(Mail) -> Option<M>) -> Result<(), M> {
        let Some(to) = to else { return Err(message) };
        let mut kept = Some(message);
        let sent = self.act(Ok(()), |hub| match kept.take() {
            Some(message) => hub.post(to, wrap(message)),
            None => Ok(()),
        });
        // Invariant: what comes back is what was sent.
        sent.map_err(|mail| unwrap(*mail).expect("invariant: a mailbox gives back the mail that it was given"))
    }
}

impl Around for Ports<'_> {
    fn now(&self) -> Timestamp {
        self.hub.borrow().time()
    }

    fn board(&self) -> &Board {
        &self.reach().board
    }

    fn modes(&self) -> &ModeBoard {
        &self.reach().modes
    }

    fn views(&self) -> &Views {
        &self.reach().views
    }

    fn roster(&self) -> &Roster {
        // Read only by the rules, and needed to go on to the end of the message.
        &self.boards.roster
    }

    fn gate(&self) -> &HaltGate {
        &self.reach().gate
    }

    fn inbox(&self) -> &KillInbox {
        &self.reach().inbox
    }

    fn journalled(&self, account: AccountId) -> AccountState {
        let hub = self.hub.borrow();
        hub.journal.as_ref().map_or_else(|| AccountState::new(account), |journal| journal.account(account))
    }

    fn risk_memory(&self) -> Memory {
        self.hub.borrow().journal.as_ref().map(|journal| journal.state().risk_memory()).unwrap_or_default()
    }

    fn note(&mut self, rows: Vec<Record>) {
        if !rows.is_empty() {
            self.act((), |hub| hub.write(rows, Then::Nobody));
        }
    }

    fn risk(&mut self, message: RiskMessage, _trace: Option<TraceContext>) -> Result<(), RiskMessage> {
        // Who tells a risk manager its book has met it: approvals of an earlier one are void from here on.
        if let (RiskMessage::Book(book), Some(risk)) = (&message, self.risk_incarnation()) {
            let account = book.view.account;
            let mut hub = self.hub.borrow_mut();
            if !hub.is_swallowed() {
                hub.observe(&Observation::RiskMet { account, risk });
            }
        }
        self.post(Some(Role::Risk), message, Mail::Risk, |mail| if let Mail::Risk(message) = mail { Some(message) } else { None })
    }

    fn executor(&mut self, account: AccountId, message: ExecutorMessage, _trace: Option<TraceContext>) -> Result<(), ExecutorMessage> {
        let to = Role::executor_of(account, &self.hub.borrow().scene);
        let submitted = if let ExecutorMessage::Submit(approved) = &message { Some(approved.clone()) } else { None };
        if let Some(approved) = &submitted {
            self.hub.borrow_mut().observe(&Observation::Approved { intent: approved.get(), by: approved.incarnation() });
        }
        let unwrap = |mail| if let Mail::Executor(message) = mail { Some(message) } else { None };
        let sent = self.post(to, message, Mail::Executor, unwrap);
        let Some(approved) = submitted else { return sent };
        let mut hub = self.hub.borrow_mut();
        if sent.is_err() {
            hub.observe(&Observation::NotTaken { account, intent: approved.get().id });
        } else if hub.redeliver
            && let Some(to) = to
        {
            // The same command again, behind whatever else waits.
            hub.redeliver = false;
            hub.fired(super::super::Class::F21Redelivered, Some(account));
            drop(hub.post(to, Mail::Executor(ExecutorMessage::Submit(approved))));
        }
        sent
    }

    fn strategy(&mut self, id: StrategyId, message: StrategyMessage, _trace: Option<TraceContext>) -> Result<(), StrategyMessage> {
        let to = self.hub.borrow().scene.strategies.iter().position(|known| *known == id).map(Role::Strategy);
        self.post(to, message, Mail::Strategy, |mail| if let Mail::Strategy(message) = mail { Some(message) } else { None })
    }

    fn kill_switch(&mut self, word: KillWord) {
        let inbox = &self.boards.inbox;
        self.act((), |hub| {
            hub.say(self.role, format_args!("→ kill_switch {word:?}"));
            // Without room for it everything is being halted.
            let _ = inbox.push(word);
            drop(hub.post(Role::KillSwitch, Mail::Kill(KillMessage::Wake)));
        });
    }

    fn risk_incarnation(&mut self) -> Option<Incarnation> {
        self.hub.borrow().incarnation(Role::Risk)
    }

    fn strategy_incarnation(&mut self, id: StrategyId) -> Option<Incarnation> {
        let hub = self.hub.borrow();
        let place = hub.scene.strategies.iter().position(|known| *known == id)?;
        hub.incarnation(Role::Strategy(place))
    }

    fn is_executor_up(&mut self, account: AccountId) -> bool {
        let hub = self.hub.borrow();
        Role::executor_of(account, &hub.scene).is_some_and(|role| hub.incarnation(role).is_some())
    }

    fn ready(&mut self) {
        let (role, incarnation) = (self.role, self.incarnation);
        self.act((), |hub| {
            let Some(mailbox) = hub.boxes.get_mut(&role).filter(|mailbox| mailbox.owner == Some(incarnation)) else { return };
            if std::mem::replace(&mut mailbox.told_ready, true) {
                return;
            }
            let due = hub.soon(200);
            hub.at(due, Event::Ready(role, incarnation));
        });
        if let Role::Executor(at) = role {
            let account = self.hub.borrow().scene.accounts[at];
            self.act((), |hub| hub.observe(&Observation::Executor { account, ready: true }));
        }
    }
}

impl Journalling for Ports<'_> {
    fn append(&mut self, rows: Vec<Record>, ticket: u64) {
        let then = Then::Actor(self.role, self.incarnation, ticket);
        self.act((), |hub| hub.write(rows, then));
    }
}

impl executor::Outside for Ports<'_> {
    fn hand_over(&mut self, account: AccountId, command: VenueCommand) -> Result<(), String> {
        let everything = matches!(command, VenueCommand::Snapshot { .. });
        let dead = Err("killed".to_owned());
        self.act(dead, |hub| {
            hub.say(self.role, format_args!("→ venue {command:?}"));
            if everything && !hub.is_ready(self.role) {
                hub.observe(&Observation::Executor { account, ready: false });
            }
            hub.hand_over(account, command)
        })
    }

    fn reported(&mut self, report: &OrderReport) {
        let mut hub = self.hub.borrow_mut();
        if hub.is_swallowed() {
            return;
        }
        hub.say(self.role, format_args!("{} {} {:?}", report.client_order_id, report.status, report.detail));
        hub.observe(&Observation::Reported(report));
        if let Some(fill) = &report.fill {
            hub.observe(&Observation::Booked { fill });
        }
    }
}

impl risk_manager::Outside for Ports<'_> {
    fn deciding(&mut self, intent: &OrderIntent, _signal: Option<TraceContext>) -> Option<TraceContext> {
        let price = self.boards.board.get(intent.symbol).and_then(|view| view.reference());
        if let Some(price) = price {
            self.hub.borrow_mut().observe(&Observation::Reference { symbol: intent.symbol, price });
        }
        None
    }

    fn refused(&mut self, refusal: &Refusal) {
        self.hub.borrow_mut().observe(&Observation::Refused(refusal));
        self.hub.borrow_mut().say(self.role, format_args!("refused {} of {}: {refusal}", refusal.intent, refusal.strategy));
    }
}

impl kill_switch::Outside for Ports<'_> {
    fn ask(&mut self, account: AccountId, round: u64, command: VenueCommand, deadline: Duration) {
        let incarnation = self.incarnation;
        self.act((), |hub| {
            hub.say(self.role, format_args!("→ venue {account} {command:?}"));
            let request = hub.ask(account, command);
            hub.asked.insert(request, Asked::KillSwitch { incarnation, account, round });
            hub.at(hub.now + deadline, Event::Overdue(request));
        });
    }

    fn emergency(&mut self, row: Record) {
        self.act((), |hub| hub.emergency(row));
    }

    fn store_latch(&mut self, modes: &ModeTable) {
        self.act((), |hub| {
            hub.say(self.role, format_args!("modes {:?}", modes.iter().map(|entry| (entry.scope, entry.mode)).collect::<Vec<_>>()));
            hub.log.hash(modes);
            hub.set_gate(modes);
            hub.observe(&Observation::Gate { modes });
            hub.observe(&Observation::Modes { modes });
            hub.latch(modes);
        });
    }

    fn notice(&mut self, notice: Notice) {
        let notices = self.notices;
        self.act((), |_| notices.borrow_mut().push(notice));
    }

    fn settle(&mut self, reply: Reply, accepted: bool, text: String) {
        self.act((), |hub| {
            hub.say(self.role, format_args!("answered {accepted}: {text}"));
            hub.write(Vec::new(), Then::Reply(reply, accepted, text));
        });
    }
}

impl market::Outside for Ports<'_> {
    fn wires(&self) -> &Wires {
        &self.reach().wires
    }

    fn fetch_book(&mut self, symbol: Symbol) {
        let (role, incarnation) = (self.role, self.incarnation);
        self.act((), |hub| {
            let Role::Market(at) = role else { return };
            let request = hub.venue.depth(hub.now, symbol);
            hub.asked.insert(request, Asked::Book { symbol: at, incarnation });
            hub.at(hub.now + HISTORY_DEADLINE, Event::Overdue(request));
        });
    }
}

impl strategy::Outside for Ports<'_> {
    fn fetch_history(&mut self, symbol: Symbol, interval: Duration, wanted: usize) {
        let (role, incarnation) = (self.role, self.incarnation);
        self.act((), |hub| {
            let Role::Strategy(at) = role else { return };
            let request = hub.venue.candles(hub.now, symbol, interval, wanted);
            hub.asked.insert(request, Asked::History { strategy: at, incarnation, symbol });
            hub.at(hub.now + HISTORY_DEADLINE, Event::Overdue(request));
        });
    }

    fn proposing(&mut self, intent: &OrderIntent) -> Option<TraceContext> {
        self.hub.borrow_mut().say(self.role, format_args!("proposes {intent:?}"));
        None
    }
}

/// As the daemon's: how long a request for history may take.
const HISTORY_DEADLINE: Duration = Duration::from_secs(5);
