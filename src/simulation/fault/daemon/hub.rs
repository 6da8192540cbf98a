//! What the actors of a simulated daemon act upon: mailboxes, the journal, the venue, time. Everything that leaves an actor goes
//! through here, is told to the checker, and is where a death may strike in the middle of a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::dead_man::Countdown;
use crate::domain::ids::{AccountId, Epoch, Incarnation, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::order::VenueCommand;
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::DaemonState;
use crate::domain::restart::{ChildName, ExitHow};
use crate::domain::risk::limits::RiskLimits;
use crate::domain::time::Timestamp;
use crate::messages::inbox::{Progress, Reply};
use crate::messages::{CommandAnswer, Journalled};

use super::super::checker::{Checker, Observation, Sender};
use super::super::clock::MachineClock;
use super::super::disk::{SimJournal, Ticket};
use super::super::log::Log;
use super::super::scene::{START, Scene};
use super::super::venue::{Connection, Request, SimVenue, VenueFact};
use super::super::{Class, Random};
use super::{Mail, Mailbox, Role};

/// Something that happens at its time.
#[derive(Debug)]
pub enum Event {
    /// `pre_start` of an incarnation.
    Begin(Role, Incarnation),
    /// Its address is found from here on.
    Publish(Role, Incarnation),
    Gone(Role, Incarnation, ExitHow),
    Ready(Role, Incarnation),
    Beat(Role, Incarnation),
    /// A supervisor's timer, and the time of supervision's clock that it is for.
    Wake(ChildName, Timestamp),
    /// The journal writer's turn.
    Commit,
    /// Nobody waits for that answer any more.
    Overdue(Request),
    /// The trading thread has been silent for too long.
    Watchdog,
    /// A process that halted by itself ends, confirmed or not.
    ExitDeadline,
    /// The daemon is started (again).
    Boot,
    /// One of the plan's faults.
    Fault(usize),
    /// The operator looks at his screen.
    Operator,
    /// Faults stop.
    Calm,
    /// Both sides are compared.
    Compare,
}

/// What a question on a connection of its own is for.
#[derive(Debug, Clone)]
pub enum Asked {
    KillSwitch {
        incarnation: Incarnation,
        account: AccountId,
        round: u64,
    },
    Book {
        symbol: usize,
        incarnation: Incarnation,
    },
    History {
        strategy: usize,
        incarnation: Incarnation,
        symbol: Symbol,
    },
    CountDown {
        incarnation: Incarnation,
        word: Countdown,
    },
    /// The end of a process without a kill switch cancels; nobody hears the answer.
    LastResort,
}

/// Who waits for rows.
#[derive(Debug)]
pub enum Then {
    Nobody,
    Actor(Role, Incarnation, u64),
    Reply(Reply, bool, String),
}

/// What strikes in the middle of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Panic,
    /// The whole process; with `power`, the machine.
    Kill {
        power: bool,
        class: Class,
    },
}

/// After so many effects of a message nothing more of it happens.
#[derive(Debug, Clone, Copy)]
pub struct Fuse {
    pub left: u32,
    pub blow: Blow,
    pub blown: bool,
}

/// Chance, by purpose.
pub struct Chances {
    pub order: Random,
    pub delay: Random,
    pub fault: Random,
    pub operator: Random,
}

/// Between an intent's row and its order: where a kill hurts most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ambush {
    /// Behind the row's way to the disk.
    Written,
    /// The row is durable and the bytes have not left.
    Durable,
    /// The bytes have left and nobody noted it.
    Left,
}

