//! Old segments taken out of the data directory by a person's command: copied whole, the copies proven row by row, a mark left that
//! says which row the rest continues, and only then removed. Nothing that a start reads is ever taken: neither the newest
//! checkpoint's segment nor any behind it. The daemon itself archives and deletes nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chain::{self, Link, broken};
use super::directory_of;
use super::row::Hash;
use super::segment::{self, Segment, database, name_of};
use crate::store::disk::Folder;
use crate::store::error::JournalError;

const MARK: &str = "archived.json";

/// Where what is left of the chain begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub link: Link,
    pub segment: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// The last one that was taken out.
    segment: u32,
    seq: u64,
    hash: String,
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archived {
    pub segments: Vec<PathBuf>,
    /// Every row up to here is in the archive, this time's and earlier ones'.
    pub through: u64,
    pub bytes: u64,
}

/// The first row, or the one behind what was archived. A mark that cannot be read is none: then a segment is missing.
pub(crate) fn beginning(directory: &Folder, numbers: &[u32]) -> Beginning {
    let whole = Beginning { link: Link::genesis(), segment: 1 };
    if numbers.first().is_none_or(|first| *first == 1) {
        return whole;
    }
    let mark = directory.read(MARK).ok().flatten().and_then(|text| serde_json::from_slice::<Mark>(&text).ok());
    let begins = mark.and_then(|mark| {
        let hash = <[u8; 32]>::try_from(hex::decode(&mark.hash).ok()?).ok()?;
        Some(Beginning { link: Link { seq: mark.seq, hash: Hash(hash) }, segment: mark.segment + 1 })
    });
    begins.unwrap_or(whole)
}

/// Moves all but the newest `keep` segments to `to`, as far as no start needs them. May run beside a daemon.
///
/// # Errors
/// When the chain or a copy is broken, or a disk refuses; nothing is removed then that is not proven in the archive.
pub fn archive(data: impl Into<Folder>, to: &Path, keep: usize) -> Result<Archived, JournalError> {
    let directory = directory_of(&data.into());
    let (_, walked) = chain::walk_all(&directory, |_| {}, |_| {})?;
    if let Some(broken) = walked.broken {
        return Err(broken.into_error(&directory));
    }
    let numbers = segment::list(&directory)?;
    let before = beginning(&directory, &numbers);
    let needed = needed_from(&directory, &numbers)?;
    let spare = numbers.len().saturating_sub(keep.max(1));
    let moved: Vec<u32> = numbers[..spare].iter().copied().filter(|number| *number < needed).collect();
    let mut report = Archived { segments: Vec::new(), through: before.link.seq, bytes: 0 };
    let Some(&last) = moved.last() else { return Ok(report) };
    std::fs::create_dir_all(to).map_err(io("make", to))?;
    let mut link = before.link;
    for &number in moved.iter().filter(|number| **number >= before.segment) {
        let copy = copy(&directory, number, to)?;
        link = prove(to, number, link)?;
        report.bytes += std::fs::metadata(&copy).map_err(io("look at", &copy))?.len();
        report.segments.push(copy);
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(io("sync", to))?;
    // What was left behind by an archiving that was cut short lies before the mark.
    leave_mark(&directory, last.max(before.segment - 1), link)?;
    for &number in &moved {
        let path = directory.file(&name_of(number));
        std::fs::remove_file(&path).map_err(io("remove", &path))?;
    }
    directory.sync().map_err(io("sync", directory.path()))?;
    report.through = link.seq;
    Ok(report)
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { doing, path, source }
}

/// The segment that the next start begins to read in; without a checkpoint it reads all of them.
fn needed_from(directory: &Folder, numbers: &[u32]) -> Result<u32, JournalError> {
    for &number in numbers.iter().rev() {
        if Segment::open_for_reading(directory, number)?.last_checkpoint()?.is_some() {
            return Ok(number);
        }
    }
    Ok(0)
}

/// One file with everything in it, under its own name only when it is whole. One that is there already is proven like a new one.
fn copy(directory: &Folder, number: u32, to: &Path) -> Result<PathBuf, JournalError> {
    let copy = to.join(name_of(number));
    if copy.exists() {
        return Ok(copy);
    }
    let part = copy.with_extension("part");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &part)(error)),
        _ => {}
    }
    let segment = Segment::open_for_reading(directory, number)?;
    let written = segment.connection.execute("VACUUM INTO ?1", [part.to_string_lossy()]);
    written.map_err(database("copy", &segment.path))?;
    File::open(&part).and_then(|file| file.sync_all()).map_err(io("sync", &part))?;
    std::fs::rename(&part, &copy).map_err(io("rename", &part))?;
    Ok(copy)
}

/// Walks the copy from the row that it continues; the row that it ends with.
fn prove(to: &Path, number: u32, link: Link) -> Result<Link, JournalError> {
    let archive = Folder::from(to);
    let copy = chain::open_after(&archive, number, link).map_err(|broken| broken.into_error(&archive))?;
    let walked = chain::walk(&copy, link, |_, _| {});
    match walked.broken {
        Some(broken) => Err(broken.into_error(&archive)),
        None if walked.rows == 0 => {
            Err(broken(link, "a copied segment has no rows", format_args!("row {}", link.seq + 1), "none").into_error(&archive))
        }
        None => Ok(walked.last),
    }
}

fn leave_mark(directory: &Folder, segment: u32, link: Link) -> Result<(), JournalError> {
    let mark = Mark { segment, seq: link.seq, hash: link.hash.to_string() };
    let text = serde_json::to_vec(&mark).unwrap_or_default();
    let (next, path) = (directory.file("archived.json.next"), directory.file(MARK));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&next)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        directory.sync()
    };
    write().map_err(io("write", &path))
}
