//! SQLite on the device: its file calls become calls on handles. Unsafe, because SQLite's file interface is a table of C
//! functions; everything that decides is in `handle.rs`. A database is named `NUMBER:/path`: the number says which device, and
//! the one registration for all of them is never undone, so no connection can outlive it.

#![allow(unsafe_code, reason = "SQLite's file interface is a table of C functions")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

use super::device::{Device, Node, Refusal, State};
use super::handle::{Handle, Level};

pub(super) const NAME: &CStr = c"ringfence-device";
/// Longer than any path that the journal makes.
const PATH_MAX: c_int = 512;
/// What the Unix file system claims: a write does not touch the bytes beside it.
const CHARACTERISTICS: c_int = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE;
/// As the Unix file system says, whatever the disk's own sectors are.
const SECTOR_TOLD: c_int = 4096;

/// The devices that databases may be opened on.
static DEVICES: Mutex<BTreeMap<u64, Weak<Mutex<State>>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

fn devices() -> MutexGuard<'static, BTreeMap<u64, Weak<Mutex<State>>>> {
    // An insertion or a removal is whole or has not happened.
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device that SQLite can find.
#[derive(Debug)]
pub(super) struct Mounted {
    number: u64,
}

impl Mounted {
    pub(super) fn new(device: &Device) -> Self {
        static REGISTERED: OnceLock<()> = OnceLock::new();
        REGISTERED.get_or_init(register);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        devices().insert(number, device.downgrade());
        Self { number }
    }

    /// What SQLite calls the file.
    pub(super) fn name_of(&self, path: &Path) -> String {
        format!("{}:{}", self.number, path.display())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        devices().remove(&self.number);
    }
}

fn register() {
    let vfs = sqlite3_vfs {
        iVersion: 2,
        szOsFile: c_int::try_from(size_of::<OpenFile>()).unwrap_or(c_int::MAX),
        mxPathname: PATH_MAX,
        pNext: std::ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: std::ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: None,
        xGetLastError: None,
        xCurrentTimeInt64: Some(current_time),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    // SAFETY: the table is leaked, so it lives as long as SQLite may look at it, and all functions that SQLite demands are there.
    unsafe { ffi::sqlite3_vfs_register(Box::into_raw(Box::new(vfs)), 0) };
}

/// What SQLite allocates for a file: its own head, then ours.
#[repr(C)]
struct OpenFile {
    head: sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `file` is one that `open` has opened and `close` has not closed; SQLite calls a file's functions one at a time.
unsafe fn handle<'a>(file: *mut sqlite3_file) -> &'a mut Handle {
    // SAFETY: `open` put a leaked box there, and only `close` takes it back.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

/// The device and the path on it.
///
/// # Safety
/// `name` is null or a text that ends in zero.
unsafe fn place(name: *const c_char) -> Option<(Device, PathBuf)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    let (number, path) = unsafe { CStr::from_ptr(name) }.to_str().ok()?.split_once(':')?;
    let device = devices().get(&number.parse().ok()?).and_then(Device::upgrade)?;
    Some((device, PathBuf::from(path)))
}

fn code(result: Result<(), Refusal>, otherwise: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Refusal::Full) => ffi::SQLITE_FULL,
        Err(_) => otherwise,
    }
}

