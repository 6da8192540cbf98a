//! Proof that rows are what was written: a walk from one proven row to the next. Used by opening (from the last checkpoint),
//! by `audit verify` (from the first row) and by repair. It reads and reports; it changes nothing.

use std::ops::ControlFlow;

use super::row::{Encoder, Hash};
use super::segment::{self, RawRow, Segment};
use crate::domain::ids::Epoch;
use crate::store::disk::Folder;
use crate::store::error::JournalError;

/// A row by its number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub seq: u64,
    pub hash: Hash,
}

impl Link {
    pub(crate) fn genesis() -> Self {
        Self { seq: 0, hash: Hash::genesis() }
    }
}

/// The first row that does not follow from the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Break {
    pub row: u64,
    pub last_good: u64,
    pub why: String,
    pub expected: String,
    pub found: String,
}

impl Break {
    pub(crate) fn into_error(self, directory: &Folder) -> JournalError {
        let Self { row, last_good, why, expected, found } = self;
        JournalError::Broken { directory: directory.path().to_owned(), row, last_good, why, expected, found }
    }
}

/// How far a walk came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walked {
    pub last: Link,
    /// Of the last row that was walked over.
    pub epoch: Option<Epoch>,
    pub rows: u64,
    pub broken: Option<Break>,
}

/// Walks a segment from the row after `from` to its end, and shows each proven row to `see`.
pub(crate) fn walk(segment: &Segment, from: Link, mut see: impl FnMut(&RawRow<'_>, Link)) -> Walked {
    let mut walked = Walked { last: from, epoch: None, rows: 0, broken: None };
    let mut encoder = Encoder::default();
    let read = segment.rows_after::<rusqlite::Error>(from.seq, |row| match prove(&mut encoder, walked.last, row) {
        Ok((link, row)) => {
            walked.last = link;
            walked.epoch = Some(row.columns.epoch);
            walked.rows += 1;
            see(&row, link);
            Ok(ControlFlow::Continue(()))
        }
        Err(broken) => {
            walked.broken = Some(broken);
            Ok(ControlFlow::Break(()))
        }
    });
    if let Err(error) = read {
        let why = format!("SQLite cannot read {}", segment.path.display());
        walked.broken = Some(broken(walked.last, &why, "a readable row or the end", error));
    }
    walked
}

fn prove<'a>(encoder: &mut Encoder, last: Link, row: Result<RawRow<'a>, String>) -> Result<(Link, RawRow<'a>), Break> {
    let row = row.map_err(|found| broken(last, "a column has a wrong type", "the columns as they were written", found))?;
    let seq = row.columns.seq;
    if seq != last.seq + 1 {
        return Err(broken(last, "a row is missing", format_args!("row {}", last.seq + 1), format_args!("row {seq}")));
    }
    let hashed = encoder.encode::<std::convert::Infallible>(last.hash, &row.columns, |buffer| {
        buffer.extend_from_slice(row.payload.as_bytes());
        Ok(())
    });
    let Ok(hash) = hashed;
    if row.hash != hash.0 {
        let found = row.hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let why = "the row, or the row before it, is not what was written: the hash of its columns is another one";
        return Err(broken(last, why, format_args!("hash {hash}"), format_args!("hash {found}")));
    }
    Ok((Link { seq, hash }, row))
}

pub(crate) fn broken(last: Link, why: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Break {
    Break { row: last.seq + 1, last_good: last.seq, why: why.to_owned(), expected: expected.to_string(), found: found.to_string() }
}

/// Walks every segment in `directory` from the first row on, or from the one behind those that were archived, and shows each proven row to `see`. `progress` is told the rows
/// so far, once a segment and every 65,536 rows, which is about every 50 ms.
pub(crate) fn walk_all(
    directory: &Folder,
    mut see: impl FnMut(Link),
    mut progress: impl FnMut(u64),
) -> Result<(usize, Walked), JournalError> {
    let mut numbers = segment::list(directory)?;
    let begins = super::archive::beginning(directory, &numbers);
    // What an archiving that was cut short left behind is in the archive.
    numbers.retain(|number| *number >= begins.segment);
    let mut total = Walked { last: begins.link, epoch: None, rows: 0, broken: None };
    for (index, &number) in numbers.iter().enumerate() {
        let expected = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(begins.segment);
        if number != expected {
            let why = "a segment is missing";
            total.broken = Some(broken(total.last, why, format_args!("segment {expected}"), format_args!("segment {number}")));
            break;
        }
        let before = total.rows;
        let walked = match open_after(directory, number, total.last) {
            Ok(segment) => walk(&segment, total.last, |_, link| {
                see(link);
                let rows = before + (link.seq - total.last.seq);
                if rows.is_multiple_of(65_536) {
                    progress(rows);
                }
            }),
            Err(broken) => Walked { last: total.last, epoch: None, rows: 0, broken: Some(broken) },
        };
        total.last = walked.last;
        total.epoch = walked.epoch.or(total.epoch);
        total.rows += walked.rows;
        total.broken = walked.broken;
        progress(total.rows);
        if total.broken.is_some() {
            break;
        }
    }
    Ok((numbers.len(), total))
}

/// Opens the segment that has to continue `last`.
pub(crate) fn open_after(directory: &Folder, number: u32, last: Link) -> Result<Segment, Break> {
    let unreadable = |error: JournalError| broken(last, "a segment cannot be read", format_args!("segment {number}"), error);
    let segment = Segment::open_for_reading(directory, number).map_err(unreadable)?;
    let header = segment.header().map_err(unreadable)?;
    if header != last {
        let why = "a segment does not continue the one before it";
        let (expected, found) = (format!("row {} {}", last.seq, last.hash), format!("row {} {}", header.seq, header.hash));
        return Err(broken(last, why, expected, found));
    }
    // A walk begins after `last`, so a row slipped in before it would be seen by queries and not by the walk.
    match segment.first_row().map_err(unreadable)? {
        Some(first) if first <= segment::signed(last.seq) => {
            let why = "a row was slipped in before the first one of a segment";
            Err(broken(last, why, format_args!("row {}", last.seq + 1), format_args!("row {first}")))
        }
        _ => Ok(segment),
    }
}