pub struct Hub {
    pub scene: Arc<Scene>,
    pub now: Timestamp,
    pub life: u32,
    pub up: bool,
    pub clock: MachineClock,
    pub venue: SimVenue,
    pub journal: Option<SimJournal>,
    /// Which life of the data directory this is.
    pub epoch: Epoch,
    /// The limits in force; a reload replaces them.
    pub limits: RiskLimits,
    pub checker: Checker,
    pub log: Log,
    pub chances: Chances,
    pub boxes: BTreeMap<Role, Mailbox>,
    pub events: BTreeMap<(Timestamp, u64), (Option<u32>, Event)>,
    pub serial: u64,
    pub waiting: BTreeMap<Ticket, (Vec<Record>, Then)>,
    pub asked: BTreeMap<Request, Asked>,
    pub connections: BTreeMap<usize, (Connection, Incarnation)>,
    pub fuse: Option<Fuse>,
    pub ambush: Option<Ambush>,
    pub fired: BTreeMap<Class, u64>,
    pub violations: Vec<String>,
    pub steps: u64,
    /// Orders that reached the venue, and trades there.
    pub orders: u64,
    pub trades: u64,
    committing: bool,
    /// Orders that left since the faults stopped, by account: trading goes on again.
    pub left_since_calm: BTreeMap<AccountId, u64>,
    /// The next command to an executor comes twice, or late.
    pub redeliver: bool,
}

impl Hub {
    #[must_use]
    pub fn new(scene: Arc<Scene>, venue: SimVenue, journal_clock: MachineClock, random: &Random, log: Log) -> Self {
        let chances = Chances {
            order: random.split("order"),
            delay: random.split("delay"),
            fault: random.split("fault"),
            operator: random.split("operator"),
        };
        Self {
            now: START,
            life: 0,
            up: false,
            clock: journal_clock,
            venue,
            journal: None,
            epoch: Epoch::default(),
            limits: scene.limits.clone(),
            checker: Checker::default(),
            log,
            chances,
            boxes: BTreeMap::new(),
            events: BTreeMap::new(),
            serial: 0,
            waiting: BTreeMap::new(),
            asked: BTreeMap::new(),
            connections: BTreeMap::new(),
            fuse: None,
            ambush: None,
            fired: BTreeMap::new(),
            violations: Vec::new(),
            steps: 0,
            orders: 0,
            trades: 0,
            committing: false,
            left_since_calm: BTreeMap::new(),
            redeliver: false,
            scene,
        }
    }

