//! The file system as this module uses it: a port with the operating system behind it, and, in the fault simulation, a disk
//! that loses, tears and refuses. It says which calls there are and what each promises; it decides nothing.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    Reading,
    /// It must be there.
    Writing,
    /// Made if it is not there.
    Making,
    /// Made, or emptied.
    Fresh,
}

/// A file system. Nothing is durable before it was synced: bytes by the file's sync, names by their directory's.
pub trait Disk: Debug + Send + Sync {
    /// # Errors
    /// The file system's, here and below.
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>>;
    /// A database in a file of this file system.
    ///
    /// # Errors
    /// SQLite's.
    fn connect(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection>;
    fn exists(&self, path: &Path) -> bool;
    fn names(&self, directory: &Path) -> io::Result<Vec<String>>;
    fn make_directory(&self, path: &Path) -> io::Result<()>;
    /// An empty one.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// An open file. All of its calls take a place, so it has no position that two users could disagree about.
pub trait DiskFile: Debug + Send {
    /// # Errors
    /// The file system's, here and below.
    fn length(&self) -> io::Result<u64>;
    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()>;
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn set_length(&self, length: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    /// Held until the file is closed, however its holder ends; `WouldBlock` when somebody else holds it.
    fn try_lock(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Clone, Copy)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match how {
            Open::Reading => options.read(true),
            Open::Writing => options.read(true).write(true),
            Open::Making => options.read(true).write(true).create(true).truncate(false),
            Open::Fresh => options.read(true).write(true).create(true).truncate(true),
        };
        Ok(Box::new(options.open(path)?))
    }

    fn connect(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        Connection::open_with_flags(path, flags)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name().into_string().ok()));
        // A name that is no text is none of ours.
        names.filter_map(Result::transpose).collect()
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, into, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }

    fn try_lock(&self) -> io::Result<()> {
        Ok(Self::try_lock(self)?)
    }
}

/// A directory on a disk, and what lies in it by name.
#[derive(Debug, Clone)]
pub struct Folder {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl From<&Path> for Folder {
    fn from(path: &Path) -> Self {
        Self::new(Arc::new(OsDisk), path)
    }
}

impl From<&PathBuf> for Folder {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&Self> for Folder {
    fn from(folder: &Self) -> Self {
        folder.clone()
    }
}

impl Folder {
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Self {
        Self { disk, path: path.into() }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    #[must_use]
    pub(super) fn inside(&self, name: &str) -> Self {
        Self { disk: Arc::clone(&self.disk), path: self.path.join(name) }
    }

    pub(super) fn open(&self, name: &str, how: Open) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(&self.file(name), how)
    }

    /// The whole file, or `None` where there is none.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(name, Open::Reading) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![0; usize::try_from(file.length()?).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    }

    pub(super) fn connect(&self, name: &str, flags: OpenFlags) -> rusqlite::Result<Connection> {
        self.disk.connect(&self.file(name), flags)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.disk.exists(&self.file(name))
    }

    pub(super) fn exists(&self) -> bool {
        self.disk.exists(&self.path)
    }

    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names(&self.path)
    }

    /// Makes the directory if it is not there, and those above it, each durable by name: what a crash takes away with a
    /// directory was synced in vain.
    pub(super) fn make(&self) -> io::Result<()> {
        if self.exists() {
            return Ok(());
        }
        let above = self.path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
        if let Some(above) = above.filter(|above| !self.disk.exists(above)) {
            Self::new(Arc::clone(&self.disk), above).make()?;
        }
        match self.disk.make_directory(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        above.map_or(Ok(()), |above| self.disk.sync_directory(above))
    }

    /// Makes the directory, which must not be there.
    pub(super) fn make_new(&self) -> io::Result<()> {
        self.disk.make_directory(&self.path)
    }

    pub(super) fn remove_empty(&self) -> io::Result<()> {
        self.disk.remove_directory(&self.path)
    }

    pub(super) fn rename(&self, from: &str, to: &Self, name: &str) -> io::Result<()> {
        self.disk.rename(&self.file(from), &to.file(name))
    }

    /// Makes a created, renamed or removed name durable: a file's own sync does not cover its name.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync_directory(&self.path)
    }
}
