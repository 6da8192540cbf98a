//! What a start finds: where the chain stands, proven from the last checkpoint on and held against the head, and the
//! entries to replay. It reads only; what to make of the entries is the machines' business.

use super::chain::{self, Link, Walked, broken};
use super::head::{Head, HeadMark};
use super::replay::Replay;
use super::row::{CHECKPOINT, Checkpoint, Hash};
use super::segment::{self, RawRow, Segment};
use crate::domain::ids::Epoch;
use crate::domain::mutants::{self, Mutant};
use crate::store::disk::Folder;
use crate::store::error::JournalError;

/// What was found, and what to replay.
#[derive(Debug)]
pub struct Recovery {
    /// This start's.
    pub epoch: Epoch,
    pub checkpoint: Option<Checkpoint>,
    /// The entries after the checkpoint, those from the emergency log included; this start's own first row not.
    pub tail: Replay,
    /// How many of the last entries came from the emergency log.
    pub emergency_rows: usize,
    /// Stretches of the emergency log that could not be read: reconciliation with the venue has to find what they were.
    pub emergency_damaged: usize,
    pub first_start: bool,
    /// Whether the start before this one ended in order.
    pub stopped_in_order: bool,
}

/// Where the chain stands.
#[derive(Debug)]
pub(super) struct Standing {
    pub last: Link,
    pub checkpoint: Option<Checkpoint>,
    /// The segment to append to; `None` when there is none yet.
    pub segment: Option<u32>,
    pub next_segment: u32,
    pub stopped_in_order: bool,
    last_epoch: Epoch,
}

impl Standing {
    pub(super) fn next_epoch(&self) -> Epoch {
        Epoch(if mutants::on(Mutant::EpochNotRaised) { self.last_epoch.0.max(1) } else { self.last_epoch.0 + 1 })
    }

    pub(super) fn tail(&self, directory: &Folder, until: u64) -> Replay {
        Replay::new(directory, self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq), until)
    }
}

/// Proves the chain from the last checkpoint on.
pub(super) fn prove(directory: &Folder) -> Result<Standing, JournalError> {
    let head = Head::read(directory)?;
    let numbers = segment::list(directory)?;
    // From the newest segment back to one that has a checkpoint; without any, from the first row.
    let mut start = None;
    for &number in numbers.iter().rev() {
        let segment = Segment::open_for_reading(directory, number)?;
        if let Some(seq) = segment.last_checkpoint()? {
            start = Some((number, seq));
            break;
        }
    }
    let mut proof = Proof::default();
    let (first_number, mut link) = match start {
        Some((number, seq)) => (number, proof.before_checkpoint(directory, number, seq)?),
        None => (1, Link::genesis()),
    };
    proof.checkpoint_seq = start.map(|(_, seq)| seq);
    for (index, &number) in numbers.iter().filter(|&&number| number >= first_number).enumerate() {
        link = proof.segment(directory, number, index == 0 && start.is_some(), link)?;
    }
    proof.against_head(directory, &numbers, link, head)?;
    Ok(Standing {
        last: link,
        checkpoint: proof.checkpoint,
        segment: numbers.last().copied(),
        next_segment: numbers.last().map_or(1, |number| number + 1),
        stopped_in_order: proof.stopped_in_order,
        last_epoch: proof.epoch.max(match head {
            HeadMark::At(_, epoch) => epoch,
            _ => Epoch(0),
        }),
    })
}

#[derive(Default)]
struct Proof {
    checkpoint_seq: Option<u64>,
    checkpoint: Option<Checkpoint>,
    stopped_in_order: bool,
    epoch: Epoch,
}

impl Proof {
    /// The row that the checkpoint continues: in the segment, or the one before it.
    fn before_checkpoint(&self, directory: &Folder, number: u32, seq: u64) -> Result<Link, JournalError> {
        let segment = Segment::open_for_reading(directory, number)?;
        let header = segment.header()?;
        if seq == header.seq + 1 {
            return Ok(header);
        }
        match segment.hash_of(seq.saturating_sub(1))? {
            Some(hash) => Ok(Link { seq: seq - 1, hash }),
            None => {
                let last = Link { seq: seq.saturating_sub(2), hash: header.hash };
                Err(broken(last, "the row before a checkpoint is missing", format_args!("row {}", seq - 1), "none").into_error(directory))
            }
        }
    }

    fn segment(&mut self, directory: &Folder, number: u32, from_inside: bool, link: Link) -> Result<Link, JournalError> {
        let segment = if from_inside {
            Segment::open_for_reading(directory, number)?
        } else {
            chain::open_after(directory, number, link).map_err(|broken| broken.into_error(directory))?
        };
        let walked = chain::walk(&segment, link, |row, _| self.see(row));
        match self.wrong_checkpoint(&walked, from_inside, link).or(walked.broken) {
            Some(broken) => Err(broken.into_error(directory)),
            None => Ok(walked.last),
        }
    }

    fn see(&mut self, row: &RawRow<'_>) {
        self.epoch = self.epoch.max(row.columns.epoch);
        self.stopped_in_order = row.columns.kind == "daemon_stopped";
        if Some(row.columns.seq) == self.checkpoint_seq && row.columns.kind == CHECKPOINT {
            self.checkpoint = Some(Checkpoint { seq: row.columns.seq, at: row.columns.at, state: row.payload.to_owned() });
        }
    }

    fn wrong_checkpoint(&self, walked: &Walked, from_inside: bool, link: Link) -> Option<chain::Break> {
        let wrong = from_inside && walked.rows > 0 && self.checkpoint.is_none();
        wrong.then(|| broken(link, "a pointer leads to a row that is no checkpoint", "a checkpoint", "another kind of row"))
    }

    /// The head knows of rows that the chain cannot miss: those at its end.
    fn against_head(&self, directory: &Folder, numbers: &[u32], last: Link, head: HeadMark) -> Result<(), JournalError> {
        let segment = match numbers.last() {
            Some(&number) => Some(Segment::open_for_reading(directory, number)?),
            None => None,
        };
        let stored = match (&segment, head) {
            (Some(segment), HeadMark::At(mark, _)) => segment.hash_of(mark.seq)?,
            _ => None,
        };
        match check_head(last, head, stored) {
            Some(broken) => Err(broken.into_error(directory)),
            None => Ok(()),
        }
    }
}

/// Holds the end of the chain against the head. `stored` is the hash of the row that the head names, where it was seen: a
/// head from before the newest segment (a power cut) says nothing that the walk does not prove.
pub(crate) fn check_head(last: Link, head: HeadMark, stored: Option<Hash>) -> Option<chain::Break> {
    let mark = match head {
        HeadMark::At(mark, _) => mark,
        HeadMark::Missing if last.seq == 0 => return None,
        HeadMark::Missing | HeadMark::Unreadable => {
            let found = if head == HeadMark::Missing { "none" } else { "one that cannot be read" };
            let why = "without the head nobody can say that no row is missing at the end";
            return Some(broken(last, why, "the file journal/head", found));
        }
    };
    if mark.seq > last.seq {
        let why = "rows are missing at the end: the head names a row that was durable";
        return Some(broken(last, why, format_args!("row {} {}", mark.seq, mark.hash), "the end of the journal"));
    }
    let found = stored.filter(|found| *found != mark.hash)?;
    let before = Link { seq: mark.seq.saturating_sub(1), hash: found };
    let why = "the row is not the one that the head names";
    Some(broken(before, why, format_args!("hash {}", mark.hash), format_args!("hash {found}")))
}
