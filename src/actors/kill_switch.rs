//! The kill switch's shell, on the services side: its own connections to the venue, its own mailbox and inbox, nothing of it
//! on the trading thread. Its rules (`rules/kill_switch.rs`) decide in which order what is done.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;

use super::Surroundings;
use super::latch_writer::LatchWriter;
use super::ports::Ports;
use super::rules::kill_switch::{self as rules, KillSwitchRules, Outside};
use crate::domain::ids::AccountId;
use crate::domain::kill_switch::KillSwitch;
use crate::domain::ladder::{ModeTable, Transition};
use crate::domain::mode::Mode;
use crate::domain::order::VenueCommand;
use crate::domain::record::Record;
use crate::messages::inbox::{Progress, Reply};
use crate::messages::{CommandAnswer, Envelope, KillMessage, KillWord};
use crate::store::{HaltedScope, LatchState};
use crate::supervision::Reporter;
use crate::telemetry::events::{KillTripped, KillUnverified, KillVerified, ModeChanged};
use crate::venues::port::Venue;

pub use super::rules::kill_switch::Notice;

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
    rules: KillSwitchRules,
    ports: Ports<KillMessage>,
    outside: Reach,
}

impl Actor for KillSwitchActor {
    type Msg = Envelope<KillMessage>;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { machine, venue, latch, notices, around, reporter } = arguments;
        let mut rules = KillSwitchRules::new(machine);
        let mut outside = Reach { venue, latch, notices, around: around.clone(), myself: myself.clone() };
        let mut ports = Ports::new(around, reporter, myself);
        rules.start(&mut ports, &mut outside);
        Ok(State { rules, ports, outside })
    }

    async fn handle(&self, _myself: ActorRef<Self::Msg>, envelope: Self::Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.rules.message(envelope.message, &mut state.ports, &mut state.outside);
        Ok(())
    }
}

/// Its own way to the venue, the files beside the journal, and the application around it.
struct Reach {
    venue: Arc<dyn Venue>,
    latch: LatchWriter,
    notices: mpsc::UnboundedSender<Notice>,
    around: Surroundings,
    myself: ActorRef<Envelope<KillMessage>>,
}

impl Outside for Reach {
    fn ask(&mut self, account: AccountId, round: u64, command: VenueCommand, deadline: Duration) {
        let myself = self.myself.clone();
        let answer = self.venue.ask(account, command);
        // Ends by itself at the deadline; the machine tries again, so that a lost answer is only a delay.
        self.around.services.spawn(async move {
            let silent = |why: String| KillMessage::Silent { account, why };
            let message = match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(events)) => events.into_iter().find_map(|event| rules::heard(account, round, event)),
                Ok(Err(error)) => Some(silent(error.to_string())),
                Err(_) => Some(silent(format!("no answer within {deadline:?}"))),
            };
            if let Some(message) = message {
                drop(myself.send_message(Envelope::unmetered(message)));
            }
        });
    }

    fn emergency(&mut self, row: Record) {
        self.around.journal.emergency(row);
    }

    fn store_latch(&mut self, modes: &ModeTable) {
        let held = modes.iter().map(|entry| HaltedScope {
            scope: entry.scope,
            mode: entry.mode,
            since: entry.since,
            cause: entry.cause.clone(),
            by: None,
        });
        self.latch.store(LatchState { halted: held.collect() });
    }

    fn notice(&mut self, notice: Notice) {
        // The application listens for as long as it lives.
        drop(self.notices.send(notice));
    }

    fn settle(&mut self, reply: Reply, accepted: bool, text: String) {
        self.around.journal.barrier(move |durable| {
            let text = match durable {
                Ok(()) => text,
                Err(why) => format!("{text}; not in the journal: {why}"),
            };
            reply.tell(Progress::Settled(CommandAnswer { accepted, text }));
        });
    }

    fn died_of(&mut self, word: &KillWord) {
        tracing::error!(target: "ringfence::controls", ?word, "the kill switch died of this: tried a last time");
    }

    fn lowered(&mut self, row: &Record) {
        let Record::ModeChanged { scope, from, to, cause, by, .. } = row else { return };
        // A raise is told when it is in force.
        if to <= from {
            return;
        }
        ModeChanged { scope: *scope, from: *from, to: *to, cause, by: by.as_deref() }.emit();
        if *to == Mode::Halted {
            KillTripped { scope: *scope, cause }.emit();
        }
    }

    fn raised(&mut self, transition: &Transition, by: &str) {
        let Transition { scope, from, to, cause } = transition;
        ModeChanged { scope: *scope, from: *from, to: *to, cause, by: Some(by) }.emit();
    }

    fn not_raised(&mut self, why: &str) {
        tracing::error!(target: "ringfence::controls", why, "not raised: the row is not durable");
    }

    fn confirmed(&mut self, account: AccountId, took: Duration) {
        KillVerified { account, took }.emit();
    }

    fn unconfirmed(&mut self, account: AccountId, why: &str) {
        KillUnverified { account, why }.emit();
    }
}
