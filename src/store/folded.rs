//! Rows and what they add up to, in one step: a row is queued for the disk and folded into the daemon's state together, so
//! that the state is always what the rows before it say, and a checkpoint is exactly that. Also the way back: from what a
//! start found to the state that it begins with. Nothing here waits for the disk.

use std::sync::Arc;

use super::emergency::Emergency;
use super::error::{AppendRefused, JournalError, JournalFault};
use super::journal::{Ack, JournalHandle, Recovery};
use super::latch::Latch;
use crate::domain::record::Entry;
use crate::domain::recovery::DaemonState;
use crate::domain::time::Timestamp;

/// A journal's handle with the state that its rows add up to.
#[derive(Debug)]
pub struct FoldedJournal {
    handle: JournalHandle,
    state: DaemonState,
    /// Rows queued since the last checkpoint was queued: the disk may be behind both.
    rows_since_checkpoint: u64,
    /// A restart replays at most so many.
    checkpoint_every: u64,
}

/// Rows that were queued, or that the journal did not take.
#[derive(Debug)]
pub struct Queued {
    pub entries: Arc<[Entry]>,
    pub refused: Option<AppendRefused>,
}

impl FoldedJournal {
    #[must_use]
    pub fn new(handle: JournalHandle, state: DaemonState, checkpoint_every: u64) -> Self {
        let rows_since_checkpoint = handle.rows_since_checkpoint();
        Self { handle, state, rows_since_checkpoint, checkpoint_every }
    }

    /// To the disk first, because an order may wait for it; what only follows from the rows is done while the disk works.
    pub fn append(&mut self, at: Timestamp, entries: Arc<[Entry]>, ack: Ack) -> Queued {
        let refused = self.handle.append(Arc::clone(&entries), ack).err();
        entries.iter().for_each(|entry| self.state.apply(entry));
        self.rows_since_checkpoint += entries.len() as u64;
        if refused.is_none() && self.rows_since_checkpoint >= self.checkpoint_every {
            self.rows_since_checkpoint = 0;
            // A copy is a tenth of the work; the rest is the journal's thread's. One that is refused is made up for by the next.
            drop(self.handle.append_checkpoint(at, self.state.clone(), Ack::None));
        }
        Queued { entries, refused }
    }

    #[must_use]
    pub fn state(&self) -> &DaemonState {
        &self.state
    }

    #[must_use]
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }
}

impl AppendRefused {
    /// What the journal did not take goes to the emergency log, and whoever waits for it is told.
    pub fn settle(self, emergency: &Emergency) {
        for entry in self.entries.iter() {
            emergency.record(entry);
        }
        if let Ack::Callback(told) = self.ack {
            told(Err(JournalFault::refused(self.because.to_string())));
        }
    }
}

/// Why the rows of a start do not add up to a state.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("the journal's checkpoint expected a state of this version, found: {0}; start the version that wrote it")]
    Checkpoint(serde_json::Error),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Recovery {
    /// Folds what was found into the state that it adds up to.
    ///
    /// # Errors
    /// When the checkpoint is of another version, or a file cannot be read any more.
    pub fn into_state(self) -> Result<DaemonState, ReplayError> {
        let checkpoint = self.checkpoint.as_ref().map(|checkpoint| serde_json::from_str::<DaemonState>(&checkpoint.state));
        let mut state = checkpoint.transpose().map_err(ReplayError::Checkpoint)?.unwrap_or_default();
        for stored in self.tail {
            state.apply(&stored?.entry);
        }
        state.epoch = self.epoch;
        Ok(state)
    }
}

impl Latch {
    /// The latch is the journal's twin for the case that the journal could not be written: the stricter of the two counts.
    pub fn adopt_into(&self, state: &mut DaemonState, now: Timestamp) {
        for halted in self.load(now).halted {
            state.modes.restrict(halted.scope, halted.mode, &halted.cause, halted.since);
        }
    }
}
