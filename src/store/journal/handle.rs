//! How the rest of the daemon reaches the journal: a handle that queues rows and never blocks, and the answers to them.
//! Every append that was taken is answered exactly once, also when the writer dies. It knows nothing of the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::domain::ids::Epoch;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;
use crate::store::error::{AppendRefused, JournalFault, RefusedBecause};

/// Rows that are on the disk. An append of no rows is a barrier: it is answered when all rows before it are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    pub first_seq: u64,
    pub last_seq: u64,
    pub durable_at: Timestamp,
}

pub type AckResult = Result<Durable, JournalFault>;

/// How an append is answered. Answers come in the order of the appends, on the writer's thread: a callback must be short.
pub enum Ack {
    /// Nobody waits. A fault is still seen through `JournalHandle::failure`.
    None,
    Callback(Box<dyn FnOnce(AckResult) + Send>),
}

impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Callback(_) => "Callback",
        })
    }
}

/// Rows in flight, given back when dropped.
#[derive(Debug)]
struct Credit {
    rows: usize,
    shared: Arc<Shared>,
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(self.rows, Ordering::Relaxed);
    }
}

/// An append's right to an answer. Dropped unanswered (the writer panicked, or was closed before its turn), it answers
/// that the rows were not stored as far as anybody knows.
pub(crate) struct Pending {
    ack: Ack,
    credit: Option<Credit>,
}

impl Pending {
    pub(crate) fn answer(mut self, result: AckResult) {
        // First, so that whoever is answered finds room for the next.
        drop(self.credit.take());
        if let Ack::Callback(call) = std::mem::replace(&mut self.ack, Ack::None) {
            call(result);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if matches!(self.ack, Ack::None) {
            return;
        }
        let fault = self.credit.as_ref().and_then(|credit| credit.shared.failure()).unwrap_or_else(JournalFault::closed);
        Self { ack: std::mem::replace(&mut self.ack, Ack::None), credit: self.credit.take() }.answer(Err(fault));
    }
}

/// What the queue carries.
pub(crate) enum Command {
    Append {
        content: Content,
        pending: Pending,
    },
    Inject(InjectedFault),
    /// End, with a last row when there is a reason to write one.
    Stop {
        reason: Option<String>,
    },
}

pub(crate) enum Content {
    /// Shared with whoever queued them and still has to look at them.
    Entries(Arc<[Entry]>),
    Checkpoint {
        /// Spelled as JSON by the writer: whoever queued it has orders to send.
        state: SpellJson,
        at: Timestamp,
    },
}

/// Writes one JSON value behind what is in the buffer.
pub(crate) type SpellJson = Box<dyn Fn(&mut Vec<u8>) -> Result<(), serde_json::Error> + Send>;

/// A fault made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// The next commit is refused before anything is written.
    CommitRefused,
    /// The next commit is written, and its sync reports an error: whether the rows are on the disk, nobody knows.
    SyncFailed,
    /// The writer hangs for so long before its next commit.
    Stall(Duration),
}

const OPEN: u8 = 0;
const FAILED: u8 = 1;
const CLOSED: u8 = 2;

/// What the writer and the handles both see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub epoch: Epoch,
    pub limit: usize,
    in_flight: AtomicUsize,
    state: AtomicU8,
    pub rows_since_checkpoint: AtomicU64,
    /// Counts beginnings and ends of commits: odd while one is running.
    commits: AtomicU64,
    failure: watch::Sender<Option<JournalFault>>,
}

impl Shared {
    pub(crate) fn new(epoch: Epoch, limit: usize) -> Self {
        Self {
            epoch,
            limit,
            in_flight: AtomicUsize::new(0),
            state: AtomicU8::new(OPEN),
            rows_since_checkpoint: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            failure: watch::Sender::new(None),
        }
    }

    /// The first fault stands; there is no way back.
    pub(crate) fn fail(&self, fault: JournalFault) {
        self.failure.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(fault);
                // Inside, so that whoever is woken by the change finds the handles failed already.
                self.state.store(FAILED, Ordering::Release);
            }
            first
        });
    }

    pub(crate) fn close(&self) {
        // A failure is not covered up by an end.
        let _ = self.state.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn failure(&self) -> Option<JournalFault> {
        (self.state.load(Ordering::Acquire) == FAILED).then(|| self.failure.borrow().clone()).flatten()
    }

    /// The writer alone calls it, at the beginning of each commit and at its end.
    pub(crate) fn commit_begins_or_ends(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    fn refusal(&self) -> Option<RefusedBecause> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            _ => Some(RefusedBecause::Failed(self.failure().unwrap_or_else(JournalFault::closed))),
        }
    }
}

