//! The newest durable row, kept beside the database. A chain proves each row by the next one, so it cannot see that its own
//! end is missing; the head can. It is rewritten in place after each commit without a sync of its own: after a kill the page
//! cache has it, after a power cut it may be older than the journal, and it is never newer than what was durable.

use std::path::PathBuf;

use super::chain::Link;
use super::row::Hash;
use crate::domain::ids::Epoch;
use crate::store::disk::{DiskFile, Folder, Open};
use crate::store::error::JournalError;

const FILE: &str = "head";

#[derive(Debug)]
pub(crate) struct Head {
    file: Box<dyn DiskFile>,
    path: PathBuf,
}

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadMark {
    At(Link, Epoch),
    Missing,
    Unreadable,
}

impl Head {
    /// Opens the head, or makes one that stands at `last`, durable before the next row can be: rows without a head would be
    /// a journal whose end nobody can vouch for.
    pub(crate) fn open(directory: &Folder, last: Link, epoch: Epoch) -> Result<Self, JournalError> {
        let is_missing = Self::read(directory)? == HeadMark::Missing;
        let path = directory.file(FILE);
        let io = |doing| move |source| JournalError::Io { doing, path: directory.file(FILE), source };
        let file = directory.open(FILE, Open::Making).map_err(io("open"))?;
        let mut head = Self { file, path };
        if is_missing {
            head.write(last, epoch).map_err(io("write"))?;
        }
        head.sync()?;
        directory.sync().map_err(io("name"))?;
        Ok(head)
    }

    pub(crate) fn read(directory: &Folder) -> Result<HeadMark, JournalError> {
        match directory.read(FILE) {
            // Made, and the power went before the first line was written.
            Ok(Some(text)) if text.iter().all(|byte| *byte == 0) => Ok(HeadMark::Missing),
            Ok(Some(text)) => Ok(parse(&text).unwrap_or(HeadMark::Unreadable)),
            Ok(None) => Ok(HeadMark::Missing),
            Err(source) => Err(JournalError::Io { doing: "read", path: directory.file(FILE), source }),
        }
    }

    pub(crate) fn write(&mut self, link: Link, epoch: Epoch) -> std::io::Result<()> {
        self.file.write_all_at(line(link, epoch).as_bytes(), 0)
    }

    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync().map_err(|source| JournalError::Io { doing: "sync", path: self.path.clone(), source })
    }
}

/// Of one length, so that a rewrite in place leaves nothing of the line before: seq, epoch, hash, and a checksum of the
/// three.
fn line(link: Link, epoch: Epoch) -> String {
    let body = format!("{:020} {:010} {}", link.seq, epoch.0, link.hash);
    let check = blake3::hash(body.as_bytes()).to_hex();
    format!("{body} {}\n", &check[..16])
}

fn parse(text: &[u8]) -> Option<HeadMark> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let (seq, epoch, hash) = (words.next()?.parse().ok()?, Epoch(words.next()?.parse().ok()?), Hash::from_hex(words.next()?)?);
    let link = Link { seq, hash };
    (line(link, epoch) == text).then_some(HeadMark::At(link, epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_comes_back_and_a_flipped_digit_makes_it_unreadable() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::from(directory.path());
        assert_eq!(Head::read(&folder).unwrap(), HeadMark::Missing);
        let mut head = Head::open(&folder, Link::genesis(), Epoch(1)).unwrap();
        assert_eq!(Head::read(&folder).unwrap(), HeadMark::At(Link::genesis(), Epoch(1)));
        let link = Link { seq: 41, hash: Hash::genesis() };
        head.write(Link { seq: u64::MAX, hash: Hash::genesis() }, Epoch(u32::MAX)).unwrap();
        head.write(link, Epoch(3)).unwrap();
        assert_eq!(Head::read(&folder).unwrap(), HeadMark::At(link, Epoch(3)));
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap().replace("41 ", "40 ");
        std::fs::write(&path, text).unwrap();
        assert_eq!(Head::read(&folder).unwrap(), HeadMark::Unreadable);
    }
}
