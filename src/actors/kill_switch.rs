//! The kill switch's shell, on the services side: its own connections to the venue, its own mailbox and inbox, nothing of it
//! on the trading thread. Gate first, then the venue, then disk and everybody else. Whatever message comes, the words in the
//! inbox are handled before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::latch_writer::LatchWriter;
use super::tickets::Tickets;
use super::{Surroundings, names};
use crate::domain::ids::AccountId;
use crate::domain::kill_switch::{Effect, Input, KillSwitch, Raising};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::domain::outbox::{Outbox, Step};
use crate::domain::record::Record;
use crate::domain::time::Timestamp;
use crate::messages::inbox::{Progress, Reply};
use crate::messages::{CommandAnswer, Envelope, ExecutorMessage, KillMessage, KillWord, Post, RiskMessage};
use crate::store::{HaltedScope, LatchState};
use crate::supervision::Reporter;
use crate::telemetry::events::{KillTripped, KillUnverified, KillVerified, ModeChanged};
use crate::venues::port::Venue;

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

pub struct KillSwitchActor;

pub struct Arguments {
    pub machine: KillSwitch,
    pub venue: Arc<dyn Venue>,
    pub latch: LatchWriter,
    pub notices: mpsc::UnboundedSender<Notice>,
    pub around: Surroundings,
    pub reporter: Reporter,
}

pub struct State {
    machine: KillSwitch,
    tickets: Tickets<Effect>,
    venue: Arc<dyn Venue>,
    latch: LatchWriter,
    notices: mpsc::UnboundedSender<Notice>,
    /// Commands that wait for their answers.
    answering: BTreeMap<u64, Reply>,
    published: ModeTable,
    /// Whether the beat before this one found the gate slammed and nobody's word why.
    slam_seen: bool,
    /// Looks that are on their way, by the round that asked: a second one beside it would only make a slow venue slower.
    looking: BTreeMap<AccountId, u64>,
    /// As last seen.
    standings: BTreeMap<AccountId, Option<Timestamp>>,
    around: Surroundings,
    myself: ActorRef<Envelope<KillMessage>>,
}

impl Actor for KillSwitchActor {
    type Msg = Envelope<KillMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { machine, venue, latch, notices, around, reporter } = arguments;
        let mut state = State {
            machine,
            tickets: Tickets::default(),
            venue,
            latch,
            notices,
            answering: BTreeMap::new(),
            published: ModeTable::default(),
            slam_seen: false,
            looking: BTreeMap::new(),
            standings: BTreeMap::new(),
            around,
            myself,
        };
        let mut out = Outbox::new();
        state.machine.start(state.around.clock.now(), &mut out);
        state.carry(out);
        // What the incarnation before left undone, before the slam that some of it came with is answered without its words.
        state.hear();
        if state.around.gate.is_slammed() {
            state.answer_slam();
        }
        reporter.ready();
        Ok(state)
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.look_at_accounts();
        state.hear();
        if let KillMessage::Shows { account, .. } | KillMessage::Silent { account, .. } = &envelope.message {
            state.looking.remove(account);
        }
        let input = match envelope.message {
            KillMessage::Wake => return Ok(()),
            KillMessage::Shows { account, round, snapshot } => Input::Shows { account, round, snapshot },
            KillMessage::Silent { account, why } => Input::Silent { account, why },
            KillMessage::Journalled { ticket, failure } => {
                for effect in state.tickets.redeem(ticket) {
                    match (&failure, effect) {
                        (None, effect) => state.effect(effect),
                        (Some(why), Effect::Raise(raising)) => {
                            tracing::error!(target: "ringfence::controls", why, "not raised: the row is not durable");
                            state.step(Input::NotRaised { raising, why: why.clone() });
                        }
                        // What makes things stricter is in the emergency file, and goes on.
                        (Some(_), Effect::Noted { number, .. }) => state.step(Input::Noted(number)),
                        // Nothing else waits for its row.
                        (Some(_), _) => {}
                    }
                }
                return Ok(());
            }
            KillMessage::Accounts(accounts) => {
                state.machine.set_accounts(accounts);
                return Ok(());
            }
            KillMessage::Tick => {
                state.look_at_gate();
                Input::Tick
            }
        };
        state.step(input);
        Ok(())
    }
}

impl State {
    fn step(&mut self, input: Input) {
        let mut out = Outbox::new();
        self.machine.on(self.around.clock.now(), input, &mut out);
        self.carry(out);
        self.around.inbox.keep_unfinished(self.machine.unfinished());
    }

