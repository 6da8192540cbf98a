//! What must not wait for a sick disk. The kill switch's reducing orders leave at once, and a daemon that halted by itself
//! ends; that they did is handed to a thread that writes it into a file whose space was taken beforehand, as are the rows
//! that the journal does not take. The next start takes the records into the journal. Nothing here is a proof, and nothing here may hold up its caller. The first part of the file is the latch's
//! second home.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::disk::{DiskFile, Folder, Open};
use super::error::JournalError;
use crate::domain::record::Entry;

const FILE: &str = "emergency.log";
/// 1 MiB: a record is about 300 bytes, so it holds a reducing order for each of a thousand positions, and two thousand rows
/// of a journal that has failed: the halt itself, the ends of a thousand orders that it cancels.
pub(super) const FILE_BYTES: u64 = 1 << 20;
/// The latch's part: hundreds of halted scopes.
pub(super) const LATCH_BYTES: u64 = 64 << 10;
/// As many as the file holds; a bound that is met means the file is full too.
pub(super) const RECORDS_MAX: usize = 4096;
const MAGIC: [u8; 4] = *b"RFE1";
/// Magic, length, and the first half of a checksum.
const FRAME_HEAD: usize = 4 + 4 + 16;

/// Takes records without ever blocking.
#[derive(Debug, Clone)]
pub struct Emergency {
    queue: SyncSender<Job>,
    shared: Arc<Progress>,
}

#[derive(Debug)]
enum Job {
    Write {
        frame: Vec<u8>,
        offset: u64,
    },
    /// Fail as on a broken disk.
    Fail,
}

#[derive(Debug)]
struct Progress {
    /// Nothing is written behind it.
    file_bytes: u64,
    next_offset: AtomicU64,
    failed: AtomicBool,
    /// Records taken and records on the disk.
    counts: Mutex<(u64, u64)>,
    settled: Condvar,
}

/// How far the writing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmergencyStanding {
    pub taken: u64,
    pub durable: u64,
    pub failed: bool,
}

impl Emergency {
    /// Opens or makes the file, and writes behind what is in it. After `Journal::open`, which empties it, ask the journal
    /// for its own.
    ///
    /// # Errors
    /// When the file cannot be made at its full size.
    pub fn open(data: impl Into<Folder>) -> Result<Self, JournalError> {
        let (emergency, writer) = Self::parts(&data.into(), FILE_BYTES)?;
        start(writer)?;
        Ok(emergency)
    }

    /// The two ends of the queue, for whoever gives the writer its turns.
    pub(super) fn parts(data: &Folder, file_bytes: u64) -> Result<(Self, EmergencyWriter), JournalError> {
        prepare(data, file_bytes)?;
        let io = |doing| move |source| JournalError::Io { doing, path: data.file(FILE), source };
        let file = data.open(FILE, Open::Writing).map_err(io("open"))?;
        let found = read_file(&*file).map_err(io("read"))?;
        let file_bytes = file.length().map_err(io("read"))?;
        let (queue, jobs) = sync_channel(RECORDS_MAX);
        let shared = Arc::new(Progress {
            file_bytes,
            next_offset: AtomicU64::new(found.end),
            failed: AtomicBool::new(false),
            counts: Mutex::default(),
            settled: Condvar::new(),
        });
        let writer = EmergencyWriter { file, jobs, progress: Arc::clone(&shared) };
        Ok((Self { queue, shared }, writer))
    }

    /// Hands the entry over. `false` when it will not be stored: no room, or the file failed too. Either way whoever asks
    /// acts on, and reconciliation with the venue finds what happened.
    pub fn record(&self, entry: &Entry) -> bool {
        let Ok(payload) = serde_json::to_vec(entry) else { return false };
        let frame = frame(&payload);
        let length = frame.len() as u64;
        let fits = |offset: u64| (offset + length <= self.shared.file_bytes).then_some(offset + length);
        let place = self.shared.next_offset.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        let Ok(offset) = place else { return false };
        if self.shared.failed.load(Ordering::Acquire) {
            return false;
        }
        let taken = self.queue.try_send(Job::Write { frame, offset }).is_ok();
        if taken {
            self.shared.counts().0 += 1;
        }
        taken
    }

    /// Whether it stores nothing any more. There is no way back within a life: what a failed write left behind is not known.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Makes the file fail as a broken disk would, for the daemon's fault injection.
    pub fn inject_failure(&self) {
        // A queue that is full or without a thread fails by itself.
        let _ = self.queue.try_send(Job::Fail);
    }

    /// Waits until all that was taken is on the disk, or the time is over: before an exit that must not lose it.
    #[must_use]
    pub fn settle(&self, at_most: Duration) -> EmergencyStanding {
        let unsettled = |counts: &mut (u64, u64)| counts.1 < counts.0 && !self.shared.failed.load(Ordering::Acquire);
        let waited = self.shared.settled.wait_timeout_while(self.shared.counts(), at_most, unsettled);
        let (counts, _) = waited.unwrap_or_else(PoisonError::into_inner);
        EmergencyStanding { taken: counts.0, durable: counts.1, failed: self.shared.failed.load(Ordering::Acquire) }
    }
}