unsafe extern "C" fn open(_: *mut sqlite3_vfs, name: *const c_char, file: *mut sqlite3_file, flags: c_int, told: *mut c_int) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: SQLite gives room for an `OpenFile`, as `szOsFile` says; a null table means that nothing is to be closed.
    unsafe { (*file).head.pMethods = std::ptr::null() };
    // SAFETY: the name is SQLite's.
    let Some((device, path)) = (unsafe { place(name) }) else { return ffi::SQLITE_CANTOPEN };
    let mut state = device.state();
    let is_log = flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL) != 0;
    let (inode, is_new) = match state.node(&path) {
        Some(Node::File(inode)) => (inode, false),
        None if flags & ffi::SQLITE_OPEN_CREATE != 0 => match state.make_file(&path) {
            Ok(inode) => (inode, true),
            Err(_) => return ffi::SQLITE_CANTOPEN,
        },
        _ => return ffi::SQLITE_CANTOPEN,
    };
    let mut handle = Handle::new(&device, &state, inode, flags & ffi::SQLITE_OPEN_READWRITE != 0);
    drop(state);
    if is_new && is_log {
        handle.names_on_sync = path.parent().map(Path::to_owned);
    }
    // SAFETY: as above; `told` is null or SQLite's.
    unsafe {
        (*file).handle = Box::into_raw(Box::new(handle));
        (*file).head.pMethods = &raw const METHODS;
        if !told.is_null() {
            *told = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: the name is SQLite's.
    let Some((device, path)) = (unsafe { place(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    let mut state = device.state();
    let removed = state.remove(&path);
    let done = match path.parent() {
        Some(directory) if sync_directory != 0 && removed.is_ok() => state.sync_directory(directory),
        _ => removed,
    };
    if done == Err(Refusal::NotFound) { ffi::SQLITE_IOERR_DELETE_NOENT } else { code(done, ffi::SQLITE_IOERR_DELETE) }
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, name: *const c_char, _: c_int, found: *mut c_int) -> c_int {
    // SAFETY: the name is SQLite's.
    let Some((device, path)) = (unsafe { place(name) }) else { return ffi::SQLITE_IOERR_ACCESS };
    let state = device.state();
    // An empty file counts as none, as it does on Unix.
    let is_there = match state.node(&path) {
        Some(Node::File(inode)) => state.inodes[inode].length() > 0,
        Some(Node::Directory) => true,
        None => false,
    };
    // SAFETY: SQLite's own variable.
    unsafe { *found = c_int::from(is_there) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(_: *mut sqlite3_vfs, name: *const c_char, room: c_int, into: *mut c_char) -> c_int {
    // SAFETY: the name is SQLite's and ends in zero.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if name.len() > usize::try_from(room).unwrap_or(0) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room for so many bytes, and the two do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(name.as_ptr().cast(), into, name.len()) };
    ffi::SQLITE_OK
}

/// Only seeds SQLite's generator, whose numbers tell one generation of a log from the next.
unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, bytes: c_int, into: *mut c_char) -> c_int {
    let length = usize::try_from(bytes).unwrap_or(0);
    // SAFETY: SQLite gives room for so many bytes.
    unsafe { std::ptr::write_bytes(into, 0x5A, length) };
    bytes
}

/// Virtual time does not pass while a call waits: whoever is in the way is still there afterwards.
unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, now: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite's own variable. No statement of the journal asks for the time.
    unsafe { *now = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let file = file.cast::<OpenFile>();
    // SAFETY: the box that `open` leaked; SQLite closes a file once.
    unsafe {
        drop(Box::from_raw((*file).handle));
        (*file).head.pMethods = std::ptr::null();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, length: c_int, at: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file, and room for so many bytes.
    let (handle, into) = unsafe { (handle(file), std::slice::from_raw_parts_mut(into.cast::<u8>(), usize::try_from(length).unwrap_or(0))) };
    match handle.read(usize::try_from(at).unwrap_or(usize::MAX), into) {
        Ok(found) if found == into.len() => ffi::SQLITE_OK,
        Ok(found) => {
            into[found..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, length: c_int, at: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file, and so many bytes to read.
    let (handle, from) = unsafe { (handle(file), std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(length).unwrap_or(0))) };
    match usize::try_from(at) {
        Ok(at) => code(handle.write(at, from), ffi::SQLITE_IOERR_WRITE),
        Err(_) => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    match usize::try_from(length) {
        Ok(length) => code(handle.set_length(length), ffi::SQLITE_IOERR_TRUNCATE),
        Err(_) => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    code(unsafe { handle(file) }.sync(), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, length: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: an open file.
    let Ok(found) = unsafe { handle(file) }.length() else { return ffi::SQLITE_IOERR_FSTAT };
    // SAFETY: SQLite's own variable.
    unsafe { *length = i64::try_from(found).unwrap_or(i64::MAX) };
    ffi::SQLITE_OK
}

fn level(told: c_int) -> Level {
    match told {
        ffi::SQLITE_LOCK_NONE => Level::None,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, wanted: c_int) -> c_int {
    // SAFETY: an open file.
    let locked = unsafe { handle(file) }.lock(level(wanted));
    if locked.is_ok() { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, to: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { handle(file) }.unlock(level(to));
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, found: *mut c_int) -> c_int {
    // SAFETY: an open file, and SQLite's own variable.
    unsafe { *found = c_int::from(handle(file).is_reserved()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    SECTOR_TOLD
}

unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    CHARACTERISTICS
}

unsafe extern "C" fn shm_map(file: *mut sqlite3_file, index: c_int, bytes: c_int, extend: c_int, into: *mut *mut c_void) -> c_int {
    let (Ok(index), Ok(bytes)) = (usize::try_from(index), usize::try_from(bytes)) else { return ffi::SQLITE_IOERR_SHMMAP };
    // SAFETY: an open file.
    let Ok(region) = unsafe { handle(file) }.region(index, bytes, extend != 0) else { return ffi::SQLITE_IOERR_SHMMAP };
    // SAFETY: SQLite's own variable; the region lives until this file leaves it.
    unsafe { *into = region.unwrap_or(std::ptr::null_mut()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    let (Ok(first), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else { return ffi::SQLITE_IOERR_SHMLOCK };
    let locks = first..(first + count).min(ffi::SQLITE_SHM_NLOCK as usize);
    // SAFETY: an open file.
    let handle = unsafe { handle(file) };
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        handle.unlock_shared(locks);
        return ffi::SQLITE_OK;
    }
    let locked = handle.lock_shared(locks, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0);
    if locked.is_ok() { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    std::sync::atomic::fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { handle(file) }.leave_shared();
    ffi::SQLITE_OK
}
