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
use crate::store::{Ack, AckResult, AppendRefused, Emergency, FoldedJournal, JournalHandle};
use crate::telemetry::metrics;

/// `observer` hears of every entry right after it was queued, on the thread that queued it: it must be short.
#[derive(Clone)]
pub struct JournalPort {
    handle: JournalHandle,
    emergency: Emergency,
    folded: Arc<Mutex<FoldedJournal>>,
    clock: Clock,
    observer: Observer,
}

/// Is handed the port as well: what it makes of an entry may be a row too.
pub type Observer = Arc<dyn Fn(&JournalPort, &Entry) + Send + Sync>;

impl JournalPort {
    #[must_use]
    pub fn new(
        handle: JournalHandle,
        emergency: Emergency,
        state: DaemonState,
        checkpoint_every: u64,
        clock: Clock,
        observer: Observer,
    ) -> Self {
        let folded = FoldedJournal::new(handle.clone(), state, checkpoint_every);
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

    fn queue(&self, rows: Vec<Record>, ack: Ack) {
        let at = self.clock.now();
        let entries: Arc<[Entry]> = rows.into_iter().map(|record| Entry { at, record }).collect();
        metrics::journal_rows(entries.len());
        // Under the lock, so that the rows are folded in the order in which they are queued.
        let queued = self.lock().append(at, entries, ack);
        queued.entries.iter().for_each(|entry| (self.observer)(self, entry));
        if let Some(refused) = queued.refused {
            self.not_taken(refused);
        }
    }

    fn not_taken(&self, refused: AppendRefused) {
        tracing::error!(target: "ringfence::daemon", because = refused.because.to_string(), "rows not taken by the journal");
        refused.settle(&self.emergency);
    }

    /// Straight into the preallocated file: for what must not wait for a sick disk.
    pub fn emergency(&self, record: Record) {
        self.emergency.record(&Entry { at: self.clock.now(), record });
    }

    /// Has the emergency file fail as on a broken disk, for drills.
    pub fn fail_emergency(&self) {
        self.emergency.inject_failure();
    }

    /// Waits until the emergency file has all that it was handed, or the time is over.
    #[must_use]
    pub fn settle(&self, at_most: Duration) -> EmergencyStanding {
        self.emergency.settle(at_most)
    }

    /// What the rows so far say of one account.
    #[must_use]
    pub fn account(&self, account: AccountId) -> AccountState {
        self.lock().state().accounts.get(&account).cloned().unwrap_or_else(|| AccountState::new(account))
    }

    /// What risk remembers over its restarts.
    #[must_use]
    pub fn risk_memory(&self) -> Memory {
        self.lock().state().risk_memory()
    }

    #[must_use]
    pub fn state(&self) -> DaemonState {
        self.lock().state().clone()
    }

    #[must_use]
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }

    fn lock(&self) -> MutexGuard<'_, FoldedJournal> {
        // Folding is total: it has no step that could panic half way.
        self.folded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(done: impl FnOnce(Result<(), String>) + Send + 'static) -> Ack {
    Ack::Callback(Box::new(move |result: AckResult| done(result.map(|_| ()).map_err(|fault| fault.to_string()))))
}
