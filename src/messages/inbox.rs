//! What the kill switch must hear, whatever becomes of it meanwhile: faults, trips and operators' commands wait here, outside
//! of every incarnation, and leave only when one has handled them. Its mailbox gets no more than a wake-up. Bounded; at the
//! bound the halt gate is slammed, which halts everything. The lock is held for a copy and never across a call.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::{HaltGate, KillMessage, Post};
use crate::domain::ids::AccountId;
use crate::domain::kill_switch::Order;
use crate::domain::mode::{FaultClass, Mode, Scope};
use crate::domain::restart::ChildName;
use crate::supervision::Directory;

/// Words that may wait: a kill switch that is stuck is back within some three seconds, and a daemon with a thousand faults a
/// second is to be halted, not to be heard out.
pub const WORDS_MAX: usize = 4_096;

/// What must not be lost with an incarnation.
#[derive(Debug, Clone)]
pub enum KillWord {
    Fault { scope: Scope, class: FaultClass, detail: String },
    Trip { scope: Scope, mode: Mode, cause: String },
    Operator { order: Order, reply: Reply },
}

/// What became of an operator's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAnswer {
    pub accepted: bool,
    pub text: String,
}

/// How far an operator's command has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Progress {
    #[default]
    Waiting,
    /// Done, and its rows are on the way to the disk.
    Acted(CommandAnswer),
    /// Its rows are durable, or the answer says that they are not.
    Settled(CommandAnswer),
}

/// The way back to whoever gave a command; all clones are one.
#[derive(Debug, Clone)]
pub struct Reply(Arc<watch::Sender<Progress>>);

impl Reply {
    #[must_use]
    pub fn new() -> (Self, watch::Receiver<Progress>) {
        let (sender, receiver) = watch::channel(Progress::Waiting);
        (Self(Arc::new(sender)), receiver)
    }

    /// Whoever asked may have gone; the command stands.
    pub fn tell(&self, progress: Progress) {
        self.0.send_replace(progress);
    }
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    word: KillWord,
    begun: bool,
}

#[derive(Debug, Default)]
struct Kept {
    words: VecDeque<Waiting>,
    last: u64,
    unfinished: BTreeMap<AccountId, bool>,
}

/// A word that is being handled.
#[derive(Debug)]
pub struct Begun {
    pub id: u64,
    pub word: KillWord,
    /// An incarnation died of it already.
    pub again: bool,
}

/// Cheap to clone; all clones are one inbox.
#[derive(Debug, Clone, Default)]
pub struct KillInbox {
    kept: Arc<Mutex<Kept>>,
    gate: HaltGate,
}

impl KillInbox {
    /// The gate that is slammed at the bound: the daemon has this one and no other.
    #[must_use]
    pub fn gate(&self) -> HaltGate {
        self.gate.clone()
    }

    /// Keeps a word until it is handled, and says under which number. `None` when there is no room: the gate is slammed then.
    #[must_use]
    pub fn push(&self, word: KillWord) -> Option<u64> {
        let mut kept = self.lock();
        if let Some(waiting) = kept.words.iter().find(|waiting| !waiting.begun && says_the_same(&waiting.word, &word)) {
            return Some(waiting.id);
        }
        if kept.words.len() >= WORDS_MAX {
            self.gate.slam();
            return None;
        }
        kept.last += 1;
        let id = kept.last;
        kept.words.push_back(Waiting { id, word, begun: false });
        Some(id)
    }

    /// The oldest word. It stays until `done`, so that it outlives an incarnation that dies of it; it gets one more try then,
    /// behind a slammed gate, and no third one.
    #[must_use]
    pub fn begin(&self) -> Option<Begun> {
        let mut kept = self.lock();
        let front = kept.words.front_mut()?;
        let again = std::mem::replace(&mut front.begun, true);
        let begun = Begun { id: front.id, word: front.word.clone(), again };
        if again {
            kept.words.pop_front();
            self.gate.slam();
        }
        Some(begun)
    }

    pub fn done(&self, id: u64) {
        self.lock().words.retain(|waiting| waiting.id != id);
    }

    /// Takes a word back that nobody has begun to handle. False when somebody has.
    #[must_use]
    pub fn withdraw(&self, id: u64) -> bool {
        let mut kept = self.lock();
        let before = kept.words.len();
        kept.words.retain(|waiting| waiting.id != id || waiting.begun);
        kept.words.len() < before
    }