    /// Handles every word that waits. One that an incarnation died of is tried once more, and everything is halted with it:
    /// nobody knows how far it came.
    fn hear(&mut self) {
        while let Some(begun) = self.around.inbox.begin() {
            if begun.again {
                tracing::error!(target: "ringfence::controls", word = ?begun.word, "the kill switch died of this: tried a last time");
            }
            let input = match begun.word {
                KillWord::Fault { scope, class, detail } => Input::Fault { scope, class, detail },
                KillWord::Trip { scope, mode, cause } => Input::Trip { scope, mode, cause },
                KillWord::Operator { order, reply } => {
                    self.answering.insert(begun.id, reply);
                    Input::Operator { id: begun.id, order }
                }
            };
            self.step(input);
            self.around.inbox.done(begun.id);
        }
    }

    /// Whoever slams the gate says why in the next instant. A slam that stands for a whole beat lost its word on the way.
    fn look_at_gate(&mut self) {
        let slammed = self.around.gate.is_slammed();
        if slammed && self.slam_seen {
            self.answer_slam();
        }
        self.slam_seen = slammed && !self.slam_seen;
    }

    /// The halt that a slammed gate announced.
    fn answer_slam(&mut self) {
        let cause = "the gate was found closed: a halt was asked for, and its message was lost".to_owned();
        self.step(Input::Trip { scope: Scope::Global, mode: Mode::Halted, cause });
        // Where everything was halted already there was nothing to decide.
        self.around.gate.set(self.machine.modes());
    }

    fn carry(&mut self, mut out: Outbox<Record, Effect>) {
        for step in out.drain().collect::<Vec<_>>() {
            match step {
                Step::Do(effect) => self.effect(effect),
                Step::Persist { rows, then } => self.persist(rows, then),
            }
        }
    }

