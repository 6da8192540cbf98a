//! The journal: every fact that a restart needs or an auditor asks for, durable before anything acts on it. `open` takes the
//! data directory, proves the rows since the last checkpoint, takes in what the emergency log holds, and starts the writer.
//! Rows lie in segments `journal/journal-NNNNNN.db`; a checkpoint may open a new one, so a restart reads the last file alone.

mod archive;
mod chain;
mod handle;
mod head;
mod recovery;
mod repair;
mod replay;
mod row;
mod segment;
mod stepped;
#[cfg(test)]
mod tests;
mod writer;

pub use archive::{Archived, archive};
pub use handle::{Ack, AckResult, Durable, InjectedFault, JournalHandle};
pub use recovery::Recovery;
pub use repair::{Repair, RepairReport, repair};
pub use replay::Replay;
pub use row::{Checkpoint, StoredEntry};
pub use stepped::SteppedJournal;

pub(super) use archive::beginning;
pub(super) use chain::{Walked, walk_all};
pub(super) use head::{Head, HeadMark};
pub(super) use recovery::check_head;
pub(super) use row::CHECKPOINT;
pub(super) use segment::{COLUMNS, RawRow, Segment, database, list, signed};

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use handle::{Command, Shared};
use writer::Writer;

use super::disk::Folder;
use super::emergency::{self, Emergency, EmergencyWriter};
use super::error::{JournalError, JournalFault};
use super::lock::DirectoryLock;
use super::wall_clock;
use crate::domain::ids::Epoch;
use crate::domain::record::{Entry, Record};
use crate::domain::time::Timestamp;

/// Where the segments lie inside the data directory.
pub(super) fn directory_of(data: &Folder) -> Folder {
    data.inside("journal")
}

/// How a journal is opened.
#[derive(Clone)]
pub struct JournalOptions {
    /// Goes into this start's first row.
    pub version: String,
    pub config_hash: String,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Rows in a segment before the next checkpoint opens a new one. A million rows are about half a gigabyte: a file that
    /// can still be copied by hand, and a query without an index reads it in a fifth of a second.
    pub rows_per_segment: u64,
    /// Rows that may wait for the disk. 65,536 are an eighth of a second of the writer's full speed and about 64 MB at
    /// the most; whoever meets the bound is told at once and sends less.
    pub rows_in_flight_max: usize,
    /// Space taken beforehand.
    pub room: Room,
    /// Faults made on purpose; none by default.
    pub faults: FaultPlan,
}

/// What is written before it is needed, so that it cannot be refused later and costs no growth in a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The write-ahead log's, in bytes. 8 MiB: growing it costs the file system's own journal (138 against 95 µs when it was
    /// measured).
    pub log_ahead: usize,
    /// The emergency log's, in bytes, the latch's part included.
    pub emergency: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { log_ahead: 8 << 20, emergency: emergency::FILE_BYTES }
    }
}

impl JournalOptions {
    #[must_use]
    pub fn new(version: impl Into<String>, config_hash: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            config_hash: config_hash.into(),
            clock: Arc::new(wall_clock),
            rows_per_segment: 1_000_000,
            rows_in_flight_max: 65_536,
            room: Room::default(),
            faults: FaultPlan::default(),
        }
    }
}

/// Faults of the disk, made without a faulty disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// What befalls the group commit with that number; the first one after opening is 1.
    pub at_commit: Option<(u64, InjectedFault)>,
    /// A real `SQLITE_FULL` when a segment would grow past so many pages of 8 KiB.
    pub pages_max: Option<u32>,
}

impl FaultPlan {
    fn arm(&mut self, commit: u64, fault: InjectedFault) {
        self.at_commit = Some((commit, fault));
    }

    fn take(&mut self, commit: u64) -> Option<InjectedFault> {
        self.at_commit.take_if(|(at, _)| *at == commit).map(|(_, fault)| fault)
    }

    fn limit_pages(&self, segment: &Segment) -> rusqlite::Result<()> {
        match self.pages_max {
            Some(pages) => segment.connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")),
            None => Ok(()),
        }
    }
}

/// An open journal: owns the data directory's lock and the writer thread. Dropped without `close`, it stops as after a
/// crash, once the queue is written.
#[derive(Debug)]
pub struct Journal {
    handle: JournalHandle,
    emergency: Emergency,
    writer: Option<JoinHandle<Result<(), JournalFault>>>,
}

impl Journal {
    /// Opens the journal of a data directory, or makes one.
    ///
    /// # Errors
    /// When another process holds the directory, the disk refuses, or the chain is broken: then nothing was changed.
    pub fn open(data: impl Into<Folder>, options: &JournalOptions) -> Result<(Self, Recovery), JournalError> {
        let (parts, recovery) = Parts::open(&data.into(), options)?;
        let emergency = parts.emergency.clone();
        emergency::start(parts.emergency_writer)?;
        let (handle, writer) = start(parts.writer, parts.shared, parts.lock)?;
        Ok((Self { handle, emergency, writer: Some(writer) }, recovery))
    }

