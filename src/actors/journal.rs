//! The way to the journal: rows are folded into the daemon's state and queued for the disk in one step, so that the state
//! is always what the rows before it add up to, and a restarted executor starts from it. Nothing here waits for the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::ids::AccountId;
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::{AccountState, DaemonState};
use crate::domain::risk::Memory;
use crate::messages::Clock;
use crate::store::emergency::EmergencyStanding;
use crate::store::{Ack, AckResult, AppendRefused, Emergency, JournalFault, JournalHandle};
use crate::telemetry::metrics;

/// Rows between two checkpoints: a restart replays at most so many, in some 20 ms, and a checkpoint of a hundred accounts
/// is written once in a few minutes of busy trading.
const CHECKPOINT_EVERY: u64 = 20_000;

/// What is folded, and how far a checkpoint lies back.
#[derive(Debug)]
struct Folded {
    state: DaemonState,
    /// Rows queued since the last checkpoint was queued: the disk may be behind both.
    rows_since_checkpoint: u64,
}

/// `observer` hears of every entry right after it was queued, on the thread that queued it: it must be short.
#[derive(Clone)]
pub struct JournalPort {
    handle: JournalHandle,
    emergency: Emergency,
    folded: Arc<Mutex<Folded>>,
    clock: Clock,
    observer: Arc<dyn Fn(&Entry) + Send + Sync>,
}

impl JournalPort {
    #[must_use]
    pub fn new(
        handle: JournalHandle,
        emergency: Emergency,
        state: DaemonState,
        clock: Clock,
        observer: Arc<dyn Fn(&Entry) + Send + Sync>,
    ) -> Self {
        let folded = Folded { state, rows_since_checkpoint: handle.rows_since_checkpoint() };
        Self { handle, emergency, folded: Arc::new(Mutex::new(folded)), clock, observer }
    }

    /// Queues rows; `done` hears, on the journal's thread, whether they are durable.
    pub fn append(&self, rows: Vec<Record>, done: impl FnOnce(Result<(), String>) + Send + 'static) {
        let (clock, queued) = (self.clock.clone(), self.clock.now());
        self.submit(
            rows,
            told(move |result| {
                metrics::journal_append_took(clock.now().since(queued));
                done(result);
            }),
        );
    }

    /// Queues rows that nothing waits for. What the journal does not take goes to the emergency file.
    pub fn note(&self, rows: Vec<Record>) {
        self.submit(rows, Ack::None);
    }

    /// `done` hears when everything queued before is durable, or that it is not.
    pub fn barrier(&self, done: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.queue(Vec::new(), told(done));
    }

    fn submit(&self, rows: Vec<Record>, ack: Ack) {
        if !rows.is_empty() {
            self.queue(rows, ack);
        }
    }

    /// To the disk first, because an order may wait for it; what only follows from the rows is done while the disk works.
    fn queue(&self, rows: Vec<Record>, ack: Ack) {
        let at = self.clock.now();
        let entries: Arc<[Entry]> = rows.into_iter().map(|record| Entry { at, record }).collect();
        metrics::journal_rows(entries.len());
        let mut folded = self.lock();
        let refused = self.handle.append(Arc::clone(&entries), ack).err();
        entries.iter().for_each(|entry| folded.state.apply(entry));
        folded.rows_since_checkpoint += entries.len() as u64;
        if refused.is_none() && folded.rows_since_checkpoint >= CHECKPOINT_EVERY {
            folded.rows_since_checkpoint = 0;
            self.checkpoint(&folded.state);
        }
        drop(folded);
        entries.iter().for_each(|entry| (self.observer)(entry));
        if let Some(refused) = refused {
            self.not_taken(refused);
        }
    }

    fn not_taken(&self, refused: AppendRefused) {
        for entry in refused.entries.iter() {
            self.emergency.record(entry);
        }
        let because = refused.because.to_string();
        tracing::error!(target: "ringfence::daemon", because, "rows not taken by the journal");
        if let Ack::Callback(told) = refused.ack {
            told(Err(JournalFault::refused(because)));
        }
    }

    /// Under the lock, so that the state is exactly what the rows queued before it add up to. A copy is a tenth of the work;
    /// the rest is the journal's thread's. One that is refused is made up for by the next.
    fn checkpoint(&self, state: &DaemonState) {
        drop(self.handle.append_checkpoint(self.clock.now(), state.clone(), Ack::None));
    }

    /// Straight into the preallocated file: for what must not wait for a sick disk.
    pub fn emergency(&self, record: Record) {
        self.emergency.record(&Entry { at: self.clock.now(), record });
    }

    /// Waits until the emergency file has all that it was handed, or the time is over.
    #[must_use]
    pub fn settle(&self, at_most: Duration) -> EmergencyStanding {
        self.emergency.settle(at_most)
    }

    /// What the rows so far say of one account.
    #[must_use]
    pub fn account(&self, account: AccountId) -> AccountState {
        self.lock().state.accounts.get(&account).cloned().unwrap_or_else(|| AccountState::new(account))
    }

    /// What risk remembers over its restarts.
    #[must_use]
    pub fn risk_memory(&self) -> Memory {
        self.lock().state.risk_memory()
    }

    #[must_use]
    pub fn state(&self) -> DaemonState {
        self.lock().state.clone()
    }

    #[must_use]
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }

    fn lock(&self) -> MutexGuard<'_, Folded> {
        // Folding is total: it has no step that could panic half way.
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(done: impl FnOnce(Result<(), String>) + Send + 'static) -> Ack {
    Ack::Callback(Box::new(move |result: AckResult| done(result.map(|_| ()).map_err(|fault| fault.to_string()))))
}
