//! The writer thread: takes everything that is queued, makes it one transaction with one sync, then answers. It is the only
//! writer of the database. After any error it writes nothing more: what a failed write or sync left behind is unknown, so
//! it is never retried as if it had worked; each later append is told the fault.

use crate::domain::mutants::{self, Mutant};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};

use rusqlite::TransactionBehavior;

use super::chain::Link;
use super::handle::{Command, Content, Durable, InjectedFault, Pending, Shared};
use super::head::Head;
use super::row::{CHECKPOINT, Columns, Encoder, Hash};
use super::segment::{PAGE_BYTES, Segment, signed};
use super::{FaultPlan, JournalOptions};
use crate::domain::ids::Epoch;
use crate::domain::record::{Entry, Record};
use crate::domain::time::Timestamp;
use crate::store::disk::Folder;
use crate::store::error::{JournalError, JournalFault};

/// Rows of one commit: at 500 k rows/s it is 8 ms, so a single append behind a flood waits no longer than that.
const ROWS_PER_COMMIT_MAX: usize = 4096;
/// 64 MiB: a flood that never lets the queue run empty copies the log now and then all the same, or it would fill the disk.
const LOG_PAGES_MAX: u64 = 8192;

const INSERT: &str = "INSERT INTO rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Writes rows and knows where the chain stands.
pub(super) struct Writer {
    pub directory: Folder,
    pub segment: Segment,
    pub head: Head,
    pub last: Link,
    pub epoch: Epoch,
    pub rows_in_segment: u64,
    pub rows_per_segment: u64,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    log_ahead: usize,
    /// When the queue is empty, the log is copied into the database from this size on: before it outgrows what was written
    /// ahead.
    log_pages_idle: u64,
    log_pages: u64,
    commits: u64,
    plan: FaultPlan,
    encoder: Encoder,
    deferred: Option<Request>,
}

/// What the queue said.
pub(super) enum Turn {
    /// There may be more to commit.
    More,
    Idle,
    /// To end, with a last row when there is a reason to write one.
    Stop(Option<String>),
}

/// One append on its way through a commit.
struct Request {
    content: Content,
    pending: Pending,
}

/// What the queue gave.
struct Batch {
    requests: Vec<Request>,
    stop: Option<Option<String>>,
    queue_is_empty: bool,
}

impl Writer {
    pub(super) fn new(directory: Folder, segment: Segment, head: Head, last: Link, epoch: Epoch, options: &JournalOptions) -> Self {
        let first = segment.header().map_or(last.seq, |header| header.seq);
        Self {
            directory,
            rows_in_segment: last.seq - first,
            segment,
            head,
            last,
            epoch,
            rows_per_segment: options.rows_per_segment,
            clock: Arc::clone(&options.clock),
            log_ahead: options.room.log_ahead,
            // An eighth is left for the commit that crosses the mark.
            log_pages_idle: options.room.log_ahead as u64 / PAGE_BYTES * 7 / 8,
            log_pages: 0,
            commits: 0,
            plan: options.faults.clone(),
            encoder: Encoder::default(),
            deferred: None,
        }
    }

    /// The thread's whole life: until `Stop`, or until every handle is gone.
    pub(super) fn run(mut self, queue: &Receiver<Command>, shared: &Arc<Shared>) -> Result<(), JournalFault> {
        let _exit = Exit(Arc::clone(shared));
        loop {
            if let Turn::Stop(reason) = self.turn(queue, shared, true) {
                return self.finish(reason, shared);
            }
        }
    }

    /// One commit, with its answers and what is due behind it. With `wait`, it waits for something to commit.
    pub(super) fn turn(&mut self, queue: &Receiver<Command>, shared: &Shared, wait: bool) -> Turn {
        let batch = self.collect(queue, wait);
        if !batch.requests.is_empty() {
            self.commit_and_answer(batch.requests, shared);
        }
        if let Some(reason) = batch.stop {
            return Turn::Stop(reason);
        }
        if shared.failure().is_none() && self.log_is_due(batch.queue_is_empty) {
            self.empty_log(false).unwrap_or_else(|fault| shared.fail(fault));
        }
        if batch.queue_is_empty && self.deferred.is_none() { Turn::Idle } else { Turn::More }
    }

