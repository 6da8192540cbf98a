//! The newest durable row, kept beside the database. A chain proves each row by the next one, so it cannot see that its own
//! end is missing; the head can. It is rewritten in place after each commit without a sync of its own: after a kill the page
//! cache has it, after a power cut it may be older than the journal, and it is never newer than what was durable.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::chain::Link;
use super::row::Hash;
use crate::domain::ids::Epoch;
use crate::store::error::JournalError;

const FILE: &str = "head";

#[derive(Debug)]
pub(crate) struct Head {
    file: File,
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
    pub(crate) fn open(directory: &Path) -> Result<Self, JournalError> {
        let path = directory.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        match file {
            Ok(file) => Ok(Self { file, path }),
            Err(source) => Err(JournalError::Io { doing: "open", path, source }),
        }
    }

    pub(crate) fn read(directory: &Path) -> Result<HeadMark, JournalError> {
        let path = directory.join(FILE);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(256).read_to_end(&mut text)) {
            Ok(_) => Ok(parse(&text).unwrap_or(HeadMark::Unreadable)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(HeadMark::Missing),
            Err(source) => Err(JournalError::Io { doing: "read", path, source }),
        }
    }

    pub(crate) fn write(&mut self, link: Link, epoch: Epoch) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(line(link, epoch).as_bytes())
    }

    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_all().map_err(|source| JournalError::Io { doing: "sync", path: self.path.clone(), source })
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
        assert_eq!(Head::read(directory.path()).unwrap(), HeadMark::Missing);
        let mut head = Head::open(directory.path()).unwrap();
        let link = Link { seq: 41, hash: Hash::genesis() };
        head.write(Link { seq: u64::MAX, hash: Hash::genesis() }, Epoch(u32::MAX)).unwrap();
        head.write(link, Epoch(3)).unwrap();
        assert_eq!(Head::read(directory.path()).unwrap(), HeadMark::At(link, Epoch(3)));
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap().replace("41 ", "40 ");
        std::fs::write(&path, text).unwrap();
        assert_eq!(Head::read(directory.path()).unwrap(), HeadMark::Unreadable);
    }
}
