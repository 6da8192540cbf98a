//! A disk with a file system on it, in memory: writes go to a cache, a sync makes them durable, and a power cut keeps, loses,
//! tears or reorders what was not synced, names included. It can fail on demand, as disks and file systems do. Everything
//! that is left to chance comes from its seed. It knows nothing of journals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handle::{Locks, Shared};
use super::inode::{Fate, Inode, SECTOR};
use crate::simulation::fault::Random;

/// Why the file system refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// EIO.
    Io,
    /// ENOSPC.
    Full,
    NotFound,
    Exists,
    NotADirectory,
    ReadOnly,
}

/// What shall go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// A sync reports an error, once, after so many that worked. With `forget`, what it did not write counts as written from
    /// then on: the next sync succeeds and has nothing to do.
    SyncFails { after: u32, forget: bool },
    /// A write reports an error, once, after so many that worked; a part of it may have happened.
    WriteFails { after: u32 },
    /// From now on the file system has room for so many bytes more.
    Full { free: u64 },
    /// A read returns one wrong bit, once, after so many that were right.
    ReadFlips { after: u32 },
    /// One bit of a file that is on the medium turns over, for good.
    Rots,
    /// The next power cut is of this kind.
    PowerCut(Cut),
    /// The page cache forgets what is clean.
    Evicts,
}

/// What the next power cut does with what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All of it is gone.
    Loses,
    /// It is there up to a moment, and what was being written then is half there.
    Tears,
    /// Sectors came to the medium in any order.
    Reorders,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accidents {
    pub syncs_failed: u64,
    pub writes_failed: u64,
    pub refused_full: u64,
    pub reads_flipped: u64,
    pub bits_rotten: u64,
    pub evictions: u64,
    pub kills: u64,
    pub power_cuts: u64,
    /// Changes that no sync had covered, by what became of them.
    pub changes_kept: u64,
    pub changes_lost: u64,
    pub changes_torn: u64,
    /// Power cuts after which a later change was there and an earlier one was not.
    pub cuts_reordered: u64,
    pub names_lost: u64,
}

/// A handle on the disk; clones are the same disk.
#[derive(Debug, Clone)]
pub struct Device(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(usize),
}

/// Names that were made, moved or removed as one, and lie in the cache. `None` is a name that was removed.
#[derive(Debug)]
struct NameChange(Vec<(PathBuf, Option<Node>)>);

#[derive(Debug)]
pub(super) struct State {
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    name_changes: Vec<NameChange>,
    pub inodes: Vec<Inode>,
    pub locks: BTreeMap<usize, Locks>,
    pub shared: BTreeMap<usize, Shared>,
    /// Whoever opened a file in an earlier life can do nothing with it any more.
    pub life: u64,
    order: u64,
    random: Random,
    faults: Faults,
    accidents: Accidents,
    looked_at: Accidents,
}

/// What is armed.
#[derive(Debug, Default)]
struct Faults {
    sync: Option<(u32, bool)>,
    write: Option<u32>,
    read: Option<u32>,
    free: Option<u64>,
    cut: Option<Cut>,
}

impl Default for Device {
    fn default() -> Self {
        Self::new(Random::new(0))
    }
}

impl Device {
    #[must_use]
    pub fn new(random: Random) -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Directory)]);
        Self(Arc::new(Mutex::new(State {
            durable_names: names.clone(),
            names,
            name_changes: Vec::new(),
            inodes: Vec::new(),
            locks: BTreeMap::new(),
            shared: BTreeMap::new(),
            life: 0,
            order: 0,
            random,
            faults: Faults::default(),
            accidents: Accidents::default(),
            looked_at: Accidents::default(),
        })))
    }

    pub fn fault(&self, fault: DiskFault) {
        self.state().fault(fault);
    }

    /// What is armed is disarmed, and a full disk has room again. What has happened stays.
    pub fn heal(&self) {
        self.state().faults = Faults::default();
    }

    /// The process dies: its files are closed, its locks are gone, and what it wrote is in the cache still.
    pub fn kill(&self) {
        let mut state = self.state();
        state.accidents.kills += 1;
        state.end_life();
    }

    /// The power goes, and with it the process and the cache.
    pub fn cut_power(&self, random: Random) {
        let mut state = self.state();
        state.random = random;
        state.accidents.power_cuts += 1;
        state.cut_power();
    }

    /// The process ended by itself: as a kill, and nothing to report.
    pub(super) fn close_all(&self) {
        self.state().end_life();
    }

    /// The accidents so far, and those of the last call.
    pub(super) fn swap_looked_at(&self) -> (Accidents, Accidents) {
        let mut state = self.state();
        let now = state.accidents;
        (now, std::mem::replace(&mut state.looked_at, now))
    }

    #[must_use]
    pub fn accidents(&self) -> Accidents {
        self.state().accidents
    }

    /// Whether anything waits for a sync: a power cut now could lose something.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        let state = self.state();
        !state.name_changes.is_empty() || state.inodes.iter().any(Inode::is_dirty)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No step of the state is left half done by a panic of its caller.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn downgrade(&self) -> std::sync::Weak<Mutex<State>> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn upgrade(weak: &std::sync::Weak<Mutex<State>>) -> Option<Self> {
        weak.upgrade().map(Self)
    }
}

