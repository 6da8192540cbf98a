//! What can go wrong with the journal, said to a person: what was expected, what was found, what to do. `JournalError` is
//! for opening and repairing, `JournalFault` for a journal that stopped while it was in use, `AppendRefused` for one append.

use std::path::PathBuf;
use std::sync::Arc;

use super::journal::Ack;
use crate::domain::record::Entry;

/// Why a journal could not be opened, read or repaired.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(
        "the data directory {} is in use: expected to be the only daemon on it, found it locked by {holder}; stop that one or give this one another --data-dir", directory.display()
    )]
    Locked { directory: PathBuf, holder: String },
    #[error("could not {doing} {}: {source}; check that the directory exists, is writable and has free space", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("could not {doing} {}: {source}; keep a copy of the data directory and run `ringfence audit verify`", path.display())]
    Database { doing: &'static str, path: PathBuf, source: rusqlite::Error },
    #[error(
        "the journal in {} is broken at row {row}: {why}; expected {expected}, found {found}. No trading on it. Keep a copy of the directory, look with `ringfence audit verify`, then \
         `ringfence audit repair --accept-loss-after {last_good} --by NAME --reason TEXT` moves what follows row {last_good} aside and starts a new chain there", directory.display()
    )]
    Broken { directory: PathBuf, row: u64, last_good: u64, why: String, expected: String, found: String },
    #[error("expected segments of format {expected}, found format {found} in {}; open it with the version of ringfence that wrote it", path.display())]
    Format { path: PathBuf, expected: i64, found: i64 },
    #[error("nothing was repaired: expected {expected}, found {found}; {remedy}")]
    RepairRefused { expected: String, found: String, remedy: String },
    #[error("could not start the {name} thread: {source}; check the limit on threads (ulimit -u)")]
    Thread { name: &'static str, source: std::io::Error },
    #[error(transparent)]
    Fault(#[from] JournalFault),
}

/// Why the journal stopped taking rows. It never takes one again: nobody knows what a failed write left on the disk, so
/// only a restart, which reads it back, may go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal failed: expected {}, found {}; {}", inner.expected, inner.found, inner.remedy)]
pub struct JournalFault {
    /// Behind a pointer because one fault is told to every append in the queue.
    inner: Arc<FaultText>,
}

#[derive(Debug, PartialEq, Eq)]
struct FaultText {
    expected: String,
    found: String,
    remedy: &'static str,
}

impl JournalFault {
    pub(super) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        let remedy =
            "trading is halted; check the disk (space, dmesg), then start again: the journal is verified and replayed from the disk";
        Self { inner: Arc::new(FaultText { expected: expected.into(), found: found.into(), remedy }) }
    }

    /// For an append that was not taken at all.
    #[must_use]
    pub fn refused(because: impl Into<String>) -> Self {
        Self::new("a journal that takes rows", because)
    }

    pub(super) fn closed() -> Self {
        let remedy = "the row was not stored; it is too late for new work in this process";
        Self { inner: Arc::new(FaultText { expected: "an open journal".into(), found: "it was closed".into(), remedy }) }
    }
}

/// An append that was not taken. Its entries come back, so that they can go to the emergency log, and its ack, which was not
/// answered.
#[derive(Debug, thiserror::Error)]
#[error("{because}")]
pub struct AppendRefused {
    pub entries: Arc<[Entry]>,
    pub ack: Ack,
    pub because: RefusedBecause,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedBecause {
    #[error(
        "the journal's queue is full: expected at most {limit} rows in flight, found {in_flight} and {rows} more; the disk is slower than the work, send less"
    )]
    Full { rows: usize, in_flight: usize, limit: usize },
    #[error(transparent)]
    Failed(JournalFault),
}
