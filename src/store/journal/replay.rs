//! The entries after a checkpoint, in order, a chunk in memory at a time. Reading JSON is most of a long recovery, so a
//! large chunk is read by every processor; the order of the entries is the rows' all the same. The rows were proven before.

use std::ops::ControlFlow;

use super::chain::{Link, broken};
use super::row::{CHECKPOINT, Hash, StoredEntry};
use super::segment::{self, Segment};
use crate::domain::ids::Epoch;
use crate::domain::record::Entry;
use crate::domain::time::Timestamp;
use crate::store::disk::Folder;
use crate::store::error::JournalError;

/// Rows read at a time: a few megabytes of them in memory, and enough work for a thread to be worth starting.
const CHUNK: usize = 8192;
/// Fewer rows than this are read faster than a thread starts.
const ROWS_PER_THREAD_MIN: usize = 512;
/// A restart does not need more of a large machine.
const THREADS_MAX: usize = 4;

/// Iterates over the entries; checkpoints are left out.
#[derive(Debug)]
pub struct Replay {
    directory: Folder,
    from: u64,
    until: u64,
    after: u64,
    /// Segments still to read, newest first; listed when the first one is needed.
    segments: Option<Vec<u32>>,
    open: Option<Segment>,
    ready: std::vec::IntoIter<StoredEntry>,
}

impl Replay {
    /// The rows after `from`, up to and including `until`.
    pub(super) fn new(directory: &Folder, from: u64, until: u64) -> Self {
        let directory = directory.clone();
        Self { directory, from, until, after: from, segments: None, open: None, ready: Vec::new().into_iter() }
    }

    /// The last row that is replayed.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.until
    }

    /// How many rows the tail spans: for a progress bar, and for the memory of whoever collects it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.until - self.from
    }

    /// The same tail from its beginning.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(&self.directory, self.from, self.until)
    }

    fn fill(&mut self) -> Result<(), JournalError> {
        while self.ready.as_slice().is_empty() && self.after < self.until {
            let segment = match self.open.take() {
                Some(segment) => segment,
                None => self.next_segment()?,
            };
            let rows = chunk(&segment, self.after, self.until).map_err(segment::database("read", &segment.path))?;
            let Some(last) = rows.last() else { continue };
            self.after = last.seq;
            self.open = Some(segment);
            self.ready = read_all(&rows).map_err(|unknown| unknown.into_error(&self.directory))?.into_iter();
        }
        Ok(())
    }

    fn next_segment(&mut self) -> Result<Segment, JournalError> {
        if self.segments.is_none() {
            let mut segments = Vec::new();
            for &number in segment::list(&self.directory)?.iter().rev() {
                segments.push(number);
                if Segment::open_for_reading(&self.directory, number)?.header()?.seq <= self.after {
                    break;
                }
            }
            self.segments = Some(segments);
        }
        match self.segments.as_mut().and_then(Vec::pop) {
            Some(number) => Segment::open_for_reading(&self.directory, number),
            None => {
                let last = Link { seq: self.after, hash: Hash::genesis() };
                let expected = format!("rows up to {}", self.until);
                Err(broken(last, "rows vanished after they were proven", expected, "the end").into_error(&self.directory))
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<StoredEntry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            // One error ends the replay: what follows it could not be trusted.
            self.after = self.until;
            return Some(Err(error));
        }
        self.ready.next().map(Ok)
    }
}

/// A row out of the file, not yet read.
struct Unread {
    seq: u64,
    at: Timestamp,
    epoch: Epoch,
    /// `None` in a checkpoint.
    payload: Option<String>,
}

/// A row that proves itself and that this version cannot read.
struct Unknown {
    seq: u64,
    found: String,
}

impl Unknown {
    fn into_error(self, directory: &Folder) -> JournalError {
        let last = Link { seq: self.seq - 1, hash: Hash::genesis() };
        let why = "the row is as it was written, and this version of ringfence cannot read it: use the version that wrote it";
        broken(last, why, "a record that this version knows", self.found).into_error(directory)
    }
}

fn chunk(segment: &Segment, after: u64, until: u64) -> rusqlite::Result<Vec<Unread>> {
    let mut rows = Vec::new();
    segment.rows_after::<rusqlite::Error>(after, |row| {
        // A row whose columns have wrong types was found by the proof; here it ends the chunk.
        let Some(row) = row.ok().filter(|row| row.columns.seq <= until) else { return Ok(ControlFlow::Break(())) };
        let payload = (row.columns.kind != CHECKPOINT).then(|| row.payload.to_owned());
        rows.push(Unread { seq: row.columns.seq, at: row.columns.at, epoch: row.columns.epoch, payload });
        Ok(if rows.len() < CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(rows)
}

/// Reads the rows on as many threads as are worth it, in their order.
fn read_all(rows: &[Unread]) -> Result<Vec<StoredEntry>, Unknown> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let share = rows.len().div_ceil(processors).max(ROWS_PER_THREAD_MIN);
    let (mine, others) = rows.split_at(share.min(rows.len()));
    std::thread::scope(|scope| {
        let read_elsewhere = others.chunks(share).map(|part| {
            let thread = std::thread::Builder::new().name("journal-replay".to_owned()).spawn_scoped(scope, move || read(part));
            (part, thread)
        });
        let started: Vec<_> = read_elsewhere.collect();
        let mut entries = read(mine)?;
        entries.reserve(others.len());
        for (part, thread) in started {
            // A thread that could not start, or died, leaves its part to this one.
            let read_there = thread.ok().and_then(|thread| thread.join().ok());
            entries.append(&mut read_there.unwrap_or_else(|| read(part))?);
        }
        Ok(entries)
    })
}

fn read(rows: &[Unread]) -> Result<Vec<StoredEntry>, Unknown> {
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(payload) = &row.payload else { continue };
        let record = serde_json::from_str(payload).map_err(|error| Unknown { seq: row.seq, found: error.to_string() })?;
        entries.push(StoredEntry { seq: row.seq, epoch: row.epoch, entry: Entry { at: row.at, record } });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<Unread> {
        let note = |seq| format!(r#"{{"kind":"daemon_stopped","epoch":1,"reason":"{seq}"}}"#);
        (1..=count).map(|seq| Unread { seq, at: Timestamp(0), epoch: Epoch(1), payload: (seq % 7 != 0).then(|| note(seq)) }).collect()
    }

    #[test]
    fn many_threads_keep_the_order_and_name_the_first_row_that_cannot_be_read() {
        let mut rows = rows(9000);
        let seqs: Vec<_> = read_all(&rows).ok().unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=9000).filter(|seq| seq % 7 != 0).collect::<Vec<_>>());
        rows[8000].payload = Some("{}".to_owned());
        rows[6000].payload = Some("{\"kind\":\"from_the_future\"}".to_owned());
        let unknown = read_all(&rows).err().unwrap();
        assert!(unknown.seq == 6001 && unknown.found.contains("from_the_future"));
    }
}