    #[must_use]
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }

    /// Where cancels and reducing orders go when this journal has failed or hangs.
    #[must_use]
    pub fn emergency(&self) -> Emergency {
        self.emergency.clone()
    }

    /// Writes what is queued and a last row with the reason, and ends the writer. It waits for the disk: call it where
    /// waiting is allowed.
    ///
    /// # Errors
    /// The fault, when the journal failed before or fails in this.
    pub fn close(mut self, reason: &str) -> Result<(), JournalFault> {
        self.stop(Some(reason.to_owned()))
    }

    fn stop(&mut self, reason: Option<String>) -> Result<(), JournalFault> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        // A writer that panicked is not there to be told; `join` says so.
        let _ = self.handle.queue.send(Command::Stop { reason });
        writer.join().unwrap_or_else(|_| Err(JournalFault::new("a running writer thread", "it panicked")))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Whoever wants the result calls `close`.
        let _ = self.stop(None);
    }
}

/// An open journal before anybody runs it.
struct Parts {
    lock: DirectoryLock,
    writer: Writer,
    shared: Arc<Shared>,
    emergency: Emergency,
    emergency_writer: EmergencyWriter,
}

impl Parts {
    fn open(data: &Folder, options: &JournalOptions) -> Result<(Self, Recovery), JournalError> {
        let lock = DirectoryLock::take(data)?;
        let directory = directory_of(data);
        directory.make().map_err(|source| JournalError::Io { doing: "create", path: directory.path().to_owned(), source })?;
        let standing = recovery::prove(&directory)?;
        let epoch = standing.next_epoch();
        let segment = match standing.segment {
            Some(number) => Segment::open_for_append(&directory, number, options.room.log_ahead)?,
            None => Segment::create(&directory, standing.next_segment, standing.last, options.room.log_ahead)?,
        };
        options.faults.limit_pages(&segment).map_err(segment::database("limit", &segment.path))?;
        // The epoch before this one: what counts is the row that carries the new one.
        let head = Head::open(&directory, standing.last, Epoch(epoch.0 - 1))?;
        let mut writer = Writer::new(directory.clone(), segment, head, standing.last, epoch, options);
        emergency::prepare(data, options.room.emergency)?;
        let mut absorbed = emergency::read(data)?;
        if !absorbed.entries.is_empty() {
            leave_out_absorbed(standing.tail(&directory, standing.last.seq), &mut absorbed.entries)?;
        }
        let emergency_rows = absorbed.entries.len();
        let mut entries = absorbed.entries;
        let version = (options.version.clone(), options.config_hash.clone());
        entries.push(Entry { at: (options.clock)(), record: Record::DaemonStarted { epoch, version: version.0, config_hash: version.1 } });
        writer.write_now(entries)?;
        // Only now may the emergency log forget: its rows are in the chain.
        emergency::clear_records(data)?;
        let (emergency, emergency_writer) = Emergency::parts(data, options.room.emergency)?;

        let shared = Arc::new(Shared::new(epoch, options.rows_in_flight_max));
        let tail = standing.tail(&directory, writer.last.seq - 1);
        // The tail, and this start's own row.
        shared.rows_since_checkpoint.store(tail.rows() + 1, Ordering::Relaxed);
        let recovery = Recovery {
            epoch,
            checkpoint: standing.checkpoint,
            tail,
            emergency_rows,
            emergency_damaged: absorbed.damaged,
            first_start: standing.last.seq == 0,
            stopped_in_order: standing.stopped_in_order,
        };
        Ok((Self { lock, writer, shared, emergency, emergency_writer }, recovery))
    }
}

/// Leaves out what the chain has already: a start that died after it had taken the entries in, and before the emergency log
/// had forgotten all of them, left nothing behind them but that it started.
fn leave_out_absorbed(tail: Replay, entries: &mut Vec<Entry>) -> Result<(), JournalError> {
    let rows = tail.map(|stored| stored.map(|stored| stored.entry)).collect::<Result<Vec<_>, _>>()?;
    let is_start = |entry: &Entry| matches!(entry.record, Record::DaemonStarted { .. });
    if rows.last().is_some_and(is_start) {
        // As many as the log holds at the most, and the starts behind them.
        let last = &rows[rows.len().saturating_sub(emergency::RECORDS_MAX)..];
        entries.retain(|entry| !last.contains(entry));
    }
    Ok(())
}

/// The writer has a thread of its own because a sync blocks: no runtime may wait for a disk.
fn start(
    writer: Writer,
    shared: Arc<Shared>,
    lock: DirectoryLock,
) -> Result<(JournalHandle, JoinHandle<Result<(), JournalFault>>), JournalError> {
    // Unbounded, and bounded by the credits of the handles: a send never blocks.
    let (queue, commands) = std::sync::mpsc::channel();
    let handle = JournalHandle { queue, shared: Arc::clone(&shared) };
    let thread = std::thread::Builder::new().name("journal-writer".to_owned()).spawn(move || {
        // The directory is free only when nothing can write into it any more.
        let _lock = lock;
        writer.run(&commands, &shared)
    });
    let thread = thread.map_err(|source| JournalError::Thread { name: "journal-writer", source })?;
    Ok((handle, thread))
}
