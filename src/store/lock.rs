//! One daemon per data directory. The lock is the operating system's, so it is gone when its holder is, however it died;
//! the text in the file only tells a person who holds it.

use super::disk::{DiskFile, Folder, Open};
use super::error::JournalError;

const FILE: &str = "ringfence.lock";

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: Box<dyn DiskFile>,
}

impl DirectoryLock {
    pub(super) fn take(directory: &Folder) -> Result<Self, JournalError> {
        let path = directory.file(FILE);
        let io = |doing| {
            let path = path.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        directory.make().map_err(|source| JournalError::Io { doing: "create", path: directory.path().to_owned(), source })?;
        let file = directory.open(FILE, Open::Making).map_err(io("open the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(JournalError::Locked { directory: directory.path().to_owned(), holder: holder(&*file) });
            }
            Err(source) => return Err(io("lock")(source)),
        }
        let holder = format!("process {}\n", std::process::id());
        let written = file.set_length(0).and_then(|()| file.write_all_at(holder.as_bytes(), 0));
        written.map_err(io("write the holder into"))?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &dyn DiskFile) -> String {
    // 64 bytes hold any "process <pid>"; what is longer was not written here.
    let mut text = vec![0; usize::try_from(file.length().unwrap_or(0).min(64)).unwrap_or(0)];
    let read = file.read_exact_at(&mut text, 0);
    let text = String::from_utf8(text).unwrap_or_default();
    if read.is_ok() && !text.trim().is_empty() { text.trim().to_owned() } else { "another process".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_the_directory_and_the_first_one() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(&directory.path().into()).unwrap();
        let text = DirectoryLock::take(&directory.path().into()).unwrap_err().to_string();
        assert!(text.contains(&directory.path().display().to_string()), "{text}");
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(first);
        DirectoryLock::take(&directory.path().into()).unwrap();
    }
}