    /// Accounts that are being emptied, and whether their positions are being closed: an incarnation's successor goes on.
    pub fn keep_unfinished(&self, unfinished: BTreeMap<AccountId, bool>) {
        self.lock().unfinished = unfinished;
    }

    #[must_use]
    pub fn unfinished(&self) -> BTreeMap<AccountId, bool> {
        self.lock().unfinished.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Every change is one step, so that a panic elsewhere cannot have left it half done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A trip that waits speaks for its repetitions; faults are counted, and commands want their answers.
fn says_the_same(waiting: &KillWord, word: &KillWord) -> bool {
    match (waiting, word) {
        (KillWord::Trip { scope, mode, .. }, KillWord::Trip { scope: of, mode: to, .. }) => scope == of && mode == to,
        _ => false,
    }
}

/// The way into the inbox for whoever sees something that must be heard.
#[derive(Debug, Clone)]
pub struct KillPost {
    inbox: KillInbox,
    post: Post<KillMessage>,
}

impl KillPost {
    #[must_use]
    pub fn new(inbox: KillInbox, directory: &Directory, name: &ChildName) -> Self {
        Self { inbox, post: Post::new(directory, name) }
    }

    /// Keeps the word, then wakes whoever is there. Nobody there, or somebody who dies before it is handled, is as good: the
    /// next incarnation looks into the inbox first.
    pub fn tell(&mut self, word: KillWord) {
        // Without room for it everything is being halted.
        let _ = self.send(word);
    }

    /// The same, and its number; `None` as with `KillInbox::push`.
    #[must_use]
    pub fn send(&mut self, word: KillWord) -> Option<u64> {
        let kept = self.inbox.push(word);
        self.post.tell(KillMessage::Wake);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(detail: &str) -> KillWord {
        KillWord::Fault { scope: Scope::Global, class: FaultClass::Data, detail: detail.to_owned() }
    }

    fn trip(cause: &str) -> KillWord {
        KillWord::Trip { scope: Scope::Global, mode: Mode::Halted, cause: cause.to_owned() }
    }

    #[test]
    fn a_word_stays_until_it_was_handled_and_is_tried_twice_at_most_the_second_time_behind_a_slammed_gate() {
        let inbox = KillInbox::default();
        let (first, second) = (inbox.push(fault("a")).unwrap(), inbox.push(fault("b")).unwrap());
        let begun = inbox.begin().unwrap();
        assert_eq!((begun.id, begun.again, inbox.gate.is_slammed()), (first, false, false));
        // Whoever began died of it.
        let begun = inbox.begin().unwrap();
        assert_eq!((begun.id, begun.again, inbox.gate.is_slammed()), (first, true, true));
        // And so did its successor.
        let begun = inbox.begin().unwrap();
        assert_eq!((begun.id, begun.again), (second, false));
        inbox.done(second);
        assert!(inbox.begin().is_none());
    }

    #[test]
    fn a_full_inbox_slams_the_gate() {
        let inbox = KillInbox::default();
        for _ in 0..WORDS_MAX {
            assert!(inbox.push(fault("x")).is_some());
        }
        assert!(!inbox.gate.is_slammed());
        assert_eq!(inbox.push(fault("one too many")), None);
        assert!(inbox.gate.is_slammed());
    }

    #[test]
    fn a_trip_that_waits_speaks_for_its_repetitions_and_one_that_is_being_handled_does_not() {
        let inbox = KillInbox::default();
        let first = inbox.push(trip("loss of 100"));
        assert_eq!(inbox.push(trip("loss of 101")), first);
        let begun = inbox.begin().unwrap();
        assert_ne!(inbox.push(trip("loss of 102")), first);
        inbox.done(begun.id);
        assert!(inbox.begin().is_some());
    }

    #[test]
    fn what_nobody_has_begun_can_be_withdrawn() {
        let inbox = KillInbox::default();
        let (first, second) = (inbox.push(fault("a")).unwrap(), inbox.push(fault("b")).unwrap());
        let begun = inbox.begin().unwrap();
        assert!(!inbox.withdraw(first) && inbox.withdraw(second) && !inbox.withdraw(second));
        inbox.done(begun.id);
        assert!(inbox.begin().is_none());
    }
}
