//! The kill switch's rules around its machine. Gate first, then the venue, then disk and everybody else. Whatever message comes,
//! the words in the inbox are handled before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Journalling;
use super::tickets::Tickets;
use crate::domain::ids::AccountId;
use crate::domain::kill_switch::{Effect, Input, KillSwitch, Raising};
use crate::domain::ladder::{ModeTable, Transition};
use crate::domain::mode::{Mode, Scope};
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::Record;
use crate::domain::time::Timestamp;
use crate::messages::inbox::{Progress, Reply};
use crate::messages::{CommandAnswer, ExecutorMessage, KillMessage, KillWord, RiskMessage};

/// What the kill switch tells the application around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Modes changed; `raised` are scopes that are back to Normal.
    Modes {
        raised: Vec<Scope>,
    },
    /// To be up and held against its venue, because somebody wants it raised.
    Wanted(AccountId),
    /// Being emptied: what was confirmed of it before does not count any more.
    Sweeping(AccountId),
    Confirmed(AccountId),
    /// Emptied, and not halted.
    Emptied(AccountId),
    Unconfirmed(AccountId, String),
}

/// How long one question to the venue may take. The tries behind it go on meanwhile.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// How long a look at what is open may take: several questions one behind the other, and behind the cancels. A venue that has become
/// slow still confirms a halt.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// The kill switch's own way to the venue, the files beside the journal, and whoever is told.
pub trait Outside {
    /// Asks the venue on the kill switch's own connection. `heard` of each event of the answer comes back to this incarnation, and
    /// `Silent` when there is none within the deadline.
    fn ask(&mut self, account: AccountId, round: u64, command: VenueCommand, deadline: Duration);
    /// Straight into the preallocated file: what must not wait for a sick disk.
    fn emergency(&mut self, row: Record);
    fn store_latch(&mut self, modes: &ModeTable);
    fn notice(&mut self, notice: Notice);
    /// Tells the reply `Settled` behind everything that was written before.
    fn settle(&mut self, reply: Reply, accepted: bool, text: String);

    fn died_of(&mut self, _word: &KillWord) {}
    fn lowered(&mut self, _row: &Record) {}
    fn raised(&mut self, _transition: &Transition, _by: &str) {}
    fn not_raised(&mut self, _why: &str) {}
    fn confirmed(&mut self, _account: AccountId, _took: Duration) {}
    fn unconfirmed(&mut self, _account: AccountId, _why: &str) {}
}

pub struct KillSwitchRules {
    machine: KillSwitch,
    tickets: Tickets<Effect>,
    /// Commands that wait for their answers.
    answering: BTreeMap<u64, Reply>,
    published: ModeTable,
    /// Whether the beat before this one found the gate slammed and nobody's word why.
    slam_seen: bool,
    /// Looks that are on their way, by the round that asked: a second one beside it would only make a slow venue slower.
    looking: BTreeMap<AccountId, u64>,
    /// When each account was last found to agree with its venue, as last seen.
    standings: BTreeMap<AccountId, Timestamp>,
    /// Answers that were given and wait for what they say to be shown.
    settling: Vec<(Reply, bool, String)>,
}

impl KillSwitchRules {
    #[must_use]
    pub fn new(machine: KillSwitch) -> Self {
        Self {
            machine,
            tickets: Tickets::default(),
            answering: BTreeMap::new(),
            published: ModeTable::default(),
            slam_seen: false,
            looking: BTreeMap::new(),
            standings: BTreeMap::new(),
            settling: Vec::new(),
        }
    }

    #[must_use]
    pub fn machine(&self) -> &KillSwitch {
        &self.machine
    }

    pub fn start(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let mut out = Outbox::new();
        self.machine.start(around.now(), &mut out);
        self.carry(out, around, outside);
        // What the incarnation before left undone, before the slam that some of it came with is answered without its words.
        self.hear(around, outside);
        if around.gate().is_slammed() {
            self.answer_slam(around, outside);
        }
        around.ready();
    }

    pub fn message(&mut self, message: KillMessage, around: &mut impl Journalling, outside: &mut impl Outside) {
        self.look_at_accounts(around, outside);
        self.hear(around, outside);
        if let KillMessage::Shows { account, .. } | KillMessage::Silent { account, .. } = &message {
            self.looking.remove(account);
        }
        let input = match message {
            KillMessage::Wake => return,
            KillMessage::Shows { account, round, snapshot } => Input::Shows { account, round, snapshot },
            KillMessage::Silent { account, why } => Input::Silent { account, why },
            KillMessage::Journalled { ticket, failure } => return self.journalled(ticket, failure.as_deref(), around, outside),
            KillMessage::Accounts(accounts) => return self.machine.set_accounts(accounts),
            KillMessage::Tick => {
                self.look_at_gate(around, outside);
                Input::Tick
            }
        };
        self.step(input, around, outside);
    }