impl Progress {
    fn counts(&self) -> std::sync::MutexGuard<'_, (u64, u64)> {
        // Two numbers are whole whatever their holder died of.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread of its own, because even a write into the page cache can hang on a sick disk.
pub(super) fn start(writer: EmergencyWriter) -> Result<(), JournalError> {
    let thread = std::thread::Builder::new().name("emergency-log".to_owned()).spawn(move || writer.run());
    thread.map(drop).map_err(|source| JournalError::Thread { name: "emergency-log", source })
}

/// The end of the queue that writes.
#[derive(Debug)]
pub(super) struct EmergencyWriter {
    file: Box<dyn DiskFile>,
    jobs: Receiver<Job>,
    progress: Arc<Progress>,
}

impl EmergencyWriter {
    /// The thread: until the last handle is gone, or the file fails.
    fn run(self) {
        let _exit = Exit(&self.progress);
        while let Ok(first) = self.jobs.recv() {
            if !self.write(first) {
                return;
            }
        }
    }

    /// Writes what is there now. Nothing more is written once the file has failed.
    pub(super) fn turn(&self) {
        if self.progress.failed.load(Ordering::Acquire) {
            return;
        }
        if let Ok(first) = self.jobs.try_recv() {
            self.write(first);
        }
    }

    /// This record and all that wait behind it, with one sync.
    fn write(&self, first: Job) -> bool {
        let mut written = 0;
        let all = std::iter::once(first).chain(self.jobs.try_iter()).try_for_each(|job| match job {
            Job::Write { frame, offset } => {
                written += 1;
                self.file.write_all_at(&frame, offset)
            }
            Job::Fail => Err(std::io::Error::other("an injected failure")),
        });
        let durable = all.and_then(|()| self.file.sync()).is_ok();
        if durable {
            self.progress.counts().1 += written;
        } else {
            self.progress.failed.store(true, Ordering::Release);
        }
        self.progress.settled.notify_all();
        durable
    }
}

/// A thread that panics has failed as one whose disk has: nobody may believe that it still stores.
struct Exit<'a>(&'a Progress);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed.store(true, Ordering::Release);
            self.0.settled.notify_all();
        }
    }
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_HEAD + payload.len());
    frame.extend_from_slice(&MAGIC);
    // Invariant: a record is far below 4 GiB; the file's bound refuses one above 1 MiB.
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&blake3::hash(payload).as_bytes()[..16]);
    frame.extend_from_slice(payload);
    frame
}

/// What the records' part holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub entries: Vec<Entry>,
    /// Stretches that are neither empty nor a record.
    pub damaged: usize,
    end: u64,
}

/// Reads the records of a data directory; none where there is no file.
pub(super) fn read(data: &Folder) -> Result<Found, JournalError> {
    let found = match data.open(FILE, Open::Reading) {
        Ok(file) => read_file(&*file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Found::default()),
        Err(error) => Err(error),
    };
    found.map_err(|source| JournalError::Io { doing: "read", path: data.file(FILE), source })
}

fn read_file(file: &dyn DiskFile) -> std::io::Result<Found> {
    let length = file.length()?.saturating_sub(LATCH_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, LATCH_BYTES.min(file.length()?))?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let (mut position, mut end) = (0, 0);
    while let Some(zeros) = bytes[position..].iter().position(|byte| *byte != 0) {
        position += zeros;
        if let Some((payload, length)) = unframe(&bytes[position..])
            && let Ok(entry) = serde_json::from_slice(payload)
        {
            found.entries.push(entry);
            position += length;
            end = position;
            continue;
        }
        // A torn record loses itself and not those behind it: go on at the next one's magic.
        found.damaged += 1;
        match memchr::memmem::find(&bytes[position + 1..], &MAGIC) {
            Some(skip) => position += 1 + skip,
            None => {
                end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                break;
            }
        }
    }
    found.end = LATCH_BYTES + end as u64;
    found
}

/// The payload of the frame that `bytes` begin with, and the frame's length.
fn unframe(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check, rest) = rest.split_first_chunk::<16>()?;
    let payload = rest.get(..usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    (blake3::hash(payload).as_bytes()[..16] == check[..]).then_some((payload, FRAME_HEAD + payload.len()))
}

/// What the latch's part holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Empty,
    Holds(Vec<u8>),
    Damaged,
}

pub(super) fn read_latch(data: &Folder) -> std::io::Result<Slot> {
    let file = match data.open(FILE, Open::Reading) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Slot::Empty),
        Err(error) => return Err(error),
    };
    let length = file.length()?.min(LATCH_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(match unframe(&bytes) {
        Some((payload, _)) => Slot::Holds(payload.to_vec()),
        None if bytes.iter().all(|byte| *byte == 0) => Slot::Empty,
        None => Slot::Damaged,
    })
}

