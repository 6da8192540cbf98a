//! The journal without threads: the same writer, given its turns by whoever owns it. For the fault simulation, where the
//! moment of a commit is one more thing that a seed decides.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use super::handle::{Command, JournalHandle, Shared};
use super::writer::{Turn, Writer};
use super::{JournalOptions, Parts, Recovery};
use crate::store::disk::Folder;
use crate::store::emergency::{Emergency, EmergencyWriter};
use crate::store::error::{JournalError, JournalFault};
use crate::store::lock::DirectoryLock;

/// An open journal that does nothing by itself. Dropped without `close`, it stops as after a crash.
pub struct SteppedJournal {
    // Before the lock: the directory is free only when nothing can write into it any more.
    writer: Writer,
    commands: Receiver<Command>,
    handle: JournalHandle,
    shared: Arc<Shared>,
    emergency: Emergency,
    emergency_writer: EmergencyWriter,
    _lock: DirectoryLock,
}

impl SteppedJournal {
    /// # Errors
    /// As `Journal::open`.
    pub fn open(data: impl Into<Folder>, options: &JournalOptions) -> Result<(Self, Recovery), JournalError> {
        let (parts, recovery) = Parts::open(&data.into(), options)?;
        let (queue, commands) = channel();
        let handle = JournalHandle { queue, shared: Arc::clone(&parts.shared) };
        let journal = Self {
            writer: parts.writer,
            commands,
            handle,
            shared: parts.shared,
            emergency: parts.emergency,
            emergency_writer: parts.emergency_writer,
            _lock: parts.lock,
        };
        Ok((journal, recovery))
    }

    #[must_use]
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }

    #[must_use]
    pub fn emergency(&self) -> &Emergency {
        &self.emergency
    }

    /// Commits everything that is queued, and answers it.
    pub fn turn(&mut self) {
        while let Turn::More = self.writer.turn(&self.commands, &self.shared, false) {}
    }

    /// Writes what the emergency log was handed.
    pub fn emergency_turn(&self) {
        self.emergency_writer.turn();
    }

    /// The orderly end.
    ///
    /// # Errors
    /// The fault, when the journal failed before or fails in this.
    pub fn close(mut self, reason: &str) -> Result<(), JournalFault> {
        self.turn();
        self.writer.finish(Some(reason.to_owned()), &self.shared)
    }
}
