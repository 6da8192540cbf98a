//! The way to the journal: rows are folded into the daemon's state and queued for the disk in one step, so that the state
//! is always what the rows before it add up to, and a restarted executor starts from it. Nothing here waits for the disk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::ids::AccountId;
use crate::domain::record::{Entry, Record};
use crate::domain::recovery::{AccountState, DaemonState};
use crate::messages::Clock;
use crate::store::{Ack, AckResult, Emergency, JournalHandle};

/// Rows between two checkpoints: a restart replays at most so many, in some 20 ms, and a checkpoint of a hundred accounts
/// is written once in a few minutes of busy trading.
const CHECKPOINT_EVERY: u64 = 20_000;

/// `observer` hears of every entry as it is queued, on the thread that queued it: it must be short.
#[derive(Clone)]
pub struct JournalPort {
    handle: JournalHandle,
    emergency: Emergency,
    state: Arc<Mutex<DaemonState>>,
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
        Self { handle, emergency, state: Arc::new(Mutex::new(state)), clock, observer }
    }

    /// Queues rows; `done` hears, on the journal's thread, whether they are durable.
    pub fn append(&self, rows: Vec<Record>, done: impl FnOnce(Result<(), String>) + Send + 'static) {
        let told = move |result: AckResult| done(result.map(|_| ()).map_err(|fault| fault.to_string()));
        self.submit(rows, Some(Box::new(told)));
    }

    /// Queues rows that nothing waits for. What the journal does not take goes to the emergency file.
    pub fn note(&self, rows: Vec<Record>) {
        self.submit(rows, None);
    }

    /// `done` hears when everything queued before is durable, or that it is not.
    pub fn barrier(&self, done: impl FnOnce(Result<(), String>) + Send + 'static) {
        self.queue(Vec::new(), Some(Box::new(move |result: AckResult| done(result.map(|_| ()).map_err(|fault| fault.to_string())))));
    }

    fn submit(&self, rows: Vec<Record>, told: Option<Box<dyn FnOnce(AckResult) + Send>>) {
        if !rows.is_empty() {
            self.queue(rows, told);
        }
    }

    fn queue(&self, rows: Vec<Record>, told: Option<Box<dyn FnOnce(AckResult) + Send>>) {
        let at = self.clock.now();
        let entries: Vec<Entry> = rows.into_iter().map(|record| Entry { at, record }).collect();
        entries.iter().for_each(|entry| (self.observer)(entry));
        let mut state = self.lock();
        entries.iter().for_each(|entry| state.apply(entry));
        // The refusal must be told, too: the callback is shared between the two ways that it can be called.
        let told = Arc::new(Mutex::new(told));
        let callback = Arc::clone(&told);
        let ack = Ack::Callback(Box::new(move |result| call(&callback, result)));
        let refused = self.handle.append(entries, ack).err();
        if refused.is_none() && self.handle.rows_since_checkpoint() >= CHECKPOINT_EVERY {
            self.checkpoint(&state);
        }
        drop(state);
        if let Some(refused) = refused {
            for entry in &refused.entries {
                self.emergency.record(entry);
            }
            let because = refused.because.to_string();
            tracing::error!(target: "ringfence::daemon", because, "rows not taken by the journal");
            if let Some(told) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
                told(Err(crate::store::JournalFault::refused(because)));
            }
        }
    }

    /// Under the lock, so that the state is exactly what the rows queued before it add up to.
    fn checkpoint(&self, state: &DaemonState) {
        match serde_json::to_string(state) {
            Ok(json) => drop(self.handle.append_checkpoint(self.clock.now(), json, Ack::None)),
            Err(error) => tracing::error!(target: "ringfence::daemon", %error, "no checkpoint: the state could not be written as JSON"),
        }
    }

    /// Straight into the preallocated file: for what must not wait for a sick disk.
    pub fn emergency(&self, record: Record) {
        self.emergency.record(&Entry { at: self.clock.now(), record });
    }

    /// What the rows so far say of one account.
    #[must_use]
    pub fn account(&self, account: AccountId) -> AccountState {
        self.lock().accounts.get(&account).cloned().unwrap_or_else(|| AccountState::new(account))
    }

    #[must_use]
    pub fn state(&self) -> DaemonState {
        self.lock().clone()
    }

    #[must_use]
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }

    fn lock(&self) -> MutexGuard<'_, DaemonState> {
        // Folding is total: it has no step that could panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Told = Arc<Mutex<Option<Box<dyn FnOnce(AckResult) + Send>>>>;

fn call(told: &Told, result: AckResult) {
    if let Some(told) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
        told(result);
    }
}
