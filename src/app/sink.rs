//! Where supervision's news goes: the journal, the log and metrics, and, when it is a fault, the kill switch.

use std::sync::{Mutex, PoisonError};

use crate::actors::journal::JournalPort;
use crate::actors::names;
use crate::domain::mode::{FaultClass, Mode};
use crate::domain::record::Record;
use crate::domain::restart::{ChildName, EventKind, SupervisionEvent};
use crate::messages::boards::Feeds;
use crate::messages::{KillInbox, KillPost, KillWord};
use crate::supervision::{Directory, SupervisionSink};
use crate::telemetry::events::{ChildFailed, ChildReady, ChildRestarted, Escalated};

pub struct Sink {
    journal: JournalPort,
    kill_switch: Mutex<KillPost>,
    feeds: Feeds,
}

impl Sink {
    #[must_use]
    pub fn new(journal: JournalPort, inbox: KillInbox, directory: &Directory, feeds: Feeds) -> Self {
        Self { journal, kill_switch: Mutex::new(KillPost::new(inbox, directory, &names::kill_switch())), feeds }
    }

    fn tell(&self, word: KillWord) {
        self.kill_switch.lock().unwrap_or_else(PoisonError::into_inner).tell(word);
    }
}

impl SupervisionSink for Sink {
    fn event(&self, event: &SupervisionEvent) {
        self.journal.note(vec![Record::from(event)]);
        let child = event.child.as_str();
        match event.what {
            EventKind::Ready => ChildReady { child, incarnation: event.incarnation }.emit(),
            EventKind::Started if event.incarnation.0 > 1 => ChildRestarted { child, incarnation: event.incarnation }.emit(),
            EventKind::Exited | EventKind::Stalled => {
                let Some(class) = event.class else { return };
                // The end of a child that was killed for a stall is not a second fault: the stall was told.
                if event.what == EventKind::Exited && class == FaultClass::Stall {
                    return;
                }
                ChildFailed { child, incarnation: event.incarnation, class, cause: &event.detail }.emit();
                for scope in names::scopes_of(child, &self.feeds) {
                    self.tell(KillWord::Fault { scope, class, detail: format!("{child}: {}", event.detail) });
                }
            }
            _ => {}
        }
    }

    /// A supervisor that gives up stops its children next; the kill switch halts what they served before that is felt.
    fn escalated(&self, supervisor: &ChildName, class: FaultClass, why: &str) {
        Escalated { supervisor: supervisor.as_str(), class, cause: why }.emit();
        for scope in names::scopes_of(supervisor.as_str(), &self.feeds) {
            let cause = format!("{supervisor} gave up after repeated {class} faults: {why}");
            self.tell(KillWord::Trip { scope, mode: Mode::Halted, cause });
        }
    }
}