    /// Takes what is there. A checkpoint that opens a new segment waits for a commit of its own.
    fn collect(&mut self, queue: &Receiver<Command>, wait: bool) -> Batch {
        let mut batch = Batch { requests: self.deferred.take().into_iter().collect(), stop: None, queue_is_empty: false };
        let mut rows = 0;
        while rows < ROWS_PER_COMMIT_MAX {
            let blocks = wait && batch.requests.is_empty();
            let command = if blocks { queue.recv().map_err(|_| TryRecvError::Disconnected) } else { queue.try_recv() };
            match command {
                Ok(Command::Append { content, pending }) => {
                    rows += content.rows();
                    let request = Request { content, pending };
                    if self.rotates(&request, rows) && !batch.requests.is_empty() {
                        self.deferred = Some(request);
                        return batch;
                    }
                    batch.requests.push(request);
                }
                Ok(Command::Inject(fault)) => self.plan.arm(self.commits + 1, fault),
                Ok(Command::Stop { reason }) => {
                    batch.stop = Some(reason);
                    return batch;
                }
                Err(TryRecvError::Empty) => {
                    batch.queue_is_empty = true;
                    return batch;
                }
                Err(TryRecvError::Disconnected) => {
                    batch.stop = Some(None);
                    return batch;
                }
            }
        }
        batch
    }

    fn rotates(&self, request: &Request, rows_before: usize) -> bool {
        matches!(request.content, Content::Checkpoint { .. }) && self.rows_in_segment + rows_before as u64 > self.rows_per_segment
    }

    fn commit_and_answer(&mut self, requests: Vec<Request>, shared: &Shared) {
        shared.commit_begins_or_ends();
        let result = match shared.failure() {
            Some(fault) => Err(fault),
            None => self.commit(&requests).inspect_err(|fault| shared.fail(fault.clone())),
        };
        shared.commit_begins_or_ends();
        if result.is_ok() {
            count_since_checkpoint(&requests, shared);
        }
        let pending = requests.into_iter().map(|request| request.pending);
        match result {
            Ok(durable) => pending.zip(durable).for_each(|(pending, durable)| pending.answer(Ok(durable))),
            Err(fault) => pending.for_each(|pending| pending.answer(Err(fault.clone()))),
        }
    }

    /// One transaction, one sync. `self.last` moves only when all of it is durable.
    fn commit(&mut self, requests: &[Request]) -> Result<Vec<Durable>, JournalFault> {
        if requests.first().is_some_and(|request| self.rotates(request, 1)) {
            self.rotate()?;
        }
        self.commits += 1;
        let injected = self.plan.take(self.commits);
        if let Some(InjectedFault::Stall(time)) = injected {
            #[allow(clippy::disallowed_methods, reason = "an injected stall has to stall")]
            std::thread::sleep(time);
        }
        let contents = requests.iter().map(|request| &request.content);
        let mut ranges = self.write(contents, injected)?;
        let durable_at = (self.clock)();
        ranges.iter_mut().for_each(|range| range.durable_at = durable_at);
        Ok(ranges)
    }

    /// Writes the contents behind the last row and makes them durable.
    fn write<'a>(
        &mut self,
        contents: impl Iterator<Item = &'a Content>,
        injected: Option<InjectedFault>,
    ) -> Result<Vec<Durable>, JournalFault> {
        let transaction = self.segment.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault("begin"))?;
        let statement = transaction.prepare_cached(INSERT).map_err(fault("write"))?;
        let mut rows = Insert { statement, encoder: &mut self.encoder, last: self.last, epoch: self.epoch, bytes: 0 };
        let mut ranges = Vec::new();
        for content in contents {
            let first_seq = rows.last.seq + 1;
            rows.content(&transaction, content)?;
            ranges.push(Durable { first_seq, last_seq: rows.last.seq, durable_at: Timestamp::ZERO });
        }
        let (last, bytes) = (rows.last, rows.bytes);
        drop(rows);
        if injected == Some(InjectedFault::CommitRefused) {
            return Err(JournalFault::new("a commit", "an injected refusal of it"));
        }
        transaction
            .commit()
            .map_err(fault("commit"))
            .or_else(|error| if mutants::on(Mutant::FailedSyncAcknowledged) { Ok(()) } else { Err(error) })?;
        if injected == Some(InjectedFault::SyncFailed) {
            return Err(JournalFault::new("a durable commit", "an injected error of its sync"));
        }
        self.log_pages += Segment::log_pages(bytes);
        self.rows_in_segment += last.seq - self.last.seq;
        self.last = last;
        self.head.write(last, self.epoch).map_err(|error| JournalFault::new("the head to be written", error.to_string()))?;
        Ok(ranges)
    }

    /// Writes entries before the thread runs: what the emergency log held, and that the daemon started.
    pub(super) fn write_now(&mut self, entries: Vec<Entry>) -> Result<(), JournalFault> {
        self.write(std::iter::once(&Content::Entries(entries.into())), None).map(drop)
    }

    /// Ends this segment and begins the next one, which a checkpoint opens: a restart then reads the last file only.
    fn rotate(&mut self) -> Result<(), JournalFault> {
        let next = Segment::create(&self.directory, self.segment.number + 1, self.last, self.log_ahead).map_err(cause("a new segment"))?;
        self.plan.limit_pages(&next).map_err(fault("limit"))?;
        std::mem::replace(&mut self.segment, next).retire().map_err(fault("copy the log of"))?;
        self.rows_in_segment = 0;
        self.log_pages = 0;
        Ok(())
    }

    fn log_is_due(&self, queue_is_empty: bool) -> bool {
        self.log_pages >= if queue_is_empty { self.log_pages_idle } else { LOG_PAGES_MAX }
    }

    fn empty_log(&mut self, truncate: bool) -> Result<(), JournalFault> {
        let left = self.segment.empty_log(truncate).map_err(fault("copy the log of"))?;
        // What a reader holds back is tried again a whole measure later, not after every commit.
        self.log_pages = left.min(self.log_pages_idle / 2);
        Ok(())
    }

    /// The orderly end: a last row, the log copied, the head synced.
    pub(super) fn finish(&mut self, reason: Option<String>, shared: &Shared) -> Result<(), JournalFault> {
        if let Some(fault) = shared.failure() {
            return Err(fault);
        }
        let Some(reason) = reason else { return Ok(()) };
        let stopped = Entry { at: (self.clock)(), record: Record::DaemonStopped { epoch: self.epoch, reason } };
        let ended = self.write_now(vec![stopped]).and_then(|()| self.empty_log(true));
        ended.and_then(|()| self.head.sync().map_err(cause("a durable head"))).inspect_err(|fault| shared.fail(fault.clone()))
    }
}