    fn journalled(&mut self, ticket: u64, failure: Option<&str>, around: &mut impl Journalling, outside: &mut impl Outside) {
        for effect in self.tickets.redeem(ticket) {
            match (failure, effect) {
                (None, effect) => self.effect(effect, around, outside),
                (Some(why), Effect::Raise(raising)) => {
                    outside.not_raised(why);
                    self.step(Input::NotRaised { raising, why: why.to_owned() }, around, outside);
                }
                // What makes things stricter is in the emergency file, and goes on.
                (Some(_), Effect::Noted { number }) => self.step(Input::Noted(number), around, outside),
                // Nothing else waits for its row.
                (Some(_), _) => {}
            }
        }
    }

    /// When each account was last found to agree with its venue, as its executor published it. What a dead one published says nothing.
    fn look_at_accounts(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let (roster, standings) = (around.roster().get(), around.views().accounts());
        for account in roster.accounts.iter().copied() {
            let up = around.is_executor_up(account);
            let reconciled = standings.get(&account).filter(|standing| up && standing.ready).and_then(|standing| standing.reconciled);
            let before = match reconciled {
                Some(at) => self.standings.insert(account, at),
                None => self.standings.remove(&account),
            };
            if before != reconciled {
                self.step(Input::Standing { account, reconciled }, around, outside);
            }
        }
    }

    fn step(&mut self, input: Input, around: &mut impl Journalling, outside: &mut impl Outside) {
        let mut out = Outbox::new();
        self.machine.on(around.now(), input, &mut out);
        self.carry(out, around, outside);
        around.inbox().keep_unfinished(self.machine.unfinished());
    }

    /// Handles every word that waits. One that an incarnation died of is tried once more, and everything is halted with it:
    /// nobody knows how far it came.
    fn hear(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        loop {
            let Some(begun) = around.inbox().begin() else { return };
            if begun.again {
                outside.died_of(&begun.word);
            }
            let input = match begun.word {
                KillWord::Fault { scope, class, detail } => Input::Fault { scope, class, detail },
                KillWord::Trip { scope, mode, cause } => Input::Trip { scope, mode, cause },
                KillWord::Operator { order, reply } => {
                    self.answering.insert(begun.id, reply);
                    Input::Operator { id: begun.id, order }
                }
            };
            self.step(input, around, outside);
            around.inbox().done(begun.id);
        }
    }

    /// Whoever slams the gate says why in the next instant. A slam that stands for a whole beat lost its word on the way.
    fn look_at_gate(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let slammed = around.gate().is_slammed();
        if slammed && self.slam_seen {
            self.answer_slam(around, outside);
        }
        self.slam_seen = slammed && !self.slam_seen;
    }

    /// The halt that a slammed gate announced.
    fn answer_slam(&mut self, around: &mut impl Journalling, outside: &mut impl Outside) {
        let cause = "the gate was found closed: a halt was asked for, and its message was lost".to_owned();
        self.step(Input::Trip { scope: Scope::Global, mode: Mode::Halted, cause }, around, outside);
        // Where everything was halted already there was nothing to decide.
        around.gate().set(self.machine.modes());
    }

