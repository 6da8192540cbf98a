//! What must outlive the process. The journal is local and the source of truth: hash-chained rows in SQLite, durable before
//! anything acts on them. Beside it stand what a sick disk must not delay (the emergency log) and what must survive an
//! unusable database (the ladder's latch). This module knows the domain's rows and never an actor, and it never decides:
//! it stores, proves and hands back.

pub mod audit;
pub mod controls;
mod disk;
pub mod emergency;
mod error;
mod folded;
pub mod journal;
pub mod latch;
mod lock;

pub use audit::{Audit, AuditFilter, AuditRow, VerifyOutcome, VerifyReport, verify};
pub use disk::{Disk, DiskFile, Folder, Open, OsDisk};
pub use emergency::Emergency;
pub use error::{AppendRefused, JournalError, JournalFault, RefusedBecause};
pub use folded::{FoldedJournal, Queued, ReplayError};
pub use journal::{
    Ack, AckResult, Archived, Checkpoint, Durable, FaultPlan, InjectedFault, Journal, JournalHandle, JournalOptions, Recovery, Repair,
    RepairReport, Replay, Room, SteppedJournal, StoredEntry, archive, repair,
};
pub use latch::{HaltedScope, Latch, LatchError, LatchHome, LatchState};

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// The wall clock, the default of every `clock` option here; a test passes its own.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the default of the clock options")]
pub fn wall_clock() -> Timestamp {
    // Invariant: a clock before 1970 is a clock that is wrong; zero is the honest answer to it.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// How many files of a data directory's journal have rows, and what all of its files take on the disk.
#[must_use]
pub fn journal_files(data: &std::path::Path) -> Option<(usize, u64)> {
    let files = std::fs::read_dir(data.join("journal")).ok()?.flatten();
    Some(files.fold((0, 0), |(segments, bytes), file| {
        let has_rows = file.path().extension().is_some_and(|extension| extension == "db");
        (segments + usize::from(has_rows), bytes + file.metadata().map_or(0, |about| about.len()))
    }))
}