/// The rows of one transaction.
struct Insert<'a> {
    statement: rusqlite::CachedStatement<'a>,
    encoder: &'a mut Encoder,
    last: Link,
    epoch: Epoch,
    bytes: u64,
}

impl Insert<'_> {
    fn content(&mut self, connection: &rusqlite::Connection, content: &Content) -> Result<(), JournalFault> {
        match content {
            Content::Entries(entries) => entries.iter().try_for_each(|entry| self.entry(entry)),
            Content::Checkpoint { state, at } => {
                let columns =
                    Columns { seq: self.last.seq + 1, at: *at, epoch: self.epoch, kind: CHECKPOINT, account: None, client_order_id: None };
                self.row(&columns, |buffer| state(buffer))?;
                let pointed = connection.execute("INSERT INTO checkpoints VALUES (?1)", [signed(columns.seq)]);
                pointed.map(drop).map_err(fault("write"))
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), JournalFault> {
        let (account, order) = (entry.record.account(), entry.record.client_order_id());
        let columns = Columns {
            seq: self.last.seq + 1,
            at: entry.at,
            epoch: self.epoch,
            kind: entry.record.kind(),
            account: account.as_ref().map(|id| id.as_str()),
            client_order_id: order.as_ref().map(|id| id.as_str()),
        };
        self.row(&columns, |buffer| serde_json::to_writer(buffer, &entry.record))
    }

    fn row(
        &mut self,
        columns: &Columns<'_>,
        payload: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
    ) -> Result<(), JournalFault> {
        let hash: Hash = self
            .encoder
            .encode(self.last.hash, columns, payload)
            .map_err(|error| JournalFault::new(format!("a {} record that is JSON", columns.kind), error.to_string()))?;
        let text = std::str::from_utf8(self.encoder.payload()).map_err(|error| JournalFault::new("JSON in UTF-8", error.to_string()))?;
        let values = rusqlite::params![
            signed(columns.seq),
            columns.at.0,
            columns.epoch.0,
            columns.kind,
            columns.account,
            columns.client_order_id,
            &hash.0[..],
            text
        ];
        self.statement.execute(values).map_err(fault("write"))?;
        self.bytes += text.len() as u64 + 128;
        self.last = Link { seq: columns.seq, hash };
        Ok(())
    }
}

impl Content {
    fn rows(&self) -> usize {
        match self {
            Self::Entries(entries) => entries.len(),
            Self::Checkpoint { .. } => 1,
        }
    }
}

fn count_since_checkpoint(requests: &[Request], shared: &Shared) {
    for request in requests {
        match &request.content {
            Content::Entries(entries) => drop(shared.rows_since_checkpoint.fetch_add(entries.len() as u64, Ordering::Relaxed)),
            Content::Checkpoint { .. } => shared.rows_since_checkpoint.store(0, Ordering::Relaxed),
        }
    }
}

fn fault(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> JournalFault {
    move |error| JournalFault::new(format!("to {doing} the journal"), error.to_string())
}

fn cause(expected: &'static str) -> impl FnOnce(JournalError) -> JournalFault {
    move |error| JournalFault::new(expected, error.to_string())
}

/// However the thread ends, the handles learn of it.
struct Exit(Arc<Shared>);

impl Drop for Exit {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(JournalFault::new("a running writer thread", "it panicked"));
        }
        self.0.close();
    }
}