/// Queues rows. Cheap to clone; never blocks; may be used from any thread.
#[derive(Debug, Clone)]
pub struct JournalHandle {
    pub(crate) queue: Sender<Command>,
    pub(crate) shared: Arc<Shared>,
}

impl JournalHandle {
    /// Queues the entries as one unit: all of them become durable together, or none.
    ///
    /// # Errors
    /// When the queue is full or the journal has failed or was closed; the entries and the unanswered `ack` then come back.
    pub fn append(&self, entries: impl Into<Arc<[Entry]>>, ack: Ack) -> Result<(), AppendRefused> {
        let entries = entries.into();
        let rows = entries.len();
        self.submit(Content::Entries(entries), rows, ack)
    }

    /// Queues a state that the next start begins from; it becomes JSON on the journal's thread. It covers every row that was
    /// appended before it, so it must be made by whoever appended them, after they were applied.
    ///
    /// # Errors
    /// As `append`.
    pub fn append_checkpoint(&self, at: Timestamp, state: impl Serialize + Send + 'static, ack: Ack) -> Result<(), AppendRefused> {
        let state: SpellJson = Box::new(move |buffer| serde_json::to_writer(buffer, &state));
        self.submit(Content::Checkpoint { state, at }, 1, ack)
    }

    fn submit(&self, content: Content, rows: usize, ack: Ack) -> Result<(), AppendRefused> {
        let because = match self.shared.refusal() {
            Some(because) => because,
            None => match self.take_credit(rows) {
                Ok(credit) => {
                    let pending = Pending { ack, credit: Some(credit) };
                    // A writer that is gone dropped the queue; the command that comes back answers itself as it is dropped.
                    drop(self.queue.send(Command::Append { content, pending }));
                    return Ok(());
                }
                Err(because) => because,
            },
        };
        let entries = match content {
            Content::Entries(entries) => entries,
            Content::Checkpoint { .. } => Arc::from([]),
        };
        Err(AppendRefused { entries, ack, because })
    }

    fn take_credit(&self, rows: usize) -> Result<Credit, RefusedBecause> {
        let limit = self.shared.limit;
        let in_flight = self.shared.in_flight.fetch_add(rows, Ordering::Relaxed);
        let credit = Credit { rows, shared: Arc::clone(&self.shared) };
        if in_flight.saturating_add(rows) > limit {
            return Err(RefusedBecause::Full { rows, in_flight, limit });
        }
        Ok(credit)
    }

    /// The fault that ended this journal, if one did. One atomic read when none did.
    #[must_use]
    pub fn failure(&self) -> Option<JournalFault> {
        self.shared.failure()
    }

    /// Changes once, from `None` to the fault. For whoever has to halt everything.
    #[must_use]
    pub fn failures(&self) -> watch::Receiver<Option<JournalFault>> {
        self.shared.failure.subscribe()
    }

    /// Which commit is running, if one is. A disk that hangs reports no error; it shows by a commit that stays.
    #[must_use]
    pub fn running_commit(&self) -> Option<u64> {
        let commits = self.shared.commits.load(Ordering::Relaxed);
        (commits % 2 == 1).then_some(commits)
    }

    /// Rows queued and not yet answered.
    #[must_use]
    pub fn rows_in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Durable rows that a restart would have to replay. Whoever writes checkpoints reads it.
    #[must_use]
    pub fn rows_since_checkpoint(&self) -> u64 {
        self.shared.rows_since_checkpoint.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.shared.epoch
    }

    /// Makes the journal fail as a broken disk would, for the daemon's fault injection.
    pub fn inject_failure(&self) {
        self.inject(InjectedFault::CommitRefused);
        // A barrier, so that an idle journal fails too. Refused means that it failed already.
        let _ = self.append([], Ack::None);
    }

    /// Arms a fault for the next commit.
    pub fn inject(&self, fault: InjectedFault) {
        // A writer that is gone cannot fail any more.
        let _ = self.queue.send(Command::Inject(fault));
    }
}
