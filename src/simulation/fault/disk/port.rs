//! The device as the store's file system: its calls, the device's answers as the errors that an operating system gives.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use rusqlite::{Connection, OpenFlags};

use super::device::{Device, Node, Refusal};
use super::handle::{Handle, Level};
use super::vfs::{self, Mounted};
use crate::store::{Disk, DiskFile, Open};

#[derive(Debug)]
pub(super) struct SimDisk {
    device: Device,
    mounted: Mounted,
}

impl SimDisk {
    pub(super) fn new(device: &Device) -> Self {
        Self { device: device.clone(), mounted: Mounted::new(device) }
    }
}

/// Behind a mutex, because a lock changes the handle; nobody ever waits for it.
#[derive(Debug)]
struct SimFile(Mutex<Handle>);

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Handle) -> Result<T, Refusal>) -> io::Result<T> {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)).map_err(error)
    }
}

fn error(refusal: Refusal) -> io::Error {
    match refusal {
        Refusal::Io => io::Error::other("input/output error"),
        Refusal::Full => io::ErrorKind::StorageFull.into(),
        Refusal::NotFound => io::ErrorKind::NotFound.into(),
        Refusal::Exists => io::ErrorKind::AlreadyExists.into(),
        Refusal::NotADirectory => io::ErrorKind::NotADirectory.into(),
        Refusal::ReadOnly => io::ErrorKind::PermissionDenied.into(),
    }
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.device.state();
        let inode = match state.node(path) {
            Some(Node::File(inode)) => inode,
            Some(Node::Directory) => return Err(io::ErrorKind::IsADirectory.into()),
            None if matches!(how, Open::Making | Open::Fresh) => state.make_file(path).map_err(error)?,
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if how == Open::Fresh {
            state.set_length(inode, 0);
        }
        Ok(Box::new(SimFile(Mutex::new(Handle::new(&self.device, &state, inode, how != Open::Reading)))))
    }

    fn connect(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        Connection::open_with_flags_and_vfs(self.mounted.name_of(path), flags, vfs::NAME)
    }

    fn exists(&self, path: &Path) -> bool {
        self.device.state().node(path).is_some()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.device.state().list(directory).map_err(error)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.device.state().make_directory(path).map_err(error)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.device.state().remove(path).map_err(error)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.device.state().rename(from, to).map_err(error)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.device.state().sync_directory(path).map_err(error)
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|handle| handle.length()).map(|length| length as u64)
    }

    fn read_exact_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let found = self.with(|handle| handle.read(place(at), into))?;
        if found == into.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|handle| handle.write(place(at), bytes))
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|handle| handle.set_length(place(length)))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(Handle::sync)
    }

    fn try_lock(&self) -> io::Result<()> {
        let mut handle = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        handle.lock(Level::Exclusive).map_err(|_| io::ErrorKind::WouldBlock.into())
    }
}
