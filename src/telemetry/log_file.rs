//! The log as a file, which is where lines go while the terminal shows the live summary. It never takes more room than twice
//! its bound: a full file becomes the old one, in place of the one before.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file of this size holds weeks of an ordinary daemon's lines.
pub(super) const FILE_MAX: u64 = 64 << 20;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

impl LogFile {
    /// Goes on behind what is in the file.
    pub(super) fn open(path: &Path, most: u64) -> io::Result<Self> {
        let file = append_to(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length, most })
    }

    /// `ringfence.log` becomes `ringfence.log.old`.
    fn begin_anew(&mut self) -> io::Result<()> {
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        match std::fs::rename(&self.path, old) {
            // Somebody tidied up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.file = append_to(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    /// Lines come whole, so that none is torn between two files.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length > 0 && self.length + bytes.len() as u64 > self.most {
            // Without a new file the lines are lost, and not the disk's last room.
            self.begin_anew()?;
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_the_one_before_it_are_all_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("ringfence.log"), folder.path().join("ringfence.log.old"));
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        std::fs::write(&path, "0\n").unwrap();
        let mut log = LogFile::open(&path, 10).unwrap();
        for number in 1..=4 {
            writeln!(log, "{number}").unwrap();
        }
        assert_eq!(text(&path), "0\n1\n2\n3\n4\n", "it goes on behind what was there");
        assert!(!old.exists());
        log.write_all(b"5\n").unwrap();
        assert_eq!((text(&old), text(&path)), ("0\n1\n2\n3\n4\n".to_owned(), "5\n".to_owned()));
        log.write_all(b"a line longer than all of it\n").unwrap();
        drop(log);
        LogFile::open(&path, 10).unwrap().write_all(b"6\n").unwrap();
        assert_eq!((text(&old), text(&path)), ("a line longer than all of it\n".to_owned(), "6\n".to_owned()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn where_no_new_file_can_be_made_lines_are_lost_and_no_room_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringfence.log");
        let mut log = LogFile::open(&path, 4).unwrap();
        log.write_all(b"one\n").unwrap();
        std::fs::create_dir_all(folder.path().join("ringfence.log.old/in the way")).unwrap();
        assert!(log.write_all(b"two\n").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
    }
}