/// Overwrites the latch's part in place. A write that is torn by a power cut reads as damaged, which counts as halted.
pub(super) fn write_latch(data: &Folder, payload: &[u8]) -> std::io::Result<()> {
    let mut bytes = frame(payload);
    if bytes.len() as u64 > LATCH_BYTES {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "the latch does not fit into its part of the emergency log"));
    }
    bytes.resize(usize::try_from(LATCH_BYTES).unwrap_or(0), 0);
    let file = data.open(FILE, Open::Writing)?;
    file.write_all_at(&bytes, 0)?;
    file.sync()
}

/// Forgets the records: they are in the journal now. The latch's part stays.
pub(super) fn clear_records(data: &Folder) -> Result<(), JournalError> {
    let clear = || -> std::io::Result<()> {
        let file = data.open(FILE, Open::Writing)?;
        let found = read_file(&*file)?;
        if found.end > LATCH_BYTES {
            file.write_all_at(&vec![0; usize::try_from(file.length()? - LATCH_BYTES).unwrap_or(0)], LATCH_BYTES)?;
            file.sync()?;
        }
        Ok(())
    };
    clear().map_err(|source| JournalError::Io { doing: "clear", path: data.file(FILE), source })
}

/// Makes the file at its full size, with zeros that are really written: space that is only promised can be refused later.
pub(super) fn prepare(data: &Folder, file_bytes: u64) -> Result<(), JournalError> {
    let make = || -> std::io::Result<()> {
        let file = data.open(FILE, Open::Making)?;
        let length = file.length()?;
        if length < file_bytes {
            file.write_all_at(&vec![0; usize::try_from(file_bytes - length).unwrap_or(0)], length)?;
        }
        // Also where it was there: whoever made it may have died before this.
        file.sync()?;
        data.sync()
    };
    make().map_err(|source| JournalError::Io { doing: "make", path: data.file(FILE), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Epoch;
    use crate::domain::record::Record;
    use crate::domain::time::Timestamp;

    fn entry(number: i64) -> Entry {
        let record = Record::DaemonStopped { epoch: Epoch(1), reason: format!("note {number}") };
        Entry { at: Timestamp(number), record }
    }

    #[test]
    fn records_come_back_in_order_and_the_file_never_grows() {
        let data = tempfile::tempdir().unwrap();
        let emergency = Emergency::open(data.path()).unwrap();
        let entries: Vec<_> = (0..500).map(entry).collect();
        assert!(entries.iter().all(|entry| emergency.record(entry)));
        assert_eq!(emergency.settle(Duration::from_secs(10)), EmergencyStanding { taken: 500, durable: 500, failed: false });
        assert_eq!(std::fs::metadata(data.path().join(FILE)).unwrap().len(), FILE_BYTES);
        let found = read(&data.path().into()).unwrap();
        assert_eq!((found.entries, found.damaged), (entries, 0));
        clear_records(&data.path().into()).unwrap();
        assert!(read(&data.path().into()).unwrap().entries.is_empty());
    }

    #[test]
    fn a_second_process_writes_behind_the_first_ones_records() {
        let data = tempfile::tempdir().unwrap();
        for number in 0..3 {
            let emergency = Emergency::open(data.path()).unwrap();
            assert!(emergency.record(&entry(number)));
            assert_eq!(emergency.settle(Duration::from_secs(10)).durable, 1);
        }
        assert_eq!(read(&data.path().into()).unwrap().entries, (0..3).map(entry).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_file_refuses_and_says_so() {
        let data = tempfile::tempdir().unwrap();
        let emergency = Emergency::open(data.path()).unwrap();
        let long = Record::DaemonStopped { epoch: Epoch(1), reason: "n".repeat(100_000) };
        let long = Entry { at: Timestamp(1), record: long };
        let taken = (0..20).filter(|_| emergency.record(&long)).count();
        assert_eq!(taken, 9, "983,040 bytes hold nine records of 100 kB");
        assert!(emergency.record(&entry(1)), "a short one still fits");
    }

    #[test]
    fn a_torn_record_loses_itself_and_not_its_neighbours() {
        let data = tempfile::tempdir().unwrap();
        let emergency = Emergency::open(data.path()).unwrap();
        assert!((0..3).all(|number| emergency.record(&entry(number))));
        assert_eq!(emergency.settle(Duration::from_secs(10)).durable, 3);
        let length = frame(&serde_json::to_vec(&entry(0)).unwrap()).len() as u64;
        let file = std::fs::OpenOptions::new().write(true).open(data.path().join(FILE)).unwrap();
        DiskFile::write_all_at(&file, b"????", LATCH_BYTES + length + 40).unwrap();
        let found = read(&data.path().into()).unwrap();
        assert_eq!((found.entries, found.damaged), (vec![entry(0), entry(2)], 1));
    }
}