    /// Rows of a halt go to the emergency file as well when the journal cannot take them; nothing waits for either. What
    /// does wait is a resume: it is durable first, and told when it is.
    fn persist(&mut self, rows: Vec<Record>, then: Vec<Effect>) {
        if then.is_empty() {
            return self.around.journal.note(rows);
        }
        rows.iter().for_each(tell_lowered);
        // Shown on the journal's thread, in the order of its rows: whoever is told that a command is durable finds it shown.
        let (modes, shown) = (self.around.modes.clone(), then.iter().find_map(noted));
        let ticket = self.tickets.issue(then);
        let myself = self.myself.clone();
        self.around.journal.append(rows, move |result| {
            if let Some(shown) = shown {
                modes.report(shown);
            }
            let message = KillMessage::Journalled { ticket, failure: result.err() };
            drop(myself.send_message(Envelope::unmetered(message)));
        });
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::SetGate(modes) => self.around.gate.set(&modes),
            Effect::Publish(modes) => self.publish(modes),
            Effect::Noted { number, .. } => self.step(Input::Noted(number)),
            Effect::Reported(modes) => self.around.modes.report(modes),
            Effect::Reconcile { account } => self.reconcile(account),
            Effect::Raise(raising) => self.raise(raising),
            Effect::Send { account, round, command } => self.send(account, round, command),
            Effect::Sweeping { account } => self.notice(Notice::Sweeping(account)),
            Effect::Emptied { account } => self.notice(Notice::Emptied(account)),
            Effect::Confirmed { account, took, .. } => {
                KillVerified { account, took }.emit();
                self.notice(Notice::Confirmed(account));
            }
            Effect::Unconfirmed { account, why, .. } => {
                KillUnverified { account, why: &why }.emit();
                self.notice(Notice::Unconfirmed(account, why));
            }
            Effect::Answer { id, accepted, text } => {
                if let Some(reply) = self.answering.remove(&id) {
                    self.answer(reply, accepted, text);
                }
            }
        }
    }

    /// An executor that is up compares now; one that gave up is brought back and does so first of all.
    fn reconcile(&mut self, account: AccountId) {
        let mut executor: Post<ExecutorMessage> = Post::new(&self.around.directory, &names::executor(account));
        executor.tell(ExecutorMessage::Reconnected);
        self.notice(Notice::Wanted(account));
    }

    /// When each account was last found to agree with its venue, as its executor published it. What a dead one published says nothing.
    fn look_at_accounts(&mut self) {
        let standings = self.around.views.accounts();
        for account in &self.around.roster.get().accounts {
            let up = self.around.directory.lookup(names::executor(*account).as_str()).is_some();
            let reconciled = standings.get(account).filter(|standing| up && standing.ready).and_then(|standing| standing.reconciled);
            if self.standings.get(account).copied().flatten() != reconciled {
                self.standings.insert(*account, reconciled);
                self.step(Input::Standing { account: *account, reconciled });
            }
        }
    }

    fn raise(&mut self, raising: Raising) {
        let (raised, by) = (raising.raise.transition.clone(), raising.by.clone());
        self.step(Input::Raised(raising));
        if self.machine.modes().of(raised.scope) == raised.to {
            ModeChanged { scope: raised.scope, from: raised.from, to: raised.to, cause: &raised.cause, by: Some(&by) }.emit();
        }
    }

    /// Behind everything that the command wrote: what a person was told outlives a kill in the next instant. The command itself
    /// waits for nothing.
    fn answer(&self, reply: Reply, accepted: bool, text: String) {
        reply.tell(Progress::Acted(CommandAnswer { accepted, text: text.clone() }));
        self.around.journal.barrier(move |durable| {
            let text = match durable {
                Ok(()) => text,
                Err(why) => format!("{text}; not in the journal: {why}"),
            };
            reply.tell(Progress::Settled(CommandAnswer { accepted, text }));
        });
    }

    fn publish(&mut self, modes: ModeTable) {
        let raised = self.published.iter().map(|entry| entry.scope).filter(|scope| modes.of(*scope) == Mode::Normal).collect();
        self.published = modes.clone();
        self.store_latch(&modes);
        let modes = Arc::new(modes);
        self.around.modes.set(Arc::clone(&modes));
        let around = &self.around;
        Post::new(&around.directory, &names::risk_manager()).tell(RiskMessage::Modes(Arc::clone(&modes)));
        let roster = around.roster.get();
        for account in &roster.accounts {
            let mut executor = Post::new(&around.directory, &names::executor(*account));
            executor.tell(ExecutorMessage::Modes(Arc::clone(&modes)));
            for entry in modes.iter().filter(|entry| entry.mode >= Mode::CancelOnly) {
                let (symbol, strategy) = match entry.scope {
                    Scope::Symbol(symbol) => (Some(symbol), None),
                    Scope::Strategy(strategy) => (None, Some(strategy)),
                    Scope::Global | Scope::Account(_) => continue,
                };
                executor.tell(ExecutorMessage::CancelWhere { symbol, strategy, reason: entry.cause.clone() });
            }
        }
        self.notice(Notice::Modes { raised });
    }

    fn store_latch(&self, modes: &ModeTable) {
        let held = modes.iter().map(|entry| HaltedScope {
            scope: entry.scope,
            mode: entry.mode,
            since: entry.since,
            cause: entry.cause.clone(),
            by: None,
        });
        self.latch.store(LatchState { halted: held.collect() });
    }

    fn send(&mut self, account: AccountId, round: u64, command: VenueCommand) {
        if let VenueCommand::Place(order) = &command {
            let detail = format!("reducing {} {} {}", order.side, order.quantity, order.symbol);
            let event = "flatten".to_owned();
            self.around.journal.emergency(Record::KillSwitch { scope: Scope::Account(account), event, detail });
        }
        let is_look = matches!(command, VenueCommand::Snapshot { .. });
        if is_look && self.around.gate.is_leaving(account) {
            // It would not have the order that is just leaving; the machine asks again.
            return self.step(Input::Silent { account, why: "an order was just leaving".to_owned() });
        }
        if is_look && self.looking.insert(account, round) == Some(round) {
            return;
        }
        let deadline = if is_look { LOOK_DEADLINE } else { ANSWER_DEADLINE };
        let myself = self.myself.clone();
        let answer = self.venue.ask(account, command);
        // Ends by itself at the deadline; the machine tries again, so that a lost answer is only a delay.
        self.around.services.spawn(async move {
            let silent = |why: String| KillMessage::Silent { account, why };
            let message = match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(events)) => events.into_iter().find_map(|event| heard(account, round, event)),
                Ok(Err(error)) => Some(silent(error.to_string())),
                Err(_) => Some(silent(format!("no answer within {deadline:?}"))),
            };
            if let Some(message) = message {
                drop(myself.send_message(Envelope::unmetered(message)));
            }
        });
    }

    fn notice(&self, notice: Notice) {
        // The application listens for as long as it lives.
        drop(self.notices.send(notice));
    }
}

fn noted(effect: &Effect) -> Option<ModeTable> {
    if let Effect::Noted { modes, .. } = effect { Some(modes.clone()) } else { None }
}

/// A raise is told when it is in force.
fn tell_lowered(row: &Record) {
    let Record::ModeChanged { scope, from, to, cause, by, .. } = row else { return };
    if to <= from {
        return;
    }
    ModeChanged { scope: *scope, from: *from, to: *to, cause, by: by.as_deref() }.emit();
    if *to == Mode::Halted {
        KillTripped { scope: *scope, cause }.emit();
    }
}

/// What of the venue's answer the kill switch goes by.
fn heard(account: AccountId, round: u64, event: VenueEvent) -> Option<KillMessage> {
    match event {
        VenueEvent::SnapshotIs(snapshot) => Some(KillMessage::Shows { account, round, snapshot }),
        VenueEvent::CommandFailed { command, why } => Some(KillMessage::Silent { account, why: format!("{command}: {why}") }),
        VenueEvent::Rejected { code, message, .. } => Some(KillMessage::Silent { account, why: format!("{code} {message}") }),
        _ => None,
    }
}