    fn carry(&mut self, mut out: Outbox<Record, Effect>, around: &mut impl Journalling, outside: &mut impl Outside) {
        for step in out.drain().collect::<Vec<_>>() {
            match step {
                Step::Do(effect) => self.effect(effect, around, outside),
                // Rows of a halt go to the emergency file as well when the journal cannot take them; nothing waits for either.
                Step::Persist { rows, then } if then.is_empty() => {
                    rows.iter().for_each(|row| outside.lowered(row));
                    around.note(rows);
                }
                // What does wait is a resume: it is durable first, and told when it is; and what cannot be taken back of a halt.
                Step::Persist { rows, then } => {
                    rows.iter().for_each(|row| outside.lowered(row));
                    let ticket = self.tickets.issue(then);
                    around.append(rows, ticket);
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect, around: &mut impl Journalling, outside: &mut impl Outside) {
        match effect {
            Effect::SetGate(modes) => around.gate().set(&modes),
            Effect::Publish(modes) => self.publish(modes, around, outside),
            Effect::Noted { number } => self.step(Input::Noted(number), around, outside),
            Effect::Reported(modes) => {
                around.modes().report(modes);
                for (reply, accepted, text) in std::mem::take(&mut self.settling) {
                    outside.settle(reply, accepted, text);
                }
            }
            Effect::Reconcile { account } => {
                // One that is up compares now; one that gave up is brought back, and does so first of all.
                drop(around.executor(account, ExecutorMessage::Reconnected, None));
                outside.notice(Notice::Wanted(account));
            }
            Effect::Raise(raising) => self.raise(raising, around, outside),
            Effect::Send { account, round, command } => self.send(account, round, command, around, outside),
            Effect::Sweeping { account } => outside.notice(Notice::Sweeping(account)),
            Effect::Emptied { account } => outside.notice(Notice::Emptied(account)),
            Effect::Confirmed { account, took, .. } => {
                outside.confirmed(account, took);
                outside.notice(Notice::Confirmed(account));
            }
            Effect::Unconfirmed { account, why, .. } => {
                outside.unconfirmed(account, &why);
                outside.notice(Notice::Unconfirmed(account, why));
            }
            Effect::Answer { id, accepted, text } => {
                if let Some(reply) = self.answering.remove(&id) {
                    // Behind everything that the command wrote: what a person was told outlives a kill in the next instant. The
                    // command itself waits for nothing.
                    reply.tell(Progress::Acted(CommandAnswer { accepted, text: text.clone() }));
                    if self.machine.is_noting() {
                        self.settling.push((reply, accepted, text));
                    } else {
                        outside.settle(reply, accepted, text);
                    }
                }
            }
        }
    }

    fn raise(&mut self, raising: Raising, around: &mut impl Journalling, outside: &mut impl Outside) {
        let (raised, by) = (raising.raise.transition.clone(), raising.by.clone());
        self.step(Input::Raised(raising), around, outside);
        if self.machine.modes().of(raised.scope) == raised.to {
            outside.raised(&raised, &by);
        }
    }

    fn publish(&mut self, modes: ModeTable, around: &mut impl Journalling, outside: &mut impl Outside) {
        let raised = self.published.iter().map(|entry| entry.scope).filter(|scope| modes.of(*scope) == Mode::Normal).collect();
        self.published = modes.clone();
        outside.store_latch(&modes);
        let modes = Arc::new(modes);
        around.modes().set(Arc::clone(&modes));
        // Whoever is not there reads the board when it is back.
        drop(around.risk(RiskMessage::Modes(Arc::clone(&modes)), None));
        let roster = around.roster().get();
        for account in &roster.accounts {
            drop(around.executor(*account, ExecutorMessage::Modes(Arc::clone(&modes)), None));
            for entry in modes.iter().filter(|entry| entry.mode >= Mode::CancelOnly) {
                let (symbol, strategy) = match entry.scope {
                    Scope::Symbol(symbol) => (Some(symbol), None),
                    Scope::Strategy(strategy) => (None, Some(strategy)),
                    Scope::Global | Scope::Account(_) => continue,
                };
                let message = ExecutorMessage::CancelWhere { symbol, strategy, reason: entry.cause.clone() };
                drop(around.executor(*account, message, None));
            }
        }
        outside.notice(Notice::Modes { raised });
    }

    fn send(&mut self, account: AccountId, round: u64, command: VenueCommand, around: &mut impl Journalling, outside: &mut impl Outside) {
        if let VenueCommand::Place(order) = &command {
            let detail = format!("reducing {} {} {}", order.side, order.quantity, order.symbol);
            let event = "flatten".to_owned();
            outside.emergency(Record::KillSwitch { scope: Scope::Account(account), event, detail });
        }
        let is_look = matches!(command, VenueCommand::Snapshot { .. });
        if is_look && around.gate().is_leaving(account) {
            // It would not have the order that is just leaving; the machine asks again.
            return self.step(Input::Silent { account, why: "an order was just leaving".to_owned() }, around, outside);
        }
        if is_look && self.looking.insert(account, round) == Some(round) {
            return;
        }
        let deadline = if is_look { LOOK_DEADLINE } else { ANSWER_DEADLINE };
        outside.ask(account, round, command, deadline);
    }
}

/// What of the venue's answer the kill switch goes by.
#[must_use]
pub fn heard(account: AccountId, round: u64, event: VenueEvent) -> Option<KillMessage> {
    match event {
        VenueEvent::SnapshotIs(snapshot) => Some(KillMessage::Shows { account, round, snapshot }),
        VenueEvent::CommandFailed { command, why } => Some(KillMessage::Silent { account, why: format!("{command}: {why}") }),
        VenueEvent::Rejected { code, message, .. } => Some(KillMessage::Silent { account, why: format!("{code} {message}") }),
        _ => None,
    }
}