/// Names.
impl State {
    pub fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).copied()
    }

    pub fn make_file(&mut self, path: &Path) -> Result<usize, Refusal> {
        let inode = self.inodes.len();
        self.change_names(vec![(path.to_owned(), Some(Node::File(inode)))])?;
        self.inodes.push(Inode::default());
        Ok(inode)
    }

    pub fn make_directory(&mut self, path: &Path) -> Result<(), Refusal> {
        match self.node(path) {
            Some(_) => Err(Refusal::Exists),
            None => self.change_names(vec![(path.to_owned(), Some(Node::Directory))]),
        }
    }

    pub fn remove(&mut self, path: &Path) -> Result<(), Refusal> {
        self.node(path).ok_or(Refusal::NotFound)?;
        if self.names.keys().any(|name| name.parent() == Some(path)) {
            return Err(Refusal::Exists);
        }
        self.change_names(vec![(path.to_owned(), None)])
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Refusal> {
        let node = self.node(from).ok_or(Refusal::NotFound)?;
        if node == Node::Directory {
            // The journal never moves one; a model of it would be untried code.
            return Err(Refusal::NotADirectory);
        }
        self.change_names(vec![(to.to_owned(), Some(node)), (from.to_owned(), None)])
    }

    fn change_names(&mut self, change: Vec<(PathBuf, Option<Node>)>) -> Result<(), Refusal> {
        let is_directory = |path: Option<&Path>| path.is_some_and(|path| self.node(path) == Some(Node::Directory));
        if !change.iter().all(|(path, _)| is_directory(path.parent())) {
            return Err(Refusal::NotFound);
        }
        set(&mut self.names, &change);
        self.name_changes.push(NameChange(change));
        Ok(())
    }

    /// The names in a directory.
    pub fn list(&self, directory: &Path) -> Result<Vec<String>, Refusal> {
        if self.node(directory) != Some(Node::Directory) {
            return Err(Refusal::NotFound);
        }
        let inside = self.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    /// Makes the names in a directory durable, and no others.
    pub fn sync_directory(&mut self, directory: &Path) -> Result<(), Refusal> {
        self.before_sync()?;
        let concerned = |change: &NameChange| change.0.iter().any(|(path, _)| path.parent() == Some(directory));
        let (mine, others) = std::mem::take(&mut self.name_changes).into_iter().partition(concerned);
        self.name_changes = others;
        let mine: Vec<NameChange> = mine;
        mine.iter().for_each(|change| set(&mut self.durable_names, &change.0));
        Ok(())
    }
}

/// Bytes.
impl State {
    pub fn read(&mut self, inode: usize, at: usize, into: &mut [u8]) -> usize {
        let found = self.inodes[inode].read(at, into);
        if found > 0 && due(&mut self.faults.read) {
            self.accidents.reads_flipped += 1;
            let at = usize::try_from(self.random.below(found as u64)).unwrap_or(0);
            into[at] ^= 1 << self.random.below(8);
        }
        found
    }

    pub fn write(&mut self, inode: usize, at: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let (length, end) = (self.inodes[inode].length(), at + bytes.len());
        let failed = due(&mut self.faults.write);
        let grown = end.saturating_sub(length) as u64;
        let room = self.faults.free.unwrap_or(u64::MAX);
        let fits = if failed {
            self.accidents.writes_failed += 1;
            self.random.below(bytes.len() as u64 + 1)
        } else if grown > room {
            self.accidents.refused_full += 1;
            bytes.len() as u64 - (grown - room).min(bytes.len() as u64)
        } else {
            bytes.len() as u64
        };
        // A write that is cut short ends where a block does, as the kernel copies it.
        let fits = usize::try_from(fits).unwrap_or(0);
        let fits = if fits < bytes.len() { ((at + fits) / SECTOR * SECTOR).saturating_sub(at) } else { fits };
        let written = &bytes[..fits];
        if let Some(free) = &mut self.faults.free {
            *free = free.saturating_sub((at + written.len()).saturating_sub(length) as u64);
        }
        if !written.is_empty() {
            self.order += 1;
            self.inodes[inode].write(self.order, at, written);
        }
        match (failed, written.len() == bytes.len()) {
            (true, _) => Err(Refusal::Io),
            (false, true) => Ok(()),
            (false, false) => Err(Refusal::Full),
        }
    }

    pub fn set_length(&mut self, inode: usize, length: usize) {
        let freed = self.inodes[inode].length().saturating_sub(length) as u64;
        if let Some(free) = &mut self.faults.free {
            *free += freed;
        }
        self.order += 1;
        self.inodes[inode].set_length(self.order, length);
    }

    pub fn sync(&mut self, inode: usize) -> Result<(), Refusal> {
        let forget = self.faults.sync.is_some_and(|(_, forget)| forget);
        let result = self.before_sync();
        match result {
            Ok(()) => self.inodes[inode].sync(),
            Err(_) => self.inodes[inode].fail_sync(forget, &mut self.random),
        }
        result
    }

    fn before_sync(&mut self) -> Result<(), Refusal> {
        let Some((after, _)) = &mut self.faults.sync else { return Ok(()) };
        if *after > 0 {
            *after -= 1;
            return Ok(());
        }
        self.faults.sync = None;
        self.accidents.syncs_failed += 1;
        Err(Refusal::Io)
    }
}

/// Accidents.
impl State {
    fn fault(&mut self, fault: DiskFault) {
        match fault {
            DiskFault::SyncFails { after, forget } => self.faults.sync = Some((after, forget)),
            DiskFault::WriteFails { after } => self.faults.write = Some(after),
            DiskFault::ReadFlips { after } => self.faults.read = Some(after),
            DiskFault::Full { free } => self.faults.free = Some(free),
            DiskFault::PowerCut(cut) => self.faults.cut = Some(cut),
            DiskFault::Rots => self.rot(),
            DiskFault::Evicts => {
                self.accidents.evictions += 1;
                self.inodes.iter_mut().for_each(Inode::evict);
            }
        }
    }

    /// In a file that has a name, each as likely as its neighbour: the large ones are mostly room that was taken beforehand.
    fn rot(&mut self) {
        let files = |node: &Node| match node {
            Node::File(inode) if self.inodes[*inode].length() > 0 => Some(*inode),
            _ => None,
        };
        let files: Vec<usize> = self.names.values().filter_map(files).collect();
        let chosen = usize::try_from(self.random.below(files.len() as u64)).unwrap_or(0);
        let Some(&inode) = files.get(chosen) else { return };
        if self.inodes[inode].rot(&mut self.random).is_some() {
            self.accidents.bits_rotten += 1;
        }
    }

    fn end_life(&mut self) {
        self.life += 1;
        self.locks.clear();
        self.shared.clear();
    }

    fn cut_power(&mut self) {
        self.end_life();
        let fate = self.fate();
        let before = self.accidents;
        for inode in &mut self.inodes {
            let reached = inode.power_loss(fate, &mut self.random);
            self.accidents.changes_kept += reached.kept;
            self.accidents.changes_lost += reached.lost;
            self.accidents.changes_torn += reached.torn;
        }
        let some = |now: u64, then: u64| now > then;
        let mixed = some(self.accidents.changes_lost, before.changes_lost) && some(self.accidents.changes_kept, before.changes_kept);
        self.accidents.cuts_reordered += u64::from(fate == Fate::Shuffled && mixed);
        self.lose_names(fate);
    }

    fn fate(&mut self) -> Fate {
        let kind = match self.faults.cut.take() {
            Some(Cut::Loses) => 0,
            Some(Cut::Tears) => 4,
            Some(Cut::Reorders) => 6,
            // Half of all cuts lose everything or nothing: those are the ones that the rest of the system is built for.
            None => self.random.below(8),
        };
        let oldest = self.inodes.iter().filter_map(Inode::oldest).min().unwrap_or(self.order);
        match kind {
            0..3 => Fate::Lost,
            3 => Fate::Kept,
            4 | 5 => Fate::Prefix(oldest + self.random.below(self.order - oldest + 1)),
            _ => Fate::Shuffled,
        }
    }

    /// Names come to the medium in the order of their changes: file systems keep a log of those.
    fn lose_names(&mut self, fate: Fate) {
        let changes = std::mem::take(&mut self.name_changes);
        let kept = match fate {
            Fate::Kept => changes.len(),
            Fate::Lost => 0,
            Fate::Prefix(_) | Fate::Shuffled => usize::try_from(self.random.below(changes.len() as u64 + 1)).unwrap_or(0),
        };
        changes.iter().take(kept).for_each(|change| set(&mut self.durable_names, &change.0));
        self.accidents.names_lost += (changes.len() - kept) as u64;
        // What lies in a directory that is not there is nowhere. Parents come before children in this order.
        let mut reachable: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (path, node) in &self.durable_names {
            if path.parent().is_none_or(|parent| reachable.get(parent) == Some(&Node::Directory)) {
                reachable.insert(path.clone(), *node);
            }
        }
        self.durable_names.clone_from(&reachable);
        self.names = reachable;
    }
}

fn set(names: &mut BTreeMap<PathBuf, Node>, change: &[(PathBuf, Option<Node>)]) {
    for (path, node) in change {
        match node {
            Some(node) => drop(names.insert(path.clone(), *node)),
            None => drop(names.remove(path)),
        }
    }
}

/// Counts down to the moment of a fault that happens once.
fn due(armed: &mut Option<u32>) -> bool {
    match armed {
        Some(0) => armed.take().is_some(),
        Some(after) => {
            *after -= 1;
            false
        }
        None => false,
    }
}
