//! An open file of the device: bytes, the locks that SQLite takes on a database, and the memory that its connections share.
//! It is the one way to a file's bytes, so that a process that died cannot write any more.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::device::{Device, Refusal, State};

/// How firmly a database is held; SQLite's five steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    None,
    Shared,
    Reserved,
    Pending,
    Exclusive,
}

/// Who holds a file.
#[derive(Debug, Default)]
pub(super) struct Locks {
    shared: u32,
    reserved: bool,
    pending: bool,
    exclusive: bool,
}

/// Another holder is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

/// Eight locks on the shared memory, as SQLite's write-ahead log has them.
const SHARED_LOCKS: usize = 8;

/// What the connections of one database share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    regions: Vec<Arc<Region>>,
    users: u32,
    readers: [u32; SHARED_LOCKS],
    writer: [bool; SHARED_LOCKS],
}

/// A piece of that memory. SQLite writes into it through the pointer, so it is made of cells that may change while they are
/// shared.
#[derive(Debug)]
pub(super) struct Region(Box<[AtomicU32]>);

impl Region {
    fn new(bytes: usize) -> Self {
        Self((0..bytes.div_ceil(4)).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn start(&self) -> *mut c_void {
        self.0.as_ptr().cast_mut().cast()
    }
}

/// What this handle has of the shared memory.
#[derive(Debug, Default)]
struct Part {
    /// Kept alive for as long as this handle may use them, also when the process that made them is dead.
    regions: Vec<Arc<Region>>,
    reads: [bool; SHARED_LOCKS],
    writes: [bool; SHARED_LOCKS],
}

#[derive(Debug)]
pub(super) struct Handle {
    device: Device,
    inode: usize,
    life: u64,
    writable: bool,
    level: Level,
    part: Option<Part>,
    /// Made by this opening: its first sync also syncs the directory's name for it.
    pub names_on_sync: Option<std::path::PathBuf>,
}

impl Handle {
    pub(super) fn new(device: &Device, state: &State, inode: usize, writable: bool) -> Self {
        Self { device: device.clone(), inode, life: state.life, writable, level: Level::None, part: None, names_on_sync: None }
    }

    /// Does something with the file, unless the process that opened it is dead.
    fn with<T>(&self, act: impl FnOnce(&mut State, usize) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut state = self.device.state();
        if state.life == self.life { act(&mut state, self.inode) } else { Err(Refusal::Io) }
    }

    /// The same for what changes it.
    fn change<T>(&self, act: impl FnOnce(&mut State, usize) -> Result<T, Refusal>) -> Result<T, Refusal> {
        if self.writable { self.with(act) } else { Err(Refusal::ReadOnly) }
    }

    pub(super) fn length(&self) -> Result<usize, Refusal> {
        self.with(|state, inode| Ok(state.inodes[inode].length()))
    }

    /// How many bytes there were to read.
    pub(super) fn read(&self, at: usize, into: &mut [u8]) -> Result<usize, Refusal> {
        self.with(|state, inode| Ok(state.read(inode, at, into)))
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Refusal> {
        self.change(|state, inode| state.write(inode, at, bytes))
    }

    pub(super) fn set_length(&self, length: usize) -> Result<(), Refusal> {
        self.change(|state, inode| {
            state.set_length(inode, length);
            Ok(())
        })
    }

    pub(super) fn sync(&mut self) -> Result<(), Refusal> {
        self.with(|state, inode| state.sync(inode))?;
        match self.names_on_sync.take() {
            Some(directory) => self.with(|state, _| state.sync_directory(&directory)),
            None => Ok(()),
        }
    }
}

/// Locks.
impl Handle {
    pub(super) fn lock(&mut self, wanted: Level) -> Result<(), Busy> {
        if wanted <= self.level {
            return Ok(());
        }
        if wanted > Level::Shared && !self.writable {
            // As on Unix: who opened a file for reading cannot keep others from it.
            return Err(Busy);
        }
        let mut state = self.device.state();
        if state.life != self.life {
            return Err(Busy);
        }
        let locks = state.locks.entry(self.inode).or_default();
        if self.level == Level::None {
            if locks.pending || locks.exclusive {
                return Err(Busy);
            }
            locks.shared += 1;
            self.level = Level::Shared;
        }
        if wanted == Level::Reserved {
            if locks.reserved {
                return Err(Busy);
            }
            locks.reserved = true;
            self.level = Level::Reserved;
        }
        if wanted >= Level::Pending {
            if self.level < Level::Pending && locks.pending {
                return Err(Busy);
            }
            locks.pending = true;
            self.level = Level::Pending.max(self.level);
            if locks.shared > 1 {
                return Err(Busy);
            }
            locks.exclusive = true;
            self.level = Level::Exclusive;
        }
        Ok(())
    }

    pub(super) fn unlock(&mut self, to: Level) {
        if to >= self.level {
            return;
        }
        let mut state = self.device.state();
        if state.life == self.life {
            let locks = state.locks.entry(self.inode).or_default();
            // Whoever stands above Shared holds all of the steps between; nobody else does.
            if self.level >= Level::Reserved {
                locks.reserved = false;
            }
            if self.level >= Level::Pending {
                (locks.pending, locks.exclusive) = (false, false);
            }
            if to == Level::None {
                locks.shared = locks.shared.saturating_sub(1);
            }
        }
        self.level = to;
    }

    /// Whether somebody is about to write.
    pub(super) fn is_reserved(&self) -> bool {
        self.device.state().locks.get(&self.inode).is_some_and(|locks| locks.reserved || locks.pending)
    }
}

/// Shared memory.
impl Handle {
    /// The start of region `index`; `None` when it does not exist and shall not be made.
    pub(super) fn region(&mut self, index: usize, bytes: usize, make: bool) -> Result<Option<*mut c_void>, Refusal> {
        let mut state = self.device.state();
        if state.life != self.life {
            return Err(Refusal::Io);
        }
        let shared = state.shared.entry(self.inode).or_default();
        let part = self.part.get_or_insert_with(|| {
            shared.users += 1;
            Part::default()
        });
        while make && shared.regions.len() <= index {
            shared.regions.push(Arc::new(Region::new(bytes)));
        }
        part.regions.clone_from(&shared.regions);
        Ok(shared.regions.get(index).map(|region| region.start()))
    }

    pub(super) fn lock_shared(&mut self, locks: std::ops::Range<usize>, exclusive: bool) -> Result<(), Busy> {
        let mut state = self.device.state();
        let Some(part) = self.part.as_mut().filter(|_| state.life == self.life) else { return Err(Busy) };
        let shared = state.shared.entry(self.inode).or_default();
        let others_read = |lock: usize| shared.readers[lock] > u32::from(part.reads[lock]);
        let others_write = |lock: usize| shared.writer[lock] && !part.writes[lock];
        if locks.clone().any(|lock| others_write(lock) || (exclusive && others_read(lock))) {
            return Err(Busy);
        }
        for lock in locks {
            if exclusive {
                (shared.writer[lock], part.writes[lock]) = (true, true);
            } else if !part.reads[lock] {
                shared.readers[lock] += 1;
                part.reads[lock] = true;
            }
        }
        Ok(())
    }

    pub(super) fn unlock_shared(&mut self, locks: std::ops::Range<usize>) {
        let mut state = self.device.state();
        let Some(part) = self.part.as_mut().filter(|_| state.life == self.life) else { return };
        release(state.shared.entry(self.inode).or_default(), part, locks);
    }

    /// The last one out takes the memory with it.
    pub(super) fn leave_shared(&mut self) {
        let mut state = self.device.state();
        let Some(mut part) = self.part.take() else { return };
        if state.life != self.life {
            return;
        }
        let shared = state.shared.entry(self.inode).or_default();
        release(shared, &mut part, 0..SHARED_LOCKS);
        shared.users = shared.users.saturating_sub(1);
        if shared.users == 0 {
            state.shared.remove(&self.inode);
        }
    }
}

fn release(shared: &mut Shared, part: &mut Part, locks: std::ops::Range<usize>) {
    for lock in locks {
        if std::mem::take(&mut part.reads[lock]) {
            shared.readers[lock] = shared.readers[lock].saturating_sub(1);
        }
        if std::mem::take(&mut part.writes[lock]) {
            shared.writer[lock] = false;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.leave_shared();
        self.unlock(Level::None);
    }
}