    /// The daemon's own time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.clock.now(self.now)
    }

    /// For this daemon's life: with it the event goes.
    pub fn at(&mut self, due: Timestamp, event: Event) {
        self.put(due, Some(self.life), event);
    }

    /// Of the world: no death of a daemon changes it.
    pub fn world(&mut self, due: Timestamp, event: Event) {
        self.put(due, None, event);
    }

    fn put(&mut self, due: Timestamp, life: Option<u32>, event: Event) {
        self.serial += 1;
        self.events.insert((due.max(self.now), self.serial), (life, event));
    }

    /// A short while, drawn: what a hop or a start takes.
    pub fn soon(&mut self, micros_max: u64) -> Timestamp {
        let micros = self.chances.delay.between(1, micros_max);
        self.now + std::time::Duration::from_micros(micros)
    }

    pub fn observe(&mut self, seen: &Observation<'_>) {
        for violation in self.checker.observe(self.now, seen) {
            let (now, text) = (self.now, violation.to_string());
            self.log.line(START, now, "VIOLATION", format_args!("{text}"));
            self.violations.push(text);
        }
    }

    pub fn fired(&mut self, class: Class, on: Option<AccountId>) {
        *self.fired.entry(class).or_default() += 1;
        let now = self.now;
        self.log.line(START, now, "fault", format_args!("{} {}", class.name(), on.map(|on| on.to_string()).unwrap_or_default()));
        self.observe(&Observation::Fault { class, on });
    }

    pub fn say(&mut self, who: Role, text: std::fmt::Arguments<'_>) {
        let (now, name) = (self.now, who.name(&self.scene));
        self.log.line(START, now, name.as_str(), text);
    }

    /// Whether an effect still happens: a fuse that burns down in the middle of a message swallows the rest of it.
    pub fn burns(&mut self) -> bool {
        let Some(fuse) = &mut self.fuse else { return true };
        if fuse.left == 0 {
            fuse.blown = true;
            return false;
        }
        fuse.left -= 1;
        true
    }

    #[must_use]
    pub fn is_swallowed(&self) -> bool {
        self.fuse.is_some_and(|fuse| fuse.left == 0)
    }

    fn blow_now(&mut self, blow: Blow) {
        self.fuse = Some(Fuse { left: 0, blow, blown: true });
    }

    /// To whoever has that name.
    ///
    /// # Errors
    /// The message, when nobody has it.
    pub fn post(&mut self, to: Role, mail: Mail) -> Result<(), Box<Mail>> {
        let Some(mailbox) = self.boxes.get_mut(&to).filter(|mailbox| mailbox.published && mailbox.owner.is_some()) else {
            return Err(Box::new(mail));
        };
        mailbox.waiting.push_back(mail);
        Ok(())
    }

    /// To one incarnation, found by its name or not; gone with it.
    pub fn direct(&mut self, to: Role, incarnation: Incarnation, mail: Mail) {
        if let Some(mailbox) = self.boxes.get_mut(&to).filter(|mailbox| mailbox.owner == Some(incarnation)) {
            mailbox.waiting.push_back(mail);
        }
    }

    #[must_use]
    pub fn incarnation(&self, of: Role) -> Option<Incarnation> {
        self.boxes.get(&of).filter(|mailbox| mailbox.published).and_then(|mailbox| mailbox.owner)
    }

    /// Rows into the state and on their way to the disk, in one step.
    pub fn write(&mut self, rows: Vec<Record>, then: Then) {
        let at = self.time();
        self.observe(&Observation::Written { rows: &rows });
        rows.iter().filter_map(words_of).for_each(|text| self.observe(&Observation::Text { place: "a row of the journal", text }));
        let entries: Vec<Entry> = rows.iter().map(|record| Entry { at, record: record.clone() }).collect();
        for entry in &entries {
            self.log.hash(entry);
        }
        let intends = rows.iter().any(|row| matches!(row, Record::OrderIntended { .. }));
        let Some(journal) = &mut self.journal else { return };
        let ticket = journal.append(entries);
        self.waiting.insert(ticket, (rows, then));
        self.wake_writer();
        if intends && self.ambush == Some(Ambush::Written) {
            self.strike();
        }
    }

    fn strike(&mut self) {
        self.ambush = None;
        let power = self.chances.fault.chance(300_000);
        self.blow_now(Blow::Kill { power, class: Class::F20KillBeforeSend });
    }

    pub fn wake_writer(&mut self) {
        if !self.committing {
            self.committing = true;
            // A healthy device syncs within a millisecond or a few.
            let due = self.soon(2_500);
            self.at(due, Event::Commit);
        }
    }

    /// The writer's turn: what the device says of rows goes to whoever waits for them.
    pub fn commit(&mut self) {
        self.committing = false;
        let Some(journal) = &mut self.journal else { return };
        let told = journal.commit(self.now);
        let fired = journal.take_fired();
        let goes_on = journal.is_waiting();
        fired.into_iter().for_each(|class| self.fired(class, None));
        for (ticket, result) in told {
            let Some((rows, then)) = self.waiting.remove(&ticket) else { continue };
            match &result {
                Ok(()) => self.observe(&Observation::Durable { rows: &rows }),
                Err(why) => self.observe(&Observation::NotDurable { rows: &rows, why }),
            }
            self.settle(then, result.err());
        }
        if goes_on {
            self.wake_writer();
        }
    }

    fn settle(&mut self, then: Then, failure: Option<String>) {
        match then {
            Then::Nobody => {}
            Then::Actor(role, incarnation, ticket) => {
                let journalled = Journalled { ticket, failure };
                let mail = if role == Role::KillSwitch { Mail::Kill(journalled.into()) } else { Mail::Executor(journalled.into()) };
                self.direct(role, incarnation, mail);
            }
            Then::Reply(reply, accepted, text) => {
                let text = failure.map_or(text.clone(), |why| format!("{text}; not in the journal: {why}"));
                reply.tell(Progress::Settled(CommandAnswer { accepted, text }));
            }
        }
    }

    /// A command on an account's own connection.
    ///
    /// # Errors
    /// When it surely did not leave.
    pub fn hand_over(&mut self, account: AccountId, command: VenueCommand) -> Result<(), String> {
        let place = self.scene.accounts.iter().position(|known| *known == account);
        let connection = place.and_then(|place| self.connections.get(&place)).map(|(connection, _)| *connection);
        let Some(connection) = connection else { return Err("no connection".to_owned()) };
        let is_order = matches!(command, VenueCommand::Place(_));
        if is_order && self.ambush == Some(Ambush::Durable) {
            self.strike();
            return Err("killed".to_owned());
        }
        self.tell_handed(account, Sender::Executor, &command);
        let taken = self.venue.command(self.now, account, connection, command);
        self.hear_facts();
        taken?;
        if is_order && self.ambush == Some(Ambush::Left) {
            self.strike();
        }
        Ok(())
    }

    /// The kill switch's way.
    pub fn ask(&mut self, account: AccountId, command: VenueCommand) -> Request {
        self.tell_handed(account, Sender::KillSwitch, &command);
        let request = self.venue.ask(self.now, account, command);
        self.hear_facts();
        request
    }

    fn tell_handed(&mut self, account: AccountId, by: Sender, command: &VenueCommand) {
        match command {
            VenueCommand::Place(order) => self.observe(&Observation::HandedOver { account, by, order }),
            VenueCommand::Cancel { client_order_id, .. } => {
                self.observe(&Observation::CancelLeft { account, by, id: Some(*client_order_id) })
            }
            VenueCommand::CancelAll { .. } => self.observe(&Observation::CancelLeft { account, by, id: None }),
            VenueCommand::Query { .. } | VenueCommand::Snapshot { .. } | VenueCommand::SetLeverage { .. } => {}
        }
    }

    /// What happened at the venue and on the way to it since the last look. Heard behind each call, before anybody does the next
    /// thing: who keeps the score must know what came first.
    pub fn hear_facts(&mut self) {
        for fact in self.venue.take_facts() {
            self.log.line(START, self.now, "venue", format_args!("{fact:?}"));
            match &fact {
                VenueFact::Left { account, .. } => *self.left_since_calm.entry(*account).or_default() += 1,
                VenueFact::Taken { .. } => self.orders += 1,
                VenueFact::Traded(fill) => {
                    self.log.hash(fill);
                    self.trades += 1;
                }
                _ => {}
            }
            self.observe(&Observation::Venue(&fact));
        }
    }

    /// What the adapter looks at right before an order's bytes leave.
    pub fn set_gate(&mut self, modes: &ModeTable) {
        for account in &self.scene.accounts {
            self.venue.set_gate(*account, modes.account(*account));
        }
    }

    /// The latch file, through to the device; a sick one may refuse it.
    pub fn latch(&mut self, modes: &ModeTable) {
        let stored = self.journal.as_mut().is_some_and(|journal| journal.store_latch(modes).is_ok());
        if stored {
            self.observe(&Observation::Latched { modes });
        }
    }

    pub fn emergency(&mut self, row: Record) {
        let entry = Entry { at: self.time(), record: row };
        self.log.hash(&entry);
        if let Some(journal) = &mut self.journal {
            // One that does not take it has an alarm of its own.
            let _taken = journal.emergency(&entry);
        }
    }

    /// Everything that the process had is gone; what is on the device is not.
    pub fn forget_process(&mut self) {
        self.boxes.clear();
        self.waiting.clear();
        self.asked.clear();
        self.connections.clear();
        self.committing = false;
        self.fuse = None;
        self.ambush = None;
        self.up = false;
        self.venue.disconnect_all();
    }
}

impl Hub {
    /// What the journal's rows add up to, durable or not.
    #[must_use]
    pub fn state(&self) -> DaemonState {
        self.journal.as_ref().map(|journal| journal.state().clone()).unwrap_or_default()
    }

    /// Whether the incarnation that is there has said that it is ready.
    #[must_use]
    pub fn is_ready(&self, role: Role) -> bool {
        self.boxes.get(&role).is_some_and(|mailbox| mailbox.owner.is_some() && mailbox.told_ready)
    }
}

/// What of a row is in words that somebody else may have chosen: a venue's, a child's, a person's.
fn words_of(row: &Record) -> Option<&str> {
    match row {
        Record::OrderChanged { detail, .. } => detail.as_deref(),
        Record::Supervision { detail, .. } | Record::KillSwitch { detail, .. } => Some(detail),
        Record::ModeChanged { cause, .. } => Some(cause),
        Record::OperatorCommand { outcome, .. } => Some(outcome),
        _ => None,
    }
}
